/* SPDX-License-Identifier: MIT */
/* From a model's folder to packed weights. Shapes come from the folder's card and every tensor is held against them, so that
 * the forward pass needs no check. The three projections of attention become one matrix, and the softmax's scale and
 * its change of base are folded into the queries' part. Everything made from the file lies in one list of parts, which
 * are filled straight from the map, whose pages are then given back, or, in int8, were so at an earlier start and are
 * mapped. Only the word table is used in the model's own file. */
#include "encoder/weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/conf.h"
#include "encoder/pivots.h"

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

static enum err read_norm(struct call *c, const struct weights *w, const char *where, const struct weights_norm *out)
{
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

/* ---- parts: all that is made from the model's file ---- */

enum { PARTS_LAYER = PLAN_COUNT + 2, PARTS_MODEL = 3 };
_Static_assert(PARTS_LAYER * 64 + PARTS_MODEL <= PACKED_PARTS_MAX, "64 layers are the most a card may have");

/* Their names and sizes in a fixed order: the model's, then each layer's matrices, biases and norms. */
static int list_parts(struct call *c, const struct weights *w, struct packed_part *out)
{
    const size_t hidden = (size_t)w->hidden * sizeof(float);
    int          n = 0;
    out[n++] = (struct packed_part){ .name = "position", .bytes = hidden * (size_t)w->positions };
    out[n++] = (struct packed_part){ .name = "norm", .bytes = 2 * hidden };
    out[n++] = (struct packed_part){ .name = "second", .bytes = w->types > 1 ? hidden : 0 };
    for (int layer = 0; layer < w->layers; layer++) {
        static const char *const matrix[PLAN_COUNT] = { "qkv", "out", "up", "down" };
        for (int i = 0; i < PLAN_COUNT; i++)
            out[n++] = (struct packed_part){ .name = arena_printf(&c->mem, "%d.%s", layer, matrix[i]), .bytes = place_bytes(w, i) };
        size_t biases = 0;
        for (int i = 0; i < PLAN_COUNT && w->form != FORM_INT8; i++) {
            int depth, width;
            shape_of(w, i, &depth, &width);
            biases += (size_t)width * sizeof(float);
        }
        out[n++] = (struct packed_part){ .name = arena_printf(&c->mem, "%d.bias", layer), .bytes = biases };
        out[n++] = (struct packed_part){ .name = arena_printf(&c->mem, "%d.norms", layer), .bytes = 4 * hidden };
    }
    return n;
}

static struct weights_norm norm_at(const struct weights *w, float *place)
{
    return (struct weights_norm){ place, place + w->hidden };
}

/* Points everything at its part. */
static enum err place_parts(struct call *c, struct weights *w, const struct packed_part *parts)
{
    enum err e = OK;
    w->position = parts[0].data;
    w->norm = norm_at(w, parts[1].data);
    w->second = parts[2].bytes ? parts[2].data : NULL;
    parts += PARTS_MODEL;
    for (int layer = 0; layer < w->layers && !e; layer++, parts += PARTS_LAYER) {
        struct weights_layer *l = &w->layer[layer];
        float                *bias = parts[PLAN_COUNT].data, *norms = parts[PLAN_COUNT + 1].data;
        for (int i = 0; i < PLAN_COUNT && !e; i++) {
            int depth, width;
            shape_of(w, i, &depth, &width);
            if (w->form == FORM_INT8) {
                l->int8[i] = kernels_matrix_at(parts[i].data, depth, width);
                l->bias[i] = l->int8[i].bias;
                continue;
            }
            l->bias[i] = bias;
            bias += width;
            e = matmul_matrix_new(c, w->plan[i], parts[i].data, i == PLAN_QKV ? l->bias[i] : NULL, &l->matrix[i]);
        }
        for (int i = 0; i < PLAN_COUNT && w->form == FORM_INT8; i++)
            l->int8[i].after = i + 1 < PLAN_COUNT          ? l->int8[i + 1].packed
                             : layer + 1 < w->layers ? parts[PARTS_LAYER].data
                                                     : w->layer[0].int8[0].packed;
        l->after_attention = norm_at(w, norms);
        l->after_inner = norm_at(w, norms + 2 * w->hidden);
    }
    return e;
}

struct layer_part {
    enum weights_plan plan;
    int               at;
    const char       *name;
    int               rows, columns;
    float             scale;
};
enum { LAYER_PARTS = 6 };

/* The tensors of a layer's matrices, named inside the layer. */
static void list_layer(const struct weights *w, struct layer_part *out)
{
    const int n = w->hidden;
    const struct layer_part parts[LAYER_PARTS] = {
        /* The kernels take powers of two: log2(e) goes where 1/√head_dim goes. */
        { PLAN_QKV, 0, "attention.self.query", n, n, (float)(M_LOG2E / sqrt(w->head_dim)) },
        { PLAN_QKV, n, "attention.self.key", n, n, 1 },
        { PLAN_QKV, 2 * n, "attention.self.value", n, n, 1 },
        { PLAN_OUT, 0, "attention.output.dense", n, n, 1 },
        { PLAN_UP, 0, "intermediate.dense", w->inner, n, 1 },
        { PLAN_DOWN, 0, "output.dense", n, w->inner, 1 },
    };
    memcpy(out, parts, sizeof parts);
}

static enum err fill_layer(struct call *c, struct weights *w, int index)
{
    struct weights_layer *l = &w->layer[index];
    struct layer_part     parts[LAYER_PARTS];
    list_layer(w, parts);
    const char *prefix = arena_printf(&c->mem, "encoder.layer.%d", index);
    enum err    e = OK;
    for (int i = 0; i < LAYER_PARTS && !e; i++)
        e = read_part(c, w, l, parts[i].plan, parts[i].at, arena_printf(&c->mem, "%s.%s", prefix, parts[i].name),
                      parts[i].rows, parts[i].columns, parts[i].scale);
    if (!e) e = read_norm(c, w, arena_printf(&c->mem, "%s.attention.output.LayerNorm", prefix), &l->after_attention);
    if (!e) e = read_norm(c, w, arena_printf(&c->mem, "%s.output.LayerNorm", prefix), &l->after_inner);
    return e;
}

/* The weights of the chosen pivots, unrounded. */
static enum err fill_pivots(struct call *c, struct weights *w, int index)
{
    struct layer_part parts[LAYER_PARTS];
    list_layer(w, parts);
    for (int i = 0; i < LAYER_PARTS; i++) {
        const struct layer_part     *p = &parts[i];
        const struct kernels_matrix *m = &w->layer[index].int8[p->plan];
        const struct tensor         *t;
        enum err e = weights_find(c, w, arena_printf(&c->mem, "encoder.layer.%d.%s.weight", index, p->name), p->rows, p->columns, &t);
        if (e) return e;
        for (int k = 0; k < m->pivots->count; k++) {
            float *to = m->pivot_weight + (size_t)k * (size_t)kernels_int8_pitch(m->width) + p->at;
            for (int n = 0; n < p->rows; n++) {
                if (!tensor_floats(t, (int64_t)n * p->columns + m->pivots->at[k], 1, to + n))
                    return fail(c, ERR_CORRUPT, "tensor %.100s: a number is NaN or infinite", t->name);
                to[n] *= p->scale;
            }
        }
    }
    return OK;
}

static enum err find_embeddings(struct call *c, struct weights *w, const struct tensor **position, const struct tensor **type)
{
    const struct tensor *any = safetensors_find(&w->file, "embeddings.token_type_embeddings.weight");
    enum err             e = weights_find(c, w, "embeddings.word_embeddings.weight", w->vocabulary, w->hidden, &w->word);
    if (!e) e = weights_find(c, w, "embeddings.position_embeddings.weight", w->positions, w->hidden, position);
    if (!e) e = weights_find(c, w, "embeddings.token_type_embeddings.weight", any && any->rank == 2 ? (int)any->shape[0] : 2, w->hidden, type);
    if (!e && (*type)->shape[0] < 1) e = fail(c, ERR_CORRUPT, "tensor %s: no row", (*type)->name);
    if (e) return e;
    w->types = (*type)->shape[0] > 1 ? 2 : 1;
    if (w->positions > LIMIT_TOKENS) w->positions = LIMIT_TOKENS;
    return OK;
}

static enum err fill_embeddings(struct call *c, struct weights *w, const struct tensor *position, const struct tensor *type)
{
    enum err e = read_norm(c, w, "embeddings.LayerNorm", &w->norm);
    if (e) return e;
    if (!tensor_is_finite(w->word)) return fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", w->word->name);
    const size_t n = (size_t)w->positions * (size_t)w->hidden;
    float       *first = floats((size_t)w->hidden);
    if (!tensor_floats(position, 0, (int64_t)n, w->position)) e = fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", position->name);
    if (!e && !(tensor_floats(type, 0, w->hidden, first) && (!w->second || tensor_floats(type, w->hidden, w->hidden, w->second))))
        e = fail(c, ERR_CORRUPT, "tensor %s: a number is NaN or infinite", type->name);
    for (size_t i = 0; i < n && !e; i++) w->position[i] += first[i % (size_t)w->hidden];
    for (int i = 0; i < w->hidden && w->second && !e; i++) w->second[i] -= first[i];
    free(first);
    return e;
}

static enum err fill(struct call *c, const char *folder, struct weights *w, const struct tensor *position, const struct tensor *type)
{
    enum err e = fill_embeddings(c, w, position, type);
    for (int i = 0; i < w->layers && !e; i++) e = fill_layer(c, w, i);
    if (e || w->form != FORM_INT8) return e;
    e = pivots_choose(c, folder, w);
    for (int i = 0; i < w->layers && !e; i++) e = fill_pivots(c, w, i);
    return e;
}

/* All that the parts depend on besides the model's bytes. Whoever changes how they are filled changes the first word. */
static const char *shape_text(struct call *c, const struct weights *w)
{
    return arena_printf(&c->mem, "2 int8 [k64 n64][16][64][4] scale sum bias pivots; %d hidden %d layers %d heads %d inner %d positions %d words %d types",
                        w->hidden, w->layers, w->heads, w->inner, w->positions, w->vocabulary, w->types);
}

static enum err load(struct call *c, const char *folder, struct weights *w)
{
    const struct tensor *position = NULL, *type = NULL;
    enum err             e = card_read(c, folder, &w->card);
    if (e) return e;
    take_sizes(w);
    e = safetensors_open(c, arena_printf(&c->mem, "%s/model.safetensors", folder), &w->file);
    if (!e) e = find_embeddings(c, w, &position, &type);
    for (int i = 0; i < PLAN_COUNT && !e && w->form != FORM_INT8; i++) {
        int depth, width;
        shape_of(w, i, &depth, &width);
        e = matmul_plan_new(c, w->form, depth, width, i == PLAN_QKV ? w->form : FORM_F32, i == PLAN_QKV, WEIGHTS_BLOCK_ROWS,
                            &w->plan[i]);
    }
    if (e) return e;
    w->zero = floats((size_t)w->hidden);
    w->layer = calloc((size_t)w->layers, sizeof *w->layer);
    if (!w->layer) abort();
    struct packed_part    *parts = arena_array(&c->mem, (size_t)(PARTS_MODEL + PARTS_LAYER * w->layers), sizeof *parts);
    const int              n = list_parts(c, w, parts);
    const bool             kept = w->form == FORM_INT8 && conf_bool("ENCODER_CACHE");
    const struct packed_of of = { folder, &w->file.file, "int8", shape_text(c, w) };
    const bool             known = kept && packed_load(c, &of, parts, n, &w->packed);
    if (!known) e = packed_room(c, parts, n, &w->packed);
    if (!e) e = place_parts(c, w, parts);
    if (!e && !known) e = fill(c, folder, w, position, type);
    if (e) return e;
    if (kept && !known) packed_save(c, &of, parts, n);
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
        for (int k = 0; k < PLAN_COUNT; k++) matmul_matrix_free(l->matrix[k]);
    }
    free(w->layer);
    for (int i = 0; i < PLAN_COUNT; i++) matmul_plan_free(w->plan[i]);
    packed_dispose(&w->packed);
    free(w->zero);
    safetensors_close(&w->file);
    *w = (struct weights){ 0 };
}
