/* Rows of sessions. A refresh token is turned into the next by one conditional update: of two that come at once exactly one finds its
 * number still the newest. Ending bumps the change number in the same transaction, so no process can see one without the other. */
/* SPDX-License-Identifier: MIT */
#include "accounts/session_store.h"

#include <assert.h>

#include "accounts/access_change.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { LIST_MAX = 200 };

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

static const char *text(struct call *c, struct rows *rows, int col)
{
    return rows_null(rows, col) ? "" : arena_strdup(&c->mem, rows_text(rows, col));
}

enum err session_store_add(struct call *c, const struct session_row *s)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO session(id, kind, creator_id, account_id, user_id, role, refresh_number, refresh_hash, address, agent,"
                   " created_ms, used_ms, expires_ms) VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?i, ?s, ?s, ?s, ?i, ?i, ?i)",
                   s->id, s->kind, or_null(s->creator_id), or_null(s->account_id), or_null(s->user_id), s->role, s->refresh_number,
                   s->refresh_hash, s->address, s->agent, s->created_ms, s->created_ms, s->expires_ms);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err session_store_get(struct call *c, const char *id, struct session_row *out)
{
    struct conn       *r = NULL;
    struct rows       *rows = NULL;
    struct session_row s = { 0 };
    enum err           e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT id, kind, creator_id, account_id, user_id, role, refresh_hash, refresh_number, created_ms, expires_ms, ended_ms"
                      " FROM session WHERE id = ?s",
                      id);
    if (!e && rows_next(rows))
        s = (struct session_row){ .id = text(c, rows, 0), .kind = text(c, rows, 1), .creator_id = text(c, rows, 2),
            .account_id = text(c, rows, 3), .user_id = text(c, rows, 4), .role = text(c, rows, 5), .refresh_hash = text(c, rows, 6),
            .refresh_number = rows_int(rows, 7), .created_ms = rows_int(rows, 8), .expires_ms = rows_int(rows, 9), .ended = !rows_null(rows, 10) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (!s.id) return ERR_NOT_FOUND;
    *out = s;
    return OK;
}

enum err session_store_turn(struct call *c, const struct session_row *was, const struct session_row *next, bool *won)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms();
    bool         turned = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE session SET refresh_number = ?i, refresh_hash = ?s, creator_id = ?s, role = ?s, used_ms = ?i, expires_ms = ?i"
                   " WHERE id = ?s AND refresh_number = ?i AND refresh_hash = ?s AND ended_ms IS NULL AND expires_ms > ?i",
                   next->refresh_number, next->refresh_hash, or_null(next->creator_id), next->role, now, next->expires_ms, was->id,
                   was->refresh_number, was->refresh_hash, now);
    if (!e) turned = db_changes(w) == 1;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *won = turned;
    return OK;
}

enum err session_store_end(struct call *c, const struct session_which *s, const char *why, const struct audit_entry *audit, int *n_out,
                           int64_t *seq_out)
{
    assert(s->id || s->account_id || s->creator_id);
    struct conn *w = NULL;
    int64_t      seq = 0, n = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE session SET ended_ms = ?i, ended_why = ?s WHERE ended_ms IS NULL AND (?s IS NULL OR id = ?s)"
                   " AND (?s IS NULL OR account_id = ?s) AND (?s IS NULL OR creator_id = ?s) AND (?s IS NULL OR user_id = ?s)"
                   " AND (?s IS NULL OR id <> ?s)",
                   clock_unix_ms(), why, s->id, s->id, s->account_id, s->account_id, s->creator_id, s->creator_id, s->user_id, s->user_id,
                   s->keep, s->keep);
    if (!e) n = db_changes(w);
    if (!e && n) e = access_change_in(c, w, &seq);
    if (!e && n && audit) e = audit_put_instance_in(c, w, audit);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *n_out = (int)n;
    *seq_out = seq;
    return OK;
}

enum err session_store_list(struct call *c, const struct session_which *s, struct session_seen **out, int *n_out)
{
    assert(s->account_id || (s->creator_id && s->user_id));
    struct conn         *r = NULL;
    struct rows         *rows = NULL;
    struct session_seen *list = arena_array(&c->mem, LIST_MAX, sizeof *list);
    int                  n = 0;
    enum err             e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT id, kind, creator_id, address, agent, created_ms, used_ms, expires_ms FROM session WHERE ended_ms IS NULL"
                      " AND expires_ms > ?i AND (?s IS NULL OR account_id = ?s) AND (?s IS NULL OR creator_id = ?s)"
                      " AND (?s IS NULL OR user_id = ?s) ORDER BY used_ms DESC LIMIT 200",
                      clock_unix_ms(), s->account_id, s->account_id, s->creator_id, s->creator_id, s->user_id, s->user_id);
    while (!e && n < LIST_MAX && rows_next(rows))
        list[n++] = (struct session_seen){ text(c, rows, 0), text(c, rows, 1), text(c, rows, 2), text(c, rows, 3), text(c, rows, 4),
            rows_int(rows, 5), rows_int(rows, 6), rows_int(rows, 7) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err session_store_sweep(struct call *c, int64_t before_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "DELETE FROM session WHERE expires_ms < ?i OR ended_ms < ?i", before_ms, before_ms);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err session_store_member(struct call *c, const char *account_id, const char *creator_id, bool *active_out, const char **role_out)
{
    struct conn *r = NULL;
    const char  *state = NULL, *role = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &state, "SELECT state FROM account WHERE id = ?s", account_id);
    if (!e && creator_id && *creator_id)
        e = db_get_text(c, r, &role, "SELECT role FROM member WHERE account_id = ?s AND creator_id = ?s", account_id, creator_id);
    db_release(&r);
    if (e) return e;
    *active_out = state && state[0] == 'a';
    *role_out = role;
    return OK;
}
