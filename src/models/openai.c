/* models/openai.c — chat completions and embeddings over HTTP. An answer is always asked for as a stream, so that the
 * first sentence can be checked while the rest is written; a server that answers in one piece is understood as well.
 * Retries happen only before the first piece and only within the time a person would wait for it. What a provider says
 * about an error is reduced to its code: its words may repeat the key or the question. */
/* SPDX-License-Identifier: MIT */
#include "models/openai.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/fetch.h"
#include "base/id.h"
#include "base/json.h"
#include "base/metric.h"
#include "models/sse_read.h"

#define URL_DEFAULT      "https://api.openai.com/v1"
#define EVENT_BYTES      (1024 * 1024)      /* one stream event */
#define ANSWER_BYTES     (256 * 1024)       /* all pieces together */
#define REQUEST_BYTES    (4 * 1024 * 1024)
#define FALLBACK_MS      1500               /* kept of a call's time for the rung after this one */
#define BACKOFF_FIRST_MS 250

static struct {
    char        url[512];
    bool        configured, official;
    const char *key, *model, *embedding_model;
    int64_t     timeout_ms, first_ms;
    int         retries, max_tokens;
} conf;

enum err openai_open(struct call *c)
{
    const char *url = conf_text("OPENAI_BASE_URL");
    conf.key = conf_text("OPENAI_API_KEY");
    if (conf.key && !*conf.key) conf.key = NULL;
    if (conf.key && strpbrk(conf.key, "\r\n")) return fail(c, ERR_INVALID, "OPENAI_API_KEY has a line break in it");
    conf.configured = conf.key || (url && *url);
    if (!url || !*url) url = URL_DEFAULT;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return fail(c, ERR_INVALID, "OPENAI_BASE_URL must begin with http:// or https://");
    size_t n = strlen(url);
    while (n && url[n - 1] == '/') n--;
    if (n >= sizeof conf.url) return fail(c, ERR_INVALID, "OPENAI_BASE_URL is longer than %zu bytes", sizeof conf.url - 1);
    memcpy(conf.url, url, n);
    conf.url[n] = '\0';
    conf.official = strncmp(conf.url, URL_DEFAULT, sizeof URL_DEFAULT - 1) == 0;
    conf.model = conf_text("OPENAI_MODEL");
    conf.embedding_model = conf_text("OPENAI_EMBEDDING_MODEL");
    conf.timeout_ms = conf_int("LLM_TIMEOUT_MS");
    conf.first_ms = conf_int("LLM_FIRST_TOKEN_MS");
    conf.retries = (int)conf_int("LLM_RETRIES");
    conf.max_tokens = (int)conf_int("LLM_MAX_TOKENS");
    return OK;
}

const char *openai_model(void)
{
    return conf.model;
}

bool openai_configured(void)
{
    return conf.configured;
}

/* One answer being read. */
struct stream {
    struct call   *c;
    struct sse_read sse;
    struct buf     whole;          /* a body that is no stream */
    bool           plain;          /* … and that it is one */
    bool           seen;           /* the first byte came */
    delta_fn       on_delta;
    void          *arg;
    bool           begun, wanted;  /* wanted: on_delta did not say stop */
    bool           finished;       /* finish_reason or [DONE] */
    bool           late;           /* no piece within first_ms */
    int64_t        start_ms, first_by_ms;
    size_t         bytes;
    const char    *finish_reason, *model, *fault;
    int            prompt_tokens, completion_tokens;
};

/* The part of a provider's error that is safe to show: its code or type, letters and digits only. */
static const char *error_word(struct call *c, const json_t *error)
{
    const char *w = json_get_text(error, "code", NULL);
    if (!w) w = json_get_text(error, "type", NULL);
    if (!w) return "error";
    char word[48];
    size_t n = 0;
    for (; *w && n + 1 < sizeof word; w++)
        if (isalnum((unsigned char)*w) || strchr("_.-", *w)) word[n++] = *w;
    word[n] = '\0';
    return n ? arena_strdup(&c->mem, word) : "error";
}

static bool give(struct stream *s, const char *text)
{
    size_t n = strlen(text);
    if (n == 0) return true;
    if (s->bytes + n > ANSWER_BYTES) {
        s->fault = "its answer is too long";
        return false;
    }
    s->bytes += n;
    if (!s->begun) {
        s->begun = true;
        metric_observe("chiron_llm_first_token_seconds", NULL, (double)(clock_mono_ms() - s->start_ms) / 1000.0);
    }
    s->wanted = s->on_delta(s->arg, text, n, -1);
    return s->wanted;
}

