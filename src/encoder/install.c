/* SPDX-License-Identifier: MIT */
/* A model's folder is made under a hidden name beside its place and renamed there when all of it is right, so that a
 * folder that can be seen is one that can be used. What a broken try fetched is held against its hash like anything else
 * and then not fetched again. */
#include "encoder/install.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "encoder/archive.h"
#include "encoder/download.h"
#include "encoder/safetensors.h"
#include "encoder/tokenizer.h"
#include "store/folder.h"

#define WEIGHTS_MAX_BYTES (8LL * 1024 * 1024 * 1024)
#define FILE_MAX_BYTES    (64LL * 1024 * 1024)
#define SETTINGS          "chiron.json"
enum { LINE_BYTES = 1024 };

const struct setting install_settings[] = {
    { .name = "MODELS_BASE_URL", .help = "where `models pull NAME` fetches from instead of the catalogue's address" },
    { 0 },
};

/* ---- sums ---- */

/* "HEX  name" of sha256sum(1). */
static bool sums_line(char *line, const char **hex, const char **name)
{
    size_t n = strcspn(line, "\r\n");
    line[n] = 0;
    if (n < 67 || strspn(line, "0123456789abcdef") != 64 || line[64] != ' ') return false;
    line[64] = 0;
    *hex = line;
    *name = line + 66;
    return **name && **name != '/' && !strstr(*name, "..");
}

enum err install_verify(struct call *c, const char *folder, int *files_out)
{
    const char *sums = arena_printf(&c->mem, "%s/" INSTALL_SUMS, folder);
    FILE       *f = fopen(sums, "re");
    if (!f && access(folder, F_OK)) return fail(c, ERR_NOT_FOUND, "there is no model in %s", folder);
    if (!f) return fail(c, ERR_NOT_FOUND, "%s has no " INSTALL_SUMS " to verify it by", folder);
    char     line[LINE_BYTES], got[65];
    int      files = 0;
    bool     weights = false;
    enum err e = OK;
    while (!e && fgets(line, sizeof line, f)) {
        const char *hex = NULL, *name = NULL;
        if (!sums_line(line, &hex, &name)) e = fail(c, ERR_CORRUPT, "%s: line %d is not \"SHA-256  name\"", sums, files + 1);
        else if (!id_sha256_file(arena_printf(&c->mem, "%s/%s", folder, name), got))
            e = fail(c, ERR_CORRUPT, "%s/%s is missing or unreadable", folder, name);
        else if (strcmp(got, hex)) e = fail(c, ERR_CORRUPT, "%s/%s has SHA-256 %s, not %s", folder, name, got, hex);
        if (!e) e = call_check(c);
        if (!e && !strcmp(name, INSTALL_WEIGHTS)) weights = true;
        files++;
    }
    fclose(f);
    if (!e && !weights) e = fail(c, ERR_CORRUPT, "%s does not list " INSTALL_WEIGHTS, sums);
    if (!e) *files_out = files;
    return e;
}

/* What an unfinished try noted of a file without a known hash; NULL when it noted nothing. */
static const char *noted(struct call *c, const char *folder, const char *file)
{
    FILE       *f = fopen(arena_printf(&c->mem, "%s/" INSTALL_SUMS, folder), "re");
    char        line[LINE_BYTES];
    const char *hex, *name, *found = NULL;
    while (f && fgets(line, sizeof line, f))
        if (sums_line(line, &hex, &name) && !strcmp(name, file)) found = arena_strdup(&c->mem, hex);
    if (f) fclose(f);
    return found;
}

static enum err note(struct call *c, const char *folder, const char *mode, const char *hex, const char *file)
{
    const char *path = arena_printf(&c->mem, "%s/" INSTALL_SUMS, folder);
    FILE       *f = fopen(path, mode);
    if (f) fchmod(fileno(f), 0644);
    bool        good = f && fprintf(f, "%s  %s\n", hex, file) > 0;
    if (f && fclose(f)) good = false;
    return good ? OK : fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

/* ---- pull ---- */

/* One try at a time: two would write the same parts. */
static enum err lock(struct call *c, const char *root, const char *name, int *out)
{
    const char *path = arena_printf(&c->mem, "%s/.lock-%s", root, name);
    int         fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return fail(c, ERR_CONFLICT, "%s is being fetched by another process", name);
    }
    *out = fd;
    return OK;
}

