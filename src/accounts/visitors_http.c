/* The door for strangers, and the way from a visitor to a user. Whether a creator exists is not told to those without a
 * credential: a shut door and no door look the same. */
/* SPDX-License-Identifier: MIT */
#include "accounts/visitor.h"
#include "http/http.h"

extern const struct route visitors_routes[];

static enum err post_anonymous(struct req *r)
{
    struct session_tokens t;
    enum err e = visitor_begin(&r->call,
                               &(struct visitor_ask){ .creator_id = json_get_text(r->json, "creator_id", ""),
                                                      .agent = req_header(r, "user-agent") },
                               &t);
    if (e) return e;
    reply_header(r, "Cache-Control", "no-store");
    struct json_out *j = reply_json(r, 201);
    json_begin_object(j, NULL);
    json_put_text(j, "access_token", t.access);
    json_put_text(j, "refresh_token", t.refresh);
    json_put_text(j, "token_type", "bearer");
    json_put_int(j, "expires_in", t.expires_in_s);
    json_put_int(j, "refresh_expires_in", t.refresh_expires_in_s);
    json_put_text(j, "session_id", t.session_id);
    json_put_text(j, "creator_id", r->call.creator_id);
    json_put_text(j, "user_id", t.who.user_id);
    json_put_text(j, "role", "visitor");
    json_end(j);
    return OK;
}

static enum err post_claim(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    enum err e = visitor_claim(&r->call, json_get_text(r->json, "visitor_token", ""), j);
    json_end(j);
    return e;
}

#define TEXT "{\"type\":\"string\"}"
#define SESSION_REPLY                                                                                                          \
    "{\"type\":\"object\",\"required\":[\"access_token\",\"refresh_token\",\"user_id\"],\"properties\":{\"access_token\":" TEXT          \
    ",\"refresh_token\":" TEXT ",\"token_type\":" TEXT ",\"expires_in\":{\"type\":\"integer\"},\"refresh_expires_in\":"              \
    "{\"type\":\"integer\"},\"session_id\":" TEXT ",\"creator_id\":" TEXT ",\"user_id\":" TEXT ",\"role\":" TEXT "}}"

const struct route visitors_routes[] = {
    { .method = "POST", .path = "/api/v1/auth/anonymous", .rights = RIGHT_PUBLIC, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"creator_id\"],\"additionalProperties\":false,\"properties\":{"
                "\"creator_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128}}}",
      .handler = post_anonymous, .summary = "A sign-in without a name, where the creator lets strangers in", .surface = "accounts",
      .reply_schema = SESSION_REPLY, .rate = "auth" },
    { .method = "POST", .path = "/api/v1/auth/claim", .rights = RIGHT_SELF, .body_max = 16384,
      .schema = "{\"type\":\"object\",\"required\":[\"visitor_token\"],\"additionalProperties\":false,\"properties\":{"
                "\"visitor_token\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":8192}}}",
      .handler = post_claim, .summary = "Take over what the caller did as a visitor", .surface = "accounts",
      .reply_schema = "{\"type\":\"object\",\"required\":[\"moved\"],\"properties\":{\"moved\":{\"type\":\"object\"}}}" },
    { 0 },
};
