/* The model of a creator's vectors, without any model: who answers, what lacks a vector, when it changes over, what is left. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "encoder/encoder.h"
#include "knowledge/collection.h"
#include "knowledge/embedder.h"
#include "knowledge/knowledge.h"
#include "knowledge/model_store.h"
#include "knowledge/search_index.h"
#include "knowledge/search_store.h"
#include "models/models.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"

enum { DIM = 8 };
static char dir[64];
static struct call c;
static const struct model_row old = { .name = "old", .print = "aaaa", .stamp = "1", .dim = DIM },
                              new = { .name = "new", .print = "bbbb", .stamp = "2", .dim = 2 * DIM };

static int set_up(void **s)
{
    (void)s;
    static const struct setting *const tables[] = { store_settings, knowledge_settings, encoder_settings, models_settings, NULL };
    bool made;
    folder_new(dir);
    call_init(&c);
    c.rights = ~0u;
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, tenant_create(&c, "coach", "Coach", &made));
    assert_ok(&c, tenant_open(&c, "coach"));
    assert_ok(&c, knowledge_open(&c));
    return 0;
}

static int tear_down(void **s)
{
    (void)s;
    tenant_release(&c);
    knowledge_close();
    store_close();
    conf_free();
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

/* A document of one chunk, with a vector of this model unless it is NULL. */
static void put(struct call *k, const char *id, const char *text, const struct model_row *m)
{
    struct conn *w = NULL;
    float v[64] = { 1 };
    unsigned char hash[TEXT_HASH_BYTES];
    const char *chunk = arena_printf(&k->mem, "chk_%s", id);
    model_store_hash(text, strlen(text), hash);
    assert_ok(k, db_write(k, tenant_db(k->tenant), &w));
    assert_ok(k, db_run(k, w, "INSERT INTO document (id, title, media_type, sha256, split, state, size_bytes, created_at, updated_at) "
                              "VALUES (?s, ?s, 'text/plain', '', '', 'ready', 1, 1, 1)", id, id));
    assert_ok(k, db_run(k, w, "INSERT INTO chunk (id, document_id, idx, text, start_byte, end_byte, content_type) VALUES (?s, ?s, 0, ?s, 0, ?i, "
                              "'document')", chunk, id, text, (int64_t)strlen(text)));
    if (m) {
        struct model_row row = *m;
        if (!row.label) row.label = row.name;
        assert_ok(k, search_vector_put_of(k, w, chunk, row.label, row.dim, v, hash, sizeof hash));
        assert_ok(k, model_store_note(k, w, &row));
    }
    assert_ok(k, search_index_put(k, w, id));
    assert_ok(k, model_store_look(k, w, id));
    assert_ok(k, db_commit(k, &w));
}

static void drop(struct call *k, const char *id)
{
    struct conn *w = NULL;
    assert_ok(k, db_write(k, tenant_db(k->tenant), &w));
    assert_ok(k, search_index_drop(k, w, id));
    assert_ok(k, db_run(k, w, "DELETE FROM chunk WHERE document_id = ?s", id));
    assert_ok(k, db_run(k, w, "DELETE FROM document WHERE id = ?s", id));
    assert_ok(k, db_commit(k, &w));
}

static int64_t number(const char *sql)
{
    struct conn *r = NULL;
    int64_t n = -1;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, -1, &n, sql));
    db_release(&r);
    return n;
}

static struct model_state state(void)
{
    struct model_state s;
    assert_ok(&c, model_store_state(&c, &s));
    return s;
}

static const char *begin(const struct model_row *m, bool asked)
{
    const char *job = NULL;
    assert_ok(&c, model_store_begin(&c, m, asked, "reindex", &job));
    return job;
}

/* What the job does, without a model. Returns how many vectors it made. */
static int make_all(const char *label, int dim, int most)
{
    int64_t chunk_at = 0, embedding_at = 0;
    int made = 0, n = 1;
    while (n > 0 && made < most) {
        struct model_text t[2];
        unsigned char hash[2][TEXT_HASH_BYTES] = { { 0 } };
        float row[64] = { 0 };
        const float *v[2] = { row, row };
        row[1] = 1;
        assert_ok(&c, model_store_pending(&c, label, &chunk_at, &embedding_at, 2, t, &n));
        for (int i = 0; i < n; i++) model_store_hash(t[i].text, strlen(t[i].text), hash[i]);
        if (n) assert_ok(&c, model_store_put(&c, label, dim, t, (const unsigned char(*)[TEXT_HASH_BYTES])hash, v, n, made % 4 == 0));
        made += n;
    }
    return made;
}

