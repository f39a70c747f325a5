/* Passages for a query, on the terminal: the same search that answers are made from, with the scores that explain it. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "knowledge/knowledge.h"
#include "verbs.h"

/* A passage by its place in the order, and what it is. */
static void put_passage(struct json_out *j, const struct passage *p, int rank)
{
    json_put_int(j, "rank", rank);
    json_put_text(j, "id", p->chunk_id);
    json_put_text(j, "document_id", p->document_id);
    json_put_text(j, "title", p->title);
    json_put_text(j, "heading", p->heading);
    json_put_text(j, "text", p->text);
    json_put_text(j, "content_type", p->content_type);
    json_put_int(j, "page", p->page);
    json_put_int(j, "start_byte", p->start_byte);
    json_put_int(j, "end_byte", p->end_byte);
    json_put_raw(j, "metadata", p->metadata, strlen(p->metadata));
    json_put_float(j, "score", p->score);
}

static void print_similar(const struct passage *p, int n, const char *id, const struct search_similar_info *info)
{
    struct buf b;
    buf_init(&b, (size_t)LIMIT_REPLY_BYTES);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "like", id);
    json_put_text(&j, "model", info->model);
    json_put_int(&j, "dimension", info->dim);
    json_begin_array(&j, "passages");
    for (int i = 0; i < n; i++) {
        json_begin_object(&j, NULL);
        put_passage(&j, &p[i], i + 1);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (b.data) puts(b.data);
    buf_dispose(&b);
}

static void print_json(struct call *c, const struct passage *p, int n, const struct search_info *info)
{
    (void)c;
    struct buf b;
    buf_init(&b, (size_t)LIMIT_REPLY_BYTES);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "strategy", info->strategy);
    json_put_text(&j, "model", info->model);
    json_put_int(&j, "candidates", info->candidates);
    search_rerank_put(&j, &info->rerank);
    if (info->corrected) json_put_text(&j, "corrected", info->corrected);
    json_begin_array(&j, "passages");
    for (int i = 0; i < n; i++) {
        json_begin_object(&j, NULL);
        put_passage(&j, &p[i], i + 1);
        if (p[i].score_cos < -1.5f) json_put_null(&j, "score_cos");
        else json_put_float(&j, "score_cos", p[i].score_cos);
        if (p[i].rank_semantic) json_put_float(&j, "score_semantic", p[i].score_semantic);
        else json_put_null(&j, "score_semantic");
        json_put_float(&j, "score_bm25", p[i].score_bm25);
        if (p[i].score_rerank >= 0) json_put_float(&j, "score_rerank", p[i].score_rerank);
        json_put_int(&j, "rank_semantic", p[i].rank_semantic);
        json_put_int(&j, "rank_keyword", p[i].rank_keyword);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (b.data) puts(b.data);
    buf_dispose(&b);
}

static void print_passages(const struct passage *p, int n)
{
    for (int i = 0; i < n; i++) {
        printf("%s%d. %s", i ? "\n" : "", i + 1, *p[i].title ? p[i].title : p[i].content_type);
        if (*p[i].heading) printf(" > %s", p[i].heading);
        if (p[i].page) printf(", page %d", p[i].page);
        printf(p[i].score_rerank >= 0 ? "  (%.3f, re-ranked %.3f)\n" : "  (%.3f)\n", (double)p[i].score, (double)p[i].score_rerank);
        for (const char *line = p[i].text; *line;) {
            size_t k = strcspn(line, "\n");
            printf("   %.*s\n", (int)k, line);
            line += k + (line[k] == '\n');
        }
    }
}

static void print_text(const struct passage *p, int n, const struct search_info *info)
{
    const struct search_rerank_info *r = &info->rerank;
    if (info->corrected) fprintf(stderr, "searched for: %s\n", info->corrected);
    fprintf(stderr, "%d passages by %s\n", n, info->strategy);
    if (r->method && r->scored) fprintf(stderr, "%d of %d re-ranked by %s (%s)\n", r->scored, r->of, r->method, r->model);
    if (r->method && !r->scored) fprintf(stderr, "not re-ranked%s%s\n", r->fell_back_why ? ": " : "", r->fell_back_why ? r->fell_back_why : "");
    print_passages(p, n);
}

