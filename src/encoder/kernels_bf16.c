/* SPDX-License-Identifier: MIT */
/* bf16 kernels for CPUs with AVX-512 BF16, and attention on AMX tiles where there are any. Both attentions read the
 * same packing: keys as pairs of dimensions by key, values as pairs of keys by dimension, because the dot-product
 * instructions of both take bf16 two at a time. Residuals, sums and softmax stay in f32; only what goes into the next
 * product is narrowed. There is no bf16 for other CPUs: emulating it would be slower than f32. */
#if defined __x86_64__
#include "encoder/kernels_heads.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define WIDE  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define TILED __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))
enum { TILE = 16 };

WIDE static inline void narrow(uint16_t *to, __m512 low, __m512 high)
{
    __m512bh both = _mm512_cvtne2ps_pbh(high, low);
    memcpy(to, &both, sizeof both);
}

/* Mean and variance in one pass: the sums are over at most a few thousand numbers around 1, where f32 loses nothing
 * that bf16 would show. */
WIDE static void layer_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                            void *act, int rows, int width)
{
    uint16_t *out = act;
    for (int r = 0; r < rows; r++, x += width, add += width, out += width) {
        __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, squares0 = sum0, squares1 = sum0;
        for (int i = 0; i < width; i += 2 * LANES) {
            __m512 a = _mm512_add_ps(_mm512_loadu_ps(add + i), _mm512_loadu_ps(bias + i));
            __m512 b = _mm512_add_ps(_mm512_loadu_ps(add + i + LANES), _mm512_loadu_ps(bias + i + LANES));
            a = _mm512_add_ps(a, _mm512_loadu_ps(x + i));
            b = _mm512_add_ps(b, _mm512_loadu_ps(x + i + LANES));
            _mm512_storeu_ps(x + i, a);
            _mm512_storeu_ps(x + i + LANES, b);
            sum0 = _mm512_add_ps(sum0, a);
            sum1 = _mm512_add_ps(sum1, b);
            squares0 = _mm512_fmadd_ps(a, a, squares0);
            squares1 = _mm512_fmadd_ps(b, b, squares1);
        }
        float  mean = _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1)) / (float)width;
        float  variance = _mm512_reduce_add_ps(_mm512_add_ps(squares0, squares1)) / (float)width - mean * mean;
        float  scale = 1 / sqrtf((variance > 0 ? variance : 0) + eps);
        __m512 by = _mm512_set1_ps(scale), from = _mm512_set1_ps(-mean * scale);
        for (int i = 0; i < width; i += 2 * LANES) {
            __m512 a = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), by, from);
            __m512 b = _mm512_fmadd_ps(_mm512_loadu_ps(x + i + LANES), by, from);
            a = _mm512_fmadd_ps(a, _mm512_loadu_ps(gain + i), _mm512_loadu_ps(shift + i));
            b = _mm512_fmadd_ps(b, _mm512_loadu_ps(gain + i + LANES), _mm512_loadu_ps(shift + i + LANES));
            _mm512_storeu_ps(x + i, a);
            _mm512_storeu_ps(x + i + LANES, b);
            narrow(out + i, a, b);
        }
    }
}

/* Φ(t) = ½ + t·P(u), u = 2t²/4.5² − 1, for |t| ≤ 4.5: a minimax fit with an error of 4e-5 in t·Φ(t), a hundredth of
 * what the narrowing costs. */
static const float phi[9] = { 0.15690212f,    -0.0771719664f, 0.0548185818f,   -0.0405556858f, 0.0276292935f,
                              -0.0167442672f, 0.0122087942f,  -0.00932836905f, 0.00335349725f };

WIDE static inline __m512 gelu_of(__m512 x)
{
    const __m512 end = _mm512_set1_ps(4.5f);
    __m512       t = _mm512_min_ps(_mm512_max_ps(x, _mm512_sub_ps(_mm512_setzero_ps(), end)), end);
    __m512       u = _mm512_fmadd_ps(_mm512_mul_ps(t, t), _mm512_set1_ps(2 / (4.5f * 4.5f)), _mm512_set1_ps(-1));
    __m512       p = _mm512_fmadd_ps(u, _mm512_set1_ps(phi[8]), _mm512_set1_ps(phi[7]));
#pragma GCC unroll 7
    for (int k = 6; k >= 0; k--) p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(phi[k]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(t, p, _mm512_set1_ps(0.5f)));
}

WIDE static void gelu(const float *in, const float *bias, void *act, int rows, int width)
{
    uint16_t *out = act;
    for (int r = 0; r < rows; r++, in += width, out += width)
        for (int i = 0; i < width; i += 2 * LANES) {
            __m512 a = _mm512_add_ps(_mm512_loadu_ps(in + i), _mm512_loadu_ps(bias + i));
            __m512 b = _mm512_add_ps(_mm512_loadu_ps(in + i + LANES), _mm512_loadu_ps(bias + i + LANES));
            narrow(out + i, gelu_of(a), gelu_of(b));
        }
}

/* ---- attention ---- */

