/* knowledge/search_similar.c — the passages nearest to one that is there already (FIT-084), by the vectors that are stored:
 * nothing is embedded, so it costs one scan. What may be seen is what a search would show, the passage asked about
 * included: another user's or creator's does not exist. It refuses to guess: a passage without a vector of the model that
 * answers is said to have none, and is not compared by another model's. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/model_store.h"
#include "knowledge/search_store.h"

/* Before the first change of a model nothing is noted, and the vectors are the default's. */
static const struct collection_set *answering_set(const struct collection *col, const struct model_state *models)
{
    const struct model_row *m = &models->active;
    if (m->label) return collection_set(col, m->label, m->dim);
    return encoder_default() ? collection_set(col, embed_model(), encoder_dim(encoder_default())) : NULL;
}

static bool visible(const uint64_t *allowed, uint32_t at)
{
    return !allowed || (allowed[at / 64] >> (at % 64) & 1);
}

static enum err nearest(struct call *c, struct conn *r, const struct collection *col, const struct model_state *models,
                        const char *chunk_id, const struct search_opts *o, struct passage **out, int *n_out)
{
    const char *user = o->user_id ? o->user_id : c->user_id;
    int64_t item = 0;
    uint32_t slot = 0;
    enum err e = search_store_item(c, r, chunk_id, &item);
    if (e) return e;
    uint32_t at = item && collection_count(col) ? collection_find(col, item, 0) : COLLECTION_NONE;
    if (at == COLLECTION_NONE || !visible(collection_allowed(c, col, user, NULL, NULL), at))
        return fail(c, ERR_NOT_FOUND, "no passage %.60s", chunk_id);
    const struct collection_set *set = answering_set(col, models);
    if (!set || !collection_slot(set, at, &slot))
        return fail(c, ERR_CONFLICT, "the passage %.60s has no vector%s%s", chunk_id, models->active.label ? " of " : "",
                    models->active.label ? models->active.name : "");
    int k = o->k ? o->k : 5, n = 0;
    const uint64_t *allowed = collection_allowed(c, col, user, o->types, o->filter);
    struct vector_hit *near = arena_array(&c->mem, (size_t)k + 1, sizeof *near);
    int found = vectors_scan(set->rows, vectors_row(set->rows, slot), set->count, collection_slots(c, col, set, allowed), k + 1, near);
    struct passage *p = arena_array(&c->mem, (size_t)k, sizeof *p);
    for (int i = 0; i < found && n < k; i++) {
        bool there = false;
        if (near[i].slot == slot || (o->threshold > 0 && near[i].cosine < o->threshold)) continue;
        e = search_store_passage(c, r, collection_item(col, set->index_of[near[i].slot]), &p[n], &there);
        if (e) return e;
        if (!there) continue;
        p[n].score = p[n].score_cos = p[n].score_semantic = near[i].cosine;
        p[n].score_rerank = -1;
        p[n].rank_semantic = n + 1;
        n++;
    }
    *out = p;
    *n_out = n;
    return OK;
}

enum err search_similar(struct call *c, const char *chunk_id, const struct search_opts *o, struct passage **out, int *n_out,
                        struct search_similar_info *info)
{
    struct conn *r = NULL;
    struct collection *col = NULL;
    struct model_state models;
    int64_t generation = 0, start = clock_mono_us();
    if (o->k < 0 || o->k > LIMIT_SEARCH_K) return fail_field(c, "k", "k is 1 to %d", LIMIT_SEARCH_K);
    int span = span_begin(c, "search");
    enum err e = call_check(c);
    if (!e) e = search_store_begin(c, &r, &generation);
    if (!e) e = model_store_read(c, r, &models);
    if (!e) e = collection_get(c, r, generation, &col);
    if (!e) e = nearest(c, r, col, &models, chunk_id, o, out, n_out);
    if (!e) {
        const struct collection_set *set = answering_set(col, &models);
        *info = (struct search_similar_info){ arena_strndup(&c->mem, set->model, strcspn(set->model, "#")), set->dim };
        metric_observe("chiron_search_seconds", "mode=\"similar\"", (double)(clock_mono_us() - start) / 1e6);
    }
    collection_release(col);
    search_store_end(&r);
    span_end(c, span);
    return e;
}
