/* Rows of sessions. A refresh token is turned into the next by one conditional update: of two that come at once exactly one finds its
 * number still the newest. Ending bumps the change number in the same transaction, so no process can see one without the other. */
/* SPDX-License-Identifier: MIT */
#include "accounts/session_store.h"

#include <assert.h>

#include "accounts/access_change.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { LIST_MAX = 200, LINKS_KEPT_MS = 15 * 60 * 1000 };

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

static const char *text(struct call *c, struct rows *rows, int col)
{
    return rows_null(rows, col) ? "" : arena_strdup(&c->mem, rows_text(rows, col));
}

/* Nobody needs this many places to be signed in at; a program that signs in at every request would fill the table otherwise. The
 * longest unused ends, and of the ended ones only so many stay. */
static enum err crowd_out(struct call *c, struct conn *w, const struct session_row *s, int64_t now, int64_t *seq_out)
{
    bool     member = s->account_id && *s->account_id;
    int64_t  n = 0;
    enum err e = member ? db_get_int(c, w, 0, &n, "SELECT count(*) FROM session WHERE account_id = ?s", s->account_id)
                        : db_get_int(c, w, 0, &n, "SELECT count(*) FROM session WHERE creator_id = ?s AND user_id = ?s", s->creator_id, s->user_id);
    if (e || n <= LIMIT_SESSIONS_OPEN) return e;
    if (member)
        e = db_run(c, w,
                   "UPDATE session SET ended_ms = ?i, expires_ms = ?i, ended_why = 'too many' WHERE id IN (SELECT id FROM session WHERE"
                   " account_id = ?s AND ended_ms IS NULL ORDER BY used_ms DESC, id DESC LIMIT 1000 OFFSET ?i)",
                   now, now, s->account_id, (int64_t)LIMIT_SESSIONS_OPEN);
    else
        e = db_run(c, w,
                   "UPDATE session SET ended_ms = ?i, expires_ms = ?i, ended_why = 'too many' WHERE id IN (SELECT id FROM session WHERE"
                   " creator_id = ?s AND user_id = ?s AND ended_ms IS NULL ORDER BY used_ms DESC, id DESC LIMIT 1000 OFFSET ?i)",
                   now, now, s->creator_id, s->user_id, (int64_t)LIMIT_SESSIONS_OPEN);
    if (!e && db_changes(w)) e = access_change_in(c, w, seq_out);
    if (!e && n > 2 * LIMIT_SESSIONS_OPEN && member)
        e = db_run(c, w,
                   "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE account_id = ?s AND ended_ms IS NOT NULL"
                   " ORDER BY ended_ms DESC LIMIT 1000 OFFSET ?i)",
                   s->account_id, (int64_t)LIMIT_SESSIONS_OPEN);
    else if (!e && n > 2 * LIMIT_SESSIONS_OPEN)
        e = db_run(c, w,
                   "DELETE FROM session WHERE id IN (SELECT id FROM session WHERE creator_id = ?s AND user_id = ?s AND ended_ms IS NOT NULL"
                   " ORDER BY ended_ms DESC LIMIT 1000 OFFSET ?i)",
                   s->creator_id, s->user_id, (int64_t)LIMIT_SESSIONS_OPEN);
    return e;
}

enum err session_store_add(struct call *c, const struct session_row *s)
{
    struct conn *w = NULL;
    int64_t      seq = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO session(id, kind, creator_id, account_id, user_id, role, refresh_number, refresh_hash, address, agent,"
                   " key_id, created_ms, used_ms, expires_ms) VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?i, ?s, ?s, ?s, ?s, ?i, ?i, ?i)",
                   s->id, s->kind, or_null(s->creator_id), or_null(s->account_id), or_null(s->user_id), s->role, s->refresh_number,
                   s->refresh_hash, s->address, s->agent, or_null(s->key_id), s->created_ms, s->created_ms, s->expires_ms);
    if (!e) e = crowd_out(c, w, s, s->created_ms, &seq);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    if (seq) access_change_saw(seq);
    return OK;
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

/* One statement for each way to say which, so that each finds its rows by an index. An ended session expires with its end, so that
 * one index knows what is to be removed. */
#define END "UPDATE session SET ended_ms = ?i, ended_why = ?s, expires_ms = CASE WHEN expires_ms > ?i THEN ?i ELSE expires_ms END WHERE ended_ms IS NULL"

static enum err end_rows(struct call *c, struct conn *w, const struct session_which *s, const char *why)
{
    int64_t     now = clock_unix_ms();
    const char *keep = s->keep ? s->keep : "";
    if (s->id && s->account_id)
        return db_run(c, w, END " AND id = ?s AND account_id = ?s AND id <> ?s", now, why, now, now, s->id, s->account_id, keep);
    if (s->id && s->creator_id)
        return db_run(c, w, END " AND id = ?s AND creator_id = ?s AND user_id = ?s", now, why, now, now, s->id, s->creator_id, s->user_id);
    if (s->id) return db_run(c, w, END " AND id = ?s", now, why, now, now, s->id);
    if (s->account_id) return db_run(c, w, END " AND account_id = ?s AND id <> ?s", now, why, now, now, s->account_id, keep);
    if (s->user_id) return db_run(c, w, END " AND creator_id = ?s AND user_id = ?s", now, why, now, now, s->creator_id, s->user_id);
    return db_run(c, w, END " AND creator_id = ?s", now, why, now, now, s->creator_id);
}

enum err session_store_end(struct call *c, const struct session_which *s, const char *why, const struct audit_entry *audit, int *n_out,
                           int64_t *seq_out)
{
    assert(s->id || s->account_id || s->creator_id);
    assert(!s->user_id || s->creator_id);
    struct conn *w = NULL;
    int64_t      seq = 0, n = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = end_rows(c, w, s, why);
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

#define LIST "SELECT id, kind, creator_id, address, agent, created_ms, used_ms, expires_ms FROM session WHERE ended_ms IS NULL AND expires_ms > ?i"

enum err session_store_list(struct call *c, const struct session_which *s, struct session_seen **out, int *n_out)
{
    assert(s->account_id || (s->creator_id && s->user_id));
    struct conn         *r = NULL;
    struct rows         *rows = NULL;
    struct session_seen *list = arena_array(&c->mem, LIST_MAX, sizeof *list);
    int                  n = 0;
    int64_t              now = clock_unix_ms();
    enum err             e = db_read(c, store_accounts(), &r);
    if (!e && s->account_id)
        e = db_select(c, r, &rows, LIST " AND account_id = ?s ORDER BY used_ms DESC LIMIT 200", now, s->account_id);
    else if (!e)
        e = db_select(c, r, &rows, LIST " AND creator_id = ?s AND user_id = ?s ORDER BY used_ms DESC LIMIT 200", now, s->creator_id, s->user_id);
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
    if (!e) e = db_run(c, w, "DELETE FROM session WHERE expires_ms < ?i", before_ms);
    /* Links hold addresses. They stay for as long as the mails to an address are counted. */
    if (!e) e = db_run(c, w, "DELETE FROM mail_link WHERE expires_ms < ?i", clock_unix_ms() - LINKS_KEPT_MS);
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
