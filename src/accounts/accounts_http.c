/* The two public doors of a session: the one-time set-up link, and a visitor's pass to the demo. Both give a token; neither
 * tells more than that to those who guess. The demo's door exists only while serving with --demo. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/account.h"
#include "accounts/accounts.h"
#include "accounts/auth_reply_http.h"
#include "accounts/visitor.h"
#include "http/http.h"

#define DEMO_CREATOR        "demo"
#define DEMO_SESSION_HOURS  12

extern const struct route accounts_routes[];

static enum err put_session(struct req *r, const char *token, const char *creator, const char *user, const char *role)
{
    reply_header(r, "Cache-Control", "no-store");
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "token", token);
    json_put_text(j, "creator", creator);
    if (user) json_put_text(j, "user_id", user);
    json_put_text(j, "role", role);
    json_end(j);
    return OK;
}

static enum err setup_account(struct req *r, const char *secret, const char *creator, const char *password)
{
    struct call          *c = &r->call;
    struct account        a;
    struct session_tokens t;
    const char           *email = json_get_text(r->json, "email", ""), *name = json_get_text(r->json, "full_name", NULL);
    enum err              e = auth_step_aside(r);
    if (!e) e = account_setup(c, secret, creator, &(struct account_new){ .email = email, .password = password, .full_name = name ? name : email }, &a);
    if (!e) e = account_session(c, &a, creator, auth_agent(r), &t);
    return e ? e : auth_put_session(r, 200, &t, auth_wants_cookie(r));
}

static enum err post_setup(struct req *r)
{
    const char *creator = conf_text("OWNER_CREATOR"), *token = NULL;
    if (!creator || !*creator) creator = conf_bool("DEMO") ? DEMO_CREATOR : "home";
    const char *secret = json_get_text(r->json, "secret", ""), *password = json_get_text(r->json, "password", NULL);
    if (password || json_get_text(r->json, "email", NULL)) return setup_account(r, secret, creator, password ? password : "");
    enum err e = setup_redeem(&r->call, secret, creator, creator, &token);
    return e ? e : put_session(r, token, creator, "owner", "owner");
}

static enum err post_demo_session(struct req *r)
{
    struct call *c = &r->call;
    if (!conf_bool("DEMO")) return fail(c, ERR_NOT_FOUND, "there is no demo here");
    struct session_tokens t;
    enum err              e = visitor_begin(c,
                                            &(struct visitor_ask){ .creator_id = DEMO_CREATOR, .agent = req_header(r, "user-agent"),
                                                                   .access_s = DEMO_SESSION_HOURS * 3600, .once = true },
                                            &t);
    return e ? e : put_session(r, t.access, DEMO_CREATOR, t.who.user_id, "user");
}

#define SESSION_REPLY                                                                                              \
    "{\"type\":\"object\",\"required\":[\"token\",\"creator\",\"role\"],\"properties\":{\"token\":{\"type\":\"string\"}," \
    "\"creator\":{\"type\":\"string\"},\"user_id\":{\"type\":\"string\"},\"role\":{\"type\":\"string\"}}}"

#define SETUP_REPLY                                                                                                \
    "{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{\"token\":{\"type\":\"string\"},\"creator\":{\"type\":\"string\"}," \
    AUTH_SESSION_MEMBERS "}}"

const struct route accounts_routes[] = {
    { "POST", "/api/v1/setup", RIGHT_PUBLIC, 16384,
      "{\"type\":\"object\",\"required\":[\"secret\"],\"additionalProperties\":false,"
      "\"properties\":{\"secret\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"email\":{\"type\":\"string\"},"
      "\"password\":{\"type\":\"string\"},\"full_name\":{\"type\":\"string\"},\"cookie\":{\"type\":\"boolean\"}}}",
      post_setup, "Spend the one-time set-up link for the owner's account, or for an owner's token", "accounts", 0, NULL, SETUP_REPLY, "auth" },
    { "POST", "/api/v1/demo/session", RIGHT_PUBLIC, 4096, NULL, post_demo_session, "A visitor's token for the demo coach",
      "accounts", 0, NULL, SESSION_REPLY, "auth" },
    { 0 },
};
