/* knowledge/rerank.c — which method re-ranks, what stands in for it when it fails, and an order that never mixes two kinds of
 * score: what was scored comes first by its score, all else after it as the first stage left it. Scores are kept by what
 * they were made of, so they are never stale. It refuses to send a text out unmasked, and to fail where an order without it
 * will do. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/rerank.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mask.h"
#include "base/metric.h"
#include "encoder/reranker.h"
#include "knowledge/ingest.h"
#include "knowledge/lru.h"
#include "models/cohere.h"

#define CACHE_ENTRIES 1024
#define CACHE_BYTES   (4u << 20)
#define KEY_BYTES     (16u << 20)
#define KEEP_MS       5         /* of a call's time, for what comes after */
#define COHERE_MS     50        /* with less time than this Cohere is not asked */

static const char *const choices[] = { "auto", "cross-encoder", "cohere", "hybrid", "off" };
static enum rerank_choice chosen;
static int                depth_default, budget_default;
static struct lru        *cache;

enum err rerank_open(struct call *c)
{
    const char *word = conf_text("RERANK");
    int         i = 0;
    while (i < 5 && strcasecmp(word && *word ? word : "auto", choices[i])) i++;
    if (i == 5) return fail_field(c, "RERANK", "RERANK is auto, cross-encoder, cohere, hybrid or off, not \"%.20s\"", word);
    chosen = (enum rerank_choice)i;
    depth_default = (int)conf_int("RERANK_DEPTH");
    budget_default = (int)conf_int("RERANK_MS");
    cache = lru_new("rerank", CACHE_ENTRIES, CACHE_BYTES);
    metric_describe("chiron_rerank_total", 'c', "Re-rankings by the method that ordered.");
    metric_describe("chiron_rerank_seconds", 'h', "Time of a re-ranking, by method.");
    metric_describe("chiron_rerank_pairs_total", 'c', "Pairs of query and text that the cross-encoder scored.");
    metric_describe("chiron_rerank_batches_total", 'c', "Batches that the cross-encoder computed.");
    metric_describe("chiron_rerank_unscored_total", 'c', "Texts that kept their place because the time was over.");
    return OK;
}

void rerank_close(void)
{
    lru_free(cache);
    cache = NULL;
    chosen = RERANK_AUTO;
}

void rerank_forget(void)
{
    lru_clear(cache);
}

bool rerank_ready(enum rerank_choice choice)
{
    if (choice == RERANK_AUTO) choice = chosen;
    if (choice == RERANK_AUTO) return reranker_default() || cohere_configured();
    return choice == RERANK_CROSS_ENCODER || choice == RERANK_COHERE;
}

/* ---- methods ---- */

/* What one re-ranking carries. */
struct work {
    struct call        *c;
    const char         *query;
    const char *const  *texts;
    int                 n;
    const struct rerank_opts *o;
    float              *scores, *logits;    /* n */
    struct reranked    *out;
};

/* Everything that decides the scores, hashed: texts are long. */
static const char *cache_key(struct work *w, const char *method, const char *model, int n, int top)
{
    struct buf b;
    char       hex[65];
    buf_init(&b, KEY_BYTES);
    buf_printf(&b, "%s\n%s\n%d\n%d\n", method, model, n, top);
    buf_add(&b, w->query, strlen(w->query) + 1);
    for (int i = 0; i < n; i++) buf_add(&b, w->texts[i], strlen(w->texts[i]) + 1);
    const char *key = b.failed ? NULL : arena_strdup(&w->c->mem, id_sha256_hex(b.data, b.len, hex));
    buf_dispose(&b);
    return key;
}

static bool recall(struct work *w, const char *key, int n)
{
    void  *p;
    size_t size;
    if (!cache || !key || !lru_get(cache, key, strlen(key), &w->c->mem, &p, &size) || size != 2 * (size_t)n * sizeof(float)) return false;
    memcpy(w->scores, p, (size_t)n * sizeof(float));
    memcpy(w->logits, (float *)p + n, (size_t)n * sizeof(float));
    return true;
}

static void keep(struct work *w, const char *key, int n)
{
    float *both = arena_array(&w->c->mem, 2 * (size_t)n, sizeof *both);
    memcpy(both, w->scores, (size_t)n * sizeof *both);
    memcpy(both + n, w->logits, (size_t)n * sizeof *both);
    if (cache && key) lru_put(cache, key, strlen(key), both, 2 * (size_t)n * sizeof *both);
}

/* Texts for which there is time, from the first. */
static int affordable(const struct work *w, const struct reranker *r)
{
    size_t bytes = 0;
    if (!w->o->budget_ms) return w->n;
    for (int i = 0; i < w->n; i++) bytes += strlen(w->texts[i]);
    int n = reranker_texts_in(r, w->o->budget_ms, bytes / (size_t)w->n + strlen(w->query));
    return n < w->n ? n : w->n;
}

