/* encoder/kernels_int8.h — the steps of a layer in int8, once per kind of CPU: weights s8 with a scale per column,
 * activations u8 with a scale and a zero per row, sums in s32. A step is a product together with what comes after it, so
 * that sums need not leave the cache: each table decides how the two are joined.
 *     const struct kernels_int8 *k = kernels_int8_choose(NULL);
 *     struct kernels_matrix m = kernels_matrix_at(place, 384, 1536);
 *     for (n = 0; n < 1536; n++) kernels_matrix_column(&m, n, column_n, 384);      // then m.bias[n] = …
 *     k->expand(&m, act, row, inner, inner_row, rows, scratch);                                                   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_INT8_H
#define CHIRON_ENCODER_KERNELS_INT8_H
#include "encoder/kernels.h"

enum {
    KERNELS_INT8_ROWS = 64,      /* of one call at most */
    KERNELS_INT8_BLOCK = 64,     /* rows and columns of a block of packed weights */
    KERNELS_INT8_LEVELS = 127,   /* weights are -127..127 */
    KERNELS_INT8_PIVOTS = 8,
};

/* What gelu gives is never below this: its rows have it as their zero. */
#define KERNELS_INT8_GELU_ZERO (-0.17f)

/* Channels of the activations that go to a matrix in f32, beside the product: a few channels of a BERT are far larger than
 * all others, one of them a hundred times in the first token's row, and would leave the others a handful of levels. */
struct kernels_pivots {
    int32_t  count;   /* 0, or KERNELS_INT8_PIVOTS */
    uint16_t at[KERNELS_INT8_PIVOTS];
};

/* A row of activations: x = scale · q + zero, q 0..255, and in channel pivots->at[i] pivot[i] more. Whoever has a row made
 * sets pivots to those of the matrix the row is for, or NULL; the maker takes these channels as 0 and keeps their
 * numbers in pivot. All of pivot is 0 when there are none. He also sets by what part of a step, 0 to 1/2 or so, the numbers
 * that can be told apart lie lower than usual: the same row made twice so is rounded differently. */
struct kernels_row {
    float                        scale, zero, lower;
    const struct kernels_pivots *pivots;
    float                        pivot[KERNELS_INT8_PIVOTS];
};

/* For makers of rows: scale and zero of numbers from low to high; returns 1 / scale, or 0 when all are one. What lies beyond 255
 * afterwards becomes 255. */
static inline float kernels_row_span(struct kernels_row *row, float low, float high)
{
    const float span = high - low;
    row->scale = span > 1e-30f ? span / 255 : 0;
    row->zero = low - row->lower * row->scale;
    return span > 1e-30f ? 255 / span : 0;
}

/* For makers of rows: takes the pivots out of a row of numbers, and puts them back. */
static inline void kernels_take_pivots(float *x, struct kernels_row *row)
{
    const int count = row->pivots ? row->pivots->count : 0;
    for (int i = 0; i < KERNELS_INT8_PIVOTS; i++) row->pivot[i] = 0;
    for (int i = 0; i < count; i++) {
        row->pivot[i] = x[row->pivots->at[i]];
        x[row->pivots->at[i]] = 0;
    }
}

static inline void kernels_give_pivots(float *x, const struct kernels_row *row)
{
    const int count = row->pivots ? row->pivots->count : 0;
    for (int i = 0; i < count; i++) x[row->pivots->at[i]] = row->pivot[i];
}

/* Up to the next multiple of a block: what a row of `width` activations takes in memory, and what depth is. */
static inline int kernels_int8_pitch(int width)
{
    return (width + KERNELS_INT8_BLOCK - 1) / KERNELS_INT8_BLOCK * KERNELS_INT8_BLOCK;
}

/* depth × width weights. packed: for every 64 columns, for every 64 rows (k), a block [16 k/4][64 n][4 k]; what is
 * beyond the real depth and width is 0. scale, sum, bias: kernels_int8_pitch(width) each, 0 beyond the width.
 * weight(k, n) = scale[n] · q(k, n); sum[n] = scale[n] · Σ q(k, n). */
