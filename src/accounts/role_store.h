/* accounts/role_store.h — a creator's own roles in accounts.db. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ROLE_STORE_H
#define CHIRON_ACCOUNTS_ROLE_STORE_H
#include "base/call.h"

/* The role's rights as a JSON array of words, in c->mem; NULL: there is no such role. */
MUST_CHECK enum err role_store_words(struct call *c, const char *creator_id, const char *name, const char **out);
#endif
