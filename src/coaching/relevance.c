/* coaching/relevance.c — how much a sentence helps with a question: meaning first, then the words asked for, where it
 * stands and what its section is called. A sentence that only repeats its title or the question tells nothing, however
 * similar it is; a question for an amount wants a number. It refuses to depend on what happens to be remembered: which
 * sentences get a vector is decided before any vector is looked up. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "coaching/check.h"
#include "coaching/evidence.h"

#define MEANING_MS   15        /* with less time left than this, sentences are ordered by their words */
#define EMBED_BYTES   320      /* of a sentence that go into its vector; a longer one is a table or a run-on */
#define WEIGHT_COSINE 0.42f
#define WEIGHT_WORDS  0.15f
#define WEIGHT_PLACE  0.31f
#define WEIGHT_SECTION 0.12f
#define NUMBER_BONUS  0.06f
#define CROWD_LESS    0.15f    /* for an entry of a long list whose name was not asked for */
#define LEAD_BONUS    0.06f    /* the first sentences under a name that was asked for say what it is about */
#define FIELD_BYTES   60
#define SECTIONS_MAX  20
#define GIVEN_LESS    0.06f    /* a passage of many lines leaves the others room for vectors */
#define UNREAD_SHARE  0.75f    /* of its passage's cosine, for a sentence without a vector */

static float clamp01(float x)
{
    return x < 0 ? 0 : x > 1 ? 1 : x;
}

/* "how many", "cuánto": the answer has a number in it. */
static bool wants_number(const char *question)
{
    static const char *const after_how[] = { "many", "much", "long", "often", "far", "fast", "old", "heavy", "big", "high", "deep", "soon" };
    static const char *const alone[] = { "cu\xc3\xa1nto", "cu\xc3\xa1nta", "cu\xc3\xa1ntos", "cu\xc3\xa1ntas", "cuanto", "cuanta", "cuantos",
                                         "cuantas", "percentage", "temperature", "temperatura", "porcentaje", "age", "edad", "dose", "dosis" };
    bool how = false;
    for (const char *p = question; *p;) {
        size_t w = 0;
        while (isalpha((unsigned char)p[w]) || (unsigned char)p[w] >= 0x80) {
            if ((unsigned char)p[w] == 0xC2) break;          /* ¿ ¡ */
            w++;
        }
        for (size_t i = 0; w && how && i < sizeof after_how / sizeof *after_how; i++)
            if (strlen(after_how[i]) == w && strncasecmp(p, after_how[i], w) == 0) return true;
        for (size_t i = 0; w && i < sizeof alone / sizeof *alone; i++)
            if (strlen(alone[i]) == w && strncasecmp(p, alone[i], w) == 0) return true;
        if (w) how = w == 3 && strncasecmp(p, "how", 3) == 0;
        p += w ? w : (unsigned char)*p == 0xC2 && p[1] ? 2 : 1;
    }
    return false;
}

/* Share of the question's words: its own count whole, those of its heading and paragraph in part. */
static float lexical(const struct evidence *ev, int i)
{
    const struct sentence *s = &ev->sentences[i];
    const struct terms *heading = &ev->heading_terms[s->passage];
    float all = 0, in = 0;
    for (int t = 0; t < ev->terms.count; t++) {
        const char *word = ev->terms.word[t];
        float w = ev->terms.weight[t];
        all += w;
        if (terms_have(&s->terms, word)) {
            in += w;
            continue;
        }
        float part = terms_have(heading, word) ? 0.6f : 0;
        for (int k = i - 1; k >= 0 && part < 0.5f && ev->sentences[k].passage == s->passage && ev->sentences[k].block == s->block; k--)
            if (terms_have(&ev->sentences[k].terms, word)) part = 0.5f;
        in += part * w;
    }
    return all > 0 ? in / all : 0;
}

static float place(const struct evidence *ev, int i)
{
    const struct passage *p = &ev->passages[i];
    float rank = 1.0f - 0.5f * (float)i / (float)(ev->passage_count > 1 ? ev->passage_count - 1 : 1);
    return 0.6f * clamp01(p->score) + 0.15f * rank + 0.25f * clamp01(p->score_cos / 0.7f);
}

static float named_by_words(const struct evidence *ev, int passage)
{
    const struct terms *section = &ev->section_terms[passage];
    float asked = terms_share(&ev->terms, section);       /* of the question, in the heading */
    float named = terms_share(section, &ev->terms);       /* of the heading, in the question */
    return asked + named > 0 ? 2 * asked * named / (asked + named) : 0;
}

/* "Begin with half of the weight" answers only under its heading: a sentence means what it says there. */
static float meaning(const struct evidence *ev, const struct sentence *s)
{
    if (s->cosine < -1) return UNREAD_SHARE * ev->passages[s->passage].score_cos;
    float with = 0.55f * s->cosine + 0.45f * ev->section_cosine[s->passage];
    return with > s->cosine ? with : s->cosine;
}

/* Says nothing beyond its section's name and the question. */
static bool empty_words(const struct evidence *ev, const struct sentence *s)
{
    for (int t = 0; t < s->terms.count; t++)
        if (!terms_have(&ev->section_terms[s->passage], s->terms.word[t]) && !terms_have(&ev->terms, s->terms.word[t])) return false;
    return true;
}

/* A field of a record ("Level: beginner") whose name the question does not mention. */
static bool other_field(struct call *c, const struct evidence *ev, const struct sentence *s)
{
    const char *colon = s->n <= FIELD_BYTES ? memchr(s->text, ':', s->n) : NULL;
    if (!colon || colon - s->text > FIELD_BYTES / 2 || colon + 2 >= s->text + s->n) return false;
    const struct terms name = terms_of(c, s->text, (size_t)(colon - s->text), ev->passages[s->passage].language);
    return name.count > 0 && terms_share(&name, &ev->terms) <= 0;
}

