/* Why this answer: the trace of a turn, as a person reads it. The JSON form is the stored trace itself. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "coaching/coaching.h"
#include "store/store.h"
#include "verbs.h"

static void line(const char *name, const char *value)
{
    if (value && *value) printf("%-12s %s\n", name, value);
}

static void one_line(const char *text, size_t max)
{
    size_t n = 0;
    for (; text && text[n] && n < max; n++) putchar(text[n] == '\n' ? ' ' : text[n]);
    if (text && text[n]) fputs("…", stdout);
}

static void print_degraded(const json_t *o)
{
    size_t  i;
    json_t *d;
    json_array_foreach(json_object_get(o, "degraded"), i, d)
        printf("%-12s %s → %s (%s)\n", i ? "" : "Did less", json_get_text(d, "stage", ""), json_get_text(d, "to", ""),
               json_get_text(d, "why", ""));
}

static void print_stages(const json_t *o)
{
    const json_t *stage;
    size_t i;
    puts("\nStages");
    json_array_foreach(json_object_get(o, "stages"), i, stage)
        printf("  %-10s at %8.2f ms  took %8.2f ms\n", json_get_text(stage, "name", ""), json_get_real(stage, "start_ms", 0),
               json_get_real(stage, "took_ms", 0));
    const json_t *k = json_object_get(o, "cover");
    if (k)
        printf("\nCovered with probability %.2f: cosine of the best passage %.2f, sentence %.2f; words found %.2f, in one passage %.2f\n",
               json_get_real(k, "probability", 0), json_get_real(k, "cos_passage", 0), json_get_real(k, "cos_sentence", 0),
               json_get_real(k, "words_found", 0), json_get_real(k, "words_best", 0));
}

static void print_passages(const json_t *o)
{
    const json_t *p;
    size_t i;
    const json_t *search = json_object_get(o, "search");
    printf("\nPassages (%s search over %lld candidates)\n", json_get_text(search, "strategy", "no"),
           (long long)json_get_int(search, "candidates", 0));
    json_array_foreach(json_object_get(o, "passages"), i, p) {
        printf("  %2lld. %s", (long long)json_get_int(p, "rank", 0), json_get_text(p, "title", ""));
        if (*json_get_text(p, "heading", "")) printf(", %s", json_get_text(p, "heading", ""));
        if (json_get_int(p, "page", 0)) printf(", page %lld", (long long)json_get_int(p, "page", 0));
        printf("\n      score %.3f  cosine %.3f (rank %lld)  BM25 %.2f (rank %lld)  %s\n", json_get_real(p, "score", 0),
               json_get_real(p, "score_cos", 0), (long long)json_get_int(p, "rank_semantic", 0), json_get_real(p, "score_bm25", 0),
               (long long)json_get_int(p, "rank_keyword", 0), json_get_text(p, "why", ""));
    }
}

static void print_sentences(const json_t *o)
{
    const json_t *s;
    size_t i;
    if (json_array_size(json_object_get(o, "sentences"))) puts("\nSentences");
    json_array_foreach(json_object_get(o, "sentences"), i, s) {
        printf("  %s support %.2f, passage %lld, %s: ", json_get_bool(s, "kept", false) ? "kept   " : "dropped",
               json_get_real(s, "support", 0), (long long)json_get_int(s, "passage", 0), json_get_text(s, "why", ""));
        one_line(json_get_text(s, "text", ""), 120);
        putchar('\n');
    }
}

/* Without --creator every creator is looked in: an id is unique, and whoever may run the verb may read them all. */
static enum err find_trace(struct call *c, const char *id, const char **out)
{
    const char **ids = NULL;
    int n = 0;
    enum err e = tenant_list(c, &ids, &n);
    for (int i = 0; !e && i < n; i++) {
        e = tenant_open(c, ids[i]);
        if (!e) e = trace_get(c, id, out);
        if (!e) return OK;
        tenant_release(c);
        if (e != ERR_NOT_FOUND) return e;
        call_forgive(c);
        e = OK;
    }
    return e ? e : fail(c, ERR_NOT_FOUND, "no creator has a turn %s", id);
}

int verb_why(int argc, char **argv)
{
    const char *creator = NULL;
    const struct verb_flag flags[] = { { "--creator", NULL, "C", &creator, NULL, "whose coach answered (looks in all)" }, { 0 } };
    struct verb_args a;
    int code = verb_read(argc, argv, "ID [--creator C]", "chiron why turn_01JD4W6Q2M8Z5V0K3H9T7R1XNB\n", flags, &a);
    if (code != VERB_GO) return code;
    if (a.count != 1) return verb_usage(&a, "the ID of a turn is needed");
    struct verb_env v;
    const char *trace = NULL;
    json_t *o = NULL;
    enum err e = verb_open(&v, &a, VERB_STORE, creator);
    if (!e) e = creator ? trace_get(&v.call, a.words[0], &trace) : find_trace(&v.call, a.words[0], &trace);
    if (!e && a.json) {
        puts(trace);
    } else if (!e) {
        e = json_parse(&v.call, trace, strlen(trace), &o);
        if (!e) {
            line("Question", json_get_text(o, "question", ""));
            line("Searched", json_get_text(o, "searched", ""));
            line("Answer", json_get_text(o, "answer", ""));
            line("When", json_get_text(o, "created_at", ""));
            line("Step", json_get_text(o, "step", ""));
            line("Ended", json_get_text(o, "ended", ""));
            line("Provider", json_get_text(o, "provider", ""));
            line("Model", json_get_text(o, "model", ""));
            line("Prompt", json_get_text(o, "prompt_version", ""));
            line("Fell back", json_get_text(o, "fell_back_why", ""));
            print_degraded(o);
            printf("%-12s %.2f\n", "Confidence", json_get_real(o, "confidence", 0));
            print_stages(o);
            print_passages(o);
            print_sentences(o);
        }
    }
    json_decref(o);
    return verb_close(&v, e);
}
