/* Accounts in accounts.db. What must be so at one moment is one transaction: an account with its creator and membership, the
 * set-up link with its owner, a code with the step it moves. It decides nothing about passwords or codes. */
/* SPDX-License-Identifier: MIT */
#include "accounts/account_store.h"

#include <string.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { MEMBERSHIPS_MAX = 200 };

static const void *blob_copy(struct call *c, const void *p, size_t n)
{
    return p && n ? memcpy(arena_alloc(&c->mem, n), p, n) : NULL;
}

/* One run of a statement that is a transaction of its own. */
static enum err commit_one(struct call *c, struct conn **w, enum err e)
{
    if (!e) e = db_commit(c, w);
    db_release(w);
    return e;
}

enum err account_row_get(struct call *c, const char *id, const char *email, struct account *out, struct account_proof *proof)
{
    struct conn         *r = NULL;
    struct rows         *rows = NULL;
    struct account       a = { 0 };
    struct account_proof p = { 0 };
    bool                 found = false;
    enum err             e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT id, email, full_name, email_verified_ms, state, password_hash, totp_sealed, totp_on_ms, created_ms FROM "
                      "account WHERE id = ?s OR email = ?s",
                      id, email);
    if (!e && rows_next(rows)) {
        found = true;
        size_t      n = 0;
        const void *sealed = rows_blob(rows, 6, &n);
        p.password_hash = arena_strdup(&c->mem, rows_text(rows, 5));
        p.totp_sealed = blob_copy(c, sealed, n);
        p.totp_sealed_len = n;
        p.totp_on = !rows_null(rows, 7);
        a = (struct account){
            .id = arena_strdup(&c->mem, rows_text(rows, 0)),
            .email = arena_strdup(&c->mem, rows_text(rows, 1)),
            .full_name = arena_strdup(&c->mem, rows_text(rows, 2)),
            .email_verified = !rows_null(rows, 3),
            .active = !strcmp(rows_text(rows, 4), "active"),
            .password = p.password_hash != NULL,
            .totp = p.totp_on,
            .created_ms = rows_int(rows, 8),
        };
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (!found) return ERR_NOT_FOUND;
    *out = a;
    if (proof) *proof = p;
    return OK;
}

enum err account_rows_member(struct call *c, const char *id, struct membership **out, int *n_out)
{
    struct conn       *r = NULL;
    struct rows       *rows = NULL;
    struct membership *m = arena_array(&c->mem, MEMBERSHIPS_MAX, sizeof *m);
    int                n = 0;
    enum err           e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT m.creator_id, k.name, m.role FROM member m JOIN creator k ON k.id = m.creator_id WHERE m.account_id = ?s "
                      "ORDER BY m.role <> 'owner', m.created_ms, m.creator_id LIMIT ?i",
                      id, (int64_t)MEMBERSHIPS_MAX);
    while (!e && n < MEMBERSHIPS_MAX && rows_next(rows))
        m[n++] = (struct membership){ arena_strdup(&c->mem, rows_text(rows, 0)), arena_strdup(&c->mem, rows_text(rows, 1)),
                                      arena_strdup(&c->mem, rows_text(rows, 2)) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = m;
    *n_out = n;
    return OK;
}

static enum err account_insert(struct call *c, struct conn *w, const struct account_row *a)
{
    enum err e = db_run(c, w,
                        "INSERT INTO account(id, email, email_verified_ms, full_name, password_hash, password_ms, created_ms, updated_ms) "
                        "SELECT ?s, ?s, CASE WHEN ?i THEN ?i END, ?s, ?s, CASE WHEN ?s IS NOT NULL THEN ?i END, ?i, ?i "
                        "WHERE NOT EXISTS (SELECT 1 FROM account WHERE email = ?s)",
                        a->id, a->email, (int64_t)a->email_verified, a->created_ms, a->full_name, a->password_hash, a->password_hash,
                        a->created_ms, a->created_ms, a->created_ms, a->email);
    if (!e && db_changes(w) == 0) {
        memcpy(c->err_field, "email", sizeof "email");
        return fail(c, ERR_CONFLICT, "an account with this e-mail address exists already");
    }
    return e;
}

static enum err owner_insert(struct call *c, struct conn *w, const char *creator_id, const char *account_id, int64_t now)
{
    return db_run(c, w,
                  "INSERT INTO member(creator_id, account_id, role, created_ms, updated_ms) VALUES (?s, ?s, 'owner', ?i, ?i) "
                  "ON CONFLICT(creator_id, account_id) DO UPDATE SET role = 'owner', updated_ms = excluded.updated_ms",
                  creator_id, account_id, now, now);
}

enum err account_row_add(struct call *c, const struct account_row *a)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = account_insert(c, w, a);
    return commit_one(c, &w, e);
}

struct owner {
    const struct account_row *a;
    const char               *creator_id;
};

