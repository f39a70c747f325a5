/* SPDX-License-Identifier: MIT */
/* oneDNN does the products because it reaches the machine's peak for every number of rows; all it is asked for is one
 * thread's worth of one product, with the scratch memory given by the caller, so that primitives and weights are shared
 * without a lock. Weights are packed here and not by oneDNN's reorder: in a blocked layout the place of an element is
 * the sum of a term of its row and a term of its column, so two small tables pack any layout while checking, scaling
 * and narrowing in the same pass. A third weight form would add its type here and nothing elsewhere. */
#include "encoder/matmul.h"

#include <assert.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* From libgomp, under which oneDNN runs; its header comes with gcc only. */
void omp_set_num_threads(int n);

enum { ROWS_MAX = 256, STEPS_MAX = 32 + (ROWS_MAX - 32) / 8, PLANS_MAX = 8 };

struct matmul_plan {
    enum form          form, dst_form;
    int                depth, width, steps;
    bool               biased;
    char               kind[64];
    dnnl_memory_desc_t weights, bias;
    dnnl_primitive_t   primitive[STEPS_MAX];
    dnnl_memory_desc_t scratch[STEPS_MAX];
    size_t             scratch_bytes;             /* the largest */
    size_t            *row_term, *column_term;    /* place of element (k, n) = row_term[k] + column_term[n] */
};

struct matmul_matrix {
    struct matmul_plan *plan;
    void               *packed;
    dnnl_memory_t       weights, bias;
};

struct matmul_seat {
    struct matmul_plan *plans[PLANS_MAX];
    int                 count;
    dnnl_stream_t       stream;
    void               *scratch;
    dnnl_memory_t       src[PLANS_MAX][STEPS_MAX], dst[PLANS_MAX][STEPS_MAX], space[PLANS_MAX][STEPS_MAX];
};

/* The process's: streams, memories and primitives only work together when they come from one engine. */
static dnnl_engine_t  cpu;
static pthread_once_t cpu_once = PTHREAD_ONCE_INIT;

static void open_cpu(void)
{
    if (dnnl_engine_create(&cpu, dnnl_cpu, 0)) cpu = NULL;
}

static int step_of(int rows) { return rows <= 32 ? rows - 1 : 31 + (rows - 32 + 7) / 8; }
static int rows_of(int step) { return step < 32 ? step + 1 : 32 + (step - 31) * 8; }

static dnnl_data_type_t type_of(enum form f) { return f == FORM_BF16 ? dnnl_bf16 : dnnl_f32; }

static enum err refused(struct call *c, const char *what, dnnl_status_t s)
{
    return fail(c, ERR_INTERNAL, "matrix products: %s failed (%d)", what, (int)s);
}

static dnnl_memory_desc_t plain(int rows, int columns, dnnl_data_type_t type)
{
    dnnl_memory_desc_t d;
    dnnl_dims_t        dims = { rows, columns };
    dnnl_status_t      s = dnnl_memory_desc_init_by_tag(&d, 2, dims, type, dnnl_ab);
    assert(s == dnnl_success);
    (void)s;
    return d;
}

static enum err make_primitive(struct call *c, struct matmul_plan *p, int step, dnnl_memory_desc_t *weights)
{
    int                   rows = rows_of(step);
    dnnl_memory_desc_t    src = plain(rows, p->depth, type_of(p->form)), dst = plain(rows, p->width, type_of(p->dst_form));
    dnnl_matmul_desc_t    op;
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t desc = NULL;
    const char           *kind = "";
    enum err              e = OK;
    dnnl_status_t         s = dnnl_matmul_desc_init(&op, &src, weights, p->biased ? &p->bias : NULL, &dst);
    if (!s) s = dnnl_primitive_attr_create(&attr);
    if (!s) s = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (!s) s = dnnl_primitive_desc_create(&desc, &op, attr, cpu, NULL);
    if (s) {
        e = refused(c, "describing", s);
        goto out;
    }
    *weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
    p->scratch[step] = *dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
    size_t bytes = dnnl_memory_desc_get_size(&p->scratch[step]);
    if (bytes > p->scratch_bytes) p->scratch_bytes = bytes;
    dnnl_primitive_desc_query(desc, dnnl_query_impl_info_str, 0, &kind);
    snprintf(p->kind, sizeof p->kind, "%s", kind);
    s = dnnl_primitive_create(&p->primitive[step], desc);
    if (s) e = refused(c, "making a primitive", s);
out:
    dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attr);
    return e;
}

/* Terms of one dimension of a blocked layout: outer index times stride plus what the inner blocks add. */
static void fill_terms(const dnnl_memory_desc_t *d, int dim, size_t *out, int n)
{
    const dnnl_blocking_desc_t *b = &d->format_desc.blocking;
    for (int i = 0; i < n; i++) {
        size_t place = 0, inner_stride = 1, index = (size_t)i;
        for (int k = b->inner_nblks - 1; k >= 0; k--) {
            size_t size = (size_t)b->inner_blks[k];
            if (b->inner_idxs[k] == dim) {
                place += index % size * inner_stride;
                index /= size;
            }
            inner_stride *= size;
        }
        out[i] = place + index * (size_t)b->strides[dim];
    }
}

