/* The server's rows: clients that keep their connection and ask one question after the other, none of which a cache has
 * seen, beside a row with the same few questions again and again. The server is another process, started here on the
 * demo's documents or already there (--url), so that another program that answers the same route can be asked the same
 * in the same run. Both share this machine's cores with the load. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/accounts.h"
#include "store/store.h"
#include "verb_bench.h"

#define EMAIL    "bench@example.com"
#define PASSWORD "slow rivers carry stones"

enum { START_S = 60, STOP_S = 10, SAME = 10, MANY_CLIENTS = 100, CLIENTS = 8 };

struct server {
    pid_t       pid;
    int         port;
    const char *host, *token;
    bool        ours;
    double      start_ms;
};

static const struct shape {
    const char *name, *path, *form;      /* form of the body; its %s, if it has one, is the question */
    int         clients;
    bool        same;                    /* few questions, which a cache knows */
    const char *ids;
    bool        account;                 /* of the account that only a server of our own has */
} shapes[] = {
    { "rag", "/api/v1/rag/query", "{\"query\":\"%s\",\"user_id\":\"bench\",\"max_context_items\":5}", CLIENTS, false, "RAG-034", false },
    { "rag_one", "/api/v1/rag/query", "{\"query\":\"%s\",\"user_id\":\"bench\",\"max_context_items\":5}", 1, false, "RAG-034", false },
    { "rag_many", "/api/v1/rag/query", "{\"query\":\"%s\",\"user_id\":\"bench\",\"max_context_items\":5}", MANY_CLIENTS, false, "RAG-035", false },
    { "rag_cached", "/api/v1/rag/query", "{\"query\":\"%s\",\"user_id\":\"bench\",\"max_context_items\":5}", CLIENTS, true, "RAG-024", false },
    { "search", "/api/v1/coaching/search", "{\"query\":\"%s\",\"k\":5}", CLIENTS, false, NULL, false },
    { "ask", "/api/v1/coaching/ask", "{\"question\":\"%s\"}", CLIENTS, false, NULL, false },
    { "login", "/api/v1/auth/login", "{\"email\":\"" EMAIL "\",\"password\":\"" PASSWORD "\"}", 1, true, "CRE-086", true },
};

struct asker { const struct shape *shape; uint64_t seed; struct arena mem; };

static void put_body(void *arg, uint64_t i, struct buf *out)
{
    struct asker *a = arg;
    char          body[512];
    const char   *q = bench_question(&a->mem, a->shape->same ? i % SAME : a->seed + i), *hole = strstr(a->shape->form, "%s");
    if (hole) snprintf(body, sizeof body, "%.*s%s%s", (int)(hole - a->shape->form), a->shape->form, q, hole + 2);
    else snprintf(body, sizeof body, "%s", a->shape->form);
    buf_adds(out, body);
    arena_reset(&a->mem);
}

/* ---- the server's process ---- */

static double cpu_of(pid_t pid)
{
    char          path[64];
    unsigned long user = 0, system_ = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system_) != 2) user = system_ = 0;
    if (f) fclose(f);
    return (double)(user + system_) / (double)sysconf(_SC_CLK_TCK);
}

static double resident_mib(pid_t pid)
{
    char path[64];
    long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *f = pid > 0 ? fopen(path, "re") : NULL;
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

static int free_port(void)
{
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          n = sizeof a;
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = 0;
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof a) && !getsockname(fd, (struct sockaddr *)&a, &n)) port = ntohs(a.sin_port);
    if (fd >= 0) close(fd);
    return port;
}

static bool is_ready(const struct server *s)
{
    static const char  ask[] = "GET /health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)s->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    char               answer[13] = "";
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof to)
           && send(fd, ask, sizeof ask - 1, MSG_NOSIGNAL) == (ssize_t)sizeof ask - 1
           && recv(fd, answer, sizeof answer - 1, MSG_WAITALL) == (ssize_t)sizeof answer - 1;
    if (fd >= 0) close(fd);
    return ok && !memcmp(answer, "HTTP/1.1 200", 12);
}

static void server_stop(struct server *s)
{
    if (!s->ours || s->pid <= 0) return;
    kill(s->pid, SIGTERM);
    for (int i = 0; i < STOP_S * 100; i++) {
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return;
        }
        usleep(10000);
    }
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

/* In a process of its own, so that nothing of it is left in the one that asks: the demo's documents into b->dir, and a
 * token to read them with into the pipe. */
static void prepare(struct bench *b, int to)
{
    struct verb_args a = { .verb = "bench", .data = b->dir };
    struct verb_env  v;
    const char      *token = NULL;
    verb_close(b->v, OK);
    enum err e = verb_open(&v, &a, VERB_ANSWERS, NULL);
    if (!e) e = bench_demo_load(&v.call);
    if (!e) e = tenant_open(&v.call, "demo");
    if (!e) e = accounts_open(&v.call);
    if (!e) e = token_make(&v.call, "demo", "bench", "user", 1, &token);
    struct account account;
    const char    *creator = NULL;
    if (!e) e = account_make(&v.call, &(struct account_new){ .email = EMAIL, .password = PASSWORD, .full_name = "Bench", .alone = true }, &account, &creator);
    if (!e && write(to, token, strlen(token)) < 0) e = fail(&v.call, ERR_IO, "the measuring process went away");
    accounts_close();
    _exit(verb_close(&v, e));
}

