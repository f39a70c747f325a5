/* knowledge/sentence.c — where sentences end, without a model: marks, what stands before and after them, and lines.
 * An answer is made of whole sentences, so a cut inside "approx. 3.5 kg" shows; a missed cut only makes one longer.
 * It refuses to change a byte: it gives offsets, and the sentences together are the text. */
/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <string.h>

#include "knowledge/fold.h"
#include "knowledge/knowledge.h"

struct text {
    const char *s;
    size_t n;
};

static bool starts(struct text t, size_t i, const char *w)
{
    size_t k = strlen(w);
    return i + k <= t.n && !memcmp(t.s + i, w, k);
}

/* Bytes of a mark that ends sentences at i: . ! ? … 。！？, 0 when there is none. */
static size_t mark_at(struct text t, size_t i)
{
    if (t.s[i] == '.' || t.s[i] == '!' || t.s[i] == '?') return 1;
    if ((unsigned char)t.s[i] < 0xE2) return 0;      /* most bytes: no wide mark begins below */
    static const char *const wide[] = { "\xE2\x80\xA6", "\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F" };
    for (size_t j = 0; j < 4; j++)
        if (starts(t, i, wide[j])) return 3;
    return 0;
}

/* Bytes of something that belongs to the sentence after its mark: quotes, brackets, Markdown emphasis, [1]. */
static size_t closer_at(struct text t, size_t i)
{
    if (i >= t.n) return 0;
    if (strchr("\"')]}*_`", t.s[i]) && t.s[i]) return 1;
    if (starts(t, i, "\xE2\x80\x9D") || starts(t, i, "\xE2\x80\x99")) return 3;
    if (starts(t, i, "\xC2\xBB")) return 2;
    if (t.s[i] == '[') {
        size_t j = i + 1;
        while (j < t.n && t.s[j] >= '0' && t.s[j] <= '9') j++;
        if (j > i + 1 && j < t.n && t.s[j] == ']') return j + 1 - i;
    }
    return 0;
}

static bool space_at(struct text t, size_t i)
{
    return i < t.n && (t.s[i] == ' ' || t.s[i] == '\t' || t.s[i] == '\n' || t.s[i] == '\r');
}

/* The word that ends just before i, lower-cased ASCII, dots inside kept ("e.g"). */
static size_t word_before(struct text t, size_t i, char out[16])
{
    size_t b = i;
    while (b > 0 && i - b < 15 && !space_at(t, b - 1) && !strchr("([\"'", t.s[b - 1])) b--;
    for (size_t j = b; j < i; j++) {
        char ch = t.s[j];
        out[j - b] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch;
    }
    out[i - b] = 0;
    return i - b;
}

static bool all_digits(const char *w)
{
    return *w && strspn(w, "0123456789") == strlen(w);
}

/* A full stop that is part of a word, whatever follows it. */
static bool abbreviation(const char *w, size_t n)
{
    static const char *const always[] = { "mr", "mrs", "ms", "dr", "dra", "prof", "sr", "sra", "srta", "st", "vs",
                                          "e.g", "eg", "i.e", "ie", "cf", "fig", "figs", "approx", "aprox", "p.ej",
                                          "ej", "ud", "uds", "vd", "art", "cap", "ref", "refs", "dept", "jr", "pp",
                                          "ca", "resp", "incl", "excl", "est", "max", "min", "avg", NULL };
    for (int i = 0; always[i]; i++)
        if (!strcmp(w, always[i])) return true;
    if (n == 1 && w[0] >= 'a' && w[0] <= 'z') return true;               /* an initial: J. Smith */
    return n == 3 && w[1] == '.';                                        /* U.S, e.g */
}

/* Does a sentence begin at i (after spaces)? Lower case means that the mark before was inside one. */
static bool begins(struct text t, size_t i)
{
    if (i >= t.n) return true;
    if (t.s[i] >= 'a' && t.s[i] <= 'z') return false;
    if (t.s[i] == ',' || t.s[i] == ';' || t.s[i] == ':') return false;
    if ((unsigned char)t.s[i] == 0xC3 && i + 1 < t.n) {
        unsigned char b = (unsigned char)t.s[i + 1];
        return !(b >= 0xA0 && b != 0xB7);                                /* à … ÿ */
    }
    return true;
}

