/* A thousand creators in one process: what it costs to open one that is closed, and what requests cost that go from creator to
 * creator, each of them to another database than the one before. The creators are made once, each with a few turns; the server is
 * a process of its own, so its memory is its own. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "coaching/coaching.h"
#include "encoder/encoder.h"
#include "knowledge/knowledge.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verb_bench.h"
#include "verb_child.h"

enum { CREATORS = 1000, MAKERS = 4, CLIENTS = 8, TOKEN_BYTES = 2048, OPENS = 2000 };

/* Smaller than what a pipe takes in one piece, so that makers do not write into each other's. */
struct made { int at; char token[TOKEN_BYTES]; };

static const char *creator_of(struct call *c, int i)
{
    return arena_printf(&c->mem, "creator%04d", i);
}

/* One passage each, so that a search of each has something to load. */
static enum err fill(struct call *c)
{
    const char *document = NULL, *job = NULL;
    bool        known;
    const char *text = arena_printf(&c->mem, "The coach of %s says: sleep eight hours, walk after lunch, and write down what you did.", c->creator_id);
    enum err    e = document_add_text(c, text, strlen(text), &(struct ingest_opts){ .title = "Notes" }, &document, &job, &known);
    return e || !job ? e : jobs_run_here(c, all_jobs, job);
}

/* In processes of their own: nothing of making them is left in the one that measures. Most of it is waiting for the disk. */
static void prepare(struct bench *b, int to, int from)
{
    struct verb_args a = { .verb = "bench", .data = b->dir };
    struct verb_env  v;
    struct made      m;
    verb_close(b->v, OK);
    enum err e = verb_open(&v, &a, VERB_KNOWLEDGE, NULL);
    if (!e) e = accounts_open(&v.call);
    for (int i = from; i < CREATORS && !e; i += MAKERS) {
        struct call *c = &v.call;
        const char  *id = creator_of(c, i), *token = NULL;
        bool         created;
        e = tenant_create(c, id, id, &created);
        if (!e) e = tenant_open(c, id);
        if (!e) e = fill(c);
        if (!e) e = token_make(c, id, "bench", "user", 2, &token);
        tenant_release(c);
        if (!e && strlen(token) >= sizeof m.token) e = fail(c, ERR_TOO_LARGE, "a token is over %d bytes", TOKEN_BYTES);
        if (e) break;
        memset(&m, 0, sizeof m);
        m.at = i;
        memcpy(m.token, token, strlen(token));
        if (write(to, &m, sizeof m) != (ssize_t)sizeof m) e = fail(c, ERR_IO, "the measuring process went away");
        arena_reset(&c->mem);
    }
    close(to);
    accounts_close();
    _exit(verb_close(&v, e));
}

static enum err make_creators(struct bench *b, const char **tokens)
{
    struct call *c = &b->v->call;
    struct made  m;
    int          ends[2], n = 0;
    pid_t        makers[MAKERS];
    bool         failed = false;
    if (pipe(ends)) return fail(c, ERR_IO, "no pipe");
    for (int i = 0; i < MAKERS; i++) {
        makers[i] = fork();
        if (makers[i] == 0) {
            close(ends[0]);
            prepare(b, ends[1], i);
        }
        /* The first makes the data folder and its keys. */
        while (i == 0 && makers[i] > 0 && access(arena_printf(&c->mem, "%s/creators/creator0000/creator.db", b->dir), F_OK)
               && !waitpid(makers[i], NULL, WNOHANG)) usleep(1000);
    }
    close(ends[1]);
    FILE *f = fdopen(ends[0], "r");
    while (f && n < CREATORS && fread(&m, sizeof m, 1, f) == 1) {
        tokens[m.at] = arena_strdup(&c->mem, m.token);
        n++;
    }
    if (f) fclose(f);
    for (int i = 0; i < MAKERS; i++) {
        int status = 0;
        while (makers[i] > 0 && waitpid(makers[i], &status, 0) < 0 && errno == EINTR) {}
        failed |= makers[i] < 0 || status;
    }
    return failed || n < CREATORS ? fail(c, ERR_INTERNAL, "%d of %d creators could be made", n, CREATORS) : OK;
}

/* ---- opening ---- */

