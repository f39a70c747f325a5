/* store/tar.h — POSIX tar archives of plain files, written and read front to back. Any tar program reads what is
 * written; only what these functions write is read back. One thread at a time.                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_TAR_H
#define CHIRON_STORE_TAR_H
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/call.h"

struct tar_member {
    char    name[4096];     /* relative, no "..", no empty parts */
    int64_t size_bytes;
};
/* Appends one member out of memory or a file; the file must have exactly the size. sha256_out may be NULL. */
MUST_CHECK enum err tar_put(struct call *c, FILE *to, const char *name, const void *p, size_t n, int64_t mtime_s);
MUST_CHECK enum err tar_put_file(struct call *c, FILE *to, const char *name, const char *path, int64_t size_bytes, int64_t mtime_s,
                                 char sha256_out[65]);
MUST_CHECK enum err tar_end(struct call *c, FILE *to);
/* The next member; *more false at the end of the archive. ERR_CORRUPT: not tar, cut off, or a kind of member we never write. */
MUST_CHECK enum err tar_next(struct call *c, FILE *from, struct tar_member *out, bool *more);
/* The bytes of the member just found, to be taken whole: into memory, or a new file (0600, on disk when OK). */
MUST_CHECK enum err tar_take(struct call *c, FILE *from, const struct tar_member *m, void *to);
MUST_CHECK enum err tar_take_file(struct call *c, FILE *from, const struct tar_member *m, const char *path, char sha256_out[65]);
bool tar_name_valid(const char *name);
#endif
