/* models/openai.h — one rung of the chain: any endpoint that speaks OpenAI's chat completions and embeddings.
 * Settings are read once by openai_open; afterwards any thread may call.                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_MODELS_OPENAI_H
#define CHIRON_MODELS_OPENAI_H
#include "models/models.h"

MUST_CHECK enum err openai_open(struct call *c);   /* ERR_INVALID: OPENAI_BASE_URL is no http(s) address */
const char *openai_model(void);                    /* the configured chat model */
bool        openai_configured(void);               /* a key or an address was given */
/* Streams the answer. *begun_out says whether on_delta was called, also on an error: the caller must not try another
 * provider then. ERR_UPSTREAM, ERR_TIMEOUT, ERR_CANCELLED; on_delta returning false is OK with finish_reason "stop". */
MUST_CHECK enum err openai_generate(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg,
                                    struct generation *out, bool *begun_out);
MUST_CHECK enum err openai_embed(struct call *c, const char *const *texts, int n, float **out, int *dim_out,
                                 const char **model_out);
#endif
