/* All SQL of membership. Every change is decided inside one write transaction: a creator always keeps an owner, even when two
 * owners lower each other at once, and a role that is being dropped cannot be given. It refuses to touch another creator's
 * rows: each statement names the creator. */
/* SPDX-License-Identifier: MIT */
#include "accounts/member_store.h"

#include <string.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

static struct member member_row(struct call *c, struct rows *r)
{
    return (struct member){ .account_id = arena_strdup(&c->mem, rows_text(r, 0)), .email = arena_strdup(&c->mem, rows_text(r, 1)),
                            .full_name = arena_strdup(&c->mem, rows_text(r, 2)), .email_verified = !rows_null(r, 3),
                            .role = arena_strdup(&c->mem, rows_text(r, 4)), .created_ms = rows_int(r, 5), .seen_ms = rows_int(r, 6) };
}

static enum err one_row(struct call *c, struct rows **rows, enum err e, struct member *out, bool *found_out)
{
    struct member m = { 0 };
    bool          found = false;
    if (!e && rows_next(*rows)) {
        m = member_row(c, *rows);
        found = true;
    }
    e = rows_close(c, rows, e);
    if (e) return e;
    if (found) *out = m;
    *found_out = found;
    return OK;
}

enum err member_load_list(struct call *c, struct member **out, int *n_out)
{
    struct conn   *r = NULL;
    struct rows   *rows = NULL;
    struct member *list = arena_array(&c->mem, MEMBER_MAX, sizeof *list);
    int            n = 0;
    enum err       e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT a.id, a.email, a.full_name, a.email_verified_ms, m.role, m.created_ms, "
                                   "(SELECT max(s.used_ms) FROM session s WHERE s.account_id = a.id AND s.creator_id = m.creator_id) "
                                   "FROM member m JOIN account a ON a.id = m.account_id WHERE m.creator_id = ?s "
                                   "ORDER BY m.created_ms, a.id LIMIT ?i", c->creator_id, (int64_t)MEMBER_MAX);
    while (!e && n < MEMBER_MAX && rows_next(rows)) list[n++] = member_row(c, rows);
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err invitation_load_list(struct call *c, struct invitation **out, int *n_out)
{
    struct conn       *r = NULL;
    struct rows       *rows = NULL;
    struct invitation *list = arena_array(&c->mem, INVITATION_MAX, sizeof *list);
    int                n = 0;
    enum err           e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT id, email, role, created_ms, expires_ms FROM mail_link "
                                   "WHERE purpose = 'invite' AND creator_id = ?s AND used_ms IS NULL AND expires_ms > ?i "
                                   "AND id IS NOT NULL ORDER BY created_ms DESC, id DESC LIMIT ?i",
                      c->creator_id, clock_unix_ms(), (int64_t)INVITATION_MAX);
    while (!e && n < INVITATION_MAX && rows_next(rows))
        list[n++] = (struct invitation){ .id = arena_strdup(&c->mem, rows_text(rows, 0)), .email = arena_strdup(&c->mem, rows_text(rows, 1)),
                                         .role = arena_strdup(&c->mem, rows_text(rows, 2)), .created_ms = rows_int(rows, 3),
                                         .expires_ms = rows_int(rows, 4) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err member_load(struct call *c, const char *account_id, struct member *out, bool *found_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) {
        e = db_select(c, r, &rows, "SELECT a.id, a.email, a.full_name, a.email_verified_ms, m.role, m.created_ms, "
                                   "(SELECT max(s.used_ms) FROM session s WHERE s.account_id = a.id AND s.creator_id = m.creator_id) "
                                   "FROM member m JOIN account a ON a.id = m.account_id WHERE m.creator_id = ?s AND m.account_id = ?s",
                      c->creator_id, account_id);
        e = one_row(c, &rows, e, out, found_out);
    }
    db_release(&r);
    return e;
}

enum err member_load_email(struct call *c, const char *email, const char *account_id, struct member *out, bool *found_out,
                           bool *colleague_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    int64_t      shared = 0;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_get_int(c, r, 0, &shared, "SELECT count(*) FROM account a JOIN member m ON m.account_id = a.id JOIN member o ON "
                                         "o.creator_id = m.creator_id WHERE a.email = ?s AND o.account_id = ?s", email, account_id);
    if (!e) {
        e = db_select(c, r, &rows, "SELECT a.id, a.email, a.full_name, a.email_verified_ms, m.role, m.created_ms, NULL FROM account a "
                                   "LEFT JOIN member m ON m.account_id = a.id AND m.creator_id = ?s "
                                   "WHERE a.email = ?s AND a.state = 'active'", c->creator_id, email);
        e = one_row(c, &rows, e, out, found_out);
    }
    db_release(&r);
    if (!e) *colleague_out = shared > 0;
    return e;
}

/* MEMBER_NO_ROLE unless the role is built in or the creator's. */
static enum err role_there(struct call *c, struct conn *w, const char *role, bool built_in, enum member_done *done)
{
    int64_t  n = 1;
    enum err e = OK;
    if (!built_in) e = db_get_int(c, w, 0, &n, "SELECT count(*) FROM role WHERE creator_id = ?s AND name = ?s", c->creator_id, role);
    if (!e && !n) *done = MEMBER_NO_ROLE;
    return e;
}

