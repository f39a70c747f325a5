/* knowledge/search.c — one search: read the question, embed it, run both legs over one snapshot, combine, load the few
 * texts that are returned. The question is embedded before a connection is taken, because readers are few and the model
 * is the slowest part; ids and scores are what the query cache keeps, under the index's generation, so it is never stale.
 * It refuses to fail for want of a model or of time: then words alone answer, and info.strategy says so. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/search.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "knowledge/analyse.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/lru.h"
#include "knowledge/model_store.h"
#include "knowledge/rerank.h"
#include "knowledge/search_store.h"
#include "knowledge/spelling.h"

#define CACHE_BYTES (32u << 20)
#define UNION_MAX   (2 * LIMIT_SEARCH_K + 2 * SEARCH_LEG)
#define FEEDBACK_MAX 20
#define EMBED_MS    3       /* with less time left than this the semantic leg is not begun */

static struct lru *cache;
static const char *const strategy_names[] = { "hybrid", "semantic", "keyword" };
static int feedback_from;          /* passages; 0: none */

/* What one search carries from stage to stage. */
struct search {
    const struct search_opts *o;
    const char *text;              /* as it is searched for */
    size_t n;
    const char *asked;             /* as it came; the same unless a word was misspelt */
    const char *user;
    int k, leg;
    float alpha;
    enum search_mode mode;
    const char *strategy;
    const char *const *terms;
    int term_count;
    const float *vector;           /* NULL: no semantic leg */
    int dim;
    const char *model;             /* label of the set */
    struct model_state models;
    struct search_hit hits[UNION_MAX];
    int hit_count;
    int candidates;
};
/* The cache's value: this header, then hits, then the question when it was corrected. */
struct kept {
    int32_t hit_count, candidates;
    uint32_t meant;                /* bytes of the corrected question after the hits, 0: none */
    char strategy[64], model[96];
    struct search_hit hits[];
};

void search_open(int cache_entries, int feedback_passages)
{
    feedback_from = feedback_passages < FEEDBACK_MAX ? feedback_passages : FEEDBACK_MAX;
    cache = lru_new("query", cache_entries, CACHE_BYTES);
}

void search_close(void)
{
    lru_free(cache);
    cache = NULL;
}

void search_forget(void)
{
    lru_clear(cache);
}

static enum err prepare(struct call *c, const char *text, const struct search_opts *o, struct search *s)
{
    *s = (struct search){ .o = o, .text = text, .asked = text, .n = strlen(text), .mode = o->mode };
    if (s->n > LIMIT_QUERY_BYTES) return fail(c, ERR_TOO_LARGE, "a query has at most %d bytes", LIMIT_QUERY_BYTES);
    if (strspn(text, " \t\r\n") == s->n) return fail_field(c, "query", "the query is empty");
    if (o->k < 0 || o->k > LIMIT_SEARCH_K) return fail_field(c, "k", "k is 1 to %d", LIMIT_SEARCH_K);
    s->k = o->k ? o->k : 5;
    s->leg = s->k > SEARCH_LEG ? s->k : SEARCH_LEG;
    s->alpha = o->alpha_set || o->alpha > 0 ? o->alpha : 0.5f;
    if (!(s->alpha >= 0 && s->alpha <= 1)) return fail_field(c, "alpha", "alpha is 0 to 1");
    s->user = o->user_id ? o->user_id : c->user_id;
    s->strategy = strategy_names[s->mode];
    return call_check(c);
}

