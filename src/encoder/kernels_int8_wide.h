/* encoder/kernels_int8_wide.h — what comes after a product in int8, in AVX-512: shared by the tables whose products are
 * AVX-512 VNNI and AMX. Both leave the sums of a few rows and columns in a small buffer that is still in the L1 cache,
 * and these turn them into queries, activations or the residual. Only kernels_int8_*.c include it. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_INT8_WIDE_H
#define CHIRON_ENCODER_KERNELS_INT8_WIDE_H
#include "encoder/kernels_int8.h"

#include <assert.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define WIDE      __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define WIDE_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE    static inline __attribute__((always_inline))

enum { LANES = 16, SUMS_PITCH = 64, MASKED_MAX = 16384 };

/* Sums of rows [row, row + rows) and columns [column, column + columns) of a product, columns a multiple of 32. */
struct sums {
    const int32_t *at;           /* rows of SUMS_PITCH */
    int            row, rows, column, columns;
    const char    *ahead;        /* weights to be asked for meanwhile, NULL: none */
};

/* A question's time is that of bringing the weights in, once each: whoever turns its sums into numbers keeps asking for them,
 * a row's worth of work at a time, or memory would rest meanwhile. */
WIDE INLINE void ask_ahead(struct sums *s)
{
    if (!s->ahead) return;
    _mm_prefetch(s->ahead, _MM_HINT_T0);
    _mm_prefetch(s->ahead + 64, _MM_HINT_T0);
    s->ahead += 128;
}

/* What belongs to columns [n, n + columns) beside their weights: a few lines each of many arrays, which no hardware foresees. */
WIDE INLINE void ask_columns(const struct kernels_matrix *m, int n, int columns)
{
    const size_t pitch = (size_t)kernels_int8_pitch(m->width);
    const int    arrays = 3 + m->pivots->count;
    _Static_assert(sizeof(float) * LANES == 64, "a vector is a line");
    for (int k = 0; k < arrays; k++)
        for (int i = 0; i < columns; i += LANES) _mm_prefetch(m->scale + (size_t)k * pitch + (size_t)(n + i), _MM_HINT_T0);
}

/* Two vectors of columns of a matrix, to turn sums of any row into real numbers. */
struct columns {
    __m512 scale[2], sum[2], bias[2], pivot[KERNELS_INT8_PIVOTS][2];
};

/* pivots: of the matrix, a constant after inlining. */
WIDE INLINE struct columns columns_at(const struct kernels_matrix *m, int n, const int pivots)
{
    struct columns c;
    const size_t   pitch = (size_t)kernels_int8_pitch(m->width);
#pragma GCC unroll 8
    for (int k = 0; k < pivots; k++)
        for (int i = 0; i < 2; i++) c.pivot[k][i] = _mm512_load_ps(m->pivot_weight + (size_t)k * pitch + n + i * LANES);
    for (int i = 0; i < 2; i++) {
        c.scale[i] = _mm512_load_ps(m->scale + n + i * LANES);
        c.sum[i] = _mm512_load_ps(m->sum + n + i * LANES);
        c.bias[i] = _mm512_load_ps(m->bias + n + i * LANES);
    }
    return c;
}

WIDE INLINE __m512 real_of(const struct columns *c, int i, const int32_t *sum, const struct kernels_row *row, const int pivots)
{
    __m512 acc = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sum + i * LANES)), c->scale[i]);
    __m512 beside = _mm512_fmadd_ps(_mm512_set1_ps(row->zero), c->sum[i], c->bias[i]);
#pragma GCC unroll 8
    for (int k = 0; k < pivots; k++) beside = _mm512_fmadd_ps(_mm512_set1_ps(row->pivot[k]), c->pivot[k][i], beside);
    return _mm512_fmadd_ps(acc, _mm512_set1_ps(row->scale), beside);
}

/* ---- queries, keys and values ---- */

WIDE_BF16 INLINE void project_bf16_with(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, uint16_t *out, const int pivots)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n, pivots);
        for (int r = 0; r < s->rows; r++) {
            const int32_t *sum = s->at + r * SUMS_PITCH + n;
            ask_ahead(s);
            __m512bh       both = _mm512_cvtne2ps_pbh(real_of(&c, 1, sum, row + s->row + r, pivots), real_of(&c, 0, sum, row + s->row + r, pivots));
            memcpy(out + (size_t)(s->row + r) * (size_t)m->width + s->column + n, &both, sizeof both);
        }
    }
}

WIDE_BF16 INLINE void project_bf16(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, uint16_t *out)
{
    if (m->pivots->count) project_bf16_with(m, row, s, out, KERNELS_INT8_PIVOTS);
    else project_bf16_with(m, row, s, out, 0);
}

