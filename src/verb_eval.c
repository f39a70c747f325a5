/* Retrieval measured on a judged collection: its documents go into the real index of a folder of its own, which is
 * removed afterwards, and every judged question through the real search. Any relevance above 0 counts as 1. Times are
 * those of single searches, one after the other, the embedding of the question included. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "knowledge/eval.h"
#include "store/store.h"
#include "verbs.h"

#define LINE_BYTES  (16 << 20)
#define DEPTH       100          /* passages asked for per question */
#define ROWS_MAX    500000

enum { MODES = 3 };              /* as enum search_mode; then: all */
static const char *const mode_words[] = { "hybrid", "semantic", "keyword", "all" };

struct judgement { const char *query, *document; };
struct collection_files {
    struct eval_document *docs;
    struct eval_document *queries;   /* id, text */
    struct judgement     *relevant;  /* only those above 0, sorted by query */
    int doc_count, query_count, relevant_count;
    FILE *each;                          /* where every question's line goes, NULL: nowhere */
};

/* ---- reading ---- */

static enum err each_line(struct call *c, const char *path, enum err (*take)(struct call *c, char *line, size_t n, int number, void *arg),
                          void *arg)
{
    FILE *f = fopen(path, "re");
    if (!f) return fail(c, ERR_NOT_FOUND, "cannot open %s: %s", path, strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    enum err e = OK;
    for (int number = 1; !e && (n = getline(&line, &cap, f)) >= 0; number++) {
        while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r')) line[--n] = 0;
        if (n > LINE_BYTES) e = fail(c, ERR_TOO_LARGE, "%s: line %d is over %d bytes", path, number, LINE_BYTES);
        else if (n > 0) e = take(c, line, (size_t)n, number, arg);
        if (e && !strstr(c->err_text, path)) {
            /* The words know the line; the file is known here. */
            char words[sizeof c->err_text];
            snprintf(words, sizeof words, "%.200s", c->err_text);
            call_forgive(c);
            e = fail(c, e, "%s: %s", path, words);
        }
    }
    free(line);
    fclose(f);
    return e;
}

struct texts { struct eval_document *rows; int n, cap; };

static enum err take_text(struct call *c, char *line, size_t n, int number, void *arg)
{
    struct texts *t = arg;
    json_t *v = NULL;
    enum err e = json_parse(c, line, n, &v);
    if (e) return e;
    const char *id = json_get_text(v, "id", json_get_text(v, "_id", NULL)), *text = json_get_text(v, "text", NULL);
    if (!id || !text || !*id || strlen(id) > LIMIT_ID_BYTES - 12) e = fail(c, ERR_INVALID, "line %d needs id (1 to %d bytes) and text", number, LIMIT_ID_BYTES - 12);
    else if (t->n == ROWS_MAX) e = fail(c, ERR_TOO_LARGE, "more than %d lines", ROWS_MAX);
    if (!e && t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1024;
        t->rows = reallocarray(t->rows, (size_t)t->cap, sizeof *t->rows);
        if (!t->rows) abort();
    }
    if (!e)
        t->rows[t->n++] = (struct eval_document){ arena_strdup(&c->mem, id), arena_strdup(&c->mem, json_get_text(v, "title", "")),
                                                  arena_strdup(&c->mem, text) };
    json_decref(v);
    return e;
}

struct judgements { struct judgement *rows; int n, cap; };

static enum err take_judgement(struct call *c, char *line, size_t n, int number, void *arg)
{
    struct judgements *t = arg;
    (void)n;
    char *tab = strchr(line, '\t'), *second = tab ? strchr(tab + 1, '\t') : NULL, *end = NULL;
    double relevance = second ? strtod(second + 1, &end) : 0;
    if (!second || end == second + 1) {
        if (number == 1) return OK;       /* the heading */
        return fail(c, ERR_INVALID, "line %d is not query_id, document_id, relevance with tabs between", number);
    }
    if (relevance <= 0) return OK;
    if (t->n == ROWS_MAX) return fail(c, ERR_TOO_LARGE, "more than %d judgements", ROWS_MAX);
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 1024;
        t->rows = reallocarray(t->rows, (size_t)t->cap, sizeof *t->rows);
        if (!t->rows) abort();
    }
    t->rows[t->n++] = (struct judgement){ arena_strndup(&c->mem, line, (size_t)(tab - line)),
                                          arena_strndup(&c->mem, tab + 1, (size_t)(second - tab - 1)) };
    return OK;
}

static int by_query(const void *pa, const void *pb)
{
    const struct judgement *a = pa, *b = pb;
    int d = strcmp(a->query, b->query);
    return d ? d : strcmp(a->document, b->document);
}

/* ---- measuring ---- */

