/* Rows of sign-ins that are under way. A row is taken by removing it, so an answer that comes twice finds nothing. */
/* SPDX-License-Identifier: MIT */
#include "accounts/oidc_store.h"

#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum err oidc_row_add(struct call *c, const struct oidc_row *row, int live_max, bool *added_out)
{
    struct conn *w = NULL;
    int64_t      live = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "DELETE FROM oidc_login WHERE expires_ms < ?i", clock_unix_ms());
    if (!e) e = db_get_int(c, w, 0, &live, "SELECT count(*) FROM oidc_login");
    bool room = live < live_max;
    if (!e && room)
        e = db_run(c, w, "INSERT INTO oidc_login(state_hash, issuer, nonce, verifier, back_to, expires_ms) VALUES (?s, ?s, ?s, ?s, ?s, ?i)",
                   row->state_hash, row->issuer, row->nonce, row->verifier, row->back_to, row->expires_ms);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *added_out = room;
    return e;
}

enum err oidc_row_take(struct call *c, const char *state_hash, struct oidc_row *out)
{
    struct conn    *w = NULL;
    struct rows    *rows = NULL;
    struct oidc_row row = { 0 };
    enum err        e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_select(c, w, &rows, "SELECT state_hash, issuer, nonce, verifier, back_to, expires_ms FROM oidc_login WHERE state_hash = ?s",
                      state_hash);
    bool found = !e && rows_next(rows);
    if (found)
        row = (struct oidc_row){ .state_hash = arena_strdup(&c->mem, rows_text(rows, 0)),
                                 .issuer = arena_strdup(&c->mem, rows_text(rows, 1)),
                                 .nonce = arena_strdup(&c->mem, rows_text(rows, 2)),
                                 .verifier = arena_strdup(&c->mem, rows_text(rows, 3)),
                                 .back_to = arena_strdup(&c->mem, rows_text(rows, 4)),
                                 .expires_ms = rows_int(rows, 5) };
    e = rows_close(c, &rows, e);
    if (!e && found) e = db_run(c, w, "DELETE FROM oidc_login WHERE state_hash = ?s", state_hash);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    if (!found || row.expires_ms < clock_unix_ms()) return ERR_NOT_FOUND;
    *out = row;
    return OK;
}