static bool change_over(const char *label)
{
    bool done = false, wanted = false;
    assert_ok(&c, model_store_switch(&c, label, &done, &wanted));
    return done;
}

static void clean(void)
{
    bool more = true;
    for (struct model_clean at = { 0 }; more;) assert_ok(&c, model_store_clean(&c, &at, &more));
}

/* ---- */

static void the_first_model_stored_answers_and_another_is_kept_aside(void **s)
{
    (void)s;
    assert_null(state().active.label);
    put(&c, "a", "alpha", &old);
    assert_string_equal(state().active.label, "old");
    assert_string_equal(state().active.print, "aaaa");
    assert_int_equal(number("SELECT lacking FROM search_state"), number("SELECT 1"));   /* as every store begins */
    assert_null(begin(&old, false));
    assert_int_equal(number("SELECT lacking FROM search_state"), 0);
    put(&c, "b", "beta", &new);
    assert_string_equal(state().active.label, "old");
    assert_null(state().next.label);
    assert_int_equal(number("SELECT count(*) FROM search_model WHERE label = 'new' AND state = 'aside'"), 1);
    assert_int_equal(number("SELECT lacking FROM search_state"), 1);
}

static void a_change_is_over_when_nothing_lacks_the_new_vector_and_not_before_RAG_014(void **s)
{
    (void)s;
    for (int i = 0; i < 9; i++) put(&c, arena_printf(&c.mem, "d%d", i), arena_printf(&c.mem, "text %d", i), &old);
    const char *job = begin(&new, false);
    assert_non_null(job);
    assert_string_equal(begin(&new, false), job);            /* one job for one change */
    assert_string_equal(state().active.label, "old");
    assert_string_equal(state().next.label, "new");
    assert_false(change_over("new"));
    make_all("new", 2 * DIM, 4);
    assert_false(change_over("new"));
    int64_t done = 0, all = 0;
    assert_ok(&c, model_store_count(&c, "new", &done, &all));
    assert_int_equal(done, 4);
    assert_int_equal(all, 9);
    /* Killed here: the next one makes only what is missing. Meanwhile one goes and one comes. */
    drop(&c, "d0");
    put(&c, "d9", "text 9", &old);
    assert_int_equal(make_all("new", 2 * DIM, 100), 6);
    put(&c, "late", "came behind the place it had read to", &old);
    assert_false(change_over("new"));
    assert_int_equal(make_all("new", 2 * DIM, 100), 1);
    int64_t before = number("SELECT generation FROM search_state");
    assert_true(change_over("new"));
    assert_true(number("SELECT generation FROM search_state") > before);
    assert_string_equal(state().active.label, "new");
    assert_null(state().next.label);
    clean();
    assert_int_equal(number("SELECT count(*) FROM chunk_vector WHERE model = 'old'"), 0);
    assert_int_equal(number("SELECT count(*) FROM chunk_vector"), number("SELECT count(*) FROM chunk"));
    assert_int_equal(number("SELECT count(*) FROM search_model"), 1);
    bool settled = false;
    assert_ok(&c, model_store_settled(&c, &new, &settled));
    assert_true(settled);
    assert_ok(&c, model_store_settled(&c, &old, &settled));
    assert_false(settled);
}

static void turning_back_and_turning_to_a_third_leave_nothing_behind(void **s)
{
    (void)s;
    struct model_row third = { .name = "third", .print = "cccc", .stamp = "3", .dim = 4 };
    for (int i = 0; i < 5; i++) put(&c, arena_printf(&c.mem, "d%d", i), arena_printf(&c.mem, "text %d", i), &old);
    assert_non_null(begin(&new, false));
    make_all("new", 2 * DIM, 3);
    assert_non_null(begin(&third, false));
    assert_string_equal(state().next.label, "third");
    bool done = true, wanted = true;
    assert_ok(&c, model_store_switch(&c, "new", &done, &wanted));
    assert_false(done || wanted);
    assert_non_null(begin(&old, false));                     /* there is something to take out */
    assert_null(state().next.label);
    assert_true(change_over("old"));
    clean();
    assert_int_equal(number("SELECT count(*) FROM chunk_vector"), 5);
    assert_int_equal(number("SELECT count(*) FROM chunk_vector WHERE model = 'old'"), 5);
    assert_null(begin(&old, false));
}

