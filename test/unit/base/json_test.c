/* JSON: strict reading, and a writer whose numbers read back exactly. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

static struct buf      b;
static struct json_out j;

static int set_up(void **state)
{
    (void)state;
    buf_init(&b, 1 << 22);
    json_out_init(&j, &b);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_dispose(&b);
    return 0;
}

static void nested_values_get_their_commas(void **state)
{
    (void)state;
    json_begin_object(&j, NULL);
    json_put_text(&j, "a", "x");
    json_begin_array(&j, "list");
    json_put_int(&j, NULL, INT64_MIN);
    json_put_int(&j, NULL, INT64_MAX);
    json_begin_object(&j, NULL);
    json_end(&j);
    json_begin_array(&j, NULL);
    json_end(&j);
    json_put_bool(&j, NULL, true);
    json_put_null(&j, NULL);
    json_end(&j);
    json_put_text(&j, "none", NULL);
    json_put_raw(&j, "raw", "[1]", 3);
    json_end(&j);
    assert_string_equal(b.data, "{\"a\":\"x\",\"list\":[-9223372036854775808,9223372036854775807,{},[],true,null],"
                                "\"none\":null,\"raw\":[1]}");
}

static const char *text_as(const char *s, size_t n)
{
    buf_clear(&b);
    json_out_init(&j, &b);
    json_put_textn(&j, NULL, s, n);
    return b.data;
}

static void text_is_escaped_and_always_valid_utf_8(void **state)
{
    (void)state;
    assert_string_equal(text_as("a\"\\/\b\f\n\r\t\x01\x1f\x7f\0z", 14), "\"a\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u0000z\"");
    assert_string_equal(text_as("né 💪", 8), "\"né 💪\"");
    static const char *const broken[] = { "\xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x9f\x92", "\x80" };
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct call c;
        json_t *v = NULL;
        call_init(&c);
        const char *out = text_as(broken[i], strlen(broken[i]));
        assert_non_null(strstr(out, "\xef\xbf\xbd"));
        assert_int_equal(json_parse(&c, out, strlen(out), &v), OK);
        json_decref(v);
        call_dispose(&c);
    }
}

static const char *real_as(double v)
{
    buf_clear(&b);
    json_out_init(&j, &b);
    json_put_real(&j, NULL, v);
    return b.data;
}

static const char *float_as(float v)
{
    buf_clear(&b);
    json_out_init(&j, &b);
    json_put_float(&j, NULL, v);
    return b.data;
}

static void numbers_are_short_and_read_back(void **state)
{
    (void)state;
    assert_string_equal(real_as(0.1), "0.1");
    assert_string_equal(real_as(3), "3.0");
    assert_string_equal(real_as(1.0 / 3), "0.3333333333333333");
    assert_string_equal(real_as(NAN), "null");
    assert_string_equal(real_as(-INFINITY), "null");
    assert_string_equal(float_as(0.1f), "0.1");
    assert_string_equal(float_as(1.0f / 3), "0.33333334");
    assert_string_equal(float_as(0), "0.0");
    assert_string_equal(float_as(-0.5f), "-0.5");
    assert_string_equal(float_as(999999), "999999.0");
    assert_string_equal(float_as(1), "1.0");
    assert_string_equal(float_as(0.000001f), "0.000001");
    assert_string_equal(float_as(NAN), "null");
    assert_string_equal(float_as(16777216), "16777216.0");
    assert_string_equal(float_as(1e20f), "1e+20");
}

static void any_float_reads_back_to_itself(void **state)
{
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint32_t bits;
        float f, back;
        id_random(&bits, sizeof bits);
        if (i & 1) bits = (bits & 0x807fffff) | (105 + bits % 45) << 23; /* the range of the fast way */
        memcpy(&f, &bits, sizeof f);
        if (!isfinite(f)) continue;
        const char *text = float_as(f);
        back = strtof(text, NULL);
        assert_memory_equal(&back, &f, sizeof f);
        back = (float)strtod(text, NULL);
        assert_memory_equal(&back, &f, sizeof f);
        double d = (double)f * 1.1, again = strtod(real_as(d), NULL);
        assert_true(d == again);
    }
}

static void the_locale_does_not_change_numbers(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) skip();
    assert_string_equal(real_as(1.5e100), "1.5e+100");
    setlocale(LC_NUMERIC, "C");
}

static enum err parse(const char *text, size_t n, char words[400])
{
    struct call c;
    json_t *v = NULL;
    call_init(&c);
    enum err e = json_parse(&c, text, n, &v);
    strcpy(words, c.err_text);
    json_decref(v);
    call_dispose(&c);
    return e;
}

