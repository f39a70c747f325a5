/* encoder/kernels_int8_wide.h — what comes after a product in int8, in AVX-512: shared by the tables whose products are
 * AVX-512 VNNI and AMX. Both leave the sums of a few rows and columns in a small buffer that is still in the L1 cache,
 * and these turn them into queries, activations or the residual. Only kernels_int8_*.c include it. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_INT8_WIDE_H
#define CHIRON_ENCODER_KERNELS_INT8_WIDE_H
#include "encoder/kernels_int8.h"

#include <immintrin.h>
#include <math.h>
#include <string.h>

#define WIDE      __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define WIDE_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE    static inline __attribute__((always_inline))

enum { LANES = 16, SUMS_PITCH = 64 };

/* Sums of rows [row, row + rows) and columns [column, column + columns) of a product, columns a multiple of 32. */
struct sums {
    const int32_t *at;           /* rows of SUMS_PITCH */
    int            row, rows, column, columns;
};

/* Two vectors of columns of a matrix, to turn sums of any row into real numbers. */
struct columns {
    __m512 scale[2], sum[2], bias[2];
};

WIDE INLINE struct columns columns_at(const struct kernels_matrix *m, int n)
{
    struct columns c;
    for (int i = 0; i < 2; i++) {
        c.scale[i] = _mm512_load_ps(m->scale + n + i * LANES);
        c.sum[i] = _mm512_load_ps(m->sum + n + i * LANES);
        c.bias[i] = _mm512_load_ps(m->bias + n + i * LANES);
    }
    return c;
}

WIDE INLINE __m512 real_of(const struct columns *c, int i, const int32_t *sum, const struct kernels_row *row)
{
    __m512 acc = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sum + i * LANES)), c->scale[i]);
    return _mm512_fmadd_ps(acc, _mm512_set1_ps(row->scale), _mm512_fmadd_ps(_mm512_set1_ps(row->zero), c->sum[i], c->bias[i]));
}

/* ---- queries, keys and values ---- */

WIDE_BF16 INLINE void project_bf16(const struct kernels_matrix *m, const struct kernels_row *row, const struct sums *s,
                                   uint16_t *out)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n);
        for (int r = 0; r < s->rows; r++) {
            const int32_t *sum = s->at + r * SUMS_PITCH + n;
            __m512bh       both = _mm512_cvtne2ps_pbh(real_of(&c, 1, sum, row + s->row + r), real_of(&c, 0, sum, row + s->row + r));
            memcpy(out + (size_t)(s->row + r) * (size_t)m->width + s->column + n, &both, sizeof both);
        }
    }
}

WIDE INLINE void project_f32(const struct kernels_matrix *m, const struct kernels_row *row, const struct sums *s, float *out)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n);
        for (int r = 0; r < s->rows; r++) {
            float *to = out + (size_t)(s->row + r) * (size_t)m->width + s->column + n;
            for (int i = 0; i < 2; i++)
                _mm512_storeu_ps(to + i * LANES, real_of(&c, i, s->at + r * SUMS_PITCH + n, row + s->row + r));
        }
    }
}

/* ---- u8 ---- */

WIDE INLINE void store_u8(uint8_t *to, __m512 v, __m512 by, __m512 from)
{
    _mm_storeu_si128((__m128i *)to, _mm512_cvtusepi32_epi8(_mm512_cvtps_epi32(_mm512_fmadd_ps(v, by, from))));
}

/* by and from are such that q = x · by + from. */
WIDE INLINE struct kernels_row span_of(float low, float high, __m512 *by, __m512 *from)
{
    const float span = high - low, inverse = span > 1e-30f ? 255 / span : 0;
    *by = _mm512_set1_ps(inverse);
    *from = _mm512_set1_ps(-low * inverse);
    return (struct kernels_row){ .scale = inverse > 0 ? span / 255 : 0, .zero = low };
}

/* ---- gelu ---- */

/* Φ(t) = ½ + t·P(t²) for |t| ≤ 3.6: a minimax fit with an error of 3.3e-4 in t·Φ(t), a tenth of what the rounding to
 * u8 costs. */
static const float phi[6] = { 0.397163804f, -0.0634485982f, 0.00818887412f, -0.000675023738f, 3.12387026e-05f, -6.10929079e-07f };

WIDE INLINE __m512 gelu_of(__m512 x)
{
    __m512 t = _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-3.6f)), _mm512_set1_ps(3.6f)), u = _mm512_mul_ps(t, t);
    __m512 p = _mm512_set1_ps(phi[5]);
#pragma GCC unroll 5
    for (int k = 4; k >= 0; k--) p = _mm512_fmadd_ps(p, u, _mm512_set1_ps(phi[k]));
    return _mm512_mul_ps(x, _mm512_fmadd_ps(t, p, _mm512_set1_ps(0.5f)));
}

