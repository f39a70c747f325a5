/* coaching/evidence.c — from passages to sentences with a place and a relevance. Lines matter as much as full stops:
 * headings carry no claim, a list item is a sentence of its own, a wrapped line is not. It never edits a sentence, for
 * its bytes are the citation; overlapping chunks give a sentence once, in its most complete form. */
/* SPDX-License-Identifier: MIT */
#include "coaching/evidence.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "encoder/encoder.h"
#include "encoder/tokenizer.h"

#define TERMS_MAX    256
#define LINE_SENTENCES 64

static float rarity(const char *word, size_t n)
{
    struct encoder *enc = encoder_default();
    if (!enc) return n > 4 ? 0.8f : 0.5f;
    int32_t ids[8];
    int count = tokenizer_encode(encoder_tokenizer(enc), word, n, ids, 8) - 2;
    if (count != 1) return 1.0f;
    /* BERT's vocabulary is ordered by frequency from about 2,000 to 30,000; one of pieces from its beginning. */
    const struct tokenizer *t = encoder_tokenizer(enc);
    bool  pieces = strcmp(tokenizer_kind(t), "Unigram") == 0;
    float f = pieces ? (float)ids[1] / (0.35f * (float)tokenizer_size(t)) : ((float)ids[1] - 1996.0f) / 10000.0f;
    if (f < 0) f = 0;
    if (f > 1) f = 1;
    return 0.35f + 0.65f * sqrtf(f);
}

bool terms_have(const struct terms *t, const char *word)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->word[i], word) == 0) return true;
    return false;
}

static void terms_add(struct call *c, struct terms *t, const char *text, size_t n, const char *language)
{
    char *s = arena_strdup(&c->mem, text_terms(c, text, n, language));
    for (char *save = NULL, *w = strtok_r(s, " ", &save); w && t->count < TERMS_MAX; w = strtok_r(NULL, " ", &save)) {
        if (terms_have(t, w)) continue;
        t->weight[t->count] = 1.0f;
        t->word[t->count++] = w;
    }
}

static struct terms terms_new(struct call *c)
{
    return (struct terms){ .word = arena_array(&c->mem, TERMS_MAX, sizeof(char *)),
                           .weight = arena_array(&c->mem, TERMS_MAX, sizeof(float)) };
}

/* The vocabulary knows words, not stems: a term weighs what the word it came from weighs. */
struct terms terms_of(struct call *c, const char *text, size_t n, const char *language)
{
    struct terms t = terms_new(c);
    terms_add(c, &t, text, n, language);
    for (int i = 0; i < t.count; i++) t.weight[i] = 0.8f;
    for (size_t i = 0; i < n;) {
        size_t w = 0;
        while (i + w < n && (isalnum((unsigned char)text[i + w]) || (unsigned char)text[i + w] >= 0x80)) w++;
        if (w && w < 64) {
            const char *term = text_terms(c, text + i, w, language);
            for (int k = 0; k < t.count; k++)
                if (strcmp(t.word[k], term) == 0) t.weight[k] = rarity(text + i, w);
        }
        i += w ? w : 1;
    }
    return t;
}

float terms_share(const struct terms *a, const struct terms *b)
{
    float all = 0, in = 0;
    for (int i = 0; i < a->count; i++) {
        all += a->weight[i];
        if (terms_have(b, a->word[i])) in += a->weight[i];
    }
    return all > 0 ? in / all : 0;
}

const char *passage_section(const struct passage *p)
{
    const char *heading = p->heading && *p->heading ? p->heading : p->title ? p->title : "";
    const char *at = strrchr(heading, '>');
    at = at ? at + 1 : heading;
    while (*at == ' ') at++;
    return at;
}

/* Length of a list marker with its blanks ("- ", "12. "), 0 when the line begins none. */
static size_t item_marker(const char *p, size_t n)
{
    size_t i = 0;
    if (n > 1 && strchr("-*+", p[0]) && p[1] == ' ') {
        i = 1;
    } else if (n > 3 && memcmp(p, "\xe2\x80\xa2", 3) == 0) {
        i = 3;
    } else {
        while (i < n && i < 3 && isdigit((unsigned char)p[i])) i++;
        if (i == 0 || i + 1 >= n || !strchr(".)", p[i]) || p[i + 1] != ' ') return 0;
        i++;
    }
    while (i < n && p[i] == ' ') i++;
    return i;
}

