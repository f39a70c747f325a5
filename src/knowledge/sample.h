/* knowledge/sample.h — made-up content at scale, for measuring: chunks of words as frequent as real ones are and vectors in
 * clusters, written into a creator's store in bulk. The same seed gives the same content.
 *     e = tenant_open(c, "scale");
 *     e = sample_fill(c, &(struct sample){ .chunks = 100000, .model = embed_model(), .dim = 384, .seed = 1 });
 * Of every 10 documents one belongs to user u0 … u9; a document's metadata is {"group": 0 … 99, "name": …}.       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SAMPLE_H
#define CHIRON_KNOWLEDGE_SAMPLE_H
#include <stdint.h>

#include "base/call.h"

struct sample {
    int64_t     first, chunks;     /* numbers first … first + chunks - 1; documents hold 20 each */
    int         words;             /* a chunk; 0: 120 */
    const char *model;             /* the vectors are said to be of it */
    int         dim;
    uint64_t    seed;
};
#define SAMPLE_DOCUMENT 20
/* Thousands of chunks a transaction; ERR_CONFLICT when the numbers are there. */
MUST_CHECK enum err sample_fill(struct call *c, const struct sample *s);
/* Takes a document of chunks out again. */
MUST_CHECK enum err sample_drop(struct call *c, int64_t document);
/* n words of the content, as frequent as there (rare false) or each in some chunks only; in c->mem. */
const char *sample_question(struct call *c, const struct sample *s, int64_t number, int n, bool rare);
#endif
