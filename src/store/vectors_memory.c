/* store/vectors_memory.c — exact vector search: a scan over the upper halves of int8 rows decides which rows are worth
 * their lower halves, and f32 rows give the final order. The scan is bound by memory, so what it reads is what it costs.
 * There is no index to build, so adding is an append and leaving out is a bit. Blocks double in size and never move,
 * which is what lets readers go on while the writer appends; untouched pages of a block cost no memory. Rows that stand
 * in a file are a first block that somebody else maps. It refuses to know users, texts or models: those are the caller's
 * bits and the caller's separate sets. */
/* SPDX-License-Identifier: MIT */
#include "store/vectors.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define FIRST_ROWS 256u
#define BLOCKS     23      /* 256 << 22 rows = 2^30 */
#define DIM_MAX    8192
#define RUN        64      /* rows per kernel call: one word of bits */
#define SCAN_K_MAX 1024
#define HUGE_BYTES ((size_t)2 << 20)
#define ROUNDER    12582912.0f /* 1.5 · 2^23 */
#define ROUNDER_BITS 0x4b400000
#define SAMPLE     32      /* one run in so many says beforehand about how good the best are */
#define SAMPLED    16384u  /* in sets of at least so many rows */
#define LIKELY     24      /* rows whose lower bits are waited for together */
#define LOW_MIDDLE 7.5f    /* of what the lower four bits may be */

struct vectors {
    int                 dim;
    size_t              stride;
    uint32_t            count, based;     /* based: of them in base */
    const struct vectors_kernel *kernel;
    struct vectors_part base;
    struct vectors_part blocks[BLOCKS];   /* ours to write and free */
};

/* Block 0 holds the first 256 rows, block b as many as all before it together. */
static int block_of(uint32_t slot, uint32_t *in_block)
{
    if (slot < FIRST_ROWS) {
        *in_block = slot;
        return 0;
    }
    int b = 32 - __builtin_clz(slot / FIRST_ROWS);
    *in_block = slot - (FIRST_ROWS << (b - 1));
    return b;
}

static uint32_t block_rows(int b)
{
    return b == 0 ? FIRST_ROWS : FIRST_ROWS << (b - 1);
}

static const struct vectors_part *part_of(const struct vectors *v, uint32_t slot, uint32_t *at)
{
    if (slot >= v->based) return &v->blocks[block_of(slot - v->based, at)];
    *at = slot;
    return &v->base;
}

static void *claim(size_t n)
{
    void *p = NULL;
    bool big = n >= 2 * HUGE_BYTES;
    if (posix_memalign(&p, big ? HUGE_BYTES : 64, (n + 63) & ~(size_t)63)) abort();
    if (big) madvise(p, n, MADV_HUGEPAGE);
    return p;
}

size_t vectors_stride(int dim)
{
    return ((size_t)dim + 127) / 128 * 64;
}

struct vectors *vectors_new(int dim)
{
    assert(dim > 0 && dim <= DIM_MAX);
    struct vectors *v = calloc(1, sizeof *v);
    if (!v) abort();
    v->dim = dim;
    v->stride = vectors_stride(dim);
    v->kernel = vectors_kernel();
    return v;
}

struct vectors *vectors_over(int dim, const struct vectors_part *part, uint32_t rows)
{
    assert(rows % RUN == 0);
    struct vectors *v = vectors_new(dim);
    v->base = *part;
    v->based = v->count = rows;
    return v;
}

void vectors_free(struct vectors *v)
{
    if (!v) return;
    for (int b = 0; b < BLOCKS; b++) {
        const struct vectors_part *p = &v->blocks[b];
        const void *all[] = { p->high, p->low, p->scale, p->slack, p->full };
        for (int i = 0; i < 5; i++) free((void *)(uintptr_t)all[i]);
    }
    free(v);
}

void vectors_use_kernel(struct vectors *v, const struct vectors_kernel *k)
{
    v->kernel = k;
}

int vectors_dim(const struct vectors *v)
{
    return v->dim;
}

