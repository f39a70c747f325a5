/* knowledge/combine.c — the arithmetic of hybrid search (RAG-020) and of its feedback, free of stores and models so that
 * the worked example of the specification is a test. It refuses to drop anything: thresholds belong to the caller. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "knowledge/search.h"

#define FEEDBACK_SHARE 1.5f    /* of the passages, beside 1 for the question: docs/retrieval.md */

void search_normalise(float *scores, int n)
{
    if (n == 0) return;
    float lo = scores[0], hi = scores[0];
    for (int i = 1; i < n; i++) {
        if (scores[i] < lo) lo = scores[i];
        if (scores[i] > hi) hi = scores[i];
    }
    for (int i = 0; i < n; i++) scores[i] = hi > lo ? (scores[i] - lo) / (hi - lo) : 1.0f;
}

static int by_score(const void *pa, const void *pb)
{
    const struct search_hit *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Adds share · normalised to the hits that a leg found. */
static void add_leg(struct search_hit *hits, int n, float share, int semantic)
{
    float scores[2 * LIMIT_SEARCH_K + 2 * SEARCH_LEG];
    int at[sizeof scores / sizeof *scores], m = 0;
    for (int i = 0; i < n; i++) {
        if ((semantic ? hits[i].rank_semantic : hits[i].rank_keyword) == 0) continue;
        scores[m] = semantic ? hits[i].semantic : hits[i].keyword;
        at[m++] = i;
    }
    search_normalise(scores, m);
    for (int i = 0; i < m; i++) hits[at[i]].score += share * scores[i];
}

void search_combine(struct search_hit *hits, int n, float alpha)
{
    for (int i = 0; i < n; i++) hits[i].score = 0;
    add_leg(hits, n, alpha, 1);
    add_leg(hits, n, 1.0f - alpha, 0);
    qsort(hits, (size_t)n, sizeof *hits, by_score);
}

void search_feedback(const float *question, int dim, const float *const *rows, const float *weights, int k, float *out)
{
    float sum = 0;
    for (int i = 0; i < k; i++) sum += weights[i];
    memcpy(out, question, (size_t)dim * sizeof *out);
    for (int i = 0; i < k && sum > 0; i++)
        for (int d = 0; d < dim; d++) out[d] += FEEDBACK_SHARE * weights[i] / sum * rows[i][d];
}
