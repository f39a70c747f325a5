/* All SQL of claims. Whose a visitor is stands in one row that only its first writer sets: the key of the table decides between two
 * who come at once. */
/* SPDX-License-Identifier: MIT */
#include "accounts/visitor_store.h"

#include "accounts/label.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

enum err visitor_claim_save(struct call *c, const char *visitor_id, const char *user_id, const char **owner_out)
{
    struct conn *w = NULL;
    const char  *owner = NULL;
    int64_t      now = clock_unix_ms();
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, visitor_id);
    if (!e) e = erased_check(c, w, user_id);
    if (!e)
        e = db_run(c, w, "INSERT INTO person(id, kind, created_ms, updated_ms, folded) VALUES (?s, 'external', ?i, ?i, ?s) "
                         "ON CONFLICT (id) DO NOTHING", user_id, now, now, label_fold(c, user_id));
    if (!e)
        e = db_run(c, w, "INSERT INTO person_identity(kind, value, user_id, created_ms) VALUES ('visitor', ?s, ?s, ?i) "
                         "ON CONFLICT (kind, value) DO UPDATE SET user_id = excluded.user_id WHERE person_identity.user_id = ?s",
                   visitor_id, user_id, now, visitor_id);
    if (!e) e = db_get_text(c, w, &owner, "SELECT user_id FROM person_identity WHERE kind = 'visitor' AND value = ?s", visitor_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *owner_out = owner ? owner : "";
    return e;
}

enum err visitor_sessions_move(struct call *c, const char *visitor_id, const char *user_id)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE session SET user_id = ?s WHERE creator_id = ?s AND user_id = ?s AND ended_ms IS NOT NULL", user_id,
                   c->creator_id, visitor_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
