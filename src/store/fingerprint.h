/* store/fingerprint.h — what a database holds, by content: one number per table, the same for the same rows in whatever order
 * and wherever on the disk they lie. For proving that nothing was changed. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_FINGERPRINT_H
#define CHIRON_STORE_FINGERPRINT_H
#include "base/call.h"

struct db;
struct fingerprint {
    const char *table;          /* in c->mem */
    int64_t     rows;
    char        sum[33];        /* hex; of no rows all zeros */
};
/* Every table, by name. words (ended by NULL, may be NULL): only rows that hold one of them as the value of a
 * column that is an id. */
MUST_CHECK enum err fingerprint_take(struct call *c, struct db *db, const char *const *words, struct fingerprint **out, int *n_out);
#endif
