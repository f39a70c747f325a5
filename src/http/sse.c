/* http/sse.c — a stream between a blocking producer and the event loop: one small queue with a lock. The producer waits
 * while the queue is full, so a slow reader slows its own handler and costs nobody memory; the listener drops a reader
 * that takes nothing for too long. Events longer than the queue pass through it in pieces.
 * Refuses to resume: a broken stream is told by its missing end, and the client asks again. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "http/exchange.h"

/* Room for the size line and line end of one chunk around a piece. */
#define CHUNK_FRAME 16
#define PIECE_BYTES (16 * 1024)

void stream_init(struct stream *s)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->room, &attr);
    pthread_condattr_destroy(&attr);
    buf_init(&s->queue, LIMIT_SSE_QUEUE_BYTES + 2 * PIECE_BYTES);
}

void stream_dispose(struct stream *s)
{
    buf_dispose(&s->queue);
    pthread_cond_destroy(&s->room);
    pthread_mutex_destroy(&s->lock);
}

void stream_drop(struct stream *s)
{
    pthread_mutex_lock(&s->lock);
    s->gone = true;
    pthread_cond_broadcast(&s->room);
    pthread_mutex_unlock(&s->lock);
}

static void add_framed(struct stream *s, const void *p, size_t n)
{
    if (s->chunked) buf_printf(&s->queue, "%zx\r\n", n);
    buf_add(&s->queue, p, n);
    if (s->chunked) buf_add(&s->queue, "\r\n", 2);
}

/* Waits for room and queues one piece, with the lock held. */
static enum err put_piece(struct exchange *x, const void *p, size_t n)
{
    struct stream *s = &x->stream;
    struct call *c = &x->req.call;
    while (!s->gone && s->queue.len > 0 && s->queue.len + n + CHUNK_FRAME > LIMIT_SSE_QUEUE_BYTES) {
        /* Woken by the listener; the timeout only bounds how late a deadline is noticed. */
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        t.tv_sec += 1;
        pthread_cond_timedwait(&s->room, &s->lock, &t);
        if (atomic_load(&x->gone) || (c->deadline_ms && clock_mono_ms() > c->deadline_ms)) break;
    }
    if (s->gone) return fail(c, ERR_CANCELLED, "the reader of the stream is gone");
    enum err e = call_check(c);
    if (e) return e;
    add_framed(s, p, n);
    x->sent_bytes += (int64_t)n;
    return OK;
}

static enum err put_event(struct exchange *x, const char *p, size_t n)
{
    struct stream *s = &x->stream;
    enum err e = OK;
    pthread_mutex_lock(&s->lock);
    while (!e && n > 0) {
        size_t take = n < PIECE_BYTES ? n : PIECE_BYTES;
        e = put_piece(x, p, take);
        p += take;
        n -= take;
        /* After an error the rest is never sent: an event already begun stays marked as cut. */
        if (!e) s->mid_event = n > 0;
        if (!e && n > 0) {
            pthread_mutex_unlock(&s->lock);
            conn_post(x, POST_DATA);
            pthread_mutex_lock(&s->lock);
        }
    }
    pthread_mutex_unlock(&s->lock);
    if (!e) conn_post(x, POST_DATA);
    return e;
}

bool sse_started(struct req *r)
{
    return ((struct exchange *)r)->stream.open;
}

enum err sse_begin(struct req *r)
{
    struct exchange *x = (struct exchange *)r;
    struct call *c = &r->call;
    if (x->stream.open) return OK;
    if (x->head.method && strcmp(x->head.method, "HEAD") == 0) return fail(c, ERR_METHOD, "a stream has no HEAD");
    enum err e = call_check(c);
    if (e) return e;
    if (!workers_stream(x->server->workers)) {
        c->retry_after_s = 5;
        return fail(c, ERR_BUSY, "too many streams are open");
    }
    x->stream.chunked = x->head.minor > 0;
    if (!x->stream.chunked) x->close_after = true;
    x->status = 200;
    x->content_type = "text/event-stream; charset=utf-8";
    x->own_cache = true;
    reply_header(r, "Cache-Control", "no-cache, no-transform");
    reply_header(r, "X-Accel-Buffering", "no");
    if (x->stream.chunked) reply_header(r, "Transfer-Encoding", "chunked");
    reply_head(x, 200, -1);
    /* A stream lasts as long as its reader; a handler with a deadline of its own sets it after this. */
    c->deadline_ms = 0;
    pthread_mutex_lock(&x->stream.lock);
    buf_add(&x->stream.queue, x->head_out.data, x->head_out.len);
    add_framed(&x->stream, ":\n\n", 3);
    x->stream.open = true;
    pthread_mutex_unlock(&x->stream.lock);
    conn_post(x, POST_DATA);
    return OK;
}

