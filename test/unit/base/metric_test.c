/* The registry of numbers: exposition text, bounds, threads. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/metric.h"

static void numbers_are_counted_and_written_as_prometheus_text(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    metric_describe("test_total", 'c', "A counter.");
    metric_describe("test_level", 'g', "A level.");
    metric_describe("test_seconds", 'h', "A time.");
    metric_add("test_total", "kind=\"b\"", 2);
    metric_add("test_total", "kind=\"a\"", 0.5);
    metric_add("test_total", "kind=\"b\"", 1);
    metric_set("test_level", NULL, 7);
    metric_set("test_level", NULL, 3);
    metric_observe("test_seconds", "kind=\"a\"", 0.003);
    metric_observe("test_seconds", "kind=\"a\"", 100);
    assert_true(metric_read("test_total", "kind=\"b\"") == 3);
    assert_true(metric_read("test_level", NULL) == 3);
    assert_true(metric_read("test_seconds", "kind=\"a\"") == 2);
    assert_true(metric_read("test_total", "kind=\"z\"") == 0);
    metric_write(&b);
    assert_non_null(strstr(b.data, "# HELP test_total A counter.\n# TYPE test_total counter\ntest_total{kind=\"a\"} 0.5\ntest_total{kind=\"b\"} 3\n"));
    assert_non_null(strstr(b.data, "test_level 3\n"));
    assert_non_null(strstr(b.data, "test_seconds_bucket{kind=\"a\",le=\"0.0025\"} 0\n"));
    assert_non_null(strstr(b.data, "test_seconds_bucket{kind=\"a\",le=\"0.005\"} 1\n"));
    assert_non_null(strstr(b.data, "test_seconds_bucket{kind=\"a\",le=\"+Inf\"} 2\n"));
    assert_non_null(strstr(b.data, "test_seconds_sum{kind=\"a\"} 100.003\n"));
    assert_non_null(strstr(b.data, "test_seconds_count{kind=\"a\"} 2\n"));
    buf_dispose(&b);
}

static void label_sets_are_bounded(void **state)
{
    (void)state;
    char labels[32];
    metric_describe("test_many_total", 'c', "Many.");
    for (int i = 0; i < LIMIT_METRIC_SERIES + 100; i++) {
        snprintf(labels, sizeof labels, "n=\"%d\"", i);
        metric_add("test_many_total", labels, 1);
    }
    assert_true(metric_read("test_many_total", "n=\"5\"") == 1);
    assert_true(metric_read("test_many_total", "overflow=\"true\"") == 100);
}

static void *count_up(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        metric_add("test_shared_total", arg, 1);
        metric_observe("test_shared_seconds", NULL, 0.01);
    }
    return NULL;
}

static void threads_count_without_loss(void **state)
{
    (void)state;
    pthread_t t[4];
    metric_describe("test_shared_total", 'c', "Shared.");
    metric_describe("test_shared_seconds", 'h', "Shared.");
    int64_t began = clock_mono_us();
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, count_up, "a=\"b\"");
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    printf("one count and one time: %.0f ns\n", (double)(clock_mono_us() - began) * 1000 / 80000);
    assert_true(metric_read("test_shared_total", "a=\"b\"") == 80000);
    assert_true(metric_read("test_shared_seconds", NULL) == 80000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_counted_and_written_as_prometheus_text),
        cmocka_unit_test(label_sets_are_bounded),
        cmocka_unit_test(threads_count_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
