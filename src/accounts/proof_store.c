/* What a proof from outside changes. An address that nobody has shown to be theirs may have been entered by anybody: the one who
 * then opens a link in that mailbox is the owner, and what the other left to come back with is taken away in the same
 * transaction. */
/* SPDX-License-Identifier: MIT */
#include "accounts/proof_store.h"

#include <string.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

#define ACCOUNT_COLUMNS "id, email, full_name, state, email_verified_ms, totp_on_ms"

/* Takes the result of a select of these columns to its end. */
static enum err read_one(struct call *c, struct conn **r, struct rows *rows, enum err e, struct proof_account *out)
{
    struct proof_account a = { 0 };
    bool                 found = !e && rows_next(rows);
    if (found)
        a = (struct proof_account){ .id = arena_strdup(&c->mem, rows_text(rows, 0)),
                                    .email = arena_strdup(&c->mem, rows_text(rows, 1)),
                                    .full_name = arena_strdup(&c->mem, rows_text(rows, 2)),
                                    .active = !strcmp(rows_text(rows, 3), "active"),
                                    .verified = !rows_null(rows, 4),
                                    .totp = !rows_null(rows, 5) };
    e = rows_close(c, &rows, e);
    db_release(r);
    if (e) return e;
    if (!found) return ERR_NOT_FOUND;
    *out = a;
    return OK;
}

enum err proof_account_of_email(struct call *c, const char *email, struct proof_account *out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT " ACCOUNT_COLUMNS " FROM account WHERE email = ?s", email);
    return read_one(c, &r, rows, e, out);
}

enum err proof_account_get(struct call *c, const char *id, struct proof_account *out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT " ACCOUNT_COLUMNS " FROM account WHERE id = ?s", id);
    return read_one(c, &r, rows, e, out);
}

enum err proof_account_of_issuer(struct call *c, const char *issuer, const char *subject, struct proof_account *out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT " ACCOUNT_COLUMNS " FROM account WHERE id IN "
                      "(SELECT account_id FROM account_issuer WHERE issuer = ?s AND subject = ?s)",
                      issuer, subject);
    return read_one(c, &r, rows, e, out);
}

enum err proof_email(struct call *c, const char *account_id, bool take_over, bool *first_out)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms();
    bool         first = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE account SET email_verified_ms = ?i, updated_ms = ?i WHERE id = ?s AND email_verified_ms IS NULL", now, now,
                   account_id);
    if (!e) first = db_changes(w) == 1;
    if (!e && first && take_over) {
        e = db_run(c, w, "UPDATE account SET password_hash = NULL, password_ms = NULL WHERE id = ?s", account_id);
        if (!e) e = db_run(c, w, "DELETE FROM account_issuer WHERE account_id = ?s", account_id);
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e && first_out) *first_out = first;
    return e;
}

enum err proof_issuer_add(struct call *c, const char *issuer, const char *subject, const char *account_id)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "INSERT INTO account_issuer(issuer, subject, account_id, created_ms) VALUES (?s, ?s, ?s, ?i)", issuer, subject,
                   account_id, clock_unix_ms());
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err proof_member_add(struct call *c, const char *creator_id, const char *account_id, const char *role, const char *invited_by)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms();
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO member(creator_id, account_id, role, invited_by, created_ms, updated_ms) VALUES (?s, ?s, ?s, ?s, ?i, ?i) "
                   "ON CONFLICT(creator_id, account_id) DO NOTHING",
                   creator_id, account_id, role, invited_by, now, now);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