static bool read_answer(struct stream *s, const char *data, size_t n, const char *part)
{
    json_t *o = NULL;
    if (json_parse(s->c, data, n, &o)) {
        call_forgive(s->c);
        s->fault = "it sent something that is no JSON";
        return false;
    }
    bool go = true;
    const json_t *error = json_object_get(o, "error");
    if (json_is_object(error)) {
        s->fault = arena_printf(&s->c->mem, "it reported %s", error_word(s->c, error));
        go = false;
    }
    const char *model = json_get_text(o, "model", NULL);
    if (model && !s->model) s->model = arena_strndup(&s->c->mem, model, strnlen(model, 128));
    const json_t *usage = json_object_get(o, "usage");
    if (json_is_object(usage)) {
        s->prompt_tokens = (int)json_get_int(usage, "prompt_tokens", 0);
        s->completion_tokens = (int)json_get_int(usage, "completion_tokens", 0);
    }
    const json_t *choice = go ? json_array_get(json_object_get(o, "choices"), 0) : NULL;
    if (choice) {
        const char *text = json_get_text(json_object_get(choice, part), "content", NULL);
        if (text) go = give(s, text);
        const char *reason = json_get_text(choice, "finish_reason", NULL);
        if (reason) {
            s->finished = true;
            s->finish_reason = strcmp(reason, "length") == 0 ? "length" : "stop";
        }
    }
    json_decref(o);
    return go;
}

static bool on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct stream *s = arg;
    (void)name;
    if (n == 6 && memcmp(data, "[DONE]", 6) == 0) {
        s->finished = true;
        return false;
    }
    return read_answer(s, data, n, "delta");
}

static bool on_data(void *arg, const char *p, size_t n)
{
    struct stream *s = arg;
    if (!s->begun && clock_mono_ms() > s->first_by_ms) {
        s->late = true;
        return false;
    }
    if (!s->seen) {
        while (n && isspace((unsigned char)*p)) p++, n--;
        if (!n) return true;
        s->seen = true;
        s->plain = *p == '{';
    }
    if (s->plain) {
        if (buf_add(&s->whole, p, n)) return true;
        s->fault = "its answer is too long";
        return false;
    }
    if (sse_read_feed(&s->sse, p, n)) return true;
    if (s->sse.overflow) s->fault = "it sent an event without end";
    return false;
}

static enum err write_request(struct call *c, const struct prompt *p, struct buf *b)
{
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "model", conf.model);
    json_begin_array(&j, "messages");
    for (int i = 0; i < p->count; i++) {
        json_begin_object(&j, NULL);
        json_put_text(&j, "role", p->messages[i].role);
        json_put_text(&j, "content", p->messages[i].text);
        json_end(&j);
    }
    json_end(&j);
    json_put_bool(&j, "stream", true);
    json_begin_object(&j, "stream_options");
    json_put_bool(&j, "include_usage", true);
    json_end(&j);
    if (p->temperature >= 0) json_put_real(&j, "temperature", p->temperature);
    /* OpenAI's newer models refuse the old name, most other servers know no other. */
    json_put_int(&j, conf.official ? "max_completion_tokens" : "max_tokens", p->max_tokens > 0 ? p->max_tokens : conf.max_tokens);
    if (p->stop && p->stop[0]) {
        json_begin_array(&j, "stop");
        for (int i = 0; p->stop[i]; i++) json_put_text(&j, NULL, p->stop[i]);
        json_end(&j);
    }
    json_end(&j);
    return b->failed ? fail(c, ERR_TOO_LARGE, "prompt over %d bytes", REQUEST_BYTES) : OK;
}

static bool worth_retry(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status != 501);
}

/* Waits unless the caller leaves or the wait would end after `until`. */
static enum err wait_ms(struct call *c, int64_t ms, int64_t until_ms)
{
    int64_t end = clock_mono_ms() + ms;
    if (end >= until_ms) return fail(c, ERR_UPSTREAM, "the provider is busy and asks to wait longer than we may");
    for (;;) {
        enum err e = call_check(c);
        if (e) return e;
        int64_t left = end - clock_mono_ms();
        if (left <= 0) return OK;
        if (left > 20) left = 20;
        struct timespec t = { .tv_sec = 0, .tv_nsec = (long)left * 1000000L };
        nanosleep(&t, NULL);
    }
}

static int64_t backoff_ms(int attempt, int retry_after_s)
{
    if (retry_after_s >= 0) return (int64_t)retry_after_s * 1000;
    uint32_t r;
    id_random(&r, sizeof r);
    int64_t base = (int64_t)BACKOFF_FIRST_MS << attempt;
    return base / 2 + r % (uint32_t)base;     /* half to one and a half: many clients must not come back together */
}

