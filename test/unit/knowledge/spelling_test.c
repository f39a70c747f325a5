/* What counts as a slip of the keys, and what is another word. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/spelling.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static int slips(const char *typed, const char *meant, int most)
{
    return spelling_slips(typed, strlen(typed), meant, strlen(meant), most);
}

static void a_letter_left_out_swapped_doubled_or_beside_is_one_slip(void **s)
{
    (void)s;
    assert_int_equal(slips("protein", "protein", 1), 0);
    assert_int_equal(slips("sqat", "squat", 1), 1);
    assert_int_equal(slips("protien", "protein", 1), 1);
    assert_int_equal(slips("sleeep", "sleep", 1), 1);
    assert_int_equal(slips("slerp", "sleep", 1), 1);
}

static void a_sound_written_wrong_is_a_slip_in_a_longer_word(void **s)
{
    (void)s;
    assert_int_equal(slips("seperate", "separate", 1), 1);
    assert_int_equal(slips("exercize", "exercise", 1), 1);
    assert_int_equal(slips("bed", "bad", 1), 2);
}

static void another_word_is_no_slip_however_near(void **s)
{
    (void)s;
    assert_int_equal(slips("bake", "base", 1), 2);
    assert_int_equal(slips("carb", "care", 1), 2);
    assert_int_equal(slips("splint", "split", 1), 2);
    assert_int_equal(slips("", "a", 0), 1);
    assert_int_equal(slips("a", "", 2), 3);
}

static void two_slips_are_counted_and_no_more_than_asked_for(void **s)
{
    (void)s;
    assert_int_equal(slips("ketlebel", "kettlebell", 2), 2);
    assert_int_equal(slips("ketlebel", "kettlebell", 1), 2);
    assert_int_equal(slips("brkfst", "breakfast", 2), 3);
    assert_int_equal(slips("recovrey", "recovery", 2), 1);
    char longest[60];
    memset(longest, 'a', sizeof longest);
    assert_int_equal(spelling_slips(longest, 48, longest, 47, 2), 1);
    assert_int_equal(spelling_slips(longest, 49, longest, 49, 2), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_letter_left_out_swapped_doubled_or_beside_is_one_slip),
        cmocka_unit_test(a_sound_written_wrong_is_a_slip_in_a_longer_word),
        cmocka_unit_test(another_word_is_no_slip_however_near),
        cmocka_unit_test(two_slips_are_counted_and_no_more_than_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
