/* Walks the inventory inside one transaction for each database, so that a person's rows move or go as one. The row of the log is
 * written while the person's reference still stands; the reference goes last. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/audit.h"
#include "accounts/export.h"
#include "accounts/privacy_parts.h"
#include "base/buf.h"
#include "base/log.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/jobs.h"
#include "store/scrub.h"
#include "store/store.h"

bool person_in_payload(struct call *c, const char *payload, const char *user_id)
{
    json_t *v = NULL;
    bool    had = c->err != OK;
    if (json_parse(c, payload, strlen(payload), &v)) {
        if (!had) call_forgive(c);
        return false;
    }
    bool theirs = !strcmp(json_get_text(v, "user_id", ""), user_id);
    json_decref(v);
    return theirs;
}

enum err person_find(struct call *c, const char *user_id, struct person_who *out)
{
    struct conn      *r = NULL;
    struct person_who p = { .creator_id = tenant_id(c->tenant), .user_id = user_id };
    enum err          e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_text(c, r, &p.email, "SELECT email FROM person WHERE id = ?s", user_id);
    if (!e && !p.email) e = db_get_text(c, r, &p.email, "SELECT value FROM person_identity WHERE kind = 'email' AND user_id = ?s", user_id);
    db_release(&r);
    if (!e) *out = p;
    return e;
}

enum err person_known(struct call *c, const char *user_id, bool *out)
{
    struct conn            *r = NULL;
    const struct person_who p = { .creator_id = tenant_id(c->tenant), .user_id = user_id };
    int64_t                 n = 0;
    enum err                e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &n, "SELECT count(*) FROM person WHERE id = ?s", user_id);
    db_release(&r);
    if (e) return e;
    *out = n > 0;
    return n ? OK : export_any(c, &p, out);
}

enum err account_find(struct call *c, const char *account_id, struct person_who *out)
{
    struct conn      *r = NULL;
    struct person_who p = { .account_id = account_id };
    enum err          e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &p.email, "SELECT email FROM account WHERE id = ?s", account_id);
    db_release(&r);
    if (!e && !p.email) e = fail(c, ERR_NOT_FOUND, "no account %s", account_id);
    if (!e) *out = p;
    return e;
}

enum err privacy_open_jobs(struct call *c, const char *user_id, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    int64_t      count = 0;
    int          n = 0;
    const char **ids = NULL;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &count, "SELECT count(*) FROM job WHERE state IN ('queued', 'running')");
    if (!e) {
        ids = arena_array(&c->mem, (size_t)count + 1, sizeof *ids);
        e = db_select(c, r, &rs, "SELECT id, payload, kind FROM job WHERE state IN ('queued', 'running') ORDER BY created_ms");
    }
    while (!e && n < count && rows_next(rs))
        if (!user_id || (person_in_payload(c, rows_text(rs, 1), user_id) && strcmp(rows_text(rs, 2), erase_kind.kind))) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    db_release(&r);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

enum err privacy_put_job(struct call *c, const char *kind, const char *payload, const char **id_out)
{
    struct conn *w = NULL;
    const char  *id = NULL;
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_get_text(c, w, &id, "SELECT id FROM job WHERE kind = ?s AND payload = ?s AND state IN ('queued', 'running')", kind, payload);
    if (!e && !id) e = jobs_put(c, w, kind, payload, &id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *id_out = id;
    return e;
}

enum err privacy_change_job(struct call *c, const char *id, const char *payload)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "UPDATE job SET payload = ?s WHERE id = ?s", payload, id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err privacy_was(struct call *c, const char *user_id, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    const char **ids = NULL;
    int64_t      count = 0;
    int          n = 0;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &count, "SELECT count(*) FROM person_identity WHERE kind = 'visitor' AND user_id = ?s AND value <> ?s", user_id, user_id);
    if (!e) {
        ids = arena_array(&c->mem, (size_t)count + 1, sizeof *ids);
        e = db_select(c, r, &rs, "SELECT value FROM person_identity WHERE kind = 'visitor' AND user_id = ?s AND value <> ?s", user_id, user_id);
    }
    while (!e && n < count && rows_next(rs)) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    db_release(&r);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

/* Every table of a database that somebody is taken out of; refs: only the references of the log, else all others. */
static enum err erase_tables(struct call *c, struct conn *w, struct erasure *er, const char *database, bool refs, int64_t *rows_out)
{
    enum err e = OK;
    for (int i = 0; !e && i < er->table_count; i++) {
        const struct person_table *t = er->tables[i].table;
        int64_t                    rows = 0;
        if (strcmp(t->database, database) != 0 || !t->erase || !strcmp(t->table, "person_ref") != refs) continue;
        e = t->erase(c, w, &er->who, &rows);
        er->tables[i].rows += rows;
        *rows_out += rows;
    }
    return e;
}

