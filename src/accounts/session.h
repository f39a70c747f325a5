/* accounts/session.h — sign-ins: a session is a family of refresh tokens, each good once; the access tokens made beside them
 * live 15 minutes and end with the session, in this process at once and in another within a second. Any thread.
 *     struct session_tokens t;
 *     e = session_begin(c, &(struct session_who){ .kind = "user", .creator_id = "demo", .user_id = "ann", .role = "user" }, &t);  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SESSION_H
#define CHIRON_ACCOUNTS_SESSION_H
#include "base/call.h"

#define SESSION_ACCESS_SECONDS  900        /* CRE-010 */
#define SESSION_REFRESH_SECONDS 2592000    /* CRE-010 */
#define SESSION_ACCESS_MAX      86400      /* for a creator's own backend that asks for longer */
#define SESSION_KEPT_SECONDS    2592000    /* an ended one, for those who look into what happened */

struct session_who {
    const char *kind;            /* "member" (account_id), "user", "visitor" (user_id) */
    const char *creator_id;      /* NULL: an account that is a member of none */
    const char *account_id, *user_id;
    const char *role;
    const char *agent;           /* User-Agent, may be NULL; kept shortened */
    int         access_s;        /* how long its access tokens live; 0: SESSION_ACCESS_SECONDS, at most SESSION_ACCESS_MAX */
    bool        once;            /* no refresh token (it is NULL): the session ends with its access token */
};
struct session_tokens {          /* in c->mem */
    const char *access, *refresh, *session_id;
    int         expires_in_s, refresh_expires_in_s;
    struct session_who who;
};
MUST_CHECK enum err session_begin(struct call *c, const struct session_who *who, struct session_tokens *out);
/* The next pair of the family. creator_id: another creator the account is a member of, NULL: the same. ERR_UNAUTHENTICATED: not
 * a refresh token of ours, expired, of an ended family, or used before, which ends its family. ERR_NOT_FOUND: not a member of that
 * creator; the token stays good. */
MUST_CHECK enum err session_refresh(struct call *c, const char *refresh, const char *creator_id, struct session_tokens *out);
/* Ends one session. Ended or missing already is no error. why: static words for people. */
MUST_CHECK enum err session_end(struct call *c, const char *session_id, const char *why);
/* Ends all of an account, or of a user of a creator, but one (keep, may be NULL). */
MUST_CHECK enum err session_end_account(struct call *c, const char *account_id, const char *keep, const char *why, int *n_out);
MUST_CHECK enum err session_end_user(struct call *c, const char *creator_id, const char *user_id, const char *why, int *n_out);
/* Ends all of a creator, for its erasure. */
MUST_CHECK enum err session_end_creator(struct call *c, const char *creator_id, const char *why, int *n_out);

/* Open sessions, the last used first, of an account or of a user of a creator; at most 200, texts in c->mem, "" when not known. */
struct session_seen {
    const char *id, *kind, *creator_id;
    const char *address, *agent;     /* "203.0.113.0/24", "Firefox on Linux" */
    int64_t     created_ms, used_ms, expires_ms;   /* unix */
};
MUST_CHECK enum err session_list(struct call *c, const char *account_id, const char *creator_id, const char *user_id,
                                 struct session_seen **out, int *n_out);
/* Ends one of the caller's own (c->account_id, else c->creator_id and c->user_id). ERR_NOT_FOUND: not theirs, or not there. */
MUST_CHECK enum err session_end_own(struct call *c, const char *session_id, const char *why);
/* Removes what ended SESSION_KEPT_SECONDS ago and notes when keys were used. The janitor calls it once a minute. */
void session_sweep(struct call *c);

/* After any change of accounts.db that can make a known token or key mean something else (a role, a membership, a key, an ended
 * session): what this process remembers of credentials is looked at again at once, other processes follow within a second. */
MUST_CHECK enum err access_changed(struct call *c);
#endif
