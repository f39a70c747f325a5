/* knowledge/analyse.c — words of a text to terms of the index, the same code for documents and questions: a form that
 * is found differently on the two sides is a form that is not found. Folding comes before stemming because people type
 * without accents; the endings that the Spanish stemmer needs with their accent get it back first.
 * It refuses to guess meaning: no synonyms, no spelling correction. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/analyse.h"

#include <libstemmer.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/fold.h"
#include "knowledge/knowledge.h"
#include "knowledge/wordlist.h"

#define WORD_BYTES 48     /* longer runs are no words: base64, URLs */
#define PARTS      6      /* of one joined word; what follows starts anew */

enum { STEM_EN = 1, STEM_ES = 2 };
struct analyser {
    struct sb_stemmer *en, *es;
    unsigned stems;
    bool keep_stop;
    struct buf *out;
};
struct part {
    const char *s;
    size_t n;
};
/* A run of letters and digits with single joiners inside: push-ups, 3/4, 1.5, don't, 10:30. */
struct word {
    struct part parts[PARTS];
    char joiner[PARTS];       /* joiner[i] stands between part i and i + 1 */
    int count;
    bool near;                /* only spaces or one hyphen before it */
};
struct scanner {
    const char *p, *end;
};

static bool digits(struct part w)
{
    for (size_t i = 0; i < w.n; i++)
        if (w.s[i] < '0' || w.s[i] > '9') return false;
    return w.n > 0;
}

static bool same(struct part w, const char *s)
{
    return strlen(s) == w.n && !memcmp(w.s, s, w.n);
}

static struct part run_at(const char *p, const char *end)
{
    struct part w = { p, 0 };
    while (p < end) {
        size_t k;
        enum fold_kind kind = fold_kind(p, (size_t)(end - p), &k);
        if (kind == FOLD_IDEOGRAPH && w.n == 0) return (struct part){ p, k };
        if (kind != FOLD_LETTER && kind != FOLD_DIGIT) break;
        p += k;
        w.n += k;
    }
    return w;
}

static bool next_word(struct scanner *s, struct word *w)
{
    int hyphens = 0, others = 0;
    struct part run = { NULL, 0 };
    while (s->p < s->end && (run = run_at(s->p, s->end)).n == 0) {
        size_t k;
        fold_kind(s->p, (size_t)(s->end - s->p), &k);
        if (*s->p == '-') hyphens++;
        else if (*s->p != ' ' && *s->p != '\n' && *s->p != '\t') others++;
        s->p += k;
    }
    if (s->p >= s->end) return false;
    *w = (struct word){ .near = hyphens <= 1 && others == 0 };
    for (;;) {
        w->parts[w->count++] = run;
        s->p = run.s + run.n;
        if (w->count == PARTS || s->end - s->p < 2 || !strchr("-/.:,'_", *s->p)) return true;
        char joiner = *s->p;
        struct part more = run_at(s->p + 1, s->end);
        if (more.n == 0) return true;
        if (joiner == ',' && !(digits(run) && digits(more))) return true;
        w->joiner[w->count - 1] = joiner;
        run = more;
    }
}

static void add(struct analyser *a, const char *s, size_t n)
{
    if (n == 0 || n > WORD_BYTES) return;
    if (a->out->len > 0 && a->out->data[a->out->len - 1] != ' ') buf_addc(a->out, ' ');
    buf_add(a->out, s, n);
}

static size_t stem(struct sb_stemmer *st, const char *s, size_t n, char out[WORD_BYTES])
{
    const sb_symbol *r = sb_stemmer_stem(st, (const sb_symbol *)s, (int)n);
    if (!r) abort();
    size_t len = (size_t)sb_stemmer_length(st);
    if (len > WORD_BYTES) len = WORD_BYTES;
    memcpy(out, r, len);
    return len;
}

/* "natacion" and "nataciones" meet only when the first is stemmed as "natación". */
static size_t stem_spanish(struct sb_stemmer *st, const char *s, size_t n, char out[WORD_BYTES])
{
    static const struct { const char *plain, *accented; } endings[] = { { "cion", "ción" }, { "logia", "logía" },
                                                                          { "logias", "logías" } };
    char with[WORD_BYTES + 2];
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t k = strlen(endings[i].plain), m = strlen(endings[i].accented);
        if (n <= k || n + 1 > sizeof with || memcmp(s + n - k, endings[i].plain, k) != 0) continue;
        memcpy(with, s, n - k);
        memcpy(with + n - k, endings[i].accented, m);
        return stem(st, with, n - k + m, out);
    }
    return stem(st, s, n, out);
}

