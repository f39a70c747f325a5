/* knowledge/spelling.c — misspelt words of a question, put right by the words of the index itself: no list has to be
 * kept, and what is offered can be found. One pass over the terms serves all words in doubt; most questions have none and
 * pay a few look-ups. It refuses to touch a word that is known to anybody who counts: the material, the encoder's
 * vocabulary, the lists of small words; and it refuses to tell what stands in another user's texts. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/spelling.h"

#include <stdbool.h>
#include <string.h>

#include "encoder/encoder.h"
#include "knowledge/analyse.h"
#include "knowledge/collection.h"
#include "knowledge/fold.h"
#include "knowledge/knowledge.h"
#include "knowledge/postings.h"
#include "knowledge/wordlist.h"

#define WORD_BYTES  48
#define WORD_LEAST  4       /* letters: shorter ones are one letter away from too much */
#define WORD_LONG   8       /* from here on a second slip is believed */
#define SOUND_LEAST 6       /* letters of a stem in which a sound may be written wrong */
#define DOUBTS      6       /* words of one question that may be in doubt */
#define WORDS       64      /* of a question that are looked at; the first ones */
#define MIXED       3       /* words in doubt, from which on most of them being so means another language */
#define MANY        200     /* items, from which on a word of a single one is no likely meaning */
#define RARE        2u
#define RARE_FAR    5u      /* items that hold a word two slips away */
#define COUNT_MOST  1000    /* entries counted for one candidate */

/* Whose words count. The bits are made when the first word is looked up: most questions have none to look up. */
struct seer {
    struct call *c;
    const struct collection *col;
    const char *user, *language;
    const uint64_t *allowed;          /* NULL: everything */
    bool ready;
};
struct doubt {
    const char *word;                 /* in the question */
    size_t n;
    char   folded[WORD_BYTES], stem[WORD_BYTES];
    size_t folded_n, stem_n;
    uint32_t bits;
    int    most, best;                /* distance allowed; of the candidate, most + 1: none yet */
    uint32_t count;                   /* items of the candidate */
    char   term[WORD_BYTES];
    size_t term_n;
};

/* Keys that touch, from a to z. */
static bool beside(char a, char b)
{
    static const char *const touching[26] = {
        "qswz", "ghnv", "dfvx", "cefrsx", "drsw", "cdgrtv", "bfhtvy", "bgjnuy", "jkou", "hikmnu", "ijlmo", "kop",
        "jkn", "bhjm", "iklp", "lo", "aw", "deft", "adewxz", "fgry", "hijy", "bcfg", "aeqs", "cdsz", "ghtu", "asx",
    };
    return a >= 'a' && a <= 'z' && b >= 'a' && b <= 'z' && strchr(touching[a - 'a'], b);
}

/* One letter for another: the next key, or the same sound, which takes a longer word to be believed. */
static bool mistaken(char a, char b, size_t n)
{
    static const char *const sounds[] = { "aeiouy", "scz", "ck" };
    if (beside(a, b)) return true;
    for (int i = 0; i < 3 && n >= SOUND_LEAST; i++)
        if (strchr(sounds[i], a) && strchr(sounds[i], b)) return true;
    return false;
}

int spelling_slips(const char *a, size_t n, const char *b, size_t m, int most)
{
    int rows[3][WORD_BYTES + 1], *two = rows[0], *one = rows[1], *now = rows[2];
    if (n > WORD_BYTES || m > WORD_BYTES || (n > m ? n - m : m - n) > (size_t)most) return most + 1;
    for (size_t k = 0; k <= m; k++) one[k] = two[k] = (int)k;
    for (size_t i = 1; i <= n; i++) {
        char ch = a[i - 1], left = i > 1 ? a[i - 2] : 0, right = i < n ? a[i] : 0;
        int extra = ch == left || ch == right || beside(ch, left) || beside(ch, right) ? 1 : most + 1;
        int least = now[0] = (int)i + most;       /* nobody begins with a letter too many */
        for (size_t k = 1; k <= m; k++) {
            int d = one[k - 1] + (ch == b[k - 1] ? 0 : mistaken(ch, b[k - 1], n) ? 1 : most + 1);
            if (one[k] + extra < d) d = one[k] + extra;
            if (now[k - 1] + 1 < d) d = now[k - 1] + 1;
            if (i > 1 && k > 1 && ch == b[k - 2] && left == b[k - 1] && two[k - 2] + 1 < d) d = two[k - 2] + 1;
            now[k] = d;
            if (d < least) least = d;
        }
        if (least > most) return most + 1;
        int *oldest = two;
        two = one;
        one = now;
        now = oldest;
    }
    return one[m] <= most ? one[m] : most + 1;
}

