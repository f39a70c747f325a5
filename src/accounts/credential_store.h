/* accounts/credential_store.h — what accounts.db knows of a session or a key, for whoever checks a credential. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_CREDENTIAL_STORE_H
#define CHIRON_ACCOUNTS_CREDENTIAL_STORE_H
#include "base/call.h"

struct credential_session {          /* texts in c->mem */
    const char *kind, *role;
    const char *creator_id, *account_id, *user_id;   /* "" when NULL */
    const char *account_state;       /* NULL: no account */
    const char *member_role;         /* of the account in the asked creator; NULL: no member */
    bool        creator_there;       /* the asked creator has its row */
    bool        ended;
    int64_t     expires_ms;
};
/* creator_id: whose member the account is to be, "" for none. ERR_NOT_FOUND without words. */
MUST_CHECK enum err credential_store_session(struct call *c, const char *session_id, const char *creator_id, struct credential_session *out);

struct credential_key {              /* texts in c->mem */
    const char *id, *creator_id, *scopes;
    int64_t     until_ms;            /* unix; the sooner of its expiry and its end; INT64_MAX: neither */
};
/* By the hash of the key, as hex. ERR_NOT_FOUND without words. */
MUST_CHECK enum err credential_store_key(struct call *c, const char *hash, struct credential_key *out);
/* Notes when keys were last used. */
MUST_CHECK enum err credential_store_used(struct call *c, const char (*key_ids)[32], const int64_t *used_ms, int n);
#endif