static void a_declined_change_waits_until_somebody_asks(void **s)
{
    (void)s;
    put(&c, "a", "alpha", &old);
    assert_null(begin(&old, false));
    assert_non_null(begin(&new, false));
    make_all("new", 2 * DIM, 9);
    assert_ok(&c, model_store_decline(&c, "new"));
    clean();
    assert_int_equal(number("SELECT count(*) FROM chunk_vector WHERE model = 'new'"), 0);
    assert_string_equal(state().declined.label, "new");
    assert_null(begin(&new, false));
    assert_string_equal(state().active.label, "old");
    assert_non_null(begin(&new, true));
    assert_string_equal(state().next.label, "new");
}

static void another_content_under_the_same_name_is_another_model(void **s)
{
    (void)s;
    struct model_row replaced = { .name = "old", .print = "dddd", .stamp = "9", .dim = DIM }, touched = old;
    touched.stamp = "7";
    put(&c, "a", "alpha", &old);
    assert_null(begin(&touched, false));
    assert_string_equal(state().active.stamp, "7");
    assert_non_null(begin(&replaced, false));
    assert_string_equal(state().next.label, "old#dddd");
    assert_string_equal(state().next.name, "old");
    make_all("old#dddd", DIM, 9);
    assert_true(change_over("old#dddd"));
    clean();
    assert_int_equal(number("SELECT count(*) FROM chunk_vector WHERE model = 'old#dddd'"), 1);
    assert_null(begin(&replaced, false));
}

static void vectors_from_before_the_table_are_taken_to_be_of_the_model_of_that_name(void **s)
{
    (void)s;
    struct conn *w = NULL;
    float v[DIM] = { 1 };
    put(&c, "a", "alpha", NULL);
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, search_vector_put(&c, w, "chk_a", "old", DIM, v));
    assert_ok(&c, db_commit(&c, &w));
    assert_null(begin(&old, false));
    assert_string_equal(state().active.print, "aaaa");
    assert_non_null(begin(&new, false));
    assert_string_equal(state().active.label, "old");
}

static void a_text_is_known_while_something_stored_has_it_FIT_083(void **s)
{
    (void)s;
    unsigned char hash[2][TEXT_HASH_BYTES];
    const float *v[2] = { NULL, NULL };
    int found = 0;
    put(&c, "a", "alpha", &old);
    model_store_hash("alpha", 5, hash[0]);
    model_store_hash("alphA", 5, hash[1]);
    const unsigned char(*h)[TEXT_HASH_BYTES] = (const unsigned char(*)[TEXT_HASH_BYTES])hash;
    assert_ok(&c, model_store_known(&c, &c.mem, "old", DIM, h, 2, v, &found));
    assert_int_equal(found, 1);
    assert_float_equal(v[0][0], 1, 0);
    assert_null(v[1]);
    v[0] = NULL;
    assert_ok(&c, model_store_known(&c, &c.mem, "new", 2 * DIM, h, 2, v, &found));
    assert_int_equal(found, 0);
    assert_ok(&c, model_store_known(&c, &c.mem, "old", DIM + 1, h, 2, v, &found));
    assert_int_equal(found, 0);
    /* Of two documents with it one goes, then the other. */
    put(&c, "b", "alpha", &old);
    drop(&c, "a");
    assert_ok(&c, model_store_known(&c, &c.mem, "old", DIM, h, 2, v, &found));
    assert_int_equal(found, 1);
    drop(&c, "b");
    v[0] = NULL;
    assert_ok(&c, model_store_known(&c, &c.mem, "old", DIM, h, 2, v, &found));
    assert_int_equal(found, 0);
    assert_int_equal(number("SELECT count(*) FROM chunk_vector"), 0);
}

static int sets_of(const char *model, int dim)
{
    struct conn *r = NULL;
    struct collection *col = NULL;
    int64_t generation = 0;
    assert_ok(&c, search_store_begin(&c, &r, &generation));
    assert_ok(&c, collection_get(&c, r, generation, &col));
    search_store_end(&r);
    const struct collection_set *set = collection_set(col, model, dim);
    int n = set ? (int)set->count : -1;
    collection_release(col);
    return n;
}

