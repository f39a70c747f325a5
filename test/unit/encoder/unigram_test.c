/* SPDX-License-Identifier: MIT */
/* The Unigram tokenizer against ids that the published library gave (test/fixtures/make_unigram.py). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#undef fail
#include "base/base64.h"
#include "base/json.h"
#include "encoder/tokenizer.h"

enum { FORMS = 7, IDS_MAX = 4096 };
static struct call       c;
static json_t           *fixture;
static struct tokenizer *form[FORMS];

/* The fixture's tokenizer in one of its forms. */
static json_t *made(size_t i)
{
    json_t *o = json_deep_copy(json_object_get(fixture, "tokenizer")), *all = json_object_get(fixture, "forms"), *f = json_array_get(all, i);
    json_t *map = json_object_get(json_array_get(all, 0), "normalizer"), *normalizer = json_deep_copy(json_object_get(f, "normalizer"));
    json_t *steps = json_object_get(normalizer, "normalizers");
    if (json_is_string(normalizer)) {
        json_decref(normalizer);
        normalizer = json_deep_copy(map);
    }
    if (json_is_string(json_array_get(steps, 0))) json_array_set(steps, 0, map);
    json_object_set_new(o, "normalizer", normalizer);
    json_object_set(o, "pre_tokenizer", json_object_get(f, "pre_tokenizer"));
    json_object_set(json_object_get(o, "model"), "byte_fallback", json_object_get(f, "byte_fallback"));
    return o;
}

static enum err read_value(json_t *o, struct tokenizer **out)
{
    char    *text = json_dumps(o, 0);
    enum err e = tokenizer_read(&c, text, strlen(text), out);
    free(text);
    json_decref(o);
    return e;
}

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    fixture = json_load_file("test/fixtures/unigram.json", 0, NULL);
    if (!fixture) return 1;
    for (size_t i = 0; i < FORMS; i++)
        if (read_value(made(i), &form[i])) {
            print_error("form %zu: %s\n", i, c.err_text);
            return 1;
        }
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    for (size_t i = 0; i < FORMS; i++) tokenizer_free(form[i]);
    json_decref(fixture);
    call_dispose(&c);
    return 0;
}

static bool is_boundary(const char *text, size_t n, uint32_t at) { return at <= n && (at == n || (text[at] & 0xc0) != 0x80); }

static void every_kept_case_has_the_librarys_ids(void **s)
{
    (void)s;
    static int32_t  ids[IDS_MAX];
    static uint32_t at[IDS_MAX];
    json_t *cases = json_object_get(fixture, "cases"), *one;
    size_t  i;
    int     wrong = 0;
    assert_true(json_array_size(cases) > 1500);
    json_array_foreach(cases, i, one) {
        size_t        f = (size_t)json_integer_value(json_array_get(one, 0));
        const json_t *text = json_array_get(one, 1), *expected = json_array_get(one, 2);
        const char   *p = json_string_value(text);
        size_t        len = json_string_length(text);
        int           n = tokenizer_encode(form[f], p, len, ids, IDS_MAX);
        bool          same = (size_t)n == json_array_size(expected);
        for (int k = 0; k < n && same; k++) same = ids[k] == json_integer_value(json_array_get(expected, (size_t)k));
        if (!same) {
            char *e = json_dumps(expected, JSON_COMPACT);
            print_error("form %zu: \"%.60s\" should be %.200s, is [", f, p, e);
            for (int k = 0; k < n && k < 30; k++) print_error("%d,", ids[k]);
            print_error("]\n");
            free(e);
            wrong++;
        }
        assert_int_equal(tokenizer_spans(form[f], p, len, at, IDS_MAX), n - 2);
        for (int k = 0; k < n - 2; k++) assert_true(is_boundary(p, len, at[k]) && (k == 0 || at[k] >= at[k - 1]));
    }
    assert_int_equal(wrong, 0);
}

