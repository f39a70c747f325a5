/* Reading a verb's arguments from a table of flags, so that every verb has the same --help, --data and -o, the same words
 * for a mistake and the same exit code. It refuses abbreviations of flags and flags given without their value. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verbs.h"

#define WORDS_MAX 4096

static const char *words[WORDS_MAX];

static void print_flag(const struct verb_flag *f)
{
    char left[80];
    snprintf(left, sizeof left, "%s%s%s%s%s", f->brief ? f->brief : "", f->brief ? ", " : "", f->name, f->arg ? " " : "",
             f->arg ? f->arg : "");
    printf("  %-26s %s\n", left, f->help);
}

static void print_help(const struct verb_args *a, const char *synopsis, const char *examples, const struct verb_flag *flags,
                       const struct verb_flag *shared)
{
    for (const struct verb *v = verb_table; v->name; v++)
        if (!strcmp(v->name, a->verb)) printf("chiron %s: %s\n\n", v->name, v->help);
    printf("usage: chiron %s%s%s\n\n", a->verb, *synopsis ? " " : "", synopsis);
    for (const struct verb_flag *f = flags; f && f->name; f++) print_flag(f);
    for (const struct verb_flag *f = shared; f->name; f++) print_flag(f);
    fputs("\nexamples:\n", stdout);
    for (const char *line = examples; *line;) {
        size_t n = strcspn(line, "\n");
        printf("  %.*s\n", (int)n, line);
        line += n + (line[n] == '\n');
    }
}

static const struct verb_flag *find_flag(const struct verb_flag *flags, const char *word, size_t n)
{
    for (; flags && flags->name; flags++)
        if ((strlen(flags->name) == n && !memcmp(flags->name, word, n)) ||
            (flags->brief && strlen(flags->brief) == n && !memcmp(flags->brief, word, n)))
            return flags;
    return NULL;
}

/* The last value wins, except where the table says "...": those are joined with commas. */
static bool value_take(const struct verb_flag *f, const char *value)
{
    static char joined[1024];
    if (!*f->text || !strstr(f->arg, "...")) {
        *f->text = value;
        return true;
    }
    char both[sizeof joined];
    int  n = snprintf(both, sizeof both, "%s,%s", *f->text, value);
    if (n < 0 || (size_t)n >= sizeof both) return false;
    memcpy(joined, both, (size_t)n + 1);
    *f->text = joined;
    return true;
}

int verb_usage(const struct verb_args *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "chiron %s: ", a->verb);
    vfprintf(stderr, fmt, ap);
    fprintf(stderr, "\nTry: chiron %s --help\n", a->verb);
    va_end(ap);
    return EXIT_USAGE;
}

int verb_read(int argc, char **argv, const char *synopsis, const char *examples, const struct verb_flag *flags,
              struct verb_args *out)
{
    const char            *output = NULL;
    bool                   help = false;
    struct verb_args       a = { .verb = argv[0], .words = words };
    const struct verb_flag shared[] = {
        { "--data", NULL, "DIR", &a.data, NULL, "data folder (CHIRON_DATA, else the user's)" },
        { "--output", "-o", "FORM", &output, NULL, "text or json" },
        { "--help", "-h", NULL, NULL, &help, "this text" },
        { 0 },
    };
    bool only_words = false;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (only_words || word[0] != '-' || !word[1]) {
            if (a.count == WORDS_MAX) return verb_usage(&a, "more than %d arguments", WORDS_MAX);
            words[a.count++] = word;
            continue;
        }
        if (!strcmp(word, "--")) {
            only_words = true;
            continue;
        }
        size_t                  n = strcspn(word, "=");
        const struct verb_flag *f = find_flag(flags, word, n);
        if (!f) f = find_flag(shared, word, n);
        if (!f) return verb_usage(&a, "there is no flag %.60s", word);
        const char *value = NULL;
        if (!f->arg) {
            if (word[n]) return verb_usage(&a, "%s takes no value", f->name);
            *f->on = true;
        } else if (word[n]) {
            value = word + n + 1;
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            return verb_usage(&a, "%s needs a value: %s", f->name, f->arg);
        }
        if (value && !value_take(f, value)) return verb_usage(&a, "too much for %s", f->name);
    }
    if (help) {
        print_help(&a, synopsis, examples, flags, shared);
        return EXIT_OK;
    }
    if (output && strcmp(output, "json") && strcmp(output, "text"))
        return verb_usage(&a, "--output is text or json, not \"%.40s\"", output);
    a.json = output && !strcmp(output, "json");
    *out = a;
    return VERB_GO;
}

bool verb_number(const struct verb_args *a, const char *name, const char *text, int64_t dflt, int64_t min, int64_t max,
                 int64_t *out)
{
    if (!text) {
        *out = dflt;
        return true;
    }
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < min || v > max) {
        verb_usage(a, "%s is a whole number from %lld to %lld, not \"%.40s\"", name, (long long)min, (long long)max, text);
        return false;
    }
    *out = v;
    return true;
}

bool verb_real(const struct verb_args *a, const char *name, const char *text, double dflt, double min, double max, double *out)
{
    if (!text) {
        *out = dflt;
        return true;
    }
    char  *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end || !(v >= min && v <= max)) {
        verb_usage(a, "%s is a number from %g to %g, not \"%.40s\"", name, min, max, text);
        return false;
    }
    *out = v;
    return true;
}