struct sums { double ndcg, mrr, recall, recall50; double *ms; int n; const char *strategy; };

/* One question with its ranking and what each leg gave: enough to compare two builds, or parts of the questions. */
static void print_each(FILE *f, const char *mode, const char *query, const double measures[4], const struct passage *p, int n)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 1 << 20);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "query", query);
    json_put_text(&j, "mode", mode);
    static const char *const names[] = { "ndcg@10", "mrr@10", "recall@50", "recall@100" };
    for (int i = 0; i < 4; i++) json_put_float(&j, names[i], measures[i]);
    json_begin_array(&j, "passages");
    for (int i = 0; i < n; i++) {
        json_begin_object(&j, NULL);
        json_put_text(&j, "document", p[i].document_id);
        json_put_float(&j, "score", p[i].score);
        json_put_float(&j, "score_cos", p[i].score_cos);
        json_put_float(&j, "score_bm25", p[i].score_bm25);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (!b.failed) fprintf(f, "%.*s\n", (int)b.len, b.data);
    buf_dispose(&b);
}


static bool is_relevant(const struct collection_files *f, const char *query, const char *document)
{
    struct judgement key = { query, document };
    return bsearch(&key, f->relevant, (size_t)f->relevant_count, sizeof key, by_query) != NULL;
}

static int relevant_of(const struct collection_files *f, const char *query)
{
    int n = 0;
    for (int i = 0; i < f->relevant_count; i++) n += strcmp(f->relevant[i].query, query) == 0;
    return n;
}

static enum err one_query(struct call *c, const struct collection_files *f, const struct eval_document *q, enum search_mode mode,
                          struct sums *s)
{
    int relevant = relevant_of(f, q->id), gains[DEPTH], ranked = 0, n = 0;
    if (relevant == 0) return OK;
    struct passage *p = NULL;
    struct search_info info;
    int64_t start = clock_mono_us();
    enum err e = search_text(c, q->text, &(struct search_opts){ .mode = mode, .k = DEPTH }, &p, &n, &info);
    if (e) return e;
    s->ms[s->n++] = (double)(clock_mono_us() - start) / 1000;
    s->strategy = info.strategy;
    for (int i = 0; i < n; i++) {
        bool seen = false;                 /* a document counts where its first passage stands */
        for (int k = 0; k < i && !seen; k++) seen = strcmp(p[k].document_id, p[i].document_id) == 0;
        if (!seen) gains[ranked++] = is_relevant(f, q->id, p[i].document_id);
    }
    const double got[4] = { eval_ndcg(gains, ranked, relevant, 10), eval_mrr(gains, ranked, 10), eval_recall(gains, ranked, relevant, 50),
                            eval_recall(gains, ranked, relevant, 100) };
    s->ndcg += got[0];
    s->mrr += got[1];
    s->recall50 += got[2];
    s->recall += got[3];
    if (f->each) print_each(f->each, mode_words[mode], q->id, got, p, n);
    return OK;
}

static void print(const struct verb_env *v, const struct collection_files *f, struct sums *s, const char *mode)
{
    double n = s->n ? s->n : 1, p50 = eval_percentile(s->ms, s->n, 50), p95 = eval_percentile(s->ms, s->n, 95);
    if (v->json)
        printf("{\"mode\":\"%s\",\"strategy\":\"%s\",\"documents\":%d,\"queries\":%d,\"ndcg@10\":%.4f,\"mrr@10\":%.4f,"
               "\"recall@50\":%.4f,\"recall@100\":%.4f,\"p50_ms\":%.3f,\"p95_ms\":%.3f}\n",
               mode, s->strategy, f->doc_count, s->n, s->ndcg / n, s->mrr / n, s->recall50 / n, s->recall / n, p50, p95);
    else
        printf("mode        %s\ndocuments   %d\nqueries     %d\nndcg@10     %.4f\nmrr@10      %.4f\nrecall@50   %.4f\nrecall@100  %.4f\n"
               "p50_ms      %.3f\np95_ms      %.3f\n",
               s->strategy, f->doc_count, s->n, s->ndcg / n, s->mrr / n, s->recall50 / n, s->recall / n, p50, p95);
}

