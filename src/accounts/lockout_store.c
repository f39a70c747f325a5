/* The rows of those who tried. Keys are keyed hashes, so that a copy of the database lists nobody's address. It refuses to grow:
 * who is forgotten goes, and when strangers try more names than fit, those that tried longest ago go first. */
/* SPDX-License-Identifier: MIT */
#include "accounts/lockout_store.h"

#include "store/db.h"
#include "store/store.h"

static enum err row_read(struct call *c, struct conn *k, const char *key, struct lockout_row *out)
{
    struct rows *rows = NULL;
    *out = (struct lockout_row){ 0 };
    if (!key) return OK;
    enum err e = db_select(c, k, &rows, "SELECT failures, locked_until_ms, updated_ms FROM login_guard WHERE key = ?s", key);
    if (!e && rows_next(rows)) *out = (struct lockout_row){ rows_int(rows, 0), rows_int(rows, 1), rows_int(rows, 2) };
    return rows_close(c, &rows, e);
}

static enum err row_write(struct call *c, struct conn *w, const char *key, const struct lockout_row *r)
{
    if (!key) return OK;
    if (r->tries == 0) return db_run(c, w, "DELETE FROM login_guard WHERE key = ?s", key);
    return db_run(c, w,
                  "INSERT INTO login_guard(key, failures, locked_until_ms, updated_ms) VALUES (?s, ?i, ?i, ?i) ON CONFLICT(key) DO UPDATE "
                  "SET failures = excluded.failures, locked_until_ms = excluded.locked_until_ms, updated_ms = excluded.updated_ms",
                  key, r->tries, r->closed_until_ms, r->updated_ms);
}

enum err lockout_rows_read(struct call *c, const struct lockout *l, struct lockout_row *name, struct lockout_row *address)
{
    struct conn *k = NULL;
    enum err     e = db_read(c, store_accounts(), &k);
    if (!e) e = row_read(c, k, l->name_key, name);
    if (!e) e = row_read(c, k, l->address_key, address);
    db_release(&k);
    return e;
}

enum err lockout_rows_change(struct call *c, const struct lockout *l, lockout_decide_fn decide, void *arg)
{
    struct conn       *w = NULL;
    struct lockout_row name, address;
    enum err           e = db_write(c, store_accounts(), &w);
    if (!e) e = row_read(c, w, l->name_key, &name);
    if (!e) e = row_read(c, w, l->address_key, &address);
    if (!e && decide(arg, &name, &address)) {
        e = row_write(c, w, l->name_key, &name);
        if (!e) e = row_write(c, w, l->address_key, &address);
        if (!e) e = db_commit(c, &w);
    }
    db_release(&w);
    return e;
}

enum err lockout_sweep(struct call *c, int64_t now_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    int64_t      gone = now_ms - LOCKOUT_MOST_MS, n = 0;
    if (!e)
        e = db_run(c, w, "DELETE FROM login_guard WHERE locked_until_ms < ?i AND updated_ms < ?i", gone, gone);
    if (!e) e = db_get_int(c, w, 0, &n, "SELECT count(*) FROM login_guard");
    if (!e && n > LOCKOUT_ROWS_MAX)
        e = db_run(c, w, "DELETE FROM login_guard WHERE key IN (SELECT key FROM login_guard ORDER BY updated_ms LIMIT ?i)",
                   n - LOCKOUT_ROWS_MAX);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
