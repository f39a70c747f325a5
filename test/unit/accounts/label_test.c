/* Names and addresses from outside: kept as written in every script, compared in one form, refused when they could make a line say
 * something else. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#undef fail
#include "accounts/email.h"
#include "accounts/label.h"

static struct call c;

static int begin(void **s)
{
    (void)s;
    call_init(&c);
    return 0;
}

static int end(void **s)
{
    (void)s;
    call_dispose(&c);
    return 0;
}

static void keeps(const char *text, const char *want)
{
    const char *out = NULL;
    assert_int_equal(label_check(&c, "name", text, LIMIT_NAME_BYTES, &out), OK);
    assert_string_equal(out, want);
}

static void refuses(const char *text)
{
    const char *out = "untouched";
    assert_int_equal(label_check(&c, "name", text, LIMIT_NAME_BYTES, &out), ERR_INVALID);
    assert_string_equal(c.err_field, "name");
    assert_string_equal(out, "untouched");
    call_forgive(&c);
}

static void names_of_every_script_and_emoji_stay_byte_for_byte(void **s)
{
    (void)s;
    keeps("Ann", "Ann");
    keeps("  שלום כהן \xe2\x80\x8f ", "שלום כהן \xe2\x80\x8f");   /* a right-to-left mark is part of the text */
    keeps("مریم ۲", "مریم ۲");
    keeps("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 Zoé", "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x9a\x80 Zoé");   /* a joined emoji */
    keeps("e\xcc\x81", "e\xcc\x81");
    keeps("<script>'; DROP TABLE person;--", "<script>'; DROP TABLE person;--");
    keeps(" \xe2\x80\x83 ", "");
}

static void what_changes_the_reading_of_its_surroundings_is_refused(void **s)
{
    (void)s;
    refuses("a\nb");
    refuses("a\x1b[2Jb");
    refuses("a\x7f");
    refuses("a\xc2\x85z");                 /* a control beyond ASCII */
    refuses("a\xe2\x80\xa8z");             /* line separator */
    refuses("a\xe2\x80\xaez");             /* right-to-left override */
    refuses("a\xe2\x81\xa6z");             /* isolate */
    refuses("a\xef\xbb\xbfz");             /* byte order mark inside */
    refuses("a\xc0\xafz");                 /* no UTF-8 */
    refuses("\xed\xa0\x80");               /* half of a pair */
}

static void a_name_over_its_bound_is_refused_at_the_byte(void **s)
{
    (void)s;
    char text[LIMIT_NAME_BYTES + 2];
    memset(text, 'n', sizeof text);
    text[LIMIT_NAME_BYTES] = '\0';
    keeps(text, text);
    text[LIMIT_NAME_BYTES] = 'n';
    text[LIMIT_NAME_BYTES + 1] = '\0';
    refuses(text);
}

static void a_search_finds_whatever_the_case_and_the_accents(void **s)
{
    (void)s;
    assert_string_equal(label_fold(&c, "JOSÉ Ñandú"), label_fold(&c, "jose nandu"));
    assert_string_equal(label_fold(&c, "STRASSE"), label_fold(&c, "straße"));
    assert_string_equal(label_fold(&c, "ΣΊΣΥΦΟΣ"), label_fold(&c, "σισυφος"));
    assert_string_equal(label_fold(&c, "\xff"), "");
}

static void one_address_has_one_form(void **s)
{
    (void)s;
    static const char *const pairs[][2] = {
        { " Ann@Example.COM ", "ann@example.com" },      { "a.b+c@x.io", "a.b+c@x.io" },
        { "José@ejemplo.es", "josé@ejemplo.es" },        { "Jose\xcc\x81@ejemplo.es", "josé@ejemplo.es" },
        { "ann@BÜCHER.example", "ann@bücher.example" },  { "o'neil@x-y.example", "o'neil@x-y.example" },
        { "\xef\xbc\xa1nn@example.com", "ann@example.com" },   /* a full-width letter is the letter */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *out = NULL;
        assert_int_equal(email_check(&c, "email", pairs[i][0], &out), OK);
        assert_string_equal(out, pairs[i][1]);
    }
}

static void what_is_no_address_is_refused(void **s)
{
    (void)s;
    static const char *const bad[] = { "",          "ann",           "@x.io",         "ann@",           "a@b@c.io",   "a b@x.io",
                                       "a@x y.io",  "ann@x..io",     "ann@.io",       "ann@x.io.",      ".a@x.io",    "a..b@x.io",
                                       "a@-x.io",   "a@x-.io",       "a@x_y.io",      "\"a\"@x.io",     "<a@x.io>",   "a@x.io,b@x.io",
                                       "a@x.io\nBcc: b@x.io",        "a\r@x.io",      "a@x.io\xe2\x80\xae", "a@[1.2.3.4]", "a@com", "a(b)@x.io",
                                       "a\xef\xbc\xa0" "b@x.io" };   /* a full-width at sign folds into a second @ */
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *out = NULL;
        assert_int_equal(email_check(&c, "email", bad[i], &out), ERR_INVALID);
        assert_null(out);
        assert_string_equal(c.err_field, "email");
        call_forgive(&c);
    }
}

static void an_address_of_ten_kilobytes_hears_what_the_limit_is(void **s)
{
    (void)s;
    char *text = malloc(10001);
    assert_non_null(text);
    memset(text, 'a', 10000);
    memcpy(text + 9980, "@example.com", 13);
    const char *out = NULL;
    assert_int_equal(email_check(&c, "email", text, &out), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "254"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_of_every_script_and_emoji_stay_byte_for_byte, begin, end),
        cmocka_unit_test_setup_teardown(what_changes_the_reading_of_its_surroundings_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_name_over_its_bound_is_refused_at_the_byte, begin, end),
        cmocka_unit_test_setup_teardown(a_search_finds_whatever_the_case_and_the_accents, begin, end),
        cmocka_unit_test_setup_teardown(one_address_has_one_form, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_address_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(an_address_of_ten_kilobytes_hears_what_the_limit_is, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
