/* http/listen.c — the event loop: one thread, libev, with libwebsockets on it for the sockets. Requests are read as raw
 * bytes, not through libwebsockets' own HTTP: that one has no chunked request bodies, decodes paths before anybody can
 * route them and keeps unsent bytes in a heap without a limit. What it stays for is the socket's life, and the WebSocket
 * handshake it can be handed a connection for.
 * Its traps: a zero-byte read closes (so conn.c stops reading while it answers); timeouts set outside of its callbacks
 * do not fire on a foreign loop (so the tick here is our own); closing from outside must be synchronous.
 * One server per process. Refuses connections over the limit with a ready-made 503. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "http/conn.h"
#include "store/store.h"

#define LISTEN_MAX 16
#define READ_BYTES (64 * 1024)
#define TICK_SECONDS 0.1
#define ACCEPT_AT_ONCE 64

const struct setting http_settings[] = {
    { "LISTEN", "127.0.0.1:8000", "addresses to serve on, host:port, separated by commas", 0, 0, 0 },
    { "HTTP_WORKERS", "0", "threads for requests; 0: twice the processors, at least 4", SETTING_INT, 0, 1024 },
    { "HTTP_STREAM_WORKERS", "256", "streams that may be open at once", SETTING_INT, 1, 4096 },
    { "CORS_ORIGINS", "http://localhost:5173,http://localhost:5001", "origins that may call from a browser, separated by commas", 0, 0, 0 },
    { "TRUSTED_PROXIES", NULL, "networks of the proxies whose word on the client's address is taken: 10.0.0.0/8,127.0.0.1", 0, 0, 0 },
    { "FORWARDED_HEADER", "X-Forwarded-For", "the header in which they give it: X-Forwarded-For or Forwarded", 0, 0, 0 },
    { "AUTH_REQUIRED", "1", "0: the routes that say so answer callers without a credential", SETTING_BOOL, 0, 0 },
    { "STAGE_EMBED_MS", "0", "most ms a request may spend on embedding its question, unless it says; 0: no bound of its own", SETTING_INT, 0, LIMIT_DEADLINE_MS },
    { "STAGE_SEARCH_MS", "0", "… on searching, 0: no bound of its own", SETTING_INT, 0, LIMIT_DEADLINE_MS },
    { "STAGE_RERANK_MS", "0", "… on re-ranking, 0: no bound of its own", SETTING_INT, 0, LIMIT_DEADLINE_MS },
    { "STAGE_GENERATE_MS", "0", "… on a language model, 0: no bound of its own", SETTING_INT, 0, LIMIT_DEADLINE_MS },
    { "HTTP_TMP_DIR", NULL, "folder for uploads on their way; unset: tmp in the data folder", 0, 0, 0 },
    { 0 },
};

struct http_limits http_limits = {
    .header_ms = LIMIT_HEADER_SECONDS * 1000,
    .body_ms = LIMIT_BODY_SECONDS * 1000,
    .idle_ms = LIMIT_IDLE_SECONDS * 1000,
    .stall_ms = LIMIT_SSE_STALL_SECONDS * 1000,
    .heartbeat_ms = SSE_HEARTBEAT_SECONDS * 1000,
    .stop_ms = LIMIT_STOP_SECONDS * 1000,
    .connections = LIMIT_CONNECTIONS,
    .queue = LIMIT_REQUEST_QUEUE,
};

/* The running server; http_stop and the workers reach the loop through it. */
static struct {
    struct server       server;
    struct ev_loop     *loop;
    struct lws_context *lws;
    struct lws_vhost   *vhost;
    ev_async            wake;
    ev_timer            tick;
    ev_io               accepts[LISTEN_MAX];
    char                bound[LISTEN_MAX][64];
    int                 listen_count;
    struct conn        *conns;
    int                 conn_count;
    int64_t             accept_again_ms;   /* out of file descriptors: do not ask before */
    int64_t             stop_at_ms;        /* 0 while serving */
    pthread_mutex_t     lock;              /* of the mailbox */
    struct exchange    *mail;
} L = { .lock = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP };   /* held for nanoseconds: sleeping costs more */

