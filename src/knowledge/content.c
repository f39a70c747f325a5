/* knowledge/content.c — the caller is answered with the vectors of the model that would embed a question now; stored are
 * those of the model that searches use, and beside them those of the one that takes its place, if one does. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/content.h"

#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/embed.h"
#include "knowledge/knowledge.h"
#include "knowledge/passages.h"
#include "knowledge/reindex.h"
#include "knowledge/search_store.h"

struct made {
    struct model_row models[PASSAGES_SETS];
    int sets;
    const float **v[PASSAGES_SETS];      /* by text */
    const unsigned char (*hash)[TEXT_HASH_BYTES];
};

static enum err embed_all(struct call *c, struct passages *p, const struct content *in, struct made *out)
{
    struct passage_set *sets = arena_array(&c->mem, PASSAGES_SETS, sizeof *sets);
    unsigned char(*hash)[TEXT_HASH_BYTES] = arena_array(&c->mem, (size_t)in->n, sizeof *hash);
    for (int s = 0; s < PASSAGES_SETS; s++) out->v[s] = arena_array(&c->mem, (size_t)in->n, sizeof **out->v);
    for (int from = 0; from < in->n; from += PASSAGES_MAX) {
        int n = in->n - from < PASSAGES_MAX ? in->n - from : PASSAGES_MAX, count = 0;
        enum err e = passages_embed(c, p, &c->mem, in->texts + from, n, hash + from, sets, &count);
        if (e) return e;
        for (int s = 0; s < count; s++) {
            if (from == 0) out->models[s] = sets[s].model;
            if (strcmp(out->models[s].label, sets[s].model.label) || (from && s >= out->sets)) count = -1;
            else memcpy(out->v[s] + from, sets[s].v, (size_t)n * sizeof *sets[s].v);
        }
        if (from && count != out->sets) return fail(c, ERR_UPSTREAM, "the embedding model changed on the way; try again");
        out->sets = count;
    }
    out->hash = (const unsigned char(*)[TEXT_HASH_BYTES])hash;
    return OK;
}

static enum err put_rows(struct call *c, const struct content *in, const struct passages *p, const struct made *m, const char ***ids_out)
{
    struct stored_embedding *rows = arena_array(&c->mem, (size_t)in->n, sizeof *rows);
    const char **ids = arena_array(&c->mem, (size_t)in->n, sizeof *ids), *active = p->state.active.label;
    bool lacking = active && strcmp(active, m->models[0].label) != 0;
    for (int i = 0; i < in->n; i++) {
        char id[ID_BYTES];
        ids[i] = arena_strdup(&c->mem, id_new("emb", id));
        rows[i] = (struct stored_embedding){
            .id = ids[i], .user_id = in->user_id, .content = in->texts[i], .content_type = in->content_type, .metadata = in->metadata,
            .model = m->models[0].label, .dim = m->models[0].dim, .vector = m->v[0][i], .text_hash = m->hash[i],
            .language = text_language(in->texts[i], strlen(in->texts[i])), .created_ms = clock_unix_ms(), .of = &m->models[0],
            .lacking = lacking,
        };
        if (m->sets > 1) {
            rows[i].next = &m->models[1];
            rows[i].next_vector = m->v[1][i];
        }
    }
    enum err e = search_store_embeddings(c, rows, in->n);
    if (!e && lacking) reindex_ensure(c);
    if (!e) *ids_out = ids;
    return e;
}

/* Of the model that is asked first, wherever it was stored. */
static enum err shown(struct call *c, const struct content *in, const struct made *m, struct content_kept *out)
{
    const char *name = embed_model();
    int s = 0;
    while (s < m->sets && strcmp(m->models[s].name, name) != 0) s++;
    if (s == m->sets) {
        /* A question would be answered by a model that nothing is stored of yet, or by the endpoint. */
        if (*name) return embed_texts(c, ENCODER_PASSAGE, in->texts, NULL, in->n, &out->v, &out->dim, &out->model);
        s = 0;
    }
    float *v = arena_array(&c->mem, (size_t)in->n * (size_t)m->models[s].dim, sizeof *v);
    out->dim = m->models[s].dim;
    out->model = m->models[s].name;
    out->v = v;
    for (int i = 0; i < in->n; i++) memcpy(v + (size_t)i * (size_t)out->dim, m->v[s][i], (size_t)out->dim * sizeof *v);
    return OK;
}

enum err content_keep(struct call *c, const struct content *in, struct content_kept *out)
{
    struct passages p;
    struct made m = { .sets = 0 };
    int64_t start = clock_mono_us();
    enum err e = passages_begin(c, &p);
    if (e) return e;
    if (p.count) e = embed_all(c, &p, in, &m);
    if (!e && m.sets == 0) e = fail(c, ERR_UPSTREAM, "there is no embedding model: no encoder is loaded and no provider answers");
    if (!e) e = shown(c, in, &m, out);
    metric_observe("chiron_embed_seconds", NULL, (double)(clock_mono_us() - start) / 1e6);
    if (!e) e = put_rows(c, in, &p, &m, &out->ids);
    passages_end(&p);
    return e;
}
