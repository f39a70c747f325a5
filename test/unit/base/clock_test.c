/* Times as they are written, read back. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"

static void what_is_written_is_read_back(void **state)
{
    (void)state;
    const int64_t times[] = { 0, 1, 999, 951782400000 /* 29 February 2000 */, 1795299056946, 253402300799999, -1, -62135596800000 };
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char    iso[25];
        int64_t back = 1;
        assert_true(clock_read_iso(clock_iso(times[i], iso), &back));
        assert_int_equal(back, times[i]);
    }
}

static void days_and_times_in_their_forms_are_read(void **state)
{
    (void)state;
    int64_t ms = 0;
    assert_true(clock_read_iso("1970-01-02", &ms));
    assert_int_equal(ms, 86400000);
    assert_true(clock_read_iso("1970-01-01T00:00:01", &ms));
    assert_int_equal(ms, 1000);
    assert_true(clock_read_iso("1970-01-01T00:00:01.5Z", &ms));
    assert_int_equal(ms, 1500);
    assert_true(clock_read_iso("1970-01-01T00:00:00.123456789", &ms));
    assert_int_equal(ms, 123);
}

static void what_is_no_time_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    const char *const bad[] = { "", "yesterday", "2026-02-31", "2026-13-01", "2026-1-1", "0000-01-01", "2026-01-01T25:00:00", "2026-01-01T00:00", "2026-01-01T00:00:00.",
                                "2026-01-01T00:00:00Zx", "2026-01-01 00:00:00", "99999-01-01", "2026-01-01T00:00:00+01:00" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int64_t ms = 42;
        assert_false(clock_read_iso(bad[i], &ms));
        assert_int_equal(ms, 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(days_and_times_in_their_forms_are_read),
        cmocka_unit_test(what_is_no_time_is_refused_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
