/* Rows of mail links. A used one stays until it would have ended, so that the mails to an address can be counted; nothing here
 * ever reads a link's secret, which is not stored. */
/* SPDX-License-Identifier: MIT */
#include "accounts/link_store.h"

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

/* What goes before a new row, within its transaction. */
static enum err make_room(struct call *c, struct conn *w, const struct link_row *row, int live_max, int64_t since_ms, int64_t now)
{
    enum err e = db_run(c, w, "DELETE FROM mail_link WHERE expires_ms < ?i AND created_ms < ?i", now, since_ms);
    if (!e && row->id)
        e = db_run(c, w, "UPDATE mail_link SET used_ms = ?i WHERE email = ?s AND creator_id = ?s AND id IS NOT NULL AND used_ms IS NULL",
                   now, row->email, row->creator_id);
    if (!e)
        e = db_run(c, w,
                   "UPDATE mail_link SET used_ms = ?i WHERE hash IN (SELECT hash FROM mail_link WHERE email = ?s AND used_ms IS NULL "
                   "AND expires_ms > ?i AND id IS NULL ORDER BY created_ms DESC, hash LIMIT 1000 OFFSET ?i)",
                   now, row->email, now, (int64_t)live_max - 1);
    return e;
}

enum err link_row_add(struct call *c, const struct link_row *row, int live_max, int sent_max, int64_t since_ms, bool *added_out)
{
    struct conn *w = NULL;
    int64_t      sent = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e && row->mailed)
        e = db_get_int(c, w, 0, &sent, "SELECT count(*) FROM mail_link WHERE email = ?s AND mailed = 1 AND created_ms > ?i", row->email,
                       since_ms);
    bool added = sent < sent_max;
    if (!e && added) e = make_room(c, w, row, live_max, since_ms, row->created_ms);
    if (!e && added)
        e = db_run(c, w,
                   "INSERT INTO mail_link(id, hash, purpose, creator_id, account_id, email, role, created_by, mailed, created_ms, "
                   "expires_ms) VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?i, ?i, ?i)",
                   row->id, row->hash, row->purpose, row->creator_id, row->account_id, row->email, row->role, row->created_by,
                   (int64_t)row->mailed, row->created_ms, row->expires_ms);
    if (!e && added) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *added_out = added;
    return e;
}

enum err link_row_get(struct call *c, const char *hash, struct link_row *out)
{
    struct conn    *r = NULL;
    struct rows    *rows = NULL;
    struct link_row row = { 0 };
    enum err        e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT id, hash, purpose, creator_id, account_id, email, role, created_by, mailed, created_ms, expires_ms "
                      "FROM mail_link WHERE hash = ?s AND used_ms IS NULL AND expires_ms > ?i",
                      hash, clock_unix_ms());
    bool found = !e && rows_next(rows);
    if (found)
        row = (struct link_row){ .id = arena_strdup(&c->mem, rows_text(rows, 0)),
                                 .hash = arena_strdup(&c->mem, rows_text(rows, 1)),
                                 .purpose = arena_strdup(&c->mem, rows_text(rows, 2)),
                                 .creator_id = arena_strdup(&c->mem, rows_text(rows, 3)),
                                 .account_id = arena_strdup(&c->mem, rows_text(rows, 4)),
                                 .email = arena_strdup(&c->mem, rows_text(rows, 5)),
                                 .role = arena_strdup(&c->mem, rows_text(rows, 6)),
                                 .created_by = arena_strdup(&c->mem, rows_text(rows, 7)),
                                 .mailed = rows_int(rows, 8) != 0,
                                 .created_ms = rows_int(rows, 9),
                                 .expires_ms = rows_int(rows, 10) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (!found) return ERR_NOT_FOUND;
    *out = row;
    return OK;
}

enum err link_row_use(struct call *c, const char *hash, bool *won_out)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms();
    bool         won = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE mail_link SET used_ms = ?i WHERE hash = ?s AND used_ms IS NULL AND expires_ms > ?i", now, hash, now);
    if (!e) won = db_changes(w) == 1;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *won_out = won;
    return e;
}

enum err link_row_unuse(struct call *c, const char *hash)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE mail_link SET used_ms = NULL WHERE hash = ?s", hash);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
