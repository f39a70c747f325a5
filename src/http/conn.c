/* http/conn.c — a connection as a small machine, one request at a time: while a worker has the request, nothing is read,
 * so pipelined requests wait in the kernel and a client cannot fill our memory. That also means a client's leaving is not
 * seen by reading; the tick asks the kernel for the socket's state instead. A client that only half-closes still gets
 * the reply if it is ready before that is noticed, or if the handler does not look at the stop flag.
 * Bytes are sent straight to the socket: what does not fit stays here, never in a queue without a limit.
 * Refuses to guess after a malformed request: the reply says why and the connection closes. */
/* SPDX-License-Identifier: MIT */
#include "http/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clock.h"

#define PIECE_BYTES (128 * 1024)
#define SEND_BYTES (64 * 1024)
#define LINGER_MS 2000
#define LINGER_BYTES (4 * 1024 * 1024)
/* A handler younger than this is left alone: it will answer before the question pays. */
#define GONE_CHECK_MS 100

struct conn *conn_new(struct server *s, int fd, const char *remote)
{
    struct conn *k = calloc(1, sizeof *k);
    if (!k) abort();
    k->server = s;
    k->fd = fd;
    k->fresh = true;
    k->reading = true;
    k->since_ms = clock_mono_ms();
    strncpy(k->remote, remote, sizeof k->remote - 1);
    buf_init(&k->in, LIMIT_HEADER_BYTES + 512 * 1024);
    buf_init(&k->out, SEND_BYTES);
    return k;
}

void conn_free(struct conn *k)
{
    struct exchange *x = k->x;
    if (x) {
        x->conn = NULL;
        atomic_store(&x->gone, true);
        stream_drop(&x->stream);
        if (!x->lent) exchange_free(x);
    }
    buf_dispose(&k->in);
    buf_dispose(&k->out);
    free(k);
}

static void set_reading(struct conn *k, bool on)
{
    if (k->reading == on) return;
    k->reading = on;
    listen_read(k, on);
}

static void enter(struct conn *k, enum conn_state state)
{
    k->state = state;
    k->since_ms = clock_mono_ms();
}

static bool send_reply(struct conn *k);

/* Hands the exchange to a worker. A full queue refuses a new request; one that was already let in waits for a tick. */
static bool lend(struct conn *k, enum stage stage)
{
    struct exchange *x = k->x;
    bool first = stage == STAGE_GUARD || !x->guarded;
    x->stage = stage;
    x->lent = true;
    set_reading(k, false);
    enter(k, CONN_LENT);
    k->retry = false;
    if (workers_submit(k->server->workers, exchange_work, x)) return true;
    x->lent = false;
    if (!first) {
        k->retry = true;
        return true;
    }
    if (stage == STAGE_GUARD || k->in.len > 0) x->close_after = true;
    exchange_refuse(x, 503, "too many requests are waiting");
    return send_reply(k);
}

static bool refuse(struct conn *k, int status, const char *why)
{
    if (!k->x) {
        k->x = exchange_new(k->server);
        k->x->conn = k;
    }
    exchange_refuse(k->x, status, why);
    set_reading(k, false);
    return send_reply(k);
}

/* Moves what is here of a chunked body to out. WIRE_BAD also when it does not fit. */
static enum wire_step take_chunks(struct wire_chunks *d, const char **p, size_t *n, struct buf *out, size_t max)
{
    const char *data;
    size_t len;
    enum wire_step s = WIRE_DATA;
    while (out->len < max && (s = wire_chunks_next(d, p, n, &data, &len)) != WIRE_MORE && s != WIRE_END) {
        if (s == WIRE_BAD || !buf_add(out, data, len)) return WIRE_BAD;
    }
    return s;
}

