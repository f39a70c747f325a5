/* Rows on the demo's own documents, the handbook and the 873 exercises: reading them in from files to searchable, answers
 * without a language model, and questions while documents are being read in. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "admin/admin.h"
#include "coaching/coaching.h"
#include "encoder/encoder.h"
#include "knowledge/knowledge.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verb_bench.h"

enum { JOBS_MAX = 1000, BUSY_CHUNKS = 100 };

static enum err run_queued(struct call *c)
{
    struct job *jobs = NULL;
    int         n = 0;
    enum err    e = jobs_list(c, JOBS_MAX, &jobs, &n);
    for (int i = n - 1; i >= 0 && !e; i--)
        if (jobs[i].state == JOB_QUEUED) e = jobs_run_here(c, all_jobs, jobs[i].id);
    return e;
}

enum err bench_demo_load(struct call *c)
{
    enum err e = demo_prepare(c);
    if (!e) e = demo_load(c);
    if (!e) e = tenant_open(c, "demo");
    if (!e) e = run_queued(c);
    tenant_release(c);
    return e;
}

static enum err count_chunks(struct call *c, double *out)
{
    struct document *d = NULL;
    int              n = 0;
    int64_t          total = 0;
    enum err         e = tenant_open(c, "demo");
    if (!e) e = document_list(c, 0, 100, &d, &n, &total);
    for (int i = 0; i < n && !e; i++) *out += d[i].chunks;
    tenant_release(c);
    return e;
}

enum err bench_ingest(struct bench *b)
{
    struct call         *c = &b->v->call;
    struct bench_samples s;
    if (!bench_wants(b, "demo")) return OK;
    double               chunks = 0, cpu = bench_cpu(), from = bench_now();
    enum err             e = bench_demo_load(c);
    bench_samples_init(&s, 1);
    s.wall_s = bench_now() - from;
    s.cpu_s = bench_cpu() - cpu;
    bench_samples_add(&s, s.wall_s * 1000);
    if (!e) e = count_chunks(c, &chunks);
    if (!e)
        bench_put(b, &(struct bench_row){ .group = "ingest", .name = "demo", .precision = encoder_precision_used(encoder_default()),
                                          .threads = b->threads, .per = "passages", .things = chunks, .extra = chunks,
                                          .extra_name = "passages" }, &s);
    bench_samples_dispose(&s);
    return e;
}

static enum err ask(struct call *c, int i, void *arg)
{
    const struct bench *b = arg;
    struct turn         t;
    return coaching_turn(c, &(struct turn_in){ .question = bench_question(&c->mem, b->seed + (uint64_t)i), .temperature = -1 }, NULL, &t);
}

static enum err find(struct call *c, int i, void *arg)
{
    const struct bench *b = arg;
    struct passage     *p = NULL;
    struct search_info  info;
    int                 n = 0;
    return search_text(c, bench_question(&c->mem, b->seed + (uint64_t)i), &(struct search_opts){ .k = 5 }, &p, &n, &info);
}

enum err bench_turn(struct bench *b)
{
    const char      *precision = encoder_precision_used(encoder_default());
    struct bench_row search = { .group = "turn", .name = "search", .precision = precision, .clients = 1, .per = "queries", .things = 1 };
    struct bench_row answer = { .group = "turn", .name = "answer", .precision = precision, .clients = 1, .per = "answers", .things = 1 };
    enum err         e = bench_demo_load(&b->v->call);
    if (!e && bench_wants(b, "search")) e = bench_measure(b, &search, find, b, "demo");
    if (!e && bench_wants(b, "answer")) e = bench_measure(b, &answer, ask, b, "demo");
    return e;
}

/* ---- reading in beside the questions ---- */

struct reading {
    struct bench *b;
    pthread_t     thread;
    atomic_bool   stop;
    double        chars;
    enum err      e;
    char          words[400];
};

static enum err read_one(struct call *c, struct reading *r, int number, const char *const *chunk, int count)
{
    struct buf  text;
    const char *document = NULL, *job = NULL;
    bool        known = false;
    buf_init(&text, 4 << 20);
    buf_printf(&text, "Collected exercises, part %d.\n\n", number);
    for (int i = 0; i < BUSY_CHUNKS; i++) buf_printf(&text, "%s\n\n", chunk[(i + number * 7) % count]);
    enum err e = document_add_text(c, text.data, text.len, &(struct ingest_opts){ .title = arena_printf(&c->mem, "Part %d", number) },
                                   &document, &job, &known);
    if (!e && job) e = jobs_run_here(c, all_jobs, job);
    r->chars += (double)text.len;
    buf_dispose(&text);
    return e;
}

static void *read_in(void *arg)
{
    struct reading    *r = arg;
    struct call        texts, c;
    const char *const *chunk = NULL;
    int                count = 0;
    call_init(&texts);
    call_init(&c);
    c.stop = &r->stop;
    c.rights = ~0u;
    enum err e = bench_chunks(&texts, &chunk, &count);
    if (!e) e = tenant_open(&c, "demo");
    for (int i = 0; !e && !atomic_load(&r->stop); i++) {
        e = read_one(&c, r, i, chunk, count);
        c.span_count = 0;
        arena_reset(&c.mem);
    }
    if (e && !(e == ERR_CANCELLED && atomic_load(&r->stop))) {
        r->e = e;
        snprintf(r->words, sizeof r->words, "%s", c.err_text);
    }
    tenant_release(&c);
    call_dispose(&c);
    call_dispose(&texts);
    return NULL;
}

enum err bench_busy(struct bench *b)
{
    if (!bench_wants(b, "query_meanwhile")) return OK;
    struct call   *c = &b->v->call;
    struct reading r = { .b = b };
    enum err       e = bench_demo_load(c);
    if (e) return e;
    if (pthread_create(&r.thread, NULL, read_in, &r)) return fail(c, ERR_BUSY, "cannot start a thread");
    struct bench_row row = { .group = "ingest", .name = "query_meanwhile", .precision = encoder_precision_used(encoder_default()),
                             .clients = 1, .per = "queries", .things = 1 };
    e = bench_measure(b, &row, find, b, "demo");
    atomic_store(&r.stop, true);
    pthread_join(r.thread, NULL);
    if (!e && r.e) e = fail(c, r.e, "reading in: %.300s", r.words);
    if (!e) bench_note(b, "ingest", "%.0f characters were read in meanwhile", r.chars);
    return e;
}
