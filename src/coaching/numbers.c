/* coaching/numbers.c — the numbers of a text, so that none is said that no passage gives. "1,000", "1000" and "mil" are
 * one number, "8-12 reps" is two with one unit. It refuses to compute: a sum that is right but not written is not there. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "coaching/check.h"

static const struct { const char *word, *digits; } words[] = {
    { "two", "2" }, { "three", "3" }, { "four", "4" }, { "five", "5" }, { "six", "6" }, { "seven", "7" }, { "eight", "8" },
    { "nine", "9" }, { "ten", "10" }, { "eleven", "11" }, { "twelve", "12" }, { "thirteen", "13" }, { "fourteen", "14" },
    { "fifteen", "15" }, { "sixteen", "16" }, { "eighteen", "18" }, { "twenty", "20" }, { "thirty", "30" }, { "forty", "40" },
    { "fifty", "50" }, { "sixty", "60" }, { "seventy", "70" }, { "eighty", "80" }, { "ninety", "90" }, { "hundred", "100" },
    { "thousand", "1000" }, { "twice", "2" },
    { "dos", "2" }, { "tres", "3" }, { "cuatro", "4" }, { "cinco", "5" }, { "seis", "6" }, { "siete", "7" }, { "ocho", "8" },
    { "nueve", "9" }, { "diez", "10" }, { "once", "11" }, { "doce", "12" }, { "quince", "15" }, { "veinte", "20" },
    { "treinta", "30" }, { "cuarenta", "40" }, { "cincuenta", "50" }, { "sesenta", "60" }, { "cien", "100" }, { "mil", "1000" },
};
static const struct { const char *start, *unit; bool whole; } units[] = {
    { "%", "%", true }, { "kg", "kg", true }, { "kilo", "kg", false }, { "g", "g", true }, { "gram", "g", false },
    { "gr", "g", true }, { "mg", "mg", true }, { "milligram", "mg", false }, { "lb", "lb", true }, { "lbs", "lb", true },
    { "pound", "lb", false }, { "libra", "lb", false }, { "l", "l", true }, { "litre", "l", false }, { "liter", "l", false },
    { "litro", "l", false }, { "ml", "ml", true }, { "millilit", "ml", false }, { "mililit", "ml", false },
    { "sec", "s", false }, { "segundo", "s", false }, { "s", "s", true }, { "min", "min", false },
    { "hour", "h", false }, { "hora", "h", false }, { "h", "h", true }, { "hr", "h", true }, { "day", "day", false },
    { "d\xc3\xad" "a", "day", false }, { "dia", "day", false }, { "week", "week", false }, { "semana", "week", false },
    { "month", "month", false }, { "mes", "month", false }, { "year", "year", false }, { "a\xc3\xb1o", "year", false },
    { "rep", "rep", false }, { "set", "set", true }, { "sets", "set", true }, { "serie", "set", false },
    { "kcal", "kcal", true }, { "calor", "kcal", false }, { "km", "km", true }, { "mile", "mile", false }, { "cm", "cm", true },
};

static size_t word_len(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (isalpha((unsigned char)p[i]) || (unsigned char)p[i] >= 0x80)) i++;
    return i;
}

static const char *unit_of(const char *p, size_t n)
{
    if (n && *p == '%') return "%";
    size_t w = word_len(p, n);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t u = strlen(units[i].start);
        if (u <= w && (!units[i].whole || u == w) && strncasecmp(p, units[i].start, u) == 0) return units[i].unit;
    }
    return "";
}

/* Reads digits with separators at p: "1,000" and "1.000" (groups of three) lose them, "2.5" and "2,5" become 2.5. */
static size_t read_digits(const char *p, size_t n, struct number *out)
{
    size_t i = 0, at = 0;
    bool point = false;
    while (i < n) {
        if (isdigit((unsigned char)p[i])) {
            if (at + 1 < sizeof out->digits && !(at == 0 && p[i] == '0' && i + 1 < n && isdigit((unsigned char)p[i + 1])))
                out->digits[at++] = p[i];
            i++;
        } else if (!point && (p[i] == '.' || p[i] == ',') && i + 1 < n && isdigit((unsigned char)p[i + 1])) {
            size_t group = 0;
            while (i + 1 + group < n && isdigit((unsigned char)p[i + 1 + group])) group++;
            if (group != 3 || at == 0) {
                point = true;
                if (at + 1 < sizeof out->digits) out->digits[at++] = '.';
            }
            i++;
        } else {
            break;
        }
    }
    out->digits[at] = '\0';
    return i;
}

/* "8 to 12 reps", "entre 8 y 12": the words that keep two numbers one range. */
static bool joins(const char *p, size_t w)
{
    static const char *const joiners[] = { "to", "and", "or", "a", "y", "o", "e" };
    for (size_t i = 0; i < sizeof joiners / sizeof *joiners; i++)
        if (strlen(joiners[i]) == w && strncasecmp(p, joiners[i], w) == 0) return true;
    return false;
}

int numbers_read(const char *text, size_t n, struct number *out, int max)
{
    int count = 0, open = 0;       /* open: how many of the last numbers wait for a unit */
    size_t i = 0, quiet = 0;       /* quiet: words since the last number that join nothing */
    while (i < n && isspace((unsigned char)text[i])) i++;
    size_t mark = i;
    while (mark < n && isdigit((unsigned char)text[mark])) mark++;
    if (mark > i && mark - i <= 2 && mark + 1 < n && strchr(".)", text[mark]) && text[mark + 1] == ' ') i = mark + 1;
    while (i < n && count < max) {
        unsigned char ch = (unsigned char)text[i];
        struct number v = { .digits = "" };
        size_t took = 0;
        if (isdigit(ch)) {
            took = read_digits(text + i, n - i, &v);
        } else if (isalpha(ch) || ch >= 0x80) {
            size_t w = word_len(text + i, n - i);
            for (size_t k = 0; k < sizeof words / sizeof *words && !took; k++)
                if (strlen(words[k].word) == w && strncasecmp(text + i, words[k].word, w) == 0) {
                    memcpy(v.digits, words[k].digits, strlen(words[k].digits) + 1);
                    took = w;
                }
        }
        if (took) {
            if (quiet) open = 0;
            out[count++] = v;
            open++;
            quiet = 0;
            i += took;
            continue;
        }
        size_t w = ch == '%' ? 1 : word_len(text + i, n - i);
        if (w) {
            const char *u = open ? unit_of(text + i, n - i) : "";
            if (*u) {
                for (int k = count - open; k < count; k++) memcpy(out[k].unit, u, strlen(u) + 1);
                open = 0;
            }
            if (!joins(text + i, w) && ++quiet > 1) open = 0;
            i += w;
            continue;
        }
        if (strchr(".;!?\n", ch) && ch) open = 0;
        i++;
    }
    return count;
}

bool numbers_within(const struct number *a, int a_count, const struct number *b, int b_count)
{
    for (int i = 0; i < a_count; i++) {
        bool found = false;
        for (int k = 0; k < b_count && !found; k++)
            found = strcmp(a[i].digits, b[k].digits) == 0 &&
                    (!a[i].unit[0] || !b[k].unit[0] || strcmp(a[i].unit, b[k].unit) == 0);
        if (!found) return false;
    }
    return true;
}