/* Reads one head. *done: nothing more can be done with what is here. */
static bool read_head(struct conn *k, bool *done)
{
    *done = true;
    if (k->in.len == 0) return true;
    ssize_t n = wire_head_end(k->in.data, k->in.len, &k->scan);
    if (n == 2) {
        buf_drop_front(&k->in, 2);
        k->scan = 0;
        *done = !k->fresh && k->in.len == 0;
        return true;
    }
    if (n < 0) return refuse(k, 400, "this is no HTTP/1.1 request: a line must end in CR LF and hold no NUL");
    if (n > LIMIT_HEADER_BYTES || (n == 0 && k->in.len > LIMIT_HEADER_BYTES))
        return refuse(k, 431, "the request's head is over 16384 bytes");
    if (n == 0) return true;

    struct exchange *x = k->x = exchange_new(k->server);
    x->conn = k;
    k->fresh = false;
    char *head = arena_strndup(&x->req.call.mem, k->in.data, (size_t)n);
    buf_drop_front(&k->in, (size_t)n);
    k->scan = 0;
    if (!wire_head_parse(head, (size_t)n, &x->head)) return refuse(k, x->head.status, x->head.why);
    x->req.method = x->head.method;
    x->req.path = x->head.path;
    remote_find(x, k->remote);
    x->req.remote = x->req.call.remote;
    x->close_after = !x->head.keep_alive;
    memset(&k->chunks, 0, sizeof k->chunks);
    k->body_left = x->head.content_length > 0 ? x->head.content_length : 0;
    k->body_seen = 0;
    k->body_done = !guard_body_expected(x);
    if (k->body_done) return lend(k, STAGE_RUN);

    /* A body that came with its head saves the second hop; the guard still looks at the head first. */
    if (!x->head.chunked && (int64_t)k->in.len >= k->body_left) {
        buf_add(&x->body, k->in.data, (size_t)k->body_left);
        buf_drop_front(&k->in, (size_t)k->body_left);
        k->body_done = true;
        return lend(k, STAGE_RUN);
    }
    if (x->head.chunked) {
        const char *p = k->in.data ? k->in.data : "";
        size_t left = k->in.len;
        enum wire_step s = take_chunks(&k->chunks, &p, &left, &x->body, SIZE_MAX);
        if (s == WIRE_END) {
            buf_drop_front(&k->in, k->in.len - left);
            k->body_done = true;
            return lend(k, STAGE_RUN);
        }
        buf_clear(&x->body);
        memset(&k->chunks, 0, sizeof k->chunks);
    }
    return lend(k, STAGE_GUARD);
}

/* Moves body bytes from in to where the row wants them; lends when the body, or a piece of an upload, is there. */
static bool read_body(struct conn *k)
{
    struct exchange *x = k->x;
    bool pieces = x->form != NULL;
    struct buf *to = pieces ? &x->piece : &x->body;
    size_t before = to->len, had = k->in.len;
    if (!k->body_done && k->in.len > 0) {
        const char *p = k->in.data;
        size_t n = k->in.len;
        if (x->head.chunked) {
            enum wire_step s = take_chunks(&k->chunks, &p, &n, to, pieces ? PIECE_BYTES : (size_t)x->row->route->body_max + 1);
            if (s == WIRE_BAD) return refuse(k, 400, "the body is not valid chunked coding");
            k->body_done = s == WIRE_END;
        } else {
            size_t take = (int64_t)n < k->body_left ? n : (size_t)k->body_left;
            if (pieces && take > PIECE_BYTES) take = PIECE_BYTES;
            buf_add(to, p, take);
            n -= take;
            k->body_left -= (int64_t)take;
            k->body_done = k->body_left == 0;
        }
        buf_drop_front(&k->in, had - n);
        k->body_seen += (int64_t)(to->len - before);
    }
    if (k->body_seen > x->row->route->body_max) {
        char why[100];
        snprintf(why, sizeof why, "the body has more than %lld bytes, the limit here", (long long)x->row->route->body_max);
        return refuse(k, 413, why);
    }
    if (pieces && x->piece.len > 0 && (k->body_done || x->piece.len >= PIECE_BYTES / 2)) return lend(k, STAGE_FEED);
    if (k->body_done) return lend(k, STAGE_RUN);
    set_reading(k, true);
    return true;
}

static bool advance(struct conn *k)
{
    bool done = false;
    while (k->state == CONN_HEAD && !done)
        if (!read_head(k, &done)) return false;
    return true;
}

bool conn_input(struct conn *k, const char *p, size_t n)
{
    if (k->state == CONN_LINGER) {
        k->body_seen += (int64_t)n;
        return k->body_seen < LINGER_BYTES;
    }
    if (k->state == CONN_HEAD && k->in.len == 0 && !k->fresh) k->since_ms = clock_mono_ms();
    if (!buf_add(&k->in, p, n)) return false;
    if (k->state == CONN_HEAD) return advance(k);
    if (k->state == CONN_BODY) return read_body(k);
    /* Pipelined behind a stream: keep it, but take no more. */
    set_reading(k, false);
    return true;
}

/* The exchange is over: the next request, or the end. */
static bool next_request(struct conn *k)
{
    bool close_after = k->x->close_after || atomic_load(&k->server->stopping);
    exchange_free(k->x);
    k->x = NULL;
    k->sent = 0;
    k->stream_done = false;
    buf_dispose(&k->out);
    buf_init(&k->out, SEND_BYTES);
    if (close_after) {
        shutdown(k->fd, SHUT_WR);
        buf_clear(&k->in);
        k->body_seen = 0;
        enter(k, CONN_LINGER);
        set_reading(k, true);
        return true;
    }
    if (k->in.len == 0) {
        buf_dispose(&k->in);
        buf_init(&k->in, LIMIT_HEADER_BYTES + 512 * 1024);
    }
    enter(k, CONN_HEAD);
    if (!advance(k)) return false;
    if (k->state == CONN_HEAD) set_reading(k, true);
    return true;
}

/* -1: broken; else bytes taken, 0 when the socket is full. */
static ssize_t push(struct conn *k, struct iovec *v, int count)
{
    struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)count };
    ssize_t n;
    do n = sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (n > 0) k->since_ms = k->beat_ms = clock_mono_ms();
    return n;
}

