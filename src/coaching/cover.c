/* coaching/cover.c — covered or not, as a probability from ten measured signals. Nothing here knows a topic: the signals
 * are similarity in meaning and how much of what was asked, weighed by rarity, the material speaks of at all. The
 * weights come from tools/fit_cover.py over the questions in test/quality; an encoder-less process uses words alone. */
/* SPDX-License-Identifier: MIT */
#include "coaching/cover.h"

#include <math.h>

/* How far the best stands above the mean of the rest. */
struct spread {
    float best, sum;
    int   count;
};

static void spread_add(struct spread *s, float v)
{
    if (v < -1) return;
    if (s->count == 0 || v > s->best) s->best = v;
    s->sum += v;
    s->count++;
}

static float spread_out(const struct spread *s)
{
    return s->count < 3 ? 0 : s->best - (s->sum - s->best) / (float)(s->count - 1);
}

static void measure(const struct evidence *ev, struct cover *out)
{
    struct spread passages = { 0 }, sentences = { 0 };
    for (int i = 0; i < ev->found_count; i++) spread_add(&passages, ev->passages[i].score_cos);
    for (int i = 0; i < ev->count; i++) spread_add(&sentences, ev->sentences[i].cosine);
    out->stands_out = spread_out(&passages);
    out->sentence_out = spread_out(&sentences);
    for (int i = 0; i < ev->passage_count; i++) {
        if (ev->passages[i].score_cos > out->cos_passage) out->cos_passage = ev->passages[i].score_cos;
        if (ev->section && ev->section[i] > out->section) out->section = ev->section[i];
        float share = terms_share(&ev->terms, &ev->passage_terms[i]);
        if (share > out->words_best) out->words_best = share;
    }
    for (int i = 0; i < ev->count; i++) {
        if (ev->sentences[i].cosine > out->cos_sentence) out->cos_sentence = ev->sentences[i].cosine;
        if (ev->sentences[i].relevance > out->relevance) out->relevance = ev->sentences[i].relevance;
        if (ev->sentences[i].lexical > out->words_sentence) out->words_sentence = ev->sentences[i].lexical;
    }
    float all = 0, in = 0;
    for (int i = 0; i < ev->terms.count; i++) {
        bool found = false;
        for (int p = 0; p < ev->passage_count && !found; p++) found = terms_have(&ev->passage_terms[p], ev->terms.word[i]);
        all += ev->terms.weight[i];
        if (found)
            in += ev->terms.weight[i];
        else if (ev->terms.weight[i] > out->unknown)
            out->unknown = ev->terms.weight[i];
    }
    out->words_found = all > 0 ? in / all : 0;
}

void cover_judge(const struct evidence *ev, struct cover *out)
{
    struct cover k = { 0 };
    measure(ev, &k);
    float z;
    if (ev->count == 0)
        z = -9;
    else if (!ev->vector)
        z = -4.0f + 6.0f * k.words_best - 1.5f * k.unknown;
    else
        z = -7.85f + 3.94f * k.cos_passage + 1.09f * k.cos_sentence + 2.34f * k.words_best + 0.67f * k.words_sentence + 0.79f * k.words_found
            + 2.79f * k.stands_out + 3.86f * k.sentence_out + 0.13f * k.section + 4.20f * k.relevance - 1.11f * k.unknown;
    k.probability = 1.0f / (1.0f + expf(-z));
    *out = k;
}