enum err privacy_erase_rows(struct call *c, struct erasure *er, bool only_if_any, const char **job_out)
{
    struct conn *w = NULL;
    const char  *job = NULL;
    int64_t      rows = 0, refs = 0;
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    if (!e && only_if_any)
        e = db_get_int(c, w, 0, &refs, "SELECT count(*) FROM person_ref WHERE user_id = ?s", er->who.user_id);
    if (!e) e = erase_tables(c, w, er, "creator", false, &rows);
    if (e || (only_if_any && !rows && !refs)) goto out;
    e = audit_put_in(c, w,
                     &(struct audit_entry){ "person.erase", arena_printf(&c->mem, AUDIT_USER "%s", er->who.user_id), "done",
                                            (const char *[]){ "rows", log_int(c, rows), NULL } });
    if (!e) e = erase_tables(c, w, er, "creator", true, &rows);
    if (!e && !er->who.unmarked) e = db_run(c, w, "INSERT INTO meta(name, value) VALUES ('scrub', '1') ON CONFLICT(name) DO NOTHING");
    if (!e && !er->who.unmarked) e = jobs_put(c, w, scrub_kind.kind, "{}", &job);
    if (!e) e = db_commit(c, &w);
out:
    db_release(&w);
    if (!e) *job_out = job;
    return e;
}

