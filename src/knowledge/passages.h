/* knowledge/passages.h — texts that are to be found, to the vectors they are found by: of the model that answers and, while
 * another takes its place, of that one too. A text that the creator's store has a vector for is not embedded again.
 *     struct passages p;
 *     e = passages_begin(c, &p);                        // which models
 *     e = passages_embed(c, &p, &mem, texts, n, set, &sets);
 *     passages_end(&p);                                                                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_PASSAGES_H
#define CHIRON_KNOWLEDGE_PASSAGES_H
#include "knowledge/model_store.h"

struct embedder;
enum { PASSAGES_SETS = 2, PASSAGES_MAX = 64 };

/* One model's vectors of a batch; vectors of two models are never in one set. */
struct passage_set {
    struct model_row model;              /* label set */
    const float *v[PASSAGES_MAX];        /* by text, NULL: none could be had */
};
struct passages {
    struct { struct model_row row; struct embedder *local; } want[PASSAGES_SETS];   /* local NULL: the endpoint */
    int count;
    bool strict;                         /* no other model may stand in */
    struct model_state state;
};

/* In c->mem; no model at all is no error: p->count is 0 and texts are found by their words alone. */
MUST_CHECK enum err passages_begin(struct call *c, struct passages *p);
/* With one model alone: for a change to m. ERR_NOT_FOUND: it cannot be run here. */
MUST_CHECK enum err passages_begin_one(struct call *c, const struct model_row *m, struct passages *p);
void passages_end(struct passages *p);

/* n <= PASSAGES_MAX texts; out has room for PASSAGES_SETS, vectors are in mem, hash[i] is of text i. When the local model
 * fails the endpoint's vectors take their place, in a set that says so (RAG-016); when that fails too, the set is missing:
 * *n_out 0. Only masked text goes to the endpoint. Errors: ERR_CANCELLED, ERR_TIMEOUT, of the store, and the local model's
 * own when there is no endpoint. */
MUST_CHECK enum err passages_embed(struct call *c, struct passages *p, struct arena *mem, const char *const *texts, int n,
                                   unsigned char (*hash)[TEXT_HASH_BYTES], struct passage_set *out, int *n_out);
#endif