enum err matmul_plan_new(struct call *c, enum form form, int depth, int width, enum form dst_form, bool biased,
                         int rows_max, struct matmul_plan **out)
{
    assert(rows_max >= 32 && rows_max <= ROWS_MAX && rows_max % 8 == 0);
    struct matmul_plan *p = calloc(1, sizeof *p);
    if (!p) abort();
    *p = (struct matmul_plan){ .form = form, .dst_form = dst_form, .depth = depth, .width = width, .biased = biased };
    p->steps = step_of(rows_max) + 1;
    p->bias = plain(1, width, dnnl_f32);
    enum err      e = OK;
    dnnl_dims_t   dims = { depth, width };
    pthread_once(&cpu_once, open_cpu);
    dnnl_status_t s = cpu ? dnnl_success : dnnl_runtime_error;
    if (!s) s = dnnl_memory_desc_init_by_tag(&p->weights, 2, dims, type_of(form), dnnl_format_tag_any);
    if (s) e = refused(c, "starting", s);
    /* The largest first: it chooses the layout that all others then get. */
    for (int i = p->steps - 1; i >= 0 && !e; i--) e = make_primitive(c, p, i, &p->weights);
    if (!e && (p->weights.format_kind != dnnl_blocked || p->weights.extra.flags))
        e = fail(c, ERR_INTERNAL, "matrix products: oneDNN chose a layout that cannot be packed here");
    if (e) {
        matmul_plan_free(p);
        return e;
    }
    p->row_term = malloc((size_t)depth * sizeof *p->row_term);
    p->column_term = malloc((size_t)width * sizeof *p->column_term);
    if (!p->row_term || !p->column_term) abort();
    fill_terms(&p->weights, 0, p->row_term, depth);
    fill_terms(&p->weights, 1, p->column_term, width);
    *out = p;
    return OK;
}

void matmul_plan_free(struct matmul_plan *p)
{
    if (!p) return;
    for (int i = 0; i < p->steps; i++) dnnl_primitive_destroy(p->primitive[i]);
    free(p->row_term);
    free(p->column_term);
    free(p);
}

const char *matmul_plan_kind(const struct matmul_plan *p) { return p->kind; }
size_t      matmul_plan_bytes(const struct matmul_plan *p) { return dnnl_memory_desc_get_size(&p->weights); }

static void *aligned(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) abort();
    memset(p, 0, (bytes + 63) / 64 * 64);
    return p;
}

enum err matmul_matrix_new(struct call *c, struct matmul_plan *p, void *place, const float *bias, struct matmul_matrix **out)
{
    assert(!p->biased == !bias);
    struct matmul_matrix *m = calloc(1, sizeof *m);
    if (!m) abort();
    m->plan = p;
    m->packed = place;
    dnnl_status_t s = dnnl_memory_create(&m->weights, &p->weights, cpu, m->packed);
    if (!s && bias) s = dnnl_memory_create(&m->bias, &p->bias, cpu, (void *)(uintptr_t)bias);
    if (s) {
        matmul_matrix_free(m);
        return refused(c, "placing weights", s);
    }
    *out = m;
    return OK;
}

void matmul_matrix_free(struct matmul_matrix *m)
{
    if (!m) return;
    dnnl_memory_destroy(m->weights);
    dnnl_memory_destroy(m->bias);
    free(m);
}

