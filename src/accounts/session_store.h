/* accounts/session_store.h — rows of session in accounts.db. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SESSION_STORE_H
#define CHIRON_ACCOUNTS_SESSION_STORE_H
#include "accounts/audit.h"
#include "accounts/session.h"

struct session_row {
    const char *id, *kind, *creator_id, *account_id, *user_id, *role;   /* "" for NULL */
    const char *refresh_hash, *address, *agent;
    const char *key_id;          /* of the API key that signed a user in; NULL or "": none */
    int64_t     refresh_number, created_ms, expires_ms;
    bool        ended;
};
/* The person's longest unused sessions end when LIMIT_SESSIONS_OPEN are open. */
MUST_CHECK enum err session_store_add(struct call *c, const struct session_row *s);
/* ERR_NOT_FOUND without words. */
MUST_CHECK enum err session_store_get(struct call *c, const char *id, struct session_row *out);
/* The next refresh token in place of the one given: false in *won when it is not the newest any more, or the session has ended. */
MUST_CHECK enum err session_store_turn(struct call *c, const struct session_row *was, const struct session_row *next, bool *won);
/* Ends every open session that matches all that is not NULL, but the one kept. *seq_out 0: none was. */
struct session_which {
    const char *id;              /* one; alone, or of this account, or of this user */
    const char *account_id;
    const char *creator_id;      /* all of it, or with user_id that user's */
    const char *user_id;
    const char *keep;            /* with account_id */
};
/* audit (may be NULL) is written in the same transaction when one was. */
MUST_CHECK enum err session_store_end(struct call *c, const struct session_which *w, const char *why, const struct audit_entry *audit,
                                      int *n_out, int64_t *seq_out);
MUST_CHECK enum err session_store_list(struct call *c, const struct session_which *w, struct session_seen **out, int *n_out);
/* Removes what ended, one way or the other, before this time. */
MUST_CHECK enum err session_store_sweep(struct call *c, int64_t before_ms);
/* The role of an account in a creator, in c->mem; NULL: no member, or the account may not sign in. */
MUST_CHECK enum err session_store_member(struct call *c, const char *account_id, const char *creator_id, bool *active_out, const char **role_out);
#endif
