/* encoder/kernels_int8_lanes.h — the steps of kernels_int8.h around a product that leaves its sums as floats, for
 * vectors of LANES_BYTES (32 or 16). A file that includes it has a target's product and makes a table with
 *     KERNELS_INT8_LANES(avx2, "avx2", true, AVX2, product_avx2, bytes_avx2, kernels_f32_avx2);
 * which inlines these bodies into functions of that target. Sums of a block go through the scratch memory: at these
 * widths the product is so much slower than the L2 cache that keeping them in registers gains nothing.            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_INT8_LANES_H
#define CHIRON_ENCODER_KERNELS_INT8_LANES_H
#include <math.h>
#include <string.h>

#include "encoder/kernels_int8.h"

#define LANES_INLINE static inline __attribute__((always_inline))
/* Exactly what the target has: gcc takes comparisons of wider vectors apart number by number. */
enum { LANES = LANES_BYTES / 4 };
typedef float   lanes_f __attribute__((vector_size(LANES_BYTES), aligned(4), may_alias));
typedef int32_t lanes_i __attribute__((vector_size(LANES_BYTES), aligned(4), may_alias));

/* Two vectors' numbers of 0 to 255 as bytes; more becomes 255. */
typedef void (*lanes_bytes)(const lanes_i *q, uint8_t *out);

/* Where the floats of a block end in the scratch memory; what a product needs for itself lies behind. */
LANES_INLINE void *lanes_behind(void *scratch, const struct kernels_matrix *m)
{
    return (float *)scratch + (size_t)KERNELS_INT8_ROWS * (size_t)kernels_int8_pitch(m->width);
}

LANES_INLINE void lanes_min(lanes_f *a, const lanes_f *b)
{
    lanes_i less = *b < *a;
    *a = (lanes_f)((less & (lanes_i)*b) | (~less & (lanes_i)*a));
}

LANES_INLINE void lanes_max(lanes_f *a, const lanes_f *b)
{
    lanes_i more = *b > *a;
    *a = (lanes_f)((more & (lanes_i)*b) | (~more & (lanes_i)*a));
}

LANES_INLINE float lanes_sum_of(const lanes_f *v)
{
    float s[4] = { 0 };
    for (int i = 0; i < LANES; i++) s[i % 4] += (*v)[i];
    return s[0] + s[1] + (s[2] + s[3]);
}

/* width is a multiple of 32; numbers are never below low and, but for rounding, never above high. */
LANES_INLINE void lanes_quantise(const float *in, float low, float high, uint8_t *out, struct kernels_row *row, int width, lanes_bytes bytes)
{
    const float by = kernels_row_span(row, low, high), zero = row->zero;
    for (int i = 0; i < width; i += 2 * LANES) {
        const lanes_i q[2] = { __builtin_convertvector((*(const lanes_f *)(in + i) - zero) * by + 0.5f, lanes_i),
                               __builtin_convertvector((*(const lanes_f *)(in + i + LANES) - zero) * by + 0.5f, lanes_i) };
        bytes(q, out + i);
    }
}

LANES_INLINE void lanes_quantise_row(const float *in, uint8_t *out, struct kernels_row *row, int width, lanes_bytes bytes)
{
    lanes_f low = *(const lanes_f *)in, high = low;
    for (int i = LANES; i < width; i += LANES) {
        lanes_min(&low, (const lanes_f *)(in + i));
        lanes_max(&high, (const lanes_f *)(in + i));
    }
    float least = low[0], most = high[0];
    for (int i = 1; i < LANES; i++) {
        least = low[i] < least ? low[i] : least;
        most = high[i] > most ? high[i] : most;
    }
    lanes_quantise(in, least, most, out, row, width, bytes);
}

/* Adds the pivots' share to a product's sums, rows × m->width. */
LANES_INLINE void lanes_pivots(const struct kernels_matrix *m, const struct kernels_row *row, float *sums, int rows)
{
    const size_t pitch = (size_t)kernels_int8_pitch(m->width);
    if (!m->pivots->count) return;
    for (int r = 0; r < rows; r++, sums += m->width)
        for (int i = 0; i < m->width; i += LANES) {
            lanes_f v = *(const lanes_f *)(sums + i);
#pragma GCC unroll 8
            for (int k = 0; k < KERNELS_INT8_PIVOTS; k++)
                v += *(const lanes_f *)(m->pivot_weight + (size_t)k * pitch + (size_t)i) * row[r].pivot[k];
            *(lanes_f *)(sums + i) = v;
        }
}

/* Φ(t) = ½ + t·P(u), u = 2t²/4.5² − 1, for |t| ≤ 4.5: a minimax fit with an error of 4e-5 in t·Φ(t). */
LANES_INLINE void lanes_gelu(lanes_f *v)
{
    static const float phi[9] = { 0.15690212f,    -0.0771719664f, 0.0548185818f,   -0.0405556858f, 0.0276292935f,
                                  -0.0167442672f, 0.0122087942f,  -0.00932836905f, 0.00335349725f };
    const lanes_f end = (lanes_f){ 0 } + 4.5f, begin = -end;
    lanes_f       t = *v;
    lanes_min(&t, &end);
    lanes_max(&t, &begin);
    lanes_f u = t * t * (2 / (4.5f * 4.5f)) - 1.0f, p = u * phi[8] + phi[7];
#pragma GCC unroll 7
    for (int k = 6; k >= 0; k--) p = p * u + phi[k];
    *v *= t * p + 0.5f;
}

