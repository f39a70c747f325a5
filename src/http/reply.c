/* http/reply.c — the one table from error to status, the two envelopes, and the head of every reply. A handler's reply
 * is only written down here; it is sent after the handler returned OK, so an error never follows half a body. Every
 * reply carries the security headers: they cost a copy of a constant and nobody can forget them.
 * Refuses header values with line breaks (they are cut there): a value may come from a document's title. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "http/exchange.h"

static const struct {
    int         status;        /* native */
    int         openai;        /* on /v1: what the official clients expect */
    const char *type;          /* OpenAI's word */
} errors[ERR_COUNT] = {
    [OK]                   = { 200, 200, "" },
    [ERR_BAD_REQUEST]      = { 400, 400, "invalid_request_error" },
    [ERR_UNAUTHENTICATED]  = { 401, 401, "authentication_error" },
    [ERR_FORBIDDEN]        = { 403, 403, "permission_error" },
    [ERR_NOT_FOUND]        = { 404, 404, "invalid_request_error" },
    [ERR_METHOD]           = { 405, 405, "invalid_request_error" },
    [ERR_CONFLICT]         = { 409, 409, "invalid_request_error" },
    [ERR_TOO_LARGE]        = { 413, 413, "invalid_request_error" },
    [ERR_UNSUPPORTED_TYPE] = { 415, 415, "invalid_request_error" },
    [ERR_INVALID]          = { 422, 400, "invalid_request_error" },
    [ERR_RATE_LIMITED]     = { 429, 429, "rate_limit_error" },
    [ERR_CANCELLED]        = { 499, 499, "server_error" },
    [ERR_INTERNAL]         = { 500, 500, "server_error" },
    [ERR_IO]               = { 500, 500, "server_error" },
    [ERR_CORRUPT]          = { 500, 500, "server_error" },
    [ERR_UPSTREAM]         = { 502, 502, "server_error" },
    [ERR_BUSY]             = { 503, 503, "server_error" },
    [ERR_TIMEOUT]          = { 504, 504, "server_error" },
};

