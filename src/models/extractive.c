/* models/extractive.c — answers made of the material's own sentences. The best sentence is the core; what stands around
 * it in the text is preferred to what is merely similar elsewhere, because neighbours finish each other's thought: a
 * lead-in brings its list, a list item its lead-in. It refuses to rewrite: every sentence is given as it stands, so
 * that its citation is exact, and when nothing is relevant enough it says nothing. */
/* SPDX-License-Identifier: MIT */
#include "models/extractive.h"

#include <string.h>

#define CORE_LEAST      0.30f   /* a core less relevant than this answers nothing */
#define NEAR_SHARE      0.62f   /* of the core's relevance, for a sentence that stands beside a chosen one */
#define FAR_SHARE       0.74f   /* … for one from elsewhere */
#define SENTENCES_WANTED 5      /* plain sentences */
#define PASSAGE_WANTED   3      /* … of one passage, so that other places are heard too */
#define ANSWER_BYTES    900     /* no further sentence past this */

struct choice {
    const struct prompt *p;
    bool   taken[512];
    int    core[EXTRACTIVE_SENTENCES_MAX];
    int    count;
    size_t bytes;
};

static bool take(struct choice *ch, int i)
{
    const struct prompt_sentence *s = &ch->p->sentences[i];
    if (ch->taken[i]) return true;
    if (ch->count == EXTRACTIVE_SENTENCES_MAX) return false;
    if (ch->count && ch->bytes + s->n > ANSWER_BYTES) return false;
    ch->taken[i] = true;
    ch->core[ch->count++] = i;
    ch->bytes += s->n;
    return true;
}

/* The list that begins at i, as far as it fits. */
static void take_items(struct choice *ch, int i)
{
    const struct prompt *p = ch->p;
    for (; i < p->sentence_count && p->sentences[i].follows && p->sentences[i].item; i++)
        if (!take(ch, i)) return;
}

/* A sentence never comes without what makes it understandable. */
static void take_whole(struct choice *ch, int i)
{
    const struct prompt *p = ch->p;
    if (!take(ch, i)) return;
    if (p->sentences[i].item) {
        int first = i;
        while (first > 0 && p->sentences[first].follows && p->sentences[first].item) first--;
        bool led = !p->sentences[first].item && p->sentences[first].lead;
        if (led) take(ch, first);
    }
    if (p->sentences[i].lead) take_items(ch, i + 1);
}

static int said_of(const struct choice *ch, int passage)
{
    int n = 0;
    for (int i = 0; i < ch->count; i++) n += ch->p->sentences[ch->core[i]].passage == passage;
    return n;
}

int extractive_choose(const struct prompt *p, int out[EXTRACTIVE_SENTENCES_MAX])
{
    struct choice ch = { .p = p };
    int n = p->sentence_count;
    if (n > (int)(sizeof ch.taken / sizeof *ch.taken)) n = (int)(sizeof ch.taken / sizeof *ch.taken);
    int best = -1;
    for (int i = 0; i < n; i++)
        if (best < 0 || p->sentences[i].relevance > p->sentences[best].relevance) best = i;
    if (best < 0 || p->sentences[best].relevance < CORE_LEAST) return 0;
    float core = p->sentences[best].relevance;
    take_whole(&ch, best);
    while (ch.count < SENTENCES_WANTED) {
        int pick = -1;
        float pick_score = 0;
        for (int i = 0; i < n; i++) {
            const struct prompt_sentence *s = &p->sentences[i];
            int said = said_of(&ch, s->passage);
            if (ch.taken[i] || said >= PASSAGE_WANTED) continue;
            if (said && s->passage != p->sentences[best].passage) continue;   /* another place is heard once */
            bool beside = (i > 0 && ch.taken[i - 1] && s->follows) || (i + 1 < n && ch.taken[i + 1] && p->sentences[i + 1].follows);
            float share = s->relevance / core;
            if (share < (beside ? NEAR_SHARE : FAR_SHARE)) continue;
            float score = share + (beside ? 0.25f : 0);
            if (score > pick_score) pick = i, pick_score = score;
        }
        if (pick < 0) break;
        int before = ch.count;
        take_whole(&ch, pick);
        if (ch.count == before) break;
    }
    /* Passages in the order of their best sentence, which is the order they were chosen in; inside one, text order. */
    int count = 0;
    for (int i = 0; i < ch.count; i++) {
        int passage = p->sentences[ch.core[i]].passage;
        bool done = false;
        for (int k = 0; k < i; k++) done |= p->sentences[ch.core[k]].passage == passage;
        if (done) continue;
        for (int k = 0; k < n; k++)
            if (ch.taken[k] && p->sentences[k].passage == passage) out[count++] = k;
    }
    return count;
}

enum err models_extract(struct call *c, const struct prompt *p, delta_fn on_delta, void *arg, struct generation *out)
{
    int order[EXTRACTIVE_SENTENCES_MAX];
    int n = extractive_choose(p, order);
    if (n == 0) return fail(c, ERR_NOT_FOUND, "no sentence of the material answers this");
    for (int i = 0; i < n; i++) {
        const struct prompt_sentence *s = &p->sentences[order[i]];
        enum err e = call_check(c);
        if (e) return e;
        if (!on_delta(arg, s->text, s->n, order[i])) break;
    }
    *out = (struct generation){ .provider = "extractive", .model = "extractive", .finish_reason = "stop" };
    return OK;
}
