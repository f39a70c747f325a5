/* store/restore.c — an archive back into a folder that is empty or missing. Everything is unpacked and checked in a
 * folder of its own first: names, sizes, SHA-256, the soundness of each database. Only then it gets its place, by one
 * rename, or, where the folder exists already (it may be a mount), by moving the parts with accounts.db last; a folder in
 * which that did not finish is refused by store_open. */
/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "store/backup.h"
#include "store/db_sqlite.h"
#include "store/folder.h"
#include "store/tar.h"

static enum err bad_manifest(struct call *c)
{
    return fail(c, ERR_CORRUPT, "the archive's manifest is damaged");
}

static enum err read_manifest(struct call *c, FILE *f, json_t **out)
{
    struct tar_member m;
    bool more = false;
    json_t *v = NULL;
    enum err e = tar_next(c, f, &m, &more);
    if (e) return e;
    if (!more || strcmp(m.name, BACKUP_MANIFEST)) return fail(c, ERR_CORRUPT, "the archive is no backup: it has no manifest");
    if (m.size_bytes > BACKUP_MANIFEST_BYTES) return bad_manifest(c);
    char *text = malloc((size_t)m.size_bytes + 1);
    if (!text) abort();
    e = tar_take(c, f, &m, text);
    if (!e && json_parse(c, text, (size_t)m.size_bytes, &v)) {
        call_forgive(c);
        e = bad_manifest(c);
    }
    free(text);
    if (e) return e;
    const char *format = json_get_text(v, "format", "");
    int64_t version = json_get_int(v, "version", 0);
    if (strcmp(format, BACKUP_FORMAT))
        e = fail(c, ERR_CORRUPT, "the archive is no backup");
    else if (version != BACKUP_VERSION)
        e = fail(c, ERR_CONFLICT, "the backup has format %lld, this program reads %d", (long long)version, BACKUP_VERSION);
    else if (!json_is_array(json_object_get(v, "members")))
        e = bad_manifest(c);
    if (e)
        json_decref(v);
    else
        *out = v;
    return e;
}

static bool is_database(const char *name)
{
    size_t n = strlen(name);
    return !strcmp(name, "accounts.db") || (!strncmp(name, "creators/", 9) && n > 20 && !strcmp(name + n - 11, "/creator.db"));
}

static enum err check_database(struct call *c, const char *path)
{
    struct link *l = NULL;
    enum err e = link_open(c, path, LINK_SNAPSHOT, &l);
    if (!e) e = link_verify(c, l, true);
    link_close(l);
    return e;
}

static enum err unpack_one(struct call *c, FILE *f, const struct tar_member *m, const json_t *row, const char *into)
{
    char sum[65];
    const char *path = arena_printf(&c->mem, "%s/%s", into, m->name);
    if (strcmp(json_get_text(row, "path", ""), m->name)) return fail(c, ERR_CORRUPT, "%s is not where the manifest has it", m->name);
    if (json_get_int(row, "size", -1) != m->size_bytes) return fail(c, ERR_CORRUPT, "%s has a wrong size", m->name);
    enum err e = folder_make_for(c, path);
    if (!e) e = tar_take_file(c, f, m, path, sum);
    if (!e && strcmp(json_get_text(row, "sha256", ""), sum)) e = fail(c, ERR_CORRUPT, "%s does not match its SHA-256", m->name);
    return e;
}

/* Members come in the manifest's order, so one pass shows what is missing, doubled or extra. */
static enum err unpack(struct call *c, FILE *f, const char *into)
{
    json_t *manifest = NULL;
    struct tar_member m;
    bool more = true, accounts = false;
    size_t at = 0;
    enum err e = read_manifest(c, f, &manifest);
    if (e) return e;
    const json_t *members = json_object_get(manifest, "members");
    for (; !e; at++) {
        e = tar_next(c, f, &m, &more);
        if (e || !more) break;
        if (at >= json_array_size(members)) e = fail(c, ERR_CORRUPT, "the archive holds more than its manifest");
        if (!e) e = unpack_one(c, f, &m, json_array_get(members, at), into);
        if (!e && is_database(m.name)) e = check_database(c, arena_printf(&c->mem, "%s/%s", into, m.name));
        accounts = accounts || !strcmp(m.name, "accounts.db");
    }
    if (!e && at < json_array_size(members)) e = fail(c, ERR_CORRUPT, "the archive lacks files its manifest names");
    if (!e && !accounts) e = fail(c, ERR_CORRUPT, "the archive has no accounts.db");
    json_decref(manifest);
    return e;
}

static enum err move_one(struct call *c, const char *from, const char *to, const char *name)
{
    const char *a = arena_printf(&c->mem, "%s/%s", from, name), *b = arena_printf(&c->mem, "%s/%s", to, name);
    return rename(a, b) ? fail(c, ERR_IO, "cannot move %s to its place: %s", name, strerror(errno)) : OK;
}

static enum err move_all(struct call *c, const char *from, const char *to)
{
    DIR *d = opendir(from);
    enum err e = OK;
    if (!d) return fail(c, ERR_IO, "cannot read %s: %s", from, strerror(errno));
    for (struct dirent *f; !e && (f = readdir(d));)
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, "..") && strcmp(f->d_name, "accounts.db"))
            e = move_one(c, from, to, f->d_name);
    closedir(d);
    if (!e) e = folder_sync(c, to);
    if (!e) e = move_one(c, from, to, "accounts.db");
    if (!e && rmdir(from)) e = fail(c, ERR_IO, "cannot remove %s: %s", from, strerror(errno));
    return e ? e : folder_sync(c, to);
}

static enum err sync_folders(struct call *c, void *arg, const char *rel, const struct stat *st)
{
    char path[FOLDER_PATH_BYTES];
    (void)st;
    snprintf(path, sizeof path, "%s/%s", (const char *)arg, rel);
    *strrchr(path, '/') = '\0';
    return folder_sync(c, path);
}

enum err store_restore(struct call *c, const char *path, const char *data_dir)
{
    char id[ID_BYTES];
    bool exists = false, empty = false;
    size_t n = strlen(data_dir);
    while (n > 1 && data_dir[n - 1] == '/') n--;
    const char *dir = arena_strndup(&c->mem, data_dir, n);
    if (!n) return fail(c, ERR_INVALID, "the data folder has no name");
    link_setup();
    enum err e = folder_empty(c, dir, &exists, &empty);
    if (!e && !empty) e = fail(c, ERR_CONFLICT, "%s is not empty: a restore needs an empty or missing folder", dir);
    if (e) return e;
    FILE *f = fopen(path, "rbe");
    if (!f) return fail(c, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", path, strerror(errno));
    const char *staging = arena_printf(&c->mem, exists ? "%s/.restore-%s" : "%s.restore-%s", dir, id_new("new", id));
    e = folder_make(c, staging);
    if (!e) e = unpack(c, f, staging);
    if (!e) e = folder_walk(c, staging, NULL, sync_folders, (void *)(uintptr_t)staging);
    if (!e) e = folder_make(c, arena_printf(&c->mem, "%s/creators", staging));
    bool ready = !e;
    if (ready && exists)
        e = move_all(c, staging, dir);
    else if (ready && rename(staging, dir))
        e = fail(c, ERR_IO, "cannot name %s: %s", dir, strerror(errno));
    /* Half moved, its name stays as the mark that store_open refuses. */
    if (!ready || (e && !exists)) folder_drop(staging);
    fclose(f);
    return e;
}