static enum err begin(struct call *c, const char *root, const char *name, int *lock_out)
{
    const char *to = arena_printf(&c->mem, "%s/%s", root, name);
    if (!access(to, F_OK)) return fail(c, ERR_CONFLICT, "%s is there already; chiron models remove %s", to, name);
    enum err e = folder_make(c, root);
    return e ? e : lock(c, root, name, lock_out);
}

static void end(struct call *c, const char *root, const char *name, int lock_fd)
{
    unlink(arena_printf(&c->mem, "%s/.lock-%s", root, name));
    close(lock_fd);
}

/* The file as an earlier try left it, if it is right; its hash in hex. */
static bool is_there(struct call *c, const char *folder, const struct catalogue_file *f, char hex[65])
{
    const char *path = arena_printf(&c->mem, "%s/%s", folder, f->name), *right = f->sha256 ? f->sha256 : noted(c, folder, f->name);
    if (access(path, F_OK)) return false;
    if (right && id_sha256_file(path, hex) && !strcmp(hex, right)) return true;
    unlink(path);
    return false;
}

static enum err fetch_all(struct call *c, const char *folder, const struct catalogue_model *m, const struct install_opts *o,
                          const char **hex, struct install_result *r)
{
    for (int i = 0; i < m->file_count; i++) {
        const struct catalogue_file *f = &m->files[i];
        bool                         weights = !strcmp(f->name, INSTALL_WEIGHTS);
        char                         have[65];
        struct download d = { .url = arena_printf(&c->mem, "%s/%s", m->url, f->name), .folder = folder, .name = f->name, .sha256 = f->sha256,
                              .bytes = f->bytes, .max_bytes = weights ? WEIGHTS_MAX_BYTES : FILE_MAX_BYTES, .must_be_named = weights,
                              .optional = f->optional, .progress = o->progress, .arg = o->arg };
        if (is_there(c, folder, f, have)) {
            hex[i] = arena_strdup(&c->mem, have);
        } else {
            enum err e = download(c, &d);
            r->fetched_bytes += d.fetched_bytes;
            r->resumed_bytes += d.resumed_bytes;
            if (e) return e;
            if (d.missing) continue;
            hex[i] = arena_strdup(&c->mem, d.hex);
            e = note(c, folder, "ae", d.hex, f->name);
            if (e) return e;
        }
        r->files++;
        if (!f->sha256) r->not_pinned++;
    }
    return OK;
}

/* What only a model's card says goes where the loader looks for it; then the sums are written anew, each file once. */
static enum err finish_sums(struct call *c, const char *folder, const struct catalogue_model *m, const char **hex, struct install_result *r)
{
    const char *mode = "we";
    enum err    e = OK;
    for (int i = 0; i < m->file_count && !e; i++) {
        if (!hex[i]) continue;
        e = note(c, folder, mode, hex[i], m->files[i].name);
        mode = "ae";
    }
    if (e || !m->settings) return e;
    const char *path = arena_printf(&c->mem, "%s/" SETTINGS, folder);
    char        own[65];
    FILE       *f = fopen(path, "we");
    if (f) fchmod(fileno(f), 0644);
    bool        good = f && fprintf(f, "%s\n", m->settings) > 0;
    if (f && fclose(f)) good = false;
    if (!good || !id_sha256_file(path, own)) return fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    r->files++;
    return note(c, folder, "ae", own, SETTINGS);
}

