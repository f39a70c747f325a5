/* encoder/mapped.h — a model's file, mapped read-only. The map is the caller's until mapped_close. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_MAPPED_H
#define CHIRON_ENCODER_MAPPED_H
#include <stddef.h>

#include "base/call.h"

/* Equal stamps of one path: the same file, not written to in between, as far as the file system's clock can tell. The
 * device is not in it: it changes with every mount of some file systems. */
struct mapped_stamp {
    uint64_t inode, size, written_ns, changed_ns;
};
struct mapped {
    const char         *data;    /* "" when the file is empty */
    size_t              size;
    struct mapped_stamp stamp;   /* when it was mapped */
};

/* ERR_NOT_FOUND, ERR_IO (not a file, not readable) name the path. The file must not shrink while it is mapped. */
MUST_CHECK enum err mapped_open(struct call *c, const char *path, struct mapped *out);
/* folder/name. */
MUST_CHECK enum err mapped_open_in(struct call *c, const char *folder, const char *name, struct mapped *out);
/* Whether the file at path is still the one that was mapped, and as it was then. */
bool mapped_is_current(const struct mapped *m, const char *path);
/* Pages of [p, p + n) leave this process's memory; they come back from the file when read again. */
void mapped_drop(const void *p, size_t n);
void mapped_close(struct mapped *m);    /* zeroes *m; a zeroed one is allowed */
#endif
