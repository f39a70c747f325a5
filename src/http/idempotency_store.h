/* http/idempotency_store.h — rows of idempotency, in the open creator's database, or accounts.db when none is open. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_IDEMPOTENCY_STORE_H
#define CHIRON_HTTP_IDEMPOTENCY_STORE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

#define IDEMPOTENCY_KEEP_MS (24 * 3600 * 1000LL)

struct idempotency_row {         /* in c->mem */
    const char *fingerprint, *owner;
    const char *kept;            /* "running", "whole", "stream", "large" */
    int         status;
    const void *sealed;
    size_t      sealed_len;
};
/* The row of id, or a new one that is running: *found_out tells which. Drops what has expired. Durable when it returns OK. */
MUST_CHECK enum err idempotency_take(struct call *c, const char *id, const char *fingerprint, const char *owner, bool *found_out,
                                     struct idempotency_row *out);
/* The reply of a running row; a row that is gone (its person was erased) stays gone. */
MUST_CHECK enum err idempotency_keep(struct call *c, const char *id, const char *kept, int status, const void *sealed, size_t n);
MUST_CHECK enum err idempotency_drop_old(struct call *c);
MUST_CHECK enum err idempotency_forget(struct call *c, const char *id);
#endif