static void a_stored_embeddings_new_vector_lies_beside_until_it_moves_into_its_row_RAG_011(void **s)
{
    (void)s;
    float v[DIM] = { 1 };
    struct model_row m = old;
    m.label = "old";
    struct stored_embedding row = { .id = "emb_1", .user_id = "ann", .content = "I ran", .content_type = "workout", .model = "old", .of = &m,
                                    .metadata = "{}", .language = "en", .dim = DIM, .vector = v, .created_ms = 1 };
    put(&c, "a", "alpha", &old);
    assert_ok(&c, search_store_embeddings(&c, &row, 1));
    assert_int_equal(sets_of("old", DIM), 2);
    assert_non_null(begin(&new, false));
    assert_int_equal(make_all("new", 2 * DIM, 9), 2);
    /* Followed step by step or read all at once, both models' vectors are there and never in one set. */
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sets_of("old", DIM), 2);
        assert_int_equal(sets_of("new", 2 * DIM), 2);
        assert_int_equal(sets_of("old", 2 * DIM), -1);
        collection_forget("coach");
    }
    assert_true(change_over("new"));
    clean();
    assert_int_equal(number("SELECT count(*) FROM embedding WHERE model_name = 'new' AND dimension = 16 AND length(embedding_vector) = 64"), 1);
    assert_int_equal(number("SELECT count(*) FROM chunk_vector WHERE chunk_id = 'emb_1'"), 0);
    assert_int_equal(sets_of("new", 2 * DIM), 2);
    collection_renew(&c);
    assert_int_equal(sets_of("new", 2 * DIM), 2);
    assert_int_equal(sets_of("old", DIM), -1);
}

static atomic_bool over;
static atomic_int gone_until, searches;      /* documents below this number are deleted, and that was acknowledged */

static void *keep_searching(void *arg)
{
    struct call k;
    (void)arg;
    call_init(&k);
    k.rights = ~0u;
    assert_ok(&k, tenant_open(&k, "coach"));
    while (!atomic_load(&over)) {
        struct passage *p = NULL;
        int n = 0, before = atomic_load(&gone_until);
        arena_reset(&k.mem);
        k.span_count = 0;
        assert_ok(&k, search_text(&k, "kettlebell", &(struct search_opts){ .k = 100, .mode = SEARCH_KEYWORD }, &p, &n, NULL));
        for (int i = 0; i < n; i++) assert_true(atoi(p[i].document_id + 1) >= before);
        atomic_fetch_add(&searches, 1);
    }
    tenant_release(&k);
    call_dispose(&k);
    return NULL;
}

static void what_was_deleted_is_not_found_by_searches_that_begin_afterwards(void **s)
{
    (void)s;
    enum { DOCUMENTS = 40, READERS = 3 };
    pthread_t t[READERS];
    for (int i = 0; i < DOCUMENTS; i++) put(&c, arena_printf(&c.mem, "d%d", i), arena_printf(&c.mem, "kettlebell number %d", i), &old);
    atomic_store(&over, false);
    atomic_store(&gone_until, 0);
    for (int i = 0; i < READERS; i++) assert_int_equal(pthread_create(&t[i], NULL, keep_searching, NULL), 0);
    for (int i = 0; i < DOCUMENTS; i++) {
        drop(&c, arena_printf(&c.mem, "d%d", i));
        atomic_store(&gone_until, i + 1);
        int seen = atomic_load(&searches);
        for (int wait = 0; wait < 1000 && atomic_load(&searches) < seen + READERS; wait++) usleep(1000);
    }
    atomic_store(&over, true);
    for (int i = 0; i < READERS; i++) pthread_join(t[i], NULL);
    assert_true(atomic_load(&searches) > DOCUMENTS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    log_open(LOG_ERROR, 0);
    const struct CMUnitTest tests[] = {
        T(the_first_model_stored_answers_and_another_is_kept_aside),
        T(a_change_is_over_when_nothing_lacks_the_new_vector_and_not_before_RAG_014),
        T(turning_back_and_turning_to_a_third_leave_nothing_behind),
        T(a_declined_change_waits_until_somebody_asks),
        T(another_content_under_the_same_name_is_another_model),
        T(vectors_from_before_the_table_are_taken_to_be_of_the_model_of_that_name),
        T(a_text_is_known_while_something_stored_has_it_FIT_083),
        T(a_stored_embeddings_new_vector_lies_beside_until_it_moves_into_its_row_RAG_011),
        T(what_was_deleted_is_not_found_by_searches_that_begin_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