static enum err owner_also(struct call *c, struct conn *w, void *arg)
{
    const struct owner *o = arg;
    enum err            e = account_insert(c, w, o->a);
    return e ? e : owner_insert(c, w, o->creator_id, o->a->id, o->a->created_ms);
}

enum err account_row_add_owner(struct call *c, const struct account_row *a, const char *creator_id, const char *creator_name, bool *made_out)
{
    struct owner o = { a, creator_id };
    return tenant_create_with(c, creator_id, creator_name, owner_also, &o, made_out);
}

enum err account_row_setup(struct call *c, const char *nonce, const struct account_row *a, bool new, const char *creator_id, bool *won_out)
{
    struct conn *w = NULL;
    bool         won = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE setup_link SET used_ms = ?i WHERE id = 1 AND nonce = ?s AND used_ms IS NULL", a->created_ms, nonce);
    if (!e) won = db_changes(w) == 1;
    if (!e && won && new) e = account_insert(c, w, a);
    if (!e && won) e = owner_insert(c, w, creator_id, a->id, a->created_ms);
    if (!e && won) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *won_out = won;
    return e;
}

enum err account_row_seen(struct call *c, const char *id, int64_t now_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE account SET seen_ms = ?i WHERE id = ?s", now_ms, id);
    return commit_one(c, &w, e);
}

enum err account_row_password(struct call *c, const char *id, const char *hash, int64_t now_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE account SET password_hash = ?s, password_ms = ?i, updated_ms = ?i WHERE id = ?s", hash, now_ms, now_ms, id);
    /* Who sets a new one may do it because somebody has read their mails. */
    if (!e)
        e = db_run(c, w, "UPDATE mail_link SET used_ms = ?i WHERE account_id = ?s AND used_ms IS NULL AND purpose IN ('sign_in', 'password')",
                   now_ms, id);
    return commit_one(c, &w, e);
}

enum err account_row_rehash(struct call *c, const char *id, const char *old, const char *hash)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE account SET password_hash = ?s WHERE id = ?s AND password_hash = ?s", hash, id, old);
    return commit_one(c, &w, e);
}

enum err account_row_name(struct call *c, const char *id, const char *full_name, int64_t now_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE account SET full_name = ?s, updated_ms = ?i WHERE id = ?s", full_name, now_ms, id);
    return commit_one(c, &w, e);
}

enum err account_row_totp_begin(struct call *c, const char *id, const void *sealed, size_t n, bool *done_out)
{
    struct conn *w = NULL;
    bool         done = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE account SET totp_sealed = ?b WHERE id = ?s AND totp_on_ms IS NULL", sealed, n, id);
    if (!e) done = db_changes(w) == 1;
    e = commit_one(c, &w, e);
    if (!e) *done_out = done;
    return e;
}

enum err account_row_totp_on(struct call *c, const char *id, int64_t step, const char *const *hashes, int n, bool *done_out)
{
    struct conn *w = NULL;
    bool         done = false;
    int64_t      now = clock_unix_ms();
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE account SET totp_on_ms = ?i, totp_step = ?i, updated_ms = ?i WHERE id = ?s AND totp_on_ms IS NULL AND totp_sealed "
                   "IS NOT NULL AND totp_step < ?i",
                   now, step, now, id, step);
    if (!e) done = db_changes(w) == 1;
    if (!e && done) e = db_run(c, w, "DELETE FROM recovery_code WHERE account_id = ?s", id);
    for (int i = 0; i < n && !e && done; i++)
        e = db_run(c, w, "INSERT INTO recovery_code(hash, account_id) VALUES (?s, ?s)", hashes[i], id);
    e = commit_one(c, &w, e);
    if (!e) *done_out = done;
    return e;
}

enum err account_row_totp_step(struct call *c, const char *id, int64_t step, bool *moved_out)
{
    struct conn *w = NULL;
    bool         moved = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "UPDATE account SET totp_step = ?i WHERE id = ?s AND totp_step < ?i", step, id, step);
    if (!e) moved = db_changes(w) == 1;
    e = commit_one(c, &w, e);
    if (!e) *moved_out = moved;
    return e;
}

enum err account_row_recovery(struct call *c, const char *id, const char *hash, bool *used_out)
{
    struct conn *w = NULL;
    bool         used = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE recovery_code SET used_ms = ?i WHERE hash = ?s AND account_id = ?s AND used_ms IS NULL", clock_unix_ms(),
                   hash, id);
    if (!e) used = db_changes(w) == 1;
    e = commit_one(c, &w, e);
    if (!e) *used_out = used;
    return e;
}

enum err account_row_totp_off(struct call *c, const char *id)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE account SET totp_sealed = NULL, totp_on_ms = NULL, updated_ms = ?i WHERE id = ?s", clock_unix_ms(), id);
    if (!e) e = db_run(c, w, "DELETE FROM recovery_code WHERE account_id = ?s", id);
    return commit_one(c, &w, e);
}
