/* accounts/auth_reply_http.h — what every way of signing in ends with: the session's tokens in the reply, or the refresh token in a
 * cookie that no script of a page can read, sent only to /api/v1/auth and only from our own pages.
 *     e = session_begin(c, &who, &t);   return e ? e : auth_put_session(r, 200, &t, auth_wants_cookie(r));            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_AUTH_REPLY_HTTP_H
#define CHIRON_ACCOUNTS_AUTH_REPLY_HTTP_H
#include "accounts/account.h"
#include "http/http.h"

/* The reply S: tokens, whom the session is of and, of an account, where it works. Cache-Control: no-store. */
MUST_CHECK enum err auth_put_session(struct req *r, int status, const struct session_tokens *t, bool cookie);
/* With an account's own id, email and full_name beside it, as registering gives them; creator NULL: null. */
MUST_CHECK enum err auth_put_registered(struct req *r, const struct session_tokens *t, bool cookie);
/* Before a password is hashed: this request's thread leaves those that answer. ERR_BUSY. */
MUST_CHECK enum err auth_step_aside(struct req *r);
bool        auth_wants_cookie(struct req *r);                   /* "cookie": true in the body */
const char *auth_agent(struct req *r);                          /* User-Agent, may be NULL */
void        auth_cookie_set(struct req *r, const struct session_tokens *t);
void        auth_cookie_clear(struct req *r);                   /* when the request brought one */
/* The cookie's refresh token, NULL when there is none. ERR_FORBIDDEN: it came with a page that is not ours, or with a body that any
 * page may send. */
MUST_CHECK enum err auth_cookie(struct req *r, const char **out);
/* A: the members of an account into an open object. */
void        auth_put_account(struct json_out *j, const struct account *a);
void        auth_put_memberships(struct json_out *j, const struct membership *m, int n);

/* JSON Schema of S, for reply_schema. */
#define AUTH_ACCOUNT_MEMBERS                                                                                                    \
    "\"id\":{\"type\":\"string\"},\"email\":{\"type\":\"string\"},\"email_verified\":{\"type\":\"boolean\"},"                     \
    "\"full_name\":{\"type\":\"string\"},\"totp\":{\"type\":\"boolean\"},\"created_at\":{\"type\":\"string\"}"
#define AUTH_SESSION_MEMBERS                                                                                                    \
    "\"access_token\":{\"type\":\"string\"},\"refresh_token\":{\"type\":\"string\"},\"token_type\":{\"const\":\"bearer\"},"       \
    "\"expires_in\":{\"type\":\"integer\"},\"refresh_expires_in\":{\"type\":\"integer\"},\"session_id\":{\"type\":\"string\"},"   \
    "\"account\":{\"type\":\"object\",\"properties\":{" AUTH_ACCOUNT_MEMBERS "}},\"creator_id\":{\"type\":[\"string\",\"null\"]}," \
    "\"user_id\":{\"type\":\"string\"},\"role\":{\"type\":\"string\"},\"creators\":{\"type\":\"array\"}"
#define AUTH_SESSION_REPLY                                                                                                      \
    "{\"type\":\"object\",\"required\":[\"access_token\",\"token_type\",\"expires_in\",\"session_id\",\"creator_id\",\"role\"]," \
    "\"properties\":{" AUTH_SESSION_MEMBERS "}}"
#endif
