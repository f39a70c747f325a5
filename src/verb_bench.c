/* How fast is this machine at what the product does: one row per thing measured, each on the demo's documents in a folder of
 * its own that is removed afterwards. Questions differ from call to call, so that caches do not answer. It measures the
 * engine in this process; `make bench` measures the server. Nothing here passes or fails. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/json.h"
#include "coaching/coaching.h"
#include "encoder/encoder.h"
#include "knowledge/knowledge.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

#define SAMPLES_MAX 20000
#define BATCH       64

static const char *const questions[] = {
    "How many days a week should I train?", "How much protein do I need each day?", "What is a deload week?",
    "My knee hurts on stairs, can I still squat?", "How do I sleep better after late sessions?", "When should I add weight?",
    "Which exercises work the hamstrings with a barbell?", "How long should I rest between sets?", "Can I train with a cold?",
    "What should I eat before a session?",
};

static const char *question(struct call *c, int i)
{
    return arena_printf(&c->mem, "%s (%d)", questions[(size_t)i % (sizeof questions / sizeof *questions)], i);
}

static enum err embed_one(struct call *c, int i)
{
    struct encoder *enc = encoder_default();
    const char     *text = question(c, i);
    float          *v = arena_array(&c->mem, (size_t)encoder_dim(enc), sizeof *v);
    return encoder_embed(c, enc, &text, NULL, 1, v);
}

/* Passages of about the length that documents are cut to. */
static enum err embed_batch(struct call *c, int i)
{
    struct encoder *enc = encoder_default();
    const char     *texts[BATCH];
    for (int k = 0; k < BATCH; k++) {
        struct buf b;
        buf_init(&b, 4096);
        for (int s = 0; s < 20; s++) buf_printf(&b, "%s ", questions[(size_t)(i + k + s) % (sizeof questions / sizeof *questions)]);
        texts[k] = arena_strdup(&c->mem, b.data);
        buf_dispose(&b);
    }
    float *v = arena_array(&c->mem, (size_t)encoder_dim(enc) * BATCH, sizeof *v);
    return encoder_embed(c, enc, texts, NULL, BATCH, v);
}

static enum err search_in(struct call *c, int i, enum search_mode mode)
{
    struct passage    *p = NULL;
    struct search_info info;
    int                n = 0;
    return search_text(c, question(c, i), &(struct search_opts){ .mode = mode, .k = 10 }, &p, &n, &info);
}

static enum err search_hybrid(struct call *c, int i)
{
    return search_in(c, i, SEARCH_HYBRID);
}

static enum err search_keyword(struct call *c, int i)
{
    return search_in(c, i, SEARCH_KEYWORD);
}

static enum err ask(struct call *c, int i)
{
    struct turn t;
    return coaching_turn(c, &(struct turn_in){ .question = question(c, i), .temperature = -1 }, NULL, &t);
}

static const struct bench {
    const char *name;
    int         each;            /* things done per call */
    enum err  (*run)(struct call *c, int i);
} benches[] = {
    { "embed, one question", 1, embed_one },
    { "embed, passages", BATCH, embed_batch },
    { "search, hybrid", 1, search_hybrid },
    { "search, keyword", 1, search_keyword },
    { "answer, extractive", 1, ask },
};