static enum err by_cross_encoder(struct work *w)
{
    struct reranker    *r = reranker_default();
    struct reranker_run run = { 0 };
    struct call        *c = w->c;
    if (!r) return fail(c, ERR_UPSTREAM, "no cross-encoder is installed");
    const char *key = cache_key(w, "cross-encoder", reranker_name(r), w->n, 0);
    bool        cached = recall(w, key, w->n);
    int         n = cached ? w->n : affordable(w, r);
    /* The estimate may be wrong, the bound is not; what it leaves unscored is no step down, for nobody asked for more. */
    int64_t     outer = c->deadline_ms, until = w->o->budget_ms ? clock_mono_ms() + w->o->budget_ms : 0;
    bool        own = until && (!outer || until < outer);
    run.scored = n;
    if (!cached) {
        if (own) c->deadline_ms = until;
        enum err e = reranker_score(c, r, w->query, w->texts, NULL, n, w->logits, &run);
        c->deadline_ms = outer;
        if (e) return e;
        for (int i = 0; i < run.scored; i++) w->scores[i] = reranker_probability(w->logits[i]);
        metric_add("chiron_rerank_batches_total", NULL, run.batches);
        metric_add("chiron_rerank_pairs_total", NULL, run.scored);
        if (run.scored == w->n) keep(w, key, w->n);
    }
    if (run.scored < n) {
        metric_add("chiron_rerank_unscored_total", NULL, n - run.scored);
        if (run.scored && !own) call_degrade(c, "rerank", "fewer texts", "no time");
    }
    if (!run.scored) return fail(c, ERR_TIMEOUT, "no time for the cross-encoder");
    *w->out = (struct reranked){ .method = "cross-encoder", .model = reranker_name(r), .scored = run.scored, .batches = run.batches,
                                 .logits = w->logits };
    return OK;
}

static enum err by_cohere(struct work *w)
{
    struct call *c = w->c;
    const char  *model = w->o->model ? w->o->model : cohere_model(), **masked = arena_array(&c->mem, (size_t)w->n, sizeof *masked);
    int          top = w->o->top > 0 && w->o->top < w->n ? w->o->top : w->n, ignored = 0;
    if (!cohere_configured()) return fail(c, ERR_UPSTREAM, "no key for Cohere is set");
    if (call_left_ms(c, COHERE_MS) < COHERE_MS) return fail(c, ERR_TIMEOUT, "no time for Cohere");
    const char *key = cache_key(w, "cohere", model, w->n, top);
    if (!recall(w, key, w->n)) {
        for (int i = 0; i < w->n; i++) masked[i] = mask_pii(c, w->texts[i], strlen(w->texts[i]), &ignored);
        const char *query = mask_pii(c, w->query, strlen(w->query), &ignored);
        enum err    e = cohere_rerank(c, model, query, masked, w->n, top, w->scores, &model);
        if (e) return e;
        keep(w, key, w->n);
    }
    *w->out = (struct reranked){ .method = "cohere", .model = model, .scored = top };
    return OK;
}

/* ---- the order ---- */

/* Insertion, because n is small and what is equal keeps its place. key: the logits where there are some, for a sigmoid ends
 * in ones that are equal. */
