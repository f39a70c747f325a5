/* encoder/matmul.h — rows × matrix on oneDNN, with weights packed once and shared by all threads. A plan is one shape in one
 * form with a primitive for every number of rows; a matrix is weights packed for its plan; a seat is what one thread
 * needs to run any of them. Plans and matrices are read-only once made; a seat is used by one thread at a time.
 *     e = matmul_plan_new(c, FORM_BF16, 384, 1536, FORM_F32, false, 64, &plan);
 *     e = matmul_matrix_new(c, plan, place, NULL, &matrix);  e = matmul_matrix_pack(c, matrix, 0, tensor, 1.0f);
 *     if (!matmul_seat_run(seat, 0, matrix, rows, src, dst)) …                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_MATMUL_H
#define CHIRON_ENCODER_MATMUL_H
#include <stdbool.h>

#include "base/call.h"
#include "encoder/kernels.h"
#include "encoder/safetensors.h"

struct matmul_plan;
struct matmul_matrix;
struct matmul_seat;

/* Rows a product of m rows is computed with: m itself to 32, then the next multiple of 8. Buffers need that many. */
static inline int matmul_rows(int m) { return m <= 32 ? m : (m + 7) / 8 * 8; }

/* src [m × depth] in form · weights [depth × width] in form → dst [m × width] in dst_form, plus a bias of f32 when
 * biased; m ≤ rows_max (a multiple of 8). ERR_INTERNAL: oneDNN refused. Makes all primitives: about 0.3 ms each. */
MUST_CHECK enum err matmul_plan_new(struct call *c, enum form form, int depth, int width, enum form dst_form, bool biased,
                                    int rows_max, struct matmul_plan **out);
void        matmul_plan_free(struct matmul_plan *p);    /* after its matrices and seats; NULL allowed */
const char *matmul_plan_kind(const struct matmul_plan *p);   /* oneDNN's implementation name, "brg:avx512_core" */
size_t      matmul_plan_bytes(const struct matmul_plan *p);  /* of packed weights */

/* place: matmul_plan_bytes() zeros, 64-byte aligned; bias: width floats, NULL when the plan has none. Both outlive the
 * matrix. */
MUST_CHECK enum err matmul_matrix_new(struct call *c, struct matmul_plan *p, void *place, const float *bias,
                                      struct matmul_matrix **out);
void matmul_matrix_free(struct matmul_matrix *m);       /* NULL allowed */
/* Columns [at, at + t->shape[0]) of the matrix from t [columns × depth], each times scale. ERR_CORRUPT: NaN, infinity. */
MUST_CHECK enum err matmul_matrix_pack(struct call *c, struct matmul_matrix *m, int at, const struct tensor *t, float scale);

struct matmul_seat *matmul_seat_new(struct matmul_plan *const *plans, int count);   /* aborts when oneDNN cannot */
void                 matmul_seat_free(struct matmul_seat *b);                          /* NULL allowed */
/* src and dst: matmul_rows(rows) rows each, 64-byte aligned. false: oneDNN failed. plan: index in the seat's plans. */
MUST_CHECK bool matmul_seat_run(struct matmul_seat *b, int plan, const struct matmul_matrix *m, int rows, const void *src,
                                 void *dst);
/* 10⁹ operations a second that oneDNN reaches here in u8 · s8 → s32, 256 × 1536 by 1536 × 384, in this thread: the limit that
 * the int8 kernels are held against. Takes about `seconds`; 0: oneDNN refused. */
double matmul_peak_gops(double seconds);
/* Every thread calls this before its first run: a product must not spread over threads of its own. */
void matmul_thread_begin(void);
#endif