static bool send_reply(struct conn *k)
{
    struct exchange *x = k->x;
    if (k->state != CONN_SEND) {
        enter(k, CONN_SEND);
        k->sent = 0;
    }
    const char *body = x->fixed ? x->fixed : x->reply.data;
    size_t body_len = x->head_only ? 0 : x->fixed ? x->fixed_len : x->reply.len;
    size_t head_len = x->head_out.len, all = head_len + body_len;
    while (k->sent < all) {
        struct iovec v[2];
        int count = 0;
        if (k->sent < head_len) v[count++] = (struct iovec){ x->head_out.data + k->sent, head_len - k->sent };
        size_t from = k->sent > head_len ? k->sent - head_len : 0;
        size_t piece = body_len - from > 4 * SEND_BYTES ? 4 * SEND_BYTES : body_len - from;
        if (piece > 0) v[count++] = (struct iovec){ (char *)body + from, piece };
        ssize_t n = push(k, v, count);
        if (n < 0) return false;
        if (n == 0) {
            listen_write(k);
            return true;
        }
        k->sent += (size_t)n;
    }
    return next_request(k);
}

static bool send_stream(struct conn *k)
{
    struct exchange *x = k->x;
    for (;;) {
        if (k->sent == k->out.len) {
            k->sent = 0;
            buf_clear(&k->out);
            if (stream_take(&x->stream, &k->out, SEND_BYTES / 2) == 0) break;
            k->since_ms = clock_mono_ms();
        }
        struct iovec v = { k->out.data + k->sent, k->out.len - k->sent };
        ssize_t n = push(k, &v, 1);
        if (n < 0) return false;
        if (n == 0) {
            listen_write(k);
            return true;
        }
        k->sent += (size_t)n;
    }
    if (!k->stream_done) return true;
    return next_request(k);
}

bool conn_writable(struct conn *k)
{
    if (k->state == CONN_SEND) return send_reply(k);
    if (k->state == CONN_STREAM) return send_stream(k);
    return true;
}

bool conn_posted(struct conn *k, unsigned what)
{
    struct exchange *x = k->x;
    if (what & POST_DATA && k->state == CONN_LENT) {
        /* Unsent bytes in the kernel are no backpressure: keep them few. */
        int low = 32 * 1024;
        setsockopt(k->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof low);
        enter(k, CONN_STREAM);
        k->beat_ms = k->since_ms;
        set_reading(k, true);
        if (atomic_load(&k->server->stopping)) atomic_store(&x->gone, true);
    }
    if (k->state == CONN_STREAM) {
        k->stream_done = k->stream_done || what & POST_DONE;
        return k->sent < k->out.len ? true : send_stream(k);
    }
    if (what & POST_DONE) return send_reply(k);
    x->lent = false;
    enter(k, CONN_BODY);
    if (what & POST_GUARDED && x->head.expect_continue && k->in.len == 0) {
        char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        struct iovec v = { go_on, sizeof go_on - 1 };
        if (push(k, &v, 1) != (ssize_t)sizeof go_on - 1) return false;
    }
    if (what & POST_FED) buf_clear(&x->piece);
    return read_body(k);
}

/* Has the client closed its side? Asked of the kernel, because unread pipelined bytes would hide it from a peek. */
static bool client_left(const struct conn *k)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(k->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) return false;
    return info.tcpi_state == TCP_CLOSE_WAIT || info.tcpi_state == TCP_CLOSE;
}

bool conn_tick(struct conn *k, int64_t now)
{
    int64_t waited = now - k->since_ms;
    switch (k->state) {
    case CONN_HEAD:
        if (k->in.len > 0) return waited < http_limits.header_ms ? true : refuse(k, 408, "the request's head did not come in time");
        return waited < (k->fresh ? http_limits.header_ms : http_limits.idle_ms);
    case CONN_LENT:
        if (waited >= GONE_CHECK_MS && !atomic_load(&k->x->gone) && client_left(k)) atomic_store(&k->x->gone, true);
        return k->retry ? lend(k, k->x->stage) : true;
    case CONN_BODY:
        /* An upload starts the clock anew with every piece: it may be long, but not slower than a piece in that time. */
        return waited < http_limits.body_ms ? true : refuse(k, 408, "the request's body did not come in time");
    case CONN_SEND: return waited < http_limits.stall_ms;
    case CONN_STREAM:
        if (k->sent < k->out.len) return waited < http_limits.stall_ms;
        if (now - k->beat_ms >= http_limits.heartbeat_ms && stream_heartbeat(k->x)) return send_stream(k);
        return true;
    case CONN_LINGER: return waited < LINGER_MS;
    }
    return true;
}

bool conn_stopping(struct conn *k)
{
    if (k->state == CONN_HEAD) return k->in.len > 0;
    if (k->state == CONN_STREAM) atomic_store(&k->x->gone, true);
    return true;
}
