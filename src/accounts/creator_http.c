/* What a creator decided, over HTTP. How long things are kept is privacy's to decide: it is shown here, and changed here only by
 * those who may. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/audit.h"
#include "accounts/creator_settings.h"
#include "accounts/label.h"
#include "accounts/retention.h"
#include "http/http.h"

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

/* What was read and is sent back changes nothing, so it needs no more than reading it. */
static enum err retention_change(struct call *c, const json_t *days, const char *stored)
{
    json_t *now = NULL;
    if (!days) return OK;
    enum err e = json_parse(c, stored, strlen(stored), &now);
    bool     same = !e && json_equal(now, days);
    json_decref(now);
    if (e || same) return e;
    if (!(c->rights & RIGHT_PRIVACY)) return fail(c, ERR_FORBIDDEN, "only privacy:write decides how long things are kept");
    return retention_set(c, days);
}

static enum err change_creator(struct req *r)
{
    struct call            *c = &r->call;
    const json_t           *settings = json_object_get(r->json, "settings"), *retention = json_object_get(settings, "retention");
    struct creator_settings s = { 0 }, now;
    unsigned                which = 0;
    const char             *name = NULL;
    enum err                e = creator_settings_get(c, &now);
    if (e) return e;
    if (strcmp(json_get_text(r->json, "id", c->creator_id), c->creator_id)) return fail(c, ERR_NOT_FOUND, "no such creator");
    if ((s.name = json_get_text(r->json, "name", NULL))) which |= CREATOR_NAME;
    if (json_object_get(settings, "anonymous")) which |= CREATOR_ANONYMOUS;
    if (json_object_get(settings, "email_users")) which |= CREATOR_EMAIL_USERS;
    s.anonymous = json_get_bool(settings, "anonymous", false);
    s.email_users = json_get_bool(settings, "email_users", false);
    if (s.name) e = label_check(c, "name", s.name, LIMIT_NAME_BYTES, &name);
    if (!e) e = retention_change(c, retention, now.retention);
    if (!e) e = creator_settings_put(c, &s, which);
    if (!e) e = creator_settings_get(c, &now);
    if (!e && which)
        e = audit_put(c, &(struct audit_entry){ "creator.change", c->creator_id, "done",
                                                (const char *[]){ "anonymous", now.anonymous ? "on" : "off", "email_users",
                                                                  now.email_users ? "on" : "off", NULL } });
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
