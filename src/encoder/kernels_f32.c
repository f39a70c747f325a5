/* SPDX-License-Identifier: MIT */
/* f32 kernels, written once in the compiler's vector types and compiled for three kinds of CPU by inlining the same
 * body into functions with different targets; on ARM the first one is NEON. Vectors are passed by pointer because
 * their calling convention differs between targets. Speed comes from keeping a block of queries in registers, sized
 * per target by the last argument of the attention body. */
#include "encoder/kernels.h"

#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
enum { LANES = 16 };
typedef float   lanes_f __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t lanes_i __attribute__((vector_size(64), aligned(4), may_alias));

/* All bits where a < b. The sign of the difference, and not a comparison: gcc takes comparisons of vectors wider than the
 * target's apart into scalars. Neither may be NaN, nor their difference where the choice matters. */
INLINE void less(const lanes_f *a, const lanes_f *b, lanes_i *out) { *out = (lanes_i)(*a - *b) >> 31; }

INLINE float sum_of(const lanes_f *v)
{
    float s[4] = { 0 };
    for (int i = 0; i < LANES; i++) s[i % 4] += (*v)[i];
    return s[0] + s[1] + (s[2] + s[3]);
}

INLINE float max_of(const lanes_f *v)
{
    float m = (*v)[0];
    for (int i = 1; i < LANES; i++) m = (*v)[i] > m ? (*v)[i] : m;
    return m;
}

INLINE void layer_norm_body(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                            int rows, int width)
{
    for (int r = 0; r < rows; r++, x += width, add += width) {
        lanes_f sum = { 0 }, squares = { 0 };
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = *(const lanes_f *)(x + i) + *(const lanes_f *)(add + i) + *(const lanes_f *)(bias + i);
            *(lanes_f *)(x + i) = v;
            sum += v;
        }
        float mean = sum_of(&sum) / (float)width;
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = *(const lanes_f *)(x + i) - mean;
            squares += v * v;
        }
        float scale = 1 / sqrtf(sum_of(&squares) / (float)width + eps);
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = (*(const lanes_f *)(x + i) - mean) * scale;
            *(lanes_f *)(x + i) = v * *(const lanes_f *)(gain + i) + *(const lanes_f *)(shift + i);
        }
    }
}

/* Φ(t) = ½ + t·P(u), u = 2t²/25 − 1, for |t| ≤ 5, beyond it 0 or 1: a minimax fit with an error of 2e-6 in t·Φ(t). */
static const float phi[13] = { 0.141363785f,   -0.0702966526f, 0.0515214205f,   -0.0404329486f, 0.0314262249f,
                               -0.0233367439f, 0.0164976753f,  -0.0109731937f,  0.00616538292f, -0.00291572022f,
                               0.00200191559f, -0.00151413318f, 0.000492946128f };

INLINE void gelu_body(const float *in, const float *bias, float *act, int rows, int width)
{
    const lanes_f five = (lanes_f){ 0 } + 5.0f, minus = -five;
    for (int r = 0; r < rows; r++, in += width, act += width)
        for (int i = 0; i < width; i += LANES) {
            lanes_f x = *(const lanes_f *)(in + i) + *(const lanes_f *)(bias + i);
            lanes_i above, below;
            less(&five, &x, &above);
            less(&x, &minus, &below);
            lanes_f t = (lanes_f)((above & (lanes_i)five) | (below & (lanes_i)minus) | (~(above | below) & (lanes_i)x));
            lanes_f u = t * t * 0.08f - 1.0f, p = u * phi[12] + phi[11];
            for (int k = 10; k >= 0; k--) p = p * u + phi[k];
            *(lanes_f *)(act + i) = x * (t * p + 0.5f);
        }
}

/* 2^v for v ≤ 0, relative error 1e-7; below -126 it is 2^-126, which no sum of weights notices. */
INLINE void exp2_body(lanes_f *v)
{
    const lanes_f least = (lanes_f){ 0 } - 126.0f;
    const float   magic = 12582912.0f;    /* 1.5 × 2^23: adding it leaves the integer in the low bits */
    lanes_i       low;
    less(v, &least, &low);
    lanes_f       x = (lanes_f)((low & (lanes_i)least) | (~low & (lanes_i)*v));
    lanes_f       shifted = x + magic, f = x - (shifted - magic);
    lanes_i       n = (lanes_i)shifted - 0x4b400000;
    lanes_f       p = f * 0.00132764623f + 0.00967554126f;
    p = p * f + 0.055507133f;
    p = p * f + 0.240221197f;
    p = p * f + 0.693146967f;
    p = p * f + 1.00000007f;
    *v = (lanes_f)((lanes_i)p + (n << 23));
}

