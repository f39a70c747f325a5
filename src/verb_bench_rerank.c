/* The cross-encoder's rows. There need be none installed to know how fast one would be: time depends on the shape and not on
 * what was learned, so the embedding model's own weights become the body of a cross-encoder whose last two layers are made
 * up. Its scores mean nothing and are not shown. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "encoder/reranker.h"
#include "knowledge/rerank.h"
#include "verb_bench.h"

enum { PAIRS = 20, PAIR_TOKENS = 256, HEADER_BYTES = 16 << 20, SPANS = 600 };

struct pairs {
    struct reranker *r;
    const char      *query, *text[PAIRS];
    int              tokens;
};

static const char *slurp(struct call *c, const char *path, size_t max, size_t *n_out)
{
    FILE  *f = fopen(path, "rbe");
    char  *text = arena_alloc(&c->mem, max + 1);
    size_t n = f ? fread(text, 1, max, f) : 0;
    if (f) fclose(f);
    text[n] = 0;
    *n_out = n;
    return n ? text : NULL;
}

static void add_tensor(json_t *head, const char *name, size_t rows, size_t columns, size_t *at)
{
    json_t *shape = columns ? json_pack("[I,I]", (json_int_t)rows, (json_int_t)columns) : json_pack("[I]", (json_int_t)rows);
    size_t  bytes = rows * (columns ? columns : 1) * sizeof(float);
    json_object_set_new(head, name, json_pack("{s:s,s:o,s:[I,I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)*at,
                                              (json_int_t)(*at + bytes)));
    *at += bytes;
}

/* The header of the same tensors under the names that a cross-encoder's have, with the last two layers behind them; *data_out
 * is how many bytes of data the file had and *more_out how many the new ones take. */
static json_t *renamed(const json_t *old, int hidden, size_t *data_out, size_t *more_out)
{
    json_t     *head = json_object();
    const char *name;
    json_t     *t;
    size_t      end = 0;
    bool        pooled = false;
    json_object_foreach((json_t *)(uintptr_t)old, name, t) {
        char whole[256];
        if (!strcmp(name, "__metadata__")) continue;
        snprintf(whole, sizeof whole, "%s%s", strncmp(name, "bert.", 5) ? "bert." : "", name);
        pooled = pooled || !strcmp(whole, "bert.pooler.dense.weight");
        size_t last = (size_t)json_integer_value(json_array_get(json_object_get(t, "data_offsets"), 1));
        if (last > end) end = last;
        json_object_set(head, whole, t);
    }
    *data_out = end;
    size_t at = end;
    if (!pooled) {
        add_tensor(head, "bert.pooler.dense.weight", (size_t)hidden, (size_t)hidden, &at);
        add_tensor(head, "bert.pooler.dense.bias", (size_t)hidden, 0, &at);
    }
    add_tensor(head, "classifier.weight", 1, (size_t)hidden, &at);
    add_tensor(head, "classifier.bias", 1, 0, &at);
    *more_out = at - end;
    return head;
}

static bool write_weights(FILE *in, FILE *out, const json_t *old, int hidden)
{
    size_t   data = 0, more = 0;
    json_t  *head = renamed(old, hidden, &data, &more);
    char    *text = json_dumps(head, JSON_COMPACT);
    uint64_t n = text ? (strlen(text) + 7) / 8 * 8 : 0;
    char     piece[64 * 1024];
    bool     ok = text && fwrite(&n, sizeof n, 1, out) == 1 && fprintf(out, "%-*s", (int)n, text) == (int)n;
    while (ok && data > 0) {
        size_t want = data < sizeof piece ? data : sizeof piece;
        ok = fread(piece, 1, want, in) == want && fwrite(piece, 1, want, out) == want;
        data -= want;
    }
    for (size_t i = 0; ok && i < more / sizeof(float); i++) {
        float v = (float)((int)(i * 2654435761u % 2001) - 1000) / 20000.0f;
        ok = fwrite(&v, sizeof v, 1, out) == 1;
    }
    free(text);
    json_decref(head);
    return ok;
}

static bool copy_file(struct call *c, const char *from, const char *to, const char *name)
{
    size_t      n = 0;
    const char *text = slurp(c, arena_printf(&c->mem, "%s/%s", from, name), HEADER_BYTES, &n);
    FILE       *f = text ? fopen(arena_printf(&c->mem, "%s/%s", to, name), "wbe") : NULL;
    bool        ok = f && fwrite(text, 1, n, f) == n;
    return f && !fclose(f) && ok;
}

