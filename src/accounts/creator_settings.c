/* A creator's decisions as one struct with defaults that let nobody in: a creator opens its door to strangers, it is never
 * found open. A stored value that does not read counts as not set. */
/* SPDX-License-Identifier: MIT */
#include "accounts/creator_settings.h"

#include <string.h>

#include "accounts/creator_settings_store.h"
#include "accounts/label.h"

static bool is_true(const struct creator_setting *s)
{
    return !strcmp(s->value, "true");
}

enum err creator_settings_get(struct call *c, struct creator_settings *out)
{
    struct creator_setting *list = NULL;
    int                     n = 0;
    struct creator_settings s = { .retention = "{}" };
    enum err                e = creator_name_load(c, &s.name);
    if (!e) e = creator_setting_load(c, &list, &n);
    if (e) return e;
    for (int i = 0; i < n; i++) {
        if (!strcmp(list[i].name, "anonymous")) s.anonymous = is_true(&list[i]);
        if (!strcmp(list[i].name, "email_users")) s.email_users = is_true(&list[i]);
        if (!strcmp(list[i].name, "retention")) s.retention = list[i].value;
    }
    *out = s;
    return OK;
}

enum err creator_settings_put(struct call *c, const struct creator_settings *s, unsigned which)
{
    struct creator_setting set[3];
    int                    n = 0;
    const char            *name = NULL;
    enum err               e = OK;
    if (which & CREATOR_NAME) {
        e = label_check(c, "name", s->name, LIMIT_NAME_BYTES, &name);
        if (!e && !*name) e = fail_field(c, "name", "name is empty");
    }
    if (e) return e;
    if (which & CREATOR_ANONYMOUS) set[n++] = (struct creator_setting){ "anonymous", s->anonymous ? "true" : "false" };
    if (which & CREATOR_EMAIL_USERS) set[n++] = (struct creator_setting){ "email_users", s->email_users ? "true" : "false" };
    if (which & CREATOR_RETENTION) set[n++] = (struct creator_setting){ "retention", s->retention };
    if (n) e = creator_setting_save(c, set, n, false);
    if (!e && name) e = creator_name_save(c, name);
    return e;
}

enum err creator_anonymous_default(struct call *c, bool on)
{
    return creator_setting_save(c, &(struct creator_setting){ "anonymous", on ? "true" : "false" }, 1, true);
}
