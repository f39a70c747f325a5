/* models/cohere.c — one POST to a rerank endpoint (Cohere's v2 contract). A search is waiting for it, so it is asked once
 * and within a time of its own; whoever calls has another order to fall back on. After a failure it is left alone for a
 * while: a service that is down would cost every search its whole time. It believes nothing of the answer
 * that does not fit the question: an index twice or out of range, or a score that is no number, fails the whole. */
/* SPDX-License-Identifier: MIT */
#include "models/cohere.h"

#include <stdatomic.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/fetch.h"
#include "base/json.h"

#define URL_DEFAULT   "https://api.cohere.com/v2"
#define MODEL_DEFAULT "rerank-v4.0-pro"
#define REQUEST_BYTES (8 * 1024 * 1024)
#define REPLY_BYTES   (1024 * 1024)

static struct {
    char        url[512];
    const char *key, *model;
    int64_t     timeout_ms, pause_ms;
    bool        configured;
} conf;
static _Atomic int64_t paused_until_ms;

enum err cohere_open(struct call *c)
{
    const char *url = conf_text("COHERE_BASE_URL");
    conf.key = conf_text("COHERE_API_KEY");
    if (conf.key && !*conf.key) conf.key = NULL;
    if (conf.key && strpbrk(conf.key, "\r\n")) return fail(c, ERR_INVALID, "COHERE_API_KEY has a line break in it");
    conf.configured = conf.key || (url && *url);
    if (!url || !*url) url = URL_DEFAULT;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return fail(c, ERR_INVALID, "COHERE_BASE_URL must begin with http:// or https://");
    size_t n = strlen(url);
    while (n && url[n - 1] == '/') n--;
    if (n >= sizeof conf.url) return fail(c, ERR_INVALID, "COHERE_BASE_URL is longer than %zu bytes", sizeof conf.url - 1);
    memcpy(conf.url, url, n);
    conf.url[n] = '\0';
    conf.model = conf_text("COHERE_RERANK_MODEL");
    if (!conf.model || !*conf.model) conf.model = MODEL_DEFAULT;
    conf.timeout_ms = conf_int("COHERE_TIMEOUT_MS");
    conf.pause_ms = conf_int("COHERE_PAUSE_MS");
    atomic_store(&paused_until_ms, 0);
    return OK;
}

/* The settings' words are theirs and may be gone. */
void cohere_close(void)
{
    conf.configured = false;
    conf.key = conf.model = NULL;
}

bool cohere_configured(void)
{
    return conf.configured;
}

const char *cohere_model(void)
{
    return conf.model ? conf.model : MODEL_DEFAULT;
}

static enum err write_request(struct call *c, const char *model, const char *query, const char *const *texts, int n, int top,
                              struct buf *b)
{
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "model", model);
    json_put_text(&j, "query", query);
    json_begin_array(&j, "documents");
    for (int i = 0; i < n; i++) json_put_text(&j, NULL, texts[i]);
    json_end(&j);
    if (top > 0 && top < n) json_put_int(&j, "top_n", top);
    json_end(&j);
    return b->failed ? fail(c, ERR_TOO_LARGE, "texts over %d bytes", REQUEST_BYTES) : OK;
}

/* Results may come in any order; each names its text. */
static enum err read_results(struct call *c, const json_t *o, int n, int expected, float *scores)
{
    const json_t *results = json_object_get(o, "results");
    if (!json_is_array(results) || json_array_size(results) != (size_t)expected)
        return fail(c, ERR_UPSTREAM, "the re-ranking provider gave %zu results for %d texts", json_array_size(results), expected);
    float *got = arena_array(&c->mem, (size_t)n, sizeof *got);
    for (int i = 0; i < n; i++) got[i] = -1;
    for (int i = 0; i < expected; i++) {
        const json_t *row = json_array_get(results, (size_t)i), *score = json_object_get(row, "relevance_score");
        int64_t at = json_get_int(row, "index", -1);
        double  v = json_number_value(score);
        if (at < 0 || at >= n || got[at] >= 0 || !json_is_number(score) || !(v >= 0 && v <= 1))
            return fail(c, ERR_UPSTREAM, "the re-ranking provider's results do not fit the texts");
        got[at] = (float)v;
    }
    memcpy(scores, got, (size_t)n * sizeof *scores);
    return OK;
}

static void pause_after(int retry_after_s)
{
    int64_t ms = conf.pause_ms;
    if (retry_after_s > 0 && ms > 0) ms = 1000 * (int64_t)(retry_after_s < LIMIT_RETRY_AFTER_SECONDS ? retry_after_s : LIMIT_RETRY_AFTER_SECONDS);
    atomic_store(&paused_until_ms, clock_mono_ms() + ms);
}

enum err cohere_rerank(struct call *c, const char *model, const char *query, const char *const *texts, int n, int top,
                       float *scores, const char **model_out)
{
    if (!conf.configured) return fail(c, ERR_UPSTREAM, "no re-ranking provider is configured");
    if (n < 1 || n > LIMIT_RERANK_TEXTS) return fail(c, ERR_INVALID, "between 1 and %d texts", LIMIT_RERANK_TEXTS);
    if (!model) model = conf.model;
    int64_t paused_ms = atomic_load(&paused_until_ms) - clock_mono_ms();
    if (paused_ms > 0)
        return fail(c, ERR_UPSTREAM, "the re-ranking provider failed a moment ago and is asked again in %lld s", (long long)(paused_ms + 999) / 1000);
    const char *headers[4] = { "Content-Type: application/json", "Accept: application/json" };
    if (conf.key) headers[2] = arena_printf(&c->mem, "Authorization: Bearer %s", conf.key);
    struct buf body;
    struct fetch_reply r = { .retry_after_s = -1 };
    json_t *o = NULL;
    buf_init(&body, REQUEST_BYTES);
    enum err e = write_request(c, model, query, texts, n, top, &body);
    if (!e) {
        struct fetch_opts f = { .method = "POST", .url = arena_printf(&c->mem, "%s/rerank", conf.url), .headers = headers, .body = body.data,
                                .body_len = body.len, .timeout_ms = conf.timeout_ms, .max_bytes = REPLY_BYTES };
        e = fetch(c, &f, &r);
    }
    if (!e && (r.status < 200 || r.status > 299)) e = fail(c, ERR_UPSTREAM, "the re-ranking provider answered %d", r.status);
    if (!e && json_parse(c, r.body, r.body_len, &o)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the re-ranking provider sent something that is no JSON");
    }
    if (!e) e = read_results(c, o, n, top > 0 && top < n ? top : n, scores);
    if (!e) *model_out = arena_strdup(&c->mem, model);
    /* A deadline of the caller's own, shorter than the time given to the provider, says nothing against it. */
    bool own_fault = e == ERR_UPSTREAM || (e == ERR_TIMEOUT && call_left_ms(c, 1) > 0);
    if (own_fault) pause_after(r.retry_after_s);
    json_decref(o);
    buf_dispose(&body);
    return e;
}
