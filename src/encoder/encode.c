/* SPDX-License-Identifier: MIT */
/* BERT's forward pass over whole sequences laid end to end: no padding is ever computed. Attention takes a sequence at
 * a time; all else goes in blocks of rows that stay in the L2 cache from one layer's attention output to the next
 * layer's queries, keys and values. Where only the first token's row is wanted, the last layer ends for those rows
 * alone, which is exact: after attention no row reads another. The residual stays in f32 in every form. It allocates
 * nothing per pack. */
#include "encoder/encode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct encode_seat {
    struct weights       *w;
    const struct kernels *k;
    struct matmul_seat   *products;
    float                *x;         /* residual, PACK × hidden */
    void                 *act;       /* x in the activation's form; x itself in f32 */
    void                 *qkv;       /* PACK + spare × 3 hidden */
    void                 *context;   /* what attention made, PACK × hidden */
    float                *word;      /* room for one token's row of the table */
    float                *sum;       /* a block's product, BLOCK × max(hidden, inner) */
    void                 *inner;     /* after gelu, BLOCK × inner */
    void                 *scratch;
    size_t                each;      /* bytes of a number in act, qkv, context, inner; in int8 of one in qkv and context */
    const struct kernels_int8 *k8;   /* in int8, in place of k, products, sum, and act; inner is bytes */
    uint8_t              *act8, *context8;
    struct kernels_row   *act_row, *context_row, *inner_row;
    encode_watch_fn       watch;
    void                 *watch_arg;
    float                 lower[ENCODE_PACK_TOKENS];       /* of each row's copies (struct kernels_row); 0 between packs */
    int32_t               many_ids[ENCODE_PACK_TOKENS];    /* a pack with copies */
    int                   many_lens[ENCODE_PACK_TOKENS];
};

/* A scrap of text has no mean over which the rounding of its activations cancels: it goes through as copies that are rounded
 * at other places, which costs next to nothing where the weights are what is waited for. */
enum { SCRAP_TOKENS = 5, SCRAP_COPIES = 2 };

/* Rows are rounded up in the last block, so every buffer has a block's worth behind it. Zeroed: what lies there is
 * computed with, and slow or strange numbers must not come out of the heap. By calloc, whose fresh pages cost nothing until
 * they are touched: a question touches few of them. What it gave stands in front of the rows. */
static void *rows_new(size_t rows, size_t width, size_t each)
{
    char *raw = calloc(1, rows * width * each + 2 * 64);
    if (!raw) abort();
    char *p = (char *)(((uintptr_t)raw + 64 + 63) / 64 * 64);
    memcpy(p - sizeof raw, &raw, sizeof raw);
    return p;
}

static void rows_free(void *p)
{
    char *raw = NULL;
    if (p) memcpy(&raw, (char *)p - sizeof raw, sizeof raw);
    free(raw);
}

static void seat_int8(struct encode_seat *s, const struct weights *w, size_t rows)
{
    const size_t pitch = (size_t)kernels_int8_pitch(w->hidden), inner = (size_t)kernels_int8_pitch(w->inner);
    const size_t block = WEIGHTS_BLOCK_ROWS + KERNELS_SPARE_ROWS;
    const int    qkv = 3 * w->hidden;
    _Static_assert((int)WEIGHTS_BLOCK_ROWS <= (int)KERNELS_INT8_ROWS, "a block is one call");
    s->act8 = rows_new(rows, pitch, 1);
    s->context8 = rows_new(block, pitch, 1);
    s->inner = rows_new(block, inner, 1);
    s->act_row = rows_new(rows, sizeof *s->act_row, 1);
    s->context_row = rows_new(block, sizeof *s->context_row, 1);
    s->inner_row = rows_new(block, sizeof *s->inner_row, 1);
    s->scratch = rows_new(1, kernels_int8_scratch(qkv > w->inner ? qkv : w->inner), 1);
}

