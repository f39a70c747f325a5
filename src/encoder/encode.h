/* encoder/encode.h — one pack of token sequences through the model. A seat is one thread's buffers; weights and kernels
 * are shared.
 *     struct encode_seat *s = encode_seat_new(&weights, &precision);
 *     if (!encode_pack(s, ids, lens, 2, rows)) …  encode_seat_free(s);                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_ENCODE_H
#define CHIRON_ENCODER_ENCODE_H
#include "encoder/precision.h"
#include "encoder/weights.h"

enum { ENCODE_PACK_TOKENS = 768 };    /* about 6 MB of buffers for the default model */

struct encode_seat;
/* p: with the weights' form. */
struct encode_seat *encode_seat_new(struct weights *w, const struct precision *p);
void                encode_seat_free(struct encode_seat *s);    /* NULL allowed */

/* Sees the activations that go to a matrix, in int8; for whoever fits weights to them. */
typedef void (*encode_watch_fn)(void *arg, int layer, enum weights_plan plan, const uint8_t *act, const struct kernels_row *row,
                                int rows);
void encode_seat_watch(struct encode_seat *s, encode_watch_fn watch, void *arg);

/* ids: the n sequences one after another, lens[i] ids each (1..LIMIT_TOKENS, at most the model's positions, all inside
 * its vocabulary), ENCODE_PACK_TOKENS in all at most. rows[i]: hidden floats, the unit vector of sequence i. The calling
 * thread has called matmul_thread_begin. false: a product failed; rows are then undefined. */
MUST_CHECK bool encode_pack(struct encode_seat *s, const int32_t *ids, const int *lens, int n, float *const *rows);
/* The same of sequences in two parts: the first firsts[i] (0..lens[i]) tokens of sequence i have the first token type, the
 * others the second (the model has two: weights.second). rows[i]: the first token's row as the last layer left it. */
MUST_CHECK bool encode_pairs(struct encode_seat *s, const int32_t *ids, const int *lens, const int *firsts, int n,
                             float *const *rows);
#endif
