/* encoder/kernels.h — what stands between the matrix products, once per kind of CPU and form of activation. A table
 * of functions is chosen once at load; all of them are stateless and may run in any thread.
 *     const struct kernels *k = kernels_choose(FORM_BF16, NULL);
 *     k->gelu(acc, bias, act, rows, 1536);                                                             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_KERNELS_H
#define CHIRON_ENCODER_KERNELS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* The form of weights and activations. int8 has kernels of its own: kernels_int8.h. */
enum form { FORM_F32, FORM_BF16, FORM_INT8 };

enum {
    KERNELS_SPARE_ROWS = 16,     /* rows after the last one of qkv that may be read */
    KERNELS_HEAD_DIM_MAX = 128,
    /* Between a query's scores, and between their narrowed weights: a cache line off the power of two, at which the rows of
     * 16 queries would fall on the same few lines of the nearest cache. */
    KERNELS_SCORES = LIMIT_TOKENS + 16,
    KERNELS_WEIGHTS = LIMIT_TOKENS + 32,
    /* Queries, keys and values of a head in 16 bits, K transposed and V in pairs (in 16 or 32 bits), scores and their weights
     * for 16 queries. */
    KERNELS_SCRATCH_BYTES = 5 * LIMIT_TOKENS * KERNELS_HEAD_DIM_MAX * 2 + 16 * KERNELS_WEIGHTS * 8 + 4096,
};

struct kernels {
    const char *name;            /* "avx512", for logs and tests */
    enum form   form;
    /* x ← (x + add + bias) normalised over width, times gain, plus shift; act gets it in the activation's form (in f32 that
     * is x itself and act is not used). x, add, act: rows × width; bias, gain, shift: width; width a multiple of 32. */
    void (*layer_norm)(float *x, const float *add, const float *bias, const float *gain, const float *shift, float eps,
                       void *act, int rows, int width);
    /* act ← gelu(in + bias), the exact form x·Φ(x) to 4e-5. in, act: rows × width, width a multiple of 32. */
    void (*gelu)(const float *in, const float *bias, void *act, int rows, int width);
    /* Self-attention of one sequence. qkv: len rows of 3 × heads × head_dim, queries already times log2(e)/√head_dim, and
     * KERNELS_SPARE_ROWS readable rows behind; ctx: the first `wanted` (1..len) of len rows of heads × head_dim, the others stay
     * as they are. len 1..LIMIT_TOKENS, head_dim a multiple of 32. scratch: KERNELS_SCRATCH_BYTES, 64-byte aligned. */
    void (*attention)(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch);
};

/* The best table for this CPU, of the kind that is named ("amx") when kind is not NULL; NULL when there is none here. */
const struct kernels *kernels_choose(enum form form, const char *kind);
/* Every table of the form that this CPU can run, plainest first, for tests; returns how many, at most max. */
int kernels_list(enum form form, const struct kernels **out, int max);

/* amx, avx512, avx2, portable. */
bool kernels_kind_known(const char *kind);
/* The instructions, "AVX-512 VNNI", that this CPU lacks for a kind of the form; NULL when it lacks none. */
const char *kernels_kind_lacks(enum form form, const char *kind);

/* 1.f / √Σ, by double sums: v becomes unit length. All zero stays zero. */
void kernels_unit(float *v, int n);
/* mean over rows of x (rows × width) into out. */
void kernels_mean(const float *x, int rows, int width, float *out);

extern const struct kernels kernels_f32_portable;
#if defined __x86_64__
/* Attention in 16-bit integers, for tables of int8: qkv and ctx are in f32, or in bf16. */
void kernels_int16_attention_f32(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch);
void kernels_int16_attention_bf16(const void *qkv, void *ctx, int len, int wanted, int heads, int head_dim, void *scratch);
extern const struct kernels kernels_f32_avx2, kernels_f32_avx512, kernels_bf16_avx512, kernels_bf16_amx;
#endif
#endif
