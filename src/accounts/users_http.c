/* The people being coached, over HTTP: for a creator's people, and for its own backend, which signs its users in with an API key. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/audit.h"
#include "accounts/auth_reply_http.h"
#include "accounts/person.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "http/http.h"

#define LIST_MAX 200

extern const struct route users_routes[];

static void put_time(struct json_out *j, const char *name, int64_t ms)
{
    char iso[25];
    json_put_text(j, name, ms ? clock_iso(ms, iso) : NULL);
}

static void put_user(struct json_out *j, const struct person *p)
{
    json_begin_object(j, NULL);
    json_put_text(j, "id", p->id);
    json_put_text(j, "kind", p->kind);
    json_put_text(j, "email", p->email);
    json_put_text(j, "name", p->name);
    json_put_text(j, "plan", p->plan);
    json_put_raw(j, "attributes", p->attributes, strlen(p->attributes));
    put_time(j, "created_at", p->created_ms);
    put_time(j, "seen_at", p->seen_ms);
    json_end(j);
}

static enum err list_users(struct req *r)
{
    struct person *list = NULL;
    int64_t        offset, limit, total = 0;
    int            n = 0;
    enum err       e = req_query_int(r, "offset", 0, 0, 1000000000, &offset);
    if (!e) e = req_query_int(r, "limit", 50, 1, LIST_MAX, &limit);
    if (!e) e = person_list(&r->call, req_query(r, "q"), (int)offset, (int)limit, &list, &n, &total);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "users");
    for (int i = 0; i < n; i++) put_user(j, &list[i]);
    json_end(j);
    json_put_int(j, "total", total);
    json_end(j);
    return OK;
}

static enum err get_user(struct req *r)
{
    struct person p;
    enum err      e = person_get(&r->call, req_path(r, "id"), &p);
    if (!e) put_user(reply_json(r, 200), &p);
    return e;
}

static enum err note(struct call *c, const char *action, const char *id, const char *name, const char *value)
{
    return audit_put(c, &(struct audit_entry){ action, arena_printf(&c->mem, "user:%s", id), "done", (const char *[]){ name, value, NULL } });
}

static enum err put_person(struct req *r)
{
    struct call  *c = &r->call;
    struct person p = { 0 }, now;
    unsigned      which = 0;
    bool          made = false;
    const char   *fields = "";
    static const struct {
        const char *name;
        unsigned    bit;
    } members[] = { { "name", PERSON_NAME }, { "email", PERSON_EMAIL }, { "plan", PERSON_PLAN }, { "attributes", PERSON_ATTRIBUTES } };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (!json_object_get(r->json, members[i].name)) continue;
        which |= members[i].bit;
        fields = arena_printf(&c->mem, "%s%s%s", fields, *fields ? " " : "", members[i].name);
    }
    p.name = json_get_text(r->json, "name", "");
    p.email = json_get_text(r->json, "email", NULL);
    p.plan = json_get_text(r->json, "plan", "free");
    if (which & PERSON_ATTRIBUTES) {
        char *text = json_dumps(json_object_get(r->json, "attributes"), JSON_COMPACT);
        p.attributes = arena_strdup(&c->mem, text ? text : "{}");
        free(text);
    }
    enum err e = person_put(c, req_path(r, "id"), &p, which, &now, &made);
    if (!e) e = note(c, made ? "user.make" : "user.change", now.id, "fields", fields);
    if (!e) put_user(reply_json(r, made ? 201 : 200), &now);
    return e;
}

static enum err make_token(struct req *r)
{
    struct call          *c = &r->call;
    struct person         p;
    struct session_tokens t;
    const char           *id = req_path(r, "id");
    bool                  once = !json_get_bool(r->json, "refresh", true);
    enum err              e = person_put(c, id, &(struct person){ .kind = "external" }, 0, &p, NULL);
    if (!e)
        e = session_begin(c,
                          &(struct session_who){ .kind = "user", .creator_id = c->creator_id, .user_id = p.id, .role = "user",
                                                 .agent = auth_agent(r), .once = once,
                                                 .access_s = (int)json_get_int(r->json, "expires_in", SESSION_ACCESS_SECONDS) },
                          &t);
    if (!e) e = note(c, "user.token", p.id, "session", t.session_id);
    return e ? e : auth_put_session(r, 201, &t, false);
}

#define TEXT  "{\"type\":\"string\"}"
#define MAYBE "{\"type\":[\"string\",\"null\"]}"
#define USER_REPLY                                                                                                             \
    "{\"type\":\"object\",\"required\":[\"id\",\"kind\",\"plan\"],\"properties\":{\"id\":" TEXT                                          \
    ",\"kind\":{\"type\":\"string\",\"enum\":[\"visitor\",\"email\",\"external\"]},\"email\":" MAYBE ",\"name\":" TEXT                     \
    ",\"plan\":{\"type\":\"string\",\"enum\":[\"free\",\"premium\"]},\"attributes\":{\"type\":\"object\"},\"created_at\":" TEXT            \
    ",\"seen_at\":" MAYBE "}}"
#define LIST_REPLY                                                                                                             \
    "{\"type\":\"object\",\"required\":[\"users\",\"total\"],\"properties\":{\"users\":{\"type\":\"array\",\"items\":" USER_REPLY          \
    "},\"total\":{\"type\":\"integer\"}}}"
const struct route users_routes[] = {
    { .method = "GET", .path = "/api/v1/users", .rights = RIGHT_USERS,
      .schema = URL_QUERY(QUERY_OFFSET "," QUERY_LIMIT "," QUERY_TEXT("q")), .handler = list_users,
      .summary = "The people being coached, newest first; q searches id, name and e-mail", .surface = "accounts", .reply_schema = LIST_REPLY },
    { .method = "GET", .path = "/api/v1/users/{id}", .rights = RIGHT_USERS, .handler = get_user, .summary = "One of the people being coached",
      .surface = "accounts", .reply_schema = USER_REPLY },
    { .method = "PUT", .path = "/api/v1/users/{id}", .rights = RIGHT_USERS, .body_max = 64 * 1024,
      .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":200},"
                "\"email\":{\"type\":[\"string\",\"null\"],\"maxLength\":254},\"plan\":{\"type\":\"string\",\"enum\":[\"free\",\"premium\"]},"
                "\"attributes\":{\"type\":\"object\"}}}",
      .handler = put_person, .summary = "Make or change one of the people being coached", .surface = "accounts", .reply_schema = USER_REPLY },
    { .method = "POST", .path = "/api/v1/users/{id}/token", .rights = RIGHT_USERS | RIGHT_ACT_AS, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                "\"expires_in\":{\"type\":\"integer\",\"minimum\":60,\"maximum\":86400,\"default\":900},"
                "\"refresh\":{\"type\":\"boolean\",\"default\":true}}}",
      .handler = make_token, .summary = "Sign somebody in on their behalf; who is not known yet is made", .surface = "accounts",
      .reply_schema = AUTH_SESSION_REPLY },
    { 0 },
};
