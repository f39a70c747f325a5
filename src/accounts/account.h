/* accounts/account.h — the people who run a creator's business here: signing up, signing in, their password. An account is made
 * together with its creator and membership or not at all. What a stranger may not know sounds the same: a wrong password, an
 * address that nobody has, a wrong code. Any thread; what waits for a password's hash may wait LIMIT_PASSWORD_WAIT_MS.
 *     e = account_login(c, &(struct login){ .email = "ann@example.com", .password = p }, &who, &tokens);              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCOUNT_H
#define CHIRON_ACCOUNTS_ACCOUNT_H
#include "accounts/session.h"
#include "base/call.h"
#include "base/conf.h"

extern const struct setting account_settings[];   /* SIGNUP, COOKIE_SECURE */

struct account {                 /* in c->mem */
    const char *id, *email, *full_name;
    bool        email_verified, active, password, totp;   /* totp: a second factor is on */
    int64_t     created_ms;      /* unix */
};
struct membership { const char *creator_id, *name, *role; };   /* in c->mem; name: the creator's */

/* ERR_NOT_FOUND. */
MUST_CHECK enum err account_get(struct call *c, const char *id, struct account *out);
/* email as email_check gives it. ERR_NOT_FOUND without words. */
MUST_CHECK enum err account_of_email(struct call *c, const char *email, struct account *out);
/* Where it works: the ones it owns first, then the oldest first. */
MUST_CHECK enum err account_memberships(struct call *c, const char *id, struct membership **out, int *n_out);

/* Somebody new. Texts are as they came. */
struct account_new {
    const char *email, *full_name;
    const char *password;        /* NULL: signs in by a link or an outside issuer */
    bool        email_verified;
    bool        alone;           /* no creator: it is to become a member of somebody else's */
    const char *creator_id;      /* NULL: made from creator_name, else from full_name */
    const char *creator_name;    /* NULL: full_name */
};
/* The account, its creator and its membership as owner, together. *creator_out is NULL with alone. ERR_CONFLICT: the address or the
 * creator's id is taken (field named). ERR_INVALID: a field, or a weak password (CRE-013). ERR_BUSY. Says nothing of SIGNUP. */
MUST_CHECK enum err account_make(struct call *c, const struct account_new *a, struct account *out, const char **creator_out);
bool account_signup_open(void);  /* SIGNUP */

/* The one-time set-up link spent on an owner's account of creator (made when missing), in one step with it. An address that has an
 * account already joins with that account's own password. ERR_UNAUTHENTICATED: wrong or used link; else as account_make. */
MUST_CHECK enum err account_setup(struct call *c, const char *secret, const char *creator, const struct account_new *a, struct account *out);

/* A session of kind member: of creator_id, or NULL: the first of account_memberships. Marks the account as seen.
 * ERR_NOT_FOUND: no member of that creator. */
MUST_CHECK enum err account_session(struct call *c, const struct account *a, const char *creator_id, const char *agent,
                                    struct session_tokens *out);

struct login { const char *email, *password, *totp, *recovery_code, *creator_id, *agent; };   /* the last four may be NULL */
/* ERR_UNAUTHENTICATED: in the same words whatever is wrong; c->err_code "totp_required" when all that is missing is the code.
 * ERR_NOT_FOUND: all is right, but it is no member of creator_id. ERR_RATE_LIMITED: closed for now (accounts/lockout.h).
 * ERR_BUSY. */
MUST_CHECK enum err account_login(struct call *c, const struct login *l, struct account *out, struct session_tokens *tokens_out);

/* Is it really them, though they are signed in? Wrong ones count as at sign-in. second: the second factor too, when it is on.
 * ERR_UNAUTHENTICATED: no. ERR_CONFLICT: the account has no password. */
struct proof { const char *password, *totp, *recovery_code; bool second; };
MUST_CHECK enum err account_prove(struct call *c, const struct account *a, const struct proof *p);
/* A new one. Ends no sessions. ERR_INVALID: weak. */
MUST_CHECK enum err account_password_set(struct call *c, const struct account *a, const char *password);
MUST_CHECK enum err account_rename(struct call *c, const char *id, const char *full_name);
#endif
