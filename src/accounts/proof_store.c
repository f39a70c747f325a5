/* What a proof from outside changes. An address that nobody has shown to be theirs may have been entered by anybody: the one who
 * then opens a link in that mailbox is the owner, and what the other left to come back with is taken away in the same
 * transaction. */
/* SPDX-License-Identifier: MIT */
#include "accounts/proof_store.h"

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum err proof_account_of_issuer(struct call *c, const char *issuer, const char *subject, const char **id_out)
{
    struct conn *r = NULL;
    const char  *id = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &id, "SELECT account_id FROM account_issuer WHERE issuer = ?s AND subject = ?s", issuer, subject);
    db_release(&r);
    if (e) return e;
    if (!id) return ERR_NOT_FOUND;
    *id_out = id;
    return OK;
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
        if (!e)
            e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT ?s UNION SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id) "
                             "DELETE FROM mail_link WHERE used_ms IS NULL AND created_by IN (SELECT id FROM made)", account_id);
        if (!e)
            e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT ?s UNION SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id) "
                             "UPDATE session SET ended_ms = ?i, ended_why = 'key ended' WHERE ended_ms IS NULL AND key_id IN (SELECT id FROM made)",
                       account_id, now);
        if (!e)
            e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE created_by = ?s UNION SELECT k.id FROM api_key k "
                             "JOIN made m ON k.created_by = m.id) UPDATE api_key SET ended_ms = ?i, ended_why = 'revoked' "
                             "WHERE ended_ms IS NULL AND id IN (SELECT id FROM made)", account_id, now);
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
