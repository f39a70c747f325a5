/* accounts/oidc_store.h — sign-ins at outside issuers that have begun.                                               */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_OIDC_STORE_H
#define CHIRON_ACCOUNTS_OIDC_STORE_H
#include "base/call.h"

struct oidc_row {                /* texts in c->mem when read */
    const char *state_hash, *issuer, *nonce, *verifier, *back_to;
    int64_t     expires_ms;
};
/* Adds it and drops the ones that ended. *added_out is false when live_max are open already. */
MUST_CHECK enum err oidc_row_add(struct call *c, const struct oidc_row *row, int live_max, bool *added_out);
/* Takes it out: of two callers exactly one gets it. ERR_NOT_FOUND without words: there is none, or it has ended. */
MUST_CHECK enum err oidc_row_take(struct call *c, const char *state_hash, struct oidc_row *out);
#endif
