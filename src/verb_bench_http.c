/* The server's rows: clients that keep their connection and ask one question after the other, none of which a cache has
 * seen, beside a row with the same few questions again and again. The server is another process, started here on the
 * demo's documents or already there (--url), so that another program that answers the same route can be asked the same
 * in the same run. Both share this machine's cores with the load. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/accounts.h"
#include "store/store.h"
#include "verb_bench.h"
#include "verb_child.h"

#define EMAIL    "bench@example.com"
#define PASSWORD "slow rivers carry stones"

enum { SAME = 10, MANY_CLIENTS = 100, CLIENTS = 8 };

struct server {
    pid_t       pid;
    int         port;
    const char *host, *token;
    bool        ours;                    /* started here */
    double      start_ms;
    struct verb_child child;             /* when ours */
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
    /* One user asks as fast as the machine answers: counted like everybody, but never refused. */
    static const char *const settings[] = { "LIMIT_RAG", "1000000000/60", "LIMIT_USER", "1000000000/60", "LIMIT_CREATOR", "1000000000/60",
                                            "LIMIT_AUTH", "0", NULL };
    s->child = (struct verb_child){ .data = b->dir, .log = arena_printf(&c->mem, "%s/log", b->dir), .settings = settings, .demo = true };
    e = verb_child_start(c, &s->child);
    if (e) return e;
    s->host = "127.0.0.1";
    s->port = s->child.port;
    s->pid = s->child.pid;
    s->start_ms = s->child.start_ms;
    s->ours = true;
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
    double   cpu = verb_child_cpu(s->pid), from = bench_now();
    enum err e = bench_load(&b->v->call, &l, &got, &bad);
    double   took = bench_now() - from;
    /* The server's time, not the load's; counted over the warm-up too. */
    got.cpu_s = took > 0 ? (verb_child_cpu(s->pid) - cpu) * l.seconds / took : 0;
    if (!e && bad) e = fail(&b->v->call, ERR_UPSTREAM, "%s: %lld replies were not 200", shape->name, (long long)bad);
    if (!e)
        bench_put(b, &(struct bench_row){ .group = "http", .name = shape->name, .clients = l.clients, .per = "requests", .things = 1,
                                          .extra = verb_child_resident(s->pid), .extra_name = s->pid > 0 ? "resident_mib" : NULL,
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
        start.cpu_s = verb_child_cpu(s.pid);
        if (bench_wants(b, "start"))
            bench_put(b, &(struct bench_row){ .group = "http", .name = "start", .per = "starts", .things = 1, .extra = verb_child_resident(s.pid),
                                              .extra_name = "resident_mib" }, &start);
        bench_samples_dispose(&start);
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !e; i++)
        if (bench_wants(b, shapes[i].name) && (s.ours || !shapes[i].account)) e = measure(b, &s, &shapes[i]);
    verb_child_stop(&s.child);
    return e;
}
