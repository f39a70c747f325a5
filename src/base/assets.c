/* base/assets.c — binary search over the table that tools/embed.sh makes at build time. */
/* SPDX-License-Identifier: MIT */
#include "base/assets.h"

#include <string.h>

extern const struct asset asset_table[]; /* sorted by path, byte order */
extern const int          asset_table_count;

/* The first asset whose path is not before the given one. */
static int lower_bound(const char *path)
{
    int low = 0, high = asset_table_count;
    while (low < high) {
        int mid = low + (high - low) / 2;
        if (strcmp(asset_table[mid].path, path) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct asset *asset_find(const char *path)
{
    int at = lower_bound(path);
    return at < asset_table_count && !strcmp(asset_table[at].path, path) ? &asset_table[at] : NULL;
}

const struct asset *asset_at(const char *prefix, int i)
{
    if (i < 0) return NULL;
    int at = lower_bound(prefix);
    if (i >= asset_table_count - at) return NULL;
    const struct asset *a = &asset_table[at + i];
    return strncmp(a->path, prefix, strlen(prefix)) ? NULL : a;
}
