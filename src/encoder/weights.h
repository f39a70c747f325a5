/* encoder/weights.h — a BERT model's folder as packed matrices and plain vectors. Read-only once loaded; any thread.
 *     struct weights w;
 *     e = weights_load(c, folder, FORM_INT8, &w);  …  weights_dispose(&w);                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_WEIGHTS_H
#define CHIRON_ENCODER_WEIGHTS_H
#include "encoder/card.h"
#include "encoder/kernels_int8.h"
#include "encoder/matmul.h"
#include "encoder/packed.h"

enum { WEIGHTS_BLOCK_ROWS = 64 };    /* rows that go through a layer together and stay in the L2 cache */
enum weights_plan { PLAN_QKV, PLAN_OUT, PLAN_UP, PLAN_DOWN, PLAN_COUNT };

struct weights_norm {
    float *gain, *shift;             /* hidden each */
};
struct weights_layer {
    struct matmul_matrix *matrix[PLAN_COUNT]; /* NULL in int8 */
    struct kernels_matrix int8[PLAN_COUNT];   /* in int8, with its bias */
    float                *bias[PLAN_COUNT];   /* width of the plan; QKV's is added by the product, the others after it */
    struct weights_norm   after_attention, after_inner;
};
struct weights {
    struct card card;
    int   hidden, layers, heads, head_dim, inner, positions, vocabulary;
    int   types;                     /* of tokens, 1 or 2 */
    float norm_eps;
    bool  first_token;               /* pooling: the first token's row instead of the mean */
    enum form             form;
    struct matmul_plan   *plan[PLAN_COUNT];   /* NULL in int8 */
    struct weights_layer *layer;     /* layers */
    struct weights_norm   norm;      /* of the embeddings */
    float                *position;  /* positions (at most LIMIT_TOKENS) × hidden, with the token type's row added */
    float                *zero;      /* hidden zeros */
    float                *second;    /* the second token type's row less the first's; NULL when there is one type */
    struct packed         packed;    /* what all of these point into; zero has memory of its own */
    const struct tensor  *word;      /* vocabulary × hidden, in the file */
    struct safetensors    file;
};

/* Reads the folder's card and model.safetensors; in int8 the packed file in place of most of it, when there is one
 * (packed.h; ENCODER_CACHE). ERR_NOT_FOUND names the missing file; ERR_CORRUPT the wrong value, shape or
 * number. On an error *out is zero. */
MUST_CHECK enum err weights_load(struct call *c, const char *folder, enum form form, struct weights *out);
/* The tensor of this name, with or without the "bert." that some exports put in front, of rows × columns floats, or of rank 1
 * when columns is 0. ERR_CORRUPT: absent, or of another shape or type. */
MUST_CHECK enum err weights_find(struct call *c, const struct weights *w, const char *name, int rows, int columns,
                                 const struct tensor **out);
void weights_dispose(struct weights *w);    /* a zeroed one is allowed */
#endif