/* The product's sums, rows × width, in place. */
LANES_INLINE void lanes_expand(float *sums, uint8_t *out, struct kernels_row *out_row, int rows, int width, lanes_bytes bytes)
{
    for (int r = 0; r < rows; r++, sums += width, out += kernels_int8_pitch(width)) {
        lanes_f high = { 0 };
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = *(const lanes_f *)(sums + i);
            lanes_gelu(&v);
            *(lanes_f *)(sums + i) = v;
        }
        kernels_take_pivots(sums, &out_row[r]);
        for (int i = 0; i < width; i += LANES) lanes_max(&high, (const lanes_f *)(sums + i));
        float most = 0;
        for (int i = 0; i < LANES; i++) most = high[i] > most ? high[i] : most;
        lanes_quantise(sums, KERNELS_INT8_GELU_ZERO, most, out, &out_row[r], width, bytes);
    }
}

/* bias may be NULL. */
LANES_INLINE void lanes_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                             uint8_t *out, struct kernels_row *out_row, int rows, int width, lanes_bytes bytes)
{
    for (int r = 0; r < rows; r++, x += width, add += width, out += kernels_int8_pitch(width)) {
        lanes_f sum = { 0 }, squares = { 0 };
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = *(const lanes_f *)(x + i) + *(const lanes_f *)(add + i);
            if (bias) v += *(const lanes_f *)(bias + i);
            *(lanes_f *)(x + i) = v;
            sum += v;
        }
        const float mean = lanes_sum_of(&sum) / (float)width;
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = *(const lanes_f *)(x + i) - mean;
            squares += v * v;
        }
        const float scale = 1 / sqrtf(lanes_sum_of(&squares) / (float)width + eps);
        for (int i = 0; i < width; i += LANES) {
            lanes_f v = (*(const lanes_f *)(x + i) - mean) * scale;
            *(lanes_f *)(x + i) = v * *(const lanes_f *)(gain + i) + *(const lanes_f *)(shift + i);
        }
        kernels_take_pivots(x, &out_row[r]);
        lanes_quantise_row(x, out, &out_row[r], width, bytes);
        kernels_give_pivots(x, &out_row[r]);
    }
}

/* product(m, act, row, out, rows, room): out, rows × m->width floats, ← act · m + bias; room: ROWS × depth × 2 bytes. */
#define KERNELS_INT8_LANES(suffix, label, is_fast, target, product, bytes, f32)                                           \
    target static void project_##suffix(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, \
                                        void *out, int rows, void *scratch)                                                \
    {                                                                                                                      \
        product(m, act, row, out, rows, lanes_behind(scratch, m));                                                         \
        lanes_pivots(m, row, out, rows);                                                                                   \
    }                                                                                                                      \
    target static void expand_##suffix(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row,  \
                                       uint8_t *out, struct kernels_row *out_row, int rows, void *scratch)                 \
    {                                                                                                                      \
        product(m, act, row, scratch, rows, lanes_behind(scratch, m));                                                     \
        lanes_pivots(m, row, scratch, rows);                                                                               \
        lanes_expand(scratch, out, out_row, rows, m->width, bytes);                                                        \
    }                                                                                                                      \
    target static void merge_##suffix(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row,   \
                                      float *x, const float *gain, const float *shift, float eps, uint8_t *out,            \
                                      struct kernels_row *out_row, int rows, void *scratch)                                \
    {                                                                                                                      \
        product(m, act, row, scratch, rows, lanes_behind(scratch, m));                                                     \
        lanes_pivots(m, row, scratch, rows);                                                                               \
        lanes_norm(x, scratch, NULL, gain, shift, eps, out, out_row, rows, m->width, bytes);                               \
    }                                                                                                                      \
    target static void norm_##suffix(float *x, const float *add, const float *bias, const float *gain, const float *shift, \
                                     float eps, uint8_t *out, struct kernels_row *out_row, int rows, int width)            \
    {                                                                                                                      \
        lanes_norm(x, add, bias, gain, shift, eps, out, out_row, rows, width, bytes);                                      \
    }                                                                                                                      \
    target static void narrow_##suffix(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width)     \
    {                                                                                                                      \
        for (int r = 0; r < rows; r++) out_row[r] = (struct kernels_row){ .lower = out_row[r].lower };                      \
        for (int r = 0; r < rows; r++)                                                                                     \
            lanes_quantise_row((const float *)in + (size_t)r * (size_t)width,                                              \
                               out + (size_t)r * (size_t)kernels_int8_pitch(width), &out_row[r], width, bytes);            \
    }                                                                                                                      \
    static void attention_##suffix(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim,               \
                                   void *scratch)                                                                          \
    {                                                                                                                      \
        f32.attention(qkv, ctx, len, wanted, heads, head_dim, scratch);                                                    \
    }                                                                                                                      \
    const struct kernels_int8 kernels_int8_##suffix = {                                                                    \
        .name = label,                                                                                                     \
        .between = FORM_F32,                                                                                               \
        .fast = is_fast,                                                                                                   \
        .project = project_##suffix,                                                                                       \
        .expand = expand_##suffix,                                                                                         \
        .merge = merge_##suffix,                                                                                           \
        .layer_norm = norm_##suffix,                                                                                       \
        .narrow = narrow_##suffix,                                                                                         \
        .attention = attention_##suffix,                                                                                   \
    }
#endif
