/* Numbers of a sentence against numbers of a passage. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "coaching/check.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static const char *read(const char *text)
{
    static char out[512];
    struct number v[32];
    int n = numbers_read(text, strlen(text), v, 32);
    out[0] = '\0';
    for (int i = 0; i < n; i++) {
        size_t at = strlen(out);
        snprintf(out + at, sizeof out - at, "%s%s%s%s", i ? " " : "", v[i].digits, v[i].unit[0] ? ":" : "", v[i].unit);
    }
    return out;
}

static bool within(const char *a, const char *b)
{
    struct number x[32], y[32];
    int n = numbers_read(a, strlen(a), x, 32), m = numbers_read(b, strlen(b), y, 32);
    return numbers_within(x, n, y, m);
}

static void digits_words_and_units_are_read_alike(void **state)
{
    (void)state;
    assert_string_equal(read("3 sets of 8-12 reps"), "3:set 8:rep 12:rep");
    assert_string_equal(read("three sets of eight to twelve"), "3:set 8 12");
    assert_string_equal(read("7,000 steps or 7.000 pasos"), "7000 7000");
    assert_string_equal(read("2,5 kg, 2.5 kg and 1.6 grams"), "2.5:kg 2.5:kg 1.6:g");
    assert_string_equal(read("rest 90 seconds, 40% more"), "90:s 40:%");
    assert_string_equal(read("dos veces, doce semanas"), "2 12:week");
    assert_string_equal(read("nothing here; once upon"), "11");      /* the price of reading Spanish and English at once */
    assert_string_equal(read("2. Stand tall for 5 minutes"), "5:min");
    assert_string_equal(read("007"), "7");
    assert_string_equal(read(""), "");
}

static void a_number_must_stand_in_the_passage_with_the_same_unit(void **state)
{
    (void)state;
    assert_true(within("Train 3 times a week.", "Three sessions a week are enough."));
    assert_false(within("Train 4 times a week.", "Three sessions a week are enough."));
    assert_false(within("Do it for 3 weeks.", "Do 3 sets."));
    assert_true(within("Do 3 of them.", "Do 3 sets."));
    assert_false(within("Take 5 kg.", "Take 5 lb."));
    assert_true(within("No number at all.", ""));
}

static void a_text_of_numbers_only_stays_within_its_maximum(void **state)
{
    (void)state;
    struct number v[4];
    assert_int_equal(numbers_read("1 2 3 4 5 6 7", 13, v, 4), 4);
    char many[400];
    memset(many, '9', sizeof many);
    assert_int_equal(numbers_read(many, sizeof many, v, 4), 1);
    assert_int_equal(strlen(v[0].digits), sizeof v[0].digits - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_words_and_units_are_read_alike),
        cmocka_unit_test(a_number_must_stand_in_the_passage_with_the_same_unit),
        cmocka_unit_test(a_text_of_numbers_only_stays_within_its_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
