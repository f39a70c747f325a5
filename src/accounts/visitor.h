/* accounts/visitor.h — people without a name: a creator that lets strangers in gives them a sign-in, and when one of them turns out
 * to be somebody, what they did becomes that user's. Any thread.
 *     e = visitor_begin(c, &(struct visitor_ask){ .creator_id = "demo" }, &t);                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_VISITOR_H
#define CHIRON_ACCOUNTS_VISITOR_H
#include "accounts/session.h"
#include "base/json.h"

struct visitor_ask {
    const char *creator_id;
    const char *agent;         /* User-Agent, may be NULL */
    int         access_s;      /* as in session.h */
    bool        once;
};
/* Opens the creator's tenant. ERR_NOT_FOUND, in the same words: no such creator, or it lets no strangers in. */
MUST_CHECK enum err visitor_begin(struct call *c, const struct visitor_ask *ask, struct session_tokens *out);

/* The caller, a user of c->tenant, takes over what the visitor of this access token has done; puts "moved": {table: rows} into an open
 * object and ends the visitor's sign-ins. A second try of the same user finishes what the first did not. ERR_FORBIDDEN: the
 * caller is no user, or a visitor; ERR_INVALID: the token is not a visitor's; ERR_NOT_FOUND: another creator's; ERR_CONFLICT:
 * it is not good any more, or somebody else has claimed this visitor. */
MUST_CHECK enum err visitor_claim(struct call *c, const char *token, struct json_out *j);
#endif
