/* unit/http/client.h — a server on a free port in its own thread, and a client of raw sockets that shows every byte. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_HTTP_CLIENT_H
#define CHIRON_TEST_HTTP_CLIENT_H
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/exchange.h"
#include "store/store.h"

#include <cmocka.h>   /* its macro fail() is not ours: (fail)(…) is */

#define UNUSED __attribute__((unused))   /* no test needs all of it */

static struct {
    struct http_conf conf;
    const char      *listen[3];
    pthread_t        thread;
    pthread_mutex_t  lock;
    pthread_cond_t   changed;
    bool             ready, ended;
    char             bound[64];
    enum err         result;
    char             words[400];
    int              port;
    char             dir[64];
} T = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

UNUSED static void on_ready(void *arg, const char *const *bound)
{
    (void)arg;
    pthread_mutex_lock(&T.lock);
    snprintf(T.bound, sizeof T.bound, "%s", bound[0]);
    T.ready = true;
    pthread_cond_broadcast(&T.changed);
    pthread_mutex_unlock(&T.lock);
}

UNUSED static void *serve_main(void *arg)
{
    (void)arg;
    struct call c;
    call_init(&c);
    enum err e = http_serve(&c, &T.conf, on_ready, NULL);
    pthread_mutex_lock(&T.lock);
    T.result = e;
    snprintf(T.words, sizeof T.words, "%s", c.err_text);
    T.ended = true;
    pthread_cond_broadcast(&T.changed);
    pthread_mutex_unlock(&T.lock);
    call_dispose(&c);
    return NULL;
}

/* Bearer good: a user of creator c1. reader: reads c1. free: may ask, names no creator. lost: of a creator that is gone. */
UNUSED static enum err test_authenticate(struct call *c, const struct credential *cred)
{
    const char *authorization = cred->authorization;
    if (!authorization || strncmp(authorization, "Bearer ", 7) != 0) return (fail)(c, ERR_UNAUTHENTICATED, "not a bearer token");
    const char *t = authorization + 7;
    c->rights = RIGHT_ASK;
    if (strcmp(t, "good") == 0) snprintf(c->creator_id, sizeof c->creator_id, "c1");
    else if (strcmp(t, "reader") == 0) {
        snprintf(c->creator_id, sizeof c->creator_id, "c1");
        c->rights |= RIGHT_READ;
    } else if (strcmp(t, "lost") == 0) snprintf(c->creator_id, sizeof c->creator_id, "gone");
    else if (strcmp(t, "free") != 0) return (fail)(c, ERR_UNAUTHENTICATED, "the token is not known");
    snprintf(c->user_id, sizeof c->user_id, "u1");
    return OK;
}

UNUSED static void settings_load(void)
{
    static const struct setting *const tables[] = { http_settings, store_settings, NULL };
    struct call c;
    call_init(&c);
    log_open(getenv("TEST_LOG") ? LOG_INFO : (enum log_level)(LOG_ERROR + 1), 1);
    if (conf_load(&c, tables, "/dev/null")) fail_msg("%s", c.err_text);
    call_dispose(&c);
}

UNUSED static void store_start(void)
{
    struct call c;
    call_init(&c);
    snprintf(T.dir, sizeof T.dir, "/tmp/chiron-http-XXXXXX");
    assert_non_null(mkdtemp(T.dir));
    bool created;
    if (store_open(&c, T.dir) || tenant_create(&c, "c1", "One", &created)) fail_msg("%s", c.err_text);
    call_dispose(&c);
}

UNUSED static void store_end(void)
{
    store_close();
    char command[128];
    snprintf(command, sizeof command, "%s", T.dir);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", command, (char *)NULL);
        _exit(1);
    }
}

UNUSED static void server_start(const struct route *const *tables, int workers)
{
    T.ready = T.ended = false;
    T.listen[0] = "127.0.0.1:0";
    T.listen[1] = NULL;
    T.conf = (struct http_conf){ .listen = T.listen, .tables = tables, .authenticate = test_authenticate, .title = "Test",
                                 .version = "1.0", .workers = workers };
    assert_int_equal(pthread_create(&T.thread, NULL, serve_main, NULL), 0);
    pthread_mutex_lock(&T.lock);
    while (!T.ready && !T.ended) pthread_cond_wait(&T.changed, &T.lock);
    pthread_mutex_unlock(&T.lock);
    if (!T.ready) fail_msg("the server did not start: %s", T.words);
    T.port = atoi(strrchr(T.bound, ':') + 1);
    assert_true(T.port > 0);
}

UNUSED static void server_end(void)
{
    http_stop();
    pthread_join(T.thread, NULL);
    assert_int_equal(T.result, OK);
}

UNUSED static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)T.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval t = { .tv_sec = 20 };
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    return fd;
}