/* A term may hold accents again after stemming; the index compares folded terms. */
static size_t refold(char s[WORD_BYTES], size_t n)
{
    struct buf b;
    buf_init(&b, WORD_BYTES);
    if (fold_text(s, n, &b)) {
        n = b.len;
        memcpy(s, b.data, n);
    }
    buf_dispose(&b);
    return n;
}

static bool is_stop(const struct analyser *a, struct part w)
{
    return ((a->stems & STEM_EN) && wordlist_has(WORDLIST_EN, w.s, w.n)) ||
           ((a->stems & STEM_ES) && wordlist_has(WORDLIST_ES, w.s, w.n));
}

static void add_word(struct analyser *a, struct part w)
{
    if (w.n == 0 || w.n > WORD_BYTES) return;
    if (is_stop(a, w)) {
        if (a->keep_stop) add(a, w.s, w.n);
        return;
    }
    char en[WORD_BYTES], es[WORD_BYTES];
    size_t n_en = 0, n_es = 0;
    if (a->stems & STEM_EN) add(a, en, n_en = stem(a->en, w.s, w.n, en));
    if (a->stems & STEM_ES) {
        n_es = refold(es, stem_spanish(a->es, w.s, w.n, es));
        if (n_es != n_en || memcmp(en, es, n_en) != 0) add(a, es, n_es);
    }
}

/* 80kg, 80 kg and 80 kilos meet in "80kg"; the unit alone stays findable, a one-digit number alone says nothing. */
static void add_measure(struct analyser *a, const char *number, size_t n, const char *unit)
{
    char whole[WORD_BYTES];
    size_t u = strlen(unit);
    if (n + u > sizeof whole) return;
    memcpy(whole, number, n);
    memcpy(whole + n, unit, u);
    add(a, whole, n + u);
    if (n > 1) add(a, number, n);
    add(a, unit, u);
}

/* letters after leading digits of "80kg", when they are a unit; NULL otherwise. */
static const char *unit_of(struct part w, size_t *digits_out)
{
    size_t d = 0;
    while (d < w.n && ((w.s[d] >= '0' && w.s[d] <= '9') || w.s[d] == '.')) d++;
    *digits_out = d;
    return d > 0 && d < w.n ? wordlist_get(WORDLIST_UNITS, w.s + d, w.n - d) : NULL;
}

static void add_simple(struct analyser *a, struct part w)
{
    size_t d;
    const char *unit = unit_of(w, &d);
    if (unit) {
        add_measure(a, w.s, d, unit);
        return;
    }
    if (d > 0) {
        add(a, w.s, w.n);          /* 5x5, 3d, 2024: as written */
        return;
    }
    for (size_t cut = 0; cut < 2 && cut < w.n; cut++) {
        if (cut == 1 && w.s[w.n - 1] != 's') break;
        const char *two = wordlist_get(WORDLIST_JOINED, w.s, w.n - cut);
        if (!two) continue;
        const char *sp = strchr(two, ' ');
        add_word(a, (struct part){ two, (size_t)(sp - two) });
        add_word(a, (struct part){ sp + 1, strlen(sp + 1) });
        add(a, w.s, w.n - cut);
        return;
    }
    add_word(a, w);
}

/* The parts written as one; cut leaves a plural s off, so that pushups and push-up are one term. */
static void add_joined(struct analyser *a, const struct part *parts, int count)
{
    char whole[WORD_BYTES] = { 0 };
    size_t n = 0;
    for (int i = 0; i < count; i++) {
        if (n + parts[i].n > sizeof whole) return;
        memcpy(whole + n, parts[i].s, parts[i].n);
        n += parts[i].n;
    }
    if (n > 1 && whole[n - 1] == 's' && wordlist_has(WORDLIST_JOINED, whole, n - 1)) n--;
    if (wordlist_has(WORDLIST_JOINED, whole, n)) add(a, whole, n);
    else add_word(a, (struct part){ whole, n });
}