static enum err is_usable(struct call *c, const char *folder)
{
    struct card        card;
    struct safetensors st = { 0 };
    struct tokenizer  *t = NULL;
    enum err           e = card_read(c, folder, &card);
    if (!e) e = tokenizer_load(c, folder, &card, &t);
    if (!e) e = safetensors_open(c, arena_printf(&c->mem, "%s/" INSTALL_WEIGHTS, folder), &st);
    if (!e && tokenizer_size(t) > card.vocabulary)
        e = fail(c, ERR_CORRUPT, "the vocabulary has %d tokens, the weights %d", tokenizer_size(t), card.vocabulary);
    tokenizer_free(t);
    safetensors_close(&st);
    if (!e) return OK;
    const char *words = arena_strdup(&c->mem, c->err_text);
    call_forgive(c);
    return fail(c, ERR_CORRUPT, "no model that can be used here, and removed: %s", words);
}

static enum err put(struct call *c, const char *root, const char *from, const char *name)
{
    const char *to = arena_printf(&c->mem, "%s/%s", root, name);
    enum err    e = folder_sync(c, from);
    if (!e) chmod(from, 0755);
    if (!e && rename(from, to)) e = fail(c, ERR_IO, "cannot put the model at %s: %s", to, strerror(errno));
    return e ? e : folder_sync(c, root);
}

enum err install_pull(struct call *c, const char *root, const struct catalogue_model *m, const struct install_opts *o,
                      struct install_result *out)
{
    struct install_result r = { 0 };
    const char           *hex[CATALOGUE_FILES] = { NULL }, *fresh = arena_printf(&c->mem, "%s/.part-%s", root, m->name);
    int                   lock_fd = -1;
    enum err              e = begin(c, root, m->name, &lock_fd);
    if (e) return e;
    e = folder_make(c, fresh);
    if (!e) e = fetch_all(c, fresh, m, o, hex, &r);
    if (!e) e = finish_sums(c, fresh, m, hex, &r);
    if (!e) {
        e = is_usable(c, fresh);
        if (e) folder_drop(fresh);
    }
    if (!e) e = put(c, root, fresh, m->name);
    end(c, root, m->name, lock_fd);
    if (!e) *out = r;
    return e;
}

enum err install_archive(struct call *c, const char *root, const char *url, const char *sha256, const char *name,
                         const struct install_opts *o, struct install_result *out)
{
    struct install_result r = { 0 };
    const char           *fresh = arena_printf(&c->mem, "%s/.new-%s", root, name), *parts = arena_printf(&c->mem, "%s/.part-%s", root, name);
    struct download       d = { .url = url, .folder = parts, .name = "archive", .sha256 = sha256, .max_bytes = WEIGHTS_MAX_BYTES,
                                .progress = o->progress, .arg = o->arg };
    int                   lock_fd = -1;
    enum err              e = begin(c, root, name, &lock_fd);
    if (e) return e;
    folder_drop(fresh);
    e = folder_make(c, parts);
    if (!e) e = download(c, &d);
    r.fetched_bytes = d.fetched_bytes;
    r.resumed_bytes = d.resumed_bytes;
    if (!e) e = archive_unpack(c, arena_printf(&c->mem, "%s/archive", parts), fresh);
    if (!e) e = is_usable(c, fresh);
    if (!e) e = install_verify(c, fresh, &r.files);
    if (!e) e = put(c, root, fresh, name);
    if (e) folder_drop(fresh);
    if (!e || d.named) folder_drop(parts);
    end(c, root, name, lock_fd);
    if (!e) *out = r;
    return e;
}

enum err install_remove(struct call *c, const char *root, const char *name)
{
    char        id[ID_BYTES];
    const char *from = arena_printf(&c->mem, "%s/%s", root, name), *hidden = arena_printf(&c->mem, "%s/.gone-%s", root, id_new("m", id));
    if (access(from, F_OK)) return fail(c, ERR_NOT_FOUND, "there is no model \"%s\" in %s", name, root);
    if (rename(from, hidden)) return fail(c, ERR_IO, "cannot move %s: %s", from, strerror(errno));
    folder_drop(hidden);
    return access(hidden, F_OK) ? OK : fail(c, ERR_IO, "%s could not be removed whole", hidden);
}
