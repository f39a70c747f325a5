/* Thousands of chunks that come in parts: what is followed, merged behind and kept as bits is what is read anew. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "knowledge/collection.h"
#include "knowledge/index_file.h"
#include "knowledge/knowledge.h"
#include "knowledge/sample.h"
#include "knowledge/search_store.h"
#include "store/db.h"
#include "store/store.h"
#include "verbs.h"

static char dir[64];
static struct call c;
static struct passage *p;
static int n, question;
static struct sample sample = { .words = 100, .model = "toy", .dim = 32, .seed = 3 };

static void fill(int64_t chunks)
{
    sample.chunks = chunks;
    assert_ok(&c, sample_fill(&c, &sample));
    sample.first += chunks;
}

static void words(const char *q, struct search_opts o)
{
    struct search_info info;
    o.mode = SEARCH_KEYWORD;
    o.k = 20;
    p = NULL;
    assert_ok(&c, search_text(&c, q, &o, &p, &n, &info));
    assert_false(info.cached);
}

static struct collection *now(struct conn **r)
{
    int64_t generation = 0;
    struct collection *col = NULL;
    assert_ok(&c, search_store_begin(&c, r, &generation));
    assert_ok(&c, collection_get(&c, *r, generation, &col));
    assert_int_equal(collection_generation(col), generation);
    return col;
}

/* The same questions to what was followed and to what is read anew; a space makes another cache key. */
static void same_anew(int questions)
{
    for (int i = 0; i < questions; i++) {
        const char *q = sample_question(&c, &sample, ++question, 1 + i % 6, i % 2);
        words(q, (struct search_opts){ 0 });
        struct passage *followed = p;
        int found = n;
        collection_forget(c.creator_id);
        words(arena_printf(&c.mem, " %s", q), (struct search_opts){ 0 });
        assert_int_equal(n, found);
        for (int k = 0; k < n; k++) {
            assert_string_equal(p[k].chunk_id, followed[k].chunk_id);
            assert_float_equal(p[k].score_bm25, followed[k].score_bm25, 1e-5);
        }
        words(arena_printf(&c.mem, "  %s", q), (struct search_opts){ 0 });   /* brought back for the next */
    }
}

static void parts_that_are_followed_and_merged_behind_equal_all_at_once(void **s)
{
    (void)s;
    words("first", (struct search_opts){ 0 });
    for (int i = 0; i < 8; i++) {
        fill(i % 2 ? 40 : 1000);
        words(sample_question(&c, &sample, ++question, 3, true), (struct search_opts){ 0 });
    }
    for (int i = 0; i < 30; i++) {
        fill(1);
        words(sample_question(&c, &sample, ++question, 3, true), (struct search_opts){ 0 });
    }
    same_anew(8);
}

static void bits_of_a_filter_follow_what_comes_and_goes_ARC_009(void **s)
{
    (void)s;
    json_t *filter = json_pack("{s:[i,i]}", "group", 7, 12);
    int64_t per_group = SAMPLE_DOCUMENT;
    for (int round = 0; round < 4; round++) {
        fill(200 * SAMPLE_DOCUMENT);           /* two documents more of each group */
        struct conn *r = NULL;
        struct collection *col = now(&r);
        for (int again = 0; again < 2; again++) {
            const uint64_t *bits = collection_allowed(&c, col, "", NULL, filter);
            int seen = 0;
            for (uint32_t i = 0; i < collection_count(col); i++) seen += (int)(bits[i / 64] >> (i % 64) & 1);
            assert_int_equal(seen, (int)((2 * (round + 1) * 2 - round) * per_group));
            /* Another user sees more with other bits: documents 9, 19, … belong to users. */
            const uint64_t *theirs = collection_allowed(&c, col, "u0", NULL, NULL), *shared = collection_allowed(&c, col, "", NULL, NULL);
            int all = 0, common = 0;
            for (uint32_t i = 0; i < collection_count(col); i++) {
                all += (int)(theirs[i / 64] >> (i % 64) & 1);
                common += (int)(shared[i / 64] >> (i % 64) & 1);
            }
            assert_true(all > common);
        }
        collection_release(col);
        search_store_end(&r);
        assert_ok(&c, sample_drop(&c, round * 200 + 7));
    }
    json_decref(filter);
}

