/* Addresses and names as they come in (CRE-008): one form to compare, nothing lost of a name, clear words for what cannot be. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/identity.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

static struct call c;

static int begin(void **state)
{
    (void)state;
    call_init(&c);
    return 0;
}

static int end(void **state)
{
    (void)state;
    call_dispose(&c);
    return 0;
}

static void email_is(const char *text, const char *want)
{
    const char *got = NULL;
    call_forgive(&c);
    if (identity_email(&c, "email", text, &got)) fail_msg("\"%s\": %s", text, c.err_text);
    assert_string_equal(got, want);
}

static void email_refused(const char *text, const char *because)
{
    const char *got = "untouched";
    call_forgive(&c);
    if (identity_email(&c, "email", text, &got) != ERR_INVALID) fail_msg("\"%s\" is taken", text);
    assert_string_equal(c.err_field, "email");
    if (!strstr(c.err_text, because)) fail_msg("\"%s\": %s", text, c.err_text);
    assert_string_equal(got, "untouched");
}

static void an_address_is_compared_in_one_form_CRE_008(void **state)
{
    (void)state;
    email_is("creator@example.com", "creator@example.com");
    email_is("  Ann.Gray+gym@Example.COM\n", "ann.gray+gym@example.com");
    email_is("ANN@MÜNCHEN.de", "ann@münchen.de");
    email_is("ann@mu\xcc\x88nchen.de", "ann@münchen.de");
    email_is("用户@例子.公司", "用户@例子.公司");
    email_is("o'brien@localhost", "o'brien@localhost");
}

static void what_is_no_address_is_refused_CRE_008(void **state)
{
    (void)state;
    static const char *const bad[] = { "ann", "@", "@example.com", "ann@", "a@b@example.com", "ann@example", "ann@.com", "ann@example..com",
                                       ".ann@example.com", "ann.@example.com", "a..b@example.com", "ann gray@example.com", "ann@exam ple.com",
                                       "ann@-example.com", "ann@example-.com", "ann@exa_mple.com", "<ann@example.com>", "\"ann\"@example.com",
                                       "ann@example.com,bob@example.com", "ann@[127.0.0.1]" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) email_refused(bad[i], "email");
    email_refused("", "empty");
    email_refused("   ", "empty");
    email_refused("ann@example.com\r\nBcc: all@example.com", "U+000D");
    email_refused("ann\x01@example.com", "U+0001");
    email_refused("ann\xe2\x80\xae@example.com", "U+202E");
    email_refused("ann\xe2\x80\x8b@example.com", "U+200B");
    email_refused("ann\xff@example.com", "UTF-8");
}

static void an_address_of_ten_kilobytes_hears_the_limit_CRE_008(void **state)
{
    (void)state;
    char long_one[10241];
    memset(long_one, 'a', sizeof long_one);
    memcpy(long_one + sizeof long_one - 13, "@example.com", 13);
    email_refused(long_one, "at most 254");
    char local[90] = { 0 };
    memset(local, 'a', 65);
    strncat(local, "@example.com", sizeof local - 66);
    email_refused(local, "before the @");
}

static void a_name_is_kept_as_it_is_in_any_script(void **state)
{
    (void)state;
    static const char *const good[] = { "Test Creator", "محمد العربي", "יעל כהן", "李小龍", "Zoë 🏋️‍♀️🔥", "O'Brien-Łukasz", " two  spaces ", "ירושלים\xe2\x80\x8f!" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const char *got = NULL;
        call_forgive(&c);
        if (identity_name(&c, "full_name", good[i], &got)) fail_msg("%s: %s", good[i], c.err_text);
        assert_string_equal(got, good[i]);
    }
}

static void a_name_that_writes_outside_of_itself_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "   ", "\xe2\x80\x8d", "Ann\nadmin", "Ann\x7f", "Ann\x1b[31m", "Ann \xe2\x80\xae nnA", "a\xe2\x80\xa8" "b", "\xc3(" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *got = NULL;
        call_forgive(&c);
        assert_int_equal(identity_name(&c, "full_name", bad[i], &got), ERR_INVALID);
        assert_string_equal(c.err_field, "full_name");
        assert_null(got);
    }
    char text[LIMIT_NAME_BYTES + 2];
    memset(text, 'n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *got = NULL;
    assert_int_equal(identity_name(&c, "full_name", text, &got), ERR_INVALID);
    text[LIMIT_NAME_BYTES] = '\0';
    assert_int_equal(identity_name(&c, "full_name", text, &got), OK);
}

static void a_creators_id_comes_from_its_name(void **state)
{
    (void)state;
    assert_string_equal(identity_slug(&c, "Ann's Gym & Bar"), "ann-s-gym-bar");
    assert_string_equal(identity_slug(&c, "  Zoë Müller "), "zoe-muller");
    assert_string_equal(identity_slug(&c, "../../etc/passwd"), "etc-passwd");
    assert_string_equal(identity_slug(&c, "محمد"), "");
    assert_string_equal(identity_slug(&c, "🏋️"), "");
    char text[201];
    memset(text, 'x', sizeof text - 1);
    text[200] = '\0';
    assert_int_equal(strlen(identity_slug(&c, text)), 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_is_compared_in_one_form_CRE_008),
        cmocka_unit_test(what_is_no_address_is_refused_CRE_008),
        cmocka_unit_test(an_address_of_ten_kilobytes_hears_the_limit_CRE_008),
        cmocka_unit_test(a_name_is_kept_as_it_is_in_any_script),
        cmocka_unit_test(a_name_that_writes_outside_of_itself_is_refused),
        cmocka_unit_test(a_creators_id_comes_from_its_name),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