UNUSED static void put(int fd, const void *p, size_t n)
{
    for (const char *s = p; n > 0;) {
        ssize_t k = send(fd, s, n, MSG_NOSIGNAL);
        if (k <= 0) return;   /* the server may close on us: what it answered is what counts */
        s += k;
        n -= (size_t)k;
    }
}

UNUSED static void puts_to(int fd, const char *s)
{
    put(fd, s, strlen(s));
}

struct answer {
    int    status;          /* 0: the connection was closed before a reply */
    char   head[16384];
    char  *body;
    size_t body_len;
    bool   complete;        /* all of the body came */
};

UNUSED static bool read_byte(int fd, char *ch)
{
    return recv(fd, ch, 1, 0) == 1;
}

UNUSED static bool read_line(int fd, char *line, size_t max)
{
    size_t n = 0;
    while (n + 1 < max && read_byte(fd, &line[n])) {
        if (line[n++] != '\n') continue;
        line[n] = '\0';
        return true;
    }
    return false;
}

UNUSED static const char *head_of(const struct answer *a, const char *name)
{
    static char value[8][4096];
    static int turn;
    size_t n = strlen(name);
    for (const char *p = strchr(a->head, '\n'); p; p = strchr(p, '\n')) {
        p++;
        if (strncasecmp(p, name, n) != 0 || p[n] != ':') continue;
        const char *v = p + n + 1 + strspn(p + n + 1, " ");
        char *out = value[turn++ % 8];
        snprintf(out, sizeof value[0], "%.*s", (int)strcspn(v, "\r\n"), v);
        return out;
    }
    return NULL;
}

UNUSED static void answer_free(struct answer *a)
{
    free(a->body);
    a->body = NULL;
}

/* One reply. no_body: the reply to a HEAD. */
UNUSED static struct answer read_answer(int fd, bool no_body)
{
    struct answer a = { 0 };
    size_t n = 0;
    a.body = calloc(1, 1);
    while (n + 1 < sizeof a.head && read_byte(fd, &a.head[n]))
        if (++n >= 4 && memcmp(a.head + n - 4, "\r\n\r\n", 4) == 0) break;
    if (n < 4 || sscanf(a.head, "HTTP/1.1 %d", &a.status) != 1) return a;
    if (no_body || a.status == 204 || a.status == 304 || a.status == 100) {
        a.complete = true;
        return a;
    }
    const char *length = head_of(&a, "content-length"), *coding = head_of(&a, "transfer-encoding");
    if (length) {
        size_t want = (size_t)atoll(length);
        a.body = realloc(a.body, want + 1);
        while (a.body_len < want) {
            ssize_t k = recv(fd, a.body + a.body_len, want - a.body_len, 0);
            if (k <= 0) break;
            a.body_len += (size_t)k;
        }
        a.complete = a.body_len == want;
    } else if (coding) {
        char line[64];
        size_t room = 0;
        while (read_line(fd, line, sizeof line)) {
            size_t want = strtoul(line, NULL, 16);
            if (a.body_len + want + 3 > room) a.body = realloc(a.body, room = (a.body_len + want + 3) * 2);
            if (recv(fd, a.body + a.body_len, want + 2, MSG_WAITALL) != (ssize_t)want + 2) goto out;
            a.body_len += want;
            if (want == 0) {
                a.complete = true;
                break;
            }
        }
    } else {
        char ch;
        while (read_byte(fd, &ch)) {
            a.body = realloc(a.body, a.body_len + 2);
            a.body[a.body_len++] = ch;
        }
        a.complete = true;
    }
out:
    a.body[a.body_len] = '\0';
    return a;
}

UNUSED static struct answer ask(const char *request)
{
    int fd = dial();
    puts_to(fd, request);
    struct answer a = read_answer(fd, strncmp(request, "HEAD ", 5) == 0);
    close(fd);
    return a;
}

UNUSED static struct answer post(const char *path, const char *extra, const char *body)
{
    char *text = NULL;
    if (asprintf(&text, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n%s\r\n%s", path, strlen(body), extra, body) < 0) abort();
    struct answer a = ask(text);
    free(text);
    return a;
}

/* true when the server closes within the time. */
UNUSED static bool closes_within(int fd, int ms)
{
    int64_t end = clock_mono_ms() + ms;
    for (;;) {
        struct pollfd p = { fd, POLLIN, 0 };
        int64_t left = end - clock_mono_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) return false;
        char buf[4096];
        ssize_t n = recv(fd, buf, sizeof buf, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET)) return true;
    }
}

UNUSED static const char *json_part(const char *body, const char *text)
{
    return strstr(body, text);
}

#define expect_status(request, want)                                                                                                     \
    do {                                                                                                                                 \
        struct answer a_ = ask(request);                                                                                                 \
        if (a_.status != (want)) fail_msg("%s\nwanted %d, got %d %s", request, want, a_.status, a_.body ? a_.body : "");                 \
        answer_free(&a_);                                                                                                                \
    } while (0)
#endif