static atomic_int stops;                   /* how often http_stop was called */
static atomic_bool running;                /* L.loop and L.wake may be used */
static atomic_int stopping_now;            /* threads inside http_stop: the loop outlives them */

void conn_post(struct exchange *x, unsigned what)
{
    pthread_mutex_lock(&L.lock);
    bool first = L.mail == NULL;
    if (x->posts == 0) {
        x->post_next = L.mail;
        L.mail = x;
    }
    x->posts |= what;
    if (first) ev_async_send(L.loop, &L.wake);
    pthread_mutex_unlock(&L.lock);
}

void http_stop(void)
{
    /* May interrupt any thread, so no lock: close_server waits for the count instead. */
    atomic_fetch_add(&stopping_now, 1);
    atomic_fetch_add(&stops, 1);
    if (atomic_load(&running)) ev_async_send(L.loop, &L.wake);
    atomic_fetch_sub(&stopping_now, 1);
}

void listen_read(struct conn *k, bool on)
{
    lws_rx_flow_control(k->socket, on);
}

void listen_write(struct conn *k)
{
    lws_callback_on_writable(k->socket);
}

static void forget(struct conn *k)
{
    if (k->prev) k->prev->next = k->next;
    else L.conns = k->next;
    if (k->next) k->next->prev = k->prev;
    L.conn_count--;
    conn_free(k);
}

