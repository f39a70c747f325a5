/* SPDX-License-Identifier: MIT */
/* From a model's folder to packed weights. Shapes come from the folder's card and every tensor is held against them, so that
 * the forward pass needs no check. The three projections of attention become one matrix, and the softmax's scale and
 * its change of base are folded into the queries' part. Matrices are packed straight from the map, whose pages are
 * then given back; only the word table stays mapped. */
#include "encoder/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What the folder's card says, where the forward pass looks for it. */
static void take_sizes(struct weights *w)
{
    const struct card *k = &w->card;
    w->hidden = k->hidden;
    w->layers = k->layers;
    w->heads = k->heads;
    w->head_dim = k->head_dim;
    w->inner = k->inner;
    w->positions = k->positions;
    w->vocabulary = k->vocabulary;
    w->norm_eps = k->norm_eps;
    w->first_token = k->pooling == CARD_FIRST;
}

enum err weights_find(struct call *c, const struct weights *w, const char *name, int rows, int columns, const struct tensor **out)
{
    const struct tensor *t = safetensors_find(&w->file, name);
    if (!t) t = safetensors_find(&w->file, arena_printf(&c->mem, "bert.%s", name));
    if (!t) return fail(c, ERR_CORRUPT, "model.safetensors: no tensor %s", name);
    bool shaped = columns ? t->rank == 2 && t->shape[0] == rows && t->shape[1] == columns : t->rank == 1 && t->shape[0] == rows;
    if (!shaped && columns) return fail(c, ERR_CORRUPT, "tensor %s: shape is not [%d, %d]", name, rows, columns);
    if (!shaped) return fail(c, ERR_CORRUPT, "tensor %s: shape is not [%d]", name, rows);
    if (t->type != TENSOR_F32 && t->type != TENSOR_F16 && t->type != TENSOR_BF16)
        return fail(c, ERR_CORRUPT, "tensor %s: type is not F32, F16 or BF16", name);
    *out = t;
    return OK;
}

static float *floats(size_t n)
{
    float *p = aligned_alloc(64, (n * sizeof *p + 63) / 64 * 64);
    if (!p) abort();
    memset(p, 0, n * sizeof *p);
    return p;
}

static enum err read_vector(struct call *c, const struct weights *w, const char *name, int n, float scale, float *to)
{
    const struct tensor *t;
    enum err             e = weights_find(c, w, name, n, 0, &t);
    if (e) return e;
    if (!tensor_floats(t, 0, n, to)) return fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", name);
    for (int i = 0; i < n; i++) to[i] *= scale;
    return OK;
}

static enum err read_norm(struct call *c, const struct weights *w, const char *where, struct weights_norm *out)
{
    out->gain = floats((size_t)w->hidden);
    out->shift = floats((size_t)w->hidden);
    enum err e = read_vector(c, w, arena_printf(&c->mem, "%s.weight", where), w->hidden, 1, out->gain);
    return e ? e : read_vector(c, w, arena_printf(&c->mem, "%s.bias", where), w->hidden, 1, out->shift);
}

static enum err pack_int8(struct call *c, const struct kernels_matrix *m, int at, const struct tensor *t, float scale)
{
    const int depth = (int)t->shape[1];
    float    *column = floats((size_t)depth);
    bool      finite = true;
    for (int n = 0; n < t->shape[0] && finite; n++) {
        finite = tensor_floats(t, (int64_t)n * depth, depth, column);
        for (int k = 0; k < depth && finite; k++) column[k] *= scale;
        if (finite) kernels_matrix_column(m, at + n, column, depth);
    }
    free(column);
    return finite ? OK : fail(c, ERR_CORRUPT, "tensor %.100s: a number is NaN or infinite", t->name);
}

static enum err read_part(struct call *c, const struct weights *w, struct weights_layer *l, enum weights_plan plan, int at,
                          const char *where, int rows, int columns, float scale)
{
    const struct tensor *t;
    enum err             e = weights_find(c, w, arena_printf(&c->mem, "%s.weight", where), rows, columns, &t);
    if (!e) e = read_vector(c, w, arena_printf(&c->mem, "%s.bias", where), rows, scale, l->bias[plan] + at);
    if (e) return e;
    return w->form == FORM_INT8 ? pack_int8(c, &l->int8[plan], at, t, scale) : matmul_matrix_pack(c, l->matrix[plan], at, t, scale);
}

