/* The one row of the set-up link. It refuses to make a second link: an instance that was set up once is never open again. */
/* SPDX-License-Identifier: MIT */
#include "accounts/accounts_store.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/db.h"
#include "store/store.h"

static enum err nonce_read(struct call *c, const char **out, bool *exists)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT nonce, used_ms FROM setup_link WHERE id = 1");
    if (!e && rows_next(rows)) {
        *exists = true;
        *out = rows_null(rows, 1) ? arena_strdup(&c->mem, rows_text(rows, 0)) : NULL;
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    return e;
}

enum err setup_nonce(struct call *c, const char **out)
{
    bool        exists = false;
    const char *nonce = NULL;
    enum err    e = nonce_read(c, &nonce, &exists);
    if (!e && !exists) {
        char         fresh[ID_BYTES];
        struct conn *w = NULL;
        e = db_write(c, store_accounts(), &w);
        /* Another process may have been faster: its row stays, and is read back. */
        if (!e)
            e = db_run(c, w, "INSERT INTO setup_link(id, nonce, created_ms) VALUES (1, ?s, ?i) ON CONFLICT(id) DO NOTHING",
                       id_new("set", fresh), clock_unix_ms());
        if (!e) e = db_commit(c, &w);
        db_release(&w);
        if (!e) e = nonce_read(c, &nonce, &exists);
    }
    if (e) return e;
    *out = nonce;
    return OK;
}

enum err setup_nonce_use(struct call *c, const char *nonce, bool *used_now)
{
    struct conn *w = NULL;
    bool         won = false;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "UPDATE setup_link SET used_ms = ?i WHERE id = 1 AND nonce = ?s AND used_ms IS NULL", clock_unix_ms(),
                   nonce);
    if (!e) won = db_changes(w) == 1;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *used_now = won;
    return OK;
}