uint32_t vectors_count(const struct vectors *v)
{
    return v->count;
}

size_t vectors_bytes(const struct vectors *v)
{
    return sizeof *v + (size_t)v->count * (2 * v->stride + 2 * sizeof(float)) +
           (size_t)(v->count - v->based) * (size_t)v->dim * sizeof(float);
}

uint32_t vectors_parts(const struct vectors *v, uint32_t slot, struct vectors_part *out)
{
    uint32_t at, rows;
    const struct vectors_part *p = part_of(v, slot, &at);
    if (slot < v->based) rows = v->based;
    else rows = block_rows(block_of(slot - v->based, &at));
    *out = (struct vectors_part){ p->high + at * v->stride, p->low + at * v->stride, p->scale + at, p->slack + at,
                                  p->full + at * (size_t)v->dim };
    return rows - at;
}

/* Symmetric: the largest value becomes ±127. A row of zeros, or one that is not a number, scores 0 everywhere. */
static float quantise(const float *x, int dim, int8_t *out)
{
    float most = 0;
    for (int i = 0; i < dim; i++) {
        float y = fabsf(x[i]);
        most = y > most ? y : most;
    }
    if (!(most > 0) || !isfinite(most)) {
        memset(out, 0, (size_t)dim);
        return 0;
    }
    float by = 127.0f / most;
    for (int i = 0; i < dim; i++) {
        /* The sum's last bits are the rounded value; unlike lrintf this is no call. */
        float y = x[i] == x[i] ? x[i] * by + ROUNDER : ROUNDER;
        int32_t bits;
        memcpy(&bits, &y, sizeof bits);
        out[i] = (int8_t)(bits - ROUNDER_BITS);
    }
    return most / 127.0f;
}

/* What the upper bits leave out has a length, and so a most that it can add to an inner product. It seldom adds more than
 * chance would have it, four times the deviation of a random direction, and what it has in common with the row itself. */
static float slack_of(const struct vectors *v, const int8_t *q, float scale)
{
    float sum = 0;
    for (int i = 0; i < v->dim; i++) {
        float left = (float)((q[i] + 128) & 15) - LOW_MIDDLE;
        sum += left * left;
    }
    float r = scale * sqrtf(sum), likely = r * (r + 4 / sqrtf((float)v->dim));
    return likely < r ? likely : r;
}

uint32_t vectors_add(struct vectors *v, const float *unit)
{
    uint32_t at, slot = v->count;
    int b = block_of(slot - v->based, &at);
    if (b >= BLOCKS) abort();
    struct vectors_part *k = &v->blocks[b];
    size_t dim = (size_t)v->dim;
    if (!k->high) {
        size_t rows = block_rows(b);
        *k = (struct vectors_part){ claim(rows * v->stride), claim(rows * v->stride), claim(rows * sizeof(float)),
                                    claim(rows * sizeof(float)), claim(rows * dim * sizeof(float)) };
    }
    int8_t q[DIM_MAX + 128];
    float scale = quantise(unit, v->dim, q);
    memset(q + dim, 0, 2 * v->stride - dim);
    /* The blocks are ours; readers look at rows below their count alone. */
    uint8_t *high = (uint8_t *)(uintptr_t)k->high + at * v->stride, *low = (uint8_t *)(uintptr_t)k->low + at * v->stride;
    for (size_t g = 0; g < v->stride; g += 64)
        for (size_t j = 0; j < 64; j++) {
            unsigned x = (unsigned)(q[2 * g + j] + 128), y = (unsigned)(q[2 * g + 64 + j] + 128);
            high[g + j] = (uint8_t)(x >> 4 | (y & 0xf0));
            low[g + j] = (uint8_t)((x & 15) | (y & 15) << 4);
        }
    ((float *)(uintptr_t)k->scale)[at] = scale;
    ((float *)(uintptr_t)k->slack)[at] = slack_of(v, q, scale);
    memcpy((float *)(uintptr_t)k->full + at * dim, unit, dim * sizeof(float));
    v->count = slot + 1;
    return slot;
}