/* Where a block's gelu waits for the largest number of its rows to be known. */
struct expanding {
    float *value;    /* KERNELS_INT8_ROWS × pitch of the width */
    float *high;     /* KERNELS_INT8_ROWS × LANES */
};

WIDE INLINE struct expanding expanding_in(void *scratch, int rows)
{
    struct expanding e = { .high = scratch, .value = (float *)scratch + KERNELS_INT8_ROWS * LANES };
    memset(e.high, 0, (size_t)rows * LANES * sizeof *e.high);
    return e;
}

WIDE INLINE void expand_sums(const struct kernels_matrix *m, const struct kernels_row *row, const struct sums *s,
                             const struct expanding *e)
{
    const size_t pitch = (size_t)kernels_int8_pitch(m->width);
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n);
        for (int r = 0; r < s->rows; r++) {
            const int32_t *sum = s->at + r * SUMS_PITCH + n;
            float         *high = e->high + (s->row + r) * LANES, *to = e->value + (size_t)(s->row + r) * pitch + s->column + n;
            __m512         a = gelu_of(real_of(&c, 0, sum, row + s->row + r)), b = gelu_of(real_of(&c, 1, sum, row + s->row + r));
            _mm512_store_ps(high, _mm512_max_ps(_mm512_load_ps(high), _mm512_max_ps(a, b)));
            _mm512_store_ps(to, a);
            _mm512_store_ps(to + LANES, b);
        }
    }
}

WIDE INLINE void expand_end(const struct kernels_matrix *m, const struct expanding *e, uint8_t *out, struct kernels_row *out_row,
                            int rows)
{
    const size_t pitch = (size_t)kernels_int8_pitch(m->width);
    for (int r = 0; r < rows; r++, out += pitch) {
        const float *v = e->value + (size_t)r * pitch;
        __m512       by, from;
        out_row[r] = span_of(KERNELS_INT8_GELU_ZERO, _mm512_reduce_max_ps(_mm512_load_ps(e->high + r * LANES)), &by, &from);
        for (int i = 0; i < m->width; i += 2 * LANES) {
            store_u8(out + i, _mm512_load_ps(v + i), by, from);
            store_u8(out + i + LANES, _mm512_load_ps(v + i + LANES), by, from);
        }
    }
}

/* ---- the residual ---- */

WIDE INLINE void merge_sums(const struct kernels_matrix *m, const struct kernels_row *row, const struct sums *s, float *x)
{
    for (int n = 0; n < s->columns; n += 2 * LANES) {
        const struct columns c = columns_at(m, s->column + n);
        for (int r = 0; r < s->rows; r++) {
            float *to = x + (size_t)(s->row + r) * (size_t)m->width + s->column + n;
            for (int i = 0; i < 2; i++)
                _mm512_storeu_ps(to + i * LANES, _mm512_add_ps(_mm512_loadu_ps(to + i * LANES),
                                                               real_of(&c, i, s->at + r * SUMS_PITCH + n, row + s->row + r)));
        }
    }
}

/* x ← norm(x) · gain + shift and its u8; mean and variance in one pass, as the bf16 kernels do. */
WIDE INLINE void norm_row(float *x, const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row,
                          int width)
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
    __m512 low = _mm512_set1_ps(INFINITY), high = _mm512_set1_ps(-INFINITY);
    for (int i = 0; i < width; i += LANES) {
        __m512 v = _mm512_fmadd_ps(_mm512_loadu_ps(x + i), by, from);
        v = _mm512_fmadd_ps(v, _mm512_loadu_ps(gain + i), _mm512_loadu_ps(shift + i));
        _mm512_storeu_ps(x + i, v);
        low = _mm512_min_ps(low, v);
        high = _mm512_max_ps(high, v);
    }
    *out_row = span_of(_mm512_reduce_min_ps(low), _mm512_reduce_max_ps(high), &by, &from);
    for (int i = 0; i < width; i += LANES) store_u8(out + i, _mm512_loadu_ps(x + i), by, from);
}

WIDE INLINE void norm_rows(float *x, const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row,
                           int rows, int width)
{
    for (int r = 0; r < rows; r++)
        norm_row(x + (size_t)r * (size_t)width, gain, shift, eps, out + (size_t)r * (size_t)kernels_int8_pitch(width), &out_row[r],
                 width);
}

/* The entries of the tables that have no product in them. */
void kernels_wide_layer_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                             uint8_t *out, struct kernels_row *out_row, int rows, int width);
void kernels_wide_narrow_f32(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width);
void kernels_wide_narrow_bf16(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width);
#endif
