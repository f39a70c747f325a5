/* Signing up, in and out, over HTTP. Handlers step aside before a password is hashed, so that those who wait for it do not stand
 * where others are answered. Nothing here decides who is right. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/account.h"
#include "accounts/audit.h"
#include "accounts/auth_reply_http.h"
#include "accounts/link.h"
#include "accounts/mail.h"

extern const struct route auth_routes[];

enum { BODY_BYTES = 16 * 1024 };

static enum err post_register(struct req *r)
{
    struct call          *c = &r->call;
    struct account        a;
    struct session_tokens t;
    const char           *creator = NULL;
    if (!account_signup_open()) return fail(c, ERR_FORBIDDEN, "this instance takes new accounts by invitation only");
    enum err e = auth_step_aside(r);
    if (!e)
        e = account_make(c, &(struct account_new){
                                .email = json_get_text(r->json, "email", ""),
                                .password = json_get_text(r->json, "password", ""),
                                .full_name = json_get_text(r->json, "full_name", ""),
                                .creator_id = json_get_text(r->json, "creator_id", NULL),
                                .creator_name = json_get_text(r->json, "creator_name", NULL),
                            },
                         &a, &creator);
    if (!e) e = account_session(c, &a, creator, auth_agent(r), &t);
    /* Not sent today is asked for again tomorrow; the account is there. */
    if (!e && mail_ready() && link_ask(c, &(struct link_ask){ .email = a.email, .purpose = LINK_VERIFY, .language = req_header(r, "accept-language") }))
        call_forgive(c);
    return e ? e : auth_put_registered(r, &t, auth_wants_cookie(r));
}

static enum err post_login(struct req *r)
{
    struct account        a;
    struct session_tokens t;
    enum err              e = auth_step_aside(r);
    if (!e)
        e = account_login(&r->call, &(struct login){
                                        .email = json_get_text(r->json, "email", ""),
                                        .password = json_get_text(r->json, "password", ""),
                                        .totp = json_get_text(r->json, "totp", NULL),
                                        .recovery_code = json_get_text(r->json, "recovery_code", NULL),
                                        .creator_id = json_get_text(r->json, "creator_id", NULL),
                                        .agent = auth_agent(r),
                                    },
                          &a, &t);
    return e ? e : auth_put_session(r, 200, &t, auth_wants_cookie(r));
}

static enum err post_refresh(struct req *r)
{
    struct call          *c = &r->call;
    struct session_tokens t;
    const char           *given = json_get_text(r->json, "refresh_token", NULL), *stored = NULL;
    enum err              e = given ? OK : auth_cookie(r, &stored);
    if (!e && !given && !stored) e = fail(c, ERR_UNAUTHENTICATED, "there is no refresh token");
    if (!e) e = session_refresh(c, given ? given : stored, json_get_text(r->json, "creator_id", NULL), &t);
    return e ? e : auth_put_session(r, 200, &t, stored || auth_wants_cookie(r));
}

static enum err post_logout(struct req *r)
{
    struct call *c = &r->call;
    bool         all = json_get_bool(r->json, "all", false);
    int          n = 0;
    enum err     e;
    if (!all && !c->session_id[0]) return fail(c, ERR_CONFLICT, "this token belongs to no session; it ends when its time is over");
    if (!all) e = session_end(c, c->session_id, "signed out");
    else if (c->account_id[0]) e = session_end_account(c, c->account_id, NULL, "signed out", &n);
    else e = session_end_user(c, c->creator_id, c->user_id, "signed out", &n);
    if (!e)
        e = audit_put_instance(c, &(struct audit_entry){ "account.logout", c->account_id[0] ? c->account_id : arena_printf(&c->mem, "user:%s", c->user_id), "done",
                                                         (const char *const[]){ "all", all ? "yes" : "no", NULL } });
    if (e) return e;
    reply_empty(r, 204);
    auth_cookie_clear(r);
    return OK;
}

#define TEXT(name, max) "\"" name "\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":" max "}"
/* Addresses, names and passwords are measured where they are read: those words name the limit. */
#define LOOSE(name) "\"" name "\":{\"type\":\"string\"}"
#define FLAG(name) "\"" name "\":{\"type\":\"boolean\"}"
#define OBJECT(required, members) "{\"type\":\"object\",\"required\":[" required "],\"additionalProperties\":false,\"properties\":{" members "}}"

const struct route auth_routes[] = {
    { "POST", "/api/v1/auth/register", RIGHT_PUBLIC, BODY_BYTES,
      OBJECT("\"email\",\"password\",\"full_name\"",
             LOOSE("email") "," LOOSE("password") "," LOOSE("full_name") "," LOOSE("creator_id") "," LOOSE("creator_name") "," FLAG("cookie")),
      post_register, "Make an account and a creator of its own", "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"id\",\"email\",\"full_name\",\"access_token\",\"creator_id\"],\"properties\":{\"id\":{\"type\":\"string\"},"
      "\"email\":{\"type\":\"string\"},\"full_name\":{\"type\":\"string\"}," AUTH_SESSION_MEMBERS "}}",
      "auth" },
    { "POST", "/api/v1/auth/login", RIGHT_PUBLIC, BODY_BYTES,
      OBJECT("\"email\",\"password\"",
             LOOSE("email") "," LOOSE("password") "," TEXT("totp", "12") "," TEXT("recovery_code", "40") "," TEXT("creator_id", "128") "," FLAG("cookie")),
      post_login, "Sign in with e-mail address and password", "accounts", 0, NULL, AUTH_SESSION_REPLY, "auth" },
    { "POST", "/api/v1/auth/refresh", RIGHT_PUBLIC, BODY_BYTES,
      OBJECT("", TEXT("refresh_token", "8192") "," TEXT("creator_id", "128") "," FLAG("cookie")), post_refresh,
      "The next pair of tokens; a refresh token is good once, and used twice ends its session", "accounts", 0, NULL, AUTH_SESSION_REPLY, "auth" },
    { "POST", "/api/v1/auth/logout", RIGHT_SELF, BODY_BYTES, OBJECT("", FLAG("all")), post_logout, "End this session, or all of them", "accounts", 0,
      NULL, NULL, NULL },
    { 0 },
};