static bool ends_sentence(const char *p, size_t n)
{
    while (n && strchr("\"')]*_", p[n - 1])) n--;
    if (n >= 3 && (memcmp(p + n - 3, "\xe2\x80\x9d", 3) == 0 || memcmp(p + n - 3, "\xe2\x80\x99", 3) == 0)) n -= 3;
    return n && strchr(".!?:;", p[n - 1]);
}

/* A line that titles what follows: marked as one, or short, alone and without an end. */
static bool is_heading(const char *p, size_t n, bool alone)
{
    if (n && p[0] == '#') return true;
    if (n && strspn(p, "-=*_ |:+") >= n) return true;          /* rules and table lines */
    return alone && n <= 90 && !ends_sentence(p, n) && !item_marker(p, n);
}

struct cutter {
    struct call     *c;
    struct evidence *ev;
    int              passage;
    int              block;        /* counts paragraphs and lists */
    bool             chain;        /* the sentence before is directly before this one */
};

/* Overlapping chunks repeat text: keep the longer of two forms. True when the new one is not needed. */
static bool repeated(struct evidence *ev, const struct sentence *s)
{
    const char *doc = ev->passages[s->passage].document_id;
    for (int i = 0; i < ev->count; i++) {
        struct sentence *o = &ev->sentences[i];
        if (o->passage == s->passage || s->start_byte >= o->end_byte || o->start_byte >= s->end_byte) continue;
        if (strcmp(ev->passages[o->passage].document_id, doc) != 0) continue;
        if (o->n >= s->n) return true;
        o->n = 0;
    }
    return false;
}

static void add_sentence(struct cutter *k, size_t at, size_t n, bool item, bool fragment)
{
    struct evidence *ev = k->ev;
    const struct passage *p = &ev->passages[k->passage];
    const char *text = p->text + at;
    while (n && isspace((unsigned char)*text)) text++, n--;
    while (n && isspace((unsigned char)text[n - 1])) n--;
    if (n < 3 || ev->count == EVIDENCE_MAX) return;
    struct sentence s = { .text = text, .n = n, .passage = k->passage, .start_byte = p->start_byte + (text - p->text),
                          .cosine = -2, .block = k->block, .item = item, .lead = text[n - 1] == ':', .follows = k->chain, .fragment = fragment };
    s.end_byte = s.start_byte + (int64_t)n;
    k->chain = false;
    if (repeated(ev, &s)) return;
    k->chain = true;
    s.terms = terms_new(k->c);
    terms_add(k->c, &s.terms, text, n, p->language);
    ev->sentences[ev->count++] = s;
}

/* One block: a list item or the joined lines of a paragraph. */
static void cut_block(struct cutter *k, size_t at, size_t n, bool item, bool first, bool last)
{
    const char *text = k->ev->passages[k->passage].text;
    if (!item) k->block++;         /* items stay with the paragraph that leads to them */
    if (item || n == 0) {
        if (n) add_sentence(k, at, n, item, last && !ends_sentence(text + at, n) && strlen(text) > 600);
        return;
    }
    uint32_t ends[LINE_SENTENCES];
    int count = text_sentences(text + at, n, ends, LINE_SENTENCES);
    size_t from = 0;
    for (int i = 0; i < count; i++) {
        size_t to = ends[i] <= n ? ends[i] : n;
        size_t trimmed = to;
        while (trimmed > from && isspace((unsigned char)text[at + trimmed - 1])) trimmed--;
        bool cut_front = first && i == 0 && islower((unsigned char)text[at + from]);
        bool cut_back = last && i == count - 1 && !ends_sentence(text + at + from, trimmed - from);
        add_sentence(k, at + from, to - from, false, cut_front || cut_back);
        from = to;
    }
    if (from < n && count < LINE_SENTENCES) add_sentence(k, at + from, n - from, false, last);
}