/* ---- the file ---- */

static const char *file_path(const char *end)
{
    return arena_printf(&c.mem, "%s/.search-index%s", tenant_dir(c.tenant), end);
}

static bool stands(void)
{
    return access(file_path(""), F_OK) == 0;
}

/* Items of the file as it is, -1 when it does not fit the database. */
static int64_t fits(struct collection **out)
{
    struct conn *r = NULL;
    int64_t generation = 0;
    assert_ok(&c, search_store_begin(&c, &r, &generation));
    *out = index_file_read(&c, r, generation);
    search_store_end(&r);
    return *out ? (int64_t)collection_count(*out) : -1;
}

/* Waits until the thread behind has written a file that holds all there is. */
static void wait_for_file(void)
{
    struct collection *col = NULL;
    words("first", (struct search_opts){ 0 });
    /* It has its name a moment before the transaction that vouches for it is seen. */
    for (int i = 0; i < 2000 && (!stands() || fits(&col) < 0); i++) usleep(10000);
    assert_true(stands());
    collection_release(col);
}

static void an_index_file_gives_what_the_database_gives_and_what_changed_since(void **s)
{
    (void)s;
    struct collection *col = NULL;
    collections_keep(500, 20);
    fill(1300);
    wait_for_file();
    assert_int_equal(fits(&col), 1300);
    collection_release(col);
    same_anew(4);                              /* forgets, and opens the file */
    fill(37);
    same_anew(4);                              /* opens the file, and follows */
    float v[32] = { 0 };
    v[3] = 1;
    struct conn *r = NULL;
    col = now(&r);
    const struct collection_set *set = collection_set(col, "toy", 32);
    assert_int_equal(set->count, 1337);
    struct vector_hit near[5], again[5];
    assert_int_equal(vectors_scan(set->rows, v, set->count, NULL, 5, near), 5);
    collection_release(col);
    search_store_end(&r);
    unlink(file_path(""));
    collection_forget(c.creator_id);
    col = now(&r);
    set = collection_set(col, "toy", 32);
    assert_int_equal(vectors_scan(set->rows, v, set->count, NULL, 5, again), 5);
    assert_memory_equal(near, again, sizeof near);
    collection_release(col);
    search_store_end(&r);
}

static void what_is_deleted_leaves_the_file_at_once_and_a_new_one_comes_without_it(void **s)
{
    (void)s;
    struct collection *col = NULL;
    collections_keep(500, 20);
    fill(1000);
    wait_for_file();
    assert_ok(&c, sample_drop(&c, 3));
    assert_false(stands());
    assert_int_equal(fits(&col), -1);
    wait_for_file();
    assert_int_equal(fits(&col), 1000 - SAMPLE_DOCUMENT);
    collection_release(col);
    words("sample_3", (struct search_opts){ 0 });
    for (int i = 0; i < n; i++) assert_string_not_equal(p[i].document_id, "sample_3");
    collection_forget(c.creator_id);           /* what is still carried along counts as documents */
    same_anew(3);
}