/* Only outside of libwebsockets' callbacks; the close callback runs inside and frees the connection. */
static void kill_conn(struct conn *k)
{
    lws_set_timeout(k->socket, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

static int on_socket(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    (void)user;
    struct conn *k;
    switch (reason) {
    case LWS_CALLBACK_RAW_RX:
        k = lws_get_opaque_user_data(wsi);
        return k && conn_input(k, in, len) ? 0 : -1;
    case LWS_CALLBACK_RAW_WRITEABLE:
        k = lws_get_opaque_user_data(wsi);
        return k && conn_writable(k) ? 0 : -1;
    case LWS_CALLBACK_RAW_CLOSE:
        k = lws_get_opaque_user_data(wsi);
        lws_set_opaque_user_data(wsi, NULL);
        if (k) forget(k);
        return 0;
    default:
        return 0;
    }
}

static const struct lws_protocols protocols[] = { { "chiron", on_socket, 0, READ_BYTES, 0, NULL, 0 }, { NULL, NULL, 0, 0, 0, NULL, 0 } };

static void turn_away(int fd)
{
    static const char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 55\r\nRetry-After: 2\r\n"
        "Connection: close\r\n\r\n{\"error\":\"too many connections are open\",\"code\":\"busy\"}";
    ssize_t n = send(fd, busy, sizeof busy - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
    shutdown(fd, SHUT_WR);
    close(fd);
}

static void adopt(int fd, const struct sockaddr *sa, socklen_t len)
{
    char host[48] = "?";
    getnameinfo(sa, len, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (L.conn_count >= http_limits.connections) {
        turn_away(fd);
        return;
    }
    lws_sock_file_fd_type u = { .sockfd = fd };
    struct lws *wsi = lws_adopt_descriptor_vhost(L.vhost, LWS_ADOPT_SOCKET, u, protocols[0].name, NULL);
    if (!wsi) return;   /* libwebsockets has closed it */
    struct conn *k = conn_new(&L.server, fd, host);
    k->socket = wsi;
    k->next = L.conns;
    if (k->next) k->next->prev = k;
    L.conns = k;
    L.conn_count++;
    lws_set_opaque_user_data(wsi, k);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int events)
{
    (void)events;
    for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        int fd = accept4(w->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            adopt(fd, (struct sockaddr *)&sa, len);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* The waiting connection keeps the socket readable: without a pause this would spin. */
            log_warn(NULL, "cannot accept", "why", strerror(errno), NULL);
            for (int k = 0; k < L.listen_count; k++) ev_io_stop(loop, &L.accepts[k]);
            L.accept_again_ms = clock_mono_ms() + 1000;
        }
        if (errno == EINTR || errno == ECONNABORTED) continue;
        return;
    }
}

/* Takes what is there now; what is posted meanwhile wakes the loop again, so that sockets get their turn between. */
static void read_mail(void)
{
    pthread_mutex_lock(&L.lock);
    struct exchange *batch = L.mail;
    L.mail = NULL;
    while (batch) {
        struct exchange *x = batch;
        unsigned what = x->posts;
        batch = x->post_next;
        x->posts = 0;
        pthread_mutex_unlock(&L.lock);
        if (what & (POST_DONE | POST_GUARDED | POST_FED)) x->lent = false;
        struct conn *k = x->conn;
        if (!k && !x->lent) exchange_free(x);
        else if (k && !conn_posted(k, what)) kill_conn(k);
        pthread_mutex_lock(&L.lock);
    }
    pthread_mutex_unlock(&L.lock);
}

static void begin_stop(void)
{
    L.stop_at_ms = clock_mono_ms() + http_limits.stop_ms;
    atomic_store(&L.server.stopping, true);
    for (int i = 0; i < L.listen_count; i++) {
        ev_io_stop(L.loop, &L.accepts[i]);
        close(L.accepts[i].fd);
    }
    L.listen_count = 0;
    for (struct conn *k = L.conns, *next; k; k = next) {
        next = k->next;
        if (!conn_stopping(k)) kill_conn(k);
    }
}

static void tick_stop(int64_t now)
{
    /* Asked twice, or too slow: tell the handlers, and go when they have had a moment. */
    bool late = now >= L.stop_at_ms || atomic_load(&stops) > 1;
    for (struct conn *k = L.conns; late && k; k = k->next)
        if (k->x) atomic_store(&k->x->gone, true);
    if (!L.conns || now >= L.stop_at_ms + 2000) ev_break(L.loop, EVBREAK_ALL);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events)
{
    (void)loop;
    (void)w;
    (void)events;
    if (atomic_load(&stops) > 0 && L.stop_at_ms == 0) begin_stop();
    read_mail();
    if (L.stop_at_ms) tick_stop(clock_mono_ms());
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
    (void)w;
    (void)events;
    int64_t now = clock_mono_ms();
    int streams = 0;
    for (struct conn *k = L.conns, *next; k; k = next) {
        next = k->next;
        streams += k->state == CONN_STREAM;
        if (!conn_tick(k, now)) kill_conn(k);
    }
    metric_set("chiron_http_connections", NULL, L.conn_count);
    metric_set("chiron_http_sse_open", NULL, streams);
    metric_set("chiron_http_queue_depth", NULL, workers_waiting(L.server.workers));
    if (L.accept_again_ms && now >= L.accept_again_ms) {
        L.accept_again_ms = 0;
        for (int i = 0; i < L.listen_count; i++) ev_io_start(loop, &L.accepts[i]);
    }
    if (L.stop_at_ms) tick_stop(now);
}

static enum err bind_one(struct call *c, const char *address)
{
    char host[256];
    const char *colon = strrchr(address, ':');
    size_t n = colon ? (size_t)(colon - address) : 0;
    if (!colon || n >= sizeof host || strspn(colon + 1, "0123456789") != strlen(colon + 1) || !colon[1])
        return fail(c, ERR_INVALID, "cannot listen on %s: host:port is needed", address);
    if (L.listen_count == LISTEN_MAX) return fail(c, ERR_INVALID, "more than %d addresses to listen on", LISTEN_MAX);
    memcpy(host, address, n);
    host[n] = '\0';
    char *name = host;
    if (n > 2 && host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        name++;
    }
    struct addrinfo want = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV }, *found, *a;
    int bad = getaddrinfo(*name ? name : NULL, colon + 1, &want, &found);
    if (bad) return fail(c, ERR_INVALID, "cannot listen on %s: %s", address, gai_strerror(bad));
    int fd = -1, why = 0;
    for (a = found; a && fd < 0; a = a->ai_next) {
        int on = 1;
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0) continue;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, 1024) == 0) break;
        why = errno;
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd < 0) return fail(c, ERR_IO, "cannot listen on %s: %s", address, strerror(why));
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char port[8] = "";
    getsockname(fd, (struct sockaddr *)&sa, &len);
    getnameinfo((struct sockaddr *)&sa, len, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(L.bound[L.listen_count], sizeof L.bound[0], sa.ss_family == AF_INET6 ? "[%.48s]:%s" : "%.48s:%s", host, port);
    ev_io_init(&L.accepts[L.listen_count], on_accept, fd, EV_READ);
    L.listen_count++;
    return OK;
}

