/* knowledge/passages.c — a text longer than the model's reach is embedded in windows of equal size, whose mean stands for
 * it: cut at 256 tokens, three quarters of a long chunk would not be found. The store is asked before any model: that makes
 * a document's new version cost what is new in it, and reading the same texts in again cost nothing (FIT-083). */
/* SPDX-License-Identifier: MIT */
#include "knowledge/passages.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/embed.h"
#include "knowledge/embedder.h"

#define WINDOWS_MAX 64           /* of one text */
#define ROOM        128          /* windows in one run */

/* ---- one local model ---- */

static int windows(struct encoder *enc, struct arena *mem, const char *text, size_t n, const char **texts, size_t *lens, int room)
{
    /* A token has at least one byte; where words begin with a mark of their own, two tokens may share one. */
    size_t reach = (size_t)encoder_reach(enc, ENCODER_PASSAGE);
    int max = (int)(2 * n < reach * WINDOWS_MAX ? 2 * n : reach * WINDOWS_MAX);
    uint32_t *at = arena_array(mem, (size_t)max + 1, sizeof(*at));
    int tokens = n > reach ? tokenizer_spans(encoder_tokenizer(enc), text, n, at, max) : 0;
    int count = (tokens + (int)reach - 1) / (int)reach;
    if (count < 1) count = 1;
    if (count > room) count = room;
    for (int i = 0; i < count; i++) {
        size_t from = i ? at[(int64_t)tokens * i / count] : 0, to = i + 1 < count ? at[(int64_t)tokens * (i + 1) / count] : n;
        texts[i] = text + from;
        lens[i] = to - from;
    }
    return count;
}

static void mean(const float *from, int count, int dim, float *out)
{
    double sum = 0;
    for (int d = 0; d < dim; d++) {
        double v = 0;
        for (int i = 0; i < count; i++) v += from[(size_t)i * (size_t)dim + (size_t)d];
        out[d] = (float)v;
        sum += v * v;
    }
    float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (int d = 0; d < dim; d++) out[d] *= scale;
}

static enum err run_local(struct call *c, struct encoder *enc, struct arena *mem, const char *const *all, int n, const float **out)
{
    const char *texts[ROOM];
    size_t lens[ROOM];
    int counts[PASSAGES_MAX], dim = encoder_dim(enc);
    for (int from = 0; from < n;) {
        int used = 0, to = from;
        /* As many texts as there is room for windows; at least one. */
        for (; to < n && used + WINDOWS_MAX <= ROOM; to++) {
            counts[to] = windows(enc, mem, all[to], strlen(all[to]), texts + used, lens + used, WINDOWS_MAX);
            used += counts[to];
        }
        float *v = arena_array(mem, (size_t)used * (size_t)dim, sizeof(*v));
        int64_t start = clock_mono_us();
        enum err e = encoder_embed_as(c, enc, ENCODER_PASSAGE, texts, lens, used, v, NULL);
        metric_observe("chiron_model_inference_seconds", "model=\"encoder\"", (double)(clock_mono_us() - start) / 1e6);
        if (e) return e;
        for (; from < to; from++) {
            float *one = arena_array(mem, (size_t)dim, sizeof(*one));
            mean(v, counts[from], dim, one);
            v += (size_t)counts[from] * (size_t)dim;
            out[from] = one;
        }
    }
    return OK;
}

/* ---- the endpoint ---- */

/* A call of its own: a long document's vectors must not pile up in the caller's memory. */
static enum err run_remote(struct call *c, struct arena *mem, const char *const *texts, int n, const float **out, struct model_row *m)
{
    struct call own;
    const float *v = NULL;
    const char *name = NULL;
    int dim = 0;
    call_init(&own);
    own.stop = c->stop;
    own.deadline_ms = c->deadline_ms;
    enum err e = embed_remote(&own, texts, n, &v, &dim, &name);
    /* The provider's own time was over; the caller's may not be. */
    if (e == ERR_TIMEOUT && !c->deadline_ms) e = ERR_UPSTREAM;
    if (e) e = fail(c, e, "%s", own.err_text);
    for (int i = 0; !e && i < n; i++) {
        float *copy = arena_array(mem, (size_t)dim, sizeof *copy);
        memcpy(copy, v + (size_t)i * (size_t)dim, (size_t)dim * sizeof *copy);
        out[i] = copy;
    }
    if (!e) *m = (struct model_row){ .name = arena_strdup(mem, name), .print = "", .stamp = "", .dim = dim, .remote = true };
    call_dispose(&own);
    return e;
}

/* ---- which models ---- */

static void want(struct passages *p, const struct model_row *m, struct embedder *local)
{
    if (p->count == PASSAGES_SETS) {
        embedder_give(local);
        return;
    }
    p->want[p->count].row = *m;
    p->want[p->count++].local = local;
}

static void want_one(struct call *c, struct passages *p, const struct model_row *m)
{
    struct embedder *local = NULL;
    if (!m->label) return;
    if (m->remote) {
        if (embed_remote_ready()) want(p, m, NULL);
    } else if (embedder_take(c, m, &local) == OK) {
        want(p, m, local);
    } else {
        call_forgive(c);
    }
}

/* The default where it is neither active nor next: as long as the active one cannot run, something must be stored. */
static const char *label_of_other(struct call *c, const struct passages *p, const struct model_row *m)
{
    const struct model_row *have[] = { &p->state.active, &p->state.next, &p->state.declined };
    for (int i = 0; i < 3; i++)
        if (have[i]->label && !strcmp(have[i]->label, m->name) && (have[i]->remote != m->remote || strcmp(have[i]->print, m->print)))
            return arena_printf(&c->mem, "%s#%.12s", m->name, m->remote ? "remote" : *m->print ? m->print : "other");
    return m->name;
}

