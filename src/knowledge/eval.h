/* knowledge/eval.h — how good and how fast is search on a collection that people judged? Documents go through the real
 * index of the call's creator, questions through search_text; the measures are pure.                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EVAL_H
#define CHIRON_KNOWLEDGE_EVAL_H
#include "base/call.h"
#include "knowledge/knowledge.h"

struct eval_document { const char *id, *title, *text; };

/* Puts documents into c's creator, which should be empty: one chunk each, longer ones split as ingest splits. Their ids
 * become document ids. Vectors are made by `threads` threads when there is an encoder. progress may be NULL. */
MUST_CHECK enum err eval_index(struct call *c, const struct eval_document *docs, int n, int threads,
                               void (*progress)(void *arg, int done, int all), void *arg);

/* One ranking, gains[i] > 0 where rank i + 1 is relevant; relevant: how many relevant ones there are in all. */
double eval_ndcg(const int *gains, int n, int relevant, int depth);   /* binary gains, log2 discount (Järvelin & Kekäläinen) */
double eval_mrr(const int *gains, int n, int depth);
double eval_recall(const int *gains, int n, int relevant, int depth);
double eval_percentile(double *values, int n, double p);              /* sorts; nearest rank; 0 for none */
#endif
