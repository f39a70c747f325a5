/* models/extractive.c — answers made of the material's own sentences. The place of the best sentence answers in one
 * piece: what stands around it belongs to it, because neighbours finish each other's thought, and a list is nothing
 * without its lead-in. Other places add a sentence each, when it is about as good. It refuses to rewrite: every sentence
 * is given as it stands, so that its citation is exact, and when nothing is relevant enough it says nothing. */
/* SPDX-License-Identifier: MIT */
#include "models/extractive.h"

#include <string.h>

#define CORE_LEAST      0.30f   /* a core less relevant than this answers nothing */
#define NEAR_SHARE      0.55f   /* of the core's relevance, for a sentence that stands beside the piece */
#define SHORT_SHARE     0.35f   /* … while the piece is short: two sentences rarely hold a whole answer */
#define FAR_SHARE       0.70f   /* … for one from elsewhere */
#define PIECE_WANTED    5       /* plain sentences of the best place */
#define PIECE_SHORT     3
#define PIECE_BYTES     700     /* no further sentence past this … */
#define ANSWER_BYTES    1100    /* … and of all */
#define PLACES_WANTED   2       /* besides the best */

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

/* Grows the piece around first..last by its better neighbour until none is worth it. */
static void grow(struct choice *ch, int n, int core, int *first, int *last)
{
    const struct prompt_sentence *s = ch->p->sentences;
    while (ch->count < PIECE_WANTED && ch->bytes < PIECE_BYTES) {
        int before = *first > 0 && s[*first].follows && s[*first - 1].passage == s[core].passage ? *first - 1 : -1;
        int after = *last + 1 < n && s[*last + 1].follows && s[*last + 1].passage == s[core].passage ? *last + 1 : -1;
        int pick = before < 0 ? after : after < 0 ? before : s[before].relevance >= s[after].relevance ? before : after;
        if (pick < 0 || ch->bytes + s[pick].n > PIECE_BYTES) return;
        if (s[pick].relevance < (ch->count < PIECE_SHORT ? SHORT_SHARE : NEAR_SHARE) * s[core].relevance) return;
        take_whole(ch, pick);
        while (*first > 0 && ch->taken[*first - 1]) (*first)--;
        while (*last + 1 < n && ch->taken[*last + 1]) (*last)++;
        if (!ch->taken[pick]) return;
    }
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
    int places[PLACES_WANTED + 1] = { p->sentences[best].passage }, place_count = 1, first = best, last = best;
    take_whole(&ch, best);
    while (first > 0 && ch.taken[first - 1]) first--;
    while (last + 1 < n && ch.taken[last + 1]) last++;
    grow(&ch, n, best, &first, &last);
    while (place_count <= PLACES_WANTED) {
        int pick = -1;
        for (int i = 0; i < n; i++) {
            bool heard = false;
            for (int k = 0; k < place_count; k++) heard |= places[k] == p->sentences[i].passage;
            if (!heard && (pick < 0 || p->sentences[i].relevance > p->sentences[pick].relevance)) pick = i;
        }
        if (pick < 0 || p->sentences[pick].relevance < FAR_SHARE * p->sentences[best].relevance) break;
        places[place_count++] = p->sentences[pick].passage;
        take_whole(&ch, pick);
    }
    int count = 0;
    for (int k = 0; k < place_count; k++)
        for (int i = 0; i < n; i++)
            if (ch.taken[i] && p->sentences[i].passage == places[k]) out[count++] = i;
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