/* Headings say in other words what a section answers: "Am I too old to start?" */
static enum err embed_sections(struct call *c, struct evidence *ev)
{
    const char *texts[SECTIONS_MAX];
    size_t lens[SECTIONS_MAX];
    int n = ev->passage_count < SECTIONS_MAX ? ev->passage_count : SECTIONS_MAX;
    for (int i = 0; i < n; i++) {
        texts[i] = passage_section(&ev->passages[i]);
        lens[i] = strnlen(texts[i], EMBED_BYTES);
    }
    const float *v = NULL;
    int dim = 0;
    enum err e = vectors_of(c, texts, lens, n, &v, &dim);
    if (e || !v || dim != ev->dim) return e;
    for (int i = 0; i < n; i++) {
        ev->section_cosine[i] = lens[i] ? vectors_dot(ev->vector, v + (size_t)i * (size_t)dim, dim) : -2;
        float named = clamp01((ev->section_cosine[i] - 0.25f) / 0.55f);
        if (named > ev->section[i]) ev->section[i] = named;
    }
    return OK;
}

static enum err embed(struct call *c, struct evidence *ev)
{
    int pick[EVIDENCE_EMBED_MAX], count = 0;
    bool taken[EVIDENCE_MAX] = { false };
    int *given = arena_array(&c->mem, (size_t)ev->passage_count + 1, sizeof *given);
    while (count < EVIDENCE_EMBED_MAX && count < ev->count) {
        int best = -1;
        float best_score = 0;
        for (int i = 0; i < ev->count; i++) {
            if (taken[i]) continue;
            const struct sentence *s = &ev->sentences[i];
            float score = 1 + 0.5f * s->lexical + 0.5f * place(ev, s->passage) + 0.25f * ev->section[s->passage] - (s->fragment ? 0.3f : 0) -
                          (empty_words(ev, s) ? 0.5f : 0) - GIVEN_LESS * (float)given[s->passage];
            if (best < 0 || score > best_score) best = i, best_score = score;
        }
        taken[best] = true;
        given[ev->sentences[best].passage]++;
        pick[count++] = best;
    }
    const char *texts[EVIDENCE_EMBED_MAX];
    size_t lens[EVIDENCE_EMBED_MAX];
    for (int i = 0; i < count; i++) {
        const struct sentence *s = &ev->sentences[pick[i]];
        texts[i] = s->text;
        lens[i] = s->n < EMBED_BYTES ? s->n : EMBED_BYTES;
    }
    const float *v = NULL;
    int dim = 0;
    enum err e = vectors_of(c, texts, lens, count, &v, &dim);
    if (e || !v || dim != ev->dim) return e;
    for (int i = 0; i < count; i++) {
        struct sentence *s = &ev->sentences[pick[i]];
        s->vector = v + (size_t)i * (size_t)dim;
        s->cosine = vectors_dot(ev->vector, s->vector, dim);
    }
    return OK;
}

enum err relevance_score(struct call *c, struct evidence *ev)
{
    ev->section = arena_array(&c->mem, (size_t)ev->passage_count + 1, sizeof *ev->section);
    ev->section_cosine = arena_array(&c->mem, (size_t)ev->passage_count + 1, sizeof *ev->section_cosine);
    ev->crowd = arena_array(&c->mem, (size_t)ev->passage_count + 1, sizeof *ev->crowd);
    bool number = wants_number(ev->question);
    for (int i = 0; i < ev->passage_count; i++) {
        ev->section[i] = named_by_words(ev, i);
        ev->crowd[i] = evidence_crowd(ev->passages, ev->found_count, i);
    }
    for (int i = 0; i < ev->count; i++) ev->sentences[i].lexical = lexical(ev, i);
    if (ev->vector && call_left_ms(c, 1000) < MEANING_MS) {
        ev->vector = NULL;
        call_degrade(c, "evidence", "words", "no time to compare meanings");
    }
    if (ev->vector) {
        enum err e = embed_sections(c, ev);
        if (!e) e = embed(c, ev);
        if (e == ERR_CANCELLED || e == ERR_TIMEOUT) return e;
        if (e) call_forgive(c);      /* words alone still order the sentences */
    }
    for (int i = 0; i < ev->count; i++) {
        struct sentence *s = &ev->sentences[i];
        float where = WEIGHT_PLACE * place(ev, s->passage) + WEIGHT_SECTION * ev->section[s->passage];
        float r = ev->vector ? WEIGHT_COSINE * clamp01((meaning(ev, s) - 0.05f) / 0.65f) + WEIGHT_WORDS * s->lexical + where
                             : 0.67f * s->lexical + where;
        r -= CROWD_LESS * ev->crowd[s->passage] * (1 - ev->section[s->passage]);
        if (i == 0 || ev->sentences[i - 1].passage != s->passage || i == 1 || ev->sentences[i - 2].passage != s->passage)
            r += LEAD_BONUS * ev->section[s->passage];
        struct number one;
        if (number) r += numbers_read(s->text, s->n, &one, 1) ? NUMBER_BONUS : -NUMBER_BONUS / 2;
        if (empty_words(ev, s)) r *= 0.35f;
        else if (other_field(c, ev, s)) r *= 0.6f;
        else if (s->terms.count <= 2) r *= 0.8f;
        if (s->fragment) r *= 0.6f;
        s->relevance = clamp01(r);
    }
    return OK;
}
