/* SPDX-License-Identifier: MIT */
/* A model file comes from a stranger, so nothing in its header is used before it was compared with the file: every
 * offset, shape and type is checked here once and the rest of the encoder may trust struct tensor. The tensors have to
 * cover the data exactly, in any order, as the format demands. It refuses compression, sharded indexes and pickles. */
#include "encoder/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { HEADER_BYTES_MAX = 16 * 1024 * 1024, TENSORS_MAX = 65536, SIZE_BYTES = 8 };

static const struct {
    const char      *name;
    enum tensor_type type;
    int              bytes;
} types[] = {
    { "F32", TENSOR_F32, 4 },   { "F16", TENSOR_F16, 2 },   { "BF16", TENSOR_BF16, 2 },  { "I64", TENSOR_I64, 8 },
    { "F64", TENSOR_OTHER, 8 }, { "U64", TENSOR_OTHER, 8 }, { "I32", TENSOR_OTHER, 4 },  { "U32", TENSOR_OTHER, 4 },
    { "I16", TENSOR_OTHER, 2 }, { "U16", TENSOR_OTHER, 2 }, { "I8", TENSOR_OTHER, 1 },   { "U8", TENSOR_OTHER, 1 },
    { "BOOL", TENSOR_OTHER, 1 },
};

/* A non-negative integer of the header, -1 when it is something else. */
static int64_t whole(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 ? (int64_t)json_integer_value(v) : -1;
}

static enum err read_tensor(struct call *c, const char *name, const json_t *v, const char *data, size_t size,
                            struct tensor *out)
{
    struct tensor t = { .name = name, .count = 1 };
    const char   *type = json_get_text(v, "dtype", NULL);
    size_t        known = sizeof types / sizeof *types, k = 0;
    while (k < known && (!type || strcmp(type, types[k].name))) k++;
    if (k == known) return fail(c, ERR_CORRUPT, "tensor %.100s: type \"%.20s\" is not known", name, type ? type : "");
    t.type = types[k].type;

    const json_t *shape = json_object_get(v, "shape");
    if (!json_is_array(shape) || json_array_size(shape) > TENSOR_RANK)
        return fail(c, ERR_CORRUPT, "tensor %.100s: no shape of at most %d sizes", name, TENSOR_RANK);
    t.rank = (int)json_array_size(shape);
    for (int i = 0; i < t.rank; i++) {
        t.shape[i] = whole(json_array_get(shape, (size_t)i));
        if (t.shape[i] < 0 || t.shape[i] > INT32_MAX || __builtin_mul_overflow(t.count, t.shape[i], &t.count))
            return fail(c, ERR_CORRUPT, "tensor %.100s: size %d of its shape is out of range", name, i);
    }
    int64_t expected;
    if (__builtin_mul_overflow(t.count, (int64_t)types[k].bytes, &expected))
        return fail(c, ERR_CORRUPT, "tensor %.100s: shape is too large", name);

