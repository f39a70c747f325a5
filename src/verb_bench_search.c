/* Search over a made-up collection of a stated size: the scan of vectors alone, with how often its best ten are those of exact
 * arithmetic, and the product's own search on a creator that holds as many passages. Their words and vectors are made up
 * (knowledge/sample.h), as a million texts cannot be embedded in the time of a measurement; questions go through the encoder. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "encoder/encoder.h"
#include "knowledge/knowledge.h"
#include "knowledge/sample.h"
#include "store/store.h"
#include "store/vectors.h"
#include "verb_bench.h"

enum { DIM = 384, BLOCK = 1000, EXACT = 50, BEST = 10, LEG = 50, QUESTIONS = 1000, QUESTION_WORDS = 5 };

struct scan {
    struct vectors *v;
    uint32_t        count;
    float          *questions;    /* QUESTIONS × DIM */
};

/* A question is near to one row, as real ones are. */
static void question_vector(uint64_t i, uint32_t count, float *q)
{
    float near[DIM];
    bench_vectors((1ull << 40) + i, 1, DIM, q);
    bench_vectors(i * 7919 % count, 1, DIM, near);
    double sum = 0;
    for (int k = 0; k < DIM; k++) {
        q[k] = 0.6f * q[k] + near[k];
        sum += (double)q[k] * q[k];
    }
    for (int k = 0; k < DIM; k++) q[k] *= (float)(1 / sqrt(sum));
}

static enum err scan_one(struct call *c, int i, void *arg)
{
    const struct scan *s = arg;
    struct vector_hit  hits[LEG];
    (void)c;
    vectors_scan(s->v, s->questions + (size_t)(i % QUESTIONS) * DIM, s->count, NULL, LEG, hits);
    return OK;
}

/* Share of the exact best ten that the scan's best ten hold. */
static double recall(const struct scan *s)
{
    int    found = 0;
    float *best = malloc(sizeof *best * BEST);
    if (!best) abort();
    for (uint64_t i = 0; i < EXACT; i++) {
        struct vector_hit hits[BEST];
        const float      *q = s->questions + i * DIM;
        uint32_t          top[BEST];
        int               held = 0;
        for (uint32_t row = 0; row < s->count; row++) {
            float x = vectors_cosine(vectors_row(s->v, row), q, DIM);
            if (held == BEST && x <= best[BEST - 1]) continue;
            int at = held < BEST ? held++ : BEST - 1;
            for (; at > 0 && best[at - 1] < x; at--) {
                best[at] = best[at - 1];
                top[at] = top[at - 1];
            }
            best[at] = x;
            top[at] = row;
        }
        int n = vectors_scan(s->v, q, s->count, NULL, BEST, hits);
        for (int k = 0; k < n; k++)
            for (int m = 0; m < held; m++) found += hits[k].slot == top[m];
    }
    free(best);
    return (double)found / (EXACT * BEST);
}

enum err bench_scan(struct bench *b)
{
    if (!bench_wants(b, "scan")) return OK;
    struct scan s = { .v = vectors_new(DIM), .count = (uint32_t)b->rows };
    float      *block = malloc(sizeof *block * BLOCK * DIM);
    s.questions = malloc(sizeof *s.questions * QUESTIONS * DIM);
    if (!block || !s.questions) abort();
    for (uint64_t i = 0; i < QUESTIONS; i++) question_vector(i, s.count, s.questions + i * DIM);
    enum err e = OK;
    for (int64_t from = 0; from < b->rows && !e; from += BLOCK) {
        int n = (int)(b->rows - from < BLOCK ? b->rows - from : BLOCK);
        bench_vectors((uint64_t)from, n, DIM, block);
        for (int i = 0; i < n; i++) vectors_add(s.v, block + (size_t)i * DIM);
        e = call_check(&b->v->call);
    }
    free(block);
    struct bench_row row = { .group = "search", .name = "scan", .threads = 1, .rows = b->rows, .per = "queries", .things = 1,
                             /* What has to be read at least: the upper half of each number. */
                             .work = (double)b->rows * (double)vectors_stride(DIM), .limit = b->limit_1, .extra_name = "recall_at_10" };
    if (!e) row.extra = recall(&s);
    if (!e) e = bench_measure(b, &row, scan_one, &s, NULL);
    vectors_free(s.v);
    free(s.questions);
    return e;
}

/* ---- the product's search ---- */

struct ask { enum search_mode mode; struct sample made; uint64_t seed; };

/* Five words that some passages have, as content words are, and different ones in every call. */
static enum err search_one(struct call *c, int i, void *arg)
{
    const struct ask  *a = arg;
    struct passage    *p = NULL;
    struct search_info info;
    int                n = 0;
    const char        *q = sample_question(c, &a->made, (int64_t)(a->seed + (uint64_t)i), QUESTION_WORDS, true);
    return search_text(c, q, &(struct search_opts){ .mode = a->mode, .k = BEST }, &p, &n, &info);
}

static double resident_mib(void)
{
    long  pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f && fscanf(f, "%*d %ld", &pages) != 1) pages = 0;
    if (f) fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

enum err bench_search(struct bench *b)
{
    static const struct { const char *name; enum search_mode mode; } modes[] = {
        { "semantic", SEARCH_SEMANTIC }, { "keyword", SEARCH_KEYWORD }, { "hybrid", SEARCH_HYBRID },
    };
    if (encoder_dim(encoder_default()) != DIM)
        return fail(&b->v->call, ERR_INVALID, "search rows are made for %d dimensions, %s has %d", DIM,
                    encoder_name(encoder_default()), encoder_dim(encoder_default()));
    struct call  *c = &b->v->call;
    bool          wanted = false;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) wanted = wanted || bench_wants(b, modes[i].name);
    if (!wanted) return OK;
    struct sample made = { .chunks = b->rows, .model = encoder_name(encoder_default()), .dim = DIM, .seed = 7 };
    bool          created = false;
    double        from = bench_now();
    enum err      e = tenant_create(c, "sample", "sample", &created);
    if (!e) e = tenant_open(c, "sample");
    if (!e) e = sample_fill(c, &made);
    tenant_release(c);
    if (!e) bench_note(b, "search", "%lld passages written in %.1f s", (long long)b->rows, bench_now() - from);
    for (size_t i = 0; i < sizeof modes / sizeof *modes && !e; i++) {
        if (!bench_wants(b, modes[i].name)) continue;
        /* Other questions in each row: the vectors of the row before are still kept. */
        struct ask       a = { modes[i].mode, made, b->seed + ((uint64_t)i << 32) };
        struct bench_row row = { .group = "search", .name = modes[i].name, .rows = b->rows, .clients = 1, .per = "queries", .things = 1,
                                 .precision = encoder_precision_used(encoder_default()), .extra = resident_mib(),
                                 .extra_name = "resident_mib", .ids = modes[i].mode == SEARCH_HYBRID ? "RAG-032" : NULL };
        e = bench_measure(b, &row, search_one, &a, "sample");
    }
    return e;
}
