/* base/conf.c — settings, resolved once at start: after conf_load everything is read-only, so reading needs no lock.
 * A wrong value stops the start with the setting's name and range rather than being replaced by a default. An empty
 * value in the environment or the file counts as not given, as deployments pass empty variables for "no value". */
/* SPDX-License-Identifier: MIT */
#include "base/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/envfile.h"

extern char **environ;

enum { TABLE_ROWS = LIMIT_SETTINGS * 2 };

struct entry {
    const struct setting *is;
    char                 *value;  /* NULL: unset */
    const char           *source;
    int64_t               number;
};
struct flag {
    char *name, *value;
};

static struct entry *entries;
static int           entry_count;
static short         index_of[TABLE_ROWS]; /* entry number + 1, open addressing by name */
static struct flag   flags[LIMIT_SETTINGS];
static int           flag_count;

static char *copy(const char *s)
{
    char *p = strdup(s);
    if (!p) abort();
    return p;
}

void conf_set(const char *name, const char *value)
{
    for (int i = 0; i < flag_count; i++) {
        if (strcasecmp(flags[i].name, name)) continue;
        free(flags[i].value);
        flags[i].value = copy(value);
        return;
    }
    assert(flag_count < LIMIT_SETTINGS);
    flags[flag_count++] = (struct flag){ copy(name), copy(value) };
}

static unsigned row_of(const char *name)
{
    unsigned h = 2166136261u;
    for (; *name; name++) h = (h ^ (unsigned)toupper((unsigned char)*name)) * 16777619u;
    return h % TABLE_ROWS;
}

static struct entry *entry_find(const char *name)
{
    for (unsigned row = row_of(name); index_of[row]; row = (row + 1) % TABLE_ROWS)
        if (!strcasecmp(entries[index_of[row] - 1].is->name, name)) return &entries[index_of[row] - 1];
    return NULL;
}

static struct entry *entry_get(const char *name)
{
    struct entry *e = entry_find(name);
    if (!e) {
        fprintf(stderr, "conf: no setting %s is declared\n", name);
        abort();
    }
    return e;
}

static enum err collect(struct call *c, const struct setting *const *tables)
{
    entries = calloc(LIMIT_SETTINGS, sizeof *entries);
    if (!entries) abort();
    for (; *tables; tables++) {
        for (const struct setting *s = *tables; s->name; s++) {
            if (entry_find(s->name)) return fail(c, ERR_INTERNAL, "setting %s is declared twice", s->name);
            if (entry_count == LIMIT_SETTINGS) return fail(c, ERR_INTERNAL, "more than %d settings", LIMIT_SETTINGS);
            unsigned row = row_of(s->name);
            while (index_of[row]) row = (row + 1) % TABLE_ROWS;
            entries[entry_count] = (struct entry){ .is = s };
            index_of[row] = (short)++entry_count;
        }
    }
    return OK;
}

static const char *from_environment(const char *name)
{
    size_t n = strlen(name);
    const char *exact = getenv(name);
    if (exact && *exact) return exact;
    for (char **e = environ; e && *e; e++)
        if (!strncasecmp(*e, name, n) && (*e)[n] == '=' && (*e)[n + 1]) return *e + n + 1;
    return NULL;
}

static const char *from_flag(const char *name)
{
    for (int i = 0; i < flag_count; i++)
        if (!strcasecmp(flags[i].name, name)) return flags[i].value;
    return NULL;
}

static const char *from_file(const struct envfile *file, const char *name)
{
    const char *v = envfile_get(file, name);
    return v && *v ? v : NULL;
}

static enum err secret_of(struct call *c, const char *name, const char *path, const char **out)
{
    struct buf b;
    buf_init(&b, LIMIT_SETTINGS_FILE_BYTES);
    FILE *f = fopen(path, "rbe");
    if (!f) return fail_field(c, name, "%s_FILE: cannot read %s: %s", name, path, strerror(errno));
    char   piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0) buf_add(&b, piece, n);
    bool broken = ferror(f) || b.failed || (b.data && strlen(b.data) != b.len);
    fclose(f);
    while (b.len && (b.data[b.len - 1] == '\n' || b.data[b.len - 1] == '\r')) b.data[--b.len] = '\0';
    enum err e = OK;
    if (broken)
        e = fail_field(c, name, "%s_FILE: %s is not a text of at most %d bytes", name, path, LIMIT_SETTINGS_FILE_BYTES);
    else
        *out = arena_strdup(&c->mem, b.data ? b.data : "");
    buf_dispose(&b);
    return e;
}