WIDE INLINE void project_f32_with(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *out, const int pivots)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n, pivots);
        for (int r = 0; r < s->rows; r++) {
            float *to = out + (size_t)(s->row + r) * (size_t)m->width + s->column + n;
            ask_ahead(s);
            for (int i = 0; i < 2; i++)
                _mm512_storeu_ps(to + i * LANES, real_of(&c, i, s->at + r * SUMS_PITCH + n, row + s->row + r, pivots));
        }
    }
}

WIDE INLINE void project_f32(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *out)
{
    if (m->pivots->count) project_f32_with(m, row, s, out, KERNELS_INT8_PIVOTS);
    else project_f32_with(m, row, s, out, 0);
}

/* ---- u8 ---- */

WIDE INLINE void store_u8(uint8_t *to, __m512 v, __m512 by, __m512 from)
{
    _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(_mm512_fmadd_ps(v, by, from))));
}

/* by and from are such that q = x · by + from. */
WIDE INLINE void span_of(struct kernels_row *row, float low, float high, __m512 *by, __m512 *from)
{
    const float inverse = kernels_row_span(row, low, high);
    *by = _mm512_set1_ps(inverse);
    *from = _mm512_set1_ps(-row->zero * inverse);
}

/* Which channels of a row are no pivots, by vector. Pivots are passed over by masks: storing 0 in their place would make the
 * vector loads behind it wait for the stores. */
struct pivot_mask {
    const struct kernels_pivots *pivots;
    __mmask16                    kept[MASKED_MAX / LANES];
};

INLINE void pivot_mask_set(struct pivot_mask *p, const struct kernels_pivots *pivots, int width)
{
    assert(width <= MASKED_MAX);
    memset(p->kept, 0xff, (size_t)width / LANES * sizeof *p->kept);
    p->pivots = pivots;
    for (int i = 0; pivots && i < pivots->count; i++) p->kept[pivots->at[i] / LANES] &= (__mmask16)~(1u << pivots->at[i] % LANES);
}

INLINE void take_pivots(const struct pivot_mask *p, const float *x, struct kernels_row *row)
{
    const int count = p->pivots ? p->pivots->count : 0;
    for (int i = 0; i < KERNELS_INT8_PIVOTS; i++) row->pivot[i] = i < count ? x[p->pivots->at[i]] : 0;
}

/* ---- gelu ---- */

/* Φ(t) = ½ + t·P(t²) for |t| ≤ 3.8: a minimax fit with an error of 1.1e-4 in t·Φ(t), a thirtieth of what the rounding to
 * u8 costs. */
static const float phi[7] = { 0.398256649f, -0.0651326723f, 0.00904573441f, -0.000874426347f, 5.46220642e-05f, -1.95694815e-06f, 3.02534412e-08f };

WIDE INLINE __m512 gelu_of(__m512 x)
{
    __m512 t = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-3.8f)), _mm512_set1_ps(3.8f)), u = _mm512_mul_ps(t, t);
    __m512 p = _mm512_set1_ps(phi[6]);
#pragma GCC unroll 6
    for (int k = 5; k >= 0; k--) p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(phi[k]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(t, p, _mm512_set1_ps(0.5f)));
}

/* value, KERNELS_INT8_ROWS × the pitch of the width, is where gelu waits for the largest number of a row to be known. */

WIDE INLINE void expand_sums_with(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *value, const int pivots)
{
    const size_t pitch = (size_t)kernels_int8_pitch(m->width);
    /* Without gelu first, and gelu in a second pass over what is in the L1 cache: all of it at once needs more registers than
     * there are. */
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n, pivots);
        for (int r = 0; r < s->rows; r++) {
            float *to = value + (size_t)(s->row + r) * pitch + s->column + n;
            ask_ahead(s);
            for (int i = 0; i < 2; i++) _mm512_store_ps(to + i * LANES, real_of(&c, i, s->at + r * SUMS_PITCH + n, row + s->row + r, pivots));
        }
        for (int r = 0; r < s->rows; r++) {
            float *to = value + (size_t)(s->row + r) * pitch + s->column + n;
            ask_ahead(s);
            const __m512 a = gelu_of(_mm512_load_ps(to)), b = gelu_of(_mm512_load_ps(to + LANES));
            _mm512_store_ps(to, a);
            _mm512_store_ps(to + LANES, b);
        }
    }
}

WIDE INLINE void expand_sums(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *value)
{
    if (m->pivots->count) expand_sums_with(m, row, s, value, KERNELS_INT8_PIVOTS);
    else expand_sums_with(m, row, s, value, 0);
}

