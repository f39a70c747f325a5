/* The creator's decisions, a row each in its own database, and its name, which is the instance's to list and so stands in
 * accounts.db. It refuses nothing: what a value may be is decided above. */
/* SPDX-License-Identifier: MIT */
#include "accounts/creator_settings_store.h"

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

#define SETTINGS_MAX 64

enum err creator_setting_load(struct call *c, struct creator_setting **out, int *n_out)
{
    struct conn            *r = NULL;
    struct rows            *rows = NULL;
    struct creator_setting *list = arena_array(&c->mem, SETTINGS_MAX, sizeof *list);
    int                     n = 0;
    enum err                e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT name, value FROM creator_setting ORDER BY name LIMIT ?i", (int64_t)SETTINGS_MAX);
    while (!e && n < SETTINGS_MAX && rows_next(rows))
        list[n++] = (struct creator_setting){ arena_strdup(&c->mem, rows_text(rows, 0)), arena_strdup(&c->mem, rows_text(rows, 1)) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err creator_setting_save(struct call *c, const struct creator_setting *s, int n, bool keep)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms();
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; i < n && !e; i++) {
        if (keep)
            e = db_run(c, w, "INSERT INTO creator_setting(name, value, updated_ms) VALUES (?s, ?s, ?i) ON CONFLICT (name) DO NOTHING",
                       s[i].name, s[i].value, now);
        else
            e = db_run(c, w, "INSERT INTO creator_setting(name, value, updated_ms) VALUES (?s, ?s, ?i) "
                             "ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_ms = excluded.updated_ms",
                       s[i].name, s[i].value, now);
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err creator_name_load(struct call *c, const char **out)
{
    struct conn *r = NULL;
    const char  *name = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &name, "SELECT name FROM creator WHERE id = ?s", c->creator_id);
    db_release(&r);
    if (!e) *out = name ? name : "";
    return e;
}

enum err creator_name_save(struct call *c, const char *name)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE creator SET name = ?s WHERE id = ?s", name, c->creator_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
