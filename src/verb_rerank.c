/* SPDX-License-Identifier: MIT */
/* Lines of text in, the same lines out, those that answer the query best first: the re-ranking that a search has, for texts
 * that are nowhere stored. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "knowledge/rerank.h"
#include "verbs.h"

#define LINE_BYTES (64 * 1024)

static enum err read_lines(struct call *c, const char **texts, int *n_out)
{
    static char line[LINE_BYTES + 2];
    int         n = 0;
    enum err    e = OK;
    while (!e && fgets(line, sizeof line, stdin)) {
        size_t got = strlen(line);
        bool   whole = feof(stdin) || (got && line[got - 1] == '\n');
        while (got && (line[got - 1] == '\n' || line[got - 1] == '\r')) line[--got] = 0;
        if (!whole || got > LINE_BYTES) e = fail(c, ERR_TOO_LARGE, "line %d has over %d bytes", n + 1, LINE_BYTES);
        else if (!line[strspn(line, " \t")]) continue;
        else if (n == LIMIT_RERANK_TEXTS) e = fail(c, ERR_TOO_LARGE, "more than %d lines", LIMIT_RERANK_TEXTS);
        else texts[n++] = arena_strndup(&c->mem, line, got);
    }
    if (!e && n == 0) e = fail(c, ERR_INVALID, "no line to rank on standard input");
    *n_out = n;
    return e;
}

static void print_json(const char *const *texts, const struct reranked *r, int top)
{
    struct buf b;
    buf_init(&b, (size_t)LIMIT_REPLY_BYTES);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "method", r->method);
    json_put_text(&j, "model", r->model);
    json_put_int(&j, "scored", r->scored);
    json_put_int(&j, "of", r->of);
    json_put_int(&j, "batches", r->batches);
    json_put_text(&j, "fell_back_why", r->fell_back_why);
    json_begin_array(&j, "results");
    for (int i = 0; i < r->of && i < top; i++) {
        int at = r->order[i];
        json_begin_object(&j, NULL);
        json_put_int(&j, "index", at);
        json_put_text(&j, "text", texts[at]);
        if (r->scores[at] >= 0) json_put_float(&j, "score", r->scores[at]);
        if (r->scores[at] >= 0 && r->logits) json_put_float(&j, "logit", r->logits[at]);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (b.data) puts(b.data);
    buf_dispose(&b);
}

int verb_rerank(int argc, char **argv)
{
    const char *top_text = NULL;
    const struct verb_flag flags[] = {
        { "--limit", "-k", "N", &top_text, NULL, "how many lines, 1 to 200 (all)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "QUERY [-k N] <LINES",
                         "printf '%s\\n' 'Sleep eight hours.' 'Squat low.' | chiron rerank \"how do I recover?\"\n"
                         "chiron rerank -k 3 -o json \"leg day\" <notes.txt\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (a.count != 1) return verb_usage(&a, a.count ? "give the query as one word, in quotes" : "a query is needed");
    int64_t top = 0;
    if (!verb_number(&a, "--limit", top_text, LIMIT_RERANK_TEXTS, 1, LIMIT_RERANK_TEXTS, &top)) return EXIT_USAGE;

    struct verb_env v;
    struct reranked r;
    const char *texts[LIMIT_RERANK_TEXTS];
    int n = 0;
    enum err e = verb_open(&v, &a, VERB_ANSWERS, NULL);
    if (!e) e = read_lines(&v.call, texts, &n);
    if (!e) e = rerank_texts(&v.call, a.words[0], texts, n, &(struct rerank_opts){ .top = (int)top, .always = true }, &r);
    if (!e && v.json) print_json(texts, &r, (int)top);
    else if (!e) {
        fprintf(stderr, "%d of %d lines by %s%s%s\n", r.scored, r.of, r.method, r.model ? " " : "", r.model ? r.model : "");
        if (r.fell_back_why) fprintf(stderr, "because: %s\n", r.fell_back_why);
        for (int i = 0; i < n && i < top; i++) printf("%.3f  %s\n", (double)r.scores[r.order[i]], texts[r.order[i]]);
    }
    return verb_close(&v, e);
}
