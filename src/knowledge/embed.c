/* knowledge/embed.c — the only way from a text to a vector outside of ingest. A question asked twice costs one run of
 * the model, also when another process asked it (the key-value store). Cached vectors carry their model, so a cache
 * filled by one model never answers for another. It refuses to send a text out unmasked. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/embed.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mask.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/embedder.h"
#include "knowledge/knowledge.h"
#include "knowledge/lru.h"
#include "models/models.h"
#include "store/store.h"

#define CACHE_BYTES (64u << 20)
#define MODEL_BYTES 96
#define KEY_BYTES   (MODEL_BYTES + 80)

struct cached {
    int64_t expires_ms;             /* unix: the store's copy lives in other processes too */
    int32_t dim;
    char    model[MODEL_BYTES];
    float   v[];
};
static struct lru *cache;
static int64_t ttl;

void embed_open(int cache_entries, int64_t ttl_ms)
{
    ttl = ttl_ms;
    cache = lru_new("embedding", cache_entries, CACHE_BYTES);
}

void embed_close(void)
{
    lru_free(cache);
    cache = NULL;
}

void embed_forget(void)
{
    lru_clear(cache);
    kv_drop_named("embedding");
}

const char *embed_model(void)
{
    const struct encoder *e = encoder_default();
    return e ? encoder_name(e) : "";
}

/* The model that is asked first, NULL: the endpoint alone; and what the texts are to it. */
struct asked {
    const struct embedder *local;
    enum encoder_kind kind;
};

/* The key is of what the model reads: the same words as a question and as a passage differ only where the model has
 * different prefixes for them. */
static const char *cache_key(struct call *c, const struct asked *a, const char *text, size_t n)
{
    char hex[65];
    const struct embedder *local = a->local;
    const char *prefix = local ? encoder_prefix(embedder_encoder(local), a->kind) : "";
    if (*prefix) {
        text = arena_printf(&c->mem, "%s%.*s", prefix, (int)n, text);
        n += strlen(prefix);
    }
    return arena_printf(&c->mem, "embedding:%.200s:%s", local ? embedder_key(local) : "remote", id_sha256_hex(text, n, hex));
}

static const struct cached *usable(const void *p, size_t n)
{
    const struct cached *k = p;
    if (n < sizeof *k || k->dim <= 0 || n != sizeof *k + (size_t)k->dim * sizeof(float)) return NULL;
    return k->expires_ms > clock_unix_ms() ? k : NULL;
}

static const struct cached *recall(struct call *c, const char *key)
{
    void *p;
    const void *q;
    size_t n;
    const struct cached *k = NULL;
    if (cache && lru_get(cache, key, strlen(key), &c->mem, &p, &n)) k = usable(p, n);
    if (k) return k;
    enum err had = c->err;
    if (kv_get(c, key, &q, &n) == OK) k = usable(q, n);
    if (!had && c->err) call_forgive(c);
    metric_add(k ? "chiron_cache_hits_total" : "chiron_cache_misses_total", "cache=\"embedding_kv\"", 1);
    if (k && cache) lru_put(cache, key, strlen(key), k, n);
    return k;
}

static void keep(struct call *c, const char *key, const float *v, int dim, const char *model)
{
    size_t n = sizeof(struct cached) + (size_t)dim * sizeof(float);
    struct cached *k = arena_alloc(&c->mem, n);
    k->expires_ms = clock_unix_ms() + ttl;
    k->dim = dim;
    strncpy(k->model, model, MODEL_BYTES - 1);
    memcpy(k->v, v, (size_t)dim * sizeof(float));
    if (cache) lru_put(cache, key, strlen(key), k, n);
    bool had = c->err != OK;
    if (kv_put(c, key, k, n, ttl) != OK && !had) call_forgive(c);   /* a cache that is full is no failure */
}

/* ERR_CANCELLED and ERR_TIMEOUT end the work; any other failure of the local model is a reason to ask the endpoint. */
static enum err run_local(struct call *c, const struct asked *a, const char *const *texts, const size_t *lens, int n,
                          const float **out, int *dim_out, const char **model_out)
{
    if (!a->local) return fail(c, ERR_UPSTREAM, "no encoder is loaded");
    struct encoder *e = embedder_encoder(a->local);
    int64_t start = clock_mono_us();
    float *v = arena_array(&c->mem, (size_t)n * (size_t)encoder_dim(e), sizeof *v);
    enum err err = encoder_embed_as(c, e, a->kind, texts, lens, n, v, NULL);
    metric_observe("chiron_model_inference_seconds", "model=\"encoder\"", (double)(clock_mono_us() - start) / 1e6);
    if (err) return err;
    *out = v;
    *dim_out = encoder_dim(e);
    *model_out = encoder_name(e);
    return OK;
}

/* Not every compatible server normalises; the scan takes an inner product for a cosine. */
static void make_unit(float *v, int dim)
{
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)v[i] * (double)v[i];
    if (!(sum > 0)) return;
    float by = (float)(1 / sqrt(sum));
    for (int i = 0; i < dim; i++) v[i] *= by;
}

static enum err run_remote(struct call *c, const char *const *texts, const size_t *lens, int n, const float **out, int *dim_out,
                           const char **model_out)
{
    const char **masked = arena_array(&c->mem, (size_t)n, sizeof *masked);
    for (int i = 0; i < n; i++) {
        int count = 0;
        masked[i] = mask_pii(c, texts[i], lens ? lens[i] : strlen(texts[i]), &count);
    }
    float *v = NULL;
    int dim = 0;
    int64_t start = clock_mono_us();
    enum err e = models_embed(c, masked, n, &v, &dim, model_out);
    if (e) return e;
    for (int i = 0; i < n; i++) make_unit(v + (size_t)i * (size_t)dim, dim);
    *dim_out = dim;
    metric_observe("chiron_model_inference_seconds", "model=\"remote\"", (double)(clock_mono_us() - start) / 1e6);
    *out = v;
    return OK;
}

