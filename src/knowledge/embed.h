/* knowledge/embed.h — texts to vectors behind two caches: one in this process, one in the key-value store for an hour
 * (RAG-023, RAG-024). The local encoder comes first, the OpenAI-compatible endpoint when it is missing or fails (RAG-016);
 * only masked text goes out to the endpoint (RAG-027). Any thread.                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EMBED_H
#define CHIRON_KNOWLEDGE_EMBED_H
#include "encoder/encoder.h"

void embed_open(int cache_entries, int64_t ttl_ms);
void embed_close(void);
void embed_forget(void);                       /* what is remembered of texts, in this process and its key-value store */
/* n texts of one kind in one batch: n × *dim_out floats and the model's name in c->mem. ERR_UPSTREAM: neither encoder nor endpoint. */
MUST_CHECK enum err embed_texts(struct call *c, enum encoder_kind kind, const char *const *texts, const size_t *lens, int n,
                                const float **out, int *dim_out, const char **model_out);
/* Name of the model that would be asked first; "" without a local one. */
const char *embed_model(void);
/* A question in the model that a creator's vectors are of; *label_out: whose set to search. Never in another than the
 * state's active one, but for the endpoint standing in for it. ERR_NOT_FOUND: it cannot be run here. */
struct model_state;
MUST_CHECK enum err embed_question(struct call *c, const struct model_state *s, const char *text, size_t n, const float **out,
                                   int *dim_out, const char **label_out);
/* Past the caches, from the endpoint alone; texts are masked on their way out. ERR_UPSTREAM. */
MUST_CHECK enum err embed_remote(struct call *c, const char *const *texts, int n, const float **out, int *dim_out,
                                 const char **model_out);
bool embed_remote_ready(void);      /* there is one */
#endif
