/* knowledge/content.h — texts kept as a user's searchable content (RAG-004, RAG-011), with their vectors. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_CONTENT_H
#define CHIRON_KNOWLEDGE_CONTENT_H
#include "base/call.h"

struct content {
    const char *user_id, *content_type, *metadata;   /* metadata: JSON object */
    const char *const *texts;                        /* masked already */
    int n;                                           /* 1..LIMIT_EMBED_BATCH */
};
struct content_kept {
    const char **ids;       /* n */
    const float *v;         /* n × dim */
    int dim;
    const char *model;      /* its name */
};
/* All or none; out in c->mem. A text that the creator's store has a vector for is not embedded again. ERR_UPSTREAM: there is
 * neither encoder nor endpoint. */
MUST_CHECK enum err content_keep(struct call *c, const struct content *in, struct content_kept *out);
#endif
