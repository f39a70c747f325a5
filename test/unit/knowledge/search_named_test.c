/* A question that is the name of a passage finds that passage first (FIT-086), by words alone and so without a model. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "instance.h"

#include <string.h>

#include "knowledge/knowledge.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/store.h"
#include "verbs.h"

static struct passage *p;
static int n;

static void put(const char *id, const char *heading, const char *text)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO document (id, title, media_type, sha256, split, state, size_bytes, created_at, updated_at) "
                                "VALUES (?s, 'Library', 'text/plain', '', '', 'ready', 1, 1, 1)", id));
    assert_ok(&c, db_run(&c, w, "INSERT INTO chunk (id, document_id, idx, heading, text, page, start_byte, end_byte, user_id, content_type, language) "
                                "VALUES (?s, ?s, 0, ?s, ?s, 0, 0, 1, '', 'document', 'en')", id, id, heading, text));
    assert_ok(&c, search_index_put(&c, w, id));
    assert_ok(&c, db_commit(&c, &w));
}

/* The others say the words more often and are shorter: by weight they come first. */
static void library(void)
{
    put("plural", "Squats - With Bands", "Squats with bands, squat bands.");
    put("named", "Squat with Bands", "Stand on them with both feet, hold the ends at the shoulders, sit back and come up slowly; then rest.");
    put("row", "Legs > Row (One-Arm)", "Pull the dumbbell to the hip with a flat back, and lower it slowly until the arm is straight again.");
    put("rows", "Row one arm row", "One arm row, one arm row.");
    put("lunge", "Élévation", "Lift the heel, hold, and let it down over a slow count of three while the knee stays where it is.");
    put("lift", "Lift", "elevation elevation elevation");
    put("talk", "", "Squat with bands in a passage that has no heading.");
}

static const char *first(const char *query)
{
    struct search_info info;
    n = 0;
    assert_ok(&c, search_text(&c, query, &(struct search_opts){ .mode = SEARCH_KEYWORD, .k = 10 }, &p, &n, &info));
    return n ? p[0].document_id : "";
}

static void the_passage_that_is_called_so_comes_first_FIT_086(void **s)
{
    (void)s;
    library();
    assert_string_equal(first("Squat with Bands"), "named");
    assert_string_equal(first("squats with bands"), "plural");
    assert_string_equal(first("  SQUATS  with bands! "), "plural");
    assert_int_equal(p[0].rank_keyword, 1);
    assert_true(p[0].score_bm25 > p[1].score_bm25);
    for (int i = 0; i < n; i++) assert_int_equal(p[i].rank_keyword, i + 1);
}

static void the_last_part_of_a_heading_is_the_name_and_case_accents_and_signs_do_not_count_FIT_086(void **s)
{
    (void)s;
    library();
    assert_string_equal(first("row one-arm"), "row");
    assert_string_equal(first("Row (one arm)"), "row");
    assert_string_equal(first("elevation"), "lunge");
}

static void another_question_keeps_the_order_of_the_words_FIT_086(void **s)
{
    (void)s;
    library();
    assert_string_equal(first("how do I squat with bands"), "plural");
    assert_string_equal(first("squat bands"), "plural");
    assert_string_equal(first("nothing of the kind there"), "");
    assert_string_equal(first("!"), "");
    char *longer = arena_alloc(&c.mem, 400);
    memset(longer, 'x', 399);
    longer[399] = 0;
    memcpy(longer, "squat with bands ", 17);
    assert_string_equal(first(longer), "plural");
}

/* ---- */

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_passage_that_is_called_so_comes_first_FIT_086),
        T(the_last_part_of_a_heading_is_the_name_and_case_accents_and_signs_do_not_count_FIT_086),
        T(another_question_keeps_the_order_of_the_words_FIT_086),
    };
    return cmocka_run_group_tests(tests, open_settings, close_settings);
}