struct encode_seat *encode_seat_new(struct weights *w, const struct precision *p)
{
    struct encode_seat *s = calloc(1, sizeof *s);
    if (!s) abort();
    enum form between = w->form == FORM_INT8 ? p->k8->between : w->form;
    size_t    each = between == FORM_BF16 ? 2 : 4, hidden = (size_t)w->hidden, inner = (size_t)w->inner;
    size_t    rows = ENCODE_PACK_TOKENS + WEIGHTS_BLOCK_ROWS;
    _Static_assert((int)KERNELS_SPARE_ROWS <= (int)WEIGHTS_BLOCK_ROWS, "attention reads inside qkv");
    s->w = w;
    s->k = p->k;
    s->k8 = p->k8;
    s->each = each;
    s->x = rows_new(rows, hidden, 4);
    s->qkv = rows_new(rows, 3 * hidden, each);
    s->context = rows_new(rows, hidden, each);
    s->word = rows_new(1, hidden, 4);
    if (w->form == FORM_INT8) {
        seat_int8(s, w, rows);
        return s;
    }
    s->products = matmul_seat_new(w->plan, PLAN_COUNT);
    s->act = w->form == FORM_F32 ? s->x : rows_new(rows, hidden, each);
    s->sum = rows_new(WEIGHTS_BLOCK_ROWS, hidden > inner ? hidden : inner, 4);
    s->inner = rows_new(WEIGHTS_BLOCK_ROWS, inner, each);
    s->scratch = rows_new(1, KERNELS_SCRATCH_BYTES, 1);
    return s;
}

void encode_seat_watch(struct encode_seat *s, encode_watch_fn watch, void *arg)
{
    s->watch = watch;
    s->watch_arg = arg;
}

void encode_seat_free(struct encode_seat *s)
{
    if (!s) return;
    if (s->products) matmul_seat_free(s->products);
    if (s->act != s->x) rows_free(s->act);
    rows_free(s->x);
    rows_free(s->qkv);
    rows_free(s->context);
    rows_free(s->sum);
    rows_free(s->inner);
    rows_free(s->scratch);
    rows_free(s->word);
    rows_free(s->act8);
    rows_free(s->context8);
    rows_free(s->act_row);
    rows_free(s->context_row);
    rows_free(s->inner_row);
    free(s);
}

static void *row_of(const struct encode_seat *s, void *base, int row, int width)
{
    return (char *)base + (size_t)row * (size_t)width * s->each;
}

static uint8_t *act8_of(const struct encode_seat *s, int row)
{
    return s->act8 + (size_t)row * (size_t)kernels_int8_pitch(s->w->hidden);
}

static bool project_qkv(struct encode_seat *s, const struct weights_layer *l, int row, int rows)
{
    int n = s->w->hidden;
    if (s->k8) {
        if (s->watch) s->watch(s->watch_arg, (int)(l - s->w->layer), PLAN_QKV, act8_of(s, row), s->act_row + row, rows);
        s->k8->project(&l->int8[PLAN_QKV], act8_of(s, row), s->act_row + row, row_of(s, s->qkv, row, 3 * n), rows, s->scratch);
        return true;
    }
    return matmul_seat_run(s->products, PLAN_QKV, l->matrix[PLAN_QKV], rows, row_of(s, s->act, row, n),
                           row_of(s, s->qkv, row, 3 * n));
}

/* Says for which matrix rows of activations are to be made, and how far each is to be shifted. */
static void aim(struct kernels_row *row, int rows, const struct kernels_matrix *m, const float *lower)
{
    for (int i = 0; i < rows; i++) {
        row[i].pivots = m ? m->pivots : NULL;
        row[i].lower = lower[i];
    }
}

/* next: the layer after l; NULL when there is none. */
static void finish_block_int8(struct encode_seat *s, const struct weights_layer *l, const struct weights_layer *next, int row,
                              int rows)
{
    const struct weights      *w = s->w;
    const struct kernels_int8 *k = s->k8;
    float                     *x = s->x + (size_t)row * (size_t)w->hidden;
    uint8_t                   *act = act8_of(s, row);
    struct kernels_row        *act_row = s->act_row + row;
    aim(s->context_row, rows, NULL, s->lower + row);
    k->narrow(row_of(s, s->context, row, w->hidden), s->context8, s->context_row, rows, w->hidden);
    aim(act_row, rows, &l->int8[PLAN_UP], s->lower + row);
    k->merge(&l->int8[PLAN_OUT], s->context8, s->context_row, x, l->after_attention.gain, l->after_attention.shift,
             w->norm_eps, act, act_row, rows, s->scratch);
    aim(s->inner_row, rows, &l->int8[PLAN_DOWN], s->lower + row);
    k->expand(&l->int8[PLAN_UP], act, act_row, s->inner, s->inner_row, rows, s->scratch);
    if (s->watch) {
        s->watch(s->watch_arg, (int)(l - w->layer), PLAN_UP, act, act_row, rows);
        s->watch(s->watch_arg, (int)(l - w->layer), PLAN_DOWN, s->inner, s->inner_row, rows);
    }
    aim(act_row, rows, next ? &next->int8[PLAN_QKV] : NULL, s->lower + row);
    k->merge(&l->int8[PLAN_DOWN], s->inner, s->inner_row, x, l->after_inner.gain, l->after_inner.shift, w->norm_eps, act,
             act_row, rows, s->scratch);
}