/* Calls f for every item of a comma-separated list, without white space around it; ends at the first error. */
static enum err each_item(struct call *c, const char *list, enum err (*f)(struct call *c, const char *item))
{
    enum err e = OK;
    for (const char *p = list ? list : ""; *p && !e;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ", \t");
        if (n > 0) e = f(c, arena_strndup(&c->mem, p, n));
        p += n;
    }
    return e;
}

static enum err add_origin(struct call *c, const char *origin)
{
    char **o = L.server.origins;
    int i = 0;
    while (o[i]) i++;
    if (i == ORIGINS_MAX) return fail(c, ERR_INVALID, "CORS_ORIGINS: more than %d", ORIGINS_MAX);
    size_t n = strlen(origin);
    if (n > 0 && origin[n - 1] == '/') n--;
    o[i] = strndup(origin, n);
    if (!o[i]) abort();
    return OK;
}

/* Files of uploads that a killed process left; younger ones may belong to a process that is just ending. */
static void sweep_uploads(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;
        if (strncmp(f->d_name, "up_", 3) != 0 || fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISREG(st.st_mode) && st.st_mtime + 3600 < clock_unix_ms() / 1000) unlinkat(dirfd(d), f->d_name, 0);
    }
    closedir(d);
}

static enum err open_tmp(struct call *c)
{
    const char *set = conf_text("HTTP_TMP_DIR");
    const char *data = set ? NULL : store_dir();
    if (data && !*data) data = NULL;
    char *dir = L.server.tmp_dir;
    int n = set ? snprintf(dir, sizeof L.server.tmp_dir, "%s", set) : data ? snprintf(dir, sizeof L.server.tmp_dir, "%s/tmp", data) : 0;
    if (n < 0 || (size_t)n >= sizeof L.server.tmp_dir) return fail(c, ERR_INVALID, "the path of the upload folder is too long");
    if (n == 0) return OK;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return fail(c, ERR_IO, "cannot make %s: %s", dir, strerror(errno));
    sweep_uploads(dir);
    return OK;
}

static void raise_file_limit(void)
{
    struct rlimit r;
    rlim_t want = (rlim_t)http_limits.connections + 2048;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur >= want) return;
    r.rlim_cur = r.rlim_max < want ? r.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &r);
}

static void say(int level, const char *line)
{
    size_t n = strcspn(line, "\n");
    char cut[200];
    snprintf(cut, sizeof cut, "%.*s", (int)(n < 199 ? n : 199), line);
    log_event(level == LLL_ERR ? LOG_ERROR : LOG_WARN, NULL, "libwebsockets", "line", cut, NULL);
}

static enum err open_lws(struct call *c)
{
    void *loops[1] = { L.loop };
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBEV,
        .foreign_loops = loops,
        .pt_serv_buf_size = READ_BYTES,
        .count_threads = 1,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .vhost_name = "chiron",
    };
    lws_set_log_level(LLL_ERR, say);
    L.lws = lws_create_context(&info);
    if (!L.lws) return fail(c, ERR_INTERNAL, "libwebsockets does not start: is libwebsockets-evlib-ev installed?");
    L.vhost = lws_get_vhost_by_name(L.lws, "chiron");
    return L.vhost ? OK : fail(c, ERR_INTERNAL, "libwebsockets made no vhost");
}

