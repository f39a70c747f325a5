/* knowledge/reindex.h — another embedding model takes the place of the one a creator's vectors are of. Its vectors are made
 * beside the old ones by a durable job; searches go on with the old model and the old vectors until all are there, then
 * one transaction changes over, and the old ones are taken out. The same job makes vectors that are missing.       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_REINDEX_H
#define CHIRON_KNOWLEDGE_REINDEX_H
#include "knowledge/model_store.h"

/* Something was stored that may lack the active model's vector: a job is queued if one can make it. Never an error. */
void reindex_ensure(struct call *c);

/* Makes the default encoder the model of c's creator. asked: also when somebody cancelled that before. *job_out: the
 * job that does it, NULL when there is nothing to do. Without an encoder a provider that answers already is made whole, else
 * ERR_UPSTREAM. */
MUST_CHECK enum err reindex_begin(struct call *c, bool asked, const char **job_out);

struct reindex_status {
    struct model_state models;
    int64_t     done, all;      /* chunks and stored embeddings with the coming (else the active) model's vector, and all */
    bool        answers;        /* the active model can be run here, so searches use meaning */
    const char *job_id;         /* the last one, "" none */
};
MUST_CHECK enum err reindex_look(struct call *c, struct reindex_status *out);      /* in c->mem */
/* "all-MiniLM-L6-v2, 873 of 873" or "a, 12 of 873 of b made, words alone answer"; in c->mem. */
const char *reindex_words(struct call *c, const struct reindex_status *s);
#endif
