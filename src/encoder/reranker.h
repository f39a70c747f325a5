/* encoder/reranker.h — how well each text answers a query, by a BERT-form cross-encoder (ms-marco-MiniLM-L-6-v2 and its
 * kind) on the encoder's engine. A loaded reranker is immutable: any number of threads may use it at once.
 *     struct reranker *r;
 *     e = reranker_load(c, "models/ms-marco-MiniLM-L-6-v2", ENCODER_BF16, &r);
 *     float logits[20]; struct reranker_run run;
 *     e = reranker_score(c, r, query, texts, NULL, 20, logits, &run);          // logits[0 … run.scored - 1]
 *     reranker_free(r);                                                                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_RERANKER_H
#define CHIRON_ENCODER_RERANKER_H
#include <stddef.h>

#include "encoder/encoder.h"

struct reranker;
struct reranker_run {
    int scored;      /* texts from the first that have a score; all of them unless the time was over */
    int batches;     /* packs of pairs that were computed */
    int tokens;      /* of the scored pairs, [CLS] and both [SEP] counted in */
};

/* folder holds model.safetensors, vocab.txt (or tokenizer.json) and the config.json of a BertForSequenceClassification with
 * one label. ERR_NOT_FOUND names the missing file; ERR_CORRUPT says what is wrong: no head, more labels than one, another
 * architecture or activation, a shape, a NaN. Precision as encoder_load; ENCODER_THREADS is read here. */
MUST_CHECK enum err reranker_load(struct call *c, const char *folder, enum encoder_precision p, struct reranker **out);
void        reranker_free(struct reranker *r);            /* no thread may be inside; NULL allowed */
const char *reranker_name(const struct reranker *r);      /* the folder's last name */
const char *reranker_precision_used(const struct reranker *r);
int         reranker_max_tokens(const struct reranker *r);   /* of a pair; what is longer is cut as Hugging Face's longest_first */

/* The n pairs [CLS] query [SEP] text [SEP] → logits[n], each as if it were scored alone up to rounding. lens NULL:
 * NUL-terminated. n is at most LIMIT_RERANK_TEXTS. Pairs are computed in order, several in a pack; between packs the call is
 * checked. A deadline that passes is no error: run says how many were scored, logits of the others are undefined.
 * ERR_CANCELLED; ERR_TOO_LARGE: query over LIMIT_QUERY_BYTES. */
MUST_CHECK enum err reranker_score(struct call *c, struct reranker *r, const char *query, const char *const *texts,
                                   const size_t *lens, int n, float *logits, struct reranker_run *run);
/* The model's own last step, which its config.json names: the logit itself or its sigmoid. */
float reranker_output(const struct reranker *r, float logit);
/* 1 / (1 + e^-logit): 0..1 for every model. */
float reranker_probability(float logit);
/* How many texts of text_bytes on average can be scored in ms, from what this process measured so far; at least 1, at most
 * LIMIT_RERANK_TEXTS, which is also the answer before the first measurement. */
int reranker_texts_in(const struct reranker *r, int64_t ms, size_t text_bytes);

/* The process's reranker, set once by main before threads start; NULL when none is installed. */
struct reranker *reranker_default(void);
void             reranker_set_default(struct reranker *r);
#endif