/* Around all of them; each was closed before. */
static enum err open_each(struct bench *b)
{
    struct bench_samples s;
    struct call         *c = &b->v->call;
    enum err             e = store_open(c, b->dir);
    if (e) return e;
    bench_samples_init(&s, OPENS);
    double cpu = bench_cpu(), from = bench_now(), begun_mib = verb_child_resident(getpid());
    for (int i = 0; i < OPENS && !e; i++) {
        const char *id = creator_of(c, i * 7 % CREATORS);
        double      at = bench_now();
        e = tenant_open(c, id);
        if (!e) bench_samples_add(&s, (bench_now() - at) * 1000);
        tenant_release(c);
        tenants_close_idle(0);
    }
    s.wall_s = bench_now() - from;
    s.cpu_s = bench_cpu() - cpu;
    struct bench_row row = { .group = "tenants", .name = "open", .per = "creators", .things = 1, .clients = 1, .extra_name = "kib_each" };
    /* What each keeps while it is open and nothing is asked. */
    for (int i = 0; i < CREATORS && !e; i++) {
        e = tenant_open(c, creator_of(c, i));
        tenant_release(c);
    }
    row.extra = (verb_child_resident(getpid()) - begun_mib) * 1024 / CREATORS;
    if (!e) bench_put(b, &row, &s);
    bench_samples_dispose(&s);
    store_close();
    return e;
}

/* ---- asking ---- */

static void no_body(void *arg, uint64_t i, struct buf *out)
{
    (void)arg, (void)i, (void)out;
}

static void question(void *arg, uint64_t i, struct buf *out)
{
    (void)arg;
    buf_printf(out, "{\"query\":\"how long should I sleep %llu\"}", (unsigned long long)i);
}

static const struct shape {
    const char *name, *method, *path;
    void      (*body)(void *arg, uint64_t i, struct buf *out);
    int         creators;
} shapes[] = {
    { "switch_one", "GET", "/api/v1/turns?limit=10", no_body, 1 },
    { "switch", "GET", "/api/v1/turns?limit=10", no_body, CREATORS },
    { "switch_search", "POST", "/api/v1/coaching/search", question, CREATORS },
};

static enum err measure(struct bench *b, const struct verb_child *server, const struct shape *shape, const char **tokens)
{
    struct bench_load l = { .host = "127.0.0.1", .port = server->port, .path = shape->path, .method = shape->method, .tokens = tokens,
                            .token_count = shape->creators, .clients = b->clients ? b->clients : CLIENTS, .seconds = b->seconds,
                            .warm_s = b->seconds / 2, .body = shape->body };
    struct bench_samples got;
    int64_t              bad = 0;
    bench_samples_init(&got, BENCH_SAMPLES);
    double   cpu = verb_child_cpu(server->pid), from = bench_now();
    enum err e = bench_load(&b->v->call, &l, &got, &bad);
    double   took = bench_now() - from;
    got.cpu_s = took > 0 ? (verb_child_cpu(server->pid) - cpu) * l.seconds / took : 0;
    if (!e && bad) e = fail(&b->v->call, ERR_UPSTREAM, "%s: %lld replies were not 200", shape->name, (long long)bad);
    if (!e)
        bench_put(b, &(struct bench_row){ .group = "tenants", .name = shape->name, .clients = l.clients, .rows = shape->creators, .per = "requests",
                                          .things = 1, .extra = verb_child_resident(server->pid), .extra_name = "resident_mib", .ids = NULL }, &got);
    bench_samples_dispose(&got);
    return e;
}

enum err bench_tenants(struct bench *b)
{
    struct call      *c = &b->v->call;
    const char      **tokens = arena_array(&c->mem, CREATORS, sizeof *tokens);
    static const char *const settings[] = { "RATE_LIMIT_ENABLED", "false", "LOG_LEVEL", "warn", NULL };
    struct verb_child s = { .settings = settings, .data = b->dir, .log = arena_printf(&c->mem, "%s/log", b->dir) };
    double            began = bench_now();
    enum err          e = make_creators(b, tokens);
    if (!e) bench_note(b, "tenants", "%d creators made in %.1f s", CREATORS, bench_now() - began);
    if (!e) e = verb_child_start(c, &s);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !e; i++)
        if (bench_wants(b, shapes[i].name)) e = measure(b, &s, &shapes[i], tokens);
    verb_child_stop(&s);
    if (!e && bench_wants(b, "open")) e = open_each(b);
    return e;
}