static const struct {
    int         status;
    const char *reason;
} reasons[] = {
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" }, { 206, "Partial Content" },
    { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
    { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
    { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" }, { 408, "Request Timeout" },
    { 409, "Conflict" }, { 410, "Gone" }, { 413, "Content Too Large" }, { 415, "Unsupported Media Type" },
    { 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" }, { 499, "Client Closed Request" }, { 500, "Internal Server Error" },
    { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
    { 505, "HTTP Version Not Supported" },
};

static const char csp[] =
    "Content-Security-Policy: default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'\r\nX-Frame-Options: DENY\r\n";

const char *reply_reason(int status)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status) return reasons[i].reason;
    return "Status";
}

static bool is_openai(const struct exchange *x)
{
    return x->row ? (x->row->route->flags & ROUTE_OPENAI) != 0 : x->head.path && strncmp(x->head.path, "/v1/", 4) == 0;
}

int reply_status(const struct exchange *x, enum err e)
{
    /* The client is still there when it is the server that goes. */
    if (e == ERR_CANCELLED && x->server && atomic_load(&x->server->stopping)) return 503;
    return is_openai(x) ? errors[e].openai : errors[e].status;
}

/* Words of our own faults stay in the log: they name files and statements. */
static const char *words_of(const struct exchange *x, enum err e)
{
    if (e == ERR_INTERNAL || e == ERR_IO || e == ERR_CORRUPT) return "something failed on our side; the request id finds it in the log";
    return x->req.call.err_text[0] ? x->req.call.err_text : reply_reason(reply_status(x, e));
}

static const char *code_of(const struct call *c, enum err e)
{
    return c->err_code && e == c->err ? c->err_code : err_word(e);
}

void reply_error_body(struct exchange *x, enum err e, int status, struct buf *out)
{
    const struct call *c = &x->req.call;
    struct json_out j;
    json_out_init(&j, out);
    json_begin_object(&j, NULL);
    if (is_openai(x)) {
        json_begin_object(&j, "error");
        json_put_text(&j, "message", words_of(x, e));
        json_put_text(&j, "type", status >= 500 ? "server_error" : errors[e].type);
        json_put_text(&j, "param", c->err_field[0] ? c->err_field : NULL);
        json_put_text(&j, "code", code_of(c, e));
        json_end(&j);
        json_put_text(&j, "request_id", c->log_id);
    } else {
        json_put_text(&j, "error", words_of(x, e));
        json_put_text(&j, "code", code_of(c, e));
        json_put_text(&j, "request_id", c->log_id);
        if (c->err_field[0]) {
            json_begin_object(&j, "details");
            json_put_text(&j, "field", c->err_field);
            json_end(&j);
        }
    }
    json_end(&j);
}

static void clear_reply(struct exchange *x)
{
    buf_clear(&x->reply);
    x->fixed = NULL;
    x->fixed_len = 0;
    x->content_type = NULL;
}

struct json_out *reply_json(struct req *r, int status)
{
    struct exchange *x = (struct exchange *)r;
    clear_reply(x);
    x->status = status;
    x->content_type = "application/json";
    json_out_init(&x->json_out, &x->reply);
    return &x->json_out;
}

void reply_header(struct req *r, const char *name, const char *value)
{
    struct exchange *x = (struct exchange *)r;
    size_t n = 0;
    assert(wire_token(name, strlen(name)));
    while ((unsigned char)value[n] >= 0x20 || value[n] == '\t') n++;
    if (strcasecmp(name, "content-security-policy") == 0) x->own_csp = true;
    if (strcasecmp(name, "cache-control") == 0) x->own_cache = true;
    buf_adds(&x->extra, name);
    buf_add(&x->extra, ": ", 2);
    buf_add(&x->extra, value, n);
    buf_add(&x->extra, "\r\n", 2);
}

void reply_bytes(struct req *r, int status, const char *content_type, const void *p, size_t n)
{
    struct exchange *x = (struct exchange *)r;
    clear_reply(x);
    x->status = status;
    x->content_type = arena_strdup(&r->call.mem, content_type);
    buf_add(&x->reply, p, n);
}

void reply_empty(struct req *r, int status)
{
    struct exchange *x = (struct exchange *)r;
    clear_reply(x);
    x->status = status;
}

/* Entity tags of fixed bytes are made once per address; the table only grows to what is built into the binary. */
enum { TAGS_MAX = 512 };
static struct {
    const void *p;
    size_t      n;
    char        tag[24];
} tags[TAGS_MAX];
static int tag_count;
static pthread_mutex_t tags_lock = PTHREAD_MUTEX_INITIALIZER;

static void tag_of(const void *p, size_t n, char out[24])
{
    pthread_mutex_lock(&tags_lock);
    int i = 0;
    while (i < tag_count && (tags[i].p != p || tags[i].n != n)) i++;
    if (i < tag_count) memcpy(out, tags[i].tag, 24);
    pthread_mutex_unlock(&tags_lock);
    if (i < tag_count) return;
    char hex[65];
    snprintf(out, 24, "\"%.20s\"", id_sha256_hex(p, n, hex));
    pthread_mutex_lock(&tags_lock);
    if (tag_count < TAGS_MAX) {
        tags[tag_count].p = p;
        tags[tag_count].n = n;
        memcpy(tags[tag_count++].tag, out, 24);
    }
    pthread_mutex_unlock(&tags_lock);
}

static bool tag_matches(const char *list, const char *tag)
{
    size_t n = strlen(tag);
    if (strcmp(list, "*") == 0) return true;
    for (const char *p = list; (p = strstr(p, tag)); p += n)
        if ((p == list || p[-1] == ' ' || p[-1] == ',' || p[-1] == '/') && (p[n] == '\0' || p[n] == ',' || p[n] == ' ')) return true;
    return false;
}

void reply_static(struct req *r, int status, const char *content_type, const void *p, size_t n)
{
    struct exchange *x = (struct exchange *)r;
    clear_reply(x);
    char tag[24];
    tag_of(p, n, tag);
    reply_header(r, "ETag", tag);
    if (!x->own_cache) reply_header(r, "Cache-Control", "no-cache");
    const char *known = wire_header(&x->head, "if-none-match");
    if (status == 200 && known && tag_matches(known, tag)) {
        x->status = 304;
        return;
    }
    x->status = status;
    x->content_type = arena_strdup(&r->call.mem, content_type);
    x->fixed = p;
    x->fixed_len = n;
}

static void add_date(struct buf *out)
{
    static _Thread_local time_t made;
    static _Thread_local char line[48];
    time_t now = (time_t)(clock_unix_ms() / 1000);
    if (now != made) {
        struct tm tm;
        gmtime_r(&now, &tm);
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        snprintf(line, sizeof line, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + tm.tm_wday % 7 * 3, tm.tm_mday % 32,
                 months + tm.tm_mon % 12 * 3, (tm.tm_year + 1900) % 10000, tm.tm_hour % 24, tm.tm_min % 60, tm.tm_sec % 61);
        made = now;
    }
    buf_adds(out, line);
}

void reply_head(struct exchange *x, int status, int64_t length)
{
    struct buf *h = &x->head_out;
    buf_clear(h);
    buf_printf(h, "HTTP/1.1 %d %s\r\n", status, reply_reason(status));
    add_date(h);
    if (x->content_type) {
        buf_adds(h, "Content-Type: ");
        buf_adds(h, x->content_type);
        buf_adds(h, "\r\n");
    }
    if (length >= 0 && status != 204 && status != 304) buf_printf(h, "Content-Length: %lld\r\n", (long long)length);
    buf_adds(h, "X-Request-ID: ");
    buf_adds(h, x->req.call.log_id);
    buf_adds(h, "\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n");
    if (!x->own_csp) buf_add(h, csp, sizeof csp - 1);
    if (!x->own_cache) buf_adds(h, "Cache-Control: no-store\r\n");
    if (x->limited.limit > 0)
        buf_printf(h, "RateLimit-Limit: %lld\r\nRateLimit-Remaining: %lld\r\nRateLimit-Reset: %d\r\n", (long long)x->limited.limit,
                   (long long)x->limited.remaining, x->limited.reset_s);
    guard_cors(x, h);
    if (x->extra.len) buf_add(h, x->extra.data, x->extra.len);
    if (x->server && atomic_load(&x->server->stopping)) x->close_after = true;
    if (x->close_after) buf_adds(h, "Connection: close\r\n");
    else if (x->head.minor == 0) buf_adds(h, "Connection: keep-alive\r\n");
    buf_add(h, "\r\n", 2);
}

static void error_reply(struct exchange *x, enum err e)
{
    struct call *c = &x->req.call;
    int status = reply_status(x, e);
    if (status >= 500 && e != ERR_BUSY) log_error(c, "request failed", "code", err_word(e), "why", c->err_text, NULL);
    clear_reply(x);
    /* What the handler set for its own reply must not dress the error; only Allow belongs to one. */
    if (e != ERR_METHOD) buf_clear(&x->extra);
    x->own_csp = x->own_cache = false;
    x->status = status;
    x->content_type = "application/json";
    reply_error_body(x, e, status, &x->reply);
    char seconds[16];
    if (e == ERR_BUSY || e == ERR_RATE_LIMITED) {
        snprintf(seconds, sizeof seconds, "%d", c->retry_after_s > 0 ? c->retry_after_s : 1);
        reply_header(&x->req, "Retry-After", seconds);
    }
    if (e == ERR_UNAUTHENTICATED) reply_header(&x->req, "WWW-Authenticate", "Bearer");
}

void reply_finish(struct exchange *x, enum err e)
{
    struct call *c = &x->req.call;
    if (!e && x->reply.failed) e = fail(c, ERR_TOO_LARGE, "the reply is over %lld bytes", (long long)LIMIT_REPLY_BYTES);
    if (!e && x->status == 0) e = fail(c, ERR_INTERNAL, "the handler of %s wrote no reply", x->head.path);
    if (!e && x->extra.failed) e = fail(c, ERR_INTERNAL, "the reply's headers are too long");
    if (e) error_reply(x, e);
    x->head_only = x->head.method && strcmp(x->head.method, "HEAD") == 0;
    reply_head(x, x->status, (int64_t)(x->fixed ? x->fixed_len : x->reply.len));
}