struct kernels_matrix {
    int8_t *packed;
    float  *scale, *sum, *bias;
    struct kernels_pivots *pivots;
    float  *pivot_weight;        /* KERNELS_INT8_PIVOTS × kernels_int8_pitch(width): the weights of the pivots, unrounded */
    const int8_t *after;         /* packed weights that are likely read after these; NULL: not known */
    int     depth;               /* a multiple of 64: the pitch of the activations */
    int     width;               /* a multiple of 32 */
};

/* The bytes of a matrix with all that belongs to it, a multiple of 64. One after another they make the whole of a model, so
 * that the bytes can be written to a file and mapped again. */
size_t                kernels_matrix_bytes(int depth, int width);
/* place: kernels_matrix_bytes() bytes, 64-byte aligned; all zero before the first column is packed. */
struct kernels_matrix kernels_matrix_at(void *place, int depth, int width);
/* One column of `depth` finite weights: rounds, packs, and sets scale and sum. */
void                  kernels_matrix_column(const struct kernels_matrix *m, int n, const float *weights, int depth);

/* Everywhere: rows 1..KERNELS_INT8_ROWS; act: rows of pitch m->depth with KERNELS_SPARE_ROWS readable rows behind, and
 * what is beyond the real width in a row is any number; row: one for each of rows; scratch: kernels_int8_scratch() bytes;
 * out and act never overlap. All pointers to rows 64-byte aligned. A product is act · m + m->bias in real numbers.
 * out_row: pivots set, all else is filled in. */
struct kernels_int8 {
    const char *name;            /* "avx512": what ENCODER_KERNELS says; "-" and more where a kind has two */
    enum form   between;         /* of queries, keys, values and context: FORM_F32 or FORM_BF16 */
    bool        fast;            /* faster here than f32 */
    /* out, rows × m->width in `between`, ← the product. */
    void (*project)(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, void *out, int rows,
                    void *scratch);
    /* out, rows of pitch kernels_int8_pitch(m->width), ← gelu(the product); out_row's zero is KERNELS_INT8_GELU_ZERO. */
    void (*expand)(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, uint8_t *out,
                   struct kernels_row *out_row, int rows, void *scratch);
    /* x, rows × m->width, ← norm(x + the product) · gain + shift; out gets the same in u8. */
    void (*merge)(const struct kernels_matrix *m, const uint8_t *act, const struct kernels_row *row, float *x,
                  const float *gain, const float *shift, float eps, uint8_t *out, struct kernels_row *out_row, int rows,
                  void *scratch);
    /* x ← norm(x + add + bias) · gain + shift, as in struct kernels; out gets the same in u8. */
    void (*layer_norm)(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                       uint8_t *out, struct kernels_row *out_row, int rows, int width);
    /* out ← in, rows × width in `between`; its rows have no pivots. */
    void (*narrow)(const void *in, uint8_t *out, struct kernels_row *out_row, int rows, int width);
    /* That of a table of struct kernels in the form `between`. */
    void (*attention)(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch);
};

/* Bytes of scratch, 64-byte aligned, when no matrix is wider than widest. Attention has KERNELS_SCRATCH_BYTES. */
size_t kernels_int8_scratch(int widest);

/* The best table for this CPU, or the best of the kind that is named; NULL when there is none. */
const struct kernels_int8 *kernels_int8_choose(const char *kind);
/* Every table that this CPU can run, plainest first; returns how many, at most max. */
int kernels_int8_list(const struct kernels_int8 **out, int max);

extern const struct kernels_int8 kernels_int8_portable;
#if defined __aarch64__
extern const struct kernels_int8 kernels_int8_neon, kernels_int8_neon_dot;
#endif
#if defined __x86_64__
extern const struct kernels_int8 kernels_int8_sse2, kernels_int8_avx2, kernels_int8_avx2_vnni;
extern const struct kernels_int8 kernels_int8_vnni_f32, kernels_int8_vnni, kernels_int8_amx;
#endif
#endif