int verb_search(int argc, char **argv)
{
    const char *creator = NULL, *k_text = NULL, *mode = "hybrid", *user = NULL, *types = NULL, *threshold_text = NULL, *depth_text = NULL, *preset_text = NULL, *level = NULL, *like = NULL;
    bool        rerank = false, plain = false, as_written = false;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose knowledge" },
        { "--limit", "-k", "N", &k_text, NULL, "how many passages, 1 to 100 (5)" },
        { "--mode", NULL, "MODE", &mode, NULL, "hybrid, semantic or keyword (hybrid)" },
        { "--user", NULL, "U", &user, NULL, "as this user: shared passages and their own" },
        { "--type", NULL, "TYPE", &types, NULL, "only this content type" },
        { "--threshold", NULL, "X", &threshold_text, NULL, "least score, 0 to 1 (0)" },
        { "--as-written", NULL, NULL, NULL, &as_written, "do not put misspelt words right" },
        { "--like", NULL, "ID", &like, NULL, "the nearest to this passage, in place of a query" },
        { "--rerank", NULL, NULL, NULL, &rerank, "look at the best again, however long it takes" },
        { "--no-rerank", NULL, NULL, NULL, &plain, "leave the order of the search" },
        { "--preset", NULL, "NAME", &preset_text, NULL, "a search as one of the specified systems does it: fit" },
        { "--match", NULL, "VALUE", &level, NULL, "with --preset: what its filter wants (fit: user_level)" },
        { "--depth", NULL, "N", &depth_text, NULL, "how many of the best are looked at again, 1 to 100 (20)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "--creator C QUERY|--like ID [-k N] [--mode hybrid|semantic|keyword]",
                         "chiron search --creator demo \"how do I sleep better?\"\n"
                         "chiron search --creator demo -k 3 --mode keyword 1rm\n"
                         "chiron search --creator demo --like chk_01M7ZRFHTGX710X17P46TNHT6A\n"
                         "chiron search --creator demo -o json \"push ups\" | jq '.passages[].title'\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (!creator) return verb_usage(&a, "--creator is needed");
    if (like && a.count) return verb_usage(&a, "--like takes the place of a query");
    if (!like && a.count != 1) return verb_usage(&a, a.count ? "give the query as one word, in quotes" : "a query is needed");
    struct search_opts o = { .user_id = user };
    int64_t k = 0, depth = 0;
    double threshold = 0;
    if (!verb_number(&a, "--limit", k_text, 5, 1, LIMIT_SEARCH_K, &k)) return EXIT_USAGE;
    if (!verb_real(&a, "--threshold", threshold_text, 0, 0, 1, &threshold)) return EXIT_USAGE;
    if (!verb_number(&a, "--depth", depth_text, 0, 1, LIMIT_SEARCH_K, &depth)) return EXIT_USAGE;
    const struct search_preset *preset = preset_text ? search_preset(preset_text) : NULL;
    if (preset_text && !preset) return verb_usage(&a, "--preset is fit, not \"%.40s\"", preset_text);
    if (like && (preset || rerank || plain || depth_text)) return verb_usage(&a, "--like goes without --preset and without re-ranking");
    if (level && !preset) return verb_usage(&a, "--match goes with --preset");
    if (rerank && plain) return verb_usage(&a, "--rerank and --no-rerank exclude each other");
    if (rerank || depth_text) o.rerank = SEARCH_RERANK_ON;
    if (plain) o.rerank = SEARCH_RERANK_OFF;
    o.rerank_depth = (int)depth;
    if (!strcmp(mode, "semantic")) o.mode = SEARCH_SEMANTIC;
    else if (!strcmp(mode, "keyword")) o.mode = SEARCH_KEYWORD;
    else if (strcmp(mode, "hybrid") != 0) return verb_usage(&a, "--mode is hybrid, semantic or keyword, not \"%.40s\"", mode);
    const char *const only[] = { types, NULL };
    if (types) o.types = only;
    o.k = (int)k;
    o.threshold = (float)threshold;
    o.as_written = as_written;

    struct verb_env v;
    struct passage *p = NULL;
    struct search_info info;
    int n = 0;
    enum err e = verb_open(&v, &a, VERB_KNOWLEDGE | VERB_STAND_IN, creator);
    if (like) {
        struct search_similar_info same;
        if (!e) e = search_similar(&v.call, like, &o, &p, &n, &same);
        if (!e && v.json) print_similar(p, n, like, &same);
        else if (!e) print_passages(p, n);
        return verb_close(&v, e);
    }
    if (!e && preset) e = search_by_preset(&v.call, preset, a.words[0], level, &p, &n, &info);
    else if (!e) e = search_text(&v.call, a.words[0], &o, &p, &n, &info);
    if (!e && v.json) print_json(&v.call, p, n, &info);
    else if (!e) print_text(p, n, &info);
    return verb_close(&v, e);
}
