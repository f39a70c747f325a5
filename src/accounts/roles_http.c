/* Roles over HTTP: what each may do, in the words of rights, and a creator's own ones. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/custom_role.h"
#include "accounts/role.h"
#include "http/http.h"

extern const struct route roles_routes[];

static void put_role(struct json_out *j, const char *name, unsigned rights, bool built_in)
{
    json_begin_object(j, NULL);
    json_put_text(j, "name", name);
    rights_put(j, "permissions", rights);
    json_put_bool(j, "built_in", built_in);
    json_end(j);
}

static enum err list_roles(struct req *r)
{
    struct custom_role *list = NULL;
    int                 n = 0;
    enum err            e = custom_role_list(&r->call, &list, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "roles");
    for (int i = 0; role_built_in_name(i); i++) put_role(j, role_built_in_name(i), role_built_in(role_built_in_name(i)), true);
    for (int i = 0; i < n; i++) put_role(j, list[i].name, list[i].rights, false);
    json_end(j);
    json_begin_array(j, "permissions");
    for (unsigned bit = 1; bit; bit <<= 1) {
        if (bit == RIGHT_PUBLIC || !right_word(bit)) continue;
        json_begin_object(j, NULL);
        json_put_text(j, "name", right_word(bit));
        json_put_text(j, "about", right_about(bit));
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static enum err put_custom_role(struct req *r)
{
    struct call  *c = &r->call;
    const json_t *words = json_object_get(r->json, "permissions");
    const char   *name = req_path(r, "name");
    unsigned      rights = 0;
    bool          made = false;
    for (size_t i = 0; i < json_array_size(words); i++) {
        const char *word = json_string_value(json_array_get(words, i));
        unsigned    bit = right_of(word);
        if (!bit) return fail_field(c, arena_printf(&c->mem, "permissions[%zu]", i), "\"%.60s\" is no permission", word);
        rights |= bit;
    }
    enum err e = custom_role_put(c, name, rights, &made);
    if (!e) put_role(reply_json(r, made ? 201 : 200), name, rights | RIGHT_SELF, false);
    return e;
}

static enum err drop_role(struct req *r)
{
    enum err e = custom_role_drop(&r->call, req_path(r, "name"));
    if (!e) reply_empty(r, 204);
    return e;
}

#define TEXT "{\"type\":\"string\"}"
#define ROLE_REPLY                                                                                                             \
    "{\"type\":\"object\",\"required\":[\"name\",\"permissions\",\"built_in\"],\"properties\":{\"name\":" TEXT                         \
    ",\"permissions\":{\"type\":\"array\",\"items\":" TEXT "},\"built_in\":{\"type\":\"boolean\"}}}"
#define LIST_REPLY                                                                                                             \
    "{\"type\":\"object\",\"required\":[\"roles\",\"permissions\"],\"properties\":{\"roles\":{\"type\":\"array\",\"items\":" ROLE_REPLY     \
    "},\"permissions\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{\"name\":" TEXT ",\"about\":" TEXT "}}}}}"

const struct route roles_routes[] = {
    { .method = "GET", .path = "/api/v1/roles", .rights = RIGHT_MEMBERS, .handler = list_roles,
      .summary = "Roles, and what permissions mean", .surface = "accounts", .reply_schema = LIST_REPLY },
    { .method = "PUT", .path = "/api/v1/roles/{name}", .rights = RIGHT_MEMBERS, .body_max = 4096,
      .schema = "{\"type\":\"object\",\"required\":[\"permissions\"],\"additionalProperties\":false,\"properties\":{\"permissions\":"
                "{\"type\":\"array\",\"maxItems\":32,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":40}}}}",
      .handler = put_custom_role, .summary = "Make or change a role of this creator", .surface = "accounts", .reply_schema = ROLE_REPLY },
    { .method = "DELETE", .path = "/api/v1/roles/{name}", .rights = RIGHT_MEMBERS, .handler = drop_role,
      .summary = "Drop a role nobody has", .surface = "accounts" },
    { 0 },
};
