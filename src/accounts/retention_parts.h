/* accounts/retention_parts.h — the SQL of retention; for retention*.c alone. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_RETENTION_PARTS_H
#define CHIRON_ACCOUNTS_RETENTION_PARTS_H
#include "accounts/retention.h"

/* before_ms[i] is of the i-th rule, 0: leave it. rows[i] is filled. Rolled back when dry. */
MUST_CHECK enum err retention_rows(struct call *c, const struct retention_rule *const *rules, const int64_t *before_ms, int n, bool dry,
                                   int64_t *rows);
/* Creators whose last run is older than before_ms; in c->mem. */
MUST_CHECK enum err retention_old(struct call *c, int64_t before_ms, const char ***ids_out, int *n_out);
/* *won: nobody else began one since before_ms. */
MUST_CHECK enum err retention_claim(struct call *c, const char *creator_id, int64_t before_ms, int64_t now_ms, bool *won);
/* What has ended by itself and belongs to no creator: links, sign-ins at outside issuers, kept replies. */
MUST_CHECK enum err retention_ended(struct call *c, int64_t now_ms);
/* Visitors nobody has seen since before_ms, at most max; in c->mem. */
MUST_CHECK enum err retention_visitors(struct call *c, int64_t before_ms, int max, const char ***ids_out, int *n_out);
#endif