static const int *order_of(struct work *w, const float *key)
{
    int *order = arena_array(&w->c->mem, (size_t)w->n, sizeof *order), scored = 0;
    for (int i = 0; i < w->n; i++) {
        if (w->scores[i] < 0) continue;
        int at = scored++;
        for (; at > 0 && key[order[at - 1]] < key[i]; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    for (int i = 0; i < w->n; i++)
        if (w->scores[i] < 0) order[scored++] = i;
    return order;
}

/* The methods to try, in order; returns how many. */
static int methods_of(enum rerank_choice choice, enum err (*out[2])(struct work *))
{
    int n = 0;
    bool any = choice == RERANK_AUTO;
    if (choice == RERANK_CROSS_ENCODER || (any && reranker_default())) out[n++] = by_cross_encoder;
    if (choice == RERANK_COHERE || (any && cohere_configured())) out[n++] = by_cohere;
    return n;
}

static void observe(const struct reranked *r, int64_t start_us)
{
    static const struct { const char *method, *label; } labels[] = {
        { "cross-encoder", "method=\"cross-encoder\"" }, { "cohere", "method=\"cohere\"" }, { "hybrid", "method=\"hybrid\"" },
        { "keyword", "method=\"keyword\"" }, { "none", "method=\"none\"" },
    };
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        if (strcmp(labels[i].method, r->method)) continue;
        metric_add("chiron_rerank_total", labels[i].label, 1);
        metric_observe("chiron_rerank_seconds", labels[i].label, (double)(clock_mono_us() - start_us) / 1e6);
    }
}

enum err rerank_texts(struct call *c, const char *query, const char *const *texts, int n, const struct rerank_opts *o, struct reranked *out)
{
    assert(n >= 1 && n <= LIMIT_RERANK_TEXTS);
    enum err (*method[2])(struct work *);
    struct reranked r = { .method = "none" };
    struct work w = { .c = c, .query = query, .texts = texts, .n = n, .o = o, .out = &r };
    const char *why = NULL;
    int64_t start = clock_mono_us(), outer = call_stage_begin(c, CALL_RERANK, KEEP_MS);
    int span = span_begin(c, "rerank"), count = methods_of(o->choice == RERANK_AUTO ? chosen : o->choice, method);
    enum err e = OK;
    w.scores = arena_array(&c->mem, (size_t)n, sizeof *w.scores);
    w.logits = arena_array(&c->mem, (size_t)n, sizeof *w.logits);
    for (int i = 0; i < n; i++) w.scores[i] = -1;
    for (int i = 0; i < count && !r.scored; i++) {
        e = method[i](&w);
        if (!e || e == ERR_CANCELLED) break;
        if (!why) why = arena_strdup(&c->mem, c->err_text);
        if (e != ERR_TIMEOUT) log_warn(c, "a re-ranking failed", "error", c->err_text, NULL);
        call_forgive(c);
        e = OK;
    }
    if (!e && !r.scored && o->always) {
        e = rerank_hybrid(c, query, texts, n, w.scores, &r.method);
        r.scored = n;
    }
    span_end(c, span);
    call_stage_end(c, outer);
    if (e) return e;
    if (why) call_degrade(c, "rerank", r.scored ? r.method : "first-stage order", why);
    r.fell_back_why = why;
    r.of = n;
    r.scores = w.scores;
    r.order = order_of(&w, r.logits ? w.logits : w.scores);
    observe(&r, start);
    *out = r;
    return OK;
}

/* ---- passages ---- */

static bool wanted(const struct search_opts *o)
{
    if (o->rerank != SEARCH_RERANK_AUTO) return o->rerank == SEARCH_RERANK_ON;
    return o->mode == SEARCH_HYBRID && rerank_ready(o->rerank_by);
}

static int depth_of(const struct search_opts *o) { return o->rerank_depth > 0 ? o->rerank_depth : depth_default; }

int rerank_depth(const struct search_opts *o)
{
    int k = o->k ? o->k : 5, depth = wanted(o) && k > 0 ? depth_of(o) : k;
    return depth > k ? depth : k;
}

enum err rerank_passages(struct call *c, const char *query, const struct search_opts *o, struct passage *p, int n, struct search_info *info)
{
    int depth = depth_of(o) < n ? depth_of(o) : n;
    for (int i = 0; i < n; i++) p[i].score_rerank = -1;
    if (!wanted(o)) return OK;
    if (depth < 1 || (depth == 1 && o->rerank == SEARCH_RERANK_AUTO)) {
        info->rerank = (struct search_rerank_info){ .method = "none", .of = depth };
        return OK;
    }
    const char   **texts = arena_array(&c->mem, (size_t)depth, sizeof *texts);
    struct passage *as_found = arena_array(&c->mem, (size_t)depth, sizeof *as_found);
    struct reranked r;
    memcpy(as_found, p, (size_t)depth * sizeof *p);
    for (int i = 0; i < depth; i++) texts[i] = ingest_embed_text(&c->mem, p[i].text, strlen(p[i].text), p[i].heading);
    const struct rerank_opts how = { .choice = o->rerank_by, .model = o->rerank_model, .top = o->top ? o->top : o->k,
                                     .budget_ms = o->rerank == SEARCH_RERANK_AUTO ? budget_default : 0 };
    enum err e = rerank_texts(c, query, texts, depth, &how, &r);
    if (e) return e;
    for (int i = 0; i < depth; i++) {
        p[i] = as_found[r.order[i]];
        p[i].score_rerank = r.scores[r.order[i]];
    }
    info->rerank = (struct search_rerank_info){ r.method, r.model, r.fell_back_why, r.scored, r.of };
    return OK;
}

void search_rerank_put(struct json_out *j, const struct search_rerank_info *r)
{
    if (!r->method) return;
    json_begin_object(j, "rerank");
    json_put_text(j, "method", r->method);
    if (r->model) json_put_text(j, "model", r->model);
    json_put_int(j, "scored", r->scored);
    json_put_int(j, "of", r->of);
    if (r->fell_back_why) json_put_text(j, "fell_back_why", r->fell_back_why);
    json_end(j);
}

enum err search_rerank_read(struct call *c, const json_t *v, struct search_opts *o)
{
    if (!v) return OK;
    if (json_is_boolean(v)) o->rerank = json_is_true(v) ? SEARCH_RERANK_ON : SEARCH_RERANK_OFF;
    else if (json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) <= LIMIT_SEARCH_K) {
        o->rerank = json_integer_value(v) ? SEARCH_RERANK_ON : SEARCH_RERANK_OFF;
        o->rerank_depth = (int)json_integer_value(v);
    } else return fail_field(c, "rerank", "it is true, false or how many passages, 0 to %d", LIMIT_SEARCH_K);
    return OK;
}