/* Creators that have no owner but this account; *out is "" when there are none. */
static enum err owned_alone(struct call *c, struct conn *k, const char *account_id, const char **out)
{
    struct rows *rs = NULL;
    struct buf   b;
    buf_init(&b, 4096);
    enum err e = db_select(c, k, &rs,
                           "SELECT m.creator_id FROM member m WHERE m.account_id = ?s AND m.role = 'owner' AND NOT EXISTS (SELECT 1 FROM member o "
                           "WHERE o.creator_id = m.creator_id AND o.role = 'owner' AND o.account_id <> m.account_id) ORDER BY m.creator_id LIMIT 5",
                           account_id);
    while (!e && rows_next(rs)) buf_printf(&b, "%s%s", b.len ? ", " : "", rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    if (!e) *out = arena_strdup(&c->mem, b.len ? b.data : "");
    buf_dispose(&b);
    return e;
}

enum err privacy_erase_accounts(struct call *c, struct erasure *er)
{
    const char  *owned = "";
    struct conn *w = NULL;
    int64_t      rows = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    /* Again, where nobody comes between: of two owners who go at once one stays. */
    if (!e && er->who.account_id) e = owned_alone(c, w, er->who.account_id, &owned);
    if (!e && *owned) e = fail(c, ERR_CONFLICT, "this account is the only owner of %s by now: make somebody else owner, or erase that creator first", owned);
    /* A user's erasure is in their creator's log. */
    if (!e && er->who.account_id)
        e = audit_put_instance_in(c, w, &(struct audit_entry){ "account.erase", er->who.account_id, "done", NULL });
    if (!e) e = erase_tables(c, w, er, "accounts", false, &rows);
    if (!e) e = erase_tables(c, w, er, "accounts", true, &rows);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

static enum err creator_rows(struct call *c, struct conn *w, void *arg)
{
    struct erasure *er = arg;
    const char     *id = er->who.creator_id, *under = arena_printf(&c->mem, "%s/", id);
    enum err        e = audit_put_instance_in(c, w, &(struct audit_entry){ "creator.erase", id, "done",
                                                                          (const char *[]){ "files", log_int(c, er->files), NULL } });
    /* What refers to the creator's row goes with it; these two do not. */
    if (!e) e = db_run(c, w, "DELETE FROM person_ref WHERE substr(user_id, 1, length(?s)) = ?s", under, under);
    if (!e) e = db_run(c, w, "DELETE FROM erased WHERE creator_id = ?s", id);
    return e ? e : erased_creator_put_in(c, w, id);
}

enum err privacy_erase_creator(struct call *c, struct erasure *er)
{
    return tenant_remove(c, er->who.creator_id, creator_rows, er);
}

enum err privacy_last_owner(struct call *c, const char *account_id, const char **creators_out)
{
    struct conn *r = NULL;
    const char  *owned = "";
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = owned_alone(c, r, account_id, &owned);
    db_release(&r);
    if (!e) *creators_out = *owned ? owned : NULL;
    return e;
}

enum err privacy_only_here(struct call *c, const char *creator_id, int64_t *n_out)
{
    struct conn *r = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_get_int(c, r, 0, n_out,
                       "SELECT count(*) FROM member m WHERE m.creator_id = ?s AND NOT EXISTS (SELECT 1 FROM member o "
                       "WHERE o.account_id = m.account_id AND o.creator_id <> m.creator_id)",
                       creator_id);
    db_release(&r);
    return e;
}

int64_t privacy_scrub_bytes(struct call *c)
{
    return store_scrub_bytes(tenant_db(c->tenant));
}

enum err privacy_scrub_accounts(struct call *c, int *copies_out)
{
    return store_scrub(c, store_accounts(), copies_out);
}

static enum err scrub_wanted(struct call *c, bool *out)
{
    struct conn *r = NULL;
    int64_t      n = 0;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &n, "SELECT count(*) FROM meta WHERE name = 'scrub'");
    db_release(&r);
    if (!e) *out = n > 0;
    return e;
}

enum err privacy_scrub(struct call *c, bool force, int *copies_out)
{
    struct conn *w = NULL;
    bool         wanted = force;
    int          here = 0, there = 0;
    enum err     e = force ? OK : scrub_wanted(c, &wanted);
    if (e || !wanted) return e;
    e = store_scrub(c, tenant_db(c->tenant), &here);
    if (!e) e = privacy_scrub_accounts(c, &there);
    if (!e) e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "DELETE FROM meta WHERE name = 'scrub'");
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *copies_out = here + there;
    return e;
}

static enum err refuse_while_reading_in(struct call *c, const char *user)
{
    const char **ids = NULL;
    int          n = 0;
    enum err     e = privacy_open_jobs(c, user, &ids, &n);
    if (!e && n) e = fail(c, ERR_CONFLICT, "a document of the visitor is still being read in: again when it is done");
    return e;
}

enum err person_move(struct call *c, const char *from_user, const char *to_user, struct json_out *j)
{
    struct conn            *w = NULL;
    const struct person_who from = { .creator_id = tenant_id(c->tenant), .user_id = from_user };
    if (!strcmp(from_user, to_user)) return fail_field(c, "visitor_token", "this is the same user");
    enum err e = refuse_while_reading_in(c, from_user);
    if (!e) e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, from_user);
    if (!e) e = erased_check(c, w, to_user);
    if (!e)
        e = audit_put_in(c, w,
                         &(struct audit_entry){ "person.move", arena_printf(&c->mem, AUDIT_USER "%s", from_user), "done",
                                                (const char *[]){ "to", arena_printf(&c->mem, AUDIT_USER "%s", to_user), NULL } });
    json_begin_object(j, "moved");
    for (int i = 0; !e && all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; !e && t->table; t++) {
            int64_t rows = 0;
            if (!t->move || strcmp(t->database, "creator") != 0) continue;
            e = t->move(c, w, &from, to_user, &rows);
            if (!e && strcmp(t->table, "erased")) json_put_int(j, t->table, rows);
        }
    }
    json_end(j);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err person_welcome(struct call *c, const char *user_id)
{
    return erased_drop(c, user_id);
}
