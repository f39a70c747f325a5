/* models/chain.c — the providers in the order of LLM_CHAIN. A rung that fails before its first piece is forgotten and
 * the next one speaks; after the first piece nobody else may, for two voices in one answer cannot be checked as one.
 * It refuses to guess a provider: a name it does not know stops the start. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/metric.h"
#include "models/cohere.h"
#include "models/models.h"
#include "models/openai.h"

#define RUNGS_MAX 4
#define LEAST_MS  150     /* with less time than this a provider is not asked: its first piece would come too late */
#define KEEP_MS   50      /* of the call's time, for the rung after it */
enum rung { RUNG_OPENAI, RUNG_EXTRACTIVE };

const struct setting models_settings[] = {
    { "LLM_CHAIN", NULL, "providers in order: openai, extractive; unset: openai,extractive when one is configured", 0, 0, 0 },
    { "OPENAI_API_KEY", NULL, "key of the OpenAI-compatible provider; local servers need none", SETTING_SECRET, 0, 0 },
    { "OPENAI_BASE_URL", NULL, "address of the OpenAI-compatible provider, up to /v1 (https://api.openai.com/v1)", 0, 0, 0 },
    { "OPENAI_MODEL", "gpt-4o-mini", "chat model", 0, 0, 0 },
    { "OPENAI_EMBEDDING_MODEL", "text-embedding-3-small", "embedding model used when the encoder cannot", 0, 0, 0 },
    { "LLM_TIMEOUT_MS", "60000", "ms for a whole answer, 1000 to 120000", SETTING_INT, 1000, LIMIT_DEADLINE_MS },
    { "LLM_FIRST_TOKEN_MS", "15000", "ms until the first piece, retries included, 100 to 120000", SETTING_INT, 100,
      LIMIT_DEADLINE_MS },
    { "LLM_RETRIES", "2", "attempts after a first 429 or 5xx, 0 to 3", SETTING_INT, 0, LIMIT_FETCH_RETRIES },
    { "COHERE_API_KEY", NULL, "key of Cohere's rerank endpoint; with it and without a cross-encoder, searches are re-ranked there",
      SETTING_SECRET, 0, 0 },
    { "COHERE_BASE_URL", NULL, "address of the rerank endpoint, up to /v2 (https://api.cohere.com/v2); others speak it too", 0, 0, 0 },
    { "COHERE_RERANK_MODEL", NULL, "re-ranking model (rerank-v4.0-pro)", 0, 0, 0 },
    { "FIT_COHERE_RERANK_MODEL", NULL, "the same for the fitness pipeline (rerank-english-v2.0)", 0, 0, 0 },
    { "COHERE_PAUSE_MS", "10000", "ms for which the endpoint is not asked after it failed, 0 to 600000", SETTING_INT, 0, 600000 },
    { "COHERE_TIMEOUT_MS", "3000", "ms for one re-ranking, 100 to 60000", SETTING_INT, 100, LIMIT_FETCH_MS },
    { "LLM_MAX_TOKENS", "700", "tokens of an answer unless the request says, 16 to 8192", SETTING_INT, 16, 8192 },
    { 0 }
};

static enum rung chain[RUNGS_MAX];
static int       chain_len;
static char      state[256];

static void describe(void)
{
    metric_describe("chiron_llm_requests_total", 'c', "Calls to a language model provider by provider and outcome");
    metric_describe("chiron_llm_fallbacks_total", 'c', "Answers that a later rung of the chain gave, by the failed provider");
    metric_describe("chiron_llm_retries_total", 'c', "Repeated calls to a provider after 429, 5xx or a broken connection");
    metric_describe("chiron_llm_first_token_seconds", 'h', "Time to the first piece of a provider's answer");
    metric_describe("chiron_llm_tokens_total", 'c', "Tokens as counted by the provider, by kind");
}

