/* accounts/accounts.h — who is calling. First form: HS256 bearer tokens by shared secret, and one set-up link.
 * Claims: sub (user id), creator (creator id, absent for outside issuers), role (owner | service | user; absent: user),
 * exp, iat, iss. The algorithm is fixed per issuer; "none" and any other are refused.                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCOUNTS_H
#define CHIRON_ACCOUNTS_ACCOUNTS_H
#include "base/access.h"
#include "base/call.h"
#include "base/conf.h"

extern const struct setting accounts_settings[];   /* JWT_SECRET_KEY, JWT_ALGORITHM, JWT_EXPIRATION_HOURS */

/* Reads JWT_SECRET_KEY, or makes and keeps a secret in the data folder (0600). After store_open. ERR_INVALID: < 32 bytes. */
MUST_CHECK enum err accounts_open(struct call *c);
void accounts_close(void);
/* A token in c->mem. user NULL: none; role "owner", "service" or "user"; hours 0: the setting. */
MUST_CHECK enum err token_make(struct call *c, const char *creator, const char *user, const char *role, int hours, const char **out);
/* For http: fills rights, user_id, creator_id. */
MUST_CHECK enum err token_authenticate(struct call *c, const struct credential *cred);
/* The one-time set-up secret printed at first start: NULL when it was used. Exchanged once for an owner token. */
MUST_CHECK enum err setup_secret(struct call *c, const char **out);
/* Spends it: an owner token of creator (made when missing) in c->mem. ERR_UNAUTHENTICATED: wrong, or used already. */
MUST_CHECK enum err setup_redeem(struct call *c, const char *secret, const char *creator, const char *creator_name, const char **token_out);
/* Is the caller this user, or allowed to act as them? ERR_INVALID: empty or malformed user_id (field named);
 * ERR_FORBIDDEN: another's. On success *user_out is the checked id (RAG-010). */
MUST_CHECK enum err user_check(struct call *c, const char *field, const char *user_id, const char **user_out);
#endif