/* Scores of one query into narrowed weights, padding 0. Returns 1 / the sum. */
WIDE static inline float soften(const float *scores, uint16_t *weights, int len, int padded)
{
    __m512 top = _mm512_set1_ps(-INFINITY), none = top, sum0 = _mm512_setzero_ps(), sum1 = sum0;
    int    whole = len / LANES * LANES;
    for (int i = 0; i < whole; i += LANES) top = _mm512_max_ps(top, _mm512_loadu_ps(scores + i));
    if (whole < len) {
        __mmask16 rest = (__mmask16)((1u << (len - whole)) - 1);
        top = _mm512_max_ps(top, _mm512_mask_loadu_ps(none, rest, scores + whole));
    }
    const __m512 max = _mm512_set1_ps(_mm512_reduce_max_ps(top));
    for (int i = 0; i < padded; i += 2 * LANES) {
        int       left = len - i;
        __mmask16 m0 = left >= LANES ? 0xffff : (__mmask16)((1u << left) - 1);
        __mmask16 m1 = left >= 2 * LANES ? 0xffff : left > LANES ? (__mmask16)((1u << (left - LANES)) - 1) : 0;
        __m512    a = exp2_of(_mm512_sub_ps(_mm512_mask_loadu_ps(none, m0, scores + i), max));
        __m512    b = exp2_of(_mm512_sub_ps(_mm512_mask_loadu_ps(none, m1, scores + i + LANES), max));
        a = _mm512_maskz_mov_ps(m0, a);
        b = _mm512_maskz_mov_ps(m1, b);
        sum0 = _mm512_add_ps(sum0, a);
        sum1 = _mm512_add_ps(sum1, b);
        narrow(weights + i, a, b);
    }
    return 1 / _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1));
}

WIDE static inline __m512bh pair_of(const void *p)
{
    int32_t both;
    memcpy(&both, p, sizeof both);
    return (__m512bh)_mm512_set1_epi32(both);
}

WIDE static void attention_avx512_head(const struct head *h, uint16_t *ctx, size_t width)
{
    for (int first = 0; first < h->wanted; first += QUERIES) {
        const uint16_t *rows[QUERIES];
        float           scale[QUERIES];
        for (int i = 0; i < QUERIES; i++) rows[i] = h->q + (size_t)(first + i < h->len ? first + i : h->len - 1) * h->stride;
        for (int j = 0; j < h->padded; j += 2 * LANES) {
            __m512 acc[QUERIES][2];
#pragma GCC unroll 12
            for (int i = 0; i < QUERIES; i++) acc[i][0] = acc[i][1] = _mm512_setzero_ps();
            for (int d = 0; d < h->dim / 2; d++) {
                const uint32_t *key = h->keys + (size_t)d * (size_t)h->padded + j;
                const __m512bh  k0 = (__m512bh)_mm512_loadu_si512(key), k1 = (__m512bh)_mm512_loadu_si512(key + LANES);
#pragma GCC unroll 12
                for (int i = 0; i < QUERIES; i++) {
                    const __m512bh q = pair_of(rows[i] + 2 * d);
                    acc[i][0] = _mm512_dpbf16_ps(acc[i][0], k0, q);
                    acc[i][1] = _mm512_dpbf16_ps(acc[i][1], k1, q);
                }
            }
#pragma GCC unroll 12
            for (int i = 0; i < QUERIES; i++) {
                _mm512_storeu_ps(h->scores + i * KERNELS_SCORES + j, acc[i][0]);
                _mm512_storeu_ps(h->scores + i * KERNELS_SCORES + j + LANES, acc[i][1]);
            }
        }
        for (int i = 0; i < QUERIES; i++)
            scale[i] = soften(h->scores + i * KERNELS_SCORES, h->weights + i * KERNELS_WEIGHTS, h->len, h->padded);
        for (int d = 0; d < h->dim; d += 2 * LANES) {
            __m512 acc[QUERIES][2];
#pragma GCC unroll 12
            for (int i = 0; i < QUERIES; i++) acc[i][0] = acc[i][1] = _mm512_setzero_ps();
            for (int j = 0; j < (h->len + 1) / 2; j++) {
                const uint32_t *value = h->values + (size_t)j * (size_t)h->dim + d;
                const __m512bh  v0 = (__m512bh)_mm512_loadu_si512(value), v1 = (__m512bh)_mm512_loadu_si512(value + LANES);
#pragma GCC unroll 12
                for (int i = 0; i < QUERIES; i++) {
                    const __m512bh w = pair_of(h->weights + i * KERNELS_WEIGHTS + 2 * j);
                    acc[i][0] = _mm512_dpbf16_ps(acc[i][0], v0, w);
                    acc[i][1] = _mm512_dpbf16_ps(acc[i][1], v1, w);
                }
            }
#pragma GCC unroll 12
            for (int i = 0; i < QUERIES; i++) {
                const __m512 s = _mm512_set1_ps(scale[i]);
                if (first + i < h->wanted)
                    narrow(ctx + (size_t)(first + i) * width + d, _mm512_mul_ps(acc[i][0], s), _mm512_mul_ps(acc[i][1], s));
            }
        }
    }
}

