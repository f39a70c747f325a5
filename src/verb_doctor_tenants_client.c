/* The stranger's side of the wire: one kept connection, one request at a time, every byte of the reply kept. It sends what it is
 * told, however wrong, and refuses only to wait for ever or to read without end. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "verb_doctor_tenants.h"

enum { WAIT_MS = 30000, STREAM_MS = 1000, PIECE = 64 * 1024 };

void tenants_client_close(struct tenants_client *k)
{
    if (k->fd >= 0) close(k->fd);
    k->fd = -1;
}

static bool connected(struct tenants_client *k)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)k->port) };
    int                on = 1;
    if (k->fd >= 0) return true;
    if (inet_pton(AF_INET, k->host, &to.sin_addr) != 1) return false;
    k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (k->fd >= 0 && !connect(k->fd, (struct sockaddr *)&to, sizeof to)) {
        setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return true;
    }
    tenants_client_close(k);
    return false;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t did = send(fd, p, n, MSG_NOSIGNAL);
        if (did < 0 && errno == EINTR) continue;
        if (did <= 0) return false;
        p += did;
        n -= (size_t)did;
    }
    return true;
}

/* What came after at most ms: more than 0; 0 the end; -1 nothing or broken. */
static ssize_t take(int fd, char *to, int64_t ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int           n;
    do n = poll(&p, 1, ms > 0 ? (int)ms : 0);
    while (n < 0 && errno == EINTR);
    return n > 0 ? recv(fd, to, PIECE, 0) : -1;
}

static const char *header_in(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
        if (!strncasecmp(p + 2, name, n) && p[2 + n] == ':') return p + 3 + n + strspn(p + 3 + n, " ");
    return NULL;
}

/* The chunks from p on, joined into out. 1: all are there; 0: more must come; -1: not understood. */
static int unchunk(const char *p, size_t n, struct buf *out)
{
    const char *end = p + n;
    for (;;) {
        const char   *line = memmem(p, (size_t)(end - p), "\r\n", 2);
        char         *stop = NULL;
        unsigned long size;
        if (!line) return 0;
        size = strtoul(p, &stop, 16);
        if (stop == p || size > TENANTS_REPLY_BYTES) return -1;
        p = line + 2;
        if ((size_t)(end - p) < size + 2) return 0;
        if (!size) return 1;
        if (!buf_add(out, p, size)) return -1;
        p += size + 2;
    }
}

/* 1: out is the whole body; 0: more must come; -1: not understood. */
static int body_of(const struct buf *in, const char *method, bool ended, struct buf *out)
{
    const char *blank = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!blank) return ended ? -1 : 0;
    const char *body = blank + 4, *length, *coding;
    size_t      got = in->len - (size_t)(body - in->data);
    int         status = (int)strtol(in->data + 9, NULL, 10);
    if (strncmp(in->data, "HTTP/1.", 7)) return -1;
    buf_clear(out);
    if (status == 204 || status == 304 || !strcmp(method, "HEAD")) return 1;
    length = header_in(in->data, "content-length");
    coding = header_in(in->data, "transfer-encoding");
    if (coding && !strncasecmp(coding, "chunked", 7)) return unchunk(body, got, out) ? 1 : ended ? -1 : 0;
    if (!length) return ended && buf_add(out, body, got) ? 1 : ended ? -1 : 0;
    size_t want = strtoul(length, NULL, 10);
    if (want > TENANTS_REPLY_BYTES) return -1;
    if (got < want) return ended ? -1 : 0;
    return buf_add(out, body, want) ? 1 : -1;
}

static bool is_stream(const struct buf *in)
{
    const char *type = in->len && memmem(in->data, in->len, "\r\n\r\n", 4) ? header_in(in->data, "content-type") : NULL;
    return type && !strncasecmp(type, "text/event-stream", 17);
}

static bool says_close(const char *head)
{
    const char *v = header_in(head, "connection");
    return v && !strncasecmp(v, "close", 5);
}

/* false: the connection was closed before a byte came back, as a kept one may be at any time. */
static bool exchange(struct tenants_client *k, const struct tenants_ask *a, const struct buf *out, struct buf *in, struct buf *body,
                     const char **wrong)
{
    static char piece[PIECE];   /* one walk a process */
    bool    sent = send_all(k->fd, out->data, out->len);
    int64_t until = clock_mono_ms() + WAIT_MS;
    bool    stream = false;
    for (;;) {
        ssize_t n = take(k->fd, piece, until - clock_mono_ms());
        if (n > 0 && !buf_add(in, piece, (size_t)n)) {
            *wrong = "the reply is too long";
            return true;
        }
        if (n <= 0 && !in->len) return false;
        if (n < 0 && !stream) {
            *wrong = sent ? "the reply did not end" : "the request was not taken";
            return true;
        }
        if (!stream && is_stream(in)) {
            stream = true;
            until = clock_mono_ms() + STREAM_MS;
        }
        int state = body_of(in, a->method, n <= 0, body);
        if (state > 0 || (stream && n <= 0)) {
            /* What is left of a stream belongs to no later request. */
            if (stream && state <= 0) {
                const char *blank = memmem(in->data, in->len, "\r\n\r\n", 4);
                buf_clear(body);
                buf_add(body, blank + 4, in->len - (size_t)(blank + 4 - in->data));
            }
            if (n <= 0 || stream || says_close(in->data)) tenants_client_close(k);
            return true;
        }
        if (state < 0) {
            *wrong = "the reply is not understood";
            return true;
        }
    }
}

enum err tenants_ask(struct call *c, struct tenants_client *k, const struct tenants_ask *a, struct tenants_reply *reply)
{
    struct buf  out, in, body;
    const char *wrong = NULL;
    bool        done = false;
    buf_init(&out, 64 << 20);
    buf_init(&in, TENANTS_REPLY_BYTES + 65536);
    buf_init(&body, TENANTS_REPLY_BYTES);
    buf_printf(&out, "%s %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: application/json\r\n", a->method, a->path, k->host, k->port);
    if (a->headers) buf_adds(&out, a->headers);
    if (a->type) buf_printf(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n", a->type, a->len);
    else if (strcmp(a->method, "GET") && strcmp(a->method, "HEAD")) buf_adds(&out, "Content-Length: 0\r\n");
    buf_adds(&out, "\r\n");
    if (a->type) buf_add(&out, a->body, a->len);
    if (out.failed) wrong = "the request is too long";
    for (int try = 0; try < 2 && !done && !wrong; try++) {
        bool fresh = k->fd < 0;
        if (!connected(k)) wrong = "no connection";
        else if (!(done = exchange(k, a, &out, &in, &body, &wrong))) {
            tenants_client_close(k);
            if (fresh) wrong = "the connection was closed without a reply";
        }
    }
    if (!done && !wrong) wrong = "the connection was closed without a reply";
    if (!wrong) {
        const char *blank = memmem(in.data, in.len, "\r\n\r\n", 4);
        *reply = (struct tenants_reply){ .status = (int)strtol(in.data + 9, NULL, 10),
                                         .head = arena_strndup(&c->mem, in.data, (size_t)(blank - in.data) + 2),
                                         .body = arena_strndup(&c->mem, body.data ? body.data : "", body.len), .len = body.len };
    } else {
        tenants_client_close(k);
    }
    buf_dispose(&out);
    buf_dispose(&in);
    buf_dispose(&body);
    return wrong ? fail(c, ERR_IO, "%s %.200s: %s", a->method, a->path, wrong) : OK;
}