static void cut_passage(struct call *c, struct evidence *ev, int passage)
{
    struct cutter k = { .c = c, .ev = ev, .passage = passage };
    const char *text = ev->passages[passage].text;
    size_t len = strlen(text), block = 0, block_len = 0, block_lines = 0;
    bool item = false, first = true;
    for (size_t at = 0; at <= len;) {
        const char *nl = memchr(text + at, '\n', len - at);
        size_t n = nl ? (size_t)(nl - text) - at : len - at;
        size_t indent = 0;
        while (indent < n && (text[at + indent] == ' ' || text[at + indent] == '\t' || text[at + indent] == '\r')) indent++;
        const char *line = text + at + indent;
        size_t rest = n - indent;
        while (rest && isspace((unsigned char)line[rest - 1])) rest--;
        bool marks = item_marker(line, rest) > 0, blank = rest == 0;
        bool title = !blank && line[0] == '#';
        if (block_lines && (blank || marks || title)) {
            if (!is_heading(text + block, block_len, block_lines == 1 && !item)) {
                cut_block(&k, block, block_len, item, first, false);
                first = false;
            } else {
                k.chain = false;
                first = false;
            }
            block_lines = 0;
        }
        if (title) {
            k.chain = false;
            first = false;
        } else if (!blank) {
            if (block_lines == 0) {
                block = at + indent;
                item = marks;
            }
            block_len = at + n - block;
            block_lines++;
        }
        if (!nl) break;
        at += n + 1;
    }
    if (block_lines && !is_heading(text + block, block_len, block_lines == 1 && !item))
        cut_block(&k, block, block_len, item, first, true);
}

static void drop_emptied(struct evidence *ev)
{
    int kept = 0;
    for (int i = 0; i < ev->count; i++) {
        if (ev->sentences[i].n == 0) {
            if (i + 1 < ev->count) ev->sentences[i + 1].follows = false;
            continue;
        }
        ev->sentences[kept++] = ev->sentences[i];
    }
    ev->count = kept;
}

enum err evidence_make(struct call *c, const char *question, const char *language, struct passage *passages, int found, int use,
                       struct evidence *out)
{
    struct evidence ev = { .question = question, .language = language, .passages = passages, .found_count = found,
                           .passage_count = use < found ? use : found };
    ev.sentences = arena_array(&c->mem, EVIDENCE_MAX, sizeof *ev.sentences);
    ev.passage_terms = arena_array(&c->mem, (size_t)(ev.passage_count > 0 ? ev.passage_count : 1), sizeof *ev.passage_terms);
    ev.terms = terms_of(c, question, strlen(question), language);
    evidence_order(c, &ev.terms, passages, found, ev.passage_count);
    const char *model = NULL;
    enum err e = OK;
    if (encoder_default()) {
        e = embed_text(c, question, strlen(question), &ev.vector, &ev.dim, &model);
        if (e == ERR_CANCELLED || e == ERR_TIMEOUT) return e;
        if (e) {
            call_forgive(c);
            ev.vector = NULL;
        }
    }
    ev.heading_terms = arena_array(&c->mem, (size_t)(ev.passage_count > 0 ? ev.passage_count : 1), sizeof *ev.heading_terms);
    ev.section_terms = arena_array(&c->mem, (size_t)(ev.passage_count > 0 ? ev.passage_count : 1), sizeof *ev.section_terms);
    struct terms *headings = ev.heading_terms;
    for (int i = 0; i < ev.passage_count; i++) {
        const struct passage *p = &passages[i];
        headings[i] = terms_new(c);
        if (p->heading) terms_add(c, &headings[i], p->heading, strlen(p->heading), p->language);
        if (p->title) terms_add(c, &headings[i], p->title, strlen(p->title), p->language);
        const char *section = passage_section(p);
        ev.section_terms[i] = terms_new(c);
        terms_add(c, &ev.section_terms[i], section, strlen(section), p->language);
        ev.passage_terms[i] = terms_new(c);
        terms_add(c, &ev.passage_terms[i], p->text, strlen(p->text), p->language);
        for (int k = 0; k < headings[i].count && ev.passage_terms[i].count < TERMS_MAX; k++)
            if (!terms_have(&ev.passage_terms[i], headings[i].word[k])) {
                ev.passage_terms[i].weight[ev.passage_terms[i].count] = 1;
                ev.passage_terms[i].word[ev.passage_terms[i].count++] = headings[i].word[k];
            }
        cut_passage(c, &ev, i);
        e = call_check(c);
        if (e) return e;
    }
    drop_emptied(&ev);
    e = relevance_score(c, &ev);
    if (e) return e;
    *out = ev;
    return OK;
}
