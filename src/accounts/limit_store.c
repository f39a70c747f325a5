/* A creator's own limits: a handful of rows, read whole and replaced whole. And what the tables beside them hold of people: a
 * reply kept for its Idempotency-Key may speak of its caller; it is sealed, so it cannot be exported, only removed. */
/* SPDX-License-Identifier: MIT */
#include "accounts/limit_store.h"

#include "accounts/export.h"
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

static enum err kept_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    const char *user = p->user_id && *p->user_id ? p->user_id : NULL, *account = p->account_id && *p->account_id ? p->account_id : NULL;
    enum err    e = db_run(c, w, "DELETE FROM idempotency WHERE user_id = ?s OR account_id = ?s", user, account);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err kept_move(struct call *c, struct conn *w, const struct person_who *from, const char *to_user, int64_t *rows_out)
{
    enum err e = db_run(c, w, "UPDATE idempotency SET user_id = ?s WHERE user_id = ?s", to_user, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

#define KEPT_HOLDS "replies kept for a day for requests with an Idempotency-Key, sealed"
static enum err own_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    (void)p;
    enum err e = db_select(c, r, &rs, "SELECT policy, requests, window_s, set_ms FROM limit_own ORDER BY policy");
    return export_rows(c, &rs, e, x, "policy requests# window_s# set_at@");
}

const struct person_table limit_person_tables[] = {
    { "creator", "idempotency", KEPT_HOLDS, NULL, NULL, kept_erase, kept_move },
    { "accounts", "idempotency", KEPT_HOLDS, NULL, NULL, kept_erase, NULL },
    { "creator", "limit_own", NULL, "numbers of the creator's limits", own_export, NULL, NULL },
    { 0 },
};