/* Items of the term that the asker may see; counting stops early. */
static uint32_t seen_in(struct seer *v, const char *term, size_t n)
{
    uint32_t seen = 0;
    if (!v->ready) v->allowed = collection_allowed(v->c, v->col, v->user, NULL, NULL);
    v->ready = true;
    const struct postings *p;
    for (int r = 0; (p = collection_run(v->col, r)); r++) {
        const uint32_t *at;
        const uint16_t *weight;
        uint32_t have = postings_find(p, term, n, &at, &weight);
        for (uint32_t i = 0; i < have && seen < COUNT_MOST; i++) seen += !v->allowed || (v->allowed[at[i] / 64] >> (at[i] % 64) & 1);
    }
    return seen;
}

static bool letters(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(s[i] >= 'a' && s[i] <= 'z')) return false;
    return n > 0;
}

/* The letters of a word as bits: a slip changes at most two of them, which most words fail at a glance. */
static uint32_t letter_bits(const char *s, size_t n)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < n; i++) bits |= 1u << (s[i] & 31);
    return bits;
}

static bool fold_to(const char *s, size_t n, char out[WORD_BYTES], size_t *n_out)
{
    struct buf b;
    buf_init(&b, 4 * WORD_BYTES);
    bool ok = fold_text(s, n, &b) && b.len <= WORD_BYTES;
    if (ok) memcpy(out, b.data, *n_out = b.len);
    buf_dispose(&b);
    return ok;
}

static bool in_vocabulary(const char *word, size_t n)
{
    static const char *const endings[] = { "", "s", "es", "ly", "ed", "ing", "er", "ers" };
    const struct encoder *enc = encoder_default();
    for (size_t i = 0; enc && i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i]);
        if (n < k + WORD_LEAST || memcmp(word + n - k, endings[i], k) != 0) continue;
        if (tokenizer_spans(encoder_tokenizer(enc), word, n - k, NULL, 2) == 1) return true;
    }
    return false;
}

/* Is the word nobody's? Then its stem is the last of its terms: where two languages stem differently, either will do. */
static bool doubtful(struct seer *v, struct doubt *d)
{
    if (d->n < WORD_LEAST || d->n > WORD_BYTES || !fold_to(d->word, d->n, d->folded, &d->folded_n)) return false;
    if (d->folded_n < WORD_LEAST || !letters(d->folded, d->folded_n)) return false;
    if (wordlist_has(WORDLIST_EN, d->folded, d->folded_n) || wordlist_has(WORDLIST_ES, d->folded, d->folded_n)) return false;
    if (in_vocabulary(d->folded, d->folded_n)) return false;
    const char *terms = text_terms(v->c, d->word, d->n, v->language);
    for (const char *s = terms; *s;) {
        size_t n = strcspn(s, " ");
        if (n > WORD_BYTES || seen_in(v, s, n) > 0) return false;
        memcpy(d->stem, s, d->stem_n = n);
        s += n + (s[n] == ' ');
    }
    d->bits = letter_bits(d->stem, d->stem_n);
    d->most = d->folded_n >= WORD_LONG ? 2 : 1;
    d->best = d->most + 1;
    return d->stem_n >= WORD_LEAST - 1 && letters(d->stem, d->stem_n);
}

/* People miss the first letter least of all, except by swapping it with the second. */
static bool begins_alike(const char *a, const char *b)
{
    return a[0] == b[0] || (a[0] == b[1] && a[1] == b[0]);
}

static void offer(struct seer *v, struct doubt *d, const char *term, size_t n)
{
    size_t apart = n > d->stem_n ? n - d->stem_n : d->stem_n - n;
    if (n < WORD_LEAST - 1 || n > WORD_BYTES || apart > (size_t)d->most || !begins_alike(term, d->stem)) return;
    if (__builtin_popcount(letter_bits(term, n) ^ d->bits) > 2 * d->most || !letters(term, n)) return;
    /* "unnecessarily" is not "unnecessary" misspelt: a word with an ending more is another word. */
    if (n < d->stem_n && !memcmp(term, d->stem, n) && d->stem[n] != term[n - 1]) return;
    int far = spelling_slips(d->stem, d->stem_n, term, n, d->most);
    if (far > d->most || far > d->best) return;
    uint32_t count = seen_in(v, term, n);
    if (count < (far > 1 ? RARE_FAR : RARE) && (count == 0 || collection_count(v->col) >= MANY)) return;
    bool first = count == d->count && (n < d->term_n || (n == d->term_n && memcmp(term, d->term, n) < 0));
    if (far == d->best && count <= d->count && !first) return;
    d->best = far;
    d->count = count;
    memcpy(d->term, term, d->term_n = n);
}