/* Digits joined as one number: 1.5 and 1,5 are the same, 1,000 is 1000; 3/4, 8-12 and 10:30 as written. 0: too long. */
static size_t number_text(const struct word *w, char whole[WORD_BYTES])
{
    size_t n = 0;
    for (int i = 0; i < w->count; i++) {
        struct part p = w->parts[i];
        if (n + p.n + 1 > WORD_BYTES) return 0;
        char j = i > 0 ? w->joiner[i - 1] : 0;
        bool mark = j == ',' || j == '\'';           /* of thousands before three digits, else of the fraction */
        if (j && !(mark && p.n == 3)) whole[n++] = mark ? '.' : j;
        memcpy(whole + n, p.s, p.n);
        n += p.n;
    }
    return n;
}

static void add_numeric(struct analyser *a, const struct word *w)
{
    char whole[WORD_BYTES];
    size_t d, n = number_text(w, whole);
    struct part all = { whole, n };
    const char *unit = unit_of(all, &d);          /* a unit may hang on: 2.5kg */
    if (unit) {
        add_measure(a, whole, d, unit);
        return;
    }
    add(a, whole, n);
    if (memchr(whole, '-', n))
        for (int i = 0; i < w->count; i++) add_simple(a, w->parts[i]);
}

static void add_compound(struct analyser *a, const struct word *w)
{
    bool numeric = true, hyphens = true, single = true;
    for (int i = 0; i < w->count; i++) {
        numeric &= w->parts[i].s[0] >= '0' && w->parts[i].s[0] <= '9';
        single &= w->parts[i].n == 1;
        if (i > 0) hyphens &= w->joiner[i - 1] == '-';
    }
    if (numeric) {
        add_numeric(a, w);
        return;
    }
    if (w->joiner[0] == '\'') {
        struct part last = w->parts[w->count - 1];
        if (same(last, "s")) add_simple(a, w->parts[0]);
        else add_joined(a, w->parts, w->count);
        return;
    }
    if (single && w->joiner[0] == '.') {
        add_joined(a, w->parts, w->count);
        return;
    }
    if (hyphens && w->count == 2 && digits(w->parts[0])) {
        const char *unit = wordlist_get(WORDLIST_UNITS, w->parts[1].s, w->parts[1].n);
        if (unit) {
            add_measure(a, w->parts[0].s, w->parts[0].n, unit);
            return;
        }
    }
    for (int i = 0; i < w->count; i++) add_simple(a, w->parts[i]);
    if (hyphens && w->count <= 3) add_joined(a, w->parts, w->count);
}

static bool plain_number(const struct word *w)
{
    for (int i = 0; i < w->count; i++)
        if (!digits(w->parts[i]) || (i > 0 && !strchr(".,", w->joiner[i - 1]))) return false;
    return true;
}

/* Forms written in two or three words. Returns how many words after w were used up, and adds their terms. */
static int add_phrase(struct analyser *a, const struct word *w, const struct word *next, int next_count)
{
    if (next_count < 1 || next[0].count != 1 || !next[0].near) return 0;
    struct part two = next[0].parts[0];
    if (plain_number(w)) {
        char number[WORD_BYTES];
        size_t n = number_text(w, number);
        if (same(two, "x") && next_count > 1 && next[1].near && next[1].count == 1 && digits(next[1].parts[0])) {
            struct part times = next[1].parts[0];
            if (n + 1 + times.n > sizeof number) return 0;
            number[n] = 'x';
            memcpy(number + n + 1, times.s, times.n);
            add(a, number, n + 1 + times.n);
            return 2;
        }
        const char *unit = wordlist_get(WORDLIST_UNITS, two.s, two.n);
        if (!unit) return 0;
        add_measure(a, number, n, unit);
        if (two.n > 2 && strncmp(two.s, unit, two.n) != 0) add_word(a, two);
        return 1;
    }
    if (w->count != 1) return 0;
    struct part one = w->parts[0];
    char pair[WORD_BYTES];
    for (size_t cut = 0; cut < 2 && cut < two.n; cut++) {
        if (cut == 1 && two.s[two.n - 1] != 's') break;
        size_t n = one.n + 1 + two.n - cut;
        if (n > sizeof pair) return 0;
        memcpy(pair, one.s, one.n);
        pair[one.n] = ' ';
        memcpy(pair + one.n + 1, two.s, two.n - cut);
        if (!wordlist_has(WORDLIST_COMPOUNDS, pair, n)) continue;
        add_word(a, one);
        add_word(a, (struct part){ two.s, two.n - cut });
        memmove(pair + one.n, pair + one.n + 1, two.n - cut);
        add(a, pair, n - 1);
        return 1;
    }
    return 0;
}

