/* The two public doors of a session: the one-time set-up link, and a visitor's pass to the demo. Both give a token; neither
 * tells more than that to those who guess. The demo's door exists only while serving with --demo. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/accounts.h"
#include "base/id.h"
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

static enum err post_setup(struct req *r)
{
    const char *creator = conf_text("OWNER_CREATOR"), *token = NULL;
    if (!creator || !*creator) creator = conf_bool("DEMO") ? DEMO_CREATOR : "home";
    enum err e = setup_redeem(&r->call, json_get_text(r->json, "secret", ""), creator, creator, &token);
    return e ? e : put_session(r, token, creator, "owner", "owner");
}

static enum err post_demo_session(struct req *r)
{
    struct call *c = &r->call;
    if (!conf_bool("DEMO")) return fail(c, ERR_NOT_FOUND, "there is no demo here");
    char        visitor[ID_BYTES];
    const char *user = arena_printf(&c->mem, "visitor_%s", id_new("v", visitor) + 2);
    const char *token = NULL;
    enum err    e = token_make(c, DEMO_CREATOR, user, "user", DEMO_SESSION_HOURS, &token);
    return e ? e : put_session(r, token, DEMO_CREATOR, user, "user");
}

#define SESSION_REPLY                                                                                              \
    "{\"type\":\"object\",\"required\":[\"token\",\"creator\",\"role\"],\"properties\":{\"token\":{\"type\":\"string\"}," \
    "\"creator\":{\"type\":\"string\"},\"user_id\":{\"type\":\"string\"},\"role\":{\"type\":\"string\"}}}"

const struct route accounts_routes[] = {
    { "POST", "/api/v1/setup", RIGHT_PUBLIC, 4096,
      "{\"type\":\"object\",\"required\":[\"secret\"],\"additionalProperties\":false,"
      "\"properties\":{\"secret\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200}}}",
      post_setup, "Spend the one-time set-up link for an owner's token", "accounts", 0, NULL, SESSION_REPLY, NULL },
    { "POST", "/api/v1/demo/session", RIGHT_PUBLIC, 4096, NULL, post_demo_session, "A visitor's token for the demo coach",
      "accounts", 0, NULL, SESSION_REPLY, NULL },
    { 0 },
};