static enum err status_error(struct call *c, const struct fetch_reply *r)
{
    const char *word = "";
    json_t *o = NULL;
    if (r->body_len && json_parse(c, r->body, r->body_len, &o) == OK) {
        const json_t *error = json_object_get(o, "error");
        if (json_is_object(error)) word = error_word(c, error);
    }
    json_decref(o);
    call_forgive(c);
    return fail(c, ERR_UPSTREAM, "the provider answered %d%s%s", r->status, *word ? " " : "", word);
}

/* Nothing of a broken attempt may reach the next one. */
static void stream_reset(struct stream *s)
{
    sse_read_dispose(&s->sse);
    sse_read_init(&s->sse, EVENT_BYTES, on_event, s);
    buf_clear(&s->whole);
    s->seen = s->plain = s->finished = false;
    s->fault = NULL;
}

/* POST with retries. s NULL: the reply is collected; else it goes to s, and its first piece ends retrying. */
static enum err post(struct call *c, const char *path, const struct buf *body, struct stream *s, int64_t until_ms,
                     struct fetch_reply *out)
{
    const char *headers[5] = { "Content-Type: application/json", s ? "Accept: text/event-stream" : "Accept: application/json" };
    if (conf.key) headers[2] = arena_printf(&c->mem, "Authorization: Bearer %s", conf.key);
    const char *url = arena_printf(&c->mem, "%s%s", conf.url, path);
    int64_t last_start = s ? s->first_by_ms : until_ms;
    for (int attempt = 0;; attempt++) {
        int64_t left = until_ms - clock_mono_ms();
        if (left <= 0) return fail(c, ERR_TIMEOUT, "the provider gave no answer in time");
        struct fetch_opts o = { .method = "POST", .url = url, .headers = headers, .body = body->data, .body_len = body->len,
                                .timeout_ms = left };
        if (s) {
            stream_reset(s);
            o.idle_ms = last_start - clock_mono_ms();
            if (o.idle_ms < 1) o.idle_ms = 1;
            o.on_data = on_data;
            o.arg = s;
        }
        struct fetch_reply r = { .retry_after_s = -1 };
        enum err e = fetch(c, &o, &r);
        if (s && s->begun) {
            *out = r;
            return e;
        }
        if (e == OK && r.status >= 200 && r.status < 300) {
            *out = r;
            return OK;
        }
        bool again = e ? e == ERR_UPSTREAM : worth_retry(r.status);
        if (e == OK && r.retry_after_s > LIMIT_RETRY_AFTER_SECONDS) again = false;
        if (!again || attempt >= conf.retries) return e ? e : status_error(c, &r);
        int64_t wait = backoff_ms(attempt, e ? -1 : r.retry_after_s);
        if (clock_mono_ms() + wait >= last_start) return e ? e : status_error(c, &r);
        call_forgive(c);
        metric_add("chiron_llm_retries_total", NULL, 1);
        e = wait_ms(c, wait, last_start);
        if (e) return e;
    }
}

static int64_t latest(struct call *c, int64_t cap_ms)
{
    int64_t left = call_left_ms(c, LIMIT_DEADLINE_MS) - FALLBACK_MS;
    return clock_mono_ms() + (left < cap_ms ? left : cap_ms);
}

