/* A small load generator: connections that are kept, one request at a time on each, all on one thread that waits in epoll. It
 * keeps every latency, because the tail is what is asked about. It speaks just the HTTP/1.1 of the servers it measures:
 * replies with Content-Length or in chunks; anything else ends the measurement with words. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "verb_bench.h"

enum { REPLY_BYTES = 4 << 20, READ_BYTES = 64 * 1024, STILL_MS = 10000 };

struct link {
    int        fd;
    struct buf out, in;
    double     began;
};

struct load {
    struct call             *c;
    const struct bench_load *l;
    int                      poll;
    struct link             *links;
    uint64_t                 next;
    struct buf               body;
};

static enum err broke(struct load *w, const char *what)
{
    return fail(w->c, ERR_IO, "%s:%d: %s%s%s", w->l->host, w->l->port, what, errno ? ": " : "", errno ? strerror(errno) : "");
}

static enum err link_open(struct load *w, struct link *k)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)w->l->port) };
    int                on = 1;
    errno = 0;
    if (inet_pton(AF_INET, w->l->host, &to.sin_addr) != 1) return broke(w, "is no IPv4 address");
    k->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (k->fd < 0 || connect(k->fd, (struct sockaddr *)&to, sizeof to)) return broke(w, "cannot connect");
    setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = k };
    if (epoll_ctl(w->poll, EPOLL_CTL_ADD, k->fd, &ev)) return broke(w, "cannot wait");
    return OK;
}

/* A request is far smaller than a socket's buffer, which is empty while the reply is waited for: it goes out in one piece. */
static enum err ask(struct load *w, struct link *k)
{
    const struct bench_load *l = w->l;
    buf_clear(&w->body);
    buf_clear(&k->out);
    buf_clear(&k->in);
    const char *token = l->tokens ? l->tokens[w->next % (uint64_t)l->token_count] : l->token;
    bool        gets = l->method && !strcmp(l->method, "GET");
    l->body(l->arg, w->next++, &w->body);
    buf_printf(&k->out, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n", l->method ? l->method : "POST", l->path, l->host, l->port);
    if (!gets) buf_printf(&k->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", w->body.len);
    if (token) buf_printf(&k->out, "Authorization: Bearer %s\r\n", token);
    buf_adds(&k->out, "\r\n");
    if (!gets) buf_add(&k->out, w->body.data, w->body.len);
    if (k->out.failed) return fail(w->c, ERR_TOO_LARGE, "the request is too long");
    k->began = bench_now();
    errno = 0;
    if (send(k->fd, k->out.data, k->out.len, MSG_NOSIGNAL) != (ssize_t)k->out.len) return broke(w, "did not take a request");
    return OK;
}

/* The value of a header in the first n bytes, NULL when it is not there. */
static const char *header(const char *head, size_t n, const char *name)
{
    size_t len = strlen(name);
    for (const char *p = head, *end = head + n; p && p < end; p = memmem(p, (size_t)(end - p), "\r\n", 2), p = p ? p + 2 : NULL)
        if ((size_t)(end - p) > len && !strncasecmp(p, name, len) && p[len] == ':') return p + len + 1;
    return NULL;
}

/* Whether the chunks from p on end inside n bytes. */
static bool chunks_end(const char *p, size_t n)
{
    const char *end = p + n;
    for (;;) {
        const char *line = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!line) return false;
        unsigned long size = strtoul(p, NULL, 16);
        p = line + 2;
        if ((size_t)(end - p) < size + 2) return false;
        p += size + 2;
        if (!size) return true;
    }
}

/* 1: the reply is whole; 0: more is to come; -1: it is not understood. */
static int reply_state(const struct buf *in, int *status_out)
{
    const char *body = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!body) return 0;
    size_t head = (size_t)(body - in->data) + 4, got = in->len - head;
    if (head < 16 || strncmp(in->data, "HTTP/1.1 ", 9)) return -1;
    *status_out = (int)strtol(in->data + 9, NULL, 10);
    const char *length = header(in->data, head, "content-length"), *coding = header(in->data, head, "transfer-encoding");
    if (length) return got >= strtoul(length, NULL, 10);
    if (coding && !strncasecmp(coding + strspn(coding, " "), "chunked", 7)) return chunks_end(body + 4, got);
    return -1;
}

static enum err take(struct load *w, struct link *k, struct bench_samples *s, double from, double until, int64_t *bad)
{
    static char piece[READ_BYTES];
    int         status = 0;
    errno = 0;
    ssize_t n = recv(k->fd, piece, sizeof piece, 0);
    if (n <= 0) return broke(w, n ? "the connection broke" : "the server closed a connection");
    if (!buf_add(&k->in, piece, (size_t)n)) return fail(w->c, ERR_TOO_LARGE, "a reply is over %d bytes", REPLY_BYTES);
    int state = reply_state(&k->in, &status);
    errno = 0;
    if (state < 0) return broke(w, "a reply is not understood");
    if (!state) return OK;
    double now = bench_now();
    if (status != 200 && !(*bad)++)
        fprintf(stderr, "chiron bench: %s gave %d: %.300s\n", w->l->path, status, strstr(k->in.data, "\r\n\r\n") + 4);
    if (now >= from && now < until) bench_samples_add(s, (now - k->began) * 1000);
    return now < until ? ask(w, k) : OK;
}

enum err bench_load(struct call *c, const struct bench_load *l, struct bench_samples *s, int64_t *bad_out)
{
    struct load w = { .c = c, .l = l, .poll = epoll_create1(EPOLL_CLOEXEC), .links = calloc((size_t)l->clients, sizeof *w.links) };
    double      begun = bench_now(), from = begun + l->warm_s, until = from + l->seconds;
    int64_t     bad = 0;
    enum err    e = OK;
    if (!w.links) abort();
    buf_init(&w.body, 64 * 1024);
    for (int i = 0; i < l->clients; i++) {
        w.links[i].fd = -1;
        buf_init(&w.links[i].out, 128 * 1024);
        buf_init(&w.links[i].in, REPLY_BYTES);
    }
    for (int i = 0; i < l->clients && !e; i++) e = link_open(&w, &w.links[i]);
    for (int i = 0; i < l->clients && !e; i++) e = ask(&w, &w.links[i]);
    while (!e && bench_now() < until) {
        struct epoll_event ev[BENCH_CLIENTS];
        int                n = epoll_wait(w.poll, ev, BENCH_CLIENTS, STILL_MS);
        errno = 0;
        if (n == 0) e = broke(&w, "no reply in ten seconds");
        for (int i = 0; i < n && !e; i++) e = take(&w, ev[i].data.ptr, s, from, until, &bad);
        if (!e) e = call_check(c);
    }
    s->wall_s = l->seconds;
    for (int i = 0; i < l->clients; i++) {
        if (w.links[i].fd >= 0) close(w.links[i].fd);
        buf_dispose(&w.links[i].out);
        buf_dispose(&w.links[i].in);
    }
    buf_dispose(&w.body);
    free(w.links);
    if (w.poll >= 0) close(w.poll);
    *bad_out = bad;
    return e;
}
