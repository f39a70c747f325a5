/* All SQL of a creator's own roles. A change names the words it replaces, so that two at once cannot both believe they checked
 * what was there; a role in use is found in the transaction that would remove it. */
/* SPDX-License-Identifier: MIT */
#include "accounts/custom_role_store.h"

#include "accounts/role.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

static struct custom_role role_row(struct call *c, struct rows *r)
{
    struct custom_role role = { .name = arena_strdup(&c->mem, rows_text(r, 0)), .words = arena_strdup(&c->mem, rows_text(r, 1)),
                                .created_ms = rows_int(r, 2), .updated_ms = rows_int(r, 3) };
    role.rights = role_words(c, role.words);
    return role;
}

enum err custom_role_load(struct call *c, const char *name, struct custom_role *out, bool *found_out)
{
    struct conn       *r = NULL;
    struct rows       *rows = NULL;
    struct custom_role role = { 0 };
    bool               found = false;
    enum err           e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT name, permissions, created_ms, updated_ms FROM role WHERE creator_id = ?s AND name = ?s",
                      c->creator_id, name);
    if (!e && rows_next(rows)) {
        role = role_row(c, rows);
        found = true;
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (found) *out = role;
    *found_out = found;
    return OK;
}

enum err custom_role_load_list(struct call *c, struct custom_role **out, int *n_out)
{
    struct conn        *r = NULL;
    struct rows        *rows = NULL;
    struct custom_role *list = arena_array(&c->mem, CUSTOM_ROLE_MAX, sizeof *list);
    int                 n = 0;
    enum err            e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT name, permissions, created_ms, updated_ms FROM role WHERE creator_id = ?s ORDER BY name LIMIT ?i",
                      c->creator_id, (int64_t)CUSTOM_ROLE_MAX);
    while (!e && n < CUSTOM_ROLE_MAX && rows_next(rows)) list[n++] = role_row(c, rows);
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err custom_role_save(struct call *c, const char *name, const char *words, const char *was, bool *done_out)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms(), count = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e && was)
        e = db_run(c, w, "UPDATE role SET permissions = ?s, updated_ms = ?i WHERE creator_id = ?s AND name = ?s AND permissions = ?s", words,
                   now, c->creator_id, name, was);
    if (!e && !was) e = db_get_int(c, w, 0, &count, "SELECT count(*) FROM role WHERE creator_id = ?s", c->creator_id);
    if (!e && count >= CUSTOM_ROLE_MAX) e = fail(c, ERR_CONFLICT, "there are %d roles already, which is the most", CUSTOM_ROLE_MAX);
    if (!e && !was)
        e = db_run(c, w, "INSERT INTO role(creator_id, name, permissions, created_ms, updated_ms) VALUES (?s, ?s, ?s, ?i, ?i) "
                         "ON CONFLICT (creator_id, name) DO NOTHING", c->creator_id, name, words, now, now);
    bool done = !e && db_changes(w) == 1;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *done_out = done;
    return e;
}

enum err custom_role_delete(struct call *c, const char *name, bool *used_out)
{
    struct conn *w = NULL;
    int64_t      uses = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_get_int(c, w, 0, &uses, "SELECT count(*) FROM member WHERE creator_id = ?s AND role = ?s", c->creator_id, name);
    if (!e && !uses)
        e = db_get_int(c, w, 0, &uses, "SELECT count(*) FROM mail_link WHERE purpose = 'invite' AND creator_id = ?s AND role = ?s AND "
                                       "used_ms IS NULL AND expires_ms > ?i", c->creator_id, name, clock_unix_ms());
    if (!e && !uses) e = db_run(c, w, "DELETE FROM role WHERE creator_id = ?s AND name = ?s", c->creator_id, name);
    if (!e && !uses) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *used_out = uses > 0;
    return e;
}
