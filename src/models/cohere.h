/* models/cohere.h — relevance of texts to a query by Cohere's rerank endpoint, or by any server that speaks it (vLLM, Jina,
 * llama-server: COHERE_BASE_URL). Settings are read once by cohere_open; afterwards any thread may call.
 *     e = cohere_rerank(c, NULL, query, texts, n, 5, scores, &model);                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_MODELS_COHERE_H
#define CHIRON_MODELS_COHERE_H
#include "base/call.h"

MUST_CHECK enum err cohere_open(struct call *c);   /* ERR_INVALID: COHERE_BASE_URL is no http(s) address, a line break in the key */
void        cohere_close(void);
bool        cohere_configured(void);               /* a key was given, or an address of another server */
const char *cohere_model(void);                    /* of COHERE_RERANK_MODEL, or the default */
/* n (1..LIMIT_RERANK_TEXTS) texts → scores[n], 0..1, higher is better; -1 for those beyond the best `top` (0: all are scored),
 * which the service leaves out. Texts go out as they are given: the caller has masked them. model NULL: cohere_model().
 * Asked once, without repeating: who waits is a search; after a failure not at all for COHERE_PAUSE_MS, or for as long as a
 * 429 said. ERR_UPSTREAM: not configured, refused (the status is named, the
 * provider's words are not: they may repeat the key or the text), an answer that does not fit; ERR_TIMEOUT; ERR_CANCELLED. */
MUST_CHECK enum err cohere_rerank(struct call *c, const char *model, const char *query, const char *const *texts, int n, int top,
                                  float *scores, const char **model_out);
#endif
