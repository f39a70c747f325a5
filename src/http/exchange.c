/* http/exchange.c — one request as a worker runs it, straight down: guard, body, creator, handler, reply. The listener
 * comes in between only to fetch what is not there yet: the rest of the body. Whatever happens on the way, the reply or
 * the end of the stream is made at one place and the request is logged and counted there.
 * Refuses to keep anything of a request after its reply: files, JSON and the tenant go before the reply is sent. */
/* SPDX-License-Identifier: MIT */
#include "http/exchange.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/idempotency.h"
#include "http/multipart.h"
#include "store/store.h"

struct exchange *exchange_new(struct server *s)
{
    struct exchange *x = calloc(1, sizeof *x);
    if (!x) abort();
    call_init(&x->req.call);
    x->server = s;
    x->began_us = clock_mono_us();
    x->req.method = x->req.path = x->req.remote = x->req.body = "";
    atomic_init(&x->gone, false);
    x->req.call.stop = &x->gone;
    deadline_start(x);
    buf_init(&x->body, LIMIT_REPLY_BYTES);
    buf_init(&x->piece, 1024 * 1024);
    buf_init(&x->extra, 16 * 1024);
    buf_init(&x->reply, LIMIT_REPLY_BYTES);
    buf_init(&x->head_out, 64 * 1024);
    stream_init(&x->stream);
    return x;
}

void exchange_free(struct exchange *x)
{
    if (!x) return;
    multipart_close(x->form);
    json_decref(x->json);
    stream_dispose(&x->stream);
    buf_dispose(&x->head_out);
    buf_dispose(&x->reply);
    buf_dispose(&x->extra);
    buf_dispose(&x->piece);
    buf_dispose(&x->body);
    call_dispose(&x->req.call);
    free(x);
}

static bool request_id_valid(const char *s, size_t max)
{
    size_t n = strlen(s);
    if (n == 0 || n >= max) return false;
    for (const char *p = s; *p; p++)
        if (!((*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || strchr("._:-", *p))) return false;
    return true;
}

/* The id is taken over before the first refusal, so that every reply has one. It need not be secret: one random id per
 * thread and a counter save a system call per request. */
static void take_request_id(struct exchange *x)
{
    static _Thread_local char base[ID_BYTES];
    static _Thread_local unsigned count;
    struct call *c = &x->req.call;
    if (c->log_id[0]) return;
    const char *sent = wire_header(&x->head, "x-request-id");
    if (sent && request_id_valid(sent, sizeof c->log_id)) {
        snprintf(c->log_id, sizeof c->log_id, "%s", sent);
        return;
    }
    if (!base[0] || ++count == 0) id_new("req", base);
    snprintf(c->log_id, sizeof c->log_id, "%s-%x", base, count);
}

static void log_and_count(struct exchange *x, int status)
{
    struct call *c = &x->req.call;
    const char *route = x->row ? x->row->route->path : "(none)";
    const char *method = x->row ? x->row->route->method : "(none)";
    double seconds = (double)(clock_mono_us() - x->began_us) / 1e6;
    int64_t bytes = x->stream.open ? x->sent_bytes : (int64_t)(x->fixed ? x->fixed_len : x->reply.len);
    char labels[400];
    snprintf(labels, sizeof labels, "route=\"%s\",method=\"%s\",status=\"%d\"", route, method, status);
    metric_add("chiron_http_requests_total", labels, 1);
    snprintf(labels, sizeof labels, "route=\"%s\"", route);
    metric_observe("chiron_http_request_seconds", labels, seconds);
    log_info(c, "request", "method", x->head.method ? x->head.method : "-", "route", route, "status", log_int(c, status), "ms",
             log_real(c, seconds * 1e3), "bytes", log_int(c, bytes), NULL);
}

static void finish(struct exchange *x, enum err e)
{
    struct call *c = &x->req.call;
    take_request_id(x);
    if (e && !c->err) fail(c, e, "%s", err_word(e));
    int status;
    if (x->stream.open) {
        stream_end(x, e);
        status = e ? reply_status(x, e) : x->status;
    } else {
        reply_finish(x, e);
        status = x->status;
    }
    idempotency_end(x);
    guard_outcome(x, status);
    if (c->tenant) tenant_release(c);
    multipart_close(x->form);
    x->form = NULL;
    json_decref(x->json);
    x->json = NULL;
    log_and_count(x, status);
    conn_post(x, POST_DONE);
}

static enum err run(struct exchange *x)
{
    enum err e = x->guarded ? OK : guard_head(x);
    if (e || !x->row) return e;
    e = guard_body(x);
    if (!e) e = guard_tenant(x);
    bool replayed = false;
    if (!e) e = idempotency_begin(x, &replayed);
    if (e || replayed) return e;
    if (x->server->conf->seen) x->server->conf->seen(&x->req.call);
    deadline_apply(x);
    e = x->row->route->handler(&x->req);
    return e;
}

void exchange_work(void *exchange)
{
    struct exchange *x = exchange;
    struct call *c = &x->req.call;
    enum err e = OK;
    take_request_id(x);
    switch (x->stage) {
    case STAGE_GUARD:
        e = guard_head(x);
        if (!e && x->row) {
            conn_post(x, POST_GUARDED);
            return;
        }
        x->close_after = true;
        break;
    case STAGE_FEED:
        e = multipart_feed(x->form, c, x->piece.data, x->piece.len);
        if (!e) {
            conn_post(x, POST_FED);
            return;
        }
        x->close_after = true;
        break;
    case STAGE_RUN:
        e = run(x);
        break;
    }
    finish(x, e);
}

void exchange_refuse(struct exchange *x, int status, const char *why)
{
    struct call *c = &x->req.call;
    enum err e = status == 503 ? ERR_BUSY : status == 413 ? ERR_TOO_LARGE : status == 408 ? ERR_TIMEOUT : ERR_BAD_REQUEST;
    call_forgive(c);
    fail(c, e, "%s", why);
    if (e == ERR_BUSY) c->retry_after_s = 1;
    take_request_id(x);
    x->close_after = x->close_after || e != ERR_BUSY;
    reply_finish(x, e);
    /* The table has one status per error; the grammar of HTTP has a few more. */
    if (x->status != status) {
        x->status = status;
        reply_head(x, status, (int64_t)x->reply.len);
    }
    log_and_count(x, status);
}
