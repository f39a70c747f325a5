/* API keys over HTTP. The whole key is in the reply that makes it and in no other; such a reply is not to be kept by anybody on
 * the way. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/api_key.h"
#include "accounts/role.h"
#include "base/clock.h"
#include "http/http.h"

extern const struct route keys_routes[];

static void put_time(struct json_out *j, const char *name, int64_t ms)
{
    char iso[25];
    json_put_text(j, name, ms ? clock_iso(ms, iso) : NULL);
}

static void put_key(struct json_out *j, const struct api_key *k, const char *secret)
{
    json_begin_object(j, NULL);
    json_put_text(j, "id", k->id);
    json_put_text(j, "name", k->name);
    json_put_text(j, "prefix", k->prefix);
    rights_put(j, "scopes", k->scopes);
    json_put_text(j, "created_by", k->created_by);
    put_time(j, "created_at", k->created_ms);
    put_time(j, "expires_at", k->expires_ms);
    put_time(j, "last_used_at", k->used_ms);
    put_time(j, "ended_at", k->ended_ms);
    json_put_text(j, "replaced_by", k->replaced_by);
    json_put_text(j, "state", api_key_state(k, clock_unix_ms()));
    if (secret) json_put_text(j, "key", secret);
    json_end(j);
}

static enum err list_keys(struct req *r)
{
    struct api_key *list = NULL;
    int             n = 0;
    enum err        e = api_key_list(&r->call, &list, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "keys");
    for (int i = 0; i < n; i++) put_key(j, &list[i], NULL);
    json_end(j);
    json_end(j);
    return OK;
}

static enum err put_made(struct req *r, const struct api_key *k, const char *secret)
{
    reply_header(r, "Cache-Control", "no-store");
    put_key(reply_json(r, 201), k, secret);
    return OK;
}

static enum err make_key(struct req *r)
{
    struct call   *c = &r->call;
    const json_t  *words = json_object_get(r->json, "scopes");
    unsigned       scopes = 0;
    struct api_key k;
    const char    *secret = NULL;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        unsigned    bit = right_of(word);
        if (!bit) return fail_field(c, arena_printf(&c->mem, "scopes[%zu]", i), "\"%.60s\" is no scope", word);
        scopes |= bit;
    }
    enum err e = api_key_make(c, json_get_text(r->json, "name", ""), scopes, (int)json_get_int(r->json, "expires_in_days", 0), &k, &secret);
    return e ? e : put_made(r, &k, secret);
}

static enum err rotate_key(struct req *r)
{
    struct api_key k;
    const char    *secret = NULL;
    enum err e = api_key_rotate(&r->call, req_path(r, "id"), (int)json_get_int(r->json, "grace_hours", 0), &k, &secret);
    return e ? e : put_made(r, &k, secret);
}

static enum err revoke_key(struct req *r)
{
    enum err e = api_key_revoke(&r->call, req_path(r, "id"));
    if (!e) reply_empty(r, 204);
    return e;
}

#define TEXT  "{\"type\":\"string\"}"
#define MAYBE "{\"type\":[\"string\",\"null\"]}"
#define KEY_MEMBERS                                                                                                              \
    "\"id\":" TEXT ",\"name\":" TEXT ",\"prefix\":" TEXT ",\"scopes\":{\"type\":\"array\",\"items\":" TEXT "},\"created_by\":" MAYBE     \
    ",\"created_at\":" TEXT ",\"expires_at\":" MAYBE ",\"last_used_at\":" MAYBE ",\"ended_at\":" MAYBE ",\"replaced_by\":" MAYBE         \
    ",\"state\":{\"type\":\"string\",\"enum\":[\"active\",\"expired\",\"revoked\",\"rotated\"]}"
#define MADE_REPLY "{\"type\":\"object\",\"required\":[\"id\",\"key\"],\"properties\":{" KEY_MEMBERS ",\"key\":" TEXT "}}"
#define LIST_REPLY                                                                                                               \
    "{\"type\":\"object\",\"required\":[\"keys\"],\"properties\":{\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"object\","       \
    "\"properties\":{" KEY_MEMBERS "}}}}}"

const struct route keys_routes[] = {
    { .method = "GET", .path = "/api/v1/keys", .rights = RIGHT_KEYS, .handler = list_keys, .summary = "API keys, those that work first",
      .surface = "accounts", .reply_schema = LIST_REPLY },
    { .method = "POST", .path = "/api/v1/keys", .rights = RIGHT_KEYS, .body_max = 16384,
      .schema = "{\"type\":\"object\",\"required\":[\"name\",\"scopes\"],\"additionalProperties\":false,\"properties\":{"
                "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":100},"
                "\"scopes\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":32,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":40}},"
                "\"expires_in_days\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":3650}}}",
      .handler = make_key, .summary = "Make an API key; the key itself is in this reply only", .surface = "accounts", .reply_schema = MADE_REPLY },
    { .method = "POST", .path = "/api/v1/keys/{id}/rotate", .rights = RIGHT_KEYS, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
                "\"grace_hours\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":720,\"default\":0}}}",
      .handler = rotate_key, .summary = "Replace an API key; the old one works on for grace_hours", .surface = "accounts",
      .reply_schema = MADE_REPLY },
    { .method = "DELETE", .path = "/api/v1/keys/{id}", .rights = RIGHT_KEYS, .handler = revoke_key,
      .summary = "End an API key and the keys it made", .surface = "accounts" },
    { 0 },
};
