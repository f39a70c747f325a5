/* SPDX-License-Identifier: MIT */
/* Packs weights for int8 and holds the plain form of every step: any CPU can run it, and the tests hold the fast ones
 * against it. Rounding is to the nearest everywhere; scales are those of the largest weight of a column and of the span
 * of a row, because clipping gained nothing that could be measured. */
#include "encoder/kernels_int8.h"

#include <assert.h>
#include <math.h>
#include <string.h>

enum { BLOCK = KERNELS_INT8_BLOCK, BLOCK_BYTES = BLOCK * BLOCK };

static size_t vector_bytes(int width) { return (size_t)kernels_int8_pitch(width) * sizeof(float); }

size_t kernels_matrix_bytes(int depth, int width)
{
    return (size_t)kernels_int8_pitch(depth) * (size_t)kernels_int8_pitch(width) + (3 + KERNELS_INT8_PIVOTS) * vector_bytes(width) + 64;
}

struct kernels_matrix kernels_matrix_at(void *place, int depth, int width)
{
    struct kernels_matrix m = { .packed = place, .depth = kernels_int8_pitch(depth), .width = width };
    char                 *after = (char *)place + (size_t)m.depth * (size_t)kernels_int8_pitch(width);
    m.scale = (float *)after;
    m.sum = (float *)(after + vector_bytes(width));
    m.bias = (float *)(after + 2 * vector_bytes(width));
    m.pivot_weight = (float *)(after + 3 * vector_bytes(width));
    m.pivots = (struct kernels_pivots *)(after + (3 + KERNELS_INT8_PIVOTS) * vector_bytes(width));
    _Static_assert(sizeof *m.pivots <= 64, "the place has 64 bytes for them");
    return m;
}

static inline size_t place_of(const struct kernels_matrix *m, int k, int n)
{
    size_t block = (size_t)(n / BLOCK) * (size_t)(m->depth / BLOCK) + (size_t)(k / BLOCK);
    return block * BLOCK_BYTES + (size_t)(k % BLOCK / 4 * BLOCK * 4 + n % BLOCK * 4 + k % 4);
}

void kernels_matrix_column(const struct kernels_matrix *m, int n, const float *weights, int depth)
{
    assert(n < m->width && depth <= m->depth);
    float most = 0;
    int   sum = 0;
    for (int k = 0; k < depth; k++) most = fmaxf(most, fabsf(weights[k]));
    const float by = most > 1e-30f ? KERNELS_INT8_LEVELS / most : 0;
    for (int k = 0; k < depth; k++) {
        int q = (int)lrintf(weights[k] * by);
        m->packed[place_of(m, k, n)] = (int8_t)q;
        sum += q;
    }
    m->scale[n] = by > 0 ? most / KERNELS_INT8_LEVELS : 0;
    m->sum[n] = m->scale[n] * (float)sum;
}

size_t kernels_int8_scratch(int widest)
{
    /* A block's sums and, behind them, its activations widened to 16 bits. */
    size_t block = (size_t)KERNELS_INT8_ROWS * (size_t)kernels_int8_pitch(widest) * (sizeof(float) + sizeof(int16_t)) + 64 * 1024;
    return block > KERNELS_SCRATCH_BYTES ? block : KERNELS_SCRATCH_BYTES;
}

/* ---- the plain form ---- */

static void product(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *out, int rows)
{
    for (int first = 0; first < m->width; first += BLOCK) {
        const int columns = m->width - first < BLOCK ? m->width - first : BLOCK;
        for (int r = 0; r < rows; r++) {
            const uint8_t *a = act + (size_t)r * (size_t)m->depth;
            const int8_t  *w = m->packed + (size_t)first * (size_t)m->depth;
            int32_t        sum[BLOCK] = { 0 };
            for (int k = 0; k < m->depth; k += 4, a += 4, w += 4 * BLOCK)
                for (int n = 0; n < BLOCK; n++)
                    sum[n] += a[0] * w[4 * n] + a[1] * w[4 * n + 1] + a[2] * w[4 * n + 2] + a[3] * w[4 * n + 3];
            float *to = out + (size_t)r * (size_t)m->width + first;
            for (int n = 0; n < columns; n++) {
                float pivots = 0;
                for (int i = 0; i < m->pivots->count; i++)
                    pivots += row[r].pivot[i] * m->pivot_weight[(size_t)i * (size_t)kernels_int8_pitch(m->width) + (size_t)(first + n)];
                to[n] = pivots + row[r].scale * ((float)sum[n] * m->scale[first + n]) + (row[r].zero * m->sum[first + n] + m->bias[first + n]);
            }
        }
    }
}