static void in_plain_text_spans_begin_where_the_library_says(void **s)
{
    (void)s;
    static uint32_t at[IDS_MAX];
    json_t *cases = json_object_get(fixture, "cases"), *one;
    size_t  i;
    int     compared = 0;
    json_array_foreach(cases, i, one) {
        const char *p = json_string_value(json_array_get(one, 1));
        size_t      len = strlen(p), ascii = 0;
        while (ascii < len && p[ascii] >= ' ' && p[ascii] < 0x7f) ascii++;
        if (ascii < len || strstr(p, " <mask>") || json_integer_value(json_array_get(one, 0)) != 0) continue;
        int n = tokenizer_spans(form[0], p, len, at, IDS_MAX);
        for (int k = 0; k < n; k++) assert_int_equal(at[k], json_integer_value(json_array_get(json_array_get(one, 3), (size_t)k)));
        compared++;
    }
    assert_true(compared > 20);
}

static void the_frame_is_what_the_template_says(void **s)
{
    (void)s;
    struct tokenizer_frame f = tokenizer_frame(form[0]);
    assert_int_equal(f.begin, 0);
    assert_int_equal(f.end, 2);
    assert_int_equal(f.between_count, 2);
    assert_int_equal(f.between[0], 2);
    assert_string_equal(tokenizer_kind(form[0]), "Unigram");
    assert_int_equal(tokenizer_size(form[0]), 675);
}

static void the_limit_cuts_and_reading_stops(void **s)
{
    (void)s;
    int32_t few[16], many[16];
    size_t  n = 32u << 20;
    char   *book = malloc(n);
    for (size_t i = 0; i < n; i++) book[i] = "squats and sleep "[i % 17];
    assert_int_equal(tokenizer_encode(form[0], book, n, many, 16), 16);
    assert_int_equal(tokenizer_encode(form[0], book, 400, few, 16), 16);
    assert_memory_equal(few, many, sizeof few);
    assert_int_equal(tokenizer_encode(form[0], book, n, few, 2), 2);
    memset(book, 'a', n);
    assert_int_equal(tokenizer_encode(form[0], book, n, many, 16), 16);
    free(book);
}

static void bytes_that_are_not_utf8_are_passed_over(void **s)
{
    (void)s;
    int32_t a[32], b[32];
    int     n = tokenizer_encode(form[0], "sle\xff" "ep \xc3(\xed\xa0\x80 now\xe2\x82", 17, a, 32);
    assert_int_equal(n, tokenizer_encode(form[0], "sleep ( now", 11, b, 32));
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

/* ---- what a damaged tokenizer.json gets ---- */

static void refused(json_t *o, const char *words)
{
    struct tokenizer *t = NULL;
    call_forgive(&c);
    enum err e = read_value(o, &t);
    if (e != ERR_CORRUPT || !strstr(c.err_text, words)) print_error("%d \"%s\" lacks \"%s\"\n", (int)e, c.err_text, words);
    assert_int_equal(e, ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, words));
    assert_null(t);
    call_forgive(&c);
}

/* The good one with the value at a path, of keys and indexes, replaced by JSON text. */
static json_t *with(const char *path, const char *value)
{
    json_t *o = made(0), *at = o;
    char    key[64];
    for (;;) {
        size_t n = strcspn(path, "/");
        assert_true(n < sizeof key);
        memcpy(key, path, n);
        key[n] = 0;
        bool last = !path[n];
        path += n + 1;
        json_t *v = last ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
        if (json_is_array(at) && last) json_array_set_new(at, strtoul(key, NULL, 10), v);
        else if (last) json_object_set_new(at, key, v);
        else at = json_is_array(at) ? json_array_get(at, strtoul(key, NULL, 10)) : json_object_get(at, key);
        if (last) return o;
        assert_non_null(at);
    }
}

