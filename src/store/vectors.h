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
size_t          vectors_bytes(const struct vectors *v);      /* memory that rows occupy, writer's view; a file's f32 rows are not counted */
/* Appends a unit vector of dim floats and gives its slot, counted from 0 without gaps. At most 2^30 rows (aborts). */
uint32_t        vectors_add(struct vectors *v, const float *unit);
/* The row as it was added: dim floats, valid as long as v. slot < the count the reader was told. */
const float    *vectors_row(const struct vectors *v, uint32_t slot);
/* The best k of slots 0..count-1 whose bit (slot & 63 of word slot / 64) is set in allowed, NULL: all; best first, equal
 * cosines by slot. out has room for k <= 1024. Returns how many. The scan reads the high four bits of int8 copies of the
 * rows; a row that may be among the best k + k/2 + 16 has its low bits read too, and those best are scored again in f32. "May":
 * within r² + 4r/√dim of the score of the high bits, r the length of what they leave out, and within r for certain. */
int             vectors_scan(const struct vectors *v, const float *q, uint32_t count, const uint64_t *allowed, int k,
                             struct vector_hit *out);
float           vectors_cosine(const float *a, const float *b, int dim);   /* cosine of unit vectors */

/* ---- rows that are already in a file ---- */

/* The parts of consecutive rows, each part contiguous and 64-byte aligned. */
struct vectors_part {
    const uint8_t *high, *low;   /* rows × vectors_stride: the int8 value + 128, upper and lower four bits */
    const float   *scale;        /* rows: value = scale · int8 */
    const float   *slack;        /* rows: how far the upper bits alone may be off, as a cosine */
    const float   *full;         /* rows × dim */
};
size_t          vectors_stride(int dim);                     /* bytes of a row's upper bits, a multiple of 64 */
/* The set begins with rows rows of a part that outlives it, rows a multiple of 64; more are added in memory. */
struct vectors *vectors_over(int dim, const struct vectors_part *part, uint32_t rows);
/* The rows from slot on that lie together: their parts, and how many (1 or more for slot < count). */
uint32_t        vectors_parts(const struct vectors *v, uint32_t slot, struct vectors_part *out);

/* ---- kernels ---- */

/* What a row's upper bits are compared with: may scale·(16·dot + offset) + slack·unit be over score? */
struct vectors_bar { float offset, unit, score; };
/* Chosen for this processor; all give the same sums. rows: nibbles, stride bytes apart, stride a multiple of 64, 64-byte
 * aligned; byte j of a 64-byte group holds dimensions 2·group + j (low) and 2·group + 64 + j (high); q: 2·stride s8. */
struct vectors_kernel {
    const char *name;            /* "avx512-vnni", "avx2" or "portable" */
    void     (*dot)(const uint8_t *rows, size_t stride, int n, const int8_t *q, int32_t *out);
    uint64_t (*over)(const int32_t *dots, const float *scale, const float *slack, const struct vectors_bar *bar);   /* 64 rows */
};
const struct vectors_kernel *vectors_kernel(void);
/* The named one, NULL when this processor cannot run it. For tests and bench. */
const struct vectors_kernel *vectors_kernel_named(const char *name);
void            vectors_use_kernel(struct vectors *v, const struct vectors_kernel *k);   /* for tests and bench */
#endif
