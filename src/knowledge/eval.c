/* knowledge/eval.c — a judged collection through the product's own index. Ingest's job queue and extraction are left out,
 * because a collection comes as plain texts; splitting, analysing, embedding and storing are the same functions.
 * It refuses to tune anything: the same settings that serve people are measured. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/eval.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/encoder.h"
#include "knowledge/eval_store.h"
#include "knowledge/split.h"

#define BATCH       64
#define THREADS_MAX 16
#define WHOLE_BYTES 8000      /* an abstract stays one passage; a longer document is split */

struct piece { const char *document_id, *title, *text; int index; };
struct work {
    const struct piece *pieces;
    int n, next;              /* under lock */
    float *vectors;
    int dim;
    pthread_mutex_t lock;
    enum err err;
    char words[400];
    void (*progress)(void *arg, int done, int all);
    void *arg;
    const struct call *parent;
};

static enum err embed_batch(struct call *c, struct work *w, int from, int n)
{
    const char *texts[BATCH];
    for (int i = 0; i < n; i++) {
        const struct piece *p = &w->pieces[from + i];
        texts[i] = *p->title ? arena_printf(&c->mem, "%s\n%s", p->title, p->text) : p->text;
    }
    return encoder_embed_as(c, encoder_default(), ENCODER_PASSAGE, texts, NULL, n, w->vectors + (size_t)from * (size_t)w->dim, NULL);
}

static void *run(void *arg)
{
    struct work *w = arg;
    struct call c;
    call_init(&c);
    c.stop = w->parent->stop;
    for (;;) {
        pthread_mutex_lock(&w->lock);
        int from = w->next, n = w->n - from < BATCH ? w->n - from : BATCH;
        if (w->err) n = 0;
        w->next += n;
        if (n > 0 && w->progress) w->progress(w->arg, w->next, w->n);
        pthread_mutex_unlock(&w->lock);
        if (n <= 0) break;
        arena_reset(&c.mem);
        enum err e = embed_batch(&c, w, from, n);
        if (!e) continue;
        pthread_mutex_lock(&w->lock);
        if (!w->err) memcpy(w->words, c.err_text, sizeof w->words);
        w->err = e;
        pthread_mutex_unlock(&w->lock);
    }
    call_dispose(&c);
    return NULL;
}

static enum err embed_all(struct call *c, struct work *w, int threads)
{
    pthread_t t[THREADS_MAX];
    int started = 0;
    if (threads > THREADS_MAX) threads = THREADS_MAX;
    while (started < threads - 1 && pthread_create(&t[started], NULL, run, w) == 0) started++;
    run(w);
    while (started > 0) pthread_join(t[--started], NULL);
    return w->err ? fail(c, w->err, "%s", w->words) : OK;
}

static int cut(struct call *c, const struct eval_document *d, struct piece *out, int max)
{
    size_t len = strlen(d->text);
    const char *title = d->title ? d->title : "";
    if (len <= WHOLE_BYTES) {
        if (max > 0) out[0] = (struct piece){ d->id, title, d->text, 0 };
        return 1;
    }
    struct extract_page page = { .text = d->text, .len = len };
    struct split_piece *cuts = NULL;
    int n = split_page(c, &page, &(struct split_opts){ .size = LIMIT_CHUNK_CHARS, .overlap = LIMIT_CHUNK_OVERLAP_CHARS }, &cuts);
    for (int i = 0; i < n && i < max; i++)
        out[i] = (struct piece){ d->id, title, arena_strndup(&c->mem, d->text + cuts[i].start, cuts[i].end - cuts[i].start), i };
    return n;
}

enum err eval_index(struct call *c, const struct eval_document *docs, int n, int threads,
                    void (*progress)(void *arg, int done, int all), void *arg)
{
    int count = 0, at = 0;
    for (int i = 0; i < n; i++) count += cut(c, &docs[i], NULL, 0);
    struct piece *pieces = arena_array(&c->mem, (size_t)count + 1, sizeof *pieces);
    for (int i = 0; i < n; i++) at += cut(c, &docs[i], pieces + at, count - at);
    struct work w = { .pieces = pieces, .n = count, .progress = progress, .arg = arg, .parent = c };
    struct encoder *enc = encoder_default();
    enum err e = OK;
    if (enc) {
        w.dim = encoder_dim(enc);
        w.vectors = calloc((size_t)count + 1, (size_t)w.dim * sizeof *w.vectors);
        if (!w.vectors) abort();
        pthread_mutex_init(&w.lock, NULL);
        e = embed_all(c, &w, threads);
        pthread_mutex_destroy(&w.lock);
    }
    struct eval_chunk *rows = arena_array(&c->mem, (size_t)count + 1, sizeof *rows);
    for (int i = 0; i < count; i++)
        rows[i] = (struct eval_chunk){ pieces[i].document_id, pieces[i].title, pieces[i].text, pieces[i].index,
                                       w.vectors ? w.vectors + (size_t)i * (size_t)w.dim : NULL };
    if (!e) e = eval_store_put(c, rows, count, enc ? encoder_name(enc) : "", w.dim);
    free(w.vectors);
    return e;
}

double eval_ndcg(const int *gains, int n, int relevant, int depth)
{
    double got = 0, ideal = 0;
    for (int i = 0; i < depth; i++) {
        if (i < n && gains[i] > 0) got += 1 / log2(i + 2);
        if (i < relevant) ideal += 1 / log2(i + 2);
    }
    return ideal > 0 ? got / ideal : 0;
}

double eval_mrr(const int *gains, int n, int depth)
{
    for (int i = 0; i < n && i < depth; i++)
        if (gains[i] > 0) return 1.0 / (i + 1);
    return 0;
}

double eval_recall(const int *gains, int n, int relevant, int depth)
{
    int found = 0;
    for (int i = 0; i < n && i < depth; i++) found += gains[i] > 0;
    return relevant > 0 ? (double)found / relevant : 0;
}

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;
    return a < b ? -1 : a > b;
}

double eval_percentile(double *values, int n, double p)
{
    if (n == 0) return 0;
    qsort(values, (size_t)n, sizeof *values, ascending);
    int at = (int)ceil(p / 100 * n) - 1;
    return values[at < 0 ? 0 : at >= n ? n - 1 : at];
}