static void what_cannot_be_done_as_it_says_is_refused_by_name(void **s)
{
    (void)s;
    static const struct {
        const char *path, *value, *words;
    } rows[] = {
        { "model/type", "\"BPE\"", "BPE" },
        { "model/vocab", "{}", "vocab" },
        { "model/vocab", "[]", "vocab" },
        { "model/vocab/7", "[\"<s>\", -1]", "twice, first as 0" },
        { "model/vocab/7", "[\"a\", \"b\"]", "piece 7" },
        { "model/vocab/7", "\"a\"", "piece 7" },
        { "model/vocab/0", "[\"other\", 0]", "added token <s>" },
        { "model/unk_id", "null", "unk_id" },
        { "model/unk_id", "100000", "unk_id" },
        { "added_tokens/0/id", "-1", "added token 0" },
        { "added_tokens/0/content", "\"\"", "added token 0" },
        { "added_tokens/4/id", "5", "<mask>" },
        { "added_tokens/4/single_word", "true", "single words" },
        { "normalizer", "{\"type\":\"ByteLevel\"}", "ByteLevel" },
        { "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"**\"}", "base64" },
        { "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":null}", "base64" },
        { "normalizer", "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"AAAAAAAAAAAAAAAA\"}", "does not fit" },
        { "normalizer", "{\"type\":\"Replace\",\"pattern\":{\"String\":\"a\"},\"content\":\"b\"}", "Replace" },
        { "pre_tokenizer", "null", "pre-tokenizer" },
        { "pre_tokenizer", "{\"type\":\"ByteLevel\"}", "ByteLevel" },
        { "pre_tokenizer", "{\"type\":\"WhitespaceSplit\"}", "Metaspace" },
        { "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"_\"}", "U+2581" },
        { "pre_tokenizer", "{\"type\":\"Metaspace\",\"prepend_scheme\":\"sometimes\"}", "sometimes" },
        { "post_processor", "null", "post-processor" },
        { "post_processor", "{\"type\":\"TemplateProcessing\",\"single\":[],\"pair\":[]}", "TemplateProcessing" },
        { "post_processor", "{\"type\":\"RobertaProcessing\",\"sep\":[\"</x>\",2],\"cls\":[\"<s>\",0]}", "not in the vocabulary" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refused(with(rows[i].path, rows[i].value), rows[i].words);
    char long_piece[400];
    snprintf(long_piece, sizeof long_piece, "[\"%0300d\", -1]", 1);
    refused(with("model/vocab/7", long_piece), "300 bytes, at most 255");
    struct tokenizer *t = NULL;
    assert_int_equal(tokenizer_read(&c, "{\"model\":", 9, &t), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "tokenizer.json: not valid JSON, line 1"));
    call_forgive(&c);
}

static void a_piece_without_its_bytes_cannot_fall_back_to_them(void **s)
{
    (void)s;
    json_t *o = made(1), *vocab = json_object_get(json_object_get(o, "model"), "vocab");
    json_array_remove(vocab, json_array_size(vocab) - 1);
    refused(o, "<0xFF>");
}

static void the_other_post_processors_frame_pairs_as_they_do(void **s)
{
    (void)s;
    static const char *const names[] = { "BertProcessing", "RobertaProcessing" };
    for (int i = 0; i < 2; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"type\":\"%s\",\"sep\":[\"</s>\",2],\"cls\":[\"<s>\",0]}", names[i]);
        struct tokenizer *t = NULL;
        assert_int_equal(read_value(with("post_processor", text), &t), OK);
        struct tokenizer_frame f = tokenizer_frame(t);
        assert_int_equal(f.between_count, i + 1);
        assert_int_equal(f.between[0], 2);
        tokenizer_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kept_case_has_the_librarys_ids),
        cmocka_unit_test(in_plain_text_spans_begin_where_the_library_says),
        cmocka_unit_test(the_frame_is_what_the_template_says),
        cmocka_unit_test(the_limit_cuts_and_reading_stops),
        cmocka_unit_test(bytes_that_are_not_utf8_are_passed_over),
        cmocka_unit_test(what_cannot_be_done_as_it_says_is_refused_by_name),
        cmocka_unit_test(a_piece_without_its_bytes_cannot_fall_back_to_them),
        cmocka_unit_test(the_other_post_processors_frame_pairs_as_they_do),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