static void what_is_not_one_json_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", " ", "{", "{\"a\":1,\"a\":2}", "[1] x", "[1][2]", "{'a':1}", "[1,]", "nul", "\"\\u0000\"", "\"\xff\"",
                                       "\"\\ud800\"", "[01]", "[NaN]", "[1e999]", "\"a\nb\"", "// x\n1", "\xef\xbb\xbf[1]" };
    char words[400];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(parse(bad[i], strlen(bad[i]), words), ERR_BAD_REQUEST);
        assert_non_null(strstr(words, "line"));
    }
    assert_int_equal(parse("[1]\0", 4, words), ERR_BAD_REQUEST);
    assert_int_equal(parse("{\"secret\": hunter2}", 19, words), ERR_BAD_REQUEST);
    assert_null(strstr(words, "hunter2"));
    static const char *const good[] = { "1", "\"x\"", "null", " {\"a\":[]} \n", "\"\\ud83d\\udcaa\"", "[1e10,-0.5]" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_int_equal(parse(good[i], strlen(good[i]), words), OK);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[4 * LIMIT_JSON_DEPTH], words[400];
    int n = LIMIT_JSON_DEPTH;
    memset(text, '[', (size_t)n);
    memset(text + n, ']', (size_t)n);
    assert_int_equal(parse(text, 2 * (size_t)n, words), OK);
    struct call c;
    json_t *v = NULL;
    call_init(&c);
    assert_int_equal(json_parse(&c, text, 2 * (size_t)n, &v), OK);
    for (int i = 0; i < 10; i++) json_begin_array(&j, NULL);
    json_put_value(&j, NULL, v); /* the deepest value that can be read fits into a reply */
    for (int i = 0; i < 10; i++) json_end(&j);
    assert_int_equal(b.len, 2 * (size_t)n + 20);
    json_decref(v);
    call_dispose(&c);
    memset(text, '[', (size_t)n + 1);
    memset(text + n + 1, ']', (size_t)n + 1);
    assert_int_equal(parse(text, 2 * (size_t)n + 2, words), ERR_BAD_REQUEST);
    assert_non_null(strstr(words, "nested"));
    assert_int_equal(parse("\"[[[[\\\"[[[\"", 11, words), OK);
    char *deep = malloc(1 << 20);
    memset(deep, '[', 1 << 20);
    assert_int_equal(parse(deep, 1 << 20, words), ERR_BAD_REQUEST);
    free(deep);
}

static void members_have_defaults(void **state)
{
    (void)state;
    struct call c;
    json_t *v = NULL;
    static const char text[] = "{\"s\":\"x\",\"i\":7,\"r\":0.5,\"b\":true,\"n\":null}";
    call_init(&c);
    assert_int_equal(json_parse(&c, text, sizeof text - 1, &v), OK);
    assert_string_equal(json_get_text(v, "s", "d"), "x");
    assert_string_equal(json_get_text(v, "n", "d"), "d");
    assert_null(json_get_text(v, "missing", NULL));
    assert_int_equal(json_get_int(v, "i", 1), 7);
    assert_int_equal(json_get_int(v, "r", 1), 1);
    assert_true(json_get_real(v, "i", 1) == 7);
    assert_true(json_get_real(v, "r", 1) == 0.5);
    assert_true(json_get_bool(v, "b", false));
    assert_true(json_get_bool(v, "s", true));
    json_put_value(&j, NULL, v);
    assert_string_equal(b.data, text);
    json_decref(v);
    call_dispose(&c);
}

static void what_it_costs(void **state)
{
    (void)state;
    enum { TIMES = 500, DIM = 384 };
    float v[DIM];
    for (int i = 0; i < DIM; i++) {
        uint32_t bits;
        id_random(&bits, sizeof bits);
        v[i] = (float)((int)(bits >> 8) - 8388608) / 8388608.0f * 0.15f;
    }
    int64_t began = clock_mono_us();
    for (int k = 0; k < TIMES; k++) {
        buf_clear(&b);
        json_out_init(&j, &b);
        json_begin_array(&j, NULL);
        for (int i = 0; i < DIM; i++) json_put_float(&j, NULL, v[i]);
        json_end(&j);
    }
    printf("an embedding of %d floats written: %.1f us, %zu bytes\n", DIM, (double)(clock_mono_us() - began) / TIMES, b.len);
    assert_false(b.failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nested_values_get_their_commas, set_up, tear_down),
        cmocka_unit_test_setup_teardown(text_is_escaped_and_always_valid_utf_8, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_are_short_and_read_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_float_reads_back_to_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_locale_does_not_change_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_one_json_text_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(depth_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(members_have_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_it_costs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
