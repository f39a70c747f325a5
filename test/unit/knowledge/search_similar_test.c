/* The passages nearest to one that is there, over a real store with small made-up vectors (FIT-084): no model is needed, as
 * none is run. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "instance.h"

#include <math.h>
#include <string.h>

#include "knowledge/collection.h"
#include "knowledge/knowledge.h"
#include "knowledge/model_store.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/store.h"
#include "verbs.h"

enum { DIM = 4 };
static struct passage *p;
static struct search_similar_info info;
static int n;

struct row { const char *id, *user, *type, *metadata; float degrees; };   /* of its vector to the first axis */

static const float *unit(float degrees, float *v)
{
    double a = (double)degrees * M_PI / 180;
    v[0] = (float)cos(a);
    v[1] = (float)sin(a);
    v[2] = v[3] = 0;
    return v;
}

static void note(struct conn *w, const char *label, const char *name)
{
    assert_ok(&c, model_store_note(&c, w, &(struct model_row){ .label = label, .name = name, .print = "", .stamp = "", .dim = DIM }));
}

/* One chunk a document; label NULL: without a vector. */
static void put(const struct row *d, const char *label)
{
    struct conn *w = NULL;
    float v[DIM];
    const char *user = d->user ? d->user : "", *type = d->type ? d->type : "document", *chunk = arena_printf(&c.mem, "%s_0", d->id);
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO document (id, title, media_type, sha256, split, state, size_bytes, created_at, updated_at, "
                                "metadata, content_type, user_id) VALUES (?s, ?s, 'text/plain', '', '', 'ready', 1, 1, 1, ?s, ?s, ?s)",
                         d->id, d->id, d->metadata ? d->metadata : "{}", type, user));
    assert_ok(&c, db_run(&c, w, "INSERT INTO chunk (id, document_id, idx, text, page, start_byte, end_byte, user_id, content_type, language) "
                                "VALUES (?s, ?s, 0, ?s, 2, 5, 25, ?s, ?s, '')", chunk, d->id, d->id, user, type));
    if (label) note(w, label, "toy");
    if (label) assert_ok(&c, search_vector_put(&c, w, chunk, label, DIM, unit(d->degrees, v)));
    assert_ok(&c, search_index_put(&c, w, d->id));
    assert_ok(&c, db_commit(&c, &w));
}

static void press(void)
{
    put(&(struct row){ "bench", NULL, "workout", "{\"equipment\":\"barbell\"}", 0 }, "toy");
    put(&(struct row){ "floor", NULL, "workout", "{\"equipment\":\"dumbbell\"}", 10 }, "toy");
    put(&(struct row){ "pushup", NULL, "workout", "{\"equipment\":\"none\"}", 20 }, "toy");
    put(&(struct row){ "squat", NULL, "workout", "{\"equipment\":\"barbell\"}", 70 }, "toy");
    put(&(struct row){ "advice", NULL, "document", NULL, 5 }, "toy");
    put(&(struct row){ "diary", "u2", "progress", NULL, 1 }, "toy");
}

static enum err like(const char *id, struct search_opts o)
{
    p = NULL;
    n = -1;
    return search_similar(&c, id, &o, &p, &n, &info);
}

static const char *order(void)
{
    const char *s = "";
    for (int i = 0; i < n; i++) s = arena_printf(&c.mem, "%s%s%s", s, i ? " " : "", p[i].document_id);
    return s;
}

static void refused(const char *id, struct search_opts o, enum err want, const char *words)
{
    assert_int_equal(like(id, o), want);
    assert_int_equal(n, -1);
    assert_null(p);
    assert_non_null(strstr(c.err_text, words));
    call_forgive(&c);
}

/* ---- */

static void the_nearest_come_first_and_the_passage_itself_is_left_out_FIT_084(void **s)
{
    (void)s;
    press();
    assert_ok(&c, like("bench_0", (struct search_opts){ 0 }));
    assert_string_equal(order(), "advice floor pushup squat");
    assert_float_equal(p[1].score, cos(10 * M_PI / 180), 1e-4);
    assert_float_equal(p[1].score_cos, p[1].score, 0);
    assert_string_equal(p[1].chunk_id, "floor_0");
    assert_string_equal(p[1].text, "floor");
    assert_int_equal(p[1].page, 2);
    assert_int_equal(p[1].end_byte, 25);
    assert_float_equal(p[1].score_rerank, -1, 0);
    assert_string_equal(info.model, "toy");
    assert_int_equal(info.dim, DIM);
    assert_ok(&c, like("bench_0", (struct search_opts){ .k = 2 }));
    assert_string_equal(order(), "advice floor");
    assert_ok(&c, like("bench_0", (struct search_opts){ .threshold = 0.98f }));
    assert_string_equal(order(), "advice floor");
}

static void a_twin_is_shown_and_only_the_one_asked_about_is_not_FIT_084(void **s)
{
    (void)s;
    press();
    put(&(struct row){ "twin", NULL, NULL, NULL, 0 }, "toy");
    assert_ok(&c, like("bench_0", (struct search_opts){ .k = 1 }));
    assert_string_equal(order(), "twin");
    assert_ok(&c, like("twin_0", (struct search_opts){ .k = 1 }));
    assert_string_equal(order(), "bench");
}

