/* Members and invitations over HTTP. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/member.h"
#include "base/clock.h"
#include "http/http.h"

extern const struct route members_routes[];

static void put_time(struct json_out *j, const char *name, int64_t ms)
{
    char iso[25];
    json_put_text(j, name, ms ? clock_iso(ms, iso) : NULL);
}

static void put_member(struct json_out *j, const struct member *m)
{
    json_begin_object(j, NULL);
    json_put_text(j, "account_id", m->account_id);
    json_put_text(j, "email", m->email);
    json_put_bool(j, "email_verified", m->email_verified);
    json_put_text(j, "full_name", m->full_name);
    json_put_text(j, "role", m->role);
    put_time(j, "created_at", m->created_ms);
    put_time(j, "seen_at", m->seen_ms);
    json_end(j);
}

static enum err list_members(struct req *r)
{
    struct member     *list = NULL;
    struct invitation *waiting = NULL;
    int                n = 0, waiting_n = 0;
    enum err           e = member_list(&r->call, &list, &n, &waiting, &waiting_n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "members");
    for (int i = 0; i < n; i++) put_member(j, &list[i]);
    json_end(j);
    json_begin_array(j, "invitations");
    for (int i = 0; i < waiting_n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "id", waiting[i].id);
        json_put_text(j, "email", waiting[i].email);
        json_put_text(j, "role", waiting[i].role);
        put_time(j, "created_at", waiting[i].created_ms);
        put_time(j, "expires_at", waiting[i].expires_ms);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static enum err add_member(struct req *r)
{
    struct member_added added;
    enum err e = member_add(&r->call, json_get_text(r->json, "email", ""), json_get_text(r->json, "role", ""),
                            req_header(r, "accept-language"), &added);
    if (e) return e;
    /* The link opens a door to whoever reads it. */
    reply_header(r, "Cache-Control", "no-store");
    struct json_out *j = reply_json(r, 201);
    if (!added.invited) {
        put_member(j, &added.member);
        return OK;
    }
    json_begin_object(j, NULL);
    json_put_bool(j, "invited", true);
    json_put_text(j, "id", added.invitation_id);
    json_put_text(j, "email", added.email);
    json_put_text(j, "role", added.role);
    if (added.link) json_put_text(j, "link", added.link);
    put_time(j, "expires_at", added.expires_ms);
    json_end(j);
    return OK;
}

static enum err change_member(struct req *r)
{
    struct member m;
    enum err      e = member_role(&r->call, req_path(r, "account_id"), json_get_text(r->json, "role", ""), &m);
    if (!e) put_member(reply_json(r, 200), &m);
    return e;
}

static enum err remove_member(struct req *r)
{
    struct call *c = &r->call;
    const char  *keys = req_query(r, "keys");
    if (keys && strcmp(keys, "end") && strcmp(keys, "keep")) return fail_field(c, "keys", "keys is end or keep");
    enum err e = member_remove(c, req_path(r, "account_id"), keys && !strcmp(keys, "end"));
    if (!e) reply_empty(r, 204);
    return e;
}

static enum err remove_invitation(struct req *r)
{
    enum err e = invitation_remove(&r->call, req_path(r, "id"));
    if (!e) reply_empty(r, 204);
    return e;
}

#define TEXT  "{\"type\":\"string\"}"
#define MAYBE "{\"type\":[\"string\",\"null\"]}"
#define MEMBER_MEMBERS                                                                                                         \
    "\"account_id\":" TEXT ",\"email\":" TEXT ",\"email_verified\":{\"type\":\"boolean\"},\"full_name\":" TEXT ",\"role\":" TEXT   \
    ",\"created_at\":" TEXT ",\"seen_at\":" MAYBE
#define MEMBER_REPLY "{\"type\":\"object\",\"required\":[\"account_id\",\"role\"],\"properties\":{" MEMBER_MEMBERS "}}"
#define ADDED_REPLY                                                                                                            \
    "{\"type\":\"object\",\"properties\":{" MEMBER_MEMBERS ",\"invited\":{\"type\":\"boolean\"},\"id\":" TEXT ",\"link\":" TEXT        \
    ",\"expires_at\":" TEXT "}}"
#define LIST_REPLY                                                                                                             \
    "{\"type\":\"object\",\"required\":[\"members\",\"invitations\"],\"properties\":{\"members\":{\"type\":\"array\",\"items\":" MEMBER_REPLY \
    "},\"invitations\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"id\":" TEXT ",\"email\":" TEXT           \
    ",\"role\":" TEXT ",\"created_at\":" TEXT ",\"expires_at\":" TEXT "}}}}}"
#define ROLE_TEXT "{\"type\":\"string\",\"minLength\":1,\"maxLength\":40}"

const struct route members_routes[] = {
    { .method = "GET", .path = "/api/v1/members", .rights = RIGHT_MEMBERS, .handler = list_members,
      .summary = "Who works here, and who is invited", .surface = "accounts", .reply_schema = LIST_REPLY },
    { .method = "POST", .path = "/api/v1/members", .rights = RIGHT_MEMBERS, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"email\",\"role\"],\"additionalProperties\":false,\"properties\":{"
                "\"email\":{\"type\":\"string\",\"minLength\":3,\"maxLength\":254},\"role\":" ROLE_TEXT "}}",
      .handler = add_member, .summary = "Add somebody who has an account, or invite them", .surface = "accounts", .reply_schema = ADDED_REPLY },
    { .method = "PATCH", .path = "/api/v1/members/{account_id}", .rights = RIGHT_MEMBERS, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"role\"],\"additionalProperties\":false,\"properties\":{\"role\":" ROLE_TEXT "}}",
      .handler = change_member, .summary = "Give a member another role", .surface = "accounts", .reply_schema = MEMBER_REPLY },
    { .method = "DELETE", .path = "/api/v1/members/{account_id}", .rights = RIGHT_MEMBERS | RIGHT_SELF, .handler = remove_member,
      .schema = URL_QUERY("\"keys\":{\"type\":\"string\",\"enum\":[\"end\",\"keep\"]}"),
      .summary = "Remove a member, or leave; ?keys=end ends the API keys they made too", .surface = "accounts" },
    { .method = "DELETE", .path = "/api/v1/invitations/{id}", .rights = RIGHT_MEMBERS, .handler = remove_invitation,
      .summary = "Take an invitation back", .surface = "accounts" },
    { 0 },
};