static enum err documents_in(struct bench *b, struct server *s)
{
    char    token[2048];
    size_t  n = 0;
    ssize_t got;
    int     ends[2], status = 0;
    if (pipe(ends)) return fail(&b->v->call, ERR_IO, "no pipe: %s", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        prepare(b, ends[1]);
    }
    close(ends[1]);
    while ((got = read(ends[0], token + n, sizeof token - 1 - n)) > 0) n += (size_t)got;
    close(ends[0]);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {}
    if (pid < 0 || status || !n) return fail(&b->v->call, ERR_INTERNAL, "the demo could not be loaded");
    s->token = arena_strndup(&b->v->call.mem, token, n);
    return OK;
}

/* The documents are in before the server starts, so that it serves all of them from its first answer on. */
static enum err server_start(struct bench *b, struct server *s)
{
    struct call *c = &b->v->call;
    enum err     e = documents_in(b, s);
    if (e) return e;
    s->host = "127.0.0.1";
    s->port = free_port();
    const char *where = arena_printf(&c->mem, "%s:%d", s->host, s->port), *log = arena_printf(&c->mem, "%s/log", b->dir);
    double      begun = bench_now();
    s->pid = fork();
    if (s->pid == 0) {
        int out = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (out >= 0) {
            dup2(out, STDOUT_FILENO);
            dup2(out, STDERR_FILENO);
        }
        setenv("LOG_LEVEL", "warn", 1);
        /* One user asks as fast as the machine answers: counted like everybody, but never refused. */
        setenv("LIMIT_RAG", "1000000000/60", 1);
        setenv("LIMIT_USER", "1000000000/60", 1);
        setenv("LIMIT_CREATOR", "1000000000/60", 1);
        setenv("LIMIT_AUTH", "0", 1);
        execl(b->self, "chiron", "serve", "--demo", "--data", b->dir, "--listen", where, (char *)NULL);
        _exit(127);
    }
    if (s->pid < 0) return fail(c, ERR_BUSY, "cannot start a server: %s", strerror(errno));
    s->ours = true;
    while (!is_ready(s)) {
        if (waitpid(s->pid, NULL, WNOHANG) == s->pid) {
            s->pid = 0;
            return fail(c, ERR_IO, "the server ended while it started");
        }
        if (bench_now() - begun > START_S) return fail(c, ERR_TIMEOUT, "the server is not ready after %d s", START_S);
        usleep(500);
        e = call_check(c);
        if (e) return e;
    }
    s->start_ms = (bench_now() - begun) * 1000;
    return OK;
}

/* "http://127.0.0.1:8000" */
static enum err server_at(struct bench *b, struct server *s)
{
    char host[64];
    int  port = 0;
    if (sscanf(b->url, "http://%63[0-9.]:%d", host, &port) != 2 || port < 1 || port > 65535)
        return fail(&b->v->call, ERR_INVALID, "--url is http://ADDRESS:PORT with an IPv4 address, not %.80s", b->url);
    *s = (struct server){ .host = arena_strdup(&b->v->call.mem, host), .port = port, .token = b->token, .pid = b->pid };
    return OK;
}

static enum err measure(struct bench *b, const struct server *s, const struct shape *shape)
{
    struct asker      a = { .shape = shape, .seed = b->seed };
    struct bench_load l = { .host = s->host, .port = s->port, .path = shape->path, .token = s->token,
                            .clients = b->clients ? b->clients : shape->clients, .seconds = b->seconds, .warm_s = b->seconds / 5,
                            .body = put_body, .arg = &a };
    struct bench_samples got;
    int64_t              bad = 0;
    arena_init(&a.mem, 1 << 20);
    bench_samples_init(&got, BENCH_SAMPLES);
    double   cpu = cpu_of(s->pid), from = bench_now();
    enum err e = bench_load(&b->v->call, &l, &got, &bad);
    double   took = bench_now() - from;
    /* The server's time, not the load's; counted over the warm-up too. */
    got.cpu_s = took > 0 ? (cpu_of(s->pid) - cpu) * l.seconds / took : 0;
    if (!e && bad) e = fail(&b->v->call, ERR_UPSTREAM, "%s: %lld replies were not 200", shape->name, (long long)bad);
    if (!e)
        bench_put(b, &(struct bench_row){ .group = "http", .name = shape->name, .clients = l.clients, .per = "requests", .things = 1,
                                          .extra = resident_mib(s->pid), .extra_name = s->pid > 0 ? "resident_mib" : NULL,
                                          .ids = shape->ids }, &got);
    bench_samples_dispose(&got);
    arena_dispose(&a.mem);
    return e;
}

enum err bench_http(struct bench *b)
{
    struct server s = { 0 };
    enum err      e = b->url ? server_at(b, &s) : server_start(b, &s);
    if (!e && s.ours) {
        struct bench_samples start;
        bench_samples_init(&start, 1);
        bench_samples_add(&start, s.start_ms);
        start.wall_s = s.start_ms / 1000;
        start.cpu_s = cpu_of(s.pid);
        if (bench_wants(b, "start"))
            bench_put(b, &(struct bench_row){ .group = "http", .name = "start", .per = "starts", .things = 1, .extra = resident_mib(s.pid),
                                              .extra_name = "resident_mib" }, &start);
        bench_samples_dispose(&start);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !e; i++)
        if (bench_wants(b, shapes[i].name) && (s.ours || !shapes[i].account)) e = measure(b, &s, &shapes[i]);
    server_stop(&s);
    return e;
}
