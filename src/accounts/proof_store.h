/* accounts/proof_store.h — what somebody's mailbox or an outside issuer proves about an account: rows of account, account_issuer and
 * member. Passwords and codes are not read here.                                                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PROOF_STORE_H
#define CHIRON_ACCOUNTS_PROOF_STORE_H
#include "base/call.h"

struct proof_account {          /* in c->mem */
    const char *id, *email, *full_name;
    bool        active, verified, totp;
};
/* ERR_NOT_FOUND without words. */
MUST_CHECK enum err proof_account_of_email(struct call *c, const char *email, struct proof_account *out);
MUST_CHECK enum err proof_account_get(struct call *c, const char *id, struct proof_account *out);
MUST_CHECK enum err proof_account_of_issuer(struct call *c, const char *issuer, const char *subject, struct proof_account *out);

/* The address is theirs. first_out: nobody had shown that before; then, with take_over, what somebody else may have put on
 * the account under this address goes with it: password, outside issuers. May be NULL. */
MUST_CHECK enum err proof_email(struct call *c, const char *account_id, bool take_over, bool *first_out);
/* Knows the account by this name from now on. ERR_CONFLICT: the name is another account's. */
MUST_CHECK enum err proof_issuer_add(struct call *c, const char *issuer, const char *subject, const char *account_id);
/* Makes it a member; an existing membership stays as it is. */
MUST_CHECK enum err proof_member_add(struct call *c, const char *creator_id, const char *account_id, const char *role, const char *invited_by);
#endif