    const json_t *offsets = json_object_get(v, "data_offsets");
    int64_t       begin = whole(json_array_get(offsets, 0)), end = whole(json_array_get(offsets, 1));
    if (json_array_size(offsets) != 2 || begin < 0 || end < begin || (uint64_t)end > size)
        return fail(c, ERR_CORRUPT, "tensor %.100s: offsets lie outside the file's %zu data bytes", name, size);
    if (end - begin != expected)
        return fail(c, ERR_CORRUPT, "tensor %.100s: %lld bytes, its shape needs %lld", name, (long long)(end - begin),
                    (long long)expected);
    t.data = data + begin;
    t.bytes = (size_t)expected;
    if ((uintptr_t)t.data % (uintptr_t)types[k].bytes)
        return fail(c, ERR_CORRUPT, "tensor %.100s: offset %lld is not aligned", name, (long long)begin);
    *out = t;
    return OK;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;
    if (x->data != y->data) return (const char *)x->data < (const char *)y->data ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static enum err read_header(struct call *c, json_t *root, const char *data, size_t size, struct safetensors *st)
{
    const char *name;
    json_t     *v;
    if (!json_is_object(root)) return fail(c, ERR_CORRUPT, "safetensors: the header is no object");
    size_t members = json_object_size(root);
    if (members > TENSORS_MAX) return fail(c, ERR_CORRUPT, "safetensors: more than %d tensors", TENSORS_MAX);
    st->tensors = calloc(members + 1, sizeof *st->tensors);
    if (!st->tensors) abort();
    json_object_foreach(root, name, v) {
        if (!strcmp(name, "__metadata__")) continue;
        if (!json_is_object(v)) return fail(c, ERR_CORRUPT, "tensor %.100s: no object", name);
        enum err e = read_tensor(c, name, v, data, size, &st->tensors[st->count]);
        if (e) return e;
        st->count++;
    }
    qsort(st->tensors, (size_t)st->count, sizeof *st->tensors, by_place);
    const char *at = data;
    for (int i = 0; i < st->count; i++) {
        const struct tensor *t = &st->tensors[i];
        if ((const char *)t->data < at) return fail(c, ERR_CORRUPT, "tensor %.100s overlaps the one before it", t->name);
        if ((const char *)t->data > at) return fail(c, ERR_CORRUPT, "tensor %.100s: unused bytes before it", t->name);
        at += t->bytes;
    }
    if (at != data + size) return fail(c, ERR_CORRUPT, "safetensors: unused bytes at the end");
    return OK;
}

enum err safetensors_parse(struct call *c, const void *data, size_t size, struct safetensors *out)
{
    struct safetensors st = { 0 };
    uint64_t           header = 0;
    if (size < SIZE_BYTES) return fail(c, ERR_CORRUPT, "safetensors: %zu bytes, too short for a header", size);
    for (int i = 0; i < SIZE_BYTES; i++) header |= (uint64_t)((const unsigned char *)data)[i] << 8 * i;
    if (header > HEADER_BYTES_MAX || header > size - SIZE_BYTES)
        return fail(c, ERR_CORRUPT, "safetensors: header of %llu bytes in a file of %zu", (unsigned long long)header, size);
    const char *text = (const char *)data + SIZE_BYTES;
    json_t     *root = NULL;
    if (json_parse(c, text, (size_t)header, &root)) {
        call_forgive(c);
        return fail(c, ERR_CORRUPT, "safetensors: the header is not JSON");
    }
    st.names = root;
    enum err e = read_header(c, root, text + header, size - SIZE_BYTES - (size_t)header, &st);
    if (e) {
        safetensors_close(&st);
        return e;
    }
    *out = st;
    return OK;
}

enum err safetensors_open(struct call *c, const char *path, struct safetensors *out)
{
    struct mapped      file;
    struct safetensors st;
    enum err           e = mapped_open(c, path, &file);
    if (e) return e;
    e = safetensors_parse(c, file.data, file.size, &st);
    if (e) {
        mapped_close(&file);
        return e;
    }
    st.file = file;
    *out = st;
    return OK;
}

void safetensors_close(struct safetensors *st)
{
    json_decref(st->names);
    free(st->tensors);
    mapped_close(&st->file);
    *st = (struct safetensors){ 0 };
}

const struct tensor *safetensors_find(const struct safetensors *st, const char *name)
{
    for (int i = 0; i < st->count; i++)
        if (!strcmp(st->tensors[i].name, name)) return &st->tensors[i];
    return NULL;
}

static float from_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float from_half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 0x3ff;
    if (exponent == 31) return from_bits(sign | 0x7f800000 | mantissa << 13);
    if (exponent) return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float small = (float)mantissa * 0x1p-24f;
    return sign ? -small : small;
}

/* Two floats at a time and without a branch: an exponent of all ones, plus one, carries into the sign's place. */
static bool all_finite(const float *f, int64_t n)
{
    uint64_t wild = 0, both;
    uint32_t last;
    int64_t  i = 0;
    for (; i + 2 <= n; i += 2) {
        memcpy(&both, f + i, sizeof both);
        wild |= (both & 0x7f8000007f800000) + 0x0080000000800000;
    }
    if (i < n) {
        memcpy(&last, f + i, sizeof last);
        wild |= (uint64_t)((last & 0x7f800000) + 0x00800000);
    }
    return !(wild & 0x8000000080000000);
}

const float *tensor_view(const struct tensor *t, int64_t from, int64_t n, float *room)
{
    const uint16_t *halves = (const uint16_t *)t->data + from;
    const float    *view = room;
    switch (t->type) {
    case TENSOR_F32: view = (const float *)t->data + from; break;
    case TENSOR_BF16:
        for (int64_t i = 0; i < n; i++) room[i] = from_bits((uint32_t)halves[i] << 16);
        break;
    case TENSOR_F16:
        for (int64_t i = 0; i < n; i++) room[i] = from_half(halves[i]);
        break;
    default: return NULL;
    }
    return all_finite(view, n) ? view : NULL;
}

bool tensor_floats(const struct tensor *t, int64_t from, int64_t n, float *out)
{
    const float *view = tensor_view(t, from, n, out);
    if (view && view != out) memcpy(out, view, (size_t)n * sizeof *out);
    return view != NULL;
}

bool tensor_is_finite(const struct tensor *t)
{
    float   room[1024];
    int64_t n;
    for (int64_t at = 0; at < t->count; at += n) {
        n = t->count - at < 1024 ? t->count - at : 1024;
        if (!tensor_view(t, at, n, room)) return false;
    }
    return true;
}
