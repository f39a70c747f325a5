/* Rows of signing keys. The private half comes and goes sealed; nothing here can open it. Keys that verify no more are removed
 * when the next is made. */
/* SPDX-License-Identifier: MIT */
#include "accounts/signing_store.h"

#include <string.h>

#include "accounts/access_change.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { ROWS_MAX = 64 };

enum err signing_store_list(struct call *c, int64_t now_ms, struct signing_row **out, int *n_out)
{
    struct conn        *r = NULL;
    struct rows        *rows = NULL;
    struct signing_row *list = arena_array(&c->mem, ROWS_MAX, sizeof *list);
    int                 n = 0;
    enum err            e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT kid, public_pem, private_sealed, created_ms, retired_ms, gone_ms FROM signing_key"
                      " WHERE gone_ms IS NULL OR gone_ms > ?i ORDER BY created_ms DESC, kid",
                      now_ms);
    while (!e && n < ROWS_MAX && rows_next(rows)) {
        struct signing_row *k = &list[n++];
        const void         *blob = rows_blob(rows, 2, &k->sealed_len);
        void               *copy = arena_alloc(&c->mem, k->sealed_len + 1);
        if (k->sealed_len) memcpy(copy, blob, k->sealed_len);
        k->kid = arena_strdup(&c->mem, rows_text(rows, 0));
        k->public_pem = arena_strdup(&c->mem, rows_text(rows, 1));
        k->sealed = copy;
        k->created_ms = rows_int(rows, 3);
        k->retired_ms = rows_null(rows, 4) ? 0 : rows_int(rows, 4);
        k->gone_ms = rows_null(rows, 5) ? 0 : rows_int(rows, 5);
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err signing_store_add(struct call *c, const struct signing_row *row, int seen, const char *const *retire, int retire_n,
                           int64_t retire_gone_ms, bool *added_out, int64_t *seq_out)
{
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms(), there = 0, seq = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_get_int(c, w, 0, &there, "SELECT count(*) FROM signing_key WHERE gone_ms IS NULL OR gone_ms > ?i", now);
    bool add = !e && there == seen;
    if (add)
        e = db_run(c, w,
                   "INSERT INTO signing_key(kid, algorithm, public_pem, private_sealed, created_ms) VALUES (?s, 'RS256', ?s, ?b, ?i)",
                   row->kid, row->public_pem, row->sealed, row->sealed_len, row->created_ms);
    for (int i = 0; !e && add && i < retire_n; i++)
        e = db_run(c, w, "UPDATE signing_key SET retired_ms = ?i, gone_ms = ?i WHERE kid = ?s AND retired_ms IS NULL", now, retire_gone_ms,
                   retire[i]);
    if (!e && add) e = db_run(c, w, "DELETE FROM signing_key WHERE gone_ms IS NOT NULL AND gone_ms <= ?i", now);
    if (!e && add) e = access_change_in(c, w, &seq);
    if (!e && add) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *added_out = add;
    *seq_out = seq;
    return OK;
}
