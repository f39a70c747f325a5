/* accounts/accounts_store.h — the set-up link's row in accounts.db.                                             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCOUNTS_STORE_H
#define CHIRON_ACCOUNTS_ACCOUNTS_STORE_H
#include "base/call.h"

/* The nonce of the unused set-up link, made when there has never been one; *out is NULL once it was used. In c->mem. */
MUST_CHECK enum err setup_nonce(struct call *c, const char **out);
/* Marks it used; *used_now is false when it already was. Two callers at once: exactly one gets true. */
MUST_CHECK enum err setup_nonce_use(struct call *c, const char *nonce, bool *used_now);
#endif
