/* SPDX-License-Identifier: MIT */
/* Attention in 16-bit integers on AVX-512 VNNI. Its products of pairs are twice as fast as f32's on every CPU that has them,
 * and four times as fast as bf16's on those that have those but do them slowly. A head's queries, keys and values get one
 * scale each, so fine that the 32-bit sums just hold: 13 bits for queries and keys of 32 dimensions, which is finer than bf16.
 * Weights of a query are 0..2^13, and their own sum divides what comes of them, so that rounding leaves them a mean. */
#if defined __x86_64__
#include "encoder/kernels_heads.h"

#include <math.h>
#include <string.h>

#define WIDE static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq")))
#define VNNI static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
#define SUM_MAX 2.1e9f           /* below 2^31 by more than all roundings together */
enum { WEIGHT_BITS = 13 };

WIDE __m512 read_16(const void *in, const bool bf16, size_t i)
{
    if (!bf16) return _mm512_loadu_ps((const float *)in + i);
    const __m256i half = _mm256_loadu_si256((const void *)((const uint16_t *)in + i));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

/* dim columns of len rows, `stride` apart, into dense rows of 16 bits; most: what the largest becomes. Returns its scale. */
WIDE float round_rows(const void *in, const bool bf16, size_t first, size_t stride, int len, const int dim, float most, uint16_t *to)
{
    __m512 high = _mm512_setzero_ps();
    for (size_t r = 0; r < (size_t)len; r++)
        for (int d = 0; d < dim; d += LANES) high = _mm512_max_ps(high, _mm512_abs_ps(read_16(in, bf16, first + r * stride + (size_t)d)));
    const float  top = _mm512_reduce_max_ps(high), by = top > 1e-30f ? most / top : 0;
    const __m512 times = _mm512_set1_ps(by);
    for (size_t r = 0; r < (size_t)len; r++, to += dim)
        for (int d = 0; d < dim; d += LANES) {
            const __m512 v = _mm512_mul_ps(read_16(in, bf16, first + r * stride + (size_t)d), times);
            _mm256_storeu_si256((void *)(to + d), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(v)));
        }
    return by > 0 ? top / most : 0;
}

/* 2^x for any x that gives a number, relative error 8e-5: the fraction is 0..1, and scalef floors by itself. */
WIDE __m512 power_of(__m512 x)
{
    const __m512 f = _mm512_reduce_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
    __m512       p = _mm512_fmadd_ps(f, _mm512_set1_ps(0.0780244028f), _mm512_set1_ps(0.226067326f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.695833481f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999925221f));
    return _mm512_scalef_ps(p, x);
}

WIDE __m512i weights_of(const int32_t *scores, __m512 unit, __m512 from)
{
    return _mm512_cvtps_epi32(power_of(_mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_loadu_si512(scores)), unit, from)));
}

WIDE __mmask16 first_of(int n) { return n >= LANES ? 0xffff : n > 0 ? (__mmask16)((1u << n) - 1) : 0; }

/* Scores of one query into weights, padding 0; unit: what a score of 1 is; low_words: takes the low words of two vectors of
 * dwords. Returns 1 / the sum of the weights. The largest weight is 2^13 but for roundings, and 1 more does no harm. */
