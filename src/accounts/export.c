/* Puts an export together: each table into a file of its own, then all into one. Names and counts and hashes of everything
 * stand in the manifest, tables that hold nothing of this person included, so that a reader sees what was looked through. It
 * refuses to keep an export: what is made is sent and removed. */
/* SPDX-License-Identifier: MIT */
#include "accounts/export.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "accounts/export_parts.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/folder.h"
#include "store/store.h"

#define EXPORT_FORMAT  "chiron-export"
#define EXPORT_VERSION 1
#define SWEEP_AGE_S    (6 * 3600)

struct made {                    /* one export on its way */
    const struct person_who *p;
    const char              *dir;
    int64_t                  most, bytes;
    struct export_sum        sum;
    struct buf               manifest;
    struct json_out          m;
    zip_t                   *zip;
    struct export_to         x;  /* of the JSON form: all tables in one file */
};

struct json_out *export_row(struct export_to *x)
{
    buf_clear(&x->line);
    json_out_init(&x->j, &x->line);
    json_begin_object(&x->j, NULL);
    return &x->j;
}

enum err export_row_end(struct call *c, struct export_to *x)
{
    json_end(&x->j);
    if (x->line.failed) return fail(c, ERR_TOO_LARGE, "one row of the export has over %zu bytes", x->line.max);
    if (x->array && x->rows) fputc(',', x->to);
    fwrite(x->line.data, 1, x->line.len, x->to);
    if (fputc('\n', x->to) == EOF) return fail(c, ERR_IO, "cannot write the export: %s", strerror(errno));
    x->rows++;
    *x->bytes += (int64_t)x->line.len + 2;
    if (*x->bytes > x->most) return fail(c, ERR_TOO_LARGE, "the export has over %lld bytes", (long long)x->most);
    return call_check(c);
}

static bool wanted(const struct person_who *p, const struct person_table *t)
{
    return t->export && (t->holds || (!p->user_id && !p->account_id));
}

static const char *kind_of(const struct person_who *p)
{
    return p->user_id ? "user" : p->account_id ? "account" : "creator";
}

static void put_head(struct json_out *j, const struct person_who *p)
{
    char iso[25];
    json_put_text(j, "format", EXPORT_FORMAT);
    json_put_int(j, "version", EXPORT_VERSION);
    json_put_text(j, "made_at", clock_iso(clock_unix_ms(), iso));
    json_begin_object(j, "subject");
    json_put_text(j, "kind", kind_of(p));
    if (p->creator_id) json_put_text(j, "creator_id", p->creator_id);
    if (p->user_id) json_put_text(j, "user_id", p->user_id);
    if (p->account_id) json_put_text(j, "account_id", p->account_id);
    json_end(j);
}

static void list_table(struct made *m, const struct person_table *t, const char *label, int64_t rows, const char *file, const char *sha256)
{
    json_begin_object(&m->m, NULL);
    json_put_text(&m->m, "database", label);
    json_put_text(&m->m, "table", t->table);
    json_put_text(&m->m, "holds", t->holds ? t->holds : t->why);
    json_put_int(&m->m, "rows", rows);
    if (file) json_put_text(&m->m, "file", file);
    if (sha256) json_put_text(&m->m, "sha256", sha256);
    json_end(&m->m);
}

static enum err zip_failed(struct call *c, struct made *m, const char *what)
{
    return fail(c, ERR_IO, "cannot put %s into the export: %s", what, m->zip ? zip_strerror(m->zip) : "");
}

/* The file is read when the archive is closed: it has to stay until then. */
static enum err zip_put(struct call *c, struct made *m, const char *path, const char *name)
{
    zip_source_t *s = zip_source_file(m->zip, path, 0, -1);
    if (!s) return zip_failed(c, m, name);
    if (zip_file_add(m->zip, name, s, ZIP_FL_ENC_UTF_8 | ZIP_FL_OVERWRITE) < 0) {
        zip_source_free(s);
        return zip_failed(c, m, name);
    }
    return OK;
}

