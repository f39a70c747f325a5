/* Which messages are small talk and nothing else. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "coaching/smalltalk.h"

#include <cmocka.h>
#include <string.h>

static const char *language;

static const char *kind(const char *message)
{
    return smalltalk_kind(message, strlen(message), "Elena Mar\xc3\xadn", &language);
}

static void a_whole_message_of_small_talk_has_its_kind(void **state)
{
    (void)state;
    assert_string_equal(kind("Hello!"), "hello");
    assert_string_equal(kind("hi Elena"), "hello");
    assert_string_equal(kind("Hey, how are you?"), "hello");
    assert_string_equal(kind("Thank you so much!!"), "thanks");
    assert_string_equal(kind("who are you?"), "who");
    assert_string_equal(kind("Hello, what can you do?"), "can");
    assert_string_equal(kind("What\xe2\x80\x99s your name?"), "who");
    assert_string_equal(kind("thanks, bye"), "thanks");
    assert_string_equal(language, "en");
}

static void spanish_is_known_with_and_without_its_accents(void **state)
{
    (void)state;
    assert_string_equal(kind("\xc2\xa1Hola, Mar\xc3\xadn!"), "hello");
    assert_string_equal(kind("\xc2\xbfQui\xc3\xa9n eres?"), "who");
    assert_string_equal(kind("QUIEN ERES"), "who");
    assert_string_equal(kind("muchas gracias"), "thanks");
    assert_string_equal(language, "es");
}

static void one_word_more_is_a_question(void **state)
{
    (void)state;
    language = "unchanged";
    assert_null(kind("Hello, how long should I sleep?"));
    assert_null(kind("thanks for nothing"));
    assert_null(kind("who are you training"));
    assert_null(kind("highlights"));
    assert_null(kind("Elena"));
    assert_null(kind("coach"));
    assert_null(kind("???"));
    assert_null(kind(""));
    assert_null(kind("hi 2"));
    assert_string_equal(language, "unchanged");
}

static void any_bytes_and_any_length_are_read_safely(void **state)
{
    (void)state;
    char many[400];
    language = "";
    memset(many, 'a', sizeof many);
    assert_null(smalltalk_kind(many, sizeof many, "", &language));
    assert_null(smalltalk_kind("\xc3", 1, "", &language));
    assert_null(smalltalk_kind("\xe2\x80", 2, "", &language));
    assert_null(smalltalk_kind("hi\0hi", 5, "", &language));
    assert_null(smalltalk_kind("hi\xc2", 3, "", &language));
    for (int i = 0; i < 30; i++) memcpy(many + 3 * i, "hi ", 3);
    assert_string_equal(smalltalk_kind(many, 90, "", &language), "hello");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_message_of_small_talk_has_its_kind),
        cmocka_unit_test(spanish_is_known_with_and_without_its_accents),
        cmocka_unit_test(one_word_more_is_a_question),
        cmocka_unit_test(any_bytes_and_any_length_are_read_safely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
