/* base/envfile.c — the dialect of .env that people's files really use. It refuses a line it does not understand, with
 * its number: a setting silently ignored is found out in production. It runs nothing and expands nothing. */
/* SPDX-License-Identifier: MIT */
#include "base/envfile.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct reader {
    const char *path;
    char       *at, *end;
    int         line;
};

static void skip_blank(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t' || *r->at == '\r')) r->at++;
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at != '\n') r->at++;
}

static enum err wrong(struct call *c, const struct reader *r, const char *what)
{
    return fail(c, ERR_INVALID, "%s line %d: %s", r->path, r->line, what);
}

static bool read_name(struct reader *r, const char **out, size_t *n_out)
{
    char *from = r->at;
    while (r->at < r->end && (isalnum((unsigned char)*r->at) || *r->at == '_' || *r->at == '.' || *r->at == '-')) r->at++;
    *out = from;
    *n_out = (size_t)(r->at - from);
    return r->at > from;
}

/* The value is unescaped in place: it only ever gets shorter. */
static enum err read_quoted(struct call *c, struct reader *r, const char **out)
{
    char  quote = *r->at++, *to = r->at;
    *out = to;
    int began = r->line;
    while (r->at < r->end && *r->at != quote) {
        char ch = *r->at++;
        if (ch == '\n') r->line++;
        if (ch == '\\' && quote == '"' && r->at < r->end) {
            static const char from[] = "nrt\"\\$", into[] = "\n\r\t\"\\$";
            const char *known = *r->at ? strchr(from, *r->at) : NULL;
            if (known) {
                ch = into[known - from];
                r->at++;
            }
        }
        *to++ = ch;
    }
    if (r->at == r->end) {
        r->line = began;
        return wrong(c, r, "the quote does not end");
    }
    r->at++;
    *to = '\0';
    skip_blank(r);
    if (r->at < r->end && *r->at != '\n' && *r->at != '#') return wrong(c, r, "text after the closing quote");
    skip_line(r);
    return OK;
}

static void read_plain(struct call *c, struct reader *r, const char **out)
{
    char *from = r->at, *to = r->at;
    for (; r->at < r->end && *r->at != '\n'; r->at++) {
        bool comment = *r->at == '#' && (r->at == from || r->at[-1] == ' ' || r->at[-1] == '\t');
        if (comment) break;
        to = r->at + 1;
    }
    while (to > from && isspace((unsigned char)to[-1])) to--;
    *out = arena_strndup(&c->mem, from, (size_t)(to - from));
    skip_line(r);
}

static enum err read_pair(struct call *c, struct reader *r, struct envfile *f)
{
    const char *name, *value;
    size_t      n;
    if (r->end - r->at > 7 && !strncmp(r->at, "export", 6) && (r->at[6] == ' ' || r->at[6] == '\t')) {
        r->at += 7;
        skip_blank(r);
    }
    if (!read_name(r, &name, &n)) return wrong(c, r, "not NAME=value");
    skip_blank(r);
    if (r->at == r->end || *r->at != '=') return wrong(c, r, "not NAME=value");
    name = arena_strndup(&c->mem, name, n);
    r->at++;
    skip_blank(r);
    if (r->at < r->end && (*r->at == '"' || *r->at == '\'')) {
        enum err e = read_quoted(c, r, &value);
        if (e) return e;
    } else {
        read_plain(c, r, &value);
    }
    if (f->count == LIMIT_SETTINGS) return wrong(c, r, "too many names in one file");
    f->names[f->count] = name;
    f->values[f->count++] = value;
    return OK;
}

enum err envfile_parse(struct call *c, const char *path, char *text, size_t n, struct envfile *out)
{
    struct reader r = { path, text, text + n, 1 };
    if (memchr(text, '\0', n)) return fail(c, ERR_INVALID, "%s holds a NUL byte: it is not a text file", path);
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) r.at += 3;
    struct envfile f = { arena_array(&c->mem, LIMIT_SETTINGS, sizeof(char *)),
                         arena_array(&c->mem, LIMIT_SETTINGS, sizeof(char *)), 0 };
    while (r.at < r.end) {
        skip_blank(&r);
        enum err e = OK;
        if (r.at < r.end && *r.at == '#')
            skip_line(&r);
        else if (r.at < r.end && *r.at != '\n')
            e = read_pair(c, &r, &f);
        if (e) return e;
        if (r.at < r.end) {
            r.at++;
            r.line++;
        }
    }
    *out = f;
    return OK;
}

enum err envfile_load(struct call *c, const char *path, bool must_exist, struct envfile *out)
{
    FILE *file = fopen(path, "rbe");
    if (!file) {
        if (errno == ENOENT && !must_exist) {
            *out = (struct envfile){ 0 };
            return OK;
        }
        return fail(c, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    }
    char  *text = arena_alloc(&c->mem, LIMIT_SETTINGS_FILE_BYTES + 2);
    size_t n = fread(text, 1, LIMIT_SETTINGS_FILE_BYTES + 1, file);
    bool   broken = ferror(file);
    fclose(file);
    if (broken) return fail(c, ERR_IO, "cannot read %s", path);
    if (n > LIMIT_SETTINGS_FILE_BYTES)
        return fail(c, ERR_TOO_LARGE, "%s has over %d bytes", path, LIMIT_SETTINGS_FILE_BYTES);
    return envfile_parse(c, path, text, n, out);
}

const char *envfile_get(const struct envfile *f, const char *name)
{
    for (int i = f->count - 1; i >= 0; i--)
        if (!strcasecmp(f->names[i], name)) return f->values[i];
    return NULL;
}