/* Everything that decides the result, as text; hashed because a query may be long. */
static const char *cache_key(struct call *c, const struct search *s, int64_t generation)
{
    struct buf b;
    buf_init(&b, LIMIT_QUERY_BYTES + 64 * 1024);
    const struct search_opts *o = s->o;
    const char *model = s->models.active.label ? s->models.active.label : embed_model();
    buf_printf(&b, "%s %s %lld %d %d %a %a %a %d %s\n", c->creator_id, model, (long long)generation, (int)s->mode, s->k,
               (double)s->alpha, (double)o->threshold, (double)o->min_cosine, o->as_written, s->user);
    for (int i = 0; o->types && o->types[i]; i++) buf_printf(&b, "%s\n", o->types[i]);
    if (o->filter) {
        char *filter = json_dumps(o->filter, JSON_SORT_KEYS | JSON_COMPACT);
        if (filter) buf_printf(&b, "\t%s", filter);
        free(filter);
    }
    buf_addc(&b, '\n');
    buf_adds(&b, s->asked);
    char hex[65];
    const char *key = b.failed ? NULL : arena_strdup(&c->mem, id_sha256_hex(b.data, b.len, hex));
    buf_dispose(&b);
    return key;
}

static bool recall(struct call *c, const char *key, struct search *s)
{
    void *p;
    size_t n;
    if (!cache || !key || !lru_get(cache, key, strlen(key), &c->mem, &p, &n)) return false;
    const struct kept *k = p;
    memcpy(s->hits, k->hits, (size_t)k->hit_count * sizeof *s->hits);
    s->hit_count = k->hit_count;
    s->candidates = k->candidates;
    s->strategy = arena_strdup(&c->mem, k->strategy);
    s->model = *k->model ? arena_strdup(&c->mem, k->model) : NULL;
    if (k->meant) s->text = arena_strndup(&c->mem, (const char *)(k->hits + k->hit_count), k->meant);
    return true;
}

static void keep(struct call *c, const char *key, const struct search *s)
{
    if (!cache || !key || strlen(s->strategy) > 63 || (s->model && strlen(s->model) > 95)) return;
    size_t meant = s->text == s->asked ? 0 : s->n, n = sizeof(struct kept) + (size_t)s->hit_count * sizeof *s->hits + meant;
    struct kept *k = arena_alloc(&c->mem, n);
    k->hit_count = s->hit_count;
    k->candidates = s->candidates;
    k->meant = (uint32_t)meant;
    memcpy(k->strategy, s->strategy, strlen(s->strategy) + 1);
    if (s->model) memcpy(k->model, s->model, strlen(s->model) + 1);
    memcpy(k->hits, s->hits, (size_t)s->hit_count * sizeof *s->hits);
    memcpy(k->hits + s->hit_count, s->text, meant);
    lru_put(cache, key, strlen(key), k, n);
}

/* A label without what tells models of one name apart. */
static const char *shown_model(struct call *c, const char *label)
{
    return label ? arena_strndup(&c->mem, label, strcspn(label, "#")) : NULL;
}

/* The semantic leg is given up, not the search. */
static void degrade(struct call *c, struct search *s, const char *why, const char *label)
{
    s->vector = NULL;
    s->strategy = arena_printf(&c->mem, "keyword (%s)", why);
    metric_add("chiron_search_degraded_total", label, 1);
    call_degrade(c, "search", "keyword", why);
}

static enum err embed_query(struct call *c, struct search *s)
{
    if (s->mode == SEARCH_KEYWORD) return OK;
    int64_t outer = call_stage_begin(c, CALL_EMBED, 0);
    if (call_left_ms(c, 1000) < EMBED_MS) {
        call_stage_end(c, outer);
        degrade(c, s, "no time", "why=\"time\"");
        return OK;
    }
    int span = span_begin(c, "embed");
    enum err e = embed_question(c, &s->models, s->text, s->n, &s->vector, &s->dim, &s->model);
    span_end(c, span);
    call_stage_end(c, outer);
    if (e == ERR_CANCELLED) return e;
    if (e == ERR_TIMEOUT) {
        call_forgive(c);
        degrade(c, s, "no time", "why=\"time\"");
    } else if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        degrade(c, s, arena_printf(&c->mem, "re-indexing, %s is not here", s->models.active.name), "why=\"reindex\"");
    } else if (e) {
        call_forgive(c);
        degrade(c, s, "no encoder", "why=\"encoder\"");
    }
    if (e) s->model = NULL;
    return OK;
}

