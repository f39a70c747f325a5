/* store/owner.c — see owner.h. A process id and start time would do on one machine, but not between two containers
 * that share the folder: each has its own process 7. */
/* SPDX-License-Identifier: MIT */
#include "store/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "store/store.h"

enum { MARK_BYTES = 64, PATH_BYTES = 4096 };

static char mark[MARK_BYTES];
static int  held = -1;

static bool path_of(const char *name, char path[PATH_BYTES])
{
    if (!*name || *name == '.' || strchr(name, '/')) return false;
    int n = snprintf(path, PATH_BYTES, "%s/run/%s", store_dir(), name);
    return n > 0 && n < PATH_BYTES;
}

/* Held by nobody: its process has ended. Two who look at once may each keep the other from seeing that, this once. */
static bool dead(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT;
    bool free_now = !flock(fd, LOCK_EX | LOCK_NB);
    if (free_now) unlink(path);
    close(fd);
    return free_now;
}

bool owner_alive(const char *name)
{
    char path[PATH_BYTES];
    if (!name || !path_of(name, path)) return false;
    if (held >= 0 && !strcmp(name, mark)) return true;
    return !dead(path);
}

static void leave_word(void)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/wake", store_dir());
    mkdir(path, 0700);
    snprintf(path + n, sizeof path - (size_t)n, "/.all");
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

void owner_bury(void)
{
    char path[PATH_BYTES];
    bool any = false;
    snprintf(path, sizeof path, "%s/run", store_dir());
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *f; (f = readdir(d));)
        if (path_of(f->d_name, path) && !(held >= 0 && !strcmp(f->d_name, mark)) && dead(path)) any = true;
    closedir(d);
    if (any) leave_word();
}

enum err owner_open(struct call *c)
{
    char path[PATH_BYTES], id[ID_BYTES];
    if (held >= 0) return OK;
    snprintf(path, sizeof path, "%s/run", store_dir());
    if (mkdir(path, 0700) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    owner_bury();
    snprintf(mark, sizeof mark, "%ld-%s", (long)getpid(), id_new("own", id));
    if (!path_of(mark, path)) return fail(c, ERR_IO, "the path of the data folder is too long");
    /* Locked under a name nobody looks for, then named: a mark is never seen unlocked while its process lives. */
    char first[PATH_BYTES];
    int n = snprintf(first, sizeof first, "%s/run/.%s", store_dir(), mark);
    if (n < 0 || n >= PATH_BYTES) return fail(c, ERR_IO, "the path of the data folder is too long");
    held = open(first, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (held < 0 || flock(held, LOCK_EX | LOCK_NB) || rename(first, path)) {
        enum err e = fail(c, ERR_IO, "cannot mark %s as in use: %s", store_dir(), strerror(errno));
        if (held >= 0) close(held);
        held = -1;
        unlink(first);
        return e;
    }
    return OK;
}

void owner_close(void)
{
    char path[PATH_BYTES];
    if (held < 0) return;
    if (path_of(mark, path)) unlink(path);
    close(held);
    held = -1;
    mark[0] = '\0';
}

const char *owner_mark(void)
{
    return held >= 0 ? mark : "";
}