static void shape_of(const struct weights *w, int plan, int *depth, int *width)
{
    *depth = plan == PLAN_DOWN ? w->inner : w->hidden;
    *width = plan == PLAN_QKV ? 3 * w->hidden : plan == PLAN_UP ? w->inner : w->hidden;
}

static size_t place_bytes(const struct weights *w, int plan)
{
    int depth, width;
    shape_of(w, plan, &depth, &width);
    if (w->form == FORM_INT8) return kernels_matrix_bytes(depth, width);
    return (matmul_plan_bytes(w->plan[plan]) + 63) / 64 * 64;
}

/* One question streams every matrix once, so that its time is the memory's; with small pages a good part of it would
 * be spent on looking pages up. */
static enum err make_room(struct call *c, struct weights *w)
{
    const size_t huge = 2 * 1024 * 1024;
    size_t       bytes = 0;
    for (int i = 0; i < PLAN_COUNT; i++) bytes += place_bytes(w, i) * (size_t)w->layers;
    bytes = (bytes + huge - 1) / huge * huge;
    /* A huge page too much, so that the whole ones inside begin where the system can use them. */
    void *p = mmap(NULL, bytes + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return fail(c, ERR_IO, "no memory for %zu bytes of weights", bytes);
    uintptr_t from = (uintptr_t)p, begin = (from + huge - 1) / huge * huge;
    if (begin > from) munmap(p, begin - from);
    if (from + huge > begin) munmap((void *)(begin + bytes), from + huge - begin);
    w->packed = (char *)begin;
    w->packed_bytes = bytes;
#ifdef MADV_HUGEPAGE
    madvise(w->packed, bytes, MADV_HUGEPAGE);
#endif
    return OK;
}

static enum err read_layer(struct call *c, struct weights *w, int index, char **place)
{
    struct weights_layer *l = &w->layer[index];
    const int             n = w->hidden;
    for (int i = 0; i < PLAN_COUNT; i++) {
        int      depth, width;
        enum err e = OK;
        shape_of(w, i, &depth, &width);
        if (w->form == FORM_INT8) {
            l->int8[i] = kernels_matrix_at(*place, depth, width);
            l->bias[i] = l->int8[i].bias;
        } else {
            l->bias[i] = floats((size_t)width);
            e = matmul_matrix_new(c, w->plan[i], *place, i == PLAN_QKV ? l->bias[i] : NULL, &l->matrix[i]);
        }
        if (e) return e;
        *place += place_bytes(w, i);
    }
    const struct {
        enum weights_plan plan;
        int               at;
        const char       *name;
        int               rows, columns;
        float             scale;
    } parts[] = {
        /* The kernels take powers of two: log2(e) goes where 1/√head_dim goes. */
        { PLAN_QKV, 0, "attention.self.query", n, n, (float)(M_LOG2E / sqrt(w->head_dim)) },
        { PLAN_QKV, n, "attention.self.key", n, n, 1 },
        { PLAN_QKV, 2 * n, "attention.self.value", n, n, 1 },
        { PLAN_OUT, 0, "attention.output.dense", n, n, 1 },
        { PLAN_UP, 0, "intermediate.dense", w->inner, n, 1 },
        { PLAN_DOWN, 0, "output.dense", n, w->inner, 1 },
    };
    const char *prefix = arena_printf(&c->mem, "encoder.layer.%d", index);
    enum err    e = OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !e; i++)
        e = read_part(c, w, l, parts[i].plan, parts[i].at, arena_printf(&c->mem, "%s.%s", prefix, parts[i].name),
                      parts[i].rows, parts[i].columns, parts[i].scale);
    if (!e) e = read_norm(c, w, arena_printf(&c->mem, "%s.attention.output.LayerNorm", prefix), &l->after_attention);
    if (!e) e = read_norm(c, w, arena_printf(&c->mem, "%s.output.LayerNorm", prefix), &l->after_inner);
    return e;
}

