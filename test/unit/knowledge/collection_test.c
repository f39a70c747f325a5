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

#include "knowledge/collection.h"
#include "knowledge/knowledge.h"
#include "knowledge/sample.h"
#include "knowledge/search_store.h"
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
    atomic_store(&done, false);
    fill(2000);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
    int64_t first = sample.first / SAMPLE_DOCUMENT;
    for (int i = 0; i < 12; i++) {
        fill(i % 3 ? 60 : 700);
        if (i % 4 == 1) assert_ok(&c, sample_drop(&c, first + i));
        if (i == 6) collections_open(1);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    collections_open((size_t)1 << 30);
}

static int setup(void **s)
{
    (void)s;
    bool created;
    sample.first = 0;
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, knowledge_open(&c));
    assert_ok(&c, tenant_create(&c, "t", "t", &created));
    assert_ok(&c, tenant_open(&c, "t"));
    c.span_count = 0;
    return 0;
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
        T(searches_go_on_while_parts_come_go_and_are_merged),
    };
    call_init(&c);
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    conf_free();
    call_dispose(&c);
    return failed;
}
