/* accounts/limit_store.h — a creator's own limits in its database. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LIMIT_STORE_H
#define CHIRON_ACCOUNTS_LIMIT_STORE_H
#include "accounts/limit.h"

/* In c->mem, of c->tenant. */
MUST_CHECK enum err limit_own_load(struct call *c, struct limit_own **out, int *n_out);
MUST_CHECK enum err limit_own_save(struct call *c, const struct limit_own *own, int n);
#endif
