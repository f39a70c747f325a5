/* Counters of limits: exact under threads, all or none, halved by strikes, not to be pushed out. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
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

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000L }, NULL);
}

static bool passes(enum kv_pool pool, const char *key, int64_t limit, int64_t window_ms)
{
    struct kv_counter k = { .key = key, .limit = limit, .window_ms = window_ms };
    int               refused;
    assert_ok(&c, kv_count(&c, pool, &k, 1, &refused));
    return refused < 0;
}

static void a_window_lets_exactly_its_number_through_and_begins_anew(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) assert_true(passes(KV_KNOWN, "k", 3, 60));
    assert_false(passes(KV_KNOWN, "k", 3, 60));
    assert_true(passes(KV_KNOWN, "other", 3, 60));
    sleep_ms(80);
    assert_true(passes(KV_KNOWN, "k", 3, 60));
}

static void what_one_counter_refuses_no_other_counts(void **state)
{
    (void)state;
    int               refused;
    struct kv_counter k[2] = { { .key = "wide", .limit = 100, .window_ms = 60000 }, { .key = "narrow", .limit = 2, .window_ms = 60000 } };
    for (int i = 0; i < 2; i++) assert_ok(&c, kv_count(&c, KV_KNOWN, k, 2, &refused));
    assert_ok(&c, kv_count(&c, KV_KNOWN, k, 2, &refused));
    assert_int_equal(refused, 1);
    assert_int_equal(k[0].count, 2);
    assert_int_equal(k[1].count, 2);
    k[0].peek = true;
    assert_ok(&c, kv_count(&c, KV_KNOWN, k, 1, &refused));
    assert_int_equal(k[0].count, 2); /* a look counts nothing */
}

static atomic_int passed_all;
static void *hammer(void *arg)
{
    (void)arg;
    struct call own;
    call_init(&own);
    for (int i = 0; i < 40; i++) {
        struct kv_counter k[2] = { { .key = "shared", .limit = 1000, .window_ms = 60000 }, { .key = "wide", .limit = 1 << 20, .window_ms = 60000 } };
        int               refused;
        if (!kv_count(&own, KV_KNOWN, k, 2, &refused) && refused < 0) atomic_fetch_add(&passed_all, 1);
    }
    call_dispose(&own);
    return NULL;
}

static void fifty_threads_get_exactly_the_limit(void **state)
{
    (void)state;
    pthread_t t[50];
    for (int i = 0; i < 50; i++) assert_int_equal(pthread_create(&t[i], NULL, hammer, NULL), 0);
    for (int i = 0; i < 50; i++) pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&passed_all), 1000);
    struct kv_counter k = { .key = "wide", .limit = 1 << 20, .window_ms = 60000, .peek = true };
    int               refused;
    assert_ok(&c, kv_count(&c, KV_KNOWN, &k, 1, &refused));
    assert_int_equal(k.count, 1000);
}

static void strikes_halve_a_limit_twice_and_calm_restores_it(void **state)
{
    (void)state;
    struct kv_strike  s = { .key = "strikes", .limit = 3, .window_ms = 60000, .level_key = "level", .level_ms = 100, .level_max = 2 };
    struct kv_counter k = { .key = "k", .limit = 8, .window_ms = 60000, .level_key = "level", .peek = true };
    int               level, refused, wanted[9] = { 0, 0, 1, 1, 1, 2, 2, 2, 2 };
    for (int i = 0; i < 9; i++) {
        assert_ok(&c, kv_strike(&c, KV_KNOWN, &s, &level));
        assert_int_equal(level, wanted[i]);
    }
    assert_ok(&c, kv_count(&c, KV_KNOWN, &k, 1, &refused));
    assert_int_equal(k.allowed, 2);
    sleep_ms(130);
    assert_ok(&c, kv_count(&c, KV_KNOWN, &k, 1, &refused));
    assert_int_equal(k.allowed, 8);
}

/* Neither by other counters of strangers, nor by cached values, nor by counters of its own pool. */
static void a_flood_of_other_keys_does_not_open_a_window_again(void **state)
{
    (void)state;
    char key[64];
    for (int i = 0; i < 5; i++) assert_true(passes(KV_KNOWN, "full", 5, 3600000));
    for (int i = 0; i < 5; i++) assert_true(passes(KV_STRANGERS, "full", 5, 3600000));
    for (int i = 0; i < LIMIT_KV_COUNTERS * 2; i++) {
        snprintf(key, sizeof key, "flood %d", i);
        passes(KV_STRANGERS, key, 5, 3600000);
    }
    for (int i = 0; i < LIMIT_KV_COUNTERS + LIMIT_KV_COUNTERS / 2; i++) {
        snprintf(key, sizeof key, "flood %d", i);
        passes(KV_KNOWN, key, 5, 3600000);
    }
    for (int i = 0; i < 70; i++) {
        snprintf(key, sizeof key, "value %d", i);
        static char big[LIMIT_KV_VALUE_BYTES];
        assert_ok(&c, kv_put(&c, key, big, sizeof big, 0));
    }
    assert_false(passes(KV_KNOWN, "full", 5, 3600000));
    assert_false(passes(KV_STRANGERS, "full", 5, 3600000));
}

static void living_counters_are_found_by_how_they_begin(void **state)
{
    (void)state;
    struct kv_counter found[8];
    int               n = 0;
    passes(KV_KNOWN, "limit:user:a/1", 9, 60000);
    passes(KV_KNOWN, "limit:user:a/2", 9, 60000);
    passes(KV_KNOWN, "limit:user:b/1", 9, 60000);
    passes(KV_KNOWN, "limit:user:a/3", 9, 1);
    sleep_ms(5);
    assert_ok(&c, kv_counts(&c, KV_KNOWN, "limit:user:a/", found, 8, &n));
    assert_int_equal(n, 2);
    assert_int_equal(found[0].count, 1);
    assert_ok(&c, kv_counts(&c, KV_KNOWN, "limit:user:", found, 2, &n));
    assert_int_equal(n, 2);
    kv_counts_sweep();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_window_lets_exactly_its_number_through_and_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_counter_refuses_no_other_counts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fifty_threads_get_exactly_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strikes_halve_a_limit_twice_and_calm_restores_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_flood_of_other_keys_does_not_open_a_window_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(living_counters_are_found_by_how_they_begin, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