/* The mark at i ended something: true when that was a sentence. after: first byte past mark and closers. */
static bool ends_here(struct text t, size_t i, size_t mark, size_t after)
{
    if (after < t.n && !space_at(t, after)) return mark == 3 && t.s[i] != (char)0xE2;   /* 3.5, a.b, "1RM.5" */
    size_t next = after;
    while (space_at(t, next)) next++;
    if (t.s[i] != '.') return begins(t, next) || t.s[i] == '!' || t.s[i] == '?';
    char w[16];
    size_t n = word_before(t, i, w);
    /* "1. Warm up": the number of a list item, at the beginning of its line. */
    if (n && n <= 3 && all_digits(w)) {
        size_t b = i - n;
        while (b > 0 && (t.s[b - 1] == ' ' || t.s[b - 1] == '\t')) b--;
        if (b == 0 || t.s[b - 1] == '\n') return false;
    }
    if (!strcmp(w, "no") && next < t.n && t.s[next] >= '0' && t.s[next] <= '9') return false;   /* No. 5 */
    if (!strcmp(w, "etc") || !strcmp(w, "a.m") || !strcmp(w, "p.m")) return begins(t, next);
    if (n && abbreviation(w, n)) {
        /* "at the 1RM max. Then": a unit-like word at the end does end a sentence before a capital. */
        bool unit = !strcmp(w, "max") || !strcmp(w, "min") || !strcmp(w, "avg") || !strcmp(w, "est");
        return next >= t.n || (unit && t.s[next] >= 'A' && t.s[next] <= 'Z');
    }
    return begins(t, next);
}

/* At a newline: does the next line start something of its own (blank line, list item, heading, table row)? */
static bool line_breaks(struct text t, size_t line, size_t nl)
{
    size_t i = nl + 1;
    while (i < t.n && (t.s[i] == ' ' || t.s[i] == '\t' || t.s[i] == '\r')) i++;
    if (i >= t.n || t.s[i] == '\n' || t.s[i] == '#' || t.s[i] == '|' || t.s[i] == '>') return true;
    if (t.s[line] == '#') return true;                                   /* a heading is one line */
    if (i + 1 < t.n && strchr("-*+", t.s[i]) && t.s[i + 1] == ' ') return true;
    if (starts(t, i, "\xE2\x80\xA2")) return true;
    size_t d = i;
    while (d < t.n && t.s[d] >= '0' && t.s[d] <= '9') d++;
    return d > i && d - i <= 3 && d + 1 < t.n && (t.s[d] == '.' || t.s[d] == ')') && t.s[d + 1] == ' ';
}

int text_sentences(const char *text, size_t n, uint32_t *ends_out, int max)
{
    struct text t = { text, n };
    int count = 0;
    size_t start = 0, line = 0, i = 0;
    bool words = false;                       /* something else than spaces since start */
    while (i < n && count < max) {
        size_t end = 0, mark = mark_at(t, i);
        if (mark) {
            size_t after = i + mark, more;
            while (after < n && (more = mark_at(t, after)) != 0) after += more;
            while ((more = closer_at(t, after)) != 0) after += more;
            if (words && ends_here(t, i, mark, after)) end = after;
            else i = after - 1;
        } else if (t.s[i] == '\n') {
            if (words && line_breaks(t, line, i)) end = i;
            line = i + 1;
            while (line < n && (t.s[line] == ' ' || t.s[line] == '\t')) line++;
        } else if (!space_at(t, i)) {
            words = true;
        }
        if (!end) {
            i++;
            continue;
        }
        while (space_at(t, end)) {
            if (t.s[end] == '\n') line = end + 1;
            end++;
        }
        ends_out[count++] = (uint32_t)end;
        start = i = end;
        if (line > i || line < i) {
            size_t b = i;
            while (b > 0 && t.s[b - 1] != '\n') b--;
            line = b;
        }
        words = false;
    }
    if (count < max && start < n) {
        if (words || count == 0) ends_out[count++] = (uint32_t)n;
        else ends_out[count - 1] = (uint32_t)n;
    }
    return count;
}
