/* encoder/safetensors.h — the tensors of a .safetensors file, checked before they are believed. Read-only once open; any
 * thread may read. Data stay in the map: they are the file's until safetensors_close.
 *     struct safetensors st;
 *     e = safetensors_open(c, "model.safetensors", &st);
 *     const struct tensor *t = safetensors_find(&st, "embeddings.LayerNorm.bias");                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_SAFETENSORS_H
#define CHIRON_ENCODER_SAFETENSORS_H
#include <stdint.h>

#include "encoder/mapped.h"

enum tensor_type { TENSOR_F32, TENSOR_F16, TENSOR_BF16, TENSOR_I64, TENSOR_OTHER };
enum { TENSOR_RANK = 4 };
struct tensor {
    const char      *name;
    enum tensor_type type;
    int              rank;                /* 0..TENSOR_RANK */
    int64_t          shape[TENSOR_RANK];
    int64_t          count;               /* product of shape; 1 for rank 0 */
    const void      *data;                /* aligned to the element's size */
    size_t           bytes;
};
struct safetensors {
    struct mapped  file;                  /* empty after safetensors_parse */
    struct tensor *tensors;               /* by place in the file */
    int            count;
    void          *names;                 /* what the names are borrowed from */
};

/* ERR_NOT_FOUND, ERR_IO; ERR_CORRUPT says which tensor and why: header out of bounds or no JSON, unknown type, shape
 * and size that differ, offsets out of the file, overlapping, with holes or unaligned. */
MUST_CHECK enum err safetensors_open(struct call *c, const char *path, struct safetensors *out);
/* The same of bytes the caller keeps. */
MUST_CHECK enum err safetensors_parse(struct call *c, const void *data, size_t size, struct safetensors *out);
void safetensors_close(struct safetensors *st);     /* a zeroed one is allowed */
const struct tensor *safetensors_find(const struct safetensors *st, const char *name);   /* NULL when absent */

/* Elements [from, from + n) as floats: in the map itself for F32, else converted into room (n floats). NULL when one of
 * them is NaN or infinite, or the type has no floats. */
MUST_CHECK const float *tensor_view(const struct tensor *t, int64_t from, int64_t n, float *room);
/* The same, always copied to out; false instead of NULL. */
MUST_CHECK bool tensor_floats(const struct tensor *t, int64_t from, int64_t n, float *out);
/* No NaN, no infinity; reads the whole tensor. */
bool tensor_is_finite(const struct tensor *t);
#endif
