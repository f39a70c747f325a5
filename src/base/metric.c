/* base/metric.c — the one registry. A series is found without a lock in a hash table that only grows and is changed
 * with atomics, so counting costs a hash and an addition. What grows is bounded: a metric with more label sets than
 * LIMIT_METRIC_SERIES counts the rest under overflow="true". Undescribed names are bugs: they abort in sanitized builds
 * and are dropped otherwise, since a missing number must not end a conversation. */
/* SPDX-License-Identifier: MIT */
#include "base/metric.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"

enum { TABLE_ROWS = 4096, METRICS_MAX = 512, BUCKETS = 15 };

static const double bucket_top[BUCKETS] = { 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                            0.25,   0.5,   1,      2.5,   5,    10,    30 };

struct metric {
    const char *name, *help;
    char        kind;
    int         series;
};
struct series {
    const struct metric    *of;
    char                   *labels;
    uint64_t                hash;
    struct series          *_Atomic next;
    _Atomic double          value;   /* counter, gauge, or the sum of a histogram */
    _Atomic uint64_t        count;
    _Atomic uint64_t        bucket[BUCKETS];
};

static pthread_mutex_t       change = PTHREAD_MUTEX_INITIALIZER;
static struct metric         metrics[METRICS_MAX];
static atomic_int            metric_count;
static struct series *_Atomic table[TABLE_ROWS];
static pthread_once_t        once = PTHREAD_ONCE_INIT;

static const struct metric builtin[] = {
    { "chiron_http_requests_total", "Requests answered, by route and status.", 'c', 0 },
    { "chiron_http_request_seconds", "Time from the first byte of a request to the last of its reply.", 'h', 0 },
    { "chiron_http_connections", "Open connections.", 'g', 0 },
    { "chiron_http_queue", "Requests waiting for a worker.", 'g', 0 },
    { "chiron_jobs_total", "Jobs ended, by kind and state.", 'c', 0 },
    { "chiron_jobs_waiting", "Jobs queued in this process.", 'g', 0 },
    { "chiron_job_seconds", "Time a job ran, by kind.", 'h', 0 },
    { "chiron_sql_wait_seconds", "Time a writer waited for its database.", 'h', 0 },
    { "chiron_tenants_open", "Creator databases held open.", 'g', 0 },
    { "chiron_kv_entries", "Entries of the in-process key-value store.", 'g', 0 },
    { "chiron_kv_bytes", "Bytes of the in-process key-value store.", 'g', 0 },
    { "chiron_kv_evictions_total", "Entries dropped to stay within the bounds.", 'c', 0 },
    { "chiron_kv_counters", "Counters of limits that are running.", 'g', 0 },
    { "chiron_kv_counters_evicted_total", "Counters of limits dropped before their window was over.", 'c', 0 },
};

static struct metric *metric_find(const char *name)
{
    int n = atomic_load_explicit(&metric_count, memory_order_acquire);
    for (int i = 0; i < n; i++)
        if (!strcmp(metrics[i].name, name)) return &metrics[i];
    return NULL;
}

static void describe(const char *name, char kind, const char *help)
{
    pthread_mutex_lock(&change);
    int n = atomic_load(&metric_count);
    if (!metric_find(name) && n < METRICS_MAX) {
        metrics[n] = (struct metric){ name, help, kind, 0 };
        atomic_store_explicit(&metric_count, n + 1, memory_order_release);
    }
    pthread_mutex_unlock(&change);
}

static void describe_builtin(void)
{
    for (size_t i = 0; i < sizeof builtin / sizeof *builtin; i++)
        describe(builtin[i].name, builtin[i].kind, builtin[i].help);
}

void metric_describe(const char *name, char kind, const char *help)
{
    assert(kind == 'c' || kind == 'g' || kind == 'h');
    pthread_once(&once, describe_builtin);
    describe(name, kind, help);
}

static void undescribed(const char *name)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    fprintf(stderr, "metric: %s is not described\n", name);
    abort();
#else
    (void)name;
#endif
}

static uint64_t hash_of(const char *name, const char *labels)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a, 64 bits */
    for (; *name; name++) h = (h ^ (unsigned char)*name) * 1099511628211u;
    h = (h ^ '{') * 1099511628211u;
    for (; *labels; labels++) h = (h ^ (unsigned char)*labels) * 1099511628211u;
    return h;
}

static struct series *series_find(uint64_t hash, const char *name, const char *labels)
{
    struct series *s = atomic_load_explicit(&table[hash % TABLE_ROWS], memory_order_acquire);
    for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
        if (s->hash == hash && !strcmp(s->of->name, name) && !strcmp(s->labels, labels)) return s;
    return NULL;
}

