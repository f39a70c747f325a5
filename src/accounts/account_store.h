/* accounts/account_store.h — rows of account, member and recovery_code in accounts.db.                      */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCOUNT_STORE_H
#define CHIRON_ACCOUNTS_ACCOUNT_STORE_H
#include "accounts/account.h"

/* What proves an account; password_hash and totp_sealed may be NULL. In c->mem. */
struct account_proof {
    const char *password_hash;
    const void *totp_sealed;
    size_t      totp_sealed_len;
    bool        totp_on;
};
/* By id or by address, whichever is not NULL; proof may be NULL. ERR_NOT_FOUND without words. */
MUST_CHECK enum err account_row_get(struct call *c, const char *id, const char *email, struct account *out, struct account_proof *proof);
MUST_CHECK enum err account_rows_member(struct call *c, const char *id, struct membership **out, int *n_out);

struct account_row {
    const char *id, *email, *full_name, *password_hash;
    bool        email_verified;
    int64_t     created_ms;
};
/* ERR_CONFLICT naming "email": taken. */
MUST_CHECK enum err account_row_add(struct call *c, const struct account_row *a);
/* With a new creator and the membership as its owner, in one transaction; *made_out is false when the creator exists already. */
MUST_CHECK enum err account_row_add_owner(struct call *c, const struct account_row *a, const char *creator_id, const char *creator_name,
                                          bool *made_out);
/* Spends the set-up link's nonce on an owner's membership, and adds the account unless it is there already (new false), in one
 * transaction; *won_out is false, and nothing changed, when the link was used. */
MUST_CHECK enum err account_row_setup(struct call *c, const char *nonce, const struct account_row *a, bool new, const char *creator_id,
                                      bool *won_out);
MUST_CHECK enum err account_row_seen(struct call *c, const char *id, int64_t now_ms);
MUST_CHECK enum err account_row_password(struct call *c, const char *id, const char *hash, int64_t now_ms);
/* A better hash of the same password: only while the old one is still there. */
MUST_CHECK enum err account_row_rehash(struct call *c, const char *id, const char *old, const char *hash);
MUST_CHECK enum err account_row_name(struct call *c, const char *id, const char *full_name, int64_t now_ms);

/* The second factor. Begun: sealed, not on. *done_out false: it is on already. */
MUST_CHECK enum err account_row_totp_begin(struct call *c, const char *id, const void *sealed, size_t n, bool *done_out);
/* On from now, with the step of the code that confirmed it, and new recovery codes. *done_out false: on already, or the step is no
 * newer than the last. */
MUST_CHECK enum err account_row_totp_on(struct call *c, const char *id, int64_t step, const char *const *hashes, int n, bool *done_out);
/* Moves the last step; *moved_out false: it was there already, the code counts no more. */
MUST_CHECK enum err account_row_totp_step(struct call *c, const char *id, int64_t step, bool *moved_out);
MUST_CHECK enum err account_row_recovery(struct call *c, const char *id, const char *hash, bool *used_out);
MUST_CHECK enum err account_row_totp_off(struct call *c, const char *id);
#endif
