/* store/folder.c — the few things done to whole folders. Depth is bounded: the product's own folders are shallow, and a
 * deeper one is not ours. */
/* SPDX-License-Identifier: MIT */
#include "store/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH_MAX = 16 };

typedef enum err (*file_fn)(struct call *c, void *arg, const char *rel, const struct stat *st);

static bool skipped(const char *name, const char *const *skip)
{
    if (*name == '.') return true;
    for (; skip && *skip; skip++)
        if (!strcmp(name, *skip)) return true;
    return false;
}

static enum err walk(struct call *c, const char *path, const char *rel, const char *const *skip, file_fn f, void *arg, int depth);

static enum err visit(struct call *c, const char *path, const char *rel, const char *name, file_fn f, void *arg, int depth)
{
    struct stat st;
    char full[FOLDER_PATH_BYTES], below[FOLDER_PATH_BYTES];
    int n = snprintf(full, sizeof full, "%s/%s", path, name);
    int m = snprintf(below, sizeof below, "%s%s%s", rel, *rel ? "/" : "", name);
    if (n < 0 || n >= FOLDER_PATH_BYTES || m < 0 || m >= FOLDER_PATH_BYTES)
        return fail(c, ERR_INVALID, "a path below %s is too long", path);
    if (lstat(full, &st)) return errno == ENOENT ? OK : fail(c, ERR_IO, "cannot read %s: %s", full, strerror(errno));
    if (S_ISDIR(st.st_mode)) return walk(c, full, below, NULL, f, arg, depth + 1);
    return S_ISREG(st.st_mode) ? f(c, arg, below, &st) : OK;
}

static enum err walk(struct call *c, const char *path, const char *rel, const char *const *skip, file_fn f, void *arg, int depth)
{
    struct dirent **names = NULL;
    enum err e = OK;
    if (depth > DEPTH_MAX) return fail(c, ERR_INVALID, "%s is nested too deeply", path);
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) return fail(c, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *name = names[i]->d_name;
        if (!e && !skipped(name, skip)) e = visit(c, path, rel, name, f, arg, depth);
        free(names[i]);
    }
    free(names);
    return e;
}

enum err folder_walk(struct call *c, const char *path, const char *const *skip, file_fn f, void *arg)
{
    return walk(c, path, "", skip, f, arg, 0);
}

enum err folder_make(struct call *c, const char *path)
{
    char copy[FOLDER_PATH_BYTES];
    if (snprintf(copy, sizeof copy, "%s", path) >= FOLDER_PATH_BYTES || !*path)
        return fail(c, ERR_INVALID, "the path of a folder is empty or too long");
    for (char *p = copy + 1;; p++) {
        if (*p && *p != '/') continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", copy, strerror(errno));
        *p = was;
        if (!was) return OK;
    }
}

enum err folder_make_for(struct call *c, const char *file)
{
    const char *slash = strrchr(file, '/');
    char dir[FOLDER_PATH_BYTES];
    if (!slash || slash == file) return OK;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - file), file);
    return access(dir, F_OK) ? folder_make(c, dir) : OK;
}

enum err folder_sync(struct call *c, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = OK;
    if (fd < 0 || fsync(fd)) e = fail(c, ERR_IO, "cannot sync %s: %s", path, strerror(errno));
    if (fd >= 0) close(fd);
    return e;
}

enum err folder_empty(struct call *c, const char *path, bool *exists_out, bool *empty_out)
{
    DIR *d = opendir(path);
    if (!d && errno != ENOENT) return fail(c, ERR_IO, "cannot use %s: %s", path, strerror(errno));
    bool empty = true;
    for (struct dirent *f; d && (f = readdir(d));)
        if (strcmp(f->d_name, ".") && strcmp(f->d_name, "..") && strcmp(f->d_name, "lost+found")) empty = false;
    *exists_out = d != NULL;
    *empty_out = empty;
    if (d) closedir(d);
    return OK;
}

static enum err copy_file(struct call *c, const char *from, const char *to)
{
    enum { PIECE = 64 * 1024 };
    char piece[PIECE];
    ssize_t n = 0;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out = -1;
    if (in < 0) return errno == ENOENT ? OK : fail(c, ERR_IO, "cannot read %s: %s", from, strerror(errno));
    enum err e = OK;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0) e = fail(c, ERR_IO, "cannot create %s: %s", to, strerror(errno));
    while (!e && (n = read(in, piece, sizeof piece)) > 0)
        for (ssize_t at = 0, done; !e && at < n; at += done)
            if ((done = write(out, piece + at, (size_t)(n - at))) <= 0) e = fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno));
    if (!e && n < 0) e = fail(c, ERR_IO, "cannot read %s: %s", from, strerror(errno));
    if (out >= 0) close(out);
    close(in);
    return e;
}

enum err folder_link(struct call *c, const char *from, const char *to)
{
    if (!link(from, to) || errno == ENOENT) return OK;
    bool no_links = errno == EPERM || errno == EOPNOTSUPP || errno == EMLINK || errno == EXDEV || errno == ENOSYS;
    return no_links ? copy_file(c, from, to) : fail(c, ERR_IO, "cannot link %s: %s", from, strerror(errno));
}

static int drop_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    remove(path);
    return 0;
}

void folder_drop(const char *path)
{
    nftw(path, drop_one, DEPTH_MAX, FTW_DEPTH | FTW_PHYS);
}
