/* base/envfile.h — NAME=value lines of a settings file (".env"). Everything lives in c->mem.
 * UTF-8, a byte order mark is skipped; "export " before a name; # starts a comment at the start of a line and after
 * white space; 'single quotes' keep all as is, "double quotes" know \n \r \t \" \\ \$; quoted values may span lines;
 * the last of two equal names wins. Nothing is expanded.                                                         */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_ENVFILE_H
#define CHIRON_BASE_ENVFILE_H
#include "base/call.h"

struct envfile {
    const char **names, **values;
    int          count;
};
/* A missing file is an empty one unless must_exist. ERR_INVALID names file and line; ERR_IO. */
MUST_CHECK enum err envfile_load(struct call *c, const char *path, bool must_exist, struct envfile *out);
MUST_CHECK enum err envfile_parse(struct call *c, const char *path, char *text, size_t n, struct envfile *out); /* text is changed */
const char *envfile_get(const struct envfile *f, const char *name);   /* any case; NULL when absent */
#endif
