/* knowledge/rerank.h — a second look at what a first stage found: by the cross-encoder when one is installed, by Cohere when
 * it is keyed, else by none; whoever needs scores in any case gets those of the hybrid formula. Any thread.
 *     struct reranked r;
 *     e = rerank_texts(c, query, texts, n, &(struct rerank_opts){ .always = true }, &r);
 *     for (int i = 0; i < n; i++) use(texts[r.order[i]], r.scores[r.order[i]]);                                 */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_RERANK_H
#define CHIRON_KNOWLEDGE_RERANK_H
#include "knowledge/knowledge.h"

struct rerank_opts {
    enum rerank_choice choice;      /* RERANK_AUTO: the setting RERANK */
    const char        *model;       /* of Cohere; NULL: its setting */
    int                top;         /* how many of the best are wanted; 0: all. Cohere scores no more than these */
    int64_t            budget_ms;   /* the cross-encoder takes as many texts as it can score in it; 0: the call's time is the bound */
    bool               always;      /* scores are needed: without a reranker the hybrid formula gives them */
};
struct reranked {
    const char  *method;            /* "cross-encoder", "cohere", "hybrid", "keyword" (the formula without vectors), "none" */
    const char  *model;             /* NULL when the method has none */
    const char  *fell_back_why;     /* why it is not the method that was asked for, NULL when it is */
    int          scored, of;        /* texts with a score, texts */
    int          batches;           /* packs that the cross-encoder computed; 0 when it did not, or when the scores were kept */
    const float *scores;            /* of: 0..1; -1 where there is none */
    const float *logits;            /* of the cross-encoder, where there is a score; NULL for other methods */
    const int   *order;             /* of: the scored ones by score, equal ones and all others as they came */
};

/* n: 1..LIMIT_RERANK_TEXTS. A reranker that fails or has no time is no error: the next method stands in, and the words say
 * why. What the call's deadline left unscored is noted by call_degrade. Only masked text goes to Cohere. ERR_CANCELLED. */
MUST_CHECK enum err rerank_texts(struct call *c, const char *query, const char *const *texts, int n, const struct rerank_opts *o,
                                 struct reranked *out);
/* Whether a search would be re-ranked: by the setting and by what is there. */
bool rerank_ready(enum rerank_choice choice);

/* The first of n passages (best first) re-ranked in place, `depth` of them at most, as the options of the search say; info gets
 * how. Passages keep their first-stage scores and get score_rerank. */
MUST_CHECK enum err rerank_passages(struct call *c, const char *query, const struct search_opts *o, struct passage *p, int n,
                                    struct search_info *info);
/* How many passages a search has to find for its re-ranking: o->k when there is none. */
int rerank_depth(const struct search_opts *o);

/* The formula of hybrid search with the texts as the whole collection: scores 0..1. *method_out: "hybrid", or "keyword" when no
 * embedding was to be had in time. */
MUST_CHECK enum err rerank_hybrid(struct call *c, const char *query, const char *const *texts, int n, float *scores,
                                  const char **method_out);

MUST_CHECK enum err rerank_open(struct call *c);    /* ERR_INVALID: RERANK is none of its words */
void rerank_close(void);
void rerank_forget(void);                      /* scores that are remembered */
#endif
