/* What the machine itself can do, so that figures can be read as shares of it: the matrix products of one encoder layer by
 * oneDNN with nothing around them, in each number form, and reading memory; with one thread and with all. Also the facts
 * about the machine that explain a figure. oneDNN is asked here directly and not through the encoder, whose speed is
 * what these limits are held against. */
/* SPDX-License-Identifier: MIT */
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "verb_bench.h"

void omp_set_num_threads(int n);

enum { SHAPES = 4, MEMORY_BYTES = 512 << 20 };

/* Depth and width: query, key and value; attention's output; feed-forward up; down. */
static const int shapes[SHAPES][2] = { { 384, 1152 }, { 384, 384 }, { 384, 1536 }, { 1536, 384 } };
static const int heights[] = { 64, 256, 512 };
static const struct { const char *name, *precision; dnnl_data_type_t src, weights, dst; } forms[] = {
    { "matmul", "int8", dnnl_u8, dnnl_s8, dnnl_s32 },
    { "matmul", "bf16", dnnl_bf16, dnnl_bf16, dnnl_bf16 },
    { "matmul", "f32", dnnl_f32, dnnl_f32, dnnl_f32 },
};

struct product {
    dnnl_primitive_t primitive;
    dnnl_memory_t    src, weights, dst;
    void            *memory[3];
};

struct worker {
    pthread_t          thread;
    dnnl_engine_t      engine;
    int                form, height;
    pthread_barrier_t *start;
    double             until_s, operations, took_s;
    bool               failed;
    const uint64_t    *memory;          /* for reading */
    size_t             words;
    uint64_t           sum;
};

static bool memory_new(dnnl_engine_t engine, const dnnl_memory_desc_t *d, dnnl_memory_t *out, void **bytes_out)
{
    size_t n = dnnl_memory_desc_get_size(d);
    *bytes_out = aligned_alloc(64, (n + 63) / 64 * 64);
    if (!*bytes_out) abort();
    /* 0x3c3c is a small number in each form; zeros and denormals may go faster or slower than data does. */
    memset(*bytes_out, 0x3c, n);
    return dnnl_memory_create(out, d, engine, *bytes_out) == dnnl_success;
}

static bool product_new(struct worker *w, int shape, struct product *p)
{
    int                   depth = shapes[shape][0], width = shapes[shape][1];
    dnnl_memory_desc_t    src, weights, dst;
    dnnl_matmul_desc_t    op;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_dims_t           ds = { w->height, depth }, dw = { depth, width }, dd = { w->height, width };
    bool ok = !dnnl_memory_desc_init_by_tag(&src, 2, ds, forms[w->form].src, dnnl_ab)
           && !dnnl_memory_desc_init_by_tag(&weights, 2, dw, forms[w->form].weights, dnnl_format_tag_any)
           && !dnnl_memory_desc_init_by_tag(&dst, 2, dd, forms[w->form].dst, dnnl_ab)
           && !dnnl_matmul_desc_init(&op, &src, &weights, NULL, &dst)
           && !dnnl_primitive_desc_create(&desc, &op, NULL, w->engine, NULL);
    if (ok) {
        weights = *dnnl_primitive_desc_query_md(desc, dnnl_query_weights_md, 0);
        ok = !dnnl_primitive_create(&p->primitive, desc) && memory_new(w->engine, &src, &p->src, &p->memory[0])
          && memory_new(w->engine, &weights, &p->weights, &p->memory[1]) && memory_new(w->engine, &dst, &p->dst, &p->memory[2]);
    }
    if (desc) dnnl_primitive_desc_destroy(desc);
    return ok;
}

static void product_free(struct product *p)
{
    if (p->src) dnnl_memory_destroy(p->src);
    if (p->weights) dnnl_memory_destroy(p->weights);
    if (p->dst) dnnl_memory_destroy(p->dst);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
    for (int i = 0; i < 3; i++) free(p->memory[i]);
}

static bool layer_run(struct product *p, dnnl_stream_t stream)
{
    bool ok = true;
    for (int i = 0; i < SHAPES && ok; i++) {
        dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, p[i].src }, { DNNL_ARG_WEIGHTS, p[i].weights }, { DNNL_ARG_DST, p[i].dst } };
        ok = !dnnl_primitive_execute(p[i].primitive, stream, 3, args) && !dnnl_stream_wait(stream);
    }
    return ok;
}

