/* The encoder's rows: many texts of a chunk's length, one short question at a time, and several callers at once. The share of
 * the limit counts the products with weights only, 2 operations for each weight and token, as the limit does: attention, norms
 * and reading the text are what keeps it below one. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "encoder/encoder.h"
#include "verb_bench.h"

enum { TEXTS = 64, CONFIG_MAX_BYTES = 64 * 1024 };

struct texts {
    struct encoder    *enc;
    const char *const *chunk;
    int                count;
    float             *out;      /* of the bulk row's one caller */
    uint64_t           seed;
};

static enum err embed_many(struct call *c, int i, void *arg)
{
    struct texts *t = arg;
    const char   *some[TEXTS];
    (void)i;
    /* Always the same ones: with others each time, the calls would differ in length and not in speed. */
    for (int k = 0; k < TEXTS; k++) some[k] = t->chunk[k % t->count];
    return encoder_embed(c, t->enc, some, NULL, TEXTS, t->out);
}

static enum err embed_one(struct call *c, int i, void *arg)
{
    struct texts *t = arg;
    const char   *text = bench_query(&c->mem, t->seed + (uint64_t)i);
    float        *v = arena_array(&c->mem, (size_t)encoder_dim(t->enc), sizeof *v);
    return encoder_embed(c, t->enc, &text, NULL, 1, v);
}

/* Operations a token takes in the products with weights, from the model's own description. */
static double work_per_token(struct call *c)
{
    char        text[CONFIG_MAX_BYTES];
    const char *path = arena_printf(&c->mem, "%s/config.json", verb_model_dir(c));
    FILE       *f = fopen(path, "rbe");
    size_t      n = f ? fread(text, 1, sizeof text, f) : 0;
    json_t     *v = NULL;
    double      work = 0;
    if (f) fclose(f);
    if (n && n < sizeof text && !json_parse(c, text, n, &v)) {
        double hidden = json_get_real(v, "hidden_size", 0), up = json_get_real(v, "intermediate_size", 0);
        work = 2 * json_get_real(v, "num_hidden_layers", 0) * hidden * (4 * hidden + 2 * up);
    } else {
        call_forgive(c);
    }
    json_decref(v);
    return work;
}

static enum err bulk(struct bench *b, struct texts *t)
{
    struct call *c = &b->v->call;
    int          counts[TEXTS];
    const char  *some[TEXTS];
    double       tokens = 0;
    for (int k = 0; k < TEXTS; k++) some[k] = t->chunk[k % t->count];
    enum err e = encoder_embed_counted(c, t->enc, some, NULL, TEXTS, t->out, counts);
    for (int k = 0; k < TEXTS && !e; k++) tokens += counts[k];
    struct bench_row row = { .group = "embed", .name = "bulk", .precision = encoder_precision_used(t->enc), .threads = b->threads,
                             .per = "tokens", .things = tokens, .work = tokens * work_per_token(c),
                             .limit = b->threads > 1 ? b->limit_n : b->limit_1, .extra = TEXTS, .extra_name = "texts",
                             .ids = "RAG-035" };
    return e ? e : bench_measure(b, &row, embed_many, t, NULL);
}

enum err bench_embed(struct bench *b)
{
    struct call *c = &b->v->call;
    struct texts t = { .enc = encoder_default(), .seed = b->seed };
    enum err     e = bench_chunks(c, &t.chunk, &t.count);
    if (e) return e;
    if (strcmp(encoder_precision_used(t.enc), b->precision))
        bench_note(b, "embed", "this machine runs %s as %s", b->precision, encoder_precision_used(t.enc));
    t.out = arena_array(&c->mem, (size_t)encoder_dim(t.enc) * TEXTS, sizeof *t.out);
    if (bench_wants(b, "bulk")) e = bulk(b, &t);
    const char *query = bench_query(&c->mem, 0);
    float      *v = arena_array(&c->mem, (size_t)encoder_dim(t.enc), sizeof *v);
    int         tokens = 0;
    if (!e) e = encoder_embed_counted(c, t.enc, &query, NULL, 1, v, &tokens);
    struct bench_row row = { .group = "embed", .precision = encoder_precision_used(t.enc), .threads = b->threads, .per = "queries",
                             .things = 1, .extra = tokens, .extra_name = "tokens" };
    if (!e && b->threads == 1 && bench_wants(b, "query")) {
        row.name = "query";
        row.ids = "RAG-031";
        e = bench_measure(b, &row, embed_one, &t, NULL);
    }
    static const int callers[] = { 1, 2, 8 };
    row.name = "concurrent";
    row.ids = NULL;
    for (size_t i = 0; i < sizeof callers / sizeof *callers && !e && b->threads > 1 && bench_wants(b, "concurrent"); i++) {
        row.clients = callers[i];
        e = bench_measure(b, &row, embed_one, &t, NULL);
    }
    return e;
}