/* Making a stemmer costs as much as the few words of a sentence: those that are not in use are kept. */
#define STEMMERS 16
struct stemmers {
    const char *name;
    int n;
    struct sb_stemmer *idle[STEMMERS];
};
static struct stemmers english = { .name = "english" }, spanish = { .name = "spanish" };
static pthread_mutex_t stemmers_lock = PTHREAD_MUTEX_INITIALIZER;

static struct sb_stemmer *stemmer_take(struct stemmers *s)
{
    pthread_mutex_lock(&stemmers_lock);
    struct sb_stemmer *st = s->n ? s->idle[--s->n] : NULL;
    pthread_mutex_unlock(&stemmers_lock);
    return st ? st : sb_stemmer_new(s->name, "UTF_8");
}

static void stemmer_give(struct stemmers *s, struct sb_stemmer *st)
{
    if (!st) return;
    pthread_mutex_lock(&stemmers_lock);
    bool kept = s->n < STEMMERS;
    if (kept) s->idle[s->n++] = st;
    pthread_mutex_unlock(&stemmers_lock);
    if (!kept) sb_stemmer_delete(st);
}

bool analyse_terms(const char *text, size_t n, const char *language, bool keep_stop, struct buf *out)
{
    struct buf folded;
    buf_init(&folded, n * 4 + 64);
    fold_text(text, n, &folded);
    struct analyser a = { .keep_stop = keep_stop, .out = out };
    a.stems = !strcmp(language, "en") ? STEM_EN : !strcmp(language, "es") ? STEM_ES : STEM_EN | STEM_ES;
    if (a.stems & STEM_EN) a.en = stemmer_take(&english);
    if (a.stems & STEM_ES) a.es = stemmer_take(&spanish);
    struct scanner s = { folded.data, folded.data + folded.len };
    struct word w[3];
    int held = 0;
    for (;;) {
        while (held < 3 && folded.len && next_word(&s, &w[held])) held++;
        if (held == 0 || out->failed) break;
        int used = add_phrase(&a, &w[0], w + 1, held - 1);
        if (used == 0) {
            if (w[0].count == 1) add_simple(&a, w[0].parts[0]);
            else add_compound(&a, &w[0]);
        }
        held -= used + 1;
        memmove(w, w + used + 1, (size_t)held * sizeof *w);
    }
    stemmer_give(&english, a.en);
    stemmer_give(&spanish, a.es);
    buf_dispose(&folded);
    return !out->failed;
}

const char *text_terms(struct call *c, const char *text, size_t n, const char *language)
{
    struct buf b;
    buf_init(&b, n * 16 + 256);
    analyse_terms(text, n, language ? language : "", false, &b);
    const char *s = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return s;
}

const char *const *analyse_query(struct call *c, const char *text, size_t n, const char *language, int *n_out,
                                 bool *only_stop_out)
{
    struct buf b;
    buf_init(&b, n * 16 + 256);
    analyse_terms(text, n, language, false, &b);
    *only_stop_out = b.len == 0;
    if (b.len == 0) analyse_terms(text, n, language, true, &b);
    const char **terms = arena_array(&c->mem, ANALYSE_QUERY_TERMS, sizeof *terms);
    int count = 0;
    for (size_t i = 0; i < b.len && count < ANALYSE_QUERY_TERMS;) {
        size_t k = 0;
        while (i + k < b.len && b.data[i + k] != ' ') k++;
        bool known = k == 0;
        for (int j = 0; j < count && !known; j++) known = strlen(terms[j]) == k && !memcmp(terms[j], b.data + i, k);
        if (!known) terms[count++] = arena_strndup(&c->mem, b.data + i, k);
        i += k + 1;
    }
    buf_dispose(&b);
    *n_out = count;
    return terms;
}
