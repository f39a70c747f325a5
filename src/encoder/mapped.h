/* encoder/mapped.h — a model's file, mapped read-only. The map is the caller's until mapped_close. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_MAPPED_H
#define CHIRON_ENCODER_MAPPED_H
#include <stddef.h>

#include "base/call.h"

struct mapped {
    const char *data;    /* "" when the file is empty */
    size_t      size;
};

/* ERR_NOT_FOUND, ERR_IO (not a file, not readable) name the path. The file must not shrink while it is mapped. */
MUST_CHECK enum err mapped_open(struct call *c, const char *path, struct mapped *out);
/* folder/name. */
MUST_CHECK enum err mapped_open_in(struct call *c, const char *folder, const char *name, struct mapped *out);
/* Pages of [p, p + n) leave this process's memory; they come back from the file when read again. */
void mapped_drop(const void *p, size_t n);
void mapped_close(struct mapped *m);    /* zeroes *m; a zeroed one is allowed */
#endif
