/* accounts/proof_store.h — what somebody's mailbox or an outside issuer proves about an account: rows of account, account_issuer and
 * member.                                                                                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PROOF_STORE_H
#define CHIRON_ACCOUNTS_PROOF_STORE_H
#include "base/call.h"

/* The address is theirs. first_out: nobody had shown that before; then, with take_over, what somebody else may have put on
 * the account under this address goes with it: password, outside issuers. May be NULL. */
MUST_CHECK enum err proof_email(struct call *c, const char *account_id, bool take_over, bool *first_out);
/* The id of the account that this issuer's subject is known as, in c->mem. ERR_NOT_FOUND without words. */
MUST_CHECK enum err proof_account_of_issuer(struct call *c, const char *issuer, const char *subject, const char **id_out);
/* Knows the account by this name from now on. ERR_CONFLICT: the name is taken. */
MUST_CHECK enum err proof_issuer_add(struct call *c, const char *issuer, const char *subject, const char *account_id);
/* Makes it a member; an existing membership stays as it is. */
MUST_CHECK enum err proof_member_add(struct call *c, const char *creator_id, const char *account_id, const char *role, const char *invited_by);
#endif
