/* knowledge/model_store.h — which model a creator's vectors are of, and the SQL by which another takes its place. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_MODEL_STORE_H
#define CHIRON_KNOWLEDGE_MODEL_STORE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

struct conn;

struct model_row {
    const char *label;          /* of its vectors; NULL: there is no such model */
    const char *name;           /* of its folder, or as its provider calls it */
    const char *print, *stamp;  /* encoder/modelprint.h; "" unknown */
    int         dim;
    bool        remote;         /* a provider's */
};
struct model_state {
    struct model_row active;    /* answers; none until the first vector is stored */
    struct model_row next;      /* is being made ready beside it */
    struct model_row declined;  /* somebody cancelled the change to it */
};
/* In c->mem. */
MUST_CHECK enum err model_store_read(struct call *c, struct conn *r, struct model_state *out);
MUST_CHECK enum err model_store_state(struct call *c, struct model_state *out);   /* in a transaction of its own */

/* ---- inside the caller's write transaction ---- */
/* A vector of m was stored: it becomes active when none is, else is kept in mind. */
MUST_CHECK enum err model_store_note(struct call *c, struct conn *w, const struct model_row *m);
/* Says that something may be without the active model's vector. */
MUST_CHECK enum err model_store_lacking(struct call *c, struct conn *w);
/* Says so when a chunk of the document is. */
MUST_CHECK enum err model_store_look(struct call *c, struct conn *w, const char *document_id);

/* ---- texts that have a vector already (FIT-083) ---- */
enum { TEXT_HASH_BYTES = 16 };
void model_store_hash(const char *text, size_t n, unsigned char out[TEXT_HASH_BYTES]);
/* For each i with out[i] NULL: the vector of that label for the text of hash[i], in mem. *found_out: how many. */
MUST_CHECK enum err model_store_known(struct call *c, struct arena *mem, const char *label, int dim,
                                      const unsigned char (*hash)[TEXT_HASH_BYTES], int n, const float **out, int *found_out);

/* ---- the change ---- */
/* One transaction: m (its label is found here) becomes next, unless it is active already, and a job of this kind is
 * queued when there is something to do and none is open. A declined model is left alone unless asked.
 * *job_out: the open job, NULL: nothing to do. Vectors older than the table of models are taken to be of m when they
 * have its name and dimension. */
MUST_CHECK enum err model_store_begin(struct call *c, const struct model_row *m, bool asked, const char *job_kind, const char **job_out);
/* Is m the model that answers, or one that was declined, and is nothing amiss? For a look that writes nothing. */
MUST_CHECK enum err model_store_settled(struct call *c, const struct model_row *m, bool *settled_out);
/* Up to max chunks and stored embeddings after *chunk_at and *embedding_at (row numbers, 0 first) without a vector of label. */
struct model_text { const char *id, *text, *heading; bool embedding; };
MUST_CHECK enum err model_store_pending(struct call *c, const char *label, int64_t *chunk_at, int64_t *embedding_at, int max,
                                        struct model_text *out, int *n_out);
/* Those of texts that still stand get their vectors, one transaction. touch: searches shall see them now. */
MUST_CHECK enum err model_store_put(struct call *c, const char *label, int dim, const struct model_text *texts,
                                    const unsigned char (*hash)[TEXT_HASH_BYTES], const float *const *v, int n, bool touch);
/* Items with and without a vector of label. */
MUST_CHECK enum err model_store_count(struct call *c, const char *label, int64_t *done_out, int64_t *all_out);
/* One transaction: if every item has a vector of label, it is active from now on. *done_out false: something came in
 * meanwhile, or (*wanted_out false) label is neither active nor next any more. */
MUST_CHECK enum err model_store_switch(struct call *c, const char *label, bool *done_out, bool *wanted_out);
/* A batch of what is left of other models is taken out, where the active one's vector is there; *at is zeroed at first.
 * *more_out: there may be more. */
struct model_clean { int phase; int64_t seq; };
MUST_CHECK enum err model_store_clean(struct call *c, struct model_clean *at, bool *more_out);
/* The change to label was cancelled: it is remembered as declined, its vectors are for model_store_clean. */
MUST_CHECK enum err model_store_decline(struct call *c, const char *label);
/* Does something have no vector of the active model, as far as was noted? And the last change's job, "" none. */
MUST_CHECK enum err model_store_flags(struct call *c, bool *lacking_out, const char **job_out);
#endif