/* The candidate with the ending that the word had: "calroies" is "calori" and "es". An ending that leads elsewhere is left off. */
static void put_word(struct call *c, struct buf *out, const struct doubt *d, const char *language)
{
    char whole[2 * WORD_BYTES];
    size_t n = d->term_n;
    memcpy(whole, d->term, n);
    if (d->folded_n > d->stem_n && !memcmp(d->folded, d->stem, d->stem_n)) {
        memcpy(whole + n, d->folded + d->stem_n, d->folded_n - d->stem_n);
        n += d->folded_n - d->stem_n;
        const char *terms = text_terms(c, whole, n, language);
        size_t k = strcspn(terms, " ");
        if (k != d->term_n || memcmp(terms, d->term, k) != 0 ||
            spelling_slips(d->folded, d->folded_n, whole, n, 3) > spelling_slips(d->folded, d->folded_n, d->term, d->term_n, 3))
            n = d->term_n;
    }
    buf_add(out, whole, n);
}

static bool inside_word(unsigned char ch)
{
    return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || ch >= 0x80;
}

/* Digits and joiners make a word part of something larger: an address, a measure, a name. */
static bool bound(const char *text, size_t n, size_t at)
{
    if (at >= n) return false;
    char ch = text[at];
    return (ch >= '0' && ch <= '9') || strchr("@_/\\'", ch) || (ch == '.' && at + 1 < n && inside_word((unsigned char)text[at + 1]));
}

static int find_doubts(struct seer *v, const char *text, size_t n, struct doubt *out)
{
    int count = 0, words = 0;
    bool first = true;
    for (size_t i = 0, k; i < n && count < DOUBTS && words < WORDS; i += k) {
        for (k = 0; i + k < n && inside_word((unsigned char)text[i + k]);) k++;
        if (k == 0) {
            k = 1;
            continue;
        }
        bool name = text[i] >= 'A' && text[i] <= 'Z' && !first;
        first = false;
        if (name || bound(text, n, i + k) || (i > 0 && (bound(text, n, i - 1) || text[i - 1] == '.'))) continue;
        out[count] = (struct doubt){ .word = text + i, .n = k };
        words += k >= WORD_LEAST;
        count += doubtful(v, &out[count]);
    }
    return count >= MIXED && count * 2 > words ? 0 : count;
}

const char *spelling_correct(struct call *c, const struct collection *col, const char *user, const char *text, size_t n,
                             const char *language)
{
    struct seer seer = { .c = c, .col = col, .user = user, .language = language }, *v = &seer;
    struct doubt doubts[DOUBTS];
    const struct postings *p;
    /* The encoder's words are English: in Spanish most that the material lacks would be taken for slips. */
    int count = strcmp(language, "es") == 0 ? 0 : find_doubts(v, text, n, doubts);
    for (int r = 0; count > 0 && (p = collection_run(v->col, r)); r++) {
        const struct postings_arrays *a = postings_arrays(p);
        for (uint32_t i = 0; i < a->term_count; i++)
            for (int k = 0; k < count; k++) offer(v, &doubts[k], a->text + a->terms[i].text, a->terms[i].len);
    }
    struct buf b;
    size_t from = 0;
    bool some = false;
    buf_init(&b, n + DOUBTS * 2 * WORD_BYTES + 1);
    for (int k = 0; k < count; k++) {
        const struct doubt *d = &doubts[k];
        if (d->best > d->most) continue;
        some = true;
        buf_add(&b, text + from, (size_t)(d->word - text) - from);
        put_word(c, &b, d, language);
        from = (size_t)(d->word - text) + d->n;
    }
    buf_add(&b, text + from, n - from);
    const char *out = some ? arena_strndup(&c->mem, b.data, b.len) : NULL;
    buf_dispose(&b);
    return out;
}