static void a_file_of_another_state_or_with_damage_is_not_used(void **s)
{
    (void)s;
    struct collection *col = NULL;
    collections_keep(500, 20);
    fill(600);
    wait_for_file();
    for (int i = 0; i < 300 && fits(&col) != 600; i++, usleep(10000)) collection_release(col);
    assert_non_null(col);
    collection_release(col);
    collections_keep(UINT32_MAX, 1000000);
    FILE *f = fopen(file_path(""), "r");
    assert_non_null(f);
    static char bytes[4 << 20], other[sizeof bytes] __attribute__((aligned(64)));
    size_t size = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    assert_true(size > 100000 && size < sizeof bytes);
    char mark[INDEX_MARK_BYTES];
    const char *why = NULL;
    memcpy(other, bytes, size);
    col = index_file_parse(other, size, mark, &why);
    assert_non_null(col);
    collection_release(col);
    for (size_t cut = 0; cut < size; cut = cut * 3 / 2 + 1) assert_null(index_file_parse(other, cut, mark, &why));
    uint32_t x = 1;
    for (int i = 0; i < 300; i++) {
        x = x * 1664525u + 1013904223u;
        size_t at = i < 60 ? (size_t)i * 3 : (size_t)x % size;
        other[at] ^= (char)(1 << (x >> 29));
        assert_null(index_file_parse(other, size, mark, &why));
        assert_non_null(why);
        other[at] = bytes[at];
    }
    /* Bytes that say they are whole: refused by what they say, or as good as what was written. */
    for (int i = 0; i < 300; i++) {
        x = x * 1664525u + 1013904223u;
        size_t at = i < 200 ? (size_t)i : (size_t)x % size;
        other[at] ^= (char)(1 << (x >> 29));
        index_file_seal(other, size);
        col = index_file_parse(other, size, mark, &why);
        assert_true(!col == !!why);
        collection_release(col);
        memcpy(other, bytes, size);
    }
    /* A database that went back to an earlier state, or another's, holds another mark. */
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "UPDATE meta SET value = 'idx_other' WHERE name = 'search_index'"));
    assert_ok(&c, db_commit(&c, &w));
    assert_int_equal(fits(&col), -1);
    same_anew(2);
}

static void add_item(struct conn *w, const char *id)
{
    assert_ok(&c, db_run(&c, w, "INSERT INTO search_item (kind, ref, source, user_id, content_type) VALUES (0, ?s, ?s, '', 'document')", id, id));
    assert_ok(&c, db_run(&c, w, "INSERT INTO search_term (item, title, heading, body) VALUES ((SELECT item FROM search_item WHERE ref = ?s), "
                                "'', '', 'zebrafish')", id));
    assert_ok(&c, db_run(&c, w, "UPDATE search_state SET generation = generation + 1 WHERE id = 1"));
}

static atomic_bool done;

static void *reader(void *arg)
{
    struct call k;
    (void)arg;
    call_init(&k);
    if (tenant_open(&k, "t")) abort();
    for (int i = 0; !atomic_load(&done); i++) {
        struct passage *q = NULL;
        struct search_info info;
        int found = 0;
        arena_reset(&k.mem);
        k.span_count = 0;
        json_t *filter = i % 3 ? NULL : json_pack("{s:i}", "group", i % 100);
        const char *text = sample_question(&k, &sample, 1000 + i, 4, i % 2);
        if (search_text(&k, text, &(struct search_opts){ .mode = SEARCH_KEYWORD, .k = 10, .filter = filter }, &q, &found, &info)) abort();
        for (int j = 1; j < found; j++)
            if (q[j - 1].score < q[j].score) abort();
        json_decref(filter);
    }
    tenant_release(&k);
    call_dispose(&k);
    return NULL;
}

static void searches_go_on_while_parts_come_go_and_are_merged(void **s)
{
    (void)s;
    pthread_t t[3];
    collections_keep(500, 5);
    atomic_store(&done, false);
    fill(2000);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
    int64_t first = sample.first / SAMPLE_DOCUMENT;
    for (int i = 0; i < 12; i++) {
        fill(i % 3 ? 60 : 700);
        if (i % 4 == 1) assert_ok(&c, sample_drop(&c, first + i));
        if (i == 6) collections_open(1);
        /* Of three writers one takes back what it prepared. */
        struct conn *w = NULL;
        collection_catch_up(&c);
        assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
        add_item(w, arena_printf(&c.mem, "own %d", i));
        struct collection_coming *coming = collection_prepare(&c, w);
        if (i % 3) assert_ok(&c, db_commit(&c, &w));
        collection_settle(coming, i % 3);
        db_release(&w);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    /* What was deleted counts in the scores until the next file, which must not be written between two readings. */
    collections_close();
    collections_keep(UINT32_MAX, 5000);
    collections_open((size_t)1 << 30);
    same_anew(4);
}

static int setup(void **s)
{
    (void)s;
    bool created;
    sample.first = 0;
    collections_keep(UINT32_MAX, 5000);
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, knowledge_open(&c));
    assert_ok(&c, tenant_create(&c, "t", "t", &created));
    assert_ok(&c, tenant_open(&c, "t"));
    c.span_count = 0;
    return 0;
}