static struct series *series_add(const char *name, const char *labels)
{
    pthread_once(&once, describe_builtin);
    struct metric *m = metric_find(name);
    if (!m) {
        undescribed(name);
        return NULL;
    }
    pthread_mutex_lock(&change);
    uint64_t hash = hash_of(name, labels);
    struct series *s = series_find(hash, name, labels);
    if (!s && m->series >= LIMIT_METRIC_SERIES) {
        labels = "overflow=\"true\"";
        hash = hash_of(name, labels);
        s = series_find(hash, name, labels);
    }
    if (!s) {
        s = calloc(1, sizeof *s);
        if (!s) abort();
        s->of = m;
        s->hash = hash;
        s->labels = strdup(labels);
        if (!s->labels) abort();
        m->series++;
        atomic_store_explicit(&s->next, atomic_load(&table[hash % TABLE_ROWS]), memory_order_relaxed);
        atomic_store_explicit(&table[hash % TABLE_ROWS], s, memory_order_release);
    }
    pthread_mutex_unlock(&change);
    return s;
}

static struct series *series_of(const char *name, const char *labels)
{
    if (!labels) labels = "";
    struct series *s = series_find(hash_of(name, labels), name, labels);
    return s ? s : series_add(name, labels);
}

static void add_to(_Atomic double *at, double n)
{
    double was = atomic_load_explicit(at, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(at, &was, was + n, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void metric_add(const char *name, const char *labels, double n)
{
    struct series *s = series_of(name, labels);
    if (s) add_to(&s->value, n);
}

void metric_set(const char *name, const char *labels, double v)
{
    struct series *s = series_of(name, labels);
    if (s) atomic_store_explicit(&s->value, v, memory_order_relaxed);
}

void metric_observe(const char *name, const char *labels, double seconds)
{
    struct series *s = series_of(name, labels);
    if (!s) return;
    int b = 0;
    while (b < BUCKETS && seconds > bucket_top[b]) b++;
    if (b < BUCKETS) atomic_fetch_add_explicit(&s->bucket[b], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->count, 1, memory_order_relaxed);
    add_to(&s->value, seconds);
}

double metric_read(const char *name, const char *labels)
{
    if (!labels) labels = "";
    struct series *s = series_find(hash_of(name, labels), name, labels);
    if (!s) return 0;
    return s->of->kind == 'h' ? (double)atomic_load(&s->count) : atomic_load(&s->value);
}

static void write_number(struct buf *out, double v)
{
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v) break;
    }
    buf_printf(out, "%s\n", text);
}

static void write_line(struct buf *out, const struct series *s, const char *suffix, const char *le, double v)
{
    buf_printf(out, "%s%s", s->of->name, suffix);
    if (s->labels[0] || le)
        buf_printf(out, "{%s%s%s%s%s}", s->labels, s->labels[0] && le ? "," : "", le ? "le=\"" : "", le ? le : "",
                   le ? "\"" : "");
    buf_addc(out, ' ');
    write_number(out, v);
}

static void write_histogram(struct buf *out, struct series *s)
{
    double sum = 0;
    for (int b = 0; b < BUCKETS; b++) {
        char le[24];
        snprintf(le, sizeof le, "%g", bucket_top[b]);
        sum += (double)atomic_load(&s->bucket[b]);
        write_line(out, s, "_bucket", le, sum);
    }
    double count = (double)atomic_load(&s->count);
    write_line(out, s, "_bucket", "+Inf", count > sum ? count : sum);
    write_line(out, s, "_sum", NULL, atomic_load(&s->value));
    write_line(out, s, "_count", NULL, count > sum ? count : sum);
}

static int by_labels(const void *a, const void *b)
{
    const struct series *const *x = a, *const *y = b;
    return strcmp((*x)->labels, (*y)->labels);
}

static void write_metric(struct buf *out, const struct metric *m, struct series **of, int n)
{
    const char *kind = m->kind == 'c' ? "counter" : m->kind == 'g' ? "gauge" : "histogram";
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kind);
    qsort(of, (size_t)n, sizeof *of, by_labels);
    for (int i = 0; i < n; i++) {
        if (m->kind == 'h')
            write_histogram(out, of[i]);
        else
            write_line(out, of[i], "", NULL, atomic_load(&of[i]->value));
    }
}

void metric_write(struct buf *out)
{
    pthread_once(&once, describe_builtin);
    struct series **of = calloc(LIMIT_METRIC_SERIES + 1, sizeof *of);
    if (!of) abort();
    int metric_total = atomic_load_explicit(&metric_count, memory_order_acquire);
    for (int m = 0; m < metric_total; m++) {
        int n = 0;
        for (int row = 0; row < TABLE_ROWS; row++) {
            struct series *s = atomic_load_explicit(&table[row], memory_order_acquire);
            for (; s; s = atomic_load_explicit(&s->next, memory_order_acquire))
                if (s->of == &metrics[m] && n <= LIMIT_METRIC_SERIES) of[n++] = s;
        }
        if (n) write_metric(out, &metrics[m], of, n);
    }
    free(of);
}