static void describe_metrics(void)
{
    metric_describe("chiron_http_requests_total", 'c', "Requests answered, by route, method and status.");
    metric_describe("chiron_http_request_seconds", 'h', "Time from the complete head of a request to the end of its handler.");
    metric_describe("chiron_http_queue_depth", 'g', "Requests waiting for a worker thread.");
    metric_describe("chiron_http_connections", 'g', "Open connections.");
    metric_describe("chiron_http_sse_open", 'g', "Open server-sent streams.");
}

static int worker_count(const struct http_conf *conf)
{
    int n = conf->workers > 0 ? conf->workers : (int)conf_int("HTTP_WORKERS");
    if (n > 0) return n;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 2 ? (int)cores * 2 : 4;
}

static enum err open_server(struct call *c, const struct http_conf *conf)
{
    struct server *s = &L.server;
    memset(s, 0, sizeof *s);
    s->conf = conf;
    L.conns = NULL;
    L.conn_count = L.listen_count = 0;
    L.accept_again_ms = L.stop_at_ms = 0;
    L.mail = NULL;
    buf_init(&s->openapi, LIMIT_REPLY_BYTES);
    describe_metrics();
    raise_file_limit();
    enum err e = http_check_tables(c, conf->tables);
    if (!e) e = routes_compile(c, conf->tables, &s->routes);
    if (!e) e = http_openapi(c, conf, &s->openapi);
    if (!e) e = each_item(c, conf_text("CORS_ORIGINS"), add_origin);
    if (!e) e = open_tmp(c);
    if (!e) e = remote_open(c, s);
    if (e) return e;
    s->auth_required = conf_bool("AUTH_REQUIRED");
    L.loop = ev_loop_new(EVFLAG_AUTO);
    if (!L.loop) return fail(c, ERR_INTERNAL, "no event loop can be made");
    ev_async_init(&L.wake, on_wake);
    ev_async_start(L.loop, &L.wake);
    ev_timer_init(&L.tick, on_tick, TICK_SECONDS, TICK_SECONDS);
    ev_timer_start(L.loop, &L.tick);
    e = open_lws(c);
    for (int i = 0; !e && conf->listen && conf->listen[i]; i++) e = bind_one(c, conf->listen[i]);
    if (!e && (!conf->listen || !conf->listen[0])) e = each_item(c, conf_text("LISTEN"), bind_one);
    if (!e && L.listen_count == 0) e = fail(c, ERR_INVALID, "no address to listen on");
    return e;
}

static void close_server(void)
{
    struct server *s = &L.server;
    atomic_store(&running, false);
    while (atomic_load(&stopping_now) > 0) usleep(100);
    while (L.conns) kill_conn(L.conns);
    /* Handlers that still run post to the loop: they end before it does. */
    workers_close(s->workers);
    if (L.loop) read_mail();
    for (int i = 0; i < L.listen_count; i++) close(L.accepts[i].fd);
    if (L.lws) lws_context_destroy(L.lws);
    if (L.loop) {
        ev_timer_stop(L.loop, &L.tick);
        ev_async_stop(L.loop, &L.wake);
        ev_loop_destroy(L.loop);
    }
    L.lws = NULL;
    L.loop = NULL;
    routes_free(s->routes);
    buf_dispose(&s->openapi);
    for (int i = 0; s->origins[i]; i++) free(s->origins[i]);
}

enum err http_serve(struct call *c, const struct http_conf *conf, void (*ready)(void *arg, const char *const *bound), void *arg)
{
    enum err e = open_server(c, conf);
    if (!e) {
        deadline_open();
        L.server.workers = workers_open(worker_count(conf), (int)conf_int("HTTP_STREAM_WORKERS"), http_limits.queue);
        for (int i = 0; i < L.listen_count; i++) ev_io_start(L.loop, &L.accepts[i]);
        const char *bound[LISTEN_MAX + 1] = { 0 };
        for (int i = 0; i < L.listen_count; i++) bound[i] = L.bound[i];
        atomic_store(&running, true);
        if (ready) ready(arg, bound);
        /* A stop that came before the loop could be woken is still in the counter. */
        if (atomic_load(&stops) > 0) ev_async_send(L.loop, &L.wake);
        ev_run(L.loop, 0);
    }
    close_server();
    atomic_store(&stops, 0);
    return e;
}
