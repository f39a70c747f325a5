/* coaching/check.c — no sentence without support. A sentence must mean what some sentence of the material means, use its
 * words, carry only its numbers and not turn it around. It errs on the side of silence: a true sentence that the
 * material does not say is dropped as well, for nobody could open its source. */
/* SPDX-License-Identifier: MIT */
#include "coaching/check.h"

#include <ctype.h>
#include <string.h>

#define COSINE_LEAST   0.50f    /* to the best evidence sentence */
#define WORDS_LEAST    0.45f    /* share of its terms in the supporting passage */
#define WORDS_ENOUGH   0.80f    /* … that make up for a low cosine */
#define SUPPORT_LEAST  0.52f
#define NUMBERS_MAX    64
#define CLOSE_COSINE   0.12f    /* evidence this near to the best counts for polarity too */

static const char *const negations[] = { "not", "no", "never", "avoid", "without", "nor", "cannot", "don't", "doesn't", "isn't",
    "aren't", "shouldn't", "won't", "can't", "mustn't", "stop", "nunca", "jam\xc3\xa1s", "evita", "evite", "evitar", "sin", "ni",
    "tampoco" };

static bool negated(const char *text, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t w = 0;
        while (i + w < n && (isalpha((unsigned char)text[i + w]) || (unsigned char)text[i + w] >= 0x80 || text[i + w] == '\'')) w++;
        for (size_t k = 0; w && k < sizeof negations / sizeof *negations; k++)
            if (strlen(negations[k]) == w && strncasecmp(text + i, negations[k], w) == 0) return true;
        i += w ? w : 1;
    }
    return false;
}

struct candidate {
    int   sentence;
    float cosine, support;
};

/* Support of a text by evidence sentence i: half meaning, half words found in its passage. */
static float support_by(const struct evidence *ev, const struct terms *terms, int i, float cosine)
{
    float words = terms_share(terms, &ev->passage_terms[ev->sentences[i].passage]);
    float own = terms_share(terms, &ev->sentences[i].terms);
    if (own > words) words = own;
    if (cosine < -1) return 0.3f * words + 0.7f * own;      /* no vector: only what the sentence itself says counts */
    float meaning = cosine < 0 ? 0 : cosine;
    if (words < WORDS_LEAST && meaning < 0.75f) return 0;
    if (meaning < COSINE_LEAST && own < WORDS_ENOUGH) return 0;
    return 0.5f * meaning + 0.3f * words + 0.2f * own;
}

enum err check_sentence(struct call *c, const struct evidence *ev, const char *text, size_t n, struct checked *out)
{
    struct terms terms = terms_of(c, text, n, ev->language);
    *out = (struct checked){ .sentence = -1, .why = "no passage says this" };
    if (terms.count == 0) {
        out->why = "says nothing that could be checked";
        return OK;
    }
    const float *v = NULL;
    int dim = 0;
    if (ev->vector) {
        enum err e = vectors_of(c, &text, &n, 1, &v, &dim);
        if (e) return e;
        if (dim != ev->dim) v = NULL;
    }
    struct number said[NUMBERS_MAX], asked[NUMBERS_MAX], there[NUMBERS_MAX * 4];
    int said_count = numbers_read(text, n, said, NUMBERS_MAX);
    int asked_count = numbers_read(ev->question, strlen(ev->question), asked, NUMBERS_MAX);
    bool *fits = arena_array(&c->mem, (size_t)(ev->passage_count > 0 ? ev->passage_count : 1), sizeof *fits);
    bool some_fit = false;
    for (int p = 0; p < ev->passage_count; p++) {
        int count = numbers_read(ev->passages[p].text, strlen(ev->passages[p].text), there, NUMBERS_MAX * 4 - asked_count);
        memcpy(there + count, asked, (size_t)asked_count * sizeof *asked);
        fits[p] = numbers_within(said, said_count, there, count + asked_count);
        some_fit |= fits[p];
    }
    bool says_no = negated(text, n), polarity = false;
    struct candidate best = { -1, -2, 0 }, best_any = { -1, -2, 0 };
    for (int i = 0; i < ev->count; i++) {
        const struct sentence *s = &ev->sentences[i];
        float cosine = v && s->vector ? vectors_dot(v, s->vector, dim) : -2;
        float support = support_by(ev, &terms, i, cosine);
        if (support > best_any.support) best_any = (struct candidate){ i, cosine, support };
        if (fits[s->passage] && support > best.support) best = (struct candidate){ i, cosine, support };
    }
    if (best.sentence < 0 || best.support < SUPPORT_LEAST) {
        out->support = best_any.support;
        out->sentence = best_any.sentence;
        if (said_count && !some_fit) out->why = "a number that no passage gives";
        else if (best_any.support >= SUPPORT_LEAST) out->why = "a number that its passage does not give";
        return OK;
    }
    for (int i = 0; i < ev->count && !polarity; i++) {
        const struct sentence *s = &ev->sentences[i];
        if (i != best.sentence) {
            if (!v || !s->vector || !fits[s->passage]) continue;
            if (vectors_dot(v, s->vector, dim) < best.cosine - CLOSE_COSINE) continue;
        }
        if (negated(s->text, s->n) == says_no) {
            polarity = true;
            if (i != best.sentence) {
                float other = support_by(ev, &terms, i, v && s->vector ? vectors_dot(v, s->vector, dim) : -2);
                if (other >= SUPPORT_LEAST) best.sentence = i, best.support = other;
                else polarity = negated(ev->sentences[best.sentence].text, ev->sentences[best.sentence].n) == says_no;
            }
        }
    }
    out->sentence = best.sentence;
    out->support = best.support > 1 ? 1 : best.support;
    if (!polarity) {
        out->why = "turns around what its passage says";
        return OK;
    }
    out->kept = true;
    out->why = "supported";
    return OK;
}
