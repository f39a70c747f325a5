/* knowledge/eval_store.h — a collection's texts as documents and chunks of c's creator, in one transaction. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EVAL_STORE_H
#define CHIRON_KNOWLEDGE_EVAL_STORE_H
#include "base/call.h"

struct eval_chunk {
    const char  *document_id, *title, *text;
    int          index;        /* from 0; 0 begins the next document */
    const float *vector;       /* NULL: none */
};
MUST_CHECK enum err eval_store_put(struct call *c, const struct eval_chunk *rows, int n, const char *model, int dim);
#endif