const float *vectors_row(const struct vectors *v, uint32_t slot)
{
    uint32_t at;
    const struct vectors_part *p = part_of(v, slot, &at);
    return p->full + (size_t)at * (size_t)v->dim;
}

float vectors_cosine(const float *a, const float *b, int dim)
{
    /* Eight partial sums: the compiler may not reorder one, and the result does not depend on the processor's width. */
    float s[8] = { 0 };
    int i = 0;
    for (; i + 8 <= dim; i += 8)
        for (int j = 0; j < 8; j++) s[j] += a[i + j] * b[i + j];
    for (; i < dim; i++) s[0] += a[i] * b[i];
    return ((s[0] + s[4]) + (s[1] + s[5])) + ((s[2] + s[6]) + (s[3] + s[7]));
}

/* The m best so far as a heap with the worst on top. */
struct best {
    struct vector_hit *at;
    int n, max;
};

static int worse(const struct vector_hit *a, const struct vector_hit *b)
{
    return a->cosine != b->cosine ? a->cosine < b->cosine : a->slot > b->slot;
}

static void sink(struct best *h, int i)
{
    for (;;) {
        int w = i, l = 2 * i + 1;
        if (l < h->n && worse(&h->at[l], &h->at[w])) w = l;
        if (l + 1 < h->n && worse(&h->at[l + 1], &h->at[w])) w = l + 1;
        if (w == i) return;
        struct vector_hit t = h->at[i];
        h->at[i] = h->at[w];
        h->at[w] = t;
        i = w;
    }
}

static void offer(struct best *h, uint32_t slot, float score)
{
    struct vector_hit x = { slot, score };
    if (h->n < h->max) {
        int i = h->n++;
        h->at[i] = x;
        while (i > 0 && worse(&h->at[i], &h->at[(i - 1) / 2])) {
            struct vector_hit t = h->at[i];
            h->at[i] = h->at[(i - 1) / 2];
            h->at[(i - 1) / 2] = t;
            i = (i - 1) / 2;
        }
    } else if (worse(&h->at[0], &x)) {
        h->at[0] = x;
        sink(h, 0);
    }
}