/* label: the database as the export calls it. */
static enum err table_to_zip(struct call *c, struct made *m, struct conn *r, const struct person_table *t, const struct person_who *p,
                             const char *label)
{
    const char *name = arena_printf(&c->mem, "tables/%s.%s.jsonl", label, t->table);
    const char *path = arena_printf(&c->mem, "%s/%s.%s", m->dir, label, t->table);
    FILE       *f = fopen(path, "wxe");
    char        sha[65];
    if (!f) return fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    struct export_to x = { .to = f, .bytes = &m->bytes, .most = m->most };
    buf_init(&x.line, LIMIT_REPLY_BYTES);
    enum err e = t->export(c, r, p, &x);
    buf_dispose(&x.line);
    if (fclose(f) && !e) e = fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (e) return e;
    m->sum.rows += x.rows;
    if (!x.rows) {
        list_table(m, t, label, 0, NULL, NULL);
        return OK;
    }
    if (!id_sha256_file(path, sha)) return fail(c, ERR_IO, "cannot read %s", path);
    list_table(m, t, label, x.rows, name, sha);
    return zip_put(c, m, path, name);
}

static enum err table_to_json(struct call *c, struct made *m, struct conn *r, const struct person_table *t, const struct person_who *p, bool first)
{
    m->x.rows = 0;
    fprintf(m->x.to, "%s\"%s\":[", first ? "" : ",", t->table);
    enum err e = t->export(c, r, p, &m->x);
    fputc(']', m->x.to);
    m->sum.rows += m->x.rows;
    return e;
}

/* The tables of one database, as of one moment. */
static enum err tables_of(struct call *c, struct made *m, const char *database, const struct person_who *p, const char *label)
{
    struct conn *r = NULL;
    bool         first = true, creator = !strcmp(database, "creator");
    enum err     e = export_begin(c, creator, &r);
    if (!m->zip) fprintf(m->x.to, "\"%s\":{", label);
    for (int i = 0; !e && all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; !e && t->table; t++) {
            if (strcmp(t->database, database) != 0 || !wanted(p, t)) continue;
            e = m->zip ? table_to_zip(c, m, r, t, p, label) : table_to_json(c, m, r, t, p, first);
            first = false;
        }
    }
    if (!m->zip) fputs("}\n", m->x.to);
    export_end(&r);
    return e;
}

static bool listed(const char *const *ids, int n, const char *id)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(ids[i], id)) return true;
    return false;
}

/* One creator that the account works for, or left something in when it did. */
static enum err creator_of(struct call *work, struct made *m, const struct person_who *p, bool member, bool *first)
{
    bool     any = member;
    enum err e = tenant_open(work, p->creator_id);
    if (e == ERR_NOT_FOUND) {
        call_forgive(work);
        return OK;
    }
    if (!e && !member) e = export_any(work, p, &any);
    if (e || !any) return e;
    if (!m->zip && !*first) fputc(',', m->x.to);
    *first = false;
    return tables_of(work, m, "creator", p, m->zip ? arena_printf(&work->mem, "creator.%s", p->creator_id) : p->creator_id);
}

/* What an account left in creators: there it is known by its id alone, also after it was removed. */
static enum err creators_of(struct call *c, struct made *m)
{
    const char **ids = NULL, **mine = NULL;
    int          n = 0, mine_n = 0;
    bool         first = true;
    struct call  work;
    enum err     e = export_creators(c, m->p->account_id, &mine, &mine_n);
    if (!e) e = tenant_list(c, &ids, &n);
    if (!m->zip) fputs(",\"creators\":{", m->x.to);
    call_init(&work);
    work.stop = c->stop;
    for (int i = 0; !e && i < n; i++) {
        const struct person_who p = { .creator_id = ids[i], .user_id = m->p->account_id, .account_id = m->p->account_id };
        e = creator_of(&work, m, &p, listed(mine, mine_n, ids[i]), &first);
        tenant_release(&work);
        if (e) e = fail(c, e, "%s", work.err_text);
        arena_reset(&work.mem);
    }
    call_dispose(&work);
    if (!m->zip) fputs("}\n", m->x.to);
    return e;
}

