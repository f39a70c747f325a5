/* store/backup.c — the whole instance as one tar. First a staging folder on the same disk: databases copied as of one
 * moment each, files as hard links; a creator's writer is held meanwhile, so rows and files agree. Then a manifest with
 * the SHA-256 of each, then the archive under a temporary name. What lives only in this process or was never finished
 * (run/, wake/, hidden names, copies from before migrations) stays out. The signing key is part of it: an archive is as
 * secret as the instance. */
/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "store/backup.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"
#include "store/folder.h"
#include "store/owner.h"
#include "store/tar.h"
#include "store/tenant.h"

struct staging {
    const char *path;
    const char *from;           /* the folder being linked */
    const char *into;           /* its place below path, "" or "creators/demo/" */
    struct json_out manifest;
    const char **names;         /* members in the order of the manifest */
    int64_t    *sizes;
    char      (*sums)[65];
    int         count, room;
};

/* An archive kept in the data folder is not put into the next one. */
static bool is_archive(const struct staging *s, const char *rel)
{
    size_t n = strlen(rel);
    return !*s->into && !strchr(rel, '/') && ((n > 4 && !strcmp(rel + n - 4, ".tar")) || (n > 5 && !strcmp(rel + n - 5, ".part")));
}

/* A second name for the file: whatever happens to the first one, its bytes stay for as long as the backup takes. */
static enum err stage_file(struct call *c, void *arg, const char *rel, const struct stat *st)
{
    struct staging *s = arg;
    char from[FOLDER_PATH_BYTES], to[FOLDER_PATH_BYTES];
    (void)st;
    if (is_archive(s, rel)) return OK;
    int n = snprintf(from, sizeof from, "%s/%s", s->from, rel), m = snprintf(to, sizeof to, "%s/%s%s", s->path, s->into, rel);
    if (n >= FOLDER_PATH_BYTES || m >= FOLDER_PATH_BYTES) return fail(c, ERR_INVALID, "the path of %s is too long", rel);
    enum err e = folder_make_for(c, to);
    if (!e) e = call_check(c);
    if (e) return e;
    return folder_link(c, from, to); /* gone since: whoever removed it also removed its row */
}

static enum err stage_creator(struct call *c, struct staging *s, const char *id)
{
    static const char *const skip[] = { "creator.db", "creator.db-wal", "creator.db-shm", "backups", "tmp", NULL };
    struct conn *w = NULL, *r = NULL;
    enum err e = tenant_open(c, id);
    if (e) return e;
    const char *folder = strrchr(tenant_dir(c->tenant), '/') + 1;
    const char *to = arena_printf(&c->mem, "%s/creators/%s/creator.db", s->path, folder);
    s->from = tenant_dir(c->tenant);
    s->into = arena_printf(&c->mem, "creators/%s/", folder);
    e = folder_make_for(c, to);
    if (!e) e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = link_copy(c, conn_link(r), to);
    if (!e) e = folder_walk(c, s->from, skip, stage_file, s);
    db_release(&r);
    db_release(&w);
    tenant_release(c);
    return e;
}

/* The list of creators and the copy are of one moment. */
static enum err stage_accounts(struct call *c, struct staging *s, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    const char **ids = NULL;
    int64_t total = 0;
    int n = 0;
    enum err e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &total, "SELECT count(*) FROM creator");
    if (!e) {
        ids = arena_array(&c->mem, (size_t)total + 1, sizeof *ids);
        e = db_select(c, r, &rs, "SELECT id FROM creator ORDER BY folder");
    }
    while (!e && n < total && rows_next(rs)) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    if (!e) e = link_copy(c, conn_link(r), arena_printf(&c->mem, "%s/accounts.db", s->path));
    db_release(&r);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

static enum err stage_all(struct call *c, struct staging *s)
{
    static const char *const skip[] = { "accounts.db", "accounts.db-wal", "accounts.db-shm", "creators", "run", "wake",
                                        "backups",     "tmp",             BACKUP_STAGING,    NULL };
    const char **ids = NULL;
    int n = 0;
    enum err e = stage_accounts(c, s, &ids, &n);
    for (int i = 0; !e && i < n; i++) e = stage_creator(c, s, ids[i]);
    s->from = store_dir();
    s->into = "";
    return e ? e : folder_walk(c, s->from, skip, stage_file, s);
}

static enum err count_file(struct call *c, void *arg, const char *rel, const struct stat *st)
{
    struct staging *s = arg;
    (void)rel;
    (void)st;
    if (++s->room > LIMIT_ARCHIVE_MEMBERS) return fail(c, ERR_TOO_LARGE, "over %d files to back up", LIMIT_ARCHIVE_MEMBERS);
    return OK;
}