enum err member_insert(struct call *c, const char *account_id, const char *role, bool built_in,
                       const char *invited_by, enum member_done *done_out)
{
    struct conn     *w = NULL;
    enum member_done done = MEMBER_DONE;
    int64_t          count = 0, now = clock_unix_ms();
    enum err         e = db_write(c, store_accounts(), &w);
    if (!e) e = db_get_int(c, w, 0, &count, "SELECT count(*) FROM member WHERE creator_id = ?s", c->creator_id);
    if (count >= MEMBER_MAX) done = MEMBER_FULL;
    if (!e && !done) e = role_there(c, w, role, built_in, &done);
    if (!e && !done) {
        e = db_run(c, w, "INSERT INTO member(creator_id, account_id, role, invited_by, created_ms, updated_ms) "
                         "VALUES (?s, ?s, ?s, ?s, ?i, ?i) ON CONFLICT (creator_id, account_id) DO NOTHING",
                   c->creator_id, account_id, role, invited_by, now, now);
        if (!e && db_changes(w) != 1) done = MEMBER_ALREADY;
    }
    if (!e && !done) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *done_out = done;
    return e;
}

/* Is there an owner besides this account? Disabled ones cannot come in, so they do not count. */
static enum err other_owner(struct call *c, struct conn *w, const char *account_id, enum member_done *done)
{
    int64_t  n = 0;
    enum err e = db_get_int(c, w, 0, &n, "SELECT count(*) FROM member m JOIN account a ON a.id = m.account_id WHERE m.creator_id = ?s AND "
                                         "m.role = 'owner' AND m.account_id <> ?s AND a.state = 'active'", c->creator_id, account_id);
    if (!e && !n) *done = MEMBER_LAST_OWNER;
    return e;
}

static enum err invitations_of(struct call *c, struct conn *w, const char *account_id)
{
    return db_run(c, w, "DELETE FROM mail_link WHERE purpose = 'invite' AND creator_id = ?s AND created_by = ?s AND used_ms IS NULL",
                  c->creator_id, account_id);
}

enum err member_update(struct call *c, const char *account_id, const char *was, const char *role, bool built_in, enum member_done *done_out)
{
    struct conn     *w = NULL;
    enum member_done done = MEMBER_DONE;
    enum err         e = db_write(c, store_accounts(), &w);
    if (!e && !strcmp(was, "owner") && strcmp(role, "owner")) e = other_owner(c, w, account_id, &done);
    if (!e && !done) e = role_there(c, w, role, built_in, &done);
    if (!e && !done) {
        e = db_run(c, w, "UPDATE member SET role = ?s, updated_ms = ?i WHERE creator_id = ?s AND account_id = ?s AND role = ?s", role,
                   clock_unix_ms(), c->creator_id, account_id, was);
        if (!e && db_changes(w) != 1) done = MEMBER_CHANGED;
    }
    if (!e && !done) e = invitations_of(c, w, account_id);
    if (!e && !done) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *done_out = done;
    return e;
}

enum err member_delete(struct call *c, const char *account_id, const char *was, bool end_keys, enum member_done *done_out)
{
    struct conn     *w = NULL;
    enum member_done done = MEMBER_DONE;
    enum err         e = db_write(c, store_accounts(), &w);
    if (!e && !strcmp(was, "owner")) e = other_owner(c, w, account_id, &done);
    if (!e && !done) {
        e = db_run(c, w, "DELETE FROM member WHERE creator_id = ?s AND account_id = ?s AND role = ?s", c->creator_id, account_id, was);
        if (!e && db_changes(w) != 1) done = MEMBER_CHANGED;
    }
    if (!e && !done) e = invitations_of(c, w, account_id);
    if (!e && !done && end_keys)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND created_by = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id WHERE k.creator_id = ?s) "
                         "DELETE FROM mail_link WHERE purpose = 'invite' AND creator_id = ?s AND used_ms IS NULL AND created_by IN "
                         "(SELECT id FROM made)", c->creator_id, account_id, c->creator_id, c->creator_id);
    if (!e && !done && end_keys)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND created_by = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id WHERE k.creator_id = ?s) "
                         "UPDATE session SET ended_ms = ?i, ended_why = 'key ended' WHERE ended_ms IS NULL AND key_id IN (SELECT id FROM made)",
                   c->creator_id, account_id, c->creator_id, clock_unix_ms());
    if (!e && !done && end_keys)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND created_by = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id WHERE k.creator_id = ?s) "
                         "UPDATE api_key SET ended_ms = ?i, ended_why = 'revoked' WHERE ended_ms IS NULL AND id IN (SELECT id FROM made)",
                   c->creator_id, account_id, c->creator_id, clock_unix_ms());
    if (!e && !done) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *done_out = done;
    return e;
}

enum err invitation_delete(struct call *c, const char *id, bool *found_out)
{
    struct conn *w = NULL;
    bool         found = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "DELETE FROM mail_link WHERE purpose = 'invite' AND creator_id = ?s AND used_ms IS NULL AND id = ?s",
                   c->creator_id, id);
    if (!e) found = db_changes(w) > 0;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *found_out = found;
    return e;
}
