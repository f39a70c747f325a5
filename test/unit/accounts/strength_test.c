/* How strong a password must be (CRE-013): what is refused, what passes, and what the person is told. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/strength.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

static const char *const ann[] = { "ann.gray@example.com", "Ann Gray", NULL };

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

static void refused(const char *password, const char *because)
{
    call_forgive(&c);
    if (strength_check(&c, "password", password, ann) != ERR_INVALID) fail_msg("\"%s\" passes", password);
    assert_string_equal(c.err_field, "password");
    if (!strstr(c.err_text, because)) fail_msg("\"%s\": %s", password, c.err_text);
    if (strcmp(password, "password") && strstr(c.err_text, password)) fail_msg("the refusal repeats \"%s\"", password);
}

static void passes(const char *password)
{
    call_forgive(&c);
    if (strength_check(&c, "password", password, ann)) fail_msg("\"%s\": %s", password, c.err_text);
}

static void passwords_of_many_people_are_refused_CRE_013(void **state)
{
    (void)state;
    const char *const used[] = { "password", "Password", "PASSWORD1", "P@ssw0rd", "p455w0rd!", "Password123", "drowssap", "iloveyou",
                                 "Iloveyou1", "letmein123", "Welcome1!", "admin123", "Admin2024", "sunshine1", "princess", "monkey123",
                                 "Summer2026!", "football1", "trustno1", "superman", "changeme", "contraseña", "dragonking" };
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) refused(used[i], "words that are in many");
}

static void rows_of_keys_and_runs_are_refused_CRE_013(void **state)
{
    (void)state;
    const char *const rows[] = { "12345678", "123456789", "1234567890", "87654321", "abcdefgh", "ABCDEFGH", "zyxwvuts", "qwertyuiop",
                                 "asdfghjkl", "1qaz2wsx", "1q2w3e4r", "qwertyui", "poiuytrewq", "!@#$%^&*" };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refused(rows[i], "easily guessed");
    refused("12345678", "row of keys");
    refused("abcdefgh", "row of keys");
}

static void one_thing_repeated_is_refused_however_long_CRE_013(void **state)
{
    (void)state;
    refused("aaaaaaaa", "repeated");
    refused("abababababab", "repeated");
    refused("xyxyxyxy", "repeated");
    refused("7777777777777777777777777777777777777777", "repeated");
    refused("passwordpassword", "easily guessed");
    refused("ßßßßßßßß", "repeated");
}

static void ones_own_name_and_address_are_refused_CRE_013(void **state)
{
    (void)state;
    refused("anngray1", "your own name");
    refused("AnnGray!!", "your own name");
    refused("ann.gray@example.com", "your own name");
    refused("example.com", "your own name");
    refused("yarganna", "easily guessed");
}

static void dates_are_refused_CRE_013(void **state)
{
    (void)state;
    refused("19871231", "a date");
    refused("31121987", "a date");
    refused("12311987", "a date");
}

static void wide_letters_are_letters(void **state)
{
    (void)state;
    refused("ｐａｓｓｗｏｒｄ", "words that are in many");
}

static void too_short_too_long_and_controls_say_so_CRE_013(void **state)
{
    (void)state;
    char text[LIMIT_PASSWORD_BYTES + 2];
    refused("x7!kQ2", "at least 8");
    refused("日本語", "at least 8");   /* nine bytes, three letters */
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = (char)('a' + i * 7 % 26);
    text[sizeof text - 1] = '\0';
    refused(text, "257 bytes; the limit is 256");
    text[LIMIT_PASSWORD_BYTES] = '\0';
    passes(text);
    refused("tab\tinside it 9Kp", "control");
}

static void good_passwords_and_phrases_pass_CRE_013(void **state)
{
    (void)state;
    const char *const good[] = { "SecurePass123!",   /* the catalogue's own example */
                                 "correct horse battery staple", "x7!kQ2pz", "Tr0ub4dor&3", "my dog eats blue cheese", "mi perro come queso",
                                 "пароль у меня длинный", "私の犬は青いチーズを食べる", "🦊🐢🌵🎈🧊🪁🥥🚲", "ann gray rides a violet bicycle", "83620194kv" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) passes(good[i]);
}

static void the_longest_password_is_measured_too(void **state)
{
    (void)state;
    char text[LIMIT_PASSWORD_BYTES + 1];
    enum strength_kind kind;
    for (size_t i = 0; i < LIMIT_PASSWORD_BYTES; i++) text[i] = "abc123"[i * i % 6];
    text[LIMIT_PASSWORD_BYTES] = '\0';
    double whole = strength_bits(text, ann, &kind);
    text[LIMIT_PASSWORD_BYTES / 2] = '\0';
    assert_true(whole > 0 && strength_bits(text, ann, &kind) <= whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_of_many_people_are_refused_CRE_013),
        cmocka_unit_test(rows_of_keys_and_runs_are_refused_CRE_013),
        cmocka_unit_test(one_thing_repeated_is_refused_however_long_CRE_013),
        cmocka_unit_test(ones_own_name_and_address_are_refused_CRE_013),
        cmocka_unit_test(dates_are_refused_CRE_013),
        cmocka_unit_test(wide_letters_are_letters),
        cmocka_unit_test(too_short_too_long_and_controls_say_so_CRE_013),
        cmocka_unit_test(good_passwords_and_phrases_pass_CRE_013),
        cmocka_unit_test(the_longest_password_is_measured_too),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
