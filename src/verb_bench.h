/* verb_bench.h — what the parts of `chiron bench` share. Each part runs in a child process of its own, so that settings,
 * threads, CPU time and memory of one do not reach into another, and hands its rows to the parent, a line of JSON each.
 *     static enum err call_it(struct call *c, int i, void *arg);
 *     struct bench_row row = { .group = "embed", .name = "query", .per = "queries", .clients = 1, .things = 1 };
 *     e = bench_measure(b, &row, call_it, NULL);                                                             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_VERB_BENCH_H
#define CHIRON_VERB_BENCH_H
#include <stdio.h>

#include "verbs.h"

enum { BENCH_THREADS = 16, BENCH_CLIENTS = 128, BENCH_SAMPLES = 400000 };

struct bench {                        /* one part at work, in its child */
    struct verb_env *v;
    FILE            *to;              /* the parent */
    const char      *dir;             /* an empty folder of this part's own */
    const char      *self;            /* this program */
    double           seconds;         /* per row */
    double           limit_1, limit_n;    /* the machine's operations per second in this form, 1 and `threads` threads; 0 not known */
    const char      *precision;       /* asked for */
    int              threads;         /* most that a row may use */
    int64_t          rows;            /* of the index */
    const char      *only;            /* names of rows with commas between, NULL all */
    const char      *url, *token;     /* of a server that is there, NULL: one of its own */
    int              clients;         /* 0: the rows' own numbers */
    int              pid;             /* of the server at url, for its CPU time and memory; 0 not known */
    uint64_t         seed;            /* other in every run: no earlier run's cache answers */
};

struct bench_row {
    const char *group, *name;         /* stable: together with the parameters below they name the row */
    const char *precision;            /* NULL: does not apply, as 0 in the numbers */
    int         threads, clients;
    int64_t     rows;
    const char *per;                  /* what is counted: "tokens", "queries", … */
    double      things;               /* of them in one call */
    double      work, limit;          /* operations a call and operations a second the machine can do: the row's share; 0 none */
    const char *ids;                  /* requirements it is the benchmark of, NULL none */
    double      extra;                /* one more figure, named extra_name */
    const char *extra_name;           /* NULL: none */
};

/* Durations of single calls in ms, in the order they ended. */
struct bench_samples {
    double *ms;
    int     n, cap;
    double  wall_s, cpu_s;            /* of the measured part; cpu of the whole process */
};
void   bench_samples_init(struct bench_samples *s, int cap);
void   bench_samples_dispose(struct bench_samples *s);
void   bench_samples_add(struct bench_samples *s, double ms);
double bench_now(void);               /* s, monotonic */
double bench_cpu(void);               /* s, of this process */
void   bench_put(struct bench *b, const struct bench_row *row, struct bench_samples *s);   /* sorts s */
void   bench_note(struct bench *b, const char *group, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool   bench_wants(const struct bench *b, const char *name);

typedef enum err (*bench_call)(struct call *c, int i, void *arg);
/* Warms up with a tenth of the time (at least one call), then calls one after another for b->seconds, at least five
 * times. i counts on over both. With clients > 1 that many threads do so at once, each with an i of its own. The calls get
 * the demo creator open when tenant is set. */
MUST_CHECK enum err bench_measure(struct bench *b, const struct bench_row *row, bench_call run, void *arg, const char *tenant);

/* ---- what is asked ---- */
enum { BENCH_CHUNKS = 200, BENCH_CHUNK_CHARS = 1000 };
/* Texts of 1,000 characters from the exercise library (else the handbook), the same in every run; in c->mem. */
MUST_CHECK enum err bench_chunks(struct call *c, const char *const **out, int *n_out);
/* The i-th question of about nine tokens; no two of the first 100,000 are the same. */
const char *bench_query(struct arena *mem, uint64_t i);
/* A question as people ask it, made different by a number. */
const char *bench_question(struct arena *mem, uint64_t i);
/* Texts and questions as JSON, for other programs to be measured with. */
MUST_CHECK enum err bench_inputs(struct bench *b);
/* n rows from `from` of a made-up collection of unit vectors in 4,096 clusters: the same numbers wherever they are made. */
void bench_vectors(uint64_t from, int n, int dim, float *out);

/* ---- parts ---- */
MUST_CHECK enum err bench_machine(struct bench *b);      /* facts; products and memory at their limits */
MUST_CHECK enum err bench_embed(struct bench *b);
MUST_CHECK enum err bench_rerank(struct bench *b);
MUST_CHECK enum err bench_search(struct bench *b);
MUST_CHECK enum err bench_scan(struct bench *b);
MUST_CHECK enum err bench_ingest(struct bench *b);
MUST_CHECK enum err bench_busy(struct bench *b);         /* questions while documents are read in */
MUST_CHECK enum err bench_tokens(struct bench *b);       /* checking and making credentials */
MUST_CHECK enum err bench_turn(struct bench *b);
MUST_CHECK enum err bench_http(struct bench *b);         /* opens what it needs itself */
MUST_CHECK enum err bench_tenants(struct bench *b);      /* a thousand creators; opens what it needs itself */
MUST_CHECK enum err bench_demo_load(struct call *c);     /* the demo's documents, from files to searchable */

/* ---- the load that http rows are measured with ---- */
struct bench_load {
    const char *host;                 /* "127.0.0.1" */
    int         port;
    const char *path, *token;         /* token NULL: none */
    const char *method;               /* NULL: POST; of a GET the body is left out */
    const char **tokens;              /* the i-th request has the i-th of them, round and round; NULL: token */
    int         token_count;
    int         clients;
    double      seconds, warm_s;
    /* The i-th request's JSON body into out. */
    void      (*body)(void *arg, uint64_t i, struct buf *out);
    void       *arg;
};
/* clients connections that are kept, each with one request at a time, from one thread. Latencies of those that ended inside
 * the measured time go to s; *bad_out: replies other than 200. ERR_IO: the server went away. */
MUST_CHECK enum err bench_load(struct call *c, const struct bench_load *l, struct bench_samples *s, int64_t *bad_out);
#endif