static enum err all_tables(struct call *c, struct made *m)
{
    enum err e = OK;
    if (m->p->account_id) {
        e = creators_of(c, m);
    } else {
        if (!m->zip) fputc(',', m->x.to);
        e = tables_of(c, m, "creator", m->p, "creator");
    }
    if (!m->zip) fputc(',', m->x.to);
    return e ? e : tables_of(c, m, "accounts", m->p, "accounts");
}

static enum err put_file(struct call *c, void *arg, const char *path, const char *name)
{
    struct made *m = arg;
    struct stat  st;
    char         sha[65];
    if (stat(path, &st)) return OK; /* gone since: so is its row */
    m->bytes += st.st_size;
    if (m->bytes > m->most) return fail(c, ERR_TOO_LARGE, "the export has over %lld bytes", (long long)m->most);
    /* A second name keeps the bytes where they are, whatever happens to the document meanwhile. */
    const char *kept = arena_printf(&c->mem, "%s/file%lld", m->dir, (long long)m->sum.files);
    enum err    e = folder_link(c, path, kept);
    if (e || access(kept, F_OK)) return e;
    if (!id_sha256_file(kept, sha)) return fail(c, ERR_IO, "cannot read a document's file");
    json_begin_object(&m->m, NULL);
    json_put_text(&m->m, "file", name);
    json_put_int(&m->m, "bytes", st.st_size);
    json_put_text(&m->m, "sha256", sha);
    json_end(&m->m);
    m->sum.files++;
    return zip_put(c, m, kept, name);
}

static enum err files(struct call *c, struct made *m)
{
    enum err e = OK;
    for (int i = 0; !e && all_person_places[i]; i++)
        for (const struct person_place *pl = all_person_places[i]; !e && pl->name; pl++)
            if (pl->files) e = pl->files(c, m->p, put_file, m);
    return e;
}

static enum err to_zip(struct call *c, struct made *m, const char *path)
{
    int            why = 0;
    zip_source_t  *s = NULL;
    m->zip = zip_open(path, ZIP_CREATE | ZIP_EXCL, &why);
    if (!m->zip) return fail(c, ERR_IO, "cannot make the export (%d)", why);
    json_out_init(&m->m, &m->manifest);
    json_begin_object(&m->m, NULL);
    put_head(&m->m, m->p);
    json_put_text(&m->m, "about", "tables/*.jsonl hold one JSON object a line, in UTF-8; files/ holds the documents as they were given");
    json_begin_array(&m->m, "tables");
    enum err e = all_tables(c, m);
    json_end(&m->m);
    json_begin_array(&m->m, "files");
    if (!e && !m->p->account_id) e = files(c, m);
    json_end(&m->m);
    json_end(&m->m);
    if (!e && m->manifest.failed) e = fail(c, ERR_TOO_LARGE, "the export's manifest has over %zu bytes", m->manifest.max);
    if (!e) s = zip_source_buffer(m->zip, m->manifest.data, m->manifest.len, 0);
    if (!e && (!s || zip_file_add(m->zip, "manifest.json", s, ZIP_FL_ENC_UTF_8) < 0)) e = zip_failed(c, m, "the manifest");
    if (!e && zip_close(m->zip)) e = zip_failed(c, m, "everything");
    else if (!e) m->zip = NULL;
    if (m->zip) zip_discard(m->zip);
    m->zip = NULL;
    return e;
}