/* Tiles 0 and 1 take results, 2 the left side, 4 and 5 the right side. The tail reads up to 15 rows past the sequence:
 * they are other rows or the spare ones, and what comes of them is not stored. */
TILED static void attention_amx_head(const struct head *h, uint16_t *ctx, size_t width)
{
    const size_t row_bytes = h->stride * 2, key_bytes = (size_t)h->padded * 4, value_bytes = (size_t)h->dim * 4;
    for (int first = 0; first < h->wanted; first += TILE) {
        float scale[TILE];
        int   rows = h->wanted - first < TILE ? h->wanted - first : TILE;
        for (int j = 0; j < h->padded; j += 2 * TILE) {
            _tile_zero(0);
            _tile_zero(1);
            for (int d = 0; d < h->dim; d += 32) {
                const uint32_t *key = h->keys + (size_t)(d / 2) * (size_t)h->padded + j;
                _tile_loadd(2, h->q + (size_t)first * h->stride + d, row_bytes);
                _tile_loadd(4, key, key_bytes);
                _tile_loadd(5, key + TILE, key_bytes);
                _tile_dpbf16ps(0, 2, 4);
                _tile_dpbf16ps(1, 2, 5);
            }
            _tile_stored(0, h->scores + j, KERNELS_SCORES * 4);
            _tile_stored(1, h->scores + j + TILE, KERNELS_SCORES * 4);
        }
        for (int i = 0; i < rows; i++)
            scale[i] = soften(h->scores + i * KERNELS_SCORES, h->weights + i * KERNELS_WEIGHTS, h->len, h->padded);
        for (int d = 0; d < h->dim; d += 2 * TILE) {
            _tile_zero(0);
            _tile_zero(1);
            for (int j = 0; j < h->padded; j += 32) {
                const uint32_t *value = h->values + (size_t)(j / 2) * (size_t)h->dim + d;
                _tile_loadd(2, h->weights + j, KERNELS_WEIGHTS * 2);
                _tile_loadd(4, value, value_bytes);
                _tile_loadd(5, value + TILE, value_bytes);
                _tile_dpbf16ps(0, 2, 4);
                _tile_dpbf16ps(1, 2, 5);
            }
            float sums[TILE][2 * TILE] __attribute__((aligned(64)));
            _tile_stored(0, sums, sizeof sums[0]);
            _tile_stored(1, &sums[0][TILE], sizeof sums[0]);
            for (int i = 0; i < rows; i++) {
                const __m512 s = _mm512_set1_ps(scale[i]);
                narrow(ctx + (size_t)(first + i) * width + d, _mm512_mul_ps(_mm512_load_ps(sums[i]), s),
                       _mm512_mul_ps(_mm512_load_ps(sums[i] + TILE), s));
            }
        }
    }
}

struct tiles {
    uint8_t  palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t  rows[16];
};

/* Lays one head out in scratch and packs it. */
WIDE static struct head head_of(const uint16_t *qkv, int head, int len, int wanted, int heads, int dim, void *scratch)
{
    char       *at = scratch;
    size_t      hidden = (size_t)heads * (size_t)dim;
    struct head h = { .q = qkv + (size_t)head * (size_t)dim, .stride = 3 * hidden, .len = len, .dim = dim, .wanted = wanted };
    h.k = h.q + hidden;
    h.v = h.k + hidden;
    h.padded = (len + 31) / 32 * 32;
    h.keys = (uint32_t *)at;
    h.values = (uint32_t *)(at + LIMIT_TOKENS * KERNELS_HEAD_DIM_MAX * 2);
    h.scores = (float *)(at + 2 * LIMIT_TOKENS * KERNELS_HEAD_DIM_MAX * 2);
    h.weights = (uint16_t *)(h.scores + 16 * KERNELS_SCORES);
    pack_keys(&h);
    pack_values(&h);
    return h;
}

WIDE static void attention_avx512(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    for (int i = 0; i < heads; i++) {
        struct head h = head_of(qkv, i, len, wanted, heads, head_dim, scratch);
        attention_avx512_head(&h, (uint16_t *)ctx + (size_t)i * (size_t)head_dim, (size_t)heads * (size_t)head_dim);
    }
}

TILED static void attention_amx(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    struct tiles t = { .palette = 1 };
    for (int i = 0; i < 8; i++) {
        t.row_bytes[i] = 64;
        t.rows[i] = TILE;
    }
    _tile_loadconfig(&t);
    for (int i = 0; i < heads; i++) {
        struct head h = head_of(qkv, i, len, wanted, heads, head_dim, scratch);
        attention_amx_head(&h, (uint16_t *)ctx + (size_t)i * (size_t)head_dim, (size_t)heads * (size_t)head_dim);
    }
    _tile_release();
}

const struct kernels kernels_bf16_avx512 = { "avx512-bf16", FORM_BF16, layer_norm, gelu, attention_avx512 };
const struct kernels kernels_bf16_amx = { "amx-bf16", FORM_BF16, layer_norm, gelu, attention_amx };
#else
typedef int kernels_bf16_is_empty;
#endif
