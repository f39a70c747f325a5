/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "knowledge/postings.h"

static uint32_t find(const struct postings *p, const char *term, const uint32_t **index, const uint16_t **count)
{
    return postings_find(p, term, strlen(term), index, count);
}

static void a_term_leads_to_its_items_with_its_weight(void **s)
{
    (void)s;
    struct postings_builder *b = postings_begin();
    assert_int_equal(postings_add(b, 3, "sleep well sleep", 1), 3);
    assert_int_equal(postings_add(b, 3, "sleep", 4), 1);
    assert_int_equal(postings_add(b, 9, " well  done ", 1), 2);
    assert_int_equal(postings_add(b, 9, "", 4), 0);
    struct postings *p = postings_end(b);
    const uint32_t *index;
    const uint16_t *count;
    assert_int_equal(find(p, "sleep", &index, &count), 1);
    assert_int_equal(index[0], 3);
    assert_int_equal(count[0], 6);
    assert_int_equal(find(p, "well", &index, &count), 2);
    assert_int_equal(index[1], 9);
    assert_int_equal(find(p, "slee", &index, &count), 0);
    assert_int_equal(find(p, "", &index, &count), 0);
    assert_int_equal(postings_entries(p), 4);
    postings_release(p);
    postings_release(NULL);
}

static void merged_runs_hold_what_both_held(void **s)
{
    (void)s;
    enum { ITEMS = 3000 };
    struct postings *parts[2];
    for (int half = 0; half < 2; half++) {
        struct postings_builder *b = postings_begin();
        for (uint32_t i = 0; i < ITEMS; i++) {
            char text[64];
            snprintf(text, sizeof text, "all n%u m%u h%d", i, i % 7, half);
            postings_add(b, i + (uint32_t)half * ITEMS, text, 1);
        }
        parts[half] = postings_end(b);
    }
    struct postings *p = postings_merge(parts[0], parts[1]);
    postings_retain(p);
    postings_release(p);
    postings_release(parts[0]);
    postings_release(parts[1]);
    const uint32_t *index;
    const uint16_t *count;
    assert_int_equal(find(p, "all", &index, &count), 2 * ITEMS);
    for (uint32_t i = 0; i < 2 * ITEMS; i++) assert_int_equal(index[i], i);
    assert_int_equal(find(p, "n2999", &index, &count), 2);
    assert_int_equal(index[1], 2999 + ITEMS);
    assert_int_equal(find(p, "h1", &index, &count), ITEMS);
    assert_int_equal(postings_entries(p), 8 * ITEMS);
    assert_true(postings_bytes(p) > 8 * ITEMS * 6);
    postings_release(p);
}

static void a_word_said_very_often_stays_within_its_counter(void **s)
{
    (void)s;
    struct postings_builder *b = postings_begin();
    for (int i = 0; i < 70000; i++) postings_add(b, 0, "again", 1);
    struct postings *p = postings_end(b);
    const uint32_t *index;
    const uint16_t *count;
    assert_int_equal(find(p, "again", &index, &count), 1);
    assert_int_equal(count[0], UINT16_MAX);
    postings_release(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_term_leads_to_its_items_with_its_weight),
        cmocka_unit_test(merged_runs_hold_what_both_held),
        cmocka_unit_test(a_word_said_very_often_stays_within_its_counter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