static void quantise(const float *in, float low, float high, uint8_t *out, struct kernels_row *row, int width)
{
    const float by = kernels_row_span(row, low, high);
    for (int i = 0; i < width; i++) out[i] = (uint8_t)lrintf(fminf((in[i] - row->zero) * by, 255));
}

/* in is as it was afterwards. */
static void quantise_row(float *in, uint8_t *out, struct kernels_row *row, int width)
{
    kernels_take_pivots(in, row);
    float low = in[0], high = in[0];
    for (int i = 1; i < width; i++) {
        low = fminf(low, in[i]);
        high = fmaxf(high, in[i]);
    }
    quantise(in, low, high, out, row, width);
    kernels_give_pivots(in, row);
}

static void project(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, void *out, int rows,
                    void *scratch)
{
    (void)scratch;
    product(m, act, row, out, rows);
}

static void expand(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, uint8_t *out,
                   struct kernels_row *out_row, int rows, void *scratch)
{
    float *sums = scratch;
    product(m, act, row, sums, rows);
    for (int r = 0; r < rows; r++) {
        float *v = sums + (size_t)r * (size_t)m->width, high = 0;
        for (int i = 0; i < m->width; i++) v[i] = 0.5f * v[i] * (1 + erff(v[i] * (float)M_SQRT1_2));
        kernels_take_pivots(v, &out_row[r]);
        for (int i = 0; i < m->width; i++) high = fmaxf(high, v[i]);
        quantise(v, KERNELS_INT8_GELU_ZERO, high, out + (size_t)r * (size_t)kernels_int8_pitch(m->width), &out_row[r], m->width);
    }
}

static void layer_norm(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                       uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    for (int r = 0; r < rows; r++, x += width, add += width, out += kernels_int8_pitch(width)) {
        float sum = 0, squares = 0;
        for (int i = 0; i < width; i++) sum += x[i] += add[i] + bias[i];
        const float mean = sum / (float)width;
        for (int i = 0; i < width; i++) squares += (x[i] - mean) * (x[i] - mean);
        const float scale = 1 / sqrtf(squares / (float)width + eps);
        for (int i = 0; i < width; i++) x[i] = (x[i] - mean) * scale * gain[i] + shift[i];
        quantise_row(x, out, &out_row[r], width);
    }
}

static void merge(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *x,
                  const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row, int rows,
                  void *scratch)
{
    float *sums = scratch, *nothing = sums + (size_t)KERNELS_INT8_ROWS * (size_t)m->width;
    product(m, act, row, sums, rows);
    memset(nothing, 0, (size_t)m->width * sizeof *nothing);
    layer_norm(x, sums, nothing, gain, shift, eps, out, out_row, rows, m->width);
}

static void narrow(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width)
{
    const float *v = in;
    for (int r = 0; r < rows; r++, v += width, out += kernels_int8_pitch(width)) {
        float low = v[0], high = v[0];
        for (int i = 1; i < width; i++) {
            low = fminf(low, v[i]);
            high = fmaxf(high, v[i]);
        }
        out_row[r] = (struct kernels_row){ .lower = out_row[r].lower };
        quantise(v, low, high, out, &out_row[r], width);
    }
}

static void attention(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch)
{
    kernels_f32_portable.attention(qkv, ctx, len, wanted, heads, head_dim, scratch);
}

const struct kernels_int8 kernels_int8_portable = {
    .name = "portable",
    .between = FORM_F32,
    .project = project,
    .expand = expand,
    .merge = merge,
    .layer_norm = layer_norm,
    .narrow = narrow,
    .attention = attention,
};
