/* store/vectors.h — many vectors of one length, scanned for the nearest to a query by cosine.
 * One writer appends; any number of readers scan at the same time, each up to the row count it was told of when that
 * count was published to it. Rows are never changed or moved; who must not be seen is left out by the reader's bits.
 *     struct vectors *v = vectors_new(384);
 *     uint32_t slot = vectors_add(v, unit);            // then publish vectors_count(v), e.g. under a mutex
 *     int n = vectors_scan(v, query, count, NULL, 10, hits);
 *     vectors_free(v);                                                                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_VECTORS_H
#define CHIRON_STORE_VECTORS_H
#include <stddef.h>
#include <stdint.h>

struct vectors;
struct vector_hit {
    uint32_t slot;
    float    cosine;   /* exact in f32, for unit vectors */
};

struct vectors *vectors_new(int dim);                        /* 1..8192 */
void            vectors_free(struct vectors *v);             /* no reader may be inside; NULL allowed */
int             vectors_dim(const struct vectors *v);
uint32_t        vectors_count(const struct vectors *v);      /* writer's view */
size_t          vectors_bytes(const struct vectors *v);      /* memory that rows occupy, writer's view */
/* Appends a unit vector of dim floats and gives its slot, counted from 0 without gaps. At most 2^30 rows (aborts). */
uint32_t        vectors_add(struct vectors *v, const float *unit);
/* The row as it was added: dim floats, valid as long as v. slot < the count the reader was told. */
const float    *vectors_row(const struct vectors *v, uint32_t slot);
/* The best k of slots 0..count-1 whose bit (slot & 63 of word slot / 64) is set in allowed, NULL: all; best first, equal
 * cosines by slot. out has room for k. Returns how many. The scan is over int8 copies of the rows; 2k + 32 of the
 * leading ones are scored again in f32. q: dim floats, unit length. */
int             vectors_scan(const struct vectors *v, const float *q, uint32_t count, const uint64_t *allowed, int k,
                             struct vector_hit *out);
float           vectors_cosine(const float *a, const float *b, int dim);   /* cosine of unit vectors */

/* The scan's inner product, chosen for this processor at first use: out[i] = Σ rows[i][j]·q[j], i < n.
 * rows: u8, stride bytes apart, stride a multiple of 64 and 64-byte aligned; q: s8, stride long, zero past dim. */
typedef void (*vectors_kernel_fn)(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out);
vectors_kernel_fn vectors_kernel(const char **name_out);     /* "avx512-vnni", "avx2" or "portable"; name_out may be NULL */
/* The named one, NULL when this processor cannot run it. For tests and bench. */
vectors_kernel_fn vectors_kernel_named(const char *name);
#endif
