/* A creator's own limits: a handful of rows, read whole and replaced whole. */
/* SPDX-License-Identifier: MIT */
#include "accounts/limit_store.h"

#include "accounts/limit_policy.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum err limit_own_load(struct call *c, struct limit_own **out, int *n_out)
{
    struct conn      *r = NULL;
    struct rows      *rows = NULL;
    struct limit_own *list = arena_alloc(&c->mem, POLICY_COUNT * sizeof *list);
    int               n = 0;
    enum err          e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_select(c, r, &rows, "SELECT policy, requests, window_s FROM limit_own ORDER BY policy");
    while (!e && n < POLICY_COUNT && rows_next(rows))
        list[n++] = (struct limit_own){ arena_strdup(&c->mem, rows_text(rows, 0)), rows_int(rows, 1), (int)rows_int(rows, 2) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err limit_own_save(struct call *c, const struct limit_own *own, int n)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "DELETE FROM limit_own");
    for (int i = 0; !e && i < n; i++)
        e = db_run(c, w, "INSERT INTO limit_own(policy, requests, window_s, set_ms) VALUES (?s, ?i, ?i, ?i)", own[i].policy, own[i].limit,
                   (int64_t)own[i].window_s, clock_unix_ms());
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