/* From a block's attention to its place in the next layer's input. */
static bool finish_block(struct encode_seat *s, const struct weights_layer *l, int row, int rows)
{
    const struct weights *w = s->w;
    const struct kernels *k = s->k;
    const int             n = w->hidden;
    float                *x = s->x + (size_t)row * (size_t)n;
    if (s->k8) {
        finish_block_int8(s, l, l - w->layer + 1 < w->layers ? l + 1 : NULL, row, rows);
        return true;
    }
    void *act = row_of(s, s->act, row, n);
    if (!matmul_seat_run(s->products, PLAN_OUT, l->matrix[PLAN_OUT], rows, row_of(s, s->context, row, n), s->sum)) return false;
    k->layer_norm(x, s->sum, l->bias[PLAN_OUT], l->after_attention.gain, l->after_attention.shift, w->norm_eps, act, rows, n);
    if (!matmul_seat_run(s->products, PLAN_UP, l->matrix[PLAN_UP], rows, act, s->sum)) return false;
    k->gelu(s->sum, l->bias[PLAN_UP], s->inner, rows, w->inner);
    if (!matmul_seat_run(s->products, PLAN_DOWN, l->matrix[PLAN_DOWN], rows, s->inner, s->sum)) return false;
    k->layer_norm(x, s->sum, l->bias[PLAN_DOWN], l->after_inner.gain, l->after_inner.shift, w->norm_eps, act, rows, n);
    return true;
}

/* firsts NULL: every token has the first type. */
static void embed_tokens(struct encode_seat *s, const int32_t *ids, const int *lens, const int *firsts, int n)
{
    const struct weights *w = s->w;
    const size_t          hidden = (size_t)w->hidden;
    float                *x = s->x;
    int                   row = 0;
    for (int i = 0; i < n; i++)
        for (int at = 0; at < lens[i]; at++, row++, x += hidden) {
            assert(ids[row] >= 0 && ids[row] < w->vocabulary && at < w->positions);
            memcpy(x, w->position + (size_t)at * hidden, hidden * sizeof *x);
            const float *word = tensor_view(w->word, (int64_t)ids[row] * w->hidden, w->hidden, s->word);
            /* The table was finite at load: the file was changed under the map. */
            if (!word) abort();
            const float *type = firsts && at >= firsts[i] ? w->second : w->zero;
            if (s->k8) {
                aim(s->act_row + row, 1, &w->layer[0].int8[PLAN_QKV], s->lower + row);
                s->k8->layer_norm(x, word, type, w->norm.gain, w->norm.shift, w->norm_eps, act8_of(s, row), s->act_row + row, 1,
                                  w->hidden);
            } else
                s->k->layer_norm(x, word, type, w->norm.gain, w->norm.shift, w->norm_eps, row_of(s, s->act, row, w->hidden), 1,
                                 w->hidden);
        }
}

/* The last layer after attention for each sequence's first row, gathered to the front: x and context of all other rows
 * are read by nobody any more. Row i comes from i or behind it, so that nothing is overwritten unread. */
static bool finish_first(struct encode_seat *s, const struct weights_layer *l, const int *lens, int n)
{
    const int    hidden = s->w->hidden;
    const size_t x_bytes = (size_t)hidden * sizeof *s->x;
    for (int i = 0, row = 0; i < n; row += lens[i++]) {
        if (i == row) continue;
        s->lower[i] = s->lower[row];
        memcpy(s->x + (size_t)i * (size_t)hidden, s->x + (size_t)row * (size_t)hidden, x_bytes);
        memcpy(row_of(s, s->context, i, hidden), row_of(s, s->context, row, hidden), (size_t)hidden * s->each);
    }
    for (int row = 0; row < n; row += WEIGHTS_BLOCK_ROWS)
        if (!finish_block(s, l, row, n - row < WEIGHTS_BLOCK_ROWS ? n - row : WEIGHTS_BLOCK_ROWS)) return false;
    return true;
}