static int by_score(const void *pa, const void *pb)
{
    const struct vector_hit *a = pa, *b = pb;
    if (a->cosine != b->cosine) return a->cosine > b->cosine ? -1 : 1;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

struct scan {
    const struct vectors *v;
    const int8_t *q;
    int32_t sum;           /* Σ q */
    float guess;           /* rows that score no more are not wanted, -INFINITY: all are */
    struct vectors_bar bar;
    struct best best;
    int waiting;
    struct likely {        /* a row whose lower bits have been asked for from memory */
        const uint8_t *low;
        float scale;
        int32_t high;
        uint32_t slot;
    } likely[LIKELY];
};

static void score_row(struct scan *s, const struct likely *x)
{
    int32_t low;
    s->v->kernel->dot(x->low, s->v->stride, 1, s->q, &low);
    float score = x->scale * (float)(16 * x->high + low - 128 * s->sum);
    uint32_t slot = x->slot;
    if (score <= s->guess || (s->best.n == s->best.max && score <= s->best.at[0].cosine)) return;
    offer(&s->best, slot, score);
    if (s->best.n == s->best.max) s->bar.score = s->best.at[0].cosine;
}

static void score_waiting(struct scan *s)
{
    for (int i = 0; i < s->waiting; i++) score_row(s, &s->likely[i]);
    s->waiting = 0;
}

/* One word of slots, all in one part: run lengths of 64 for the dense case, single rows where few bits are set. */
static void scan_word(struct scan *s, const struct vectors_part *p, uint32_t at, uint32_t first_slot, uint64_t bits)
{
    int32_t dots[RUN];
    const struct vectors_kernel *k = s->v->kernel;
    const uint8_t *rows = p->high + (size_t)at * s->v->stride;
    size_t stride = s->v->stride;
    if (__builtin_popcountll(bits) > RUN / 4) {
        int n = RUN - __builtin_clzll(bits);
        k->dot(rows, stride, n, s->q, dots);
        if (n == RUN) bits &= k->over(dots, p->scale + at, p->slack + at, &s->bar);
    } else {
        for (uint64_t w = bits; w; w &= w - 1) {
            int i = __builtin_ctzll(w);
            k->dot(rows + (size_t)i * stride, stride, 1, s->q, &dots[i]);
        }
    }
    /* The lower bits lie far apart: they come while the scan goes on. */
    for (uint64_t w = bits; w; w &= w - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(w);
        struct likely *x = &s->likely[s->waiting++];
        *x = (struct likely){ p->low + (size_t)(at + i) * stride, p->scale[at + i], dots[i], first_slot + i };
        for (size_t j = 0; j < stride; j += 64) __builtin_prefetch(x->low + j);
        if (s->waiting == LIKELY) score_waiting(s);
    }
}

static void scan_runs(struct scan *s, uint32_t count, const uint64_t *allowed, uint32_t every)
{
    for (uint32_t slot = 0; slot < count; slot += RUN * every) {
        uint64_t bits = allowed ? allowed[slot / RUN] : ~(uint64_t)0;
        if (count - slot < RUN) bits &= ((uint64_t)1 << (count - slot)) - 1;
        if (!bits) continue;
        uint32_t at;
        const struct vectors_part *p = part_of(s->v, slot, &at);
        scan_word(s, p, at, slot, bits);
    }
    score_waiting(s);
}

/* A score that more rows than are wanted will reach, by a sample; -INFINITY: begin from nothing. With it the first rows of
 * a scan are not all worth their lower bits. */
static float guess(const struct scan *s, uint32_t count, const uint64_t *allowed, struct vector_hit *room)
{
    if (count < SAMPLED) return -INFINITY;
    struct scan sample = *s;
    sample.guess = -INFINITY;
    sample.best = (struct best){ room, 0, s->best.max * 2 / SAMPLE + 4 };
    scan_runs(&sample, count, allowed, SAMPLE);
    return sample.best.n == sample.best.max ? sample.best.at[0].cosine : -INFINITY;
}

int vectors_scan(const struct vectors *v, const float *q, uint32_t count, const uint64_t *allowed, int k,
                 struct vector_hit *out)
{
    assert(k > 0 && k <= SCAN_K_MAX);
    int8_t small[DIM_MAX + 128] __attribute__((aligned(64)));
    struct vector_hit heap[SCAN_K_MAX * 3 / 2 + 16];
    struct scan s = { .v = v, .q = small, .best = { heap, 0, k + k / 2 + 16 } };
    float scale = quantise(q, v->dim, small);
    memset(small + v->dim, 0, 2 * v->stride - (size_t)v->dim);
    for (int i = 0; i < v->dim; i++) s.sum += small[i];
    s.bar = (struct vectors_bar){ (LOW_MIDDLE - 128) * (float)s.sum, scale > 0 ? 1 / scale : 0, -INFINITY };
    s.guess = guess(&s, count, allowed, heap);
    if (s.guess > -INFINITY) {
        s.bar.score = s.guess;
        scan_runs(&s, count, allowed, 1);
    }
    if (s.best.n < s.best.max) {
        s.best.n = 0;
        s.bar.score = s.guess = -INFINITY;
        scan_runs(&s, count, allowed, 1);
    }
    for (int i = 0; i < s.best.n; i++) __builtin_prefetch(vectors_row(v, heap[i].slot));
    for (int i = 0; i < s.best.n; i++) heap[i].cosine = vectors_cosine(q, vectors_row(v, heap[i].slot), v->dim);
    qsort(heap, (size_t)s.best.n, sizeof heap[0], by_score);
    int n = s.best.n < k ? s.best.n : k;
    memcpy(out, heap, (size_t)n * sizeof *out);
    return n;
}