WIDE float soften(const int32_t *scores, uint16_t *weights, int len, int padded, __m512 unit, __m512i low_words)
{
    const __m512i least = _mm512_set1_epi32(INT32_MIN);
    const int     pairs = len / (2 * LANES) * (2 * LANES);
    __m512i       top0 = least, top1 = least, sum0 = _mm512_setzero_si512(), sum1 = sum0;
    const __mmask16 m0 = first_of(len - pairs), m1 = first_of(len - pairs - LANES);
    for (int i = 0; i < pairs; i += 2 * LANES) {
        top0 = _mm512_max_epi32(top0, _mm512_loadu_si512(scores + i));
        top1 = _mm512_max_epi32(top1, _mm512_loadu_si512(scores + i + LANES));
    }
    if (pairs < padded) {
        top0 = _mm512_mask_max_epi32(top0, m0, top0, _mm512_loadu_si512(scores + pairs));
        top1 = _mm512_mask_max_epi32(top1, m1, top1, _mm512_loadu_si512(scores + pairs + LANES));
    }
    const float  top = (float)_mm512_reduce_max_epi32(_mm512_max_epi32(top0, top1));
    const __m512 from = _mm512_fnmadd_ps(_mm512_set1_ps(top), unit, _mm512_set1_ps(WEIGHT_BITS));
    for (int i = 0; i < pairs; i += 2 * LANES) {
        const __m512i a = weights_of(scores + i, unit, from), b = weights_of(scores + i + LANES, unit, from);
        sum0 = _mm512_add_epi32(sum0, a);
        sum1 = _mm512_add_epi32(sum1, b);
        _mm512_storeu_si512(weights + i, _mm512_permutex2var_epi16(a, low_words, b));
    }
    if (pairs < padded) {
        const __m512i a = _mm512_maskz_mov_epi32(m0, weights_of(scores + pairs, unit, from));
        const __m512i b = _mm512_maskz_mov_epi32(m1, weights_of(scores + pairs + LANES, unit, from));
        sum0 = _mm512_add_epi32(sum0, a);
        sum1 = _mm512_add_epi32(sum1, b);
        _mm512_storeu_si512(weights + pairs, _mm512_permutex2var_epi16(a, low_words, b));
    }
    return 1 / (float)_mm512_reduce_add_epi32(_mm512_add_epi32(sum0, sum1));
}

WIDE __m512i pair_of(const uint16_t *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return _mm512_set1_epi32(both);
}

WIDE void put(void *ctx, const bool bf16, size_t at, __m512 v)
{
    if (!bf16) {
        _mm512_storeu_ps((float *)ctx + at, v);
        return;
    }
    /* To nearest, ties to even; there is nothing here that is not finite. */
    const __m512i bits = _mm512_castps_si512(v), odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i near = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    _mm256_storeu_si256((void *)((uint16_t *)ctx + at), _mm512_cvtepi32_epi16(_mm512_srli_epi32(near, 16)));
}

/* Sums of 12 rows of pairs, `apart` apart, and 32 columns of pairs, `pitch` apart: out, rows of out_pitch. A function of its
 * own, so that all sums stay in registers. */
VNNI void dot(const uint16_t *left, const size_t apart, const uint32_t *right, size_t pitch, int pairs, int32_t *out, const size_t out_pitch)
{
    __m512i acc[QUERIES][2];
    /* gcc 12 that knows how often the loop runs keeps a second copy of all sums. */
    __asm__("" : "+r"(pairs));
#pragma GCC unroll 12
    for (int i = 0; i < QUERIES; i++) acc[i][0] = acc[i][1] = _mm512_setzero_si512();
#pragma GCC unroll 1
    for (int k = 0; k < pairs; k++, left += 2, right += pitch) {
        const __m512i r0 = _mm512_loadu_si512(right), r1 = _mm512_loadu_si512(right + LANES);
#pragma GCC unroll 12
        for (int i = 0; i < QUERIES; i++) {
            const __m512i l = pair_of(left + (size_t)i * apart);
            acc[i][0] = _mm512_dpwssd_epi32(acc[i][0], r0, l);
            acc[i][1] = _mm512_dpwssd_epi32(acc[i][1], r1, l);
        }
    }
#pragma GCC unroll 12
    for (int i = 0; i < QUERIES; i++) {
        _mm512_storeu_si512(out + (size_t)i * out_pitch, acc[i][0]);
        _mm512_storeu_si512(out + (size_t)i * out_pitch + LANES, acc[i][1]);
    }
}

#define ALONE __attribute__((noinline, target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
ALONE static void score_32(const uint16_t *q, const uint32_t *keys, size_t pitch, int pairs, int32_t *out)
{
    dot(q, 32, keys, pitch, pairs, out, KERNELS_SCORES);
}

ALONE static void score(const uint16_t *q, size_t dim, const uint32_t *keys, size_t pitch, int pairs, int32_t *out)
{
    dot(q, dim, keys, pitch, pairs, out, KERNELS_SCORES);
}

ALONE static void mix(const uint16_t *weights, const uint32_t *values, size_t pitch, int pairs, int32_t *out)
{
    dot(weights, KERNELS_WEIGHTS, values, pitch, pairs, out, 2 * LANES);
}

