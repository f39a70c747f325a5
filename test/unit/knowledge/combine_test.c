/* SPDX-License-Identifier: MIT */

#include "knowledge/search.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { A = 1, B, C };

static void the_worked_example_of_RAG_020_holds(void **s)
{
    (void)s;
    struct search_hit h[] = {
        { .id = C, .keyword = 2, .rank_keyword = 2 },
        { .id = B, .semantic = 0.5f, .rank_semantic = 2, .keyword = 4, .rank_keyword = 1 },
        { .id = A, .semantic = 0.9f, .rank_semantic = 1 },
    };
    search_combine(h, 3, 0.5f);
    assert_int_equal(h[0].id, A);
    assert_float_equal(h[0].score, 0.5f, 1e-6);
    assert_int_equal(h[1].id, B);
    assert_float_equal(h[1].score, 0.5f, 1e-6);
    assert_int_equal(h[2].id, C);
    assert_float_equal(h[2].score, 0.0f, 1e-6);
}

static void alpha_1_gives_the_semantic_order_and_alpha_0_the_keyword_order_RAG_020(void **s)
{
    (void)s;
    struct search_hit h[] = {
        { .id = A, .semantic = 0.9f, .rank_semantic = 1, .keyword = 1, .rank_keyword = 3 },
        { .id = B, .semantic = 0.5f, .rank_semantic = 3, .keyword = 7, .rank_keyword = 1 },
        { .id = C, .semantic = 0.7f, .rank_semantic = 2, .keyword = 4, .rank_keyword = 2 },
    };
    search_combine(h, 3, 1.0f);
    assert_int_equal(h[0].id, A);
    assert_int_equal(h[1].id, C);
    assert_int_equal(h[2].id, B);
    search_combine(h, 3, 0.0f);
    assert_int_equal(h[0].id, B);
    assert_int_equal(h[1].id, C);
    assert_int_equal(h[2].id, A);
}

static void equal_scores_become_one_RAG_020(void **s)
{
    (void)s;
    float v[] = { 3, 3, 3 }, one[] = { -2 }, spread[] = { 1, 3, 2 };
    search_normalise(v, 3);
    for (int i = 0; i < 3; i++) assert_float_equal(v[i], 1.0f, 0);
    search_normalise(one, 1);
    assert_float_equal(one[0], 1.0f, 0);
    search_normalise(spread, 3);
    assert_float_equal(spread[0], 0.0f, 0);
    assert_float_equal(spread[1], 1.0f, 0);
    assert_float_equal(spread[2], 0.5f, 1e-6);
    search_normalise(NULL, 0);
}

static void ties_are_ordered_by_id_whatever_came_first(void **s)
{
    (void)s;
    struct search_hit h[] = { { .id = 9, .keyword = 1, .rank_keyword = 1 }, { .id = 2, .keyword = 1, .rank_keyword = 2 },
                              { .id = 5, .keyword = 1, .rank_keyword = 3 } };
    search_combine(h, 3, 0.5f);
    assert_int_equal(h[0].id, 2);
    assert_int_equal(h[1].id, 5);
    assert_int_equal(h[2].id, 9);
    assert_float_equal(h[2].score, 0.5f, 1e-6);
}

static void feedback_moves_a_question_towards_what_answered_it_by_weight(void **s)
{
    (void)s;
    const float question[] = { 1, 0, 0 }, one[] = { 0, 1, 0 }, two[] = { 0, 0, 1 };
    const float *const rows[] = { one, two };
    const float weights[] = { 3, 1 }, none[] = { 0, 0 };
    float moved[3];
    search_feedback(question, 3, rows, weights, 2, moved);
    assert_float_equal(moved[0], 1, 0);
    assert_true(moved[1] > 0);
    assert_float_equal(moved[1], 3 * moved[2], 1e-6);
    search_feedback(question, 3, rows, none, 2, moved);
    for (int i = 0; i < 3; i++) assert_float_equal(moved[i], question[i], 0);
    search_feedback(question, 3, rows, weights, 0, moved);
    for (int i = 0; i < 3; i++) assert_float_equal(moved[i], question[i], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_worked_example_of_RAG_020_holds),
        cmocka_unit_test(alpha_1_gives_the_semantic_order_and_alpha_0_the_keyword_order_RAG_020),
        cmocka_unit_test(equal_scores_become_one_RAG_020),
        cmocka_unit_test(feedback_moves_a_question_towards_what_answered_it_by_weight),
        cmocka_unit_test(ties_are_ordered_by_id_whatever_came_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