/* ---- what a writer brings in itself ---- */

static int zebrafish(const struct collection *col)
{
    const char *term = "zebrafish";
    struct collection_hit hits[8];
    return collection_words(col, &term, 1, NULL, 8, hits);
}

static void what_a_writer_prepared_is_found_as_soon_as_it_is_committed_and_not_before(void **s)
{
    (void)s;
    struct conn *r = NULL, *w = NULL;
    fill(500);
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    add_item(w, "unread");
    assert_null(collection_prepare(&c, w));             /* nobody has asked yet */
    assert_ok(&c, db_commit(&c, &w));
    db_release(&w);
    struct collection *col = now(&r);
    assert_int_equal(zebrafish(col), 1);
    collection_release(col);
    search_store_end(&r);
    for (int early = 0; early < 2; early++) {           /* a search comes before the writer hears of its commit, or after */
        collection_catch_up(&c);
        assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
        add_item(w, early ? "second" : "first");
        struct collection_coming *coming = collection_prepare(&c, w);
        assert_non_null(coming);
        col = now(&r);
        assert_int_equal(zebrafish(col), 1 + early);
        collection_release(col);
        search_store_end(&r);
        assert_ok(&c, db_commit(&c, &w));
        for (int i = 0; i < 2; i++) {
            if (i != early) {
                collection_settle(coming, true);
                coming = NULL;
            }
            col = now(&r);
            assert_int_equal(zebrafish(col), 2 + early);
            collection_release(col);
            search_store_end(&r);
        }
        db_release(&w);
    }
    same_anew(4);
}

static void what_a_writer_prepared_and_took_back_is_not_there(void **s)
{
    (void)s;
    struct conn *r = NULL, *w = NULL;
    fill(500);
    struct collection *col = now(&r);
    collection_release(col);
    search_store_end(&r);
    for (int i = 0; i < 3; i++) {
        assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
        add_item(w, "withdrawn");
        struct collection_coming *coming = collection_prepare(&c, w);
        assert_non_null(coming);
        if (i == 1) collection_forget(c.creator_id);
        collection_settle(coming, false);
        db_release(&w);
        col = now(&r);
        assert_int_equal(zebrafish(col), 0);
        assert_int_equal(collection_count(col), 500 + i);
        collection_release(col);
        search_store_end(&r);
        fill(1);
        col = now(&r);
        assert_int_equal(collection_count(col), 501 + i);
        collection_release(col);
        search_store_end(&r);
    }
    same_anew(4);
}

static int teardown(void **s)
{
    (void)s;
    tenant_release(&c);
    knowledge_close();
    store_close();
    folder_remove(dir);
    arena_reset(&c.mem);
    return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(parts_that_are_followed_and_merged_behind_equal_all_at_once),
        T(bits_of_a_filter_follow_what_comes_and_goes_ARC_009),
        T(an_index_file_gives_what_the_database_gives_and_what_changed_since),
        T(what_is_deleted_leaves_the_file_at_once_and_a_new_one_comes_without_it),
        T(a_file_of_another_state_or_with_damage_is_not_used),
        T(searches_go_on_while_parts_come_go_and_are_merged),
        T(what_a_writer_prepared_is_found_as_soon_as_it_is_committed_and_not_before),
        T(what_a_writer_prepared_and_took_back_is_not_there),
    };
    call_init(&c);
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    conf_free();
    call_dispose(&c);
    return failed;
}