/* Queries past the last wanted read what lies behind, and what comes of them is not stored. */
VNNI void attend(const struct head *h, float unit, float value_unit, void *ctx, const bool bf16, size_t at, size_t width, const int dim)
{
    int32_t *const scores = (int32_t *)(void *)h->scores;
    int32_t        sums[QUERIES * 2 * LANES] __attribute__((aligned(64)));
    uint16_t       even[2 * LANES];
    for (int i = 0; i < 2 * LANES; i++) even[i] = (uint16_t)(2 * i);
    const __m512i low_words = _mm512_loadu_si512(even);
    for (int first = 0; first < h->wanted; first += QUERIES) {
        const uint16_t *q = h->q + (size_t)first * (size_t)dim;
        const int       live = h->wanted - first < QUERIES ? h->wanted - first : QUERIES;
        float           scale[QUERIES];
        for (int j = 0; j < h->padded; j += 2 * LANES) {
            if (dim == 32) score_32(q, h->keys + j, (size_t)h->padded, 16, scores + j);
            else score(q, (size_t)dim, h->keys + j, (size_t)h->padded, dim / 2, scores + j);
        }
        for (int i = 0; i < live; i++)
            scale[i] = value_unit * soften(scores + i * KERNELS_SCORES, h->weights + i * KERNELS_WEIGHTS, h->len, h->padded, _mm512_set1_ps(unit), low_words);
        for (int d = 0; d < dim; d += 2 * LANES) {
            mix(h->weights, h->values + d, (size_t)dim, (h->len + 1) / 2, sums);
            for (int i = 0; i < live; i++) {
                const __m512 s = _mm512_set1_ps(scale[i]);
                const size_t to = at + (size_t)(first + i) * width + (size_t)d;
                for (int n = 0; n < 2 * LANES; n += LANES)
                    put(ctx, bf16, to + (size_t)n, _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums + i * 2 * LANES + n)), s));
            }
        }
    }
}

VNNI void attention(const void *qkv, void *ctx, const bool bf16, int len, int wanted, int heads, const int dim, void *scratch)
{
    enum { PART = LIMIT_TOKENS * KERNELS_HEAD_DIM_MAX };
    uint16_t    *q = scratch, *k = q + PART, *v = k + PART;
    const size_t hidden = (size_t)heads * (size_t)dim, stride = 3 * hidden;
    const float  most = floorf(fminf(sqrtf(SUM_MAX / (float)dim), INT16_MAX));
    const float  value_most = floorf(fminf(SUM_MAX / ((float)len * (float)((1 << WEIGHT_BITS) + 1)), INT16_MAX));
    struct head  h = { .q = q, .k = k, .v = v, .stride = (size_t)dim, .len = len, .padded = (len + 31) / 32 * 32, .dim = dim, .wanted = wanted };
    h.keys = (uint32_t *)(void *)(v + PART);
    h.values = (uint32_t *)(void *)(v + 2 * PART);
    h.scores = (float *)(void *)(v + 3 * PART);
    h.weights = (uint16_t *)(void *)(h.scores + 16 * KERNELS_SCORES);
    for (int i = 0; i < heads; i++) {
        const size_t first = (size_t)i * (size_t)dim;
        const float  unit = round_rows(qkv, bf16, first, stride, wanted, dim, most, q)
                          * round_rows(qkv, bf16, first + hidden, stride, len, dim, most, k);
        const float  value_unit = round_rows(qkv, bf16, first + 2 * hidden, stride, len, dim, value_most, v);
        pack_keys(&h);
        pack_values(&h);
        attend(&h, unit, value_unit, ctx, bf16, first, hidden, dim);
    }
}

#define TABLE __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))
/* 32 dimensions, as most small models have, get code of their own: rows are then a known way apart. */
TABLE void kernels_int16_attention_f32(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    if (head_dim == 32) attention(qkv, ctx, false, len, wanted, heads, 32, scratch);
    else attention(qkv, ctx, false, len, wanted, heads, head_dim, scratch);
}

TABLE void kernels_int16_attention_bf16(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    if (head_dim == 32) attention(qkv, ctx, true, len, wanted, heads, 32, scratch);
    else attention(qkv, ctx, true, len, wanted, heads, head_dim, scratch);
}
#else
typedef int kernels_int16_is_empty;
#endif
