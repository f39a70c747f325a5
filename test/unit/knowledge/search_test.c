/* Search over a real store: who sees what, what is found, what is never stale. Tests that need vectors use the default
 * model and are skipped where it is not installed. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "instance.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/feedback.h"
#include "knowledge/knowledge.h"
#include "knowledge/rerank.h"
#include "knowledge/search.h"
#include "knowledge/search_index.h"
#include "knowledge/search_store.h"
#include "store/db.h"
#include "store/store.h"
#include "verbs.h"

static bool model;             /* the default model is installed */
static struct passage *p;
static struct search_info info;
static int n;

struct doc { const char *id, *title, *text, *user, *type, *metadata; };

static void put_in(struct call *k, const struct doc *d, const float *v, const char *v_model, int dim)
{
    struct conn *w = NULL;
    const char *lang = text_language(d->text, strlen(d->text));
    const char *user = d->user ? d->user : "", *type = d->type ? d->type : "document";
    assert_ok(k, db_write(k, tenant_db(k->tenant), &w));
    assert_ok(k, search_index_drop(k, w, d->id));
    assert_ok(k, db_run(k, w, "DELETE FROM chunk WHERE document_id = ?s", d->id));
    assert_ok(k, db_run(k, w, "DELETE FROM document WHERE id = ?s", d->id));
    assert_ok(k, db_run(k, w, "INSERT INTO document (id, title, media_type, sha256, split, state, size_bytes, created_at, updated_at, metadata, "
                              "content_type, user_id) VALUES (?s, ?s, 'text/plain', '', '', 'ready', 1, ?i, 1, ?s, ?s, ?s)",
                        d->id, d->title ? d->title : "", (int64_t)1700000000000, d->metadata ? d->metadata : "{}", type, user));
    const char *chunk = arena_printf(&k->mem, "%s_0", d->id);
    assert_ok(k, db_run(k, w, "INSERT INTO chunk (id, document_id, idx, text, page, start_byte, end_byte, user_id, content_type, language) "
                              "VALUES (?s, ?s, 0, ?s, 3, 10, ?i, ?s, ?s, ?s)",
                        chunk, d->id, d->text, (int64_t)(10 + strlen(d->text)), user, type, lang));
    if (v) assert_ok(k, search_vector_put(k, w, chunk, v_model, dim, v));
    assert_ok(k, search_index_put(k, w, d->id));
    assert_ok(k, db_commit(k, &w));
}

static void put(const char *id, const char *title, const char *text, const char *user, const char *type, const char *metadata)
{
    struct doc d = { id, title, text, user, type, metadata };
    const float *v = NULL;
    const char *name = NULL;
    int dim = 0;
    if (encoder_default()) assert_ok(&c, embed_text(&c, text, strlen(text), &v, &dim, &name));
    put_in(&c, &d, v, name, dim);
}

static void drop(const char *id)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, search_index_drop(&c, w, id));
    assert_ok(&c, db_run(&c, w, "DELETE FROM chunk WHERE document_id = ?s", id));
    assert_ok(&c, db_run(&c, w, "DELETE FROM document WHERE id = ?s", id));
    assert_ok(&c, db_commit(&c, &w));
}

static void search(const char *q, struct search_opts o)
{
    p = NULL;
    n = -1;
    assert_ok(&c, search_text(&c, q, &o, &p, &n, &info));
}

static int rank_of(const char *document)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(p[i].document_id, document)) return i + 1;
    return 0;
}

static void handbook(void)
{
    put("sleep", "Recovery", "Sleep eight hours. Good sleep is when muscles recover from training.", NULL, NULL, "{\"topic\":\"sleep\",\"level\":1}");
    put("protein", "Nutrition", "Eat 1.6 grams of protein per kilogram of body weight every day.", NULL, NULL,
        "{\"topic\":\"food\",\"tags\":[\"protein\",\"diet\"],\"level\":2}");
    put("squat", "Strength", "Start the squat with 5x5 at 60 kg and test your 1RM after twelve weeks.", NULL, NULL, NULL);
    put("pushup", "Bodyweight", "Do push-ups every second day, with a straight back.", NULL, NULL, "{\"topic\":\"strength\"}");
    put("sueno", "Descanso", "Duerme ocho horas. El sueño es cuando los músculos se recuperan del entrenamiento.", NULL, NULL, NULL);
}

static void need_model(void)
{
    if (model) return;
    print_message("skipped: the default model is not installed\n");
    skip();
}

/* ---- */