enum err openai_generate(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg, struct generation *out,
                         bool *begun_out)
{
    struct stream s = { .c = c, .on_delta = on_delta, .arg = arg, .wanted = true, .finish_reason = "stop" };
    struct buf body;
    struct fetch_reply r = { 0 };
    buf_init(&body, REQUEST_BYTES);
    buf_init(&s.whole, ANSWER_BYTES);
    sse_read_init(&s.sse, EVENT_BYTES, on_event, &s);
    s.start_ms = clock_mono_ms();
    int64_t until = latest(c, conf.timeout_ms);
    s.first_by_ms = latest(c, conf.first_ms);
    enum err e = write_request(c, p, &body);
    if (!e) e = post(c, "/chat/completions", &body, &s, until, &r);
    if (!e && s.plain && !s.fault && s.wanted) {
        read_answer(&s, s.whole.data, s.whole.len, "message");
        s.finished = s.finished || s.begun;
    }
    if (!e && s.late) e = fail(c, ERR_TIMEOUT, "the provider began no answer within %lld ms", (long long)conf.first_ms);
    if (!e && s.wanted && s.fault) e = fail(c, ERR_UPSTREAM, "the provider failed: %s", s.fault);
    if (!e && s.wanted && !s.finished) e = fail(c, ERR_UPSTREAM, "the provider's answer was cut off");
    if (!e && s.wanted && !s.begun) e = fail(c, ERR_UPSTREAM, "the provider's answer was empty");
    *begun_out = s.begun;
    metric_add("chiron_llm_requests_total",
               e == OK ? "provider=\"openai\",outcome=\"ok\"" : e == ERR_TIMEOUT ? "provider=\"openai\",outcome=\"timeout\""
               : e == ERR_CANCELLED ? "provider=\"openai\",outcome=\"cancelled\"" : "provider=\"openai\",outcome=\"error\"", 1);
    if (s.prompt_tokens > 0) metric_add("chiron_llm_tokens_total", "kind=\"prompt\"", s.prompt_tokens);
    if (s.completion_tokens > 0) metric_add("chiron_llm_tokens_total", "kind=\"completion\"", s.completion_tokens);
    if (!e)
        *out = (struct generation){ .provider = "openai", .model = s.model ? s.model : conf.model, .finish_reason = s.finish_reason,
                                    .prompt_tokens = s.prompt_tokens, .completion_tokens = s.completion_tokens };
    sse_read_dispose(&s.sse);
    buf_dispose(&s.whole);
    buf_dispose(&body);
    return e;
}

/* Rows may come in any order; each names its index. */
static enum err read_vectors(struct call *c, const json_t *o, int n, float **out, int *dim_out)
{
    const json_t *data = json_object_get(o, "data");
    if (!json_is_array(data) || json_array_size(data) != (size_t)n)
        return fail(c, ERR_UPSTREAM, "the embedding provider gave %zu vectors for %d texts", json_array_size(data), n);
    size_t dim = json_array_size(json_object_get(json_array_get(data, 0), "embedding"));
    if (dim == 0 || dim > 8192) return fail(c, ERR_UPSTREAM, "the embedding provider gave vectors of %zu numbers", dim);
    float *v = arena_array(&c->mem, (size_t)n * dim, sizeof *v);
    bool *got = arena_array(&c->mem, (size_t)n, sizeof *got);
    for (int i = 0; i < n; i++) {
        const json_t *row = json_array_get(data, (size_t)i), *vector = json_object_get(row, "embedding");
        int64_t at = json_get_int(row, "index", i);
        if (at < 0 || at >= n || got[at] || json_array_size(vector) != dim)
            return fail(c, ERR_UPSTREAM, "the embedding provider's vectors do not fit the texts");
        got[at] = true;
        double norm = 0;
        for (size_t k = 0; k < dim; k++) {
            double x = json_number_value(json_array_get(vector, k));
            v[(size_t)at * dim + k] = (float)x;
            norm += x * x;
        }
        if (!(norm > 0)) return fail(c, ERR_UPSTREAM, "the embedding provider gave an empty vector");
    }
    *out = v;
    *dim_out = (int)dim;
    return OK;
}

enum err openai_embed(struct call *c, const char *const *texts, int n, float **out, int *dim_out, const char **model_out)
{
    if (n < 1 || n > LIMIT_EMBED_BATCH) return fail(c, ERR_INVALID, "between 1 and %d texts", LIMIT_EMBED_BATCH);
    struct buf body;
    buf_init(&body, REQUEST_BYTES);
    struct json_out j;
    json_out_init(&j, &body);
    json_begin_object(&j, NULL);
    json_put_text(&j, "model", conf.embedding_model);
    json_begin_array(&j, "input");
    for (int i = 0; i < n; i++) json_put_text(&j, NULL, texts[i]);
    json_end(&j);
    json_put_text(&j, "encoding_format", "float");
    json_end(&j);
    json_t *o = NULL;
    struct fetch_reply r = { 0 };
    enum err e = body.failed ? fail(c, ERR_TOO_LARGE, "texts over %d bytes", REQUEST_BYTES) : OK;
    if (!e) e = post(c, "/embeddings", &body, NULL, latest(c, conf.timeout_ms), &r);
    if (!e && json_parse(c, r.body, r.body_len, &o)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the embedding provider sent something that is no JSON");
    }
    if (!e) e = read_vectors(c, o, n, out, dim_out);
    if (!e) {
        const char *model = json_get_text(o, "model", NULL);
        *model_out = arena_strdup(&c->mem, model && strlen(model) < 128 ? model : conf.embedding_model);
    }
    json_decref(o);
    buf_dispose(&body);
    return e;
}