static enum err read_chain(struct call *c, const char *list)
{
    chain_len = 0;
    while (*list) {
        size_t n = strcspn(list, ", ");
        if (n) {
            if (chain_len == RUNGS_MAX)
                return fail(c, ERR_INVALID, "LLM_CHAIN names more than %d providers", RUNGS_MAX);
            enum rung r;
            if (n == 6 && strncasecmp(list, "openai", n) == 0)
                r = RUNG_OPENAI;
            else if (n == 10 && strncasecmp(list, "extractive", n) == 0)
                r = RUNG_EXTRACTIVE;
            else
                return fail(c, ERR_INVALID, "LLM_CHAIN: unknown provider \"%.*s\"; known are openai and extractive",
                            (int)(n > 40 ? 40 : n), list);
            chain[chain_len++] = r;
        }
        list += n;
        if (*list) list++;
    }
    /* Without its last rung a chain could leave a person without an answer, so it is always there. */
    if (chain_len == 0 || (chain[chain_len - 1] != RUNG_EXTRACTIVE && chain_len < RUNGS_MAX))
        chain[chain_len++] = RUNG_EXTRACTIVE;
    return OK;
}

enum err models_open(struct call *c)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    enum err e = openai_open(c);
    if (!e) e = cohere_open(c);
    if (e) return e;
    const char *list = conf_text("LLM_CHAIN");
    if (!list || !*list) list = openai_configured() ? "openai,extractive" : "extractive";
    e = read_chain(c, list);
    if (e) return e;
    state[0] = '\0';
    size_t at = 0;
    for (int i = 0; i < chain_len && at < sizeof state; i++) {
        int n = chain[i] == RUNG_OPENAI ? snprintf(state + at, sizeof state - at, "%sopenai (%s)", i ? ", " : "", openai_model())
                                        : snprintf(state + at, sizeof state - at, "%sextractive", i ? ", " : "");
        at += (size_t)n;
    }
    return OK;
}

void models_close(void)
{
    cohere_close();
    chain_len = 0;
    state[0] = '\0';
}

const char *models_state(void)
{
    return state[0] ? state : "extractive";
}

bool models_has_llm(void)
{
    return chain_len > 0 && chain[0] != RUNG_EXTRACTIVE;
}

enum err models_generate(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg, struct generation *out)
{
    const char *why = NULL;
    enum err e = OK;
    for (int i = 0; i < chain_len; i++) {
        struct generation g = { 0 };
        if (chain[i] == RUNG_EXTRACTIVE) {
            e = models_extract(c, p, on_delta, arg, &g);
            if (e) return e;
        } else {
            bool begun = false;
            int64_t outer = call_stage_begin(c, CALL_GENERATE, KEEP_MS);
            if (call_left_ms(c, LEAST_MS) < LEAST_MS)
                e = fail(c, ERR_TIMEOUT, "no time for a language model: %lld ms left", (long long)call_left_ms(c, LEAST_MS));
            else
                e = openai_generate(c, p, on_delta, arg, &g, &begun);
            bool late = e == ERR_TIMEOUT && outer + c->stage_ms[CALL_GENERATE] > 0;
            call_stage_end(c, outer);
            if (e == ERR_CANCELLED || (e && begun)) return e;
            if (late) call_degrade(c, "generate", "extractive", "no time");
            if (e) {
                why = arena_strdup(&c->mem, c->err_text);
                log_warn(c, "provider failed", "provider", "openai", "why", why, NULL);
                metric_add("chiron_llm_fallbacks_total", "provider=\"openai\"", 1);
                call_forgive(c);
                continue;
            }
        }
        g.fell_back = why != NULL;
        g.failed_because = why;
        *out = g;
        return OK;
    }
    /* models_open was not called, or every rung is a provider and failed. */
    e = models_extract(c, p, on_delta, arg, out);
    if (e) return e;
    out->fell_back = why != NULL;
    out->failed_because = why;
    return OK;
}

enum err models_embed(struct call *c, const char *const *texts, int n, float **out, int *dim_out, const char **model_out)
{
    if (!openai_configured())
        return fail(c, ERR_UPSTREAM, "no embedding provider is configured (OPENAI_API_KEY or OPENAI_BASE_URL)");
    return openai_embed(c, texts, n, out, dim_out, model_out);
}

bool models_can_embed(void)
{
    return openai_configured();
}
