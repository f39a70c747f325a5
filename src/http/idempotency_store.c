/* http/idempotency_store.c — one row a key. It is written before the handler runs, in a transaction of its own: of two equal
 * requests at once exactly one inserts it. What is older than a day goes whenever a new one comes; a creator to whom
 * none comes keeps its last ones until retention passes by. */
/* SPDX-License-Identifier: MIT */
#include "http/idempotency_store.h"

#include "base/clock.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

static struct db *db_of(struct call *c)
{
    return c->tenant ? tenant_db(c->tenant) : store_accounts();
}

enum err idempotency_take(struct call *c, const char *id, const char *fingerprint, const char *owner, bool *found_out, struct idempotency_row *out)
{
    struct conn           *w = NULL;
    struct rows           *rows = NULL;
    struct idempotency_row row = { 0 };
    bool                   found = false;
    int64_t                now = clock_unix_ms();
    enum err               e = db_write(c, db_of(c), &w);
    if (!e) e = db_run(c, w, "DELETE FROM idempotency WHERE expires_ms <= ?i", now);
    if (!e) e = db_select(c, w, &rows, "SELECT fingerprint, owner, kept, status, sealed FROM idempotency WHERE id = ?s", id);
    if (!e && rows_next(rows)) {
        found = true;
        row.fingerprint = arena_strdup(&c->mem, rows_text(rows, 0));
        row.owner = arena_strdup(&c->mem, rows_text(rows, 1));
        row.kept = arena_strdup(&c->mem, rows_text(rows, 2));
        row.status = (int)rows_int(rows, 3);
        const void *sealed = rows_null(rows, 4) ? NULL : rows_blob(rows, 4, &row.sealed_len);
        row.sealed = sealed ? arena_strndup(&c->mem, sealed, row.sealed_len) : NULL;
    }
    e = rows_close(c, &rows, e);
    if (!e && !found && c->tenant) e = erased_check(c, w, c->user_id);
    if (!e && !found)
        e = db_run(c, w,
                   "INSERT INTO idempotency(id, user_id, account_id, fingerprint, owner, kept, status, created_ms, expires_ms) "
                   "VALUES (?s, ?s, ?s, ?s, ?s, 'running', 0, ?i, ?i)",
                   id, c->user_id, c->account_id, fingerprint, owner, now, now + IDEMPOTENCY_KEEP_MS);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *found_out = found;
    *out = row;
    return OK;
}

enum err idempotency_drop_old(struct call *c)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, db_of(c), &w);
    if (!e) e = db_run(c, w, "DELETE FROM idempotency WHERE expires_ms <= ?i", clock_unix_ms());
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err idempotency_keep(struct call *c, const char *id, const char *kept, int status, const void *sealed, size_t n)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, db_of(c), &w);
    if (!e && sealed)
        e = db_run(c, w, "UPDATE idempotency SET kept = ?s, status = ?i, sealed = ?b WHERE id = ?s AND kept = 'running'", kept, (int64_t)status,
                   sealed, n, id);
    else if (!e)
        e = db_run(c, w, "UPDATE idempotency SET kept = ?s, status = ?i WHERE id = ?s AND kept = 'running'", kept, (int64_t)status, id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err idempotency_forget(struct call *c, const char *id)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, db_of(c), &w);
    if (!e) e = db_run(c, w, "DELETE FROM idempotency WHERE id = ?s AND kept = 'running'", id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
