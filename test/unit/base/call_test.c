/* The context: first words win, deadlines and stop flags end work, stages are timed; and the clocks. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <string.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/metric.h"

static void the_first_words_of_an_error_stay(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    assert_int_equal(fail(&c, ERR_IO, "disk %d\nfull", 7), ERR_IO);
    assert_int_equal(fail(&c, ERR_INTERNAL, "later"), ERR_INTERNAL);
    assert_string_equal(c.err_text, "disk 7 full");
    assert_int_equal(c.err, ERR_IO);
    assert_int_equal(fail_field(&c, "later", "x"), ERR_INVALID);
    assert_string_equal(c.err_field, "");
    call_forgive(&c);
    assert_int_equal(fail_field(&c, "candidates[3]", "too long"), ERR_INVALID);
    assert_string_equal(c.err_field, "candidates[3]");
    char longer[900];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    call_forgive(&c);
    fail(&c, ERR_IO, "%s", longer);
    assert_int_equal(strlen(c.err_text), sizeof c.err_text - 1);
    call_dispose(&c);
}

static void every_error_has_its_word(void **state)
{
    (void)state;
    for (int a = 0; a < ERR_COUNT; a++) {
        assert_true(err_word((enum err)a)[0] != 0);
        for (int b = 0; b < a; b++) assert_string_not_equal(err_word((enum err)a), err_word((enum err)b));
    }
    assert_string_equal(err_word(ERR_NOT_FOUND), "not_found");
    assert_string_equal(err_word((enum err)99), "unknown");
}

static void work_ends_at_the_deadline_and_with_the_client(void **state)
{
    (void)state;
    struct call c;
    atomic_bool gone = false;
    call_init(&c);
    assert_int_equal(call_check(&c), OK);
    assert_int_equal(call_left_ms(&c, 500), 500);
    c.deadline_ms = clock_mono_ms() + 1000;
    assert_int_equal(call_check(&c), OK);
    assert_int_equal(call_left_ms(&c, 10), 10);
    assert_in_range(call_left_ms(&c, 5000), 1, 1000);
    c.deadline_ms = clock_mono_ms() - 1;
    assert_int_equal(call_left_ms(&c, 5000), 0);
    assert_int_equal(call_check(&c), ERR_TIMEOUT);
    call_forgive(&c);
    c.stop = &gone;
    atomic_store(&gone, true);
    assert_int_equal(call_check(&c), ERR_CANCELLED);
    call_dispose(&c);
}

static void stages_are_timed_and_too_many_do_no_harm(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    int first = span_begin(&c, "embed");
    assert_int_equal(c.spans[first].took_us, -1);
    span_end(&c, first);
    assert_true(c.spans[first].took_us >= 0);
    for (int i = 0; i < SPANS_MAX + 3; i++) span_end(&c, span_begin(&c, "search"));
    assert_int_equal(c.span_count, SPANS_MAX);
    assert_true(c.spans_full);
    call_dispose(&c);
}

static void a_stage_has_its_own_bound_inside_the_calls(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    int64_t outer = call_stage_begin(&c, CALL_RERANK, 50);
    assert_int_equal(outer, 0);
    assert_int_equal(c.deadline_ms, 0);           /* neither has a bound */
    call_stage_end(&c, outer);
    c.stage_ms[CALL_RERANK] = 1000;
    outer = call_stage_begin(&c, CALL_RERANK, 0);
    assert_in_range(call_left_ms(&c, 100000), 900, 1000);
    call_stage_end(&c, outer);
    assert_int_equal(c.deadline_ms, 0);
    c.deadline_ms = clock_mono_ms() + 500;        /* the call's end comes before the stage's */
    outer = call_stage_begin(&c, CALL_RERANK, 100);
    assert_in_range(call_left_ms(&c, 100000), 300, 400);
    call_stage_end(&c, outer);
    assert_in_range(call_left_ms(&c, 100000), 400, 500);
    outer = call_stage_begin(&c, CALL_GENERATE, 1000000000);   /* more kept back than there is: nothing is left */
    assert_int_equal(call_left_ms(&c, 100000), 0);
    call_stage_end(&c, outer);
    call_dispose(&c);
}

static void steps_down_are_kept_once_and_counted(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    double before = metric_read("chiron_degraded_total", "stage=\"rerank\",to=\"first-stage order\"");
    call_degrade(&c, "rerank", "first-stage order", "no time");
    call_degrade(&c, "rerank", "first-stage order", "no time");
    call_degrade(&c, "generate", "extractive", "no time");
    assert_int_equal(c.degrade_count, 2);
    assert_string_equal(c.degrades[0].stage, "rerank");
    assert_string_equal(c.degrades[1].to, "extractive");
    assert_true(metric_read("chiron_degraded_total", "stage=\"rerank\",to=\"first-stage order\"") == before + 1);
    static const char *const to[] = { "0", "1", "2", "3", "4", "5", "6", "7", "8", "9" };
    for (int i = 0; i < 10; i++) call_degrade(&c, "many", to[i], "test");
    assert_int_equal(c.degrade_count, DEGRADES_MAX);
    call_dispose(&c);
}

static void times_are_written_as_iso_8601_utc(void **state)
{
    (void)state;
    char out[25];
    assert_string_equal(clock_iso(0, out), "1970-01-01T00:00:00.000Z");
    assert_string_equal(clock_iso(1769846400123, out), "2026-01-31T08:00:00.123Z");
    assert_string_equal(clock_iso(-1, out), "1969-12-31T23:59:59.999Z");
    assert_string_equal(clock_iso(951782400000, out), "2000-02-29T00:00:00.000Z");
    assert_string_equal(clock_iso(INT64_MAX, out), "9999-12-31T23:59:59.999Z");
    assert_string_equal(clock_iso(INT64_MIN, out), "0001-01-01T00:00:00.000Z");
    int64_t a = clock_mono_us(), b = clock_mono_us();
    assert_true(b >= a);
    assert_true(clock_unix_ms() > 1700000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_words_of_an_error_stay),
        cmocka_unit_test(every_error_has_its_word),
        cmocka_unit_test(work_ends_at_the_deadline_and_with_the_client),
        cmocka_unit_test(stages_are_timed_and_too_many_do_no_harm),
        cmocka_unit_test(a_stage_has_its_own_bound_inside_the_calls),
        cmocka_unit_test(steps_down_are_kept_once_and_counted),
        cmocka_unit_test(times_are_written_as_iso_8601_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