struct figures {
    int    calls;
    double p50_ms, p95_ms, per_second;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err measure(struct verb_env *v, const struct bench *b, int64_t for_ms, struct figures *out)
{
    static double took[SAMPLES_MAX];
    int           n = 0;
    int64_t       begun = clock_mono_us();
    enum err      e = OK;
    struct call   c;
    call_init(&c);
    c.stop = v->call.stop;
    c.rights = v->call.rights;
    e = tenant_open(&c, "demo");
    /* One call beforehand: the first touches pages that all later ones find warm. */
    if (!e) e = b->run(&c, -1);
    while (!e && n < SAMPLES_MAX && (n < 3 || clock_mono_us() - begun < for_ms * 1000)) {
        int64_t from = clock_mono_us();
        e = b->run(&c, n);
        took[n++] = (double)(clock_mono_us() - from) / 1000.0;
        c.span_count = 0;
        arena_reset(&c.mem);
        if (!e) e = call_check(&c);
    }
    tenant_release(&c);
    if (e) fail(&v->call, e, "%s: %s", b->name, c.err_text);
    call_dispose(&c);
    if (e) return e;
    double sum = 0;
    for (int i = 0; i < n; i++) sum += took[i];
    qsort(took, (size_t)n, sizeof *took, by_size);
    *out = (struct figures){ n, took[n / 2], took[(int)((double)(n - 1) * 0.95)], 1000.0 * n * b->each / sum };
    return OK;
}

static enum err load_demo(struct verb_env *v, double *seconds)
{
    struct call *c = &v->call;
    struct job  *jobs = NULL;
    int          n = 0;
    int64_t      begun = clock_mono_us();
    enum err     e = demo_prepare(c);
    if (!e) e = demo_load(c);
    if (!e) e = tenant_open(c, "demo");
    if (!e) e = jobs_list(c, 1000, &jobs, &n);
    for (int i = n - 1; i >= 0 && !e; i--)
        if (jobs[i].state == JOB_QUEUED) e = jobs_run_here(c, all_jobs, jobs[i].id);
    tenant_release(c);
    *seconds = (double)(clock_mono_us() - begun) / 1e6;
    return e;
}

static enum err run_all(struct verb_env *v, int64_t for_ms)
{
    double   load_s = 0;
    enum err e = load_demo(v, &load_s);
    if (e) return e;
    struct buf b;
    buf_init(&b, 64 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_real(&j, "demo_ingest_s", load_s);
    json_put_text(&j, "precision", encoder_precision_used(encoder_default()));
    json_begin_array(&j, "rows");
    if (!v->json) printf("%-22s %8.2f s\n%-22s %10s %10s %12s\n", "demo documents read in", load_s, "", "p50 ms", "p95 ms", "per second");
    for (size_t i = 0; i < sizeof benches / sizeof *benches && !e; i++) {
        struct figures f;
        e = measure(v, &benches[i], for_ms, &f);
        if (e) break;
        if (!v->json) {
            printf("%-22s %10.3f %10.3f %12.1f\n", benches[i].name, f.p50_ms, f.p95_ms, f.per_second);
            fflush(stdout);
            continue;
        }
        json_begin_object(&j, NULL);
        json_put_text(&j, "name", benches[i].name);
        json_put_int(&j, "calls", f.calls);
        json_put_real(&j, "p50_ms", f.p50_ms);
        json_put_real(&j, "p95_ms", f.p95_ms);
        json_put_real(&j, "per_second", f.per_second);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (!e && v->json) puts(b.data);
    buf_dispose(&b);
    return e;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

int verb_bench(int argc, char **argv)
{
    const char *seconds_text = NULL;
    const struct verb_flag flags[] = {
        { "--seconds", NULL, "N", &seconds_text, NULL, "how long each row is measured, 1 to 60 (3)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "[--seconds N]", "chiron bench\nchiron bench --seconds 10 -o json\n", flags, &a);
    if (code != VERB_GO) return code;
    int64_t seconds = 0;
    if (!verb_number(&a, "--seconds", seconds_text, 3, 1, 60, &seconds)) return EXIT_USAGE;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    if (a.data) return verb_usage(&a, "it measures in a folder of its own and takes no --data");
    const char *tmp = getenv("TMPDIR");
    char        dir[512];
    if (snprintf(dir, sizeof dir, "%s/chiron-bench-XXXXXX", tmp && *tmp ? tmp : "/tmp") >= (int)sizeof dir || !mkdtemp(dir)) {
        fprintf(stderr, "chiron bench: cannot make a folder in %s: %s\n", tmp ? tmp : "/tmp", strerror(errno));
        return EXIT_FAILED;
    }
    a.data = dir;
    conf_set("LLM_CHAIN", "extractive");
    struct verb_env v;
    enum err        e = verb_open(&v, &a, VERB_ANSWERS, NULL);
    if (!e) e = run_all(&v, seconds * 1000);
    code = verb_close(&v, e);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return code;
}