/* A folder of a cross-encoder in the embedding model's shape. */
static enum err make_model(struct call *c, const char *folder)
{
    const char *from = verb_model_dir(c);
    size_t      n = 0;
    const char *config_text = slurp(c, arena_printf(&c->mem, "%s/config.json", from), HEADER_BYTES, &n);
    json_t     *config = NULL, *head = NULL;
    FILE       *in = fopen(arena_printf(&c->mem, "%s/model.safetensors", from), "rbe"), *out = NULL;
    uint64_t    head_bytes = 0;
    bool        ok = in && config_text && !mkdir(folder, 0700) && !json_parse(c, config_text, n, &config)
              && fread(&head_bytes, sizeof head_bytes, 1, in) == 1 && head_bytes < HEADER_BYTES;
    if (ok) {
        char *text = arena_alloc(&c->mem, head_bytes + 1);
        ok = fread(text, 1, head_bytes, in) == head_bytes && !json_parse(c, text, head_bytes, &head);
    }
    if (ok) {
        json_object_set_new(config, "architectures", json_pack("[s]", "BertForSequenceClassification"));
        json_object_set_new(config, "num_labels", json_integer(1));
        ok = !json_dump_file(config, arena_printf(&c->mem, "%s/config.json", folder), JSON_INDENT(1)) && copy_file(c, from, folder, "vocab.txt");
        out = fopen(arena_printf(&c->mem, "%s/model.safetensors", folder), "wbe");
        ok = ok && out && write_weights(in, out, head, (int)json_get_int(config, "hidden_size", 0));
    }
    if (out && fclose(out)) ok = false;
    if (in) fclose(in);
    json_decref(config);
    json_decref(head);
    return ok || c->err ? c->err : fail(c, ERR_IO, "cannot make a cross-encoder of %s: %s", from, strerror(errno));
}

/* Text k cut so that the pair has PAIR_TOKENS tokens with [CLS] and both [SEP]. */
static const char *cut(struct call *c, const struct tokenizer *w, const char *query, const char *text)
{
    uint32_t spans[SPANS];
    int      room = PAIR_TOKENS - 3 - tokenizer_spans(w, query, strlen(query), spans, SPANS);
    int      n = tokenizer_spans(w, text, strlen(text), spans, SPANS);
    return n > room ? arena_strndup(&c->mem, text, spans[room]) : text;
}

static enum err score(struct call *c, int i, void *arg)
{
    struct pairs       *p = arg;
    struct reranker_run run;
    float               logits[PAIRS];
    (void)i;
    enum err e = reranker_score(c, p->r, p->query, p->text, NULL, PAIRS, logits, &run);
    if (!e) p->tokens = run.tokens;
    return e;
}

static enum err without_model(struct call *c, int i, void *arg)
{
    const struct pairs *p = arg;
    float               scores[PAIRS];
    const char         *method = NULL;
    const char         *query = arena_printf(&c->mem, "%s %d", p->query, i);
    return rerank_hybrid(c, query, p->text, PAIRS, scores, &method);
}

enum err bench_rerank(struct bench *b)
{
    struct call       *c = &b->v->call;
    struct pairs       p = { .query = bench_query(&c->mem, 0) };
    const char *const *chunk = NULL;
    int                n = 0;
    const char        *folder = arena_printf(&c->mem, "%s/made-up-cross-encoder", b->dir);
    enum err           e = bench_chunks(c, &chunk, &n);
    for (int i = 0; i < PAIRS && !e; i++)
        p.text[i] = cut(c, encoder_tokenizer(encoder_default()), p.query,
                        arena_printf(&c->mem, "%s %s", chunk[2 * i % n], chunk[(2 * i + 1) % n]));
    if (!e) e = make_model(c, folder);
    enum encoder_precision form = ENCODER_AUTO;
    if (!e) e = encoder_precision_parse(c, b->precision, &form);
    if (!e) e = reranker_load(c, folder, form, &p.r);
    if (!e) e = score(c, 0, &p);
    struct bench_row row = { .group = "rerank", .name = "cross_encoder", .threads = b->threads, .per = "pairs", .things = PAIRS, .extra = p.tokens,
                             .extra_name = "tokens", .ids = "RAG-033" };
    if (!e && bench_wants(b, row.name)) {
        row.precision = reranker_precision_used(p.r);
        e = bench_measure(b, &row, score, &p, NULL);
    }
    reranker_free(p.r);
    if (!e && bench_wants(b, "hybrid_score")) {
        struct bench_row hybrid = { .group = "rerank", .name = "hybrid_score", .precision = encoder_precision_used(encoder_default()),
                                    .threads = b->threads, .per = "pairs", .things = PAIRS };
        e = bench_measure(b, &hybrid, without_model, &p, NULL);
    }
    return e;
}
