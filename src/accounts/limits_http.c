/* Limits over HTTP: what the caller has used, what others of the creator use, and the creator's own numbers. Asking is
 * itself counted. It shows nobody another creator's counters: every key is made from the credential's creator. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/audit.h"
#include "accounts/limit.h"
#include "base/id.h"
#include "http/http.h"

#define USES_MAX 200

static enum err get_limits(struct req *r)
{
    struct call *c = &r->call;
    const char  *user = req_query(r, "user"), *all = req_query(r, "all");
    bool         others = user || all;
    if (all && strcmp(all, "1") && strcmp(all, "true") && strcmp(all, "0") && strcmp(all, "false")) return fail_field(c, "all", "all is 1 or 0");
    if (user && !id_valid(user)) return fail_field(c, "user", "user is not a user's id");
    bool own = user && !strcmp(user, c->user_id);
    if (others && !own && !(c->rights & RIGHT_LIMITS)) return fail(c, ERR_FORBIDDEN, "seeing others' use needs the right limits:write");
    struct limit_use *uses = arena_alloc(&c->mem, USES_MAX * sizeof *uses);
    struct limit_row *rows = NULL;
    int               n = 0, row_count = 0;
    bool              everybody = all && (!strcmp(all, "1") || !strcmp(all, "true"));
    enum err          e = limit_uses(c, user, everybody, uses, USES_MAX, &n);
    if (!e && (c->rights & RIGHT_LIMITS)) e = limit_rows(c, &rows, &row_count);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "limits");
    for (int i = 0; i < n; i++) {
        const struct limit_use *u = &uses[i];
        json_begin_object(j, NULL);
        json_put_text(j, "policy", u->policy);
        json_put_text(j, "key", u->key);
        json_put_int(j, "limit", u->limit);
        json_put_int(j, "used", u->used);
        json_put_int(j, "remaining", u->used < u->limit ? u->limit - u->used : 0);
        json_put_int(j, "reset_s", u->reset_s);
        json_put_int(j, "window_s", u->window_s);
        json_put_real(j, "factor", u->factor);
        json_end(j);
    }
    json_end(j);
    if (rows) {
        json_begin_array(j, "policies");
        for (int i = 0; i < row_count; i++) {
            json_begin_object(j, NULL);
            json_put_text(j, "policy", rows[i].policy);
            json_put_text(j, "about", rows[i].about);
            json_put_int(j, "limit", rows[i].limit);
            json_put_int(j, "window_s", rows[i].window_s);
            json_put_int(j, "most", rows[i].most);
            json_put_bool(j, "own", rows[i].own);
            json_put_bool(j, "settable", rows[i].overridable);
            json_end(j);
        }
        json_end(j);
    }
    json_end(j);
    return OK;
}

static enum err put_limits(struct req *r)
{
    struct call     *c = &r->call;
    const json_t    *policies = json_object_get(r->json, "policies");
    struct limit_own own[16];
    int              n = 0;
    const char      *name;
    json_t          *v;
    json_object_foreach((json_t *)policies, name, v)
    {
        const json_t *limit = json_object_get(v, "limit"), *window = json_object_get(v, "window_s");
        if (json_is_null(v)) continue;
        const char *field = arena_printf(&c->mem, "policies.%.40s", name);
        if (!json_is_object(v) || !json_is_integer(limit) || (window && !json_is_integer(window)))
            return fail_field(c, field, "%s needs {\"limit\", \"window_s\"} with whole numbers", field);
        if (n == 16) return fail_field(c, "policies", "more than 16 policies");
        int64_t seconds = window ? json_integer_value(window) : 60;
        if (seconds < 1 || seconds > 86400) return fail_field(c, field, "a window has 1 to 86400 seconds");
        own[n++] = (struct limit_own){ name, json_integer_value(limit), (int)seconds };
    }
    enum err e = limit_own_set(c, own, n);
    if (!e) e = audit_put(c, &(struct audit_entry){ "limits.set", "", "done", (const char *[]){ "policies", arena_printf(&c->mem, "%d", n), NULL } });
    return e ? e : get_limits(r);
}

#define REPLY_LIMITS \
    "{\"type\":\"object\",\"required\":[\"limits\"],\"properties\":{\"limits\":{\"type\":\"array\",\"items\":{\"type\":\"object\"," \
    "\"properties\":{\"policy\":{\"type\":\"string\"},\"key\":{\"type\":\"string\"},\"limit\":{\"type\":\"integer\"}," \
    "\"used\":{\"type\":\"integer\"},\"remaining\":{\"type\":\"integer\"},\"reset_s\":{\"type\":\"integer\"}," \
    "\"window_s\":{\"type\":\"integer\"},\"factor\":{\"type\":\"number\"}}}},\"policies\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}"

const struct route limits_routes[] = {
    { "GET", "/api/v1/limits", RIGHT_ASK | RIGHT_SELF | RIGHT_LIMITS, 0,
      URL_QUERY(QUERY_TEXT("user") ",\"all\":{\"type\":\"string\",\"enum\":[\"0\",\"1\"]}"), get_limits, "What the caller has used of its limits", "accounts", 0, NULL,
      REPLY_LIMITS, NULL },
    { "PUT", "/api/v1/limits", RIGHT_LIMITS, 16384,
      "{\"type\":\"object\",\"required\":[\"policies\"],\"additionalProperties\":false,\"properties\":{\"policies\":{\"type\":\"object\","
      "\"description\":\"by policy: {\\\"limit\\\", \\\"window_s\\\"}; what is not named is as the instance says\"}}}",
      put_limits, "Set the creator's own limits", "accounts", 0, NULL, REPLY_LIMITS, NULL },
    { 0 },
};
