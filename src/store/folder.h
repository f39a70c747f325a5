/* store/folder.h — folders as wholes: walking, linking, removing, syncing. Symbolic links are never followed. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_FOLDER_H
#define CHIRON_STORE_FOLDER_H
#include <sys/stat.h>

#include "base/call.h"

#define FOLDER_PATH_BYTES 4096
/* Calls f for every plain file below `path`, in order of name; rel is relative to it and lives until f returns. Hidden names (".x") and what skip
 * names (a NULL-ended list of names directly below path) are passed over. */
MUST_CHECK enum err folder_walk(struct call *c, const char *path, const char *const *skip,
                                enum err (*f)(struct call *c, void *arg, const char *rel, const struct stat *st), void *arg);
MUST_CHECK enum err folder_make(struct call *c, const char *path);         /* 0700, with its parents */
MUST_CHECK enum err folder_make_for(struct call *c, const char *file);     /* the folder a file is in */
MUST_CHECK enum err folder_sync(struct call *c, const char *path);
MUST_CHECK enum err folder_empty(struct call *c, const char *path, bool *exists_out, bool *empty_out);
/* A second name for a file, or a copy where the file system has no such thing. A file that is gone is none of both: OK. */
MUST_CHECK enum err folder_link(struct call *c, const char *from, const char *to);
void folder_drop(const char *path);                                        /* with all that is in it; best effort */
#endif