static void *multiply(void *arg)
{
    struct worker *w = arg;
    struct product p[SHAPES] = { 0 };
    dnnl_stream_t  stream = NULL;
    double         each = 0;
    omp_set_num_threads(1);
    bool ok = !dnnl_stream_create(&stream, w->engine, dnnl_stream_default_flags);
    for (int i = 0; i < SHAPES && ok; i++) {
        ok = product_new(w, i, &p[i]);
        each += 2.0 * w->height * shapes[i][0] * shapes[i][1];
    }
    ok = ok && layer_run(p, stream);
    pthread_barrier_wait(w->start);
    double from = bench_now();
    do {
        for (int i = 0; i < 4 && ok; i++, w->operations += each) ok = layer_run(p, stream);
    } while (ok && bench_now() - from < w->until_s);
    w->took_s = bench_now() - from;
    w->failed = !ok;
    for (int i = 0; i < SHAPES; i++) product_free(&p[i]);
    if (stream) dnnl_stream_destroy(stream);
    return NULL;
}

typedef uint64_t lane __attribute__((vector_size(64), aligned(64)));

/* Wider registers where there are any: the narrow ones would be the limit, and not the memory. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#ifndef __SANITIZE_THREAD__     /* its resolver would run before the sanitizer is ready, and end every verb */
__attribute__((target_clones("avx512f", "avx2", "default")))
#endif
#endif
static uint64_t sum_of(const uint64_t *p, size_t words)
{
    const lane *v = (const lane *)(const void *)p;
    lane        a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 };
    for (size_t i = 0; i + 4 <= words / 8; i += 4) {
        a += v[i];
        b += v[i + 1];
        c += v[i + 2];
        d += v[i + 3];
    }
    a += b + c + d;
    return a[0] + a[1] + a[2] + a[3] + a[4] + a[5] + a[6] + a[7];
}

static void *read_memory(void *arg)
{
    struct worker *w = arg;
    pthread_barrier_wait(w->start);
    double from = bench_now();
    do {
        w->sum += sum_of(w->memory, w->words);
        w->operations += (double)w->words * 8;
    } while (bench_now() - from < w->until_s);
    w->took_s = bench_now() - from;
    return NULL;
}

/* Operations a second of `threads` threads together; 0: it cannot be had. */
static double together(struct worker *w, int threads, void *(*run)(void *))
{
    pthread_barrier_t start;
    double            sum = 0;
    bool              ok = true;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        w[i].start = &start;
        if (pthread_create(&w[i].thread, NULL, run, &w[i])) abort();
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(w[i].thread, NULL);
        ok = ok && !w[i].failed;
        sum += w[i].took_s > 0 ? w[i].operations / w[i].took_s : 0;
    }
    pthread_barrier_destroy(&start);
    return ok ? sum : 0;
}

static void put_limit(struct bench *b, const char *name, const char *precision, int threads, const char *per, double best)
{
    struct bench_samples s = { .wall_s = 1 };
    double               one = 1000;
    s.ms = &one;
    s.n = s.cap = 1;
    bench_put(b, &(struct bench_row){ .group = "machine", .name = name, .precision = precision, .threads = threads, .per = per,
                                      .things = best }, &s);
}

static void measure_products(struct bench *b, dnnl_engine_t engine, int form)
{
    struct worker w[BENCH_THREADS];
    for (int threads = 1; threads <= b->threads; threads = threads < b->threads ? b->threads : threads + 1) {
        double best = 0;
        for (size_t h = 0; h < sizeof heights / sizeof *heights; h++)
            for (int round = 0; round < 3; round++) {
                memset(w, 0, sizeof w);
                for (int i = 0; i < threads; i++)
                    w[i] = (struct worker){ .engine = engine, .form = form, .height = heights[h], .until_s = b->seconds / 20 };
                double got = together(w, threads, multiply);
                if (got > best) best = got;
            }
        if (best > 0) put_limit(b, forms[form].name, forms[form].precision, threads, "operations", best);
    }
}

