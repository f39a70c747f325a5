/* Rows of `chiron bench`: calling something for a while and writing down what it took. The median and the best are given with
 * the mean rate, because a shared machine only ever adds time; CPU time stands beside the wall's for the same reason.
 * Nothing here knows what is good: rows are compared by those who read them. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "verb_bench.h"

enum { CALLS_LEAST = 5, CURVE_STEPS = 100 };

double bench_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double bench_cpu(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_samples_init(struct bench_samples *s, int cap)
{
    *s = (struct bench_samples){ .cap = cap, .ms = malloc((size_t)cap * sizeof *s->ms) };
    if (!s->ms) abort();
}

void bench_samples_dispose(struct bench_samples *s)
{
    free(s->ms);
    *s = (struct bench_samples){ 0 };
}

void bench_samples_add(struct bench_samples *s, double ms)
{
    if (s->n < s->cap) s->ms[s->n++] = ms;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

static double at(const struct bench_samples *s, double percent)
{
    if (!s->n) return 0;
    int i = (int)((double)(s->n - 1) * percent / 100 + 0.5);
    return s->ms[i < 0 ? 0 : i >= s->n ? s->n - 1 : i];
}

static void put_number(struct json_out *j, const char *name, double v)
{
    /* Six significant digits: more would only be noise that changes in every run. */
    char text[32];
    snprintf(text, sizeof text, "%.6g", v);
    json_put_raw(j, name, text, strlen(text));
}

static void send_line(struct bench *b, struct buf *line)
{
    buf_addc(line, '\n');
    fwrite(line->data, 1, line->len, b->to);
    fflush(b->to);
    buf_dispose(line);
}

void bench_put(struct bench *b, const struct bench_row *r, struct bench_samples *s)
{
    qsort(s->ms, (size_t)s->n, sizeof *s->ms, ascending);
    struct buf      line;
    struct json_out j;
    buf_init(&line, 64 * 1024);
    json_out_init(&j, &line);
    json_begin_object(&j, NULL);
    json_put_text(&j, "group", r->group);
    json_put_text(&j, "name", r->name);
    if (r->precision) json_put_text(&j, "precision", r->precision);
    if (r->threads) json_put_int(&j, "threads", r->threads);
    if (r->clients) json_put_int(&j, "clients", r->clients);
    if (r->rows) json_put_int(&j, "rows", r->rows);
    json_put_text(&j, "per", r->per);
    json_put_int(&j, "calls", s->n);
    put_number(&j, "min_ms", at(s, 0));
    put_number(&j, "p50_ms", at(s, 50));
    put_number(&j, "p95_ms", at(s, 95));
    put_number(&j, "p99_ms", at(s, 99));
    put_number(&j, "max_ms", at(s, 100));
    put_number(&j, "wall_s", s->wall_s);
    put_number(&j, "cpu_s", s->cpu_s);
    int    clients = r->clients > 1 ? r->clients : 1;
    double median = at(s, 50), least = at(s, 0);
    put_number(&j, "per_second", s->wall_s > 0 ? (double)s->n * r->things / s->wall_s : 0);
    if (clients == 1) {
        put_number(&j, "per_second_median", median > 0 ? r->things * 1000 / median : 0);
        put_number(&j, "per_second_best", least > 0 ? r->things * 1000 / least : 0);
    }
    put_number(&j, "cpu_ms_per_call", s->n ? s->cpu_s * 1000 / s->n : 0);
    if (r->work > 0) put_number(&j, "work_per_thing", r->work / r->things);
    if (r->work > 0 && r->limit > 0 && median > 0) {
        put_number(&j, "limit_per_second", r->limit);
        put_number(&j, "share_of_limit", r->work * 1000 / median / r->limit);
        put_number(&j, "share_of_limit_best", r->work * 1000 / least / r->limit);
    }
    if (r->extra_name) put_number(&j, r->extra_name, r->extra);
    if (r->ids) json_put_text(&j, "requirements", r->ids);
    if (clients > 1 && s->n >= CURVE_STEPS) {
        json_begin_array(&j, "curve_ms");
        for (int i = 0; i <= CURVE_STEPS; i++) put_number(&j, NULL, at(s, 100.0 * i / CURVE_STEPS));
        json_end(&j);
    }
    json_end(&j);
    send_line(b, &line);
}

