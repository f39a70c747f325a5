/* store/migrate.c — numbered migrations out of the binary. The numbers of a schema may have gaps and a lower one may
 * arrive late (parts of the product grow side by side), so what has been applied is a set, not a high-water mark.
 * A copy is made before anything is changed, while holding the write lock, so it is exactly what was changed.
 * There is no way down: the way back is the copy, which loses nothing that a reverse script would have to invent. */
/* SPDX-License-Identifier: MIT */
#include "store/migrate.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assets.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/db_sqlite.h"

enum { NUMBERS_MAX = 9999 };

/* A line "-- sqlite: …" holds SQL for this driver only, "-- pg: …" for the other one. */
static char *for_sqlite(struct call *c, const char *sql)
{
    static const char mark[] = "-- sqlite:";
    char *text = arena_strdup(&c->mem, sql);
    for (char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (!strncmp(line, mark, sizeof mark - 1)) memset(line, ' ', sizeof mark - 1);
    return text;
}

static enum err apply(struct call *c, struct link *l, const struct migration *m)
{
    enum err e = link_script(c, l, for_sqlite(c, m->sql));
    if (e) {
        /* The first words stay: they are SQLite's. Which file they are about is said in the log. */
        log_error(c, "migration failed", "migration", m->name, "error", c->err_text, NULL);
        return e;
    }
    struct statement *s = NULL;
    bool row;
    e = link_prepare(c, l, "INSERT INTO schema_version(number, name, applied_ms) VALUES (?, ?, ?)", false, &s);
    if (e) return e;
    bind_int(s, 1, m->number);
    bind_text(s, 2, m->name, false);
    bind_int(s, 3, clock_unix_ms());
    e = statement_step(c, l, s, &row);
    statement_close(s);
    return e;
}

/* done[number] for what has been applied. A fresh file has no table of versions yet. */
static enum err applied(struct call *c, struct link *l, bool *done, int *highest)
{
    struct statement *s = NULL;
    bool row = false, table = false;
    *highest = 0;
    enum err e = link_prepare(c, l, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'schema_version'", false, &s);
    if (e) return e;
    e = statement_step(c, l, s, &table);
    statement_close(s);
    if (e || !table) return e;
    e = link_prepare(c, l, "SELECT number FROM schema_version", false, &s);
    if (e) return e;
    while (!(e = statement_step(c, l, s, &row)) && row) {
        int64_t n = column_int(s, 0);
        if (n < 1 || n > NUMBERS_MAX) {
            e = fail(c, ERR_CORRUPT, "schema_version holds the number %lld", (long long)n);
            break;
        }
        done[n] = true;
        if (n > *highest) *highest = (int)n;
    }
    statement_close(s);
    return e;
}

static enum err check_known(struct call *c, const char *path, const bool *done, int highest, const struct migration *list,
                            int count)
{
    int newest = count ? list[count - 1].number : 0, at = 0;
    if (highest > newest)
        return fail(c, ERR_CONFLICT, "%s has schema %d, this program knows up to %d: use a newer program", path, highest,
                    newest);
    for (int n = 1; n <= highest; n++) {
        while (at < count && list[at].number < n) at++;
        if (done[n] && (at == count || list[at].number != n))
            return fail(c, ERR_CONFLICT, "%s has migration %d, which this program (schema %d) does not know", path, n,
                        newest);
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* "accounts-v0010-20260131T080000.123Z.db": sorted by name is sorted by age within one database. */
static void drop_old_copies(struct call *c, const char *folder, const char *prefix)
{
    enum { LOOK_AT = 4096 };
    DIR *d = opendir(folder);
    if (!d) return;
    char **names = arena_array(&c->mem, LOOK_AT, sizeof *names);
    int    n = 0;
    for (struct dirent *f; n < LOOK_AT && (f = readdir(d));)
        if (!strncmp(f->d_name, prefix, strlen(prefix))) names[n++] = arena_strdup(&c->mem, f->d_name);
    closedir(d);
    qsort(names, (size_t)n, sizeof *names, by_name);
    for (int i = 0; i < n - LIMIT_SCHEMA_BACKUPS; i++) unlink(arena_printf(&c->mem, "%s/%s", folder, names[i]));
}

static enum err copy_away(struct call *c, const char *path, int version)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *folder = arena_printf(&c->mem, "%.*s/backups", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int stem = (int)strcspn(base, ".");
    char iso[25], stamp[25];
    int n = 0;
    clock_iso(clock_unix_ms(), iso);
    for (const char *p = iso; *p; p++)
        if (*p != '-' && *p != ':') stamp[n++] = *p;
    stamp[n] = '\0';
    if (mkdir(folder, 0700) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", folder, strerror(errno));
    const char *prefix = arena_printf(&c->mem, "%.*s-v", stem, base);
    const char *to = arena_printf(&c->mem, "%s/%s%04d-%s.db", folder, prefix, version, stamp);
    struct link *from = NULL;
    enum err e = link_open(c, path, LINK_READ, &from);
    if (!e) e = link_copy(c, from, to);
    link_close(from);
    if (!e) {
        drop_old_copies(c, folder, prefix);
        log_info(c, "copied a database before its migration", "copy", to, NULL);
    }
    return e;
}

static enum err run_pending(struct call *c, struct link *l, const char *path, const struct migration *list, int count)
{
    bool *done = arena_alloc(&c->mem, NUMBERS_MAX + 1);
    int highest = 0, pending = 0;
    enum err e = applied(c, l, done, &highest);
    if (!e) e = check_known(c, path, done, highest, list, count);
    for (int i = 0; i < count; i++) pending += !done[list[i].number];
    if (e || !pending) return e;
    if (highest) e = copy_away(c, path, highest);
    if (!e)
        e = link_script(c, l, "CREATE TABLE IF NOT EXISTS schema_version("
                              "number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_ms INTEGER NOT NULL)");
    for (int i = 0; !e && i < count; i++)
        if (!done[list[i].number]) e = apply(c, l, &list[i]);
    if (!e) e = link_verify_keys(c, l);
    return e;
}

static enum err nothing_pending(struct call *c, struct link *l, const char *path, const struct migration *list, int count,
                                bool *out)
{
    bool *done = arena_alloc(&c->mem, NUMBERS_MAX + 1);
    int highest = 0;
    enum err e = applied(c, l, done, &highest);
    if (!e) e = check_known(c, path, done, highest, list, count);
    if (e) return e;
    *out = true;
    for (int i = 0; i < count; i++) *out = *out && done[list[i].number];
    return OK;
}

static enum err migrate_link(struct call *c, struct link *l, const char *db_path, const struct migration *list, int count)
{
    bool finished = false;
    for (int i = 0; i < count; i++)
        if (list[i].number < 1 || list[i].number > NUMBERS_MAX || (i && list[i].number <= list[i - 1].number))
            return fail(c, ERR_INTERNAL, "migration %s is out of order", list[i].name);
    /* Asked first without a lock: the usual start changes nothing and must not wait for a writer. */
    enum err e = nothing_pending(c, l, db_path, list, count, &finished);
    if (e || finished) return e;
    e = link_begin(c, l, true, call_left_ms(c, LIMIT_SQL_WAIT_MS));
    if (!e) e = run_pending(c, l, db_path, list, count);
    if (!e) e = link_commit(c, l);
    if (e) link_rollback(l);
    return e;
}

enum err migrate_with(struct call *c, const char *db_path, const struct migration *list, int count, struct link **out)
{
    struct link *l = NULL;
    enum err e = link_open(c, db_path, LINK_MIGRATE, &l);
    if (!e) e = migrate_link(c, l, db_path, list, count);
    if (!e && out) e = link_script(c, l, "PRAGMA foreign_keys=ON");
    if (e || !out) {
        link_close(l);
        return e;
    }
    *out = l;
    return OK;
}

static enum err list_of(struct call *c, const char *schema, struct migration **out, int *n_out)
{
    const char *prefix = arena_printf(&c->mem, "schema/%s/", schema);
    int count = 0;
    while (asset_at(prefix, count)) count++;
    struct migration *list = arena_array(&c->mem, (size_t)count + 1, sizeof *list);
    for (int i = 0; i < count; i++) {
        const struct asset *a = asset_at(prefix, i);
        const char *name = a->path + strlen(prefix);
        if (!isdigit((unsigned char)*name)) return fail(c, ERR_INTERNAL, "%s does not begin with a number", a->path);
        list[i] = (struct migration){ (int)strtol(name, NULL, 10), name, (const char *)a->data };
    }
    *out = list;
    *n_out = count;
    return OK;
}

enum err migrate_read(struct call *c, const char *db_path, const char *schema, struct link **out, bool *current_out)
{
    struct migration *list = NULL;
    struct link      *l = NULL;
    bool              finished = false;
    int               count = 0;
    enum err          e = list_of(c, schema, &list, &count);
    if (!e) e = link_open(c, db_path, LINK_READ, &l);
    if (!e) e = nothing_pending(c, l, db_path, list, count, &finished);
    if (e || !finished) {
        link_close(l);
        return e;
    }
    *out = l;
    *current_out = true;
    return OK;
}

enum err migrate(struct call *c, const char *db_path, const char *schema, struct link **out)
{
    struct migration *list = NULL;
    int               count = 0;
    enum err          e = list_of(c, schema, &list, &count);
    return e ? e : migrate_with(c, db_path, list, count, out);
}
