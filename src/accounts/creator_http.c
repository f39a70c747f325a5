/* What a creator decided, over HTTP. How long things are kept is privacy's to decide: it is shown here, and changed here only by
 * those who may. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/audit.h"
#include "accounts/creator_settings.h"
#include "http/http.h"

#define RETENTION_MEMBERS 32
#define RETENTION_DAYS    36500

extern const struct route creator_routes[];

static enum err put_creator(struct req *r, const struct creator_settings *s)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "id", r->call.creator_id);
    json_put_text(j, "name", s->name);
    json_begin_object(j, "settings");
    json_put_bool(j, "anonymous", s->anonymous);
    json_put_bool(j, "email_users", s->email_users);
    json_put_raw(j, "retention", s->retention, strlen(s->retention));
    json_end(j);
    json_end(j);
    return OK;
}

static enum err get_creator(struct req *r)
{
    struct creator_settings s;
    enum err                e = creator_settings_get(&r->call, &s);
    return e ? e : put_creator(r, &s);
}

/* Days per kind of data: {"turns_days": 30, "audit_days": null}. */
static enum err retention_check(struct call *c, const json_t *v, const char **out)
{
    const char *name;
    json_t     *days;
    if (json_object_size(v) > RETENTION_MEMBERS) return fail_field(c, "settings.retention", "retention has over %d members", RETENTION_MEMBERS);
    json_object_foreach((json_t *)v, name, days)
    {
        size_t n = strlen(name);
        if (!n || n > 40 || strspn(name, "abcdefghijklmnopqrstuvwxyz_") != n)
            return fail_field(c, "settings.retention", "\"%.40s\" is no kind of data", name);
        json_int_t d = json_integer_value(days);
        if (!json_is_null(days) && (!json_is_integer(days) || d < 1 || d > RETENTION_DAYS))
            return fail_field(c, arena_printf(&c->mem, "settings.retention.%s", name), "%s is 1 to %d days, or null", name, RETENTION_DAYS);
    }
    char *text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    *out = arena_strdup(&c->mem, text ? text : "{}");
    free(text);
    return OK;
}

static enum err change_creator(struct req *r)
{
    struct call            *c = &r->call;
    const json_t           *settings = json_object_get(r->json, "settings"), *retention = json_object_get(settings, "retention");
    struct creator_settings s = { 0 }, now;
    unsigned                which = 0;
    enum err                e = creator_settings_get(c, &now);
    if (e) return e;
    if (strcmp(json_get_text(r->json, "id", c->creator_id), c->creator_id)) return fail(c, ERR_NOT_FOUND, "no such creator");
    if ((s.name = json_get_text(r->json, "name", NULL))) which |= CREATOR_NAME;
    if (json_object_get(settings, "anonymous")) which |= CREATOR_ANONYMOUS;
    if (json_object_get(settings, "email_users")) which |= CREATOR_EMAIL_USERS;
    s.anonymous = json_get_bool(settings, "anonymous", false);
    s.email_users = json_get_bool(settings, "email_users", false);
    if (retention) e = retention_check(c, retention, &s.retention);
    if (!e && retention && strcmp(s.retention, now.retention)) {
        if (!(c->rights & RIGHT_PRIVACY)) e = fail(c, ERR_FORBIDDEN, "only privacy:write decides how long things are kept");
        which |= CREATOR_RETENTION;
    }
    if (!e) e = creator_settings_put(c, &s, which);
    if (!e) e = creator_settings_get(c, &now);
    if (!e && which)
        e = audit_put(c, &(struct audit_entry){ "creator.change", c->creator_id, "done",
                                                (const char *[]){ "anonymous", now.anonymous ? "on" : "off", "email_users",
                                                                  now.email_users ? "on" : "off", "retention", now.retention, NULL } });
    return e ? e : put_creator(r, &now);
}

#define REPLY                                                                                                                  \
    "{\"type\":\"object\",\"required\":[\"id\",\"name\",\"settings\"],\"properties\":{\"id\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"}," \
    "\"settings\":{\"type\":\"object\",\"properties\":{\"anonymous\":{\"type\":\"boolean\"},\"email_users\":{\"type\":\"boolean\"},"         \
    "\"retention\":{\"type\":\"object\"}}}}}"

const struct route creator_routes[] = {
    { .method = "GET", .path = "/api/v1/creator", .rights = RIGHT_ADMIN, .handler = get_creator, .summary = "The creator and its settings",
      .surface = "accounts", .reply_schema = REPLY },
    { .method = "PUT", .path = "/api/v1/creator", .rights = RIGHT_ADMIN, .body_max = 16384,
      .schema = "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"id\":{\"type\":\"string\",\"maxLength\":128},"
                "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},\"settings\":{\"type\":\"object\",\"additionalProperties\":"
                "false,\"properties\":{\"anonymous\":{\"type\":\"boolean\"},\"email_users\":{\"type\":\"boolean\"},\"retention\":{\"type\":\"object\"}}}}}",
      .handler = change_creator, .summary = "Change what it names of the creator; the rest stays", .surface = "accounts", .reply_schema = REPLY },
    { 0 },
};
