/* What has an age in accounts and in the store below, removed by its age; and whose turn it is. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/audit.h"
#include "accounts/retention_parts.h"
#include "store/db.h"
#include "store/scrub.h"
#include "store/store.h"

#define LINKS_KEPT_MS (7 * 86400000LL)
#define AT_ONCE_BYTES (256LL << 20)   /* writing a larger file anew every day is too much: rows are overwritten where they stood */

extern const struct retention_rule accounts_retention_rules[];

static enum err jobs_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    enum err e = db_run(c, w, "DELETE FROM job WHERE state IN ('done', 'failed', 'cancelled') AND updated_ms < ?i", before_ms);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err log_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    return audit_cut(c, w, false, before_ms, rows_out);
}

static enum err sessions_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    enum err e = db_run(c, w, "DELETE FROM session WHERE creator_id = ?s AND (expires_ms < ?i OR ended_ms < ?i)", tenant_id(c->tenant), before_ms,
                        before_ms);
    if (!e) *rows_out = db_changes(w);
    return e;
}

/* Counted from when they were made. */
static enum err replies_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    enum err e = db_run(c, w, "DELETE FROM idempotency WHERE created_ms < ?i", before_ms);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err links_old(struct call *c, struct conn *w, int64_t before_ms, bool dry, int64_t *rows_out)
{
    (void)dry;
    enum err e = db_run(c, w, "DELETE FROM mail_link WHERE creator_id = ?s AND (expires_ms < ?i OR used_ms < ?i)", tenant_id(c->tenant), before_ms,
                        before_ms);
    if (!e) *rows_out = db_changes(w);
    return e;
}

const struct retention_rule accounts_retention_rules[] = {
    { "jobs_days", "job", NULL, 30, 1, "creator", jobs_old },
    { "replies_days", "idempotency", NULL, 1, 1, "creator", replies_old },
    { "audit_days", "audit", NULL, 0, 365, "creator", log_old },
    { "sessions_days", "session", NULL, 30, 1, "accounts", sessions_old },
    { "links_days", "mail_link", NULL, 7, 1, "accounts", links_old },
    { "visitors_days", "person", NULL, 90, 1, "creator", NULL },
    { 0 },
};

/* All of one database in one transaction: a dry run does the same and rolls back. */
static enum err rows_of(struct call *c, const struct retention_rule *const *rules, const int64_t *before_ms, int n, bool dry, const char *database,
                        int64_t *rows)
{
    struct conn *w = NULL;
    struct db   *db = !strcmp(database, "creator") ? tenant_db(c->tenant) : store_accounts();
    int64_t      sum = 0;
    enum err     e = db_write(c, db, &w);
    for (int i = 0; !e && i < n; i++) {
        if (strcmp(rules[i]->database, database) != 0 || !rules[i]->run || !before_ms[i]) continue;
        e = rules[i]->run(c, w, before_ms[i], dry, &rows[i]);
        sum += rows[i];
    }
    if (!e && !dry) e = db_commit(c, &w);
    db_release(&w);
    if (e || dry || !sum) return e;
    e = store_scrub_bytes(db) <= AT_ONCE_BYTES ? store_scrub(c, db, NULL) : store_empty_log(c, db);
    if (e != ERR_BUSY) return e;
    call_forgive(c); /* the next run does it */
    return OK;
}

enum err retention_rows(struct call *c, const struct retention_rule *const *rules, const int64_t *before_ms, int n, bool dry, int64_t *rows)
{
    enum err e = rows_of(c, rules, before_ms, n, dry, "creator", rows);
    return e ? e : rows_of(c, rules, before_ms, n, dry, "accounts", rows);
}

enum err retention_ended(struct call *c, int64_t now_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "DELETE FROM mail_link WHERE creator_id IS NULL AND expires_ms < ?i", now_ms - LINKS_KEPT_MS);
    if (!e) e = db_run(c, w, "DELETE FROM oidc_login WHERE expires_ms < ?i", now_ms);
    if (!e) e = db_run(c, w, "DELETE FROM idempotency WHERE expires_ms < ?i", now_ms);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

static enum err ids_of(struct call *c, struct rows **rs, enum err e, int max, const char ***ids_out, int *n_out)
{
    const char **ids = arena_array(&c->mem, (size_t)max + 1, sizeof *ids);
    int          n = 0;
    while (!e && n < max && rows_next(*rs)) ids[n++] = arena_strdup(&c->mem, rows_text(*rs, 0));
    e = rows_close(c, rs, e);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

enum err retention_old(struct call *c, int64_t before_ms, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    int64_t      count = 0;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &count, "SELECT count(*) FROM creator");
    if (!e)
        e = db_select(c, r, &rs,
                      "SELECT k.id FROM creator k LEFT JOIN retention_run t ON t.creator_id = k.id WHERE t.begun_ms IS NULL OR t.begun_ms <= ?i ORDER BY k.id",
                      before_ms);
    if (!e) e = ids_of(c, &rs, e, (int)count, ids_out, n_out);
    db_release(&r);
    return e;
}

enum err retention_claim(struct call *c, const char *creator_id, int64_t before_ms, int64_t now_ms, bool *won)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO retention_run(creator_id, begun_ms) SELECT id, ?i FROM creator WHERE id = ?s "
                   "ON CONFLICT(creator_id) DO UPDATE SET begun_ms = excluded.begun_ms WHERE retention_run.begun_ms <= ?i",
                   now_ms, creator_id, before_ms);
    bool mine = !e && db_changes(w) == 1;
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *won = mine;
    return e;
}

enum err retention_visitors(struct call *c, int64_t before_ms, int max, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rs, "SELECT id FROM person WHERE kind = 'visitor' AND coalesce(seen_ms, created_ms) < ?i ORDER BY id LIMIT ?i", before_ms,
                      (int64_t)max);
    if (!e) e = ids_of(c, &rs, e, max, ids_out, n_out);
    db_release(&r);
    return e;
}