static void progress(void *arg, int done, int all)
{
    (void)arg;
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\rembedding %d of %d%s", done, all, done == all ? "\n" : "");
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static enum err one_mode(struct verb_env *v, const struct collection_files *f, int mode)
{
    struct call *c = &v->call;
    struct sums s = { .ms = arena_array(&c->mem, (size_t)f->query_count + 1, sizeof(double)), .strategy = mode_words[mode] };
    /* The first search reads the index into memory: it belongs to the start of a server, not to a question. */
    struct passage *p = NULL;
    struct search_info info;
    int n = 0;
    enum err e = search_text(c, "warm up", &(struct search_opts){ .mode = (enum search_mode)mode, .k = 1 }, &p, &n, &info);
    for (int i = 0; !e && i < f->query_count; i++) {
        c->span_count = 0;
        e = one_query(c, f, &f->queries[i], (enum search_mode)mode, &s);
    }
    if (!e && s.n == 0) e = fail(c, ERR_INVALID, "none of the queries has a relevant document in the judgements");
    if (!e) print(v, f, &s, mode_words[mode]);
    return e;
}

static enum err measure(struct verb_env *v, const struct collection_files *f, int mode, int64_t threads)
{
    struct call *c = &v->call;
    bool created = false;
    enum err e = tenant_create(c, "eval", "eval", &created);
    if (!e) e = tenant_open(c, "eval");
    if (!e) e = eval_index(c, f->docs, f->doc_count, (int)threads, progress, NULL);
    for (int m = 0; !e && m < MODES; m++)
        if (mode == m || mode == MODES) e = one_mode(v, f, m);
    return e;
}

static enum err in_folder(struct verb_env *v, const struct collection_files *f, int mode, int64_t threads)
{
    struct call *c = &v->call;
    const char *tmp = getenv("TMPDIR");
    char *dir = arena_printf(&c->mem, "%s/chiron-eval-XXXXXX", tmp && *tmp ? tmp : "/tmp");
    if (!mkdtemp(dir)) return fail(c, ERR_IO, "cannot make a folder in %s: %s", tmp ? tmp : "/tmp", strerror(errno));
    enum err e = store_open(c, dir);
    if (!e) {
        e = knowledge_open(c);
        if (!e) e = measure(v, f, mode, threads);
        tenant_release(c);
        knowledge_close();
        store_close();
    }
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return e;
}

int verb_eval(int argc, char **argv)
{
    const char *documents = NULL, *queries = NULL, *qrels = NULL, *each = NULL, *mode = "hybrid", *threads_text = NULL;
    const struct verb_flag flags[] = {
        { "--documents", NULL, "F", &documents, NULL, "JSON lines with id, title, text" },
        { "--queries", NULL, "F", &queries, NULL, "JSON lines with id, text" },
        { "--qrels", NULL, "F", &qrels, NULL, "query_id, document_id, relevance with tabs between" },
        { "--mode", NULL, "MODE", &mode, NULL, "hybrid, semantic, keyword, or all of them one after the other (hybrid)" },
        { "--each", NULL, "F", &each, NULL, "write a line of JSON for every question: measures and ranking" },
        { "--threads", NULL, "N", &threads_text, NULL, "for embedding the documents, 1 to 16 (the processors)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "--documents F --queries F --qrels F [--mode hybrid|semantic|keyword|all]",
                         "chiron eval --documents documents.jsonl --queries queries.jsonl --qrels qrels.tsv\n"
                         "chiron eval --documents d.jsonl --queries q.jsonl --qrels r.tsv --mode keyword -o json\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (!documents || !queries || !qrels) return verb_usage(&a, "--documents, --queries and --qrels are needed");
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    int m = 0;
    while (m <= MODES && strcmp(mode, mode_words[m]) != 0) m++;
    if (m > MODES) return verb_usage(&a, "--mode is hybrid, semantic, keyword or all, not \"%.40s\"", mode);
    int64_t threads = 0;
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (!verb_number(&a, "--threads", threads_text, processors < 1 ? 1 : processors > 16 ? 16 : processors, 1, 16, &threads))
        return EXIT_USAGE;

    struct verb_env v;
    struct texts d = { 0 }, q = { 0 };
    struct judgements r = { 0 };
    enum err e = verb_open(&v, &a, m == SEARCH_KEYWORD ? VERB_CONF : VERB_ENCODER, NULL);
    if (!e) e = each_line(&v.call, documents, take_text, &d);
    if (!e) e = each_line(&v.call, queries, take_text, &q);
    if (!e) e = each_line(&v.call, qrels, take_judgement, &r);
    if (!e && r.n) qsort(r.rows, (size_t)r.n, sizeof *r.rows, by_query);
    struct collection_files f = { d.rows, q.rows, r.rows, d.n, q.n, r.n, NULL };
    if (!e && each && !(f.each = fopen(each, "we"))) e = fail(&v.call, ERR_IO, "cannot write %s: %s", each, strerror(errno));
    if (!e) e = in_folder(&v, &f, m, threads);
    if (f.each && fclose(f.each) != 0 && !e) e = fail(&v.call, ERR_IO, "cannot write %s: %s", each, strerror(errno));
    code = verb_close(&v, e);
    free(d.rows);
    free(q.rows);
    free(r.rows);
    return code;
}