/* ---- the legs ---- */

static void keyword_leg(struct call *c, struct search *s, const struct collection *col, const uint64_t *allowed)
{
    struct collection_hit *best = arena_array(&c->mem, (size_t)s->leg, sizeof *best);
    s->hit_count = collection_words(col, s->terms, s->term_count, allowed, s->leg, best);
    for (int i = 0; i < s->hit_count; i++)
        s->hits[i] = (struct search_hit){ .id = collection_item(col, best[i].index), .keyword = best[i].score,
                                          .semantic = -2, .cosine = -2, .rank_keyword = i + 1 };
}

static void semantic_leg(struct call *c, struct search *s, const struct collection *col, const uint64_t *allowed)
{
    const struct collection_set *set = collection_set(col, s->model, s->dim);
    if (!set) {
        if (collection_count(col) == 0) return;
        degrade(c, s, arena_printf(&c->mem, "no vectors of %s", shown_model(c, s->model)), "why=\"vectors\"");
        return;
    }
    struct vector_hit *near = arena_array(&c->mem, (size_t)s->leg, sizeof *near);
    int n = vectors_scan(set->rows, s->vector, set->count, collection_slots(c, col, set, allowed), s->leg, near);
    int from_words = s->hit_count;
    for (int i = 0; i < n; i++) {
        int64_t item = collection_item(col, set->index_of[near[i].slot]);
        int at = 0;
        while (at < from_words && s->hits[at].id != item) at++;
        if (at == from_words) {
            at = s->hit_count++;
            s->hits[at] = (struct search_hit){ .id = item };
        }
        s->hits[at].semantic = s->hits[at].cosine = near[i].cosine;
        s->hits[at].slot = near[i].slot;
        s->hits[at].rank_semantic = i + 1;
    }
}

/* The best passages of a first combination say in the documents' own words what was asked: their vectors move the question,
 * and the semantic leg's hits are scored by the moved one. Not where one leg alone decides, and not where the leg held
 * all there is: among a few passages the best are no sample of anything. */
static void feedback(struct call *c, struct search *s, const struct collection *col)
{
    const struct collection_set *set = collection_set(col, s->model, s->dim);
    const float *rows[FEEDBACK_MAX];
    float weights[FEEDBACK_MAX];
    int n = 0, by_meaning = 0;
    if (s->mode != SEARCH_HYBRID || feedback_from == 0 || !set || !(s->alpha > 0 && s->alpha < 1)) return;
    for (int i = 0; i < s->hit_count; i++) by_meaning += s->hits[i].rank_semantic > 0;
    if (by_meaning < s->leg) return;
    search_combine(s->hits, s->hit_count, s->alpha);
    for (int i = 0; i < s->hit_count && n < feedback_from; i++) {
        if (s->hits[i].rank_semantic == 0) continue;
        rows[n] = vectors_row(set->rows, s->hits[i].slot);
        weights[n++] = s->hits[i].score;
    }
    float *moved = arena_array(&c->mem, (size_t)s->dim, sizeof *moved);
    search_feedback(s->vector, s->dim, rows, weights, n, moved);
    for (int i = 0; i < s->hit_count; i++)
        if (s->hits[i].rank_semantic) s->hits[i].semantic = vectors_cosine(moved, vectors_row(set->rows, s->hits[i].slot), s->dim);
}

static int by_cosine(const void *pa, const void *pb)
{
    const struct search_hit *a = pa, *b = pb;
    return a->rank_semantic - b->rank_semantic;
}