enum err passages_begin(struct call *c, struct passages *p)
{
    *p = (struct passages){ .count = 0 };
    enum err e = model_store_state(c, &p->state);
    if (e) return e;
    want_one(c, p, &p->state.active);
    want_one(c, p, &p->state.next);
    bool answers = p->count && p->state.active.label && !strcmp(p->want[0].row.label, p->state.active.label);
    struct model_row m;
    if (!answers && p->count < PASSAGES_SETS && embedder_default(c, &m) &&
        !(p->count && !strcmp(p->want[0].row.name, m.name) && p->want[0].row.dim == m.dim)) {
        m.label = label_of_other(c, p, &m);
        want(p, &m, embedder_take_default());
    }
    if (p->count == 0 && embed_remote_ready()) {
        m = (struct model_row){ .name = conf_text("OPENAI_EMBEDDING_MODEL"), .print = "", .stamp = "", .remote = true };
        m.label = label_of_other(c, p, &m);
        want(p, &m, NULL);
    }
    return OK;
}

enum err passages_begin_one(struct call *c, const struct model_row *m, struct passages *p)
{
    *p = (struct passages){ .strict = true };
    struct embedder *local = NULL;
    if (m->remote && !embed_remote_ready()) return fail(c, ERR_NOT_FOUND, "the provider of %s is not configured", m->name);
    enum err e = m->remote ? OK : embedder_take(c, m, &local);
    if (!e) want(p, m, local);
    return e;
}

void passages_end(struct passages *p)
{
    for (int i = 0; i < p->count; i++) embedder_give(p->want[i].local);
    p->count = 0;
}

/* ---- a batch ---- */

/* Those texts without a vector, at once; out gets theirs. */
static enum err run_missing(struct call *c, struct passages *p, int w, struct arena *mem, const char *const *texts, int n, struct passage_set *out)
{
    const char *missing[PASSAGES_MAX];
    const float *v[PASSAGES_MAX];
    int at[PASSAGES_MAX], m = 0;
    for (int i = 0; i < n; i++)
        if (!out->v[i]) {
            missing[m] = texts[i];
            at[m++] = i;
        }
    if (m == 0) return OK;
    struct model_row got = { .label = NULL };
    struct embedder *local = p->want[w].local;
    enum err e = local ? run_local(c, embedder_encoder(local), mem, missing, m, v) : run_remote(c, mem, missing, m, v, &got);
    if (e) return e;
    if (!local && (strcmp(got.name, out->model.name) || (out->model.dim && got.dim != out->model.dim))) {
        /* The provider answers with another model than it was asked for: its vectors are what it says they are. */
        if (out->model.dim && got.dim != out->model.dim && !strcmp(got.name, out->model.name))
            return fail(c, ERR_UPSTREAM, "the embedding provider's %s has %d dimensions now, not %d", got.name, got.dim, out->model.dim);
        if (m < n) return fail(c, ERR_UPSTREAM, "the embedding provider answers with %s now, not %s", got.name, out->model.name);
        out->model.name = got.name;
        out->model.label = arena_strdup(mem, label_of_other(c, p, &got));
    }
    if (!local) out->model.dim = got.dim;
    for (int i = 0; i < m; i++) out->v[at[i]] = v[i];
    return OK;
}

static enum err one_set(struct call *c, struct passages *p, int w, struct arena *mem, const char *const *texts, int n,
                        const unsigned char (*hash)[TEXT_HASH_BYTES], struct passage_set *out)
{
    int known = 0;
    *out = (struct passage_set){ .model = p->want[w].row };
    enum err e = out->model.dim ? model_store_known(c, mem, out->model.label, out->model.dim, hash, n, out->v, &known) : OK;
    if (e) return e;
    metric_add("chiron_embed_known_total", NULL, known);
    return run_missing(c, p, w, mem, texts, n, out);
}

static enum err fall_back(struct call *c, struct passages *p, struct arena *mem, const char *const *texts, int n, struct passage_set *out)
{
    struct model_row m = { .label = NULL };
    *out = (struct passage_set){ .model = m };
    enum err e = run_remote(c, mem, texts, n, out->v, &m);
    if (e) return e;
    m.label = arena_strdup(mem, label_of_other(c, p, &m));
    out->model = m;
    metric_add("chiron_embed_fallback_total", NULL, 1);
    return OK;
}

enum err passages_embed(struct call *c, struct passages *p, struct arena *mem, const char *const *texts, int n,
                        unsigned char (*hash)[TEXT_HASH_BYTES], struct passage_set *out, int *n_out)
{
    assert(n > 0 && n <= PASSAGES_MAX);
    int sets = 0;
    for (int i = 0; i < n; i++) model_store_hash(texts[i], strlen(texts[i]), hash[i]);
    for (int w = 0; w < p->count; w++) {
        enum err e = one_set(c, p, w, mem, texts, n, (const unsigned char(*)[TEXT_HASH_BYTES])hash, &out[sets]);
        if (e == ERR_CANCELLED || e == ERR_TIMEOUT || e == ERR_IO || e == ERR_CORRUPT || e == ERR_BUSY) return e;
        if (e) {
            bool local = p->want[w].local != NULL;
            if (p->strict || (local && !embed_remote_ready())) return e;
            log_warn(c, local ? "the local encoder failed" : "the embedding provider failed", "why", c->err_text, NULL);
            call_forgive(c);
            if (!local) continue;
            e = fall_back(c, p, mem, texts, n, &out[sets]);
            if (e == ERR_CANCELLED || e == ERR_TIMEOUT) return e;
            if (e) {
                log_warn(c, "the embedding provider failed too", "why", c->err_text, NULL);
                call_forgive(c);
                continue;
            }
        }
        sets++;
    }
    *n_out = sets;
    return OK;
}