static bool bool_of(const char *s, int64_t *out)
{
    static const char *const yes[] = { "1", "true", "yes", "on" }, *const no[] = { "0", "false", "no", "off" };
    for (int i = 0; i < 4; i++) {
        if (strcasecmp(s, yes[i]) && strcasecmp(s, no[i])) continue;
        *out = !strcasecmp(s, yes[i]);
        return true;
    }
    return false;
}

static enum err check(struct call *c, struct entry *e)
{
    const struct setting *s = e->is;
    if (!e->value) return OK;
    const char *shown = s->flags & SETTING_SECRET ? "(secret)" : e->value;
    if (s->flags & SETTING_BOOL) {
        if (!bool_of(e->value, &e->number))
            return fail_field(c, s->name, "%s must be true or false, not \"%s\" (%s)", s->name, shown, e->source);
    } else if (s->flags & SETTING_INT) {
        char *end;
        errno = 0;
        long long v = strtoll(e->value, &end, 10);
        if (errno || end == e->value || *end || v < s->min || v > s->max)
            return fail_field(c, s->name, "%s must be a whole number from %lld to %lld, not \"%s\" (%s)", s->name,
                              (long long)s->min, (long long)s->max, shown, e->source);
        e->number = v;
    }
    return OK;
}

static enum err resolve(struct call *c, struct entry *e, const struct envfile *file)
{
    const char *name = e->is->name, *value = NULL, *path = NULL;
    const char *name_file = arena_printf(&c->mem, "%s_FILE", name);
    enum err    err = OK;
    if ((value = from_flag(name))) {
        e->source = "flag";
    } else if ((value = from_environment(name)) || (path = from_environment(name_file))) {
        e->source = "environment";
    } else if ((value = from_file(file, name)) || (path = from_file(file, name_file))) {
        e->source = "file";
    } else {
        e->source = "default";
        value = e->is->dflt;
    }
    /* A setting of its own called X_FILE is not the file of X. */
    if (path && entry_find(name_file)) {
        path = NULL;
        e->source = "default";
        value = e->is->dflt;
    }
    if (path) err = secret_of(c, name, path, &value);
    if (err) return err;
    e->value = value ? copy(value) : NULL;
    return check(c, e);
}

enum err conf_load(struct call *c, const struct setting *const *tables, const char *env_file)
{
    assert(!entries);
    struct envfile file = { 0 };
    enum err e = collect(c, tables);
    if (!e) e = envfile_load(c, env_file ? env_file : ".env", env_file != NULL, &file);
    for (int i = 0; !e && i < flag_count; i++)
        if (!entry_find(flags[i].name)) e = fail_field(c, flags[i].name, "there is no setting %s", flags[i].name);
    for (int i = 0; !e && i < entry_count; i++) e = resolve(c, &entries[i], &file);
    if (e) {
        for (int i = 0; i < entry_count; i++) free(entries[i].value);
        free(entries);
        entries = NULL;
        entry_count = 0;
        memset(index_of, 0, sizeof index_of);
    }
    return e;
}

const char *conf_text(const char *name)
{
    return entry_get(name)->value;
}

int64_t conf_int(const char *name)
{
    return entry_get(name)->number;
}

bool conf_bool(const char *name)
{
    return entry_get(name)->number != 0;
}

const char *conf_source(const char *name)
{
    return entry_get(name)->source;
}

void conf_each(void (*f)(void *arg, const struct setting *s, const char *shown, const char *source), void *arg)
{
    for (int i = 0; i < entry_count; i++) {
        const struct entry *e = &entries[i];
        const char *shown = e->value ? e->value : "";
        if (e->is->flags & SETTING_SECRET) shown = e->value ? "set" : "unset";
        f(arg, e->is, shown, e->source);
    }
}

void conf_free(void)
{
    for (int i = 0; i < entry_count; i++) free(entries[i].value);
    free(entries);
    entries = NULL;
    entry_count = 0;
    memset(index_of, 0, sizeof index_of);
    for (int i = 0; i < flag_count; i++) {
        free(flags[i].name);
        free(flags[i].value);
    }
    flag_count = 0;
}