WIDE INLINE void expand_end(const struct kernels_matrix *m, float *value, uint8_t *out, struct kernels_row *out_row, int rows)
{
    const size_t      pitch = (size_t)kernels_int8_pitch(m->width);
    struct pivot_mask p;
    for (int r = 0; r < rows; r++, out += pitch, value += pitch) {
        __m512 by, from, high = _mm512_setzero_ps(), high1 = high;
        if (r == 0 || out_row[r].pivots != p.pivots) pivot_mask_set(&p, out_row[r].pivots, m->width);
        take_pivots(&p, value, &out_row[r]);
        for (int i = 0; i < m->width; i += 2 * LANES) {
            high = _mm512_max_ps(high, _mm512_maskz_loadu_ps(p.kept[i / LANES], value + i));
            high1 = _mm512_max_ps(high1, _mm512_maskz_loadu_ps(p.kept[i / LANES + 1], value + i + LANES));
        }
        high = _mm512_max_ps(high, high1);
        span_of(&out_row[r], KERNELS_INT8_GELU_ZERO, _mm512_reduce_max_ps(high), &by, &from);
        for (int i = 0; i < m->width; i += 2 * LANES) {
            store_u8(out + i, _mm512_maskz_loadu_ps(p.kept[i / LANES], value + i), by, from);
            store_u8(out + i + LANES, _mm512_maskz_loadu_ps(p.kept[i / LANES + 1], value + i + LANES), by, from);
        }
    }
}

/* ---- the residual ---- */

WIDE INLINE void merge_sums_with(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *x, const int pivots)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n, pivots);
        for (int r = 0; r < s->rows; r++) {
            float *to = x + (size_t)(s->row + r) * (size_t)m->width + s->column + n;
            ask_ahead(s);
            for (int i = 0; i < 2; i++)
                _mm512_storeu_ps(to + i * LANES, _mm512_add_ps(_mm512_loadu_ps(to + i * LANES),
                                                               real_of(&c, i, s->at + r * SUMS_PITCH + n, row + s->row + r, pivots)));
        }
    }
}

WIDE INLINE void merge_sums(const struct kernels_matrix *m, const struct kernels_row *row, struct sums *s, float *x)
{
    if (m->pivots->count) merge_sums_with(m, row, s, x, KERNELS_INT8_PIVOTS);
    else merge_sums_with(m, row, s, x, 0);
}

/* x ← norm(x) · gain + shift and its u8; mean and variance in one pass, as the bf16 kernels do. */
WIDE INLINE void norm_row(const struct pivot_mask *p, float *x, const float *gain, const float *shift, float eps, uint8_t *out,
                          struct kernels_row *out_row, int width)
{
    __m512 sum0 = _mm512_setzero_ps(), sum1 = sum0, squares0 = sum0, squares1 = sum0;
    for (int i = 0; i < width; i += 2 * LANES) {
        __m512 a = _mm512_loadu_ps(x + i), b = _mm512_loadu_ps(x + i + LANES);
        sum0 = _mm512_add_ps(sum0, a);
        sum1 = _mm512_add_ps(sum1, b);
        squares0 = _mm512_fmadd_ps(a, a, squares0);
        squares1 = _mm512_fmadd_ps(b, b, squares1);
    }
    float  mean = _mm512_reduce_add_ps(_mm512_add_ps(sum0, sum1)) / (float)width;
    float  variance = _mm512_reduce_add_ps(_mm512_add_ps(squares0, squares1)) / (float)width - mean * mean;
    float  scale = 1 / sqrtf((variance > 0 ? variance : 0) + eps);
    __m512 by = _mm512_set1_ps(scale), from = _mm512_set1_ps(-mean * scale);
    for (int i = 0; i < width; i += LANES) {
        __m512 v = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), by, from);
        _mm512_storeu_ps(x + i, _mm512_fmadd_ps(v, _mm512_loadu_ps(gain + i), _mm512_loadu_ps(shift + i)));
    }
    take_pivots(p, x, out_row);
    __m512 low = _mm512_set1_ps(INFINITY), high = _mm512_set1_ps(-INFINITY);
    for (int i = 0; i < width; i += LANES) {
        const __m512 v = _mm512_maskz_loadu_ps(p->kept[i / LANES], x + i);
        low = _mm512_min_ps(low, v);
        high = _mm512_max_ps(high, v);
    }
    span_of(out_row, _mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high), &by, &from);
    for (int i = 0; i < width; i += LANES) store_u8(out + i, _mm512_maskz_loadu_ps(p->kept[i / LANES], x + i), by, from);
}

WIDE INLINE void norm_rows(float *x, const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row,
                           int rows, int width)
{
    struct pivot_mask p;
    for (int r = 0; r < rows; r++) {
        if (r == 0 || out_row[r].pivots != p.pivots) pivot_mask_set(&p, out_row[r].pivots, width);
        norm_row(&p, x + (size_t)r * (size_t)width, gain, shift, eps, out + (size_t)r * (size_t)kernels_int8_pitch(width),
                 &out_row[r], width);
    }
}

/* The entries of the tables that have no product in them. */
void kernels_wide_layer_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                             uint8_t *out, struct kernels_row *out_row, int rows, int width);
void kernels_wide_narrow_f32(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width);
void kernels_wide_narrow_bf16(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width);
#endif