static enum err read_embeddings(struct call *c, struct weights *w)
{
    const struct tensor *position, *type;
    enum err             e = weights_find(c, w, "embeddings.word_embeddings.weight", w->vocabulary, w->hidden, &w->word);
    if (!e) e = weights_find(c, w, "embeddings.position_embeddings.weight", w->positions, w->hidden, &position);
    if (!e) {
        const struct tensor *any = safetensors_find(&w->file, "embeddings.token_type_embeddings.weight");
        e = weights_find(c, w, "embeddings.token_type_embeddings.weight", any && any->rank == 2 ? (int)any->shape[0] : 2, w->hidden, &type);
    }
    if (!e && type->shape[0] < 1) e = fail(c, ERR_CORRUPT, "tensor %s: no row", type->name);
    if (!e) e = read_norm(c, w, "embeddings.LayerNorm", &w->norm);
    if (e) return e;
    if (!tensor_is_finite(w->word)) return fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", w->word->name);
    if (w->positions > LIMIT_TOKENS) w->positions = LIMIT_TOKENS;
    size_t n = (size_t)w->positions * (size_t)w->hidden;
    w->position = floats(n);
    w->zero = floats((size_t)w->hidden);
    if (!tensor_floats(position, 0, (int64_t)n, w->position) || !tensor_floats(type, 0, w->hidden, w->zero))
        return fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", position->name);
    for (size_t i = 0; i < n; i++) w->position[i] += w->zero[i % (size_t)w->hidden];
    if (type->shape[0] > 1) {
        w->second = floats((size_t)w->hidden);
        if (!tensor_floats(type, w->hidden, w->hidden, w->second))
            return fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", type->name);
        for (int i = 0; i < w->hidden; i++) w->second[i] -= w->zero[i];
    }
    memset(w->zero, 0, (size_t)w->hidden * sizeof *w->zero);
    return OK;
}

static enum err load(struct call *c, const char *folder, struct weights *w)
{
    enum err e = card_read(c, folder, &w->card);
    if (e) return e;
    take_sizes(w);
    e = safetensors_open(c, arena_printf(&c->mem, "%s/model.safetensors", folder), &w->file);
    if (!e) e = read_embeddings(c, w);
    for (int i = 0; i < PLAN_COUNT && !e && w->form != FORM_INT8; i++) {
        int depth, width;
        shape_of(w, i, &depth, &width);
        e = matmul_plan_new(c, w->form, depth, width, i == PLAN_QKV ? w->form : FORM_F32, i == PLAN_QKV, WEIGHTS_BLOCK_ROWS,
                            &w->plan[i]);
    }
    if (!e) e = make_room(c, w);
    if (e) return e;
    char *place = w->packed;
    w->layer = calloc((size_t)w->layers, sizeof *w->layer);
    if (!w->layer) abort();
    for (int i = 0; i < w->layers && !e; i++) e = read_layer(c, w, i, &place);
    if (e) return e;
    /* Without this a fault on one word would bring its neighbours in as well. */
    mapped_drop(w->file.file.data, w->file.file.size);
    madvise((void *)(uintptr_t)w->file.file.data, w->file.file.size, MADV_RANDOM);
    return OK;
}

enum err weights_load(struct call *c, const char *folder, enum form form, struct weights *out)
{
    *out = (struct weights){ .form = form };
    enum err e = load(c, folder, out);
    if (e) weights_dispose(out);
    return e;
}

void weights_dispose(struct weights *w)
{
    for (int i = 0; w->layer && i < w->layers; i++) {
        struct weights_layer *l = &w->layer[i];
        for (int k = 0; k < PLAN_COUNT; k++) {
            matmul_matrix_free(l->matrix[k]);
            if (w->form != FORM_INT8) free(l->bias[k]);
        }
        free(l->after_attention.gain);
        free(l->after_attention.shift);
        free(l->after_inner.gain);
        free(l->after_inner.shift);
    }
    free(w->layer);
    for (int i = 0; i < PLAN_COUNT; i++) matmul_plan_free(w->plan[i]);
    if (w->packed) munmap(w->packed, w->packed_bytes);
    free(w->norm.gain);
    free(w->norm.shift);
    free(w->position);
    free(w->zero);
    free(w->second);
    safetensors_close(&w->file);
    *w = (struct weights){ 0 };
}