/* All layers. first_only: row i of x is then the first row of sequence i, and the others are undefined. */
static bool forward(struct encode_seat *s, const int32_t *ids, const int *lens, const int *firsts, int n, bool first_only)
{
    const struct weights *w = s->w;
    void (*const attend)(const void *, void *, int, int, int, int, void *) = s->k8 ? s->k8->attention : s->k->attention;
    int total = 0;
    for (int i = 0; i < n; i++) {
        assert(lens[i] >= 1 && lens[i] <= LIMIT_TOKENS);
        total += lens[i];
    }
    assert(total <= ENCODE_PACK_TOKENS);
    embed_tokens(s, ids, lens, firsts, n);
    for (int row = 0; row < total; row += WEIGHTS_BLOCK_ROWS) {
        int block = total - row < WEIGHTS_BLOCK_ROWS ? total - row : WEIGHTS_BLOCK_ROWS;
        if (!project_qkv(s, &w->layer[0], row, block)) return false;
    }
    for (int layer = 0; layer < w->layers; layer++) {
        const bool ends = first_only && layer + 1 == w->layers;
        for (int i = 0, row = 0; i < n; row += lens[i++])
            attend(row_of(s, s->qkv, row, 3 * w->hidden), row_of(s, s->context, row, w->hidden), lens[i], ends ? 1 : lens[i],
                   w->heads, w->head_dim, s->scratch);
        if (ends) return finish_first(s, &w->layer[layer], lens, n);
        for (int row = 0; row < total; row += WEIGHTS_BLOCK_ROWS) {
            int block = total - row < WEIGHTS_BLOCK_ROWS ? total - row : WEIGHTS_BLOCK_ROWS;
            if (!finish_block(s, &w->layer[layer], row, block)) return false;
            if (layer + 1 < w->layers && !project_qkv(s, &w->layer[layer + 1], row, block)) return false;
        }
    }
    return true;
}

/* A sequence's vector from its rows of x and those of its copies. */
static void pool(const struct encode_seat *s, int row, int rows, float *out)
{
    kernels_mean(s->x + (size_t)row * (size_t)s->w->hidden, rows, s->w->hidden, out);
    kernels_unit(out, s->w->hidden);
}

static int copies_of(const struct encode_seat *s, int len) { return s->k8 && !s->watch && len < SCRAP_TOKENS ? SCRAP_COPIES : 1; }

/* Each scrap as often as it has copies, the others once. */
static bool pack_scraps(struct encode_seat *s, const int32_t *ids, const int *lens, int n, float *const *rows)
{
    const bool first = s->w->first_token;
    int        many = 0, total = 0;
    for (int i = 0; i < n; ids += lens[i++])
        for (int k = 0, copies = copies_of(s, lens[i]); k < copies; k++, total += s->many_lens[many++]) {
            memcpy(s->many_ids + total, ids, (size_t)lens[i] * sizeof *ids);
            s->many_lens[many] = lens[i];
            for (int at = 0; at < lens[i]; at++) s->lower[total + at] = (float)k / (float)copies;
        }
    const bool ok = forward(s, s->many_ids, s->many_lens, NULL, many, first);
    for (int i = 0, row = 0; i < n && ok; i++) {
        const int all = copies_of(s, lens[i]) * (first ? 1 : lens[i]);
        pool(s, row, all, rows[i]);
        row += all;
    }
    memset(s->lower, 0, (size_t)total * sizeof *s->lower);
    return ok;
}

bool encode_pack(struct encode_seat *s, const int32_t *ids, const int *lens, int n, float *const *rows)
{
    const struct weights *w = s->w;
    int                   total = 0, many = 0;
    for (int i = 0; i < n; i++) {
        total += lens[i];
        many += lens[i] * copies_of(s, lens[i]);
    }
    if (many > ENCODE_PACK_TOKENS) {
        int half = n / 2, at = 0;
        for (int i = 0; i < half; i++) at += lens[i];
        return encode_pack(s, ids, lens, half, rows) && encode_pack(s, ids + at, lens + half, n - half, rows + half);
    }
    if (many > total) return pack_scraps(s, ids, lens, n, rows);
    if (!forward(s, ids, lens, NULL, n, w->first_token)) return false;
    for (int i = 0, row = 0; i < n; row += w->first_token ? 1 : lens[i], i++) pool(s, row, w->first_token ? 1 : lens[i], rows[i]);
    return true;
}

bool encode_pairs(struct encode_seat *s, const int32_t *ids, const int *lens, const int *firsts, int n, float *const *rows)
{
    const size_t hidden = (size_t)s->w->hidden;
    assert(s->w->second);
    if (!forward(s, ids, lens, firsts, n, true)) return false;
    for (int i = 0; i < n; i++) memcpy(rows[i], s->x + (size_t)i * hidden, hidden * sizeof **rows);
    return true;
}
