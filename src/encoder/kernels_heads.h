/* encoder/kernels_heads.h — what the attentions of AVX-512 and AMX have in common: keys as pairs of dimensions by key and
 * values as pairs of keys by dimension, because their dot-product instructions take 16-bit numbers two at a time, and powers
 * of two for softmax. Only kernels_bf16.c and kernels_int16.c include it. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_HEADS_H
#define CHIRON_ENCODER_KERNELS_HEADS_H
#include "encoder/kernels.h"

#include <immintrin.h>

#define HEADS static inline __attribute__((always_inline, target("avx512f,avx512bw,avx512vl,avx512dq")))
enum { LANES = 16, QUERIES = 12 };

/* Where one head's work lies. padded: len up to a multiple of 32. */
struct head {
    const uint16_t *q, *k, *v;    /* row 0 of this head in qkv */
    size_t          stride;       /* between rows of qkv, in elements */
    int             len, padded, dim;
    int             wanted;       /* queries, from the first */
    uint32_t       *keys;         /* dim/2 × padded: pairs of dimensions */
    uint32_t       *values;       /* padded/2 × dim: pairs of keys */
    float          *scores;       /* 16 × KERNELS_SCORES */
    uint16_t       *weights;      /* 16 × KERNELS_WEIGHTS */
};

/* 16 rows of 16 dwords, transposed in registers. */
HEADS void transpose(__m512i r[16])
{
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
        r[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

HEADS void pack_keys(const struct head *h)
{
    for (int j = 0; j < h->padded; j += LANES)
        for (int d = 0; d < h->dim; d += 32) {
            __m512i r[16];
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++)
                r[i] = j + i < h->len ? _mm512_loadu_si512(h->k + (size_t)(j + i) * h->stride + d) : _mm512_setzero_si512();
            transpose(r);
#pragma GCC unroll 16
            for (int i = 0; i < LANES; i++) _mm512_storeu_si512(h->keys + (size_t)(d / 2 + i) * (size_t)h->padded + j, r[i]);
        }
}

HEADS void pack_values(const struct head *h)
{
    /* Interleaves two rows of 32 values: the permutations take words from the first row and, +32, from the second. */
    uint16_t low[32], high[32];
    for (int i = 0; i < 16; i++) {
        low[2 * i] = (uint16_t)i;
        low[2 * i + 1] = (uint16_t)(i + 32);
        high[2 * i] = (uint16_t)(i + 16);
        high[2 * i + 1] = (uint16_t)(i + 48);
    }
    const __m512i first = _mm512_loadu_si512(low), second = _mm512_loadu_si512(high);
    for (int j = 0; j < h->padded; j += 2)
        for (int d = 0; d < h->dim; d += 32) {
            const uint16_t *row = h->v + (size_t)j * h->stride + d;
            uint32_t       *to = h->values + (size_t)(j / 2) * (size_t)h->dim + d;
            __m512i         a = j < h->len ? _mm512_loadu_si512(row) : _mm512_setzero_si512();
            __m512i         b = j + 1 < h->len ? _mm512_loadu_si512(row + h->stride) : _mm512_setzero_si512();
            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(a, first, b));
            _mm512_storeu_si512(to + LANES, _mm512_permutex2var_epi16(a, second, b));
        }
}

/* 2^x for x ≤ 0, relative error 8e-5. */
HEADS __m512 exp2_of(__m512 x)
{
    __m512 n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC), f = _mm512_sub_ps(x, n);
    __m512 p = _mm512_fmadd_ps(f, _mm512_set1_ps(0.0551715843f), _mm512_set1_ps(0.242611116f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.693261001f));
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(0.999928074f));
    return _mm512_scalef_ps(p, n);
}
#endif