static enum err to_json(struct call *c, struct made *m, const char *path)
{
    struct buf      head;
    struct json_out j;
    FILE           *f = fopen(path, "wxe");
    if (!f) return fail(c, ERR_IO, "cannot write the export: %s", strerror(errno));
    m->x = (struct export_to){ .to = f, .array = true, .bytes = &m->bytes, .most = m->most };
    buf_init(&m->x.line, LIMIT_REPLY_BYTES);
    buf_init(&head, 8192);
    json_out_init(&j, &head);
    json_begin_object(&j, NULL);
    put_head(&j, m->p);
    json_end(&j);
    fwrite(head.data, 1, head.len - 1, f); /* without its last brace */
    enum err e = all_tables(c, m);
    fputs("}\n", f);
    if ((ferror(f) | fclose(f)) && !e) e = fail(c, ERR_IO, "cannot write the export: %s", strerror(errno));
    buf_dispose(&head);
    buf_dispose(&m->x.line);
    return e;
}

enum err export_any(struct call *c, const struct person_who *p, bool *out)
{
    struct conn     *r = NULL;
    int64_t          bytes = 0;
    struct export_to x = { .bytes = &bytes, .to = fopen("/dev/null", "we") }; /* most 0: the first row is one too many */
    if (!x.to) return fail(c, ERR_IO, "cannot open /dev/null: %s", strerror(errno));
    buf_init(&x.line, LIMIT_REPLY_BYTES);
    enum err e = export_begin(c, true, &r);
    for (int i = 0; !e && all_person_tables[i]; i++)
        for (const struct person_table *t = all_person_tables[i]; !e && t->table; t++)
            if (!strcmp(t->database, "creator") && t->holds && t->export) e = t->export(c, r, p, &x);
    export_end(&r);
    buf_dispose(&x.line);
    fclose(x.to);
    if (e == ERR_TOO_LARGE && x.rows) {
        call_forgive(c);
        e = OK;
    }
    if (!e) *out = x.rows > 0;
    return e;
}

static enum err make_folder(struct call *c, const char **out)
{
    char        id[ID_BYTES];
    const char *dir = arena_printf(&c->mem, "%s/tmp/%s", store_dir(), id_new("exp", id));
    enum err    e = folder_make(c, dir);
    if (!e) *out = dir;
    return e;
}

enum err export_make(struct call *c, const struct person_who *p, enum export_form form, int64_t most_bytes, const char **path_out,
                     struct export_sum *sum_out)
{
    struct made m = { .p = p, .most = most_bytes > 0 ? most_bytes : LIMIT_EXPORT_BYTES };
    struct stat st;
    enum err    e = make_folder(c, &m.dir);
    if (e) return e;
    const char *path = arena_printf(&c->mem, "%s/export", m.dir);
    buf_init(&m.manifest, LIMIT_REPLY_BYTES);
    e = form == EXPORT_ZIP ? to_zip(c, &m, path) : to_json(c, &m, path);
    buf_dispose(&m.manifest);
    if (!e && stat(path, &st)) e = fail(c, ERR_IO, "the export is not where it was written");
    if (e) {
        folder_drop(m.dir);
        return e;
    }
    m.sum.bytes = st.st_size;
    *path_out = path;
    *sum_out = m.sum;
    return OK;
}

void export_drop(const char *path)
{
    char dir[FOLDER_PATH_BYTES];
    if (!path) return;
    int n = snprintf(dir, sizeof dir, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (n > 0 && n < FOLDER_PATH_BYTES) folder_drop(dir);
}

void export_sweep(struct call *c)
{
    const char *tmp = arena_printf(&c->mem, "%s/tmp", store_dir());
    int64_t     old_s = clock_unix_ms() / 1000 - SWEEP_AGE_S;
    DIR        *d = opendir(tmp);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));) {
        struct stat st;
        if (strncmp(f->d_name, "exp_", 4) || fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) || st.st_mtim.tv_sec > old_s) continue;
        folder_drop(arena_printf(&c->mem, "%s/%s", tmp, f->d_name));
    }
    closedir(d);
}
