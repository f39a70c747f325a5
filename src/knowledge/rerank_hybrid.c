/* knowledge/rerank_hybrid.c — the order of given texts for a question, by the formula of hybrid search with the texts as the
 * whole collection. It stands in where no cross-encoder's weights are installed, and says so by its method's name.
 * It refuses to keep anything: candidates are the caller's, they are not indexed. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "knowledge/analyse.h"
#include "knowledge/embed.h"
#include "knowledge/rerank.h"
#include "knowledge/search.h"
#include "store/vectors.h"

#define BM25_K1 1.2f
#define BM25_B  0.75f

static int occurrences(const char *terms, const char *term, int *words_out)
{
    size_t k = strlen(term);
    int n = 0, words = 0;
    for (const char *p = terms; *p;) {
        size_t len = strcspn(p, " ");
        n += len == k && !memcmp(p, term, k);
        words++;
        p += len + (p[len] == ' ');
    }
    *words_out = words;
    return n;
}

/* BM25 of each text, its documents being the candidates alone. */
static void keyword_scores(struct call *c, const char *query, const char *const *texts, int n, float *scores)
{
    int terms_n = 0, total = 0;
    bool only_stop;
    const char *const *terms = analyse_query(c, query, strlen(query), text_language(query, strlen(query)), &terms_n, &only_stop);
    const char **analysed = arena_array(&c->mem, (size_t)n, sizeof *analysed);
    int *found = arena_array(&c->mem, (size_t)n, sizeof *found), *words = arena_array(&c->mem, (size_t)n, sizeof *words);
    for (int i = 0; i < n; i++) {
        size_t len = strlen(texts[i]);
        analysed[i] = text_terms(c, texts[i], len, text_language(texts[i], len));
        occurrences(analysed[i], "", &words[i]);
        total += words[i];
        scores[i] = 0;
    }
    float mean = total ? (float)total / (float)n : 1;
    for (int t = 0; t < terms_n && !only_stop; t++) {
        int have = 0;
        for (int i = 0; i < n; i++) {
            int ignored;
            found[i] = occurrences(analysed[i], terms[t], &ignored);
            have += found[i] > 0;
        }
        float idf = logf(1 + ((float)(n - have) + 0.5f) / ((float)have + 0.5f));
        for (int i = 0; i < n; i++) {
            float f = (float)found[i];
            scores[i] += idf * f * (BM25_K1 + 1) / (f + BM25_K1 * (1 - BM25_B + BM25_B * (float)words[i] / mean));
        }
    }
}

enum err rerank_hybrid(struct call *c, const char *query, const char *const *texts, int n, float *scores, const char **method_out)
{
    const float *q = NULL, *v = NULL;
    const char *model = NULL, *query_model = NULL;
    int dim = 0, query_dim = 0;
    enum err e = embed_texts(c, ENCODER_QUERY, &query, NULL, 1, &q, &query_dim, &query_model);
    if (!e) e = embed_texts(c, ENCODER_PASSAGE, texts, NULL, n, &v, &dim, &model);
    if (e == ERR_CANCELLED) return e;
    if (e) call_forgive(c);
    /* The second may have come from another model than the first, which then failed. */
    if (v && (dim != query_dim || strcmp(model, query_model))) v = NULL;
    float *keyword = arena_array(&c->mem, (size_t)n, sizeof *keyword);
    keyword_scores(c, query, texts, n, keyword);
    /* A text without any of the words was not found by them: that leg adds nothing to it, as in a search. */
    float most = 0;
    for (int i = 0; i < n; i++) most = fmaxf(most, keyword[i]);
    float *semantic = arena_array(&c->mem, (size_t)n, sizeof *semantic);
    for (int i = 0; v && i < n; i++) semantic[i] = vectors_cosine(q, v + (size_t)i * (size_t)dim, dim);
    if (v) search_normalise(semantic, n);
    for (int i = 0; i < n; i++) {
        float words = most > 0 ? keyword[i] / most : 0;
        scores[i] = v ? 0.5f * semantic[i] + 0.5f * words : words;
    }
    *method_out = v ? "hybrid" : "keyword";
    return OK;
}