static enum err list_file(struct call *c, void *arg, const char *rel, const struct stat *st)
{
    struct staging *s = arg;
    enum err e = call_check(c);
    if (e) return e;
    if (s->count == s->room) return fail(c, ERR_INTERNAL, "the staging folder changed");
    char path[FOLDER_PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", s->path, rel);
    if (!id_sha256_file(path, s->sums[s->count])) return fail(c, ERR_IO, "cannot read %s", rel);
    s->names[s->count] = arena_strdup(&c->mem, rel);
    s->sizes[s->count] = st->st_size;
    json_begin_object(&s->manifest, NULL);
    json_put_text(&s->manifest, "path", rel);
    json_put_int(&s->manifest, "size", st->st_size);
    json_put_text(&s->manifest, "sha256", s->sums[s->count++]);
    json_end(&s->manifest);
    return OK;
}

static enum err make_manifest(struct call *c, struct staging *s, struct buf *out)
{
    char iso[25];
    enum err e = folder_walk(c, s->path, NULL, count_file, s);
    if (e) return e;
    s->names = arena_array(&c->mem, (size_t)s->room, sizeof *s->names);
    s->sizes = arena_array(&c->mem, (size_t)s->room, sizeof *s->sizes);
    s->sums = arena_array(&c->mem, (size_t)s->room, sizeof *s->sums);
    json_out_init(&s->manifest, out);
    json_begin_object(&s->manifest, NULL);
    json_put_text(&s->manifest, "format", BACKUP_FORMAT);
    json_put_int(&s->manifest, "version", BACKUP_VERSION);
    json_put_text(&s->manifest, "created_at", clock_iso(clock_unix_ms(), iso));
    json_begin_array(&s->manifest, "members");
    e = folder_walk(c, s->path, NULL, list_file, s);
    if (e) return e;
    json_end(&s->manifest);
    json_end(&s->manifest);
    if (out->failed) return fail(c, ERR_TOO_LARGE, "the manifest has over %lld bytes", (long long)BACKUP_MANIFEST_BYTES);
    return OK;
}

static enum err write_archive(struct call *c, struct staging *s, const struct buf *manifest, FILE *to)
{
    int64_t now_s = clock_unix_ms() / 1000;
    char sum[65];
    enum err e = tar_put(c, to, BACKUP_MANIFEST, manifest->data, manifest->len, now_s);
    for (int i = 0; !e && i < s->count; i++) {
        char path[FOLDER_PATH_BYTES];
        snprintf(path, sizeof path, "%s/%s", s->path, s->names[i]);
        e = tar_put_file(c, to, s->names[i], path, s->sizes[i], now_s, sum);
        if (!e && strcmp(sum, s->sums[i])) e = fail(c, ERR_IO, "%s changed while it was backed up", s->names[i]);
    }
    return e ? e : tar_end(c, to);
}

/* Under a name beside the wanted one, which it takes only when it is complete and on disk. */
static enum err write_named(struct call *c, struct staging *s, const struct buf *manifest, const char *path)
{
    char id[ID_BYTES];
    const char *slash = strrchr(path, '/');
    const char *folder = slash == path ? "/" : slash ? arena_strndup(&c->mem, path, (size_t)(slash - path)) : ".";
    const char *tmp = arena_printf(&c->mem, "%s.%s.part", path, id_new("new", id));
    FILE *f = fopen(tmp, "wbxe");
    if (!f) return fail(c, ERR_IO, "cannot create %s: %s", tmp, strerror(errno));
    enum err e = fchmod(fileno(f), 0600) ? fail(c, ERR_IO, "cannot protect %s: %s", tmp, strerror(errno)) : OK;
    if (!e) e = write_archive(c, s, manifest, f);
    if (fclose(f) && !e) e = fail(c, ERR_IO, "cannot write %s: %s", tmp, strerror(errno));
    if (!e && rename(tmp, path)) e = fail(c, ERR_IO, "cannot name %s: %s", path, strerror(errno));
    if (e) {
        unlink(tmp);
        return e;
    }
    return folder_sync(c, folder);
}

/* Staging of processes that died over it. */
static void drop_dead_staging(struct call *c)
{
    const char *all = arena_printf(&c->mem, "%s/" BACKUP_STAGING, store_dir());
    DIR *d = opendir(all);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));)
        if (*f->d_name != '.' && !owner_alive(f->d_name)) folder_drop(arena_printf(&c->mem, "%s/%s", all, f->d_name));
    closedir(d);
}

enum err store_backup(struct call *c, const char *path)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct buf manifest;
    struct call work; /* its memory is large and goes at once */
    if (!*path) return fail(c, ERR_INVALID, "the archive has no name");
    pthread_mutex_lock(&one_at_a_time);
    buf_init(&manifest, BACKUP_MANIFEST_BYTES);
    call_init(&work);
    work.stop = c->stop;
    work.deadline_ms = c->deadline_ms;
    struct staging s = { .path = arena_printf(&work.mem, "%s/" BACKUP_STAGING "/%s", store_dir(), owner_mark()) };
    drop_dead_staging(&work);
    folder_drop(s.path);
    enum err e = folder_make(&work, s.path);
    if (!e) e = stage_all(&work, &s);
    if (!e) e = make_manifest(&work, &s, &manifest);
    if (!e) e = write_named(&work, &s, &manifest, path);
    folder_drop(s.path);
    rmdir(arena_printf(&work.mem, "%s/" BACKUP_STAGING, store_dir()));
    if (e) e = fail(c, e, "%s", work.err_text);
    if (!e) log_info(c, "backup written", "path", path, "files", log_int(c, s.count), NULL);
    call_dispose(&work);
    buf_dispose(&manifest);
    pthread_mutex_unlock(&one_at_a_time);
    return e;
}
