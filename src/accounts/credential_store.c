/* The rows behind a credential. A key is found by its hash, which nobody can guess a prefix of; the key itself never comes here. */
/* SPDX-License-Identifier: MIT */
#include "accounts/credential_store.h"

#include <string.h>

#include "store/db.h"
#include "store/store.h"

static const char *text(struct call *c, struct rows *rows, int col)
{
    return rows_null(rows, col) ? "" : arena_strdup(&c->mem, rows_text(rows, col));
}

enum err credential_store_session(struct call *c, const char *session_id, const char *creator_id, struct credential_session *out)
{
    struct conn              *r = NULL;
    struct rows              *rows = NULL;
    struct credential_session s = { 0 };
    bool                      found = false;
    enum err                  e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT s.kind, s.role, s.creator_id, s.account_id, s.user_id, a.state, m.role, s.ended_ms, s.expires_ms, k.id"
                      " FROM session s LEFT JOIN account a ON a.id = s.account_id LEFT JOIN creator k ON k.id = ?s"
                      " LEFT JOIN member m ON m.account_id = s.account_id AND m.creator_id = k.id WHERE s.id = ?s",
                      creator_id, session_id);
    if (!e && rows_next(rows)) {
        found = true;
        s.kind = text(c, rows, 0);
        s.role = text(c, rows, 1);
        s.creator_id = text(c, rows, 2);
        s.account_id = text(c, rows, 3);
        s.user_id = text(c, rows, 4);
        s.account_state = rows_null(rows, 5) ? NULL : text(c, rows, 5);
        s.member_role = rows_null(rows, 6) ? NULL : text(c, rows, 6);
        s.ended = !rows_null(rows, 7);
        s.expires_ms = rows_int(rows, 8);
        s.creator_there = !rows_null(rows, 9);
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (!found) return ERR_NOT_FOUND;
    *out = s;
    return OK;
}

enum err credential_store_key(struct call *c, const char *hash, struct credential_key *out)
{
    struct conn          *r = NULL;
    struct rows          *rows = NULL;
    struct credential_key k = { 0 };
    enum err              e = db_read(c, store_accounts(), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT id, creator_id, scopes, expires_ms, ended_ms FROM api_key WHERE hash = ?s", hash);
    if (!e && rows_next(rows)) {
        int64_t expires = rows_null(rows, 3) ? INT64_MAX : rows_int(rows, 3), ended = rows_null(rows, 4) ? INT64_MAX : rows_int(rows, 4);
        k.id = text(c, rows, 0);
        k.creator_id = text(c, rows, 1);
        k.scopes = text(c, rows, 2);
        k.until_ms = expires < ended ? expires : ended;
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (!k.id) return ERR_NOT_FOUND;
    *out = k;
    return OK;
}

enum err credential_store_used(struct call *c, const char (*key_ids)[32], const int64_t *used_ms, int n)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    for (int i = 0; i < n && !e; i++)
        e = db_run(c, w, "UPDATE api_key SET used_ms = ?i WHERE id = ?s AND (used_ms IS NULL OR used_ms < ?i)", used_ms[i], key_ids[i],
                   used_ms[i]);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