/* Scores and order by mode; what is below the caller's bounds goes. */
static void rank(struct search *s)
{
    if (s->mode == SEARCH_SEMANTIC && s->vector) {
        qsort(s->hits, (size_t)s->hit_count, sizeof *s->hits, by_cosine);
        for (int i = 0; i < s->hit_count; i++) s->hits[i].score = s->hits[i].cosine;
    } else if (s->mode == SEARCH_HYBRID && s->vector) {
        search_combine(s->hits, s->hit_count, s->alpha);
    } else {
        /* The best is 1 and the others keep their ratio to it: the last found is no worse for being last. */
        float best = s->hit_count ? s->hits[0].keyword : 0;
        for (int i = 0; i < s->hit_count; i++) s->hits[i].score = best > 0 ? s->hits[i].keyword / best : 1.0f;
    }
    int n = 0;
    for (int i = 0; i < s->hit_count && n < s->k; i++) {
        const struct search_hit *h = &s->hits[i];
        if (s->o->threshold > 0 && h->score < s->o->threshold) continue;
        if (s->o->min_cosine > 0 && h->rank_keyword == 0 && h->cosine < s->o->min_cosine) continue;
        s->hits[n++] = *h;
    }
    s->hit_count = n;
}

/* A passage that only words found has a cosine too; it is shown, and never changes the score. */
static void fill_cosines(struct search *s, const struct collection *col)
{
    const struct collection_set *set = s->vector ? collection_set(col, s->model, s->dim) : NULL;
    for (int i = 0; set && i < s->hit_count; i++) {
        struct search_hit *h = &s->hits[i];
        if (h->rank_semantic) continue;
        uint32_t at = collection_find(col, h->id, 0), slot;
        if (at != COLLECTION_NONE && collection_slot(set, at, &slot))
            h->cosine = vectors_cosine(s->vector, vectors_row(set->rows, slot), set->dim);
    }
}

static enum err run_legs(struct call *c, struct conn *r, int64_t generation, struct search *s)
{
    struct collection *col = NULL;
    enum err e = collection_get(c, r, generation, &col);
    if (e) return e;
    const uint64_t *allowed = collection_allowed(c, col, s->user, s->o->types, s->o->filter);
    if (s->vector && !collection_set(col, s->model, s->dim)) semantic_leg(c, s, col, allowed);   /* says so, or nothing is there */
    if (s->mode != SEARCH_SEMANTIC || !s->vector) {
        keyword_leg(c, s, col, allowed);
        e = search_named(c, r, s->text, s->n, s->hits, s->hit_count);
    }
    if (s->vector) semantic_leg(c, s, col, allowed);
    s->candidates = s->hit_count;
    if (s->vector) feedback(c, s, col);
    rank(s);
    fill_cosines(s, col);
    collection_release(col);
    return e;
}

static enum err load(struct call *c, struct conn *r, const struct search *s, struct passage **out, int *n_out)
{
    struct passage *p = arena_array(&c->mem, (size_t)s->hit_count, sizeof *p);
    int n = 0;
    for (int i = 0; i < s->hit_count; i++) {
        const struct search_hit *h = &s->hits[i];
        bool found = false;
        enum err e = search_store_passage(c, r, h->id, &p[n], &found);
        if (e) return e;
        if (!found) continue;
        p[n].score = h->score;
        p[n].score_cos = h->cosine;
        p[n].score_semantic = h->rank_semantic ? h->semantic : 0;
        p[n].score_bm25 = h->rank_keyword ? h->keyword : 0;
        p[n].rank_semantic = h->rank_semantic;
        p[n].rank_keyword = h->rank_keyword;
        n++;
    }
    *out = p;
    *n_out = n;
    return OK;
}

static void observe(const struct search *s, int64_t start_us)
{
    static const char *const labels[] = { "mode=\"hybrid\"", "mode=\"semantic\"", "mode=\"keyword\"" };
    metric_observe("chiron_search_seconds", labels[s->mode], (double)(clock_mono_us() - start_us) / 1e6);
}

