/* accounts/accounts.h — who is calling. Our own tokens are RS256 with the claims iss, aud, sub (account or user id), creator_id, roles,
 * sid, jti, iat, exp; tokens of trusted issuers and API keys beside them. One algorithm per issuer; any other is refused.  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCOUNTS_H
#define CHIRON_ACCOUNTS_ACCOUNTS_H
#include "base/access.h"
#include "base/call.h"
#include "base/conf.h"

extern const struct setting accounts_settings[];   /* JWT_…, TOKEN_ISSUER, FIT_JWT_… */

/* Reads JWT_SECRET_KEY, or makes and keeps a secret in the data folder (0600); reads or makes the signing keys; reads the
 * trusted issuers. After store_open. ERR_INVALID: a secret of < 32 bytes (CRE-067), or a setting that cannot be read. */
MUST_CHECK enum err accounts_open(struct call *c);
void accounts_close(void);
/* A token in c->mem that belongs to no session, for the command line: it ends when its time is over, or with its signing key. user
 * NULL: none; role: a built-in one or the creator's; hours 0: the setting. */
MUST_CHECK enum err token_make(struct call *c, const char *creator, const char *user, const char *role, int hours, const char **out);
/* For http: who the credential is of and what they may do, as of now. Fills rights, role and all ids of c. ERR_UNAUTHENTICATED: not
 * good, with the same words for all but an honest expiry. ERR_FORBIDDEN: as_user without RIGHT_ACT_AS. No credential is no
 * error. */
MUST_CHECK enum err authenticate(struct call *c, const struct credential *cred);
/* The same at a given time, unix ms, so that ends can be tested. */
MUST_CHECK enum err authenticate_at(struct call *c, const struct credential *cred, int64_t now_ms);
/* The one-time set-up secret printed at first start: NULL when it was used. Exchanged once for an owner token. */
MUST_CHECK enum err setup_secret(struct call *c, const char **out);
/* Is this the secret of the unused link? *nonce_out, in c->mem, spends it. ERR_UNAUTHENTICATED: wrong, or used already. */
MUST_CHECK enum err setup_check(struct call *c, const char *secret, const char **nonce_out);
/* Spends it: an owner token of creator (made when missing) in c->mem. ERR_UNAUTHENTICATED: wrong, or used already. */
MUST_CHECK enum err setup_redeem(struct call *c, const char *secret, const char *creator, const char *creator_name, const char **token_out);
/* Is the caller this user, or allowed to act as them? ERR_INVALID: empty or malformed user_id (field named);
 * ERR_FORBIDDEN: another's. On success *user_out is the checked id (RAG-010). */
MUST_CHECK enum err user_check(struct call *c, const char *field, const char *user_id, const char **user_out);
#endif
