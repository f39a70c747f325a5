/* base/assets.h — files built into the binary: web pages, prompts, schema, demo, word lists. Made by tools/embed.sh. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_ASSETS_H
#define CHIRON_BASE_ASSETS_H
#include <stddef.h>

struct asset {
    const char *path;            /* "schema/0001_accounts.sql", "web/index.html" */
    const unsigned char *data;   /* followed by a NUL byte */
    size_t len;
};
const struct asset *asset_find(const char *path);                       /* NULL when there is none */
/* The i-th asset whose path starts with prefix, in path order; NULL past the end. */
const struct asset *asset_at(const char *prefix, int i);
#endif