static void types_and_filters_are_those_of_a_search_FIT_084(void **s)
{
    (void)s;
    press();
    const char *const workouts[] = { "workout", NULL };
    json_t *barbell = json_pack("{s:s}", "equipment", "barbell");
    assert_ok(&c, like("bench_0", (struct search_opts){ .types = workouts }));
    assert_string_equal(order(), "floor pushup squat");
    assert_ok(&c, like("bench_0", (struct search_opts){ .filter = barbell }));
    assert_string_equal(order(), "squat");
    /* Also when the passage itself is not among what is wanted. */
    assert_ok(&c, like("advice_0", (struct search_opts){ .types = workouts, .k = 2 }));
    assert_string_equal(order(), "bench floor");
    json_decref(barbell);
}

static void what_a_search_would_not_show_does_not_exist_FIT_084(void **s)
{
    (void)s;
    press();
    refused("nothing_0", (struct search_opts){ 0 }, ERR_NOT_FOUND, "nothing_0");
    refused("", (struct search_opts){ 0 }, ERR_NOT_FOUND, "no passage");
    refused("diary_0", (struct search_opts){ 0 }, ERR_NOT_FOUND, "no passage");
    refused("diary_0", (struct search_opts){ .user_id = "u1" }, ERR_NOT_FOUND, "no passage");
    assert_ok(&c, like("diary_0", (struct search_opts){ .user_id = "u2", .k = 1 }));
    assert_string_equal(order(), "bench");
    assert_ok(&c, like("bench_0", (struct search_opts){ .user_id = "u2", .k = 1 }));
    assert_string_equal(order(), "diary");
    bool created;
    struct call k;
    call_init(&k);
    assert_ok(&k, tenant_create(&k, "other", "other", &created));
    assert_ok(&k, tenant_open(&k, "other"));
    assert_int_equal(search_similar(&k, "bench_0", &(struct search_opts){ 0 }, &p, &n, &info), ERR_NOT_FOUND);
    tenant_release(&k);
    call_dispose(&k);
    refused("bench_0", (struct search_opts){ .k = LIMIT_SEARCH_K + 1 }, ERR_INVALID, "k is 1");
}

static void what_was_taken_out_is_gone_on_both_ends_FIT_084(void **s)
{
    (void)s;
    press();
    struct conn *w = NULL;
    assert_ok(&c, like("bench_0", (struct search_opts){ .k = 1 }));
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, search_index_drop(&c, w, "advice"));
    assert_ok(&c, db_run(&c, w, "DELETE FROM chunk WHERE document_id = 'advice'"));
    assert_ok(&c, db_run(&c, w, "DELETE FROM document WHERE id = 'advice'"));
    assert_ok(&c, db_commit(&c, &w));
    assert_ok(&c, like("bench_0", (struct search_opts){ .k = 1 }));
    assert_string_equal(order(), "floor");
    refused("advice_0", (struct search_opts){ 0 }, ERR_NOT_FOUND, "no passage");
}

static void a_passage_without_a_vector_is_said_to_have_none_FIT_084(void **s)
{
    (void)s;
    put(&(struct row){ "words", NULL, NULL, NULL, 0 }, NULL);
    refused("words_0", (struct search_opts){ 0 }, ERR_CONFLICT, "has no vector");
    press();
    refused("words_0", (struct search_opts){ 0 }, ERR_CONFLICT, "has no vector of toy");
    assert_ok(&c, like("bench_0", (struct search_opts){ .k = 100 }));
    assert_null(strstr(order(), "words"));
}

/* A change of the model: its vectors stand beside the old ones, in another order, until it answers. */
static void only_vectors_of_the_model_that_answers_are_compared_FIT_084_RAG_014(void **s)
{
    (void)s;
    static const struct { const char *chunk; float degrees; } beside[] = { { "bench_0", 0 }, { "squat_0", 3 }, { "pushup_0", 80 } };
    float v[DIM];
    struct conn *w = NULL;
    press();
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    note(w, "wide#2", "wide");
    for (int i = 0; i < 3; i++) assert_ok(&c, search_vector_put(&c, w, beside[i].chunk, "wide#2", DIM, unit(beside[i].degrees, v)));
    assert_ok(&c, db_commit(&c, &w));
    assert_ok(&c, like("bench_0", (struct search_opts){ 0 }));
    assert_string_equal(order(), "advice floor pushup squat");
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "UPDATE search_model SET state = 'aside' WHERE label = 'toy'"));
    assert_ok(&c, db_run(&c, w, "UPDATE search_model SET state = 'active' WHERE label = 'wide#2'"));
    assert_ok(&c, db_commit(&c, &w));
    assert_ok(&c, like("bench_0", (struct search_opts){ 0 }));
    assert_string_equal(order(), "squat pushup");
    assert_string_equal(info.model, "wide");
    refused("floor_0", (struct search_opts){ 0 }, ERR_CONFLICT, "has no vector of wide");
}

static void a_call_past_its_deadline_gets_nothing(void **s)
{
    (void)s;
    press();
    c.deadline_ms = 1;
    refused("bench_0", (struct search_opts){ 0 }, ERR_TIMEOUT, "");
}

/* ---- */

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_nearest_come_first_and_the_passage_itself_is_left_out_FIT_084),
        T(a_twin_is_shown_and_only_the_one_asked_about_is_not_FIT_084),
        T(types_and_filters_are_those_of_a_search_FIT_084),
        T(what_a_search_would_not_show_does_not_exist_FIT_084),
        T(what_was_taken_out_is_gone_on_both_ends_FIT_084),
        T(a_passage_without_a_vector_is_said_to_have_none_FIT_084),
        T(only_vectors_of_the_model_that_answers_are_compared_FIT_084_RAG_014),
        T(a_call_past_its_deadline_gets_nothing),
    };
    return cmocka_run_group_tests(tests, open_settings, close_settings);
}