static void measure_memory(struct bench *b)
{
    uint64_t *bytes = aligned_alloc(64, MEMORY_BYTES);
    if (!bytes) abort();
    memset(bytes, 1, MEMORY_BYTES);
    struct worker w[BENCH_THREADS];
    for (int threads = 1; threads <= b->threads; threads = threads < b->threads ? b->threads : threads + 1) {
        double best = 0;
        for (int round = 0; round < 3; round++) {
            memset(w, 0, sizeof w);
            size_t words = MEMORY_BYTES / 8 / (size_t)threads / 64 * 64;
            for (int i = 0; i < threads; i++)
                w[i] = (struct worker){ .memory = bytes + words * (size_t)i, .words = words, .until_s = b->seconds / 10 };
            double got = together(w, threads, read_memory);
            if (got > best) best = got;
        }
        put_limit(b, "memory_read", NULL, threads, "bytes", best);
    }
    free(bytes);
}

/* ---- facts ---- */

/* The first line of a file, or of what follows ": " after key; "" when there is none. */
static const char *line_of(struct arena *mem, const char *path, const char *key)
{
    FILE       *f = fopen(path, "re");
    char       *line = NULL;
    size_t      cap = 0;
    const char *found = "";
    while (f && !*found && getline(&line, &cap, f) >= 0) {
        if (key && strncmp(line, key, strlen(key))) continue;
        char *value = key ? strchr(line, ':') : line;
        if (!value) continue;
        if (key) value++;
        value += strspn(value, " \t");
        value[strcspn(value, "\n")] = 0;
        found = arena_strdup(mem, value);
    }
    free(line);
    if (f) fclose(f);
    return found;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

static void put_facts(struct bench *b)
{
    static const char *const features[] = { "avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm" };
    static const struct { const char *name, *path, *key; } lines[] = {
        { "cpu", "/proc/cpuinfo", "model name" },
        { "siblings_of_cpu0", "/sys/devices/system/cpu/cpu0/topology/thread_siblings_list", NULL },
        { "memory", "/proc/meminfo", "MemTotal" },
        { "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", NULL },
        { "load_before", "/proc/loadavg", NULL },
    };
    struct arena   *mem = &b->v->call.mem;
    struct buf      line;
    struct json_out j;
    char            when[25];
    struct utsname  u;
    buf_init(&line, 64 * 1024);
    json_out_init(&j, &line);
    json_begin_object(&j, NULL);
    json_put_text(&j, "group", "facts");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        const char *text = line_of(mem, lines[i].path, lines[i].key);
        json_put_text(&j, lines[i].name, *text ? text : NULL);
    }
    const char *flags = line_of(mem, "/proc/cpuinfo", "flags");
    json_begin_array(&j, "cpu_features");
    for (size_t i = 0; i < sizeof features / sizeof *features; i++)
        if (has_word(flags, features[i])) json_put_text(&j, NULL, features[i]);
    json_end(&j);
    json_put_int(&j, "cores", sysconf(_SC_NPROCESSORS_ONLN));
    json_put_int(&j, "cores_of_this_process", b->threads);
    if (!uname(&u)) {
        json_put_text(&j, "kernel", arena_printf(mem, "%s %s", u.sysname, u.release));
        json_put_text(&j, "machine", u.machine);
    }
    json_put_text(&j, "onednn", arena_printf(mem, "%d.%d.%d", dnnl_version()->major, dnnl_version()->minor, dnnl_version()->patch));
    json_put_text(&j, "onednn_max_isa", getenv("DNNL_MAX_CPU_ISA"));
    json_put_text(&j, "encoder_kernels", getenv("ENCODER_KERNELS"));
    json_put_text(&j, "compiler", __VERSION__);
    json_put_text(&j, "chiron", CHIRON_VERSION);
    json_put_text(&j, "started_at", clock_iso(clock_unix_ms(), when));
    json_end(&j);
    fprintf(b->to, "%s\n", line.data);
    fflush(b->to);
    buf_dispose(&line);
}

enum err bench_machine(struct bench *b)
{
    dnnl_engine_t engine = NULL;
    put_facts(b);
    measure_memory(b);
    if (dnnl_engine_create(&engine, dnnl_cpu, 0)) return fail(&b->v->call, ERR_INTERNAL, "oneDNN does not start");
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (!b->precision || !strcmp(b->precision, forms[i].precision)) measure_products(b, engine, (int)i);
    dnnl_engine_destroy(engine);
    return OK;
}