/* Round to nearest, ties to even; the value is finite. */
static uint16_t narrowed(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

enum err matmul_matrix_pack(struct call *c, struct matmul_matrix *m, int at, const struct tensor *t, float scale)
{
    const struct matmul_plan *p = m->plan;
    assert(t->rank == 2 && t->shape[1] == p->depth && at + t->shape[0] <= p->width);
    float       *room = malloc((size_t)p->depth * sizeof *room);
    const float *column = room;
    if (!room) abort();
    for (int n = 0; n < t->shape[0]; n++) {
        column = tensor_view(t, (int64_t)n * p->depth, p->depth, room);
        if (!column) break;
        size_t place = p->column_term[at + n];
        if (p->form == FORM_BF16) {
            uint16_t *to = (uint16_t *)m->packed + place;
            for (int k = 0; k < p->depth; k++) to[p->row_term[k]] = narrowed(column[k] * scale);
        } else {
            float *to = (float *)m->packed + place;
            for (int k = 0; k < p->depth; k++) to[p->row_term[k]] = column[k] * scale;
        }
    }
    free(room);
    return column ? OK : fail(c, ERR_CORRUPT, "tensor %.100s: a number is NaN or infinite", t->name);
}

struct matmul_seat *matmul_seat_new(struct matmul_plan *const *plans, int count)
{
    assert(count <= PLANS_MAX);
    struct matmul_seat *b = calloc(1, sizeof *b);
    size_t               most = 64;
    if (!b) abort();
    b->count = count;
    for (int i = 0; i < count; i++) {
        b->plans[i] = plans[i];
        if (plans[i]->scratch_bytes > most) most = plans[i]->scratch_bytes;
    }
    b->scratch = aligned(most);
    if (dnnl_stream_create(&b->stream, cpu, dnnl_stream_default_flags)) abort();
    return b;
}

void matmul_seat_free(struct matmul_seat *b)
{
    if (!b) return;
    for (int i = 0; i < b->count; i++)
        for (int k = 0; k < STEPS_MAX; k++) {
            dnnl_memory_destroy(b->src[i][k]);
            dnnl_memory_destroy(b->dst[i][k]);
            dnnl_memory_destroy(b->space[i][k]);
        }
    dnnl_stream_destroy(b->stream);
    free(b->scratch);
    free(b);
}

static dnnl_status_t prepare(struct matmul_seat *b, int plan, int step)
{
    struct matmul_plan *p = b->plans[plan];
    dnnl_memory_desc_t  src = plain(rows_of(step), p->depth, type_of(p->form));
    dnnl_memory_desc_t  dst = plain(rows_of(step), p->width, type_of(p->dst_form));
    dnnl_status_t       s = dnnl_memory_create(&b->src[plan][step], &src, cpu, DNNL_MEMORY_NONE);
    if (!s) s = dnnl_memory_create(&b->space[plan][step], &p->scratch[step], cpu, b->scratch);
    if (!s) s = dnnl_memory_create(&b->dst[plan][step], &dst, cpu, DNNL_MEMORY_NONE);
    return s;
}

bool matmul_seat_run(struct matmul_seat *b, int plan, const struct matmul_matrix *m, int rows, const void *src, void *dst)
{
    int step = step_of(rows);
    assert(m->plan == b->plans[plan] && rows >= 1 && step < m->plan->steps);
    if (!b->dst[plan][step] && prepare(b, plan, step)) return false;
    if (dnnl_memory_set_data_handle(b->src[plan][step], (void *)(uintptr_t)src)) return false;
    if (dnnl_memory_set_data_handle(b->dst[plan][step], dst)) return false;
    dnnl_exec_arg_t args[5] = { { DNNL_ARG_SRC, b->src[plan][step] },
                                { DNNL_ARG_WEIGHTS, m->weights },
                                { DNNL_ARG_DST, b->dst[plan][step] },
                                { DNNL_ARG_SCRATCHPAD, b->space[plan][step] },
                                { DNNL_ARG_BIAS, m->bias } };
    return !dnnl_primitive_execute(m->plan->primitive[step], b->stream, m->bias ? 5 : 4, args);
}

double matmul_peak_gops(double seconds)
{
    enum { M = 256, K = 1536, N = 384 };
    dnnl_memory_desc_t    src = plain(M, K, dnnl_u8), dst = plain(M, N, dnnl_s32), weights;
    dnnl_dims_t           dims = { K, N };
    dnnl_matmul_desc_t    op;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_primitive_t      product = NULL;
    dnnl_stream_t         stream = NULL;
    dnnl_memory_t         memory[3] = { NULL };
    void                 *room[3] = { NULL };
    double                best = 0;
    matmul_thread_begin();
    pthread_once(&cpu_once, open_cpu);
    bool ok = cpu && !dnnl_memory_desc_init_by_tag(&weights, 2, dims, dnnl_s8, dnnl_format_tag_any) &&
              !dnnl_matmul_desc_init(&op, &src, &weights, NULL, &dst) && !dnnl_primitive_desc_create(&desc, &op, NULL, cpu, NULL) &&
              !dnnl_primitive_create(&product, desc) && !dnnl_stream_create(&stream, cpu, dnnl_stream_default_flags);
    if (ok) {
        const dnnl_memory_desc_t *of[3] = { &src, dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0), &dst };
        for (int i = 0; i < 3 && ok; i++) {
            room[i] = aligned(dnnl_memory_desc_get_size(of[i]));
            ok = !dnnl_memory_create(&memory[i], of[i], cpu, room[i]);
        }
    }
    dnnl_exec_arg_t args[3] = { { DNNL_ARG_SRC, memory[0] }, { DNNL_ARG_WEIGHTS, memory[1] }, { DNNL_ARG_DST, memory[2] } };
    for (int64_t end = clock_mono_us() + (int64_t)(seconds * 1e6); ok && clock_mono_us() < end;) {
        enum { TIMES = 8 };
        const int64_t begun = clock_mono_us();
        for (int i = 0; i < TIMES && ok; i++) ok = !dnnl_primitive_execute(product, stream, 3, args);
        const int64_t took = clock_mono_us() - begun;
        const double  gops = 2.0 * M * K * N * TIMES / (double)(took > 0 ? took : 1) / 1e3;
        if (ok && gops > best) best = gops;
    }
    for (int i = 0; i < 3; i++) {
        dnnl_memory_destroy(memory[i]);
        free(room[i]);
    }
    dnnl_stream_destroy(stream);
    dnnl_primitive_destroy(product);
    dnnl_primitive_desc_destroy(desc);
    return best;
}

void matmul_thread_begin(void) { omp_set_num_threads(1); }
