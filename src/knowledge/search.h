/* knowledge/search.h — the pure parts of search, and what its routes and verbs share beyond knowledge.h. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SEARCH_H
#define CHIRON_KNOWLEDGE_SEARCH_H
#include <stdint.h>

#include "base/call.h"
#include "knowledge/knowledge.h"

#define SEARCH_LEG 50      /* of each leg's best go into the union (RAG-020); k when it is larger */

struct search_hit {
    int64_t id;                        /* item number */
    float   score;
    float   semantic, keyword;         /* what each leg gave; set by its search */
    float   cosine;                    /* to the question as asked; semantic may be to the question moved by feedback */
    uint32_t slot;                     /* of its vector, when the semantic leg found it */
    int     rank_semantic, rank_keyword;   /* from 1, 0: not found by it */
};
/* RAG-020: hits with the legs' raw scores and ranks → combined scores, sorted descending, equal scores by id. Each leg's
 * scores are min-max-normalised over the hits it found; a leg that did not find a hit adds nothing to it. */
void search_combine(struct search_hit *hits, int n, float alpha);

/* Rocchio's feedback (1971): moves a unit question towards the weighted mean of vectors that answer it well. k rows of dim floats with
 * their weights ≥ 0, not all 0; out: dim floats, not unit length, for it only ever orders. */
void search_feedback(const float *question, int dim, const float *const *rows, const float *weights, int k, float *out);

/* Hits of a keyword leg, best first, for a question that is the heading of some of them: those come first (FIT-086). */
struct conn;
MUST_CHECK enum err search_named(struct call *c, struct conn *r, const char *text, size_t text_bytes, struct search_hit *hits, int n);

void search_open(int cache_entries, int feedback_passages);   /* 0: the question stays as it was asked */
void search_close(void);
void search_forget(void);                      /* results that are remembered */
#endif
