/* accounts/signing_store.h — rows of signing_key in accounts.db. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SIGNING_STORE_H
#define CHIRON_ACCOUNTS_SIGNING_STORE_H
#include "base/call.h"

struct signing_row {
    const char *kid, *public_pem;
    const void *sealed;
    size_t      sealed_len;
    int64_t     created_ms, retired_ms, gone_ms;   /* 0: NULL */
};
/* All that are not gone, newest first, in c->mem. */
MUST_CHECK enum err signing_store_list(struct call *c, int64_t now_ms, struct signing_row **out, int *n_out);
/* Adds a key when no kid but those of `seen` is there: of two that make the first, one wins. *added_out says who. gone_ms of
 * retire (may be empty) is set, and what is gone by now is removed. *seq_out: the change's number. */
MUST_CHECK enum err signing_store_add(struct call *c, const struct signing_row *row, int seen, const char *const *retire, int retire_n,
                                      int64_t retire_gone_ms, bool *added_out, int64_t *seq_out);
#endif
