/* Key-value in memory: time to live (RAG-023), bounds and order of use (RAG-024), counters. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/metric.h"
#include "store/kv_memory.h"
#include "store/store.h"

static struct call c;

static int set_up(void **state)
{
    (void)state;
    call_init(&c);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kv_close();
    call_dispose(&c);
    return 0;
}

static const char *value(const char *key)
{
    const void *p = NULL;
    size_t n = 0;
    return kv_get(&c, key, &p, &n) ? NULL : p;
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

/* RAG-023 */
static void a_value_lives_as_long_as_it_was_given(void **state)
{
    (void)state;
    assert_ok(&c, kv_put(&c, "short", "a", 1, 40));
    assert_ok(&c, kv_put(&c, "long", "b", 1, 3600000));
    assert_ok(&c, kv_put(&c, "ever", "c", 1, 0));
    assert_string_equal(value("short"), "a");
    sleep_ms(60);
    assert_null(value("short"));
    assert_int_equal(c.err, OK); /* a miss has no words */
    assert_string_equal(value("long"), "b");
    assert_string_equal(value("ever"), "c");
    assert_ok(&c, kv_put(&c, "swept", "d", 1, 1));
    sleep_ms(5);
    kv_sweep();
    assert_true(metric_read("chiron_kv_entries", NULL) == 2);
}

static void bytes_are_kept_exactly(void **state)
{
    (void)state;
    const void *p = NULL;
    size_t n = 0;
    assert_ok(&c, kv_put(&c, "k", "a\0b", 3, 0));
    assert_ok(&c, kv_get(&c, "k", &p, &n));
    assert_int_equal(n, 3);
    assert_memory_equal(p, "a\0b", 4);
    assert_ok(&c, kv_put(&c, "k", "", 0, 0));
    assert_ok(&c, kv_get(&c, "k", &p, &n));
    assert_int_equal(n, 0);
    kv_drop("k");
    assert_null(value("k"));
    kv_drop("k");
}

static void counters_count_from_where_they_are_and_keep_their_time(void **state)
{
    (void)state;
    int64_t now = 0;
    assert_ok(&c, kv_add(&c, "n", 1, 60, &now));
    assert_int_equal(now, 1);
    sleep_ms(30);
    assert_ok(&c, kv_add(&c, "n", 4, 100000, &now));
    assert_int_equal(now, 5);
    assert_string_equal(value("n"), "5");
    sleep_ms(45);
    assert_ok(&c, kv_add(&c, "n", 1, 0, &now));
    assert_int_equal(now, 1); /* the first time to live had ended */
    assert_ok(&c, kv_put(&c, "t", "text", 4, 0));
    assert_int_equal(kv_add(&c, "t", 1, 0, &now), ERR_CONFLICT);
    call_forgive(&c);
    assert_ok(&c, kv_put(&c, "big", "9223372036854775807", 19, 0));
    assert_int_equal(kv_add(&c, "big", 1, 0, &now), ERR_CONFLICT);
    call_forgive(&c);
    assert_ok(&c, kv_add(&c, "down", -3, 0, &now));
    assert_int_equal(now, -3);
}

/* RAG-024 */
static void the_number_of_entries_is_bounded_and_the_used_ones_stay(void **state)
{
    (void)state;
    char key[32];
    for (int i = 0; i < LIMIT_KV_ENTRIES + 20000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_ok(&c, kv_put(&c, key, "v", 1, 0));
        if (i % 500 == 0) assert_non_null(value("key-0"));
    }
    kv_sweep();
    assert_true(metric_read("chiron_kv_entries", NULL) <= LIMIT_KV_ENTRIES);
    assert_true(metric_read("chiron_kv_evictions_total", NULL) >= 20000);
    assert_non_null(value("key-0"));
    assert_null(value("key-1"));
    assert_non_null(value(key));
}

static void the_bytes_are_bounded(void **state)
{
    (void)state;
    char *big = calloc(1, LIMIT_KV_VALUE_BYTES + 1);
    char key[32];
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        assert_ok(&c, kv_put(&c, key, big, LIMIT_KV_VALUE_BYTES, 0));
    }
    kv_sweep();
    assert_true(metric_read("chiron_kv_bytes", NULL) <= (double)LIMIT_KV_BYTES);
    assert_true(metric_read("chiron_kv_entries", NULL) >= 20);
    assert_int_equal(kv_put(&c, "k", big, LIMIT_KV_VALUE_BYTES + 1, 0), ERR_TOO_LARGE);
    call_forgive(&c);
    free(big);
}

static void *hammer(void *arg)
{
    struct call own;
    call_init(&own);
    for (int i = 0; i < 2000; i++) {
        char key[16];
        int64_t now;
        const void *p;
        size_t n;
        snprintf(key, sizeof key, "k%d", i % 50);
        if (kv_put(&own, key, arg, 8, i % 3 ? 0 : 1)) abort();
        if (!kv_get(&own, key, &p, &n) && n != 8) abort();
        if (kv_add(&own, "together", 1, 0, &now)) abort();
        if (i % 7 == 0) kv_drop(key);
        if (i % 500 == 0) kv_sweep();
    }
    call_dispose(&own);
    return NULL;
}

static void threads_share_it(void **state)
{
    (void)state;
    pthread_t t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, hammer, "12345678");
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    assert_string_equal(value("together"), "8000");
}

static void what_it_costs(void **state)
{
    (void)state;
    enum { TIMES = 200000 };
    static char text[1536];
    assert_ok(&c, kv_put(&c, "an embedding", text, sizeof text, 3600000));
    int64_t began = clock_mono_us(), now;
    for (int i = 0; i < TIMES; i++) {
        const void *p;
        size_t n;
        assert_ok(&c, kv_get(&c, "an embedding", &p, &n));
        if (i % 1000 == 0) arena_reset(&c.mem);
    }
    printf("kv get of 1.5 KiB: %.0f ns\n", (double)(clock_mono_us() - began) * 1000 / TIMES);
    began = clock_mono_us();
    for (int i = 0; i < TIMES; i++) assert_ok(&c, kv_add(&c, "n", 1, 0, &now));
    printf("kv add: %.0f ns\n", (double)(clock_mono_us() - began) * 1000 / TIMES);
    assert_int_equal(now, TIMES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_lives_as_long_as_it_was_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_are_kept_exactly, set_up, tear_down),
        cmocka_unit_test_setup_teardown(counters_count_from_where_they_are_and_keep_their_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_number_of_entries_is_bounded_and_the_used_ones_stay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_bytes_are_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(threads_share_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_it_costs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