/* Weights of one row of len scores, padded to a whole number of vectors; padding becomes 0. Returns 1 / their sum. */
INLINE float soften_body(float *s, int len, int padded)
{
    for (int i = len; i < padded; i++) s[i] = -INFINITY;
    lanes_f top = *(const lanes_f *)s, sum = { 0 };
    for (int i = LANES; i < padded; i += LANES) {
        lanes_f v = *(const lanes_f *)(s + i);
        lanes_i more;
        less(&top, &v, &more);      /* -inf against itself is no number, and either choice is right */
        top = (lanes_f)((more & (lanes_i)v) | (~more & (lanes_i)top));
    }
    float max = max_of(&top);
    for (int i = 0; i < padded; i += LANES) {
        lanes_f v = *(const lanes_f *)(s + i) - max;
        exp2_body(&v);
        *(lanes_f *)(s + i) = v;
    }
    for (int i = len; i < padded; i++) s[i] = 0;
    for (int i = 0; i < padded; i += LANES) sum += *(const lanes_f *)(s + i);
    return 1 / sum_of(&sum);
}

/* queries: how many go together; wide: vectors of a head's dimensions that go together. Both are constants after
 * inlining, so that the accumulators stay in registers. */
INLINE void attention_body(const float *qkv, float *ctx, int len, int wanted, int heads, int head_dim, float *scratch,
                           const int queries, const int wide)
{
    const int    padded = (len + LANES - 1) / LANES * LANES;
    const size_t hidden = (size_t)heads * (size_t)head_dim, stride = 3 * hidden;
    float *const keys = scratch, *const scores = scratch + (size_t)LIMIT_TOKENS * KERNELS_HEAD_DIM_MAX;
    for (int h = 0; h < heads; h++) {
        const float *q = qkv + (size_t)h * (size_t)head_dim, *k = q + hidden, *v = k + hidden;
        for (int d = 0; d < head_dim; d++) {
            float *to = keys + (size_t)d * (size_t)padded;
            for (int j = 0; j < len; j++) to[j] = k[(size_t)j * stride + (size_t)d];
            for (int j = len; j < padded; j++) to[j] = 0;
        }
        for (int first = 0; first < wanted; first += queries) {
            const float *rows[12];
            float        scale[12];
            for (int i = 0; i < queries; i++)
                rows[i] = q + (size_t)(first + i < len ? first + i : len - 1) * stride;
            for (int j = 0; j < padded; j += LANES) {
                lanes_f acc[12] = { 0 };
                for (int d = 0; d < head_dim; d++) {
                    const lanes_f key = *(const lanes_f *)(keys + (size_t)d * (size_t)padded + j);
#pragma GCC unroll 12
                    for (int i = 0; i < queries; i++) acc[i] += key * rows[i][d];
                }
#pragma GCC unroll 12
                for (int i = 0; i < queries; i++) *(lanes_f *)(scores + (size_t)i * KERNELS_SCORES + j) = acc[i];
            }
            for (int i = 0; i < queries; i++) scale[i] = soften_body(scores + (size_t)i * KERNELS_SCORES, len, padded);
            for (int d = 0; d < head_dim; d += wide * LANES) {
                lanes_f acc[12][2] = { 0 };
                for (int j = 0; j < len; j++) {
                    const float *value = v + (size_t)j * stride + d;
                    lanes_f      part[2];
#pragma GCC unroll 2
                    for (int n = 0; n < wide; n++) part[n] = *(const lanes_f *)(value + n * LANES);
#pragma GCC unroll 12
                    for (int i = 0; i < queries; i++)
#pragma GCC unroll 2
                        for (int n = 0; n < wide; n++) acc[i][n] += part[n] * scores[(size_t)i * KERNELS_SCORES + j];
                }
#pragma GCC unroll 12
                for (int i = 0; i < queries; i++)
#pragma GCC unroll 2
                    for (int n = 0; n < wide; n++) {
                        float *to = ctx + (size_t)(first + i) * hidden + (size_t)h * (size_t)head_dim + d + n * LANES;
                        if (first + i < wanted) *(lanes_f *)to = acc[i][n] * scale[i];
                    }
            }
        }
    }
}

#define TABLE(suffix, target, queries, wide)                                                                          \
    target static void norm_##suffix(float *x, const float *add, const float *bias, const float *gain,                \
                                     const float *shift, float eps, void *act, int rows, int width)                    \
    {                                                                                                                  \
        (void)act;                                                                                                     \
        layer_norm_body(x, add, bias, gain, shift, eps, rows, width);                                                  \
    }                                                                                                                  \
    target static void gelu_##suffix(const float *in, const float *bias, void *act, int rows, int width)               \
    {                                                                                                                  \
        gelu_body(in, bias, act, rows, width);                                                                         \
    }                                                                                                                  \
    target static void attention_##suffix(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim,    \
                                          void *scratch)                                                               \
    {                                                                                                                  \
        attention_body(qkv, ctx, len, wanted, heads, head_dim, scratch, queries, wide);                                \
    }                                                                                                                  \
    const struct kernels kernels_f32_##suffix = { #suffix, FORM_F32, norm_##suffix, gelu_##suffix, attention_##suffix }

TABLE(portable, , 4, 1);
#if defined __x86_64__
TABLE(avx2, __attribute__((target("avx2,fma"))), 6, 1);
TABLE(avx512, __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma"))), 12, 2);
#endif
