/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/metric.h"
#include "knowledge/lru.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct arena mem;

static const char *get(struct lru *l, const char *key)
{
    void *p;
    size_t n;
    return lru_get(l, key, strlen(key), &mem, &p, &n) ? arena_strndup(&mem, p, n) : NULL;
}

static void put(struct lru *l, const char *key, const char *value)
{
    lru_put(l, key, strlen(key), value, strlen(value));
}

static void the_oldest_goes_when_it_is_full_and_a_read_makes_young_RAG_024(void **s)
{
    (void)s;
    struct lru *l = lru_new("test", 2, 1 << 20);
    put(l, "a", "1");
    put(l, "b", "2");
    assert_string_equal(get(l, "a"), "1");
    put(l, "c", "3");
    assert_null(get(l, "b"));
    assert_string_equal(get(l, "a"), "1");
    assert_string_equal(get(l, "c"), "3");
    assert_int_equal(lru_count(l), 2);
    put(l, "a", "new");
    assert_string_equal(get(l, "a"), "new");
    assert_int_equal(lru_count(l), 2);
    lru_free(l);
}

static void bytes_are_bounded_too(void **s)
{
    (void)s;
    char big[900];
    memset(big, 'x', sizeof big);
    struct lru *l = lru_new("test", 1000, 2100);
    lru_put(l, "a", 1, big, sizeof big);
    lru_put(l, "b", 1, big, sizeof big);
    lru_put(l, "c", 1, big, sizeof big);
    assert_int_equal(lru_count(l), 2);
    char huge[4000] = { 0 };
    lru_put(l, "d", 1, huge, sizeof huge);
    assert_null(get(l, "d"));
    assert_int_equal(lru_count(l), 2);
    lru_free(l);
}

static void hits_and_misses_are_counted_RAG_028(void **s)
{
    (void)s;
    struct lru *l = lru_new("counted", 2, 1 << 20);
    put(l, "a", "1");
    get(l, "a");
    get(l, "a");
    get(l, "nothing");
    assert_float_equal(metric_read("chiron_cache_hits_total", "cache=\"counted\""), 2, 0);
    assert_float_equal(metric_read("chiron_cache_misses_total", "cache=\"counted\""), 1, 0);
    lru_free(l);
    lru_free(NULL);
}

static int setup(void **s)
{
    (void)s;
    arena_init(&mem, 1 << 20);
    metric_describe("chiron_cache_hits_total", 'c', "hits");
    metric_describe("chiron_cache_misses_total", 'c', "misses");
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    arena_dispose(&mem);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_oldest_goes_when_it_is_full_and_a_read_makes_young_RAG_024),
        cmocka_unit_test(bytes_are_bounded_too),
        cmocka_unit_test(hits_and_misses_are_counted_RAG_028),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
