/* models/models.h — prompt to text. A chain of providers is tried in order; the last rung is `extractive`, which needs
 * no network and is deterministic. A reply always says which provider and model made it, and what failed before.
 *     e = models_generate(c, &(struct prompt){ .messages = m, .count = n, .question = q, .passages = p, .passage_count = k },
 *                         on_delta, arg, &g);                                                                   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_MODELS_MODELS_H
#define CHIRON_MODELS_MODELS_H
#include "base/call.h"
#include "base/conf.h"

extern const struct setting models_settings[];  /* OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_MODEL, LLM_CHAIN, LLM_TIMEOUT_MS … */

struct message { const char *role, *text; };    /* role: system, user, assistant */

struct prompt_passage {                         /* what an answer may use */
    const char  *text;                          /* UTF-8 */
    const char  *title, *heading;               /* may be NULL */
    float        score;                         /* 0..1, higher is better */
    const char  *language;                      /* "en", "es" */
};
struct prompt_sentence {                        /* what `extractive` may say, scored by the caller */
    const char *text;                           /* n bytes, a whole sentence or list item */
    size_t      n;
    int         passage;                        /* from 0 */
    float       relevance;                      /* 0..1 to the question */
    bool        item;                           /* one item of a list */
    bool        lead;                           /* introduces what follows ("Do these in order:") */
    bool        follows;                        /* stands directly after the sentence before it in this array */
};
struct prompt {
    const struct message        *messages;      /* for a language model, in order */
    int                          count;
    const char                  *question;      /* the user's words, for extractive */
    const char                  *language;      /* of the question */
    const struct prompt_passage *passages;      /* best first */
    int                          passage_count;
    const struct prompt_sentence *sentences;    /* passages best first, inside each in text order */
    int                          sentence_count;
    double                       temperature;   /* < 0: the provider's default */
    int                          max_tokens;    /* 0: the provider's default */
    const char *const           *stop;          /* NULL-ended, may be NULL */
};
struct generation {
    const char *provider;          /* "extractive", "openai" */
    const char *model;             /* as the provider named it */
    const char *finish_reason;     /* "stop", "length" */
    int         prompt_tokens, completion_tokens;
    bool        fell_back;         /* an earlier rung failed */
    const char *failed_because;    /* its words, in c->mem, or NULL */
};
/* A piece of text; for extractive one whole sentence a piece, with its index in prompt.sentences; a language model's piece
 * has -1. false stops. */
typedef bool (*delta_fn)(void *arg, const char *text, size_t n, int sentence);

MUST_CHECK enum err models_open(struct call *c);   /* reads the settings; ERR_INVALID: an unknown provider in LLM_CHAIN */
void models_close(void);
/* ERR_UPSTREAM, ERR_TIMEOUT: a provider failed after its first piece was given, so no other may begin; ERR_CANCELLED;
 * ERR_NOT_FOUND: the last rung was `extractive` and no sentence is good enough. */
MUST_CHECK enum err models_generate(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg, struct generation *out);
/* The last rung alone. Deterministic, needs no models_open. */
MUST_CHECK enum err models_extract(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg, struct generation *out);
bool models_has_llm(void);                         /* a rung before `extractive` is configured */
/* Embeddings from an OpenAI-compatible endpoint (RAG-016), n × *dim_out floats in c->mem. ERR_UPSTREAM: not configured. */
MUST_CHECK enum err models_embed(struct call *c, const char *const *texts, int n, float **out, int *dim_out, const char **model_out);
bool models_can_embed(void);                       /* such an endpoint is configured */
const char *models_state(void);                    /* one line for health: "extractive" or "openai (gpt-…), extractive" */
#endif