static void add_line(struct buf *b, const char *name, const char *value)
{
    size_t n = strcspn(value, "\r\n");
    buf_adds(b, name);
    buf_add(b, value, n);
    buf_addc(b, '\n');
}

/* A CR is a line end in this format too: data is split at any of CR, LF, CR LF. */
static void add_data(struct buf *b, const char *p, size_t n)
{
    const char *end = p + n;
    for (;;) {
        const char *q = p;
        while (q < end && *q != '\n' && *q != '\r') q++;
        buf_adds(b, "data: ");
        buf_add(b, p, (size_t)(q - p));
        buf_addc(b, '\n');
        if (q == end) break;
        p = q + 1 + (q[0] == '\r' && q + 1 < end && q[1] == '\n');
    }
    buf_addc(b, '\n');
}

enum err sse_send(struct req *r, const char *event, const char *id, const char *data, size_t n)
{
    struct exchange *x = (struct exchange *)r;
    assert(x->stream.open);
    struct buf b;
    buf_init(&b, LIMIT_REPLY_BYTES);
    if (event) add_line(&b, "event: ", event);
    if (id) add_line(&b, "id: ", id);
    add_data(&b, data, n);
    enum err e = b.failed ? fail(&r->call, ERR_TOO_LARGE, "an event is over %lld bytes", (long long)LIMIT_REPLY_BYTES)
                          : put_event(x, b.data, b.len);
    buf_dispose(&b);
    return e;
}

bool stream_heartbeat(struct exchange *x)
{
    struct stream *s = &x->stream;
    pthread_mutex_lock(&s->lock);
    bool quiet = s->open && !s->gone && !s->mid_event && s->queue.len == 0;
    if (quiet) add_framed(s, ":\n\n", 3);
    pthread_mutex_unlock(&s->lock);
    return quiet;
}

size_t stream_take(struct stream *s, struct buf *out, size_t max)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->queue.len < max ? s->queue.len : max;
    if (n > 0) {
        buf_add(out, s->queue.data, n);
        buf_drop_front(&s->queue, n);
        pthread_cond_broadcast(&s->room);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

void stream_end(struct exchange *x, enum err e)
{
    struct stream *s = &x->stream;
    if (e) {
        struct buf body, event;
        buf_init(&body, 8192);
        buf_init(&event, 16384);
        reply_error_body(x, e, reply_status(x, e), &body);
        if (!x->row || !(x->row->route->flags & ROUTE_OPENAI)) add_line(&event, "event: ", "error");
        add_data(&event, body.data ? body.data : "", body.len);
        /* The last words wait for room no longer than the stall allows: the listener sets gone. */
        pthread_mutex_lock(&s->lock);
        while (!s->gone && s->queue.len + event.len + CHUNK_FRAME > LIMIT_SSE_QUEUE_BYTES + PIECE_BYTES) pthread_cond_wait(&s->room, &s->lock);
        if (!s->gone && !s->mid_event) add_framed(s, event.data, event.len);
        pthread_mutex_unlock(&s->lock);
        buf_dispose(&event);
        buf_dispose(&body);
    }
    pthread_mutex_lock(&s->lock);
    /* An event cut in the middle must look broken, so no end mark follows it. */
    if (s->mid_event) x->close_after = true;
    else if (s->chunked && !s->gone) buf_adds(&s->queue, "0\r\n\r\n");
    pthread_mutex_unlock(&s->lock);
}
