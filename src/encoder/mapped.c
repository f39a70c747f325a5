/* SPDX-License-Identifier: MIT */
/* Model files are mapped and not read: several processes then share one copy, and what was packed into another form
 * can be dropped again. It refuses anything that is no plain file, since a pipe or a device has no size to check
 * offsets against. */
#include "encoder/mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static uint64_t nanoseconds(struct timespec t) { return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec; }

static struct mapped_stamp stamp_of(const struct stat *st)
{
    return (struct mapped_stamp){ (uint64_t)st->st_ino, (uint64_t)st->st_size, nanoseconds(st->st_mtim), nanoseconds(st->st_ctim) };
}

enum err mapped_open(struct call *c, const char *path, struct mapped *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        enum err e = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
        return fail(c, e, "%s: %s", path, strerror(errno));
    }
    struct stat st;
    enum err    e = OK;
    void       *p = NULL;
    if (fstat(fd, &st)) e = fail(c, ERR_IO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode)) e = fail(c, ERR_IO, "%s: not a file", path);
    else if (st.st_size > 0) {
        p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) e = fail(c, ERR_IO, "%s: %s", path, strerror(errno));
    }
    close(fd);
    if (e) return e;
    *out = (struct mapped){ p ? p : "", (size_t)st.st_size, stamp_of(&st) };
    return OK;
}

bool mapped_is_current(const struct mapped *m, const char *path)
{
    struct stat st;
    if (stat(path, &st)) return false;
    struct mapped_stamp now = stamp_of(&st);
    return !memcmp(&now, &m->stamp, sizeof now);
}

enum err mapped_open_in(struct call *c, const char *folder, const char *name, struct mapped *out)
{
    return mapped_open(c, arena_printf(&c->mem, "%s/%s", folder, name), out);
}

void mapped_drop(const void *p, size_t n)
{
    size_t    page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)p + page - 1) / page * page, to = ((uintptr_t)p + n) / page * page;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

void mapped_close(struct mapped *m)
{
    if (m->size) munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct mapped){ 0 };
}