/* Before anything is embedded: a misspelt word has no meaning either. */
static enum err correct(struct call *c, struct conn *r, int64_t generation, struct search *s)
{
    struct collection *col = NULL;
    if (s->o->as_written) return OK;
    enum err e = collection_get(c, r, generation, &col);
    if (e) return e;
    const char *meant = spelling_correct(c, col, s->user, s->text, s->n, text_language(s->text, s->n));
    collection_release(col);
    if (!meant || strlen(meant) > LIMIT_QUERY_BYTES) return OK;
    s->text = meant;
    s->n = strlen(meant);
    s->terms = NULL;
    return OK;
}

/* Another model may have taken the place of the question's meanwhile, and its vectors may be gone: then once more. */
static enum err begin_again(struct call *c, struct search *s, struct conn **r, int64_t *generation)
{
    for (int i = 0;; i++) {
        const char *was = s->models.active.label;
        enum err e = search_store_begin(c, r, generation);
        if (!e) e = model_store_read(c, *r, &s->models);
        const char *now = e ? NULL : s->models.active.label;
        if (e || i > 0 || !now || (was && !strcmp(was, now)) || (s->model && !strcmp(s->model, now))) return e;
        search_store_end(r);
        s->vector = NULL;
        s->model = NULL;
        s->strategy = strategy_names[s->mode];
        e = embed_query(c, s);
        if (e) return e;
    }
}

static enum err first_stage(struct call *c, const char *text, const struct search_opts *o, struct passage **out, int *n_out,
                            struct search_info *info)
{
    int64_t start = clock_mono_us(), generation = 0;
    struct search s;
    struct conn *r = NULL;
    bool only_stop = false;     /* then their terms are found in titles alone: bodies hold none */
    int span = span_begin(c, "query");
    enum err e = prepare(c, text, o, &s);
    if (!e && s.mode != SEARCH_SEMANTIC)
        s.terms = analyse_query(c, text, s.n, text_language(text, s.n), &s.term_count, &only_stop);
    if (!e) e = search_store_begin(c, &r, &generation);
    if (!e) e = model_store_read(c, r, &s.models);
    const char *key = e ? NULL : cache_key(c, &s, generation);
    bool cached = !e && recall(c, key, &s);
    if (!e && !cached) e = correct(c, r, generation, &s);
    span_end(c, span);
    if (e) goto out;
    if (!cached) {
        search_store_end(&r);
        e = embed_query(c, &s);
        if (!e && !s.terms) s.terms = analyse_query(c, s.text, s.n, text_language(s.text, s.n), &s.term_count, &only_stop);
    }
    span = span_begin(c, "search");
    int64_t outer = call_stage_begin(c, CALL_SEARCH, 0);
    if (!e && !cached) e = begin_again(c, &s, &r, &generation);
    if (!e && !cached) e = run_legs(c, r, generation, &s);
    if (!e && !cached && strncmp(s.strategy, "keyword (", 9) != 0) keep(c, cache_key(c, &s, generation), &s);
    if (!e) e = load(c, r, &s, out, n_out);
    call_stage_end(c, outer);
    span_end(c, span);
    if (e) goto out;
    if (info) *info = (struct search_info){ .strategy = s.strategy, .model = s.vector || cached ? shown_model(c, s.model) : NULL, .cached = cached,
                                            .candidates = s.candidates, .corrected = s.text == s.asked ? NULL : s.text };
    observe(&s, start);
out:
    search_store_end(&r);
    return e;
}

/* The first stage finds as many as are to be looked at again; the k best of both stages are the result. */
enum err search_text(struct call *c, const char *text, const struct search_opts *o, struct passage **out, int *n_out,
                     struct search_info *info)
{
    struct search_opts wide = *o;
    struct search_info how;
    struct passage *p = NULL;
    int n = 0, k = o->k ? o->k : 5;
    wide.k = rerank_depth(o);
    enum err e = first_stage(c, text, &wide, &p, &n, &how);
    if (!e) e = rerank_passages(c, how.corrected ? how.corrected : text, o, p, n, &how);
    if (e) return e;
    *out = p;
    if (o->top > 0 && o->top < k) k = o->top;
    *n_out = n < k ? n : k;
    if (info) *info = how;
    return OK;
}