static void the_right_passage_is_found_with_its_place(void **s)
{
    (void)s;
    handbook();
    search("how much protein should I eat?", (struct search_opts){ 0 });
    assert_string_equal(p[0].document_id, "protein");
    assert_string_equal(p[0].chunk_id, "protein_0");
    assert_string_equal(p[0].title, "Nutrition");
    assert_int_equal(p[0].page, 3);
    assert_int_equal(p[0].start_byte, 10);
    assert_int_equal(p[0].end_byte, 10 + strlen(p[0].text));
    assert_true(p[0].created_ms == 1700000000000);
    assert_true(n <= 5);
    for (int i = 1; i < n; i++) assert_true(p[i - 1].score >= p[i].score);
}

static void keyword_search_matches_fitness_forms_and_spanish_RAG_019(void **s)
{
    (void)s;
    handbook();
    const struct { const char *query, *document; } cases[] = {
        { "1rm", "squat" }, { "push up", "pushup" }, { "pushups", "pushup" }, { "5 x 5", "squat" }, { "60kg", "squat" },
        { "recuperación de un músculo", "sueno" }, { "SUEÑO", "sueno" }, { "sueno", "sueno" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        search(cases[i].query, (struct search_opts){ .mode = SEARCH_KEYWORD });
        assert_int_equal(rank_of(cases[i].document), 1);
        assert_float_equal(p[0].score, 1.0f, 1e-6);
        assert_true(p[0].score_bm25 > 0);
        assert_int_equal(p[0].rank_keyword, 1);
    }
    search("the of and is", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(n, 0);
}

static void a_document_is_found_by_its_exact_title_even_of_stop_words(void **s)
{
    (void)s;
    handbook();
    put("who", "Who are you?", "Anna, a coach from Lisbon.", NULL, NULL, NULL);
    put("week", "What does a deload week look like?", "Half of everything, for seven days.", NULL, NULL, NULL);
    search("What does a deload week look like?", (struct search_opts){ 0 });
    assert_int_equal(rank_of("week"), 1);
    search("Who are you?", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(rank_of("who"), 1);
}

static void a_user_sees_shared_passages_and_their_own_alone_RAG_005(void **s)
{
    (void)s;
    handbook();
    put("ann", "", "My secret sleep diary: I slept badly.", "ann", "progress", NULL);
    put("bob", "", "My secret sleep diary: I slept well.", "bob", "progress", NULL);
    static const enum search_mode modes[] = { SEARCH_HYBRID, SEARCH_SEMANTIC, SEARCH_KEYWORD };
    for (int i = 0; i < 3; i++) {
        search("secret sleep diary", (struct search_opts){ .mode = modes[i], .user_id = "ann", .k = 100 });
        assert_true(rank_of("ann") > 0 && rank_of("sleep") > 0);
        assert_int_equal(rank_of("bob"), 0);
        search("secret sleep diary", (struct search_opts){ .mode = modes[i], .k = 100 });
        assert_int_equal(rank_of("ann") + rank_of("bob"), 0);
        search("secret sleep diary", (struct search_opts){ .mode = modes[i], .user_id = "an", .k = 100 });
        assert_int_equal(rank_of("ann") + rank_of("bob"), 0);
    }
    snprintf(c.user_id, sizeof c.user_id, "bob");
    search("secret sleep diary", (struct search_opts){ .k = 100 });
    assert_true(rank_of("bob") > 0);
    assert_int_equal(rank_of("ann"), 0);
    c.user_id[0] = 0;
}

static void types_and_metadata_filter_before_the_legs_ARC_009(void **s)
{
    (void)s;
    handbook();
    put("goal", "", "I want to sleep better.", NULL, "goal", "{\"topic\":\"sleep\"}");
    static const char *const goals[] = { "goal", NULL };
    search("sleep", (struct search_opts){ .types = goals, .k = 100 });
    assert_int_equal(n, 1);
    assert_int_equal(rank_of("goal"), 1);
    const struct { const char *filter; int found; } cases[] = {
        { "{\"topic\":\"sleep\"}", 2 },           { "{\"topic\":[\"sleep\",\"food\"]}", 3 },  { "{\"level\":2}", 1 },
        { "{\"level\":2.0}", 1 },                 { "{\"tags\":\"diet\"}", 1 },               { "{\"topic\":\"sleep\",\"level\":1}", 1 },
        { "{\"topic\":\"Sleep\"}", 0 },           { "{\"nothing\":true}", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *filter = json_loads(cases[i].filter, 0, NULL);
        search("sleep protein training", (struct search_opts){ .filter = filter, .k = 100, .mode = model ? SEARCH_SEMANTIC : SEARCH_KEYWORD });
        if (model) assert_int_equal(n, cases[i].found);
        else assert_true(n <= cases[i].found);
        json_decref(filter);
    }
}

static void what_was_added_or_dropped_counts_in_the_next_search_and_no_cache_is_stale_RAG_024(void **s)
{
    (void)s;
    handbook();
    search("kettlebell swing", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(n, 0);
    put("swing", "Power", "The kettlebell swing trains the hips.", NULL, NULL, NULL);
    search("kettlebell swing", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(rank_of("swing"), 1);
    assert_false(info.cached);
    search("kettlebell swing", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(rank_of("swing"), 1);
    assert_true(info.cached);
    assert_string_equal(info.strategy, "keyword");
    search("kettlebell swing", (struct search_opts){ .mode = SEARCH_KEYWORD, .k = 6 });
    assert_false(info.cached);
    put("swing", "Power", "Now it is about rope skipping.", NULL, NULL, NULL);
    search("kettlebell swing", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(n, 0);
    drop("swing");
    search("rope skipping", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(n, 0);
    search("rope skipping", (struct search_opts){ .k = 100 });
    assert_int_equal(rank_of("swing"), 0);
}

static void without_an_encoder_words_answer_and_the_strategy_says_so(void **s)
{
    (void)s;
    handbook();
    struct encoder *enc = encoder_default();
    encoder_set_default(NULL);
    search("protein of today", (struct search_opts){ 0 });
    encoder_set_default(enc);
    assert_string_equal(info.strategy, "keyword (no encoder)");
    assert_null(info.model);
    assert_false(info.cached);
    assert_int_equal(rank_of("protein"), 1);
    assert_true(metric_read("chiron_search_degraded_total", "why=\"encoder\"") >= 1);
}

static void when_time_is_short_words_answer_and_past_the_deadline_nothing(void **s)
{
    (void)s;
    handbook();
    c.deadline_ms = clock_mono_ms() + 2;
    enum err e = search_text(&c, "protein in a hurry", &(struct search_opts){ 0 }, &p, &n, &info);
    c.deadline_ms = 0;
    if (e == OK) assert_string_equal(info.strategy, "keyword (no time)");
    else assert_int_equal(e, ERR_TIMEOUT);
    call_forgive(&c);
    c.deadline_ms = clock_mono_ms() - 1;
    assert_int_equal(search_text(&c, "too late", &(struct search_opts){ 0 }, &p, &n, &info), ERR_TIMEOUT);
    c.deadline_ms = 0;
    call_forgive(&c);
}

static void a_threshold_changes_the_count_and_unrelated_questions_find_nothing_RAG_018_CRE_027(void **s)
{
    (void)s;
    need_model();
    handbook();
    search("how long should I sleep", (struct search_opts){ .mode = SEARCH_SEMANTIC, .k = 100 });
    int all = n;
    assert_int_equal(all, 5);
    float middle = (p[0].score + p[all - 1].score) / 2;
    search("how long should I sleep", (struct search_opts){ .mode = SEARCH_SEMANTIC, .k = 100, .threshold = middle });
    assert_true(n > 0 && n < all);
    for (int i = 0; i < n; i++) assert_true(p[i].score >= middle);
    search("the capital of France is Paris", (struct search_opts){ .k = 100, .min_cosine = 0.25f });
    assert_int_equal(n, 0);
    search("how long should I sleep", (struct search_opts){ .k = 100, .threshold = 0.9f });
    assert_int_equal(n, 1);
    search("how long should I sleep", (struct search_opts){ .k = 100, .threshold = 0.0f });
    assert_true(n > 1);
}

/* Every score of the last search from what each leg gave. */
static void check_formula(float alpha)
{
    float lo[2] = { 9, 1e9f }, hi[2] = { -9, 0 };
    for (int i = 0; i < n; i++) {
        if (p[i].rank_semantic && p[i].score_semantic < lo[0]) lo[0] = p[i].score_semantic;
        if (p[i].rank_semantic && p[i].score_semantic > hi[0]) hi[0] = p[i].score_semantic;
        if (p[i].rank_keyword && p[i].score_bm25 < lo[1]) lo[1] = p[i].score_bm25;
        if (p[i].rank_keyword && p[i].score_bm25 > hi[1]) hi[1] = p[i].score_bm25;
    }
    for (int i = 0; i < n; i++) {
        float sem = !p[i].rank_semantic ? 0 : hi[0] > lo[0] ? (p[i].score_semantic - lo[0]) / (hi[0] - lo[0]) : 1;
        float key = !p[i].rank_keyword ? 0 : hi[1] > lo[1] ? (p[i].score_bm25 - lo[1]) / (hi[1] - lo[1]) : 1;
        assert_float_equal(p[i].score, alpha * sem + (1 - alpha) * key, 1e-5);
    }
}

static void hybrid_is_the_formula_over_both_legs_RAG_020(void **s)
{
    (void)s;
    need_model();
    handbook();
    static const float alphas[] = { 0, 0.3f, 0.5f, 1 };
    for (int a = 0; a < 4; a++) {
        search("sleep and recover", (struct search_opts){ .k = 100, .alpha = alphas[a], .alpha_set = true });
        check_formula(alphas[a]);
        for (int i = 0; i < n; i++)
            if (p[i].rank_semantic) assert_float_equal(p[i].score_semantic, p[i].score_cos, 0);
        if (alphas[a] >= 1)
            for (int i = 0; i < n; i++) assert_int_equal(p[i].rank_semantic, i + 1);
    }
}

/* 64 notes on the same three subjects, enough that the semantic leg leaves some out. */
static void many_notes(void)
{
    static const char *const what[] = { "Sleep", "Protein", "Squats", "Walking" },
                             *const when[] = { "on Monday", "in the morning", "after work", "before bed" },
                             *const why[] = { "helps muscles recover", "gives you energy", "is part of the plan", "lowers stress" };
    for (int i = 0; i < 64; i++)
        put(arena_printf(&c.mem, "note%d", i), "", arena_printf(&c.mem, "%s %s %s.", what[i % 4], when[i / 4 % 4], why[i / 16]), NULL, NULL, NULL);
}

static void the_best_passages_refine_the_semantic_leg_and_nothing_that_is_shown(void **s)
{
    (void)s;
    need_model();
    many_notes();
    search("sleep before bed", (struct search_opts){ .k = 64 });
    check_formula(0.5f);
    int plain = 0, moved = 0;
    for (int i = 0; i < n; i++) plain += p[i].rank_semantic == 0;
    assert_int_equal(plain, 0);
    search("sleep before bed", (struct search_opts){ .k = 10 });
    const struct passage *hybrid = p;
    int shown = n;
    search("sleep before bed", (struct search_opts){ .mode = SEARCH_SEMANTIC, .k = 64 });
    for (int i = 0; i < shown; i++) {
        assert_float_equal(hybrid[i].score_cos, p[rank_of(hybrid[i].document_id) - 1].score, 1e-6);
        moved += hybrid[i].rank_semantic && hybrid[i].score_semantic > hybrid[i].score_cos + 0.1f;
    }
    assert_true(moved > 0);
    /* One leg alone decides: nothing is refined. */
    search("sleep before bed", (struct search_opts){ .k = 10, .alpha = 1, .alpha_set = true });
    for (int i = 0; i < n; i++) assert_int_equal(p[i].rank_semantic, i + 1);
    for (int i = 0; i < n; i++) assert_float_equal(p[i].score_semantic, p[i].score_cos, 0);
}

static void a_misspelt_word_is_put_right_by_the_material_and_said(void **s)
{
    (void)s;
    handbook();
    static const struct { const char *asked, *meant, *found; } rows[] = {
        { "protien per day", "protein per day", "protein" },
        { "how to do a sqat", "how to do a squat", "squat" },
    };
    for (int i = 0; i < 2; i++)
        for (int again = 0; again < 2; again++) {
            search(rows[i].asked, (struct search_opts){ 0 });
            assert_string_equal(info.corrected, rows[i].meant);
            assert_string_equal(p[0].document_id, rows[i].found);
            assert_int_equal(info.cached, again);
            assert_true(p[0].rank_keyword > 0);
        }
    search("protein per day", (struct search_opts){ 0 });
    assert_null(info.corrected);
    search("protien", (struct search_opts){ .mode = SEARCH_KEYWORD, .as_written = true });
    assert_null(info.corrected);
    assert_int_equal(n, 0);
}

static void what_may_not_be_a_slip_stays_as_it_was_typed(void **s)
{
    (void)s;
    handbook();
    static const char *const asked[] = {
        "is Protien a name?", "protien7", "write to protien@example.com", "www.protien.com", "sqt", "que es la protiena",
        "cuantas protienas como al dia", "xqzwv", "slept", "prot\xc3\xadin\xff", "protien's", "...", "5x5 1RM", "protien gutne schlof oizwv",
    };
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        search(asked[i], (struct search_opts){ .mode = SEARCH_KEYWORD });
        if (info.corrected) print_error("%s: %s\n", asked[i], info.corrected);
        assert_null(info.corrected);
    }
}

static void a_word_of_another_user_is_not_offered_RAG_026(void **s)
{
    (void)s;
    handbook();
    put("secret", "", "My physiotherapist treats the tendonitis of my elbow.", "anna", "goal", NULL);
    search("physiotherpaist advice", (struct search_opts){ .user_id = "anna" });
    assert_string_equal(info.corrected, "physiotherapist advice");
    search("physiotherpaist advice", (struct search_opts){ .user_id = "bert" });
    assert_null(info.corrected);
    assert_int_equal(rank_of("secret"), 0);
}

static void vectors_of_two_models_are_never_compared_RAG_014(void **s)
{
    (void)s;
    need_model();
    handbook();
    float *wide = arena_array(&c.mem, 1536, sizeof *wide), *same = arena_array(&c.mem, 384, sizeof *same);
    wide[0] = same[0] = 1;
    put_in(&c, &(struct doc){ .id = "wide", .text = "zzz yyy" }, wide, "text-embedding-3-small", 1536);
    put_in(&c, &(struct doc){ .id = "other", .text = "xxx www" }, same, "another-model", 384);
    search("sleep", (struct search_opts){ .mode = SEARCH_SEMANTIC, .k = 100 });
    assert_int_equal(rank_of("wide") + rank_of("other"), 0);
    assert_true(n >= 5);
    assert_string_equal(info.model, encoder_name(encoder_default()));
    search("zzz", (struct search_opts){ .k = 100 });
    assert_int_equal(p[rank_of("wide") - 1].rank_semantic, 0);
    assert_float_equal(p[rank_of("wide") - 1].score_cos, -2, 0);
}

static void a_later_vector_of_a_chunk_replaces_the_first(void **s)
{
    (void)s;
    need_model();
    handbook();
    search("warm", (struct search_opts){ 0 });
    const float *v = NULL;
    const char *name;
    int dim;
    struct conn *w = NULL;
    assert_ok(&c, embed_text(&c, "volcanoes in Iceland", 20, &v, &dim, &name));
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, search_vector_put(&c, w, "squat_0", name, dim, v));
    assert_ok(&c, db_commit(&c, &w));
    search("volcanoes in Iceland", (struct search_opts){ .mode = SEARCH_SEMANTIC, .k = 100 });
    assert_int_equal(rank_of("squat"), 1);
    assert_float_equal(p[0].score, 1, 1e-3);
    assert_int_equal(n, 5);
}

static void the_same_text_is_embedded_once_until_it_expires_RAG_023(void **s)
{
    (void)s;
    need_model();
    const float *a = NULL, *b = NULL;
    const char *name = NULL;
    int dim = 0;
    const char *runs = "model=\"encoder\"";
    double before = metric_read("chiron_model_inference_seconds", runs);
    assert_ok(&c, embed_text(&c, "once and again", 14, &a, &dim, &name));
    assert_ok(&c, embed_text(&c, "once and again", 14, &b, &dim, &name));
    assert_float_equal(metric_read("chiron_model_inference_seconds", runs), before + 1, 0);
    assert_memory_equal(a, b, (size_t)dim * sizeof *a);
    assert_int_equal(dim, 384);
    /* The store's copy answers where this process's is gone. */
    embed_close();
    embed_open(16, 3600 * 1000);
    assert_ok(&c, embed_text(&c, "once and again", 14, &b, &dim, &name));
    assert_float_equal(metric_read("chiron_model_inference_seconds", runs), before + 1, 0);
    assert_memory_equal(a, b, (size_t)dim * sizeof *a);
    embed_close();
    embed_open(16, 1);
    assert_ok(&c, embed_text(&c, "short-lived", 11, &a, &dim, &name));
    usleep(5000);
    assert_ok(&c, embed_text(&c, "short-lived", 11, &a, &dim, &name));
    assert_float_equal(metric_read("chiron_model_inference_seconds", runs), before + 3, 0);
    embed_close();
    embed_open(1024, 3600 * 1000);
}

static void a_batch_is_the_same_as_its_texts_one_by_one_RAG_022(void **s)
{
    (void)s;
    need_model();
    const char *texts[] = { "row one", "cached", "row three", "row one" };
    const float *all = NULL, *one = NULL;
    const char *name = NULL;
    int dim = 0;
    assert_ok(&c, embed_text(&c, texts[1], 6, &one, &dim, &name));
    assert_ok(&c, embed_texts(&c, ENCODER_QUERY, texts, NULL, 4, &all, &dim, &name));
    for (int i = 0; i < 4; i++) {
        assert_ok(&c, embed_text(&c, texts[i], strlen(texts[i]), &one, &dim, &name));
        for (int k = 0; k < dim; k++) assert_float_equal(all[i * dim + k], one[k], 1e-2);
    }
}

static void a_batch_of_256_costs_less_than_256_single_calls_RAG_022(void **s)
{
    (void)s;
    need_model();
    enum { N = 256 };
    const char *texts[N], *name = NULL;
    const float *v = NULL;
    int dim = 0;
    for (int i = 0; i < N; i++) texts[i] = arena_printf(&c.mem, "batched text number %d", i);
    clock_t start = clock();
    assert_ok(&c, embed_texts(&c, ENCODER_QUERY, texts, NULL, N, &v, &dim, &name));
    clock_t batch = clock() - start;
    for (int i = 0; i < N; i++) texts[i] = arena_printf(&c.mem, "single text number %d", i);
    start = clock();
    for (int i = 0; i < N; i++) assert_ok(&c, embed_text(&c, texts[i], strlen(texts[i]), &v, &dim, &name));
    assert_true(batch < clock() - start);
}

static void a_stored_embedding_has_its_nine_fields_and_is_its_users_content_RAG_004_RAG_011(void **s)
{
    (void)s;
    handbook();
    float v[384] = { 1 };
    struct stored_embedding row = { .id = "emb_1", .user_id = "ann", .content = "I ran ten kilometres on Monday", .content_type = "workout",
                                    .model = "all-MiniLM-L6-v2", .metadata = "{\"topic\":\"run\"}", .language = "en", .dim = 384,
                                    .vector = v, .created_ms = 1234 };
    assert_ok(&c, search_store_embeddings(&c, &row, 1));
    struct conn *r = NULL;
    struct rows *rows = NULL;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_select(&c, r, &rows, "SELECT id, user_id, content, content_type, embedding_vector, model_name, dimension, metadata, "
                                          "created_at FROM embedding"));
    assert_true(rows_next(rows));
    assert_string_equal(rows_text(rows, 1), "ann");
    assert_string_equal(rows_text(rows, 3), "workout");
    size_t len = 0;
    assert_memory_equal(rows_blob(rows, 4, &len), v, sizeof v);
    assert_int_equal(len, sizeof v);
    assert_int_equal(rows_int(rows, 6), 384);
    assert_int_equal(rows_int(rows, 8), 1234);
    assert_ok(&c, rows_close(&c, &rows, OK));
    db_release(&r);
    search("ran kilometres", (struct search_opts){ .mode = SEARCH_KEYWORD, .user_id = "ann" });
    assert_int_equal(n, 1);
    assert_string_equal(p[0].chunk_id, "emb_1");
    assert_string_equal(p[0].document_id, "");
    assert_string_equal(p[0].content_type, "workout");
    assert_string_equal(p[0].metadata, "{\"topic\":\"run\"}");
    assert_int_equal(p[0].created_ms, 1234);
    search("ran kilometres", (struct search_opts){ .mode = SEARCH_KEYWORD, .user_id = "bob" });
    assert_int_equal(n, 0);
    json_t *filter = json_loads("{\"topic\":\"run\"}", 0, NULL);
    search("ran kilometres", (struct search_opts){ .mode = SEARCH_KEYWORD, .user_id = "ann", .filter = filter });
    assert_int_equal(n, 1);
    json_decref(filter);
}

static void bad_questions_are_refused_with_words(void **s)
{
    (void)s;
    struct search_opts ok = { 0 };
    assert_int_equal(search_text(&c, "", &ok, &p, &n, &info), ERR_INVALID);
    assert_string_equal(c.err_field, "query");
    call_forgive(&c);
    assert_int_equal(search_text(&c, " \n\t", &ok, &p, &n, &info), ERR_INVALID);
    call_forgive(&c);
    char *big = arena_alloc(&c.mem, LIMIT_QUERY_BYTES + 2);
    memset(big, 'a', LIMIT_QUERY_BYTES + 1);
    assert_int_equal(search_text(&c, big, &ok, &p, &n, &info), ERR_TOO_LARGE);
    call_forgive(&c);
    assert_int_equal(search_text(&c, "x", &(struct search_opts){ .k = 101 }, &p, &n, &info), ERR_INVALID);
    call_forgive(&c);
    assert_int_equal(search_text(&c, "x", &(struct search_opts){ .alpha = 2, .alpha_set = true }, &p, &n, &info), ERR_INVALID);
    call_forgive(&c);
    search("\xff\xfe \" OR * NEAR(", (struct search_opts){ 0 });
}

static void the_best_candidate_comes_first_wherever_it_stood_RAG_006(void **s)
{
    (void)s;
    const char *texts[] = { "Bananas are yellow.", "The weather in Madrid.", "Sleep eight hours to recover." };
    float scores[3];
    const char *method = NULL;
    assert_ok(&c, rerank_hybrid(&c, "how long to sleep", texts, 3, scores, &method));
    assert_true(scores[2] > scores[0] && scores[2] > scores[1]);
    assert_string_equal(method, model ? "hybrid" : "keyword");
    for (int i = 0; i < 3; i++) assert_true(scores[i] >= 0 && scores[i] <= 1);
}

static void nothing_found_is_nothing_to_look_at_again_RAG_006(void **s)
{
    (void)s;
    handbook();
    search("zzzzzz qqqqqq", (struct search_opts){ .mode = SEARCH_KEYWORD, .rerank = SEARCH_RERANK_ON });
    assert_int_equal(n, 0);
    assert_string_equal(info.rerank.method, "none");
    assert_int_equal(info.rerank.scored, 0);
    assert_int_equal(info.rerank.of, 0);
    assert_null(info.rerank.fell_back_why);
}

static void a_click_changes_the_click_through_rate_once_RAG_028_RAG_030(void **s)
{
    (void)s;
    handbook();
    search("protein", (struct search_opts){ .mode = SEARCH_KEYWORD });
    const char *id = feedback_begin(&c, "rag", &info, p, n, 7);
    double clicks = metric_read("chiron_search_clicks_total", NULL), rate = metric_read("chiron_search_ctr", NULL);
    assert_ok(&c, feedback_record(&c, id, p[0].chunk_id, "click"));
    assert_float_equal(metric_read("chiron_search_clicks_total", NULL), clicks + 1, 0);
    assert_true(metric_read("chiron_search_ctr", NULL) > rate);
    assert_ok(&c, feedback_record(&c, id, p[0].chunk_id, "click"));
    assert_float_equal(metric_read("chiron_search_clicks_total", NULL), clicks + 1, 0);
    assert_int_equal(feedback_record(&c, id, "sleep_0", "click"), ERR_INVALID);
    call_forgive(&c);
    assert_int_equal(feedback_record(&c, "qry_nothing", p[0].chunk_id, "click"), ERR_NOT_FOUND);
    call_forgive(&c);
    snprintf(c.user_id, sizeof c.user_id, "stranger");
    assert_int_equal(feedback_record(&c, id, p[0].chunk_id, "click"), ERR_NOT_FOUND);
    c.user_id[0] = 0;
    call_forgive(&c);
    struct conn *r = NULL;
    int64_t total = 0;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &total, "SELECT total FROM search_feedback WHERE event = 'click'"));
    db_release(&r);
    assert_int_equal(total, 1);
}

/* ---- an index that followed many changes equals one that was read anew ---- */

static void following_changes_ends_where_reading_all_does(void **s)
{
    (void)s;
    static const char *const words[] = { "squat", "sleep", "row", "press", "plank", "run", "swim", "bike" };
    uint32_t seed = 7;
    for (int i = 0; i < 300; i++) {
        seed = seed * 1664525u + 1013904223u;
        char id[16], text[64];
        snprintf(id, sizeof id, "d%u", (seed >> 8) % 40);
        snprintf(text, sizeof text, "%s %s %s", words[(seed >> 4) % 8], words[(seed >> 12) % 8], words[(seed >> 20) % 8]);
        if (seed >> 28 < 4) {
            drop(id);
        } else {
            float v[16] = { 0 };
            v[(seed >> 16) % 16] = 1;
            put_in(&c, &(struct doc){ .id = id, .text = text }, v, "toy", 16);
        }
        if (i % 7 == 0) search("squat", (struct search_opts){ .mode = SEARCH_KEYWORD, .k = 100 });
    }
    for (int w = 0; w < 8; w++) {
        search(arena_printf(&c.mem, "%s followed", words[w]), (struct search_opts){ .mode = SEARCH_KEYWORD, .k = 100 });
        struct passage *followed = p;
        int count = n;
        collection_forget(c.creator_id);
        search(arena_printf(&c.mem, "%s  followed", words[w]), (struct search_opts){ .mode = SEARCH_KEYWORD, .k = 100 });
        assert_false(info.cached);
        assert_int_equal(n, count);
        for (int i = 0; i < n; i++)
            assert_true(followed[i].score_bm25 > 0 && p[i].score_bm25 > 0);
        int missing = 0;
        for (int i = 0; i < count; i++) missing += rank_of(followed[i].document_id) == 0;
        assert_int_equal(missing, 0);
    }
}

static atomic_bool done;

static void *reader(void *arg)
{
    struct call k;
    (void)arg;
    call_init(&k);
    if (tenant_open(&k, "t")) abort();
    int rounds = 0;
    while (!atomic_load(&done)) {
        struct passage *q = NULL;
        struct search_info i;
        int found = 0;
        arena_reset(&k.mem);
        k.span_count = 0;
        const char *text = arena_printf(&k.mem, "steady %d", rounds++ % 3);
        if (search_text(&k, text, &(struct search_opts){ .mode = SEARCH_KEYWORD, .k = 50 }, &q, &found, &i)) abort();
        /* The steady document is there in every generation. */
        int steady = 0;
        for (int j = 0; j < found; j++) steady += !strcmp(q[j].document_id, "steady");
        if (steady != 1) abort();
    }
    tenant_release(&k);
    call_dispose(&k);
    return NULL;
}

static void readers_and_a_writer_do_not_disturb_each_other(void **s)
{
    (void)s;
    float v[16] = { 1 };
    put_in(&c, &(struct doc){ .id = "steady", .text = "a steady passage" }, v, "toy", 16);
    pthread_t t[3];
    atomic_store(&done, false);
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
    for (int i = 0; i < 120; i++) {
        char id[16];
        snprintf(id, sizeof id, "w%d", i % 10);
        if (i % 4 == 3) drop(id);
        else put_in(&c, &(struct doc){ .id = id, .text = "a steady stream of changes" }, v, "toy", 16);
    }
    atomic_store(&done, true);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
}

static void the_least_recently_used_creator_leaves_memory_and_comes_back(void **s)
{
    (void)s;
    handbook();
    search("protein", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_true(collections_bytes() > 0);
    collections_open(1);
    struct call k;
    call_init(&k);
    bool created;
    assert_ok(&k, tenant_create(&k, "second", "second", &created));
    assert_ok(&k, tenant_open(&k, "second"));
    float v[16] = { 1 };
    put_in(&k, &(struct doc){ .id = "x", .text = "one passage" }, v, "toy", 16);
    struct passage *q;
    int found = 0;
    assert_ok(&k, search_text(&k, "passage", &(struct search_opts){ .mode = SEARCH_KEYWORD }, &q, &found, &info));
    assert_int_equal(found, 1);
    tenant_release(&k);
    call_dispose(&k);
    search("protein food", (struct search_opts){ .mode = SEARCH_KEYWORD });
    assert_int_equal(rank_of("protein"), 1);
    collections_open((size_t)1 << 30);
}

/* ---- */

static int open_once(void **s)
{
    (void)s;
    call_init(&c);
    conf_set("LLM_CHAIN", "extractive");
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    model = verb_encoder(&c) == OK;
    call_forgive(&c);
    return 0;
}

static int close_once(void **s)
{
    (void)s;
    struct encoder *e = encoder_default();
    encoder_set_default(NULL);
    encoder_free(e);
    conf_free();
    call_dispose(&c);
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(the_right_passage_is_found_with_its_place),
        T(keyword_search_matches_fitness_forms_and_spanish_RAG_019),
        T(a_document_is_found_by_its_exact_title_even_of_stop_words),
        T(a_user_sees_shared_passages_and_their_own_alone_RAG_005),
        T(types_and_metadata_filter_before_the_legs_ARC_009),
        T(what_was_added_or_dropped_counts_in_the_next_search_and_no_cache_is_stale_RAG_024),
        T(without_an_encoder_words_answer_and_the_strategy_says_so),
        T(when_time_is_short_words_answer_and_past_the_deadline_nothing),
        T(a_threshold_changes_the_count_and_unrelated_questions_find_nothing_RAG_018_CRE_027),
        T(hybrid_is_the_formula_over_both_legs_RAG_020),
        T(the_best_passages_refine_the_semantic_leg_and_nothing_that_is_shown),
        T(a_misspelt_word_is_put_right_by_the_material_and_said),
        T(what_may_not_be_a_slip_stays_as_it_was_typed),
        T(a_word_of_another_user_is_not_offered_RAG_026),
        T(vectors_of_two_models_are_never_compared_RAG_014),
        T(a_later_vector_of_a_chunk_replaces_the_first),
        T(the_same_text_is_embedded_once_until_it_expires_RAG_023),
        T(a_batch_is_the_same_as_its_texts_one_by_one_RAG_022),
        T(a_batch_of_256_costs_less_than_256_single_calls_RAG_022),
        T(a_stored_embedding_has_its_nine_fields_and_is_its_users_content_RAG_004_RAG_011),
        T(bad_questions_are_refused_with_words),
        T(the_best_candidate_comes_first_wherever_it_stood_RAG_006),
        T(nothing_found_is_nothing_to_look_at_again_RAG_006),
        T(a_click_changes_the_click_through_rate_once_RAG_028_RAG_030),
        T(following_changes_ends_where_reading_all_does),
        T(readers_and_a_writer_do_not_disturb_each_other),
        T(the_least_recently_used_creator_leaves_memory_and_comes_back),
    };
    return cmocka_run_group_tests(tests, open_once, close_once);
}
