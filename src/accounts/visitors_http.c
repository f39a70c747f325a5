/* The door for strangers, and the way from a visitor to a user. Whether a creator exists is not told to those without a
 * credential: a shut door and no door look the same. */
/* SPDX-License-Identifier: MIT */
#include "accounts/auth_reply_http.h"
#include "accounts/visitor.h"
#include "http/http.h"

extern const struct route visitors_routes[];

static enum err post_anonymous(struct req *r)
{
    struct session_tokens t;
    enum err e = visitor_begin(&r->call,
                               &(struct visitor_ask){ .creator_id = json_get_text(r->json, "creator_id", ""),
                                                      .agent = auth_agent(r) },
                               &t);
    return e ? e : auth_put_session(r, 201, &t, auth_wants_cookie(r));
}

static enum err post_claim(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    enum err e = visitor_claim(&r->call, json_get_text(r->json, "visitor_token", ""), j);
    json_end(j);
    return e;
}

const struct route visitors_routes[] = {
    { .method = "POST", .path = "/api/v1/auth/anonymous", .rights = RIGHT_PUBLIC, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"creator_id\"],\"additionalProperties\":false,\"properties\":{"
                "\"creator_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128},\"cookie\":{\"type\":\"boolean\",\"default\":false}}}",
      .handler = post_anonymous, .summary = "A sign-in without a name, where the creator lets strangers in", .surface = "accounts",
      .reply_schema = AUTH_SESSION_REPLY, .rate = "auth" },
    { .method = "POST", .path = "/api/v1/auth/claim", .rights = RIGHT_SELF, .body_max = 16384,
      .schema = "{\"type\":\"object\",\"required\":[\"visitor_token\"],\"additionalProperties\":false,\"properties\":{"
                "\"visitor_token\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192}}}",
      .handler = post_claim, .summary = "Take over what the caller did as a visitor", .surface = "accounts",
      .reply_schema = "{\"type\":\"object\",\"required\":[\"moved\"],\"properties\":{\"moved\":{\"type\":\"object\"}}}" },
    { 0 },
};