static enum err run(struct call *c, const struct asked *a, const char *const *texts, const size_t *lens, int n,
                    const float **out, int *dim_out, const char **model_out)
{
    enum err e = run_local(c, a, texts, lens, n, out, dim_out, model_out);
    if (!e || e == ERR_CANCELLED || e == ERR_TIMEOUT) return e;
    if (a->local) log_warn(c, "the local encoder failed", "error", c->err_text, NULL);
    call_forgive(c);
    e = run_remote(c, texts, lens, n, out, dim_out, model_out);
    if (!e) metric_add("chiron_embed_fallback_total", NULL, 1);
    return e;
}

static enum err embed_with(struct call *c, const struct asked *a, const char *const *texts, const size_t *lens, int n,
                           const float **out, int *dim_out, const char **model_out)
{
    assert(n > 0 && n <= LIMIT_EMBED_BATCH);
    int64_t start = clock_mono_us();
    const char **keys = arena_array(&c->mem, (size_t)n, sizeof *keys), **missing = arena_array(&c->mem, (size_t)n, sizeof *missing);
    const struct cached **known = arena_array(&c->mem, (size_t)n, sizeof *known);
    size_t *missing_lens = arena_array(&c->mem, (size_t)n, sizeof *missing_lens);
    int m = 0;
    for (int i = 0; i < n; i++) {
        size_t len = lens ? lens[i] : strlen(texts[i]);
        keys[i] = cache_key(c, a, texts[i], len);
        known[i] = recall(c, keys[i]);
        /* One reply has one model: a cached vector of another is made again. */
        if (known[i] && i > 0 && known[0] && strcmp(known[0]->model, known[i]->model) != 0) known[i] = NULL;
        if (known[i]) continue;
        missing[m] = texts[i];
        missing_lens[m++] = len;
    }
    const float *fresh = NULL;
    const char *model = "";
    int dim = 0;
    if (m > 0) {
        enum err e = run(c, a, missing, missing_lens, m, &fresh, &dim, &model);
        if (e) return e;
        for (int i = 0; m < n && i < n; i++) {
            if (!known[i] || (known[i]->dim == dim && !strcmp(known[i]->model, model))) continue;
            e = run(c, a, texts, lens, n, &fresh, &dim, &model);     /* the model changed under the cache: all anew */
            if (e) return e;
            memset(known, 0, (size_t)n * sizeof *known);
            break;
        }
    } else {
        dim = known[0]->dim;
        model = arena_strdup(&c->mem, known[0]->model);
    }
    float *v = arena_array(&c->mem, (size_t)n * (size_t)dim, sizeof *v);
    for (int i = 0, next = 0; i < n; i++) {
        const float *from = known[i] ? known[i]->v : fresh + (size_t)next++ * (size_t)dim;
        memcpy(v + (size_t)i * (size_t)dim, from, (size_t)dim * sizeof *v);
        if (!known[i]) keep(c, keys[i], from, dim, model);
    }
    metric_observe("chiron_embed_seconds", NULL, (double)(clock_mono_us() - start) / 1e6);
    *out = v;
    *dim_out = dim;
    *model_out = model;
    return OK;
}

enum err embed_text(struct call *c, const char *text, size_t n, const float **out, int *dim_out, const char **model_out)
{
    return embed_texts(c, ENCODER_QUERY, &text, &n, 1, out, dim_out, model_out);
}

enum err embed_texts(struct call *c, enum encoder_kind kind, const char *const *texts, const size_t *lens, int n, const float **out,
                     int *dim_out, const char **model_out)
{
    struct embedder *local = embedder_take_default();
    enum err e = embed_with(c, &(struct asked){ local, kind }, texts, lens, n, out, dim_out, model_out);
    embedder_give(local);
    return e;
}

enum err embed_remote(struct call *c, const char *const *texts, int n, const float **out, int *dim_out, const char **model_out)
{
    return run_remote(c, texts, NULL, n, out, dim_out, model_out);
}

bool embed_remote_ready(void)
{
    return models_can_embed();
}

enum err embed_question(struct call *c, const struct model_state *s, const char *text, size_t n, const float **out, int *dim_out,
                        const char **label_out)
{
    struct embedder *local = NULL;
    const char *name = NULL;
    const struct model_row *m = &s->active;
    if (!m->label) return embed_text(c, text, n, out, dim_out, label_out);
    enum err e = m->remote ? OK : embedder_take(c, m, &local);
    /* Without any model of our own the endpoint stands in; beside one, a missing model is being replaced by it. */
    if (e && encoder_default()) return fail(c, ERR_NOT_FOUND, "the model %s is not here", m->name);
    if (e) call_forgive(c);
    e = embed_with(c, &(struct asked){ local, ENCODER_QUERY }, &text, &n, 1, out, dim_out, &name);
    bool own = !e && (m->remote ? !strcmp(name, m->name) : local && !strcmp(name, embedder_name(local))) && *dim_out == m->dim;
    embedder_give(local);
    if (e) return m->remote && encoder_default() ? fail(c, ERR_NOT_FOUND, "%s cannot be asked", m->name) : e;
    *label_out = own ? m->label : !m->remote && !strcmp(name, m->name) ? arena_printf(&c->mem, "%s#remote", name) : name;
    return OK;
}