void bench_note(struct bench *b, const char *group, const char *fmt, ...)
{
    char    words[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(words, sizeof words, fmt, ap);
    va_end(ap);
    struct buf      line;
    struct json_out j;
    buf_init(&line, 8192);
    json_out_init(&j, &line);
    json_begin_object(&j, NULL);
    json_put_text(&j, "group", group);
    json_put_text(&j, "note", words);
    json_end(&j);
    send_line(b, &line);
}

bool bench_wants(const struct bench *b, const char *name)
{
    size_t n = strlen(name);
    if (!b->only) return true;
    for (const char *p = b->only; p; p = strchr(p, ','), p = p ? p + 1 : NULL)
        if (!strncmp(p, name, n) && (p[n] == ',' || !p[n])) return true;
    return false;
}

struct client {
    pthread_t            thread;
    struct bench        *b;
    bench_call           run;
    void                *arg;
    const char          *tenant;
    int                  number, stride;
    double               warm_until, until, from;
    struct bench_samples s;
    enum err             e;
    char                 words[400];
};

static enum err one(struct call *c, struct client *k, int *i, double *took_ms)
{
    double   from = bench_now();
    enum err e = k->run(c, *i, k->arg);
    *took_ms = (bench_now() - from) * 1000;
    *i += k->stride;
    c->span_count = 0;
    arena_reset(&c->mem);
    return e ? e : call_check(c);
}

static void *client_run(void *arg)
{
    struct client *k = arg;
    struct call    c;
    call_init(&c);
    c.stop = k->b->v->call.stop;
    c.rights = k->b->v->call.rights;
    int      i = k->number;
    double   ms;
    enum err e = k->tenant ? tenant_open(&c, k->tenant) : OK;
    do {
        if (!e) e = one(&c, k, &i, &ms);
    } while (!e && bench_now() < k->warm_until);
    k->from = bench_now();
    while (!e && k->s.n < k->s.cap && (k->s.n < CALLS_LEAST || bench_now() < k->until)) {
        e = one(&c, k, &i, &ms);
        if (!e) bench_samples_add(&k->s, ms);
    }
    k->s.wall_s = bench_now() - k->from;
    if (e) snprintf(k->words, sizeof k->words, "%s", c.err_text);
    k->e = e;
    tenant_release(&c);
    call_dispose(&c);
    return NULL;
}

enum err bench_measure(struct bench *b, const struct bench_row *row, bench_call run, void *arg, const char *tenant)
{
    struct client *k = calloc(BENCH_CLIENTS, sizeof *k);
    int            n = row->clients > 1 ? row->clients : 1, started = 1;
    if (!k) abort();
    double   begun = bench_now(), warm_until = begun + b->seconds / 10, cpu_begun = bench_cpu();
    for (int i = 0; i < n; i++) {
        k[i] = (struct client){ .b = b, .run = run, .arg = arg, .tenant = tenant, .number = i, .stride = n,
                                .warm_until = warm_until, .until = warm_until + b->seconds };
        bench_samples_init(&k[i].s, BENCH_SAMPLES / n);
    }
    for (; started < n; started++)
        if (pthread_create(&k[started].thread, NULL, client_run, &k[started])) break;
    client_run(&k[0]);
    for (int i = 1; i < started; i++) pthread_join(k[i].thread, NULL);
    struct bench_samples all;
    double   wall = bench_now() - begun, cpu = bench_cpu() - cpu_begun;
    enum err e = started < n ? fail(&b->v->call, ERR_BUSY, "cannot start %d threads", n) : OK;
    bench_samples_init(&all, BENCH_SAMPLES);
    for (int i = 0; i < started; i++) {
        if (k[i].e && !e) e = fail(&b->v->call, k[i].e, "%s %s: %.200s", row->group, row->name, k[i].words);
        for (int m = 0; m < k[i].s.n; m++) bench_samples_add(&all, k[i].s.ms[m]);
        if (k[i].s.wall_s > all.wall_s) all.wall_s = k[i].s.wall_s;
        bench_samples_dispose(&k[i].s);
    }
    /* CPU time was counted over the warm-up too. */
    all.cpu_s = wall > 0 ? cpu * all.wall_s / wall : 0;
    if (!e) bench_put(b, row, &all);
    bench_samples_dispose(&all);
    free(k);
    return e;
}
