/* store/vectors_memory.c — exact vector search in memory: int8 rows for the scan, the f32 rows for the final order.
 * There is no index to build, so adding is an append and leaving out is a bit. Blocks double in size and never move,
 * which is what lets readers go on while the writer appends; untouched pages of a block cost no memory.
 * It refuses to know users, texts or models: those are the caller's bits and the caller's separate sets. */
/* SPDX-License-Identifier: MIT */
#include "store/vectors.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROWS 256u
#define BLOCKS     23      /* 256 << 22 rows = 2^30 */
#define DIM_MAX    8192
#define RUN        64      /* rows per kernel call: one word of bits */
#define SCAN_K_MAX 1024

struct block {
    uint8_t *bytes;        /* rows × stride, each value + 128 */
    float   *scale;        /* rows; value = scale · byte */
    float   *full;         /* rows × dim */
};
struct vectors {
    int               dim;
    size_t            stride;
    uint32_t          count;
    vectors_kernel_fn dot;
    struct block      blocks[BLOCKS];
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

static void *claim(size_t n)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, (n + 63) & ~(size_t)63)) abort();
    return p;
}

struct vectors *vectors_new(int dim)
{
    assert(dim > 0 && dim <= DIM_MAX);
    struct vectors *v = calloc(1, sizeof *v);
    if (!v) abort();
    v->dim = dim;
    v->stride = ((size_t)dim + 63) & ~(size_t)63;
    v->dot = vectors_kernel(NULL);
    return v;
}

void vectors_free(struct vectors *v)
{
    if (!v) return;
    for (int b = 0; b < BLOCKS; b++) {
        free(v->blocks[b].bytes);
        free(v->blocks[b].scale);
        free(v->blocks[b].full);
    }
    free(v);
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
    return sizeof *v + (size_t)v->count * (v->stride + sizeof(float) * ((size_t)v->dim + 1));
}

/* Symmetric: the largest value becomes ±127. A row of zeros, or one that is not a number, scores 0 everywhere. */
static float quantise(const float *x, int dim, int8_t *out)
{
    float most = 0;
    for (int i = 0; i < dim; i++) most = fmaxf(most, fabsf(x[i]));
    if (!(most > 0) || !isfinite(most)) {
        memset(out, 0, (size_t)dim);
        return 0;
    }
    float by = 127.0f / most;
    for (int i = 0; i < dim; i++) {
        float y = x[i] * by;
        out[i] = (int8_t)(isnan(y) ? 0 : lrintf(y));
    }
    return most / 127.0f;
}

uint32_t vectors_add(struct vectors *v, const float *unit)
{
    uint32_t at, slot = v->count;
    int b = block_of(slot, &at);
    if (b >= BLOCKS) abort();
    struct block *k = &v->blocks[b];
    if (!k->bytes) {
        size_t rows = block_rows(b);
        k->full = claim(rows * (size_t)v->dim * sizeof(float));
        k->scale = claim(rows * sizeof(float));
        k->bytes = claim(rows * v->stride);
    }
    int8_t q[DIM_MAX];
    k->scale[at] = quantise(unit, v->dim, q);
    uint8_t *row = k->bytes + (size_t)at * v->stride;
    for (int i = 0; i < v->dim; i++) row[i] = (uint8_t)(q[i] + 128);
    memset(row + v->dim, 128, v->stride - (size_t)v->dim);
    memcpy(k->full + (size_t)at * (size_t)v->dim, unit, (size_t)v->dim * sizeof(float));
    v->count = slot + 1;
    return slot;
}

const float *vectors_row(const struct vectors *v, uint32_t slot)
{
    uint32_t at;
    int b = block_of(slot, &at);
    return v->blocks[b].full + (size_t)at * (size_t)v->dim;
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
    int32_t offset;        /* 128 · Σ q, what the rows' +128 adds */
    struct best best;
};

/* One word of slots, all in one block: run lengths of 64 for the dense case, single rows where few bits are set. */
static void scan_word(struct scan *s, const struct block *k, uint32_t at, uint32_t first_slot, uint64_t bits)
{
    int32_t dots[RUN];
    size_t stride = s->v->stride;
    if (__builtin_popcountll(bits) > RUN / 4) {
        int n = RUN - __builtin_clzll(bits);
        s->v->dot(k->bytes + (size_t)at * stride, stride, n, s->q, dots);
    } else {
        for (uint64_t w = bits; w; w &= w - 1) {
            int i = __builtin_ctzll(w);
            s->v->dot(k->bytes + (size_t)(at + (uint32_t)i) * stride, stride, 1, s->q, &dots[i]);
        }
    }
    for (uint64_t w = bits; w; w &= w - 1) {
        int i = __builtin_ctzll(w);
        float score = k->scale[at + (uint32_t)i] * (float)(dots[i] - s->offset);
        if (s->best.n < s->best.max || score > s->best.at[0].cosine) offer(&s->best, first_slot + (uint32_t)i, score);
    }
}

int vectors_scan(const struct vectors *v, const float *q, uint32_t count, const uint64_t *allowed, int k,
                 struct vector_hit *out)
{
    assert(k > 0 && k <= SCAN_K_MAX);
    int8_t small[DIM_MAX] __attribute__((aligned(64)));
    struct vector_hit heap[2 * SCAN_K_MAX + 32];
    struct scan s = { .v = v, .q = small, .best = { heap, 0, 2 * k + 32 } };
    quantise(q, v->dim, small);
    memset(small + v->dim, 0, v->stride - (size_t)v->dim);
    for (int i = 0; i < v->dim; i++) s.offset += small[i];
    s.offset *= 128;
    for (uint32_t slot = 0; slot < count; slot += RUN) {
        uint64_t bits = allowed ? allowed[slot / RUN] : ~(uint64_t)0;
        if (count - slot < RUN) bits &= ((uint64_t)1 << (count - slot)) - 1;
        if (!bits) continue;
        uint32_t at;
        int b = block_of(slot, &at);
        scan_word(&s, &v->blocks[b], at, slot, bits);
    }
    for (int i = 0; i < s.best.n; i++) heap[i].cosine = vectors_cosine(q, vectors_row(v, heap[i].slot), v->dim);
    qsort(heap, (size_t)s.best.n, sizeof heap[0], by_score);
    int n = s.best.n < k ? s.best.n : k;
    memcpy(out, heap, (size_t)n * sizeof *out);
    return n;
}
