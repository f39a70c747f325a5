/* The tables of accounts, of the store below and of what the listener keeps, as the inventory wants them. An account's own data
 * is in accounts.db; a user's is in the creator's database, but for their sign-ins. The logs stay when somebody goes: their rows name
 * people by references, and it is the reference that goes. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/export.h"
#include "accounts/privacy.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

extern const struct person_table accounts_person_tables[];

#define WHO(p) (p)->creator_id, (p)->creator_id, (p)->user_id, (p)->user_id, (p)->account_id, (p)->account_id

/* ---- accounts.db: export ---- */

static enum err account_row_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT a.id, a.email, a.email_verified_ms, a.full_name, a.totp_on_ms, a.state, a.created_ms, a.updated_ms, a.seen_ms "
                               "FROM account a WHERE a.id = ?s OR (?s IS NULL AND ?s IS NULL AND a.id IN (SELECT account_id FROM member WHERE "
                               "creator_id = ?s)) ORDER BY a.id",
                               p->account_id, p->account_id, p->user_id, p->creator_id);
    return export_rows(c, &rs, e, x, "id email email_verified_at@ full_name second_factor_since@ state created_at@ updated_at@ seen_at@");
}

static enum err issuer_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    if (!p->account_id) return OK;
    enum err e = db_select(c, r, &rs, "SELECT issuer, subject, created_ms FROM account_issuer WHERE account_id = ?s ORDER BY issuer", p->account_id);
    return export_rows(c, &rs, e, x, "issuer subject created_at@");
}

static enum err recovery_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    if (!p->account_id) return OK;
    enum err e = db_select(c, r, &rs, "SELECT used_ms FROM recovery_code WHERE account_id = ?s ORDER BY used_ms", p->account_id);
    return export_rows(c, &rs, e, x, "used_at@");
}

static enum err member_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    if (p->user_id) return OK;
    enum err e = db_select(c, r, &rs,
                           "SELECT creator_id, account_id, role, invited_by, created_ms, updated_ms FROM member WHERE (?s IS NULL OR creator_id = ?s) "
                           "AND (?s IS NULL OR account_id = ?s) ORDER BY creator_id, account_id",
                           p->creator_id, p->creator_id, p->account_id, p->account_id);
    return export_rows(c, &rs, e, x, "creator_id account_id role invited_by created_at@ updated_at@");
}

static enum err session_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, kind, creator_id, account_id, user_id, role, address, agent, created_ms, used_ms, expires_ms, ended_ms, "
                               "ended_why FROM session WHERE (?s IS NULL OR creator_id = ?s) AND (?s IS NULL OR user_id = ?s) "
                               "AND (?s IS NULL OR account_id = ?s) ORDER BY created_ms, id",
                               WHO(p));
    return export_rows(c, &rs, e, x,
                       "id kind creator_id account_id user_id role address agent created_at@ used_at@ expires_at@ ended_at@ ended_why");
}

static enum err links_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT purpose, creator_id, account_id, email, role, created_by, created_ms, expires_ms, used_ms FROM mail_link "
                               "WHERE (?s IS NULL OR creator_id = ?s) AND ((?s IS NULL AND ?s IS NULL) OR email = ?s OR account_id = ?s) "
                               "ORDER BY created_ms",
                               p->creator_id, p->creator_id, p->user_id, p->account_id, p->email, p->account_id);
    return export_rows(c, &rs, e, x, "purpose creator_id account_id email role created_by created_at@ expires_at@ used_at@");
}

static enum err keys_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    if (p->user_id) return OK;
    enum err e = db_select(c, r, &rs,
                           "SELECT id, creator_id, name, prefix, scopes, created_by, created_ms, expires_ms, used_ms, ended_ms, ended_why FROM api_key "
                           "WHERE (?s IS NULL OR creator_id = ?s) AND (?s IS NULL OR created_by = ?s) ORDER BY created_ms, id",
                           p->creator_id, p->creator_id, p->account_id, p->account_id);
    return export_rows(c, &rs, e, x, "id creator_id name prefix scopes{} created_by created_at@ expires_at@ used_at@ ended_at@ ended_why");
}

static enum err roles_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs, "SELECT name, permissions, created_ms, updated_ms FROM role WHERE creator_id = ?s ORDER BY name", p->creator_id);
    return export_rows(c, &rs, e, x, "name permissions{} created_at@ updated_at@");
}

static enum err creator_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs, "SELECT id, name, created_ms FROM creator WHERE id = ?s", p->creator_id);
    return export_rows(c, &rs, e, x, "id name created_at@");
}

static enum err instance_log_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    const char  *user = p->user_id ? arena_printf(&c->mem, "%s/%s", p->creator_id, p->user_id) : NULL;
    if (!p->user_id && !p->account_id) return OK; /* the instance's log is nobody's own */
    enum err e = db_select(c, r, &rs,
                           "SELECT seq, at_ms, actor_kind, action, outcome, address, request_id, details FROM audit WHERE actor = ?s OR target = ?s "
                           "OR actor IN (SELECT ref FROM person_ref WHERE user_id = ?s) OR target IN (SELECT ref FROM person_ref WHERE user_id = ?s) "
                           "ORDER BY seq",
                           p->account_id, p->account_id, user, user);
    return export_rows(c, &rs, e, x, "seq# at@ actor_kind action outcome address request_id details{}");
}

/* ---- accounts.db: erasure ---- */

static enum err session_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = p->user_id ? db_run(c, w, "DELETE FROM session WHERE creator_id = ?s AND user_id = ?s", p->creator_id, p->user_id)
                            : db_run(c, w, "DELETE FROM session WHERE account_id = ?s", p->account_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err links_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = p->user_id ? db_run(c, w, "DELETE FROM mail_link WHERE creator_id = ?s AND email = ?s", p->creator_id, p->email)
                            : db_run(c, w, "DELETE FROM mail_link WHERE account_id = ?s OR email = ?s", p->account_id, p->email);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err recovery_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->account_id) return OK;
    enum err e = db_run(c, w, "DELETE FROM recovery_code WHERE account_id = ?s", p->account_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err issuer_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->account_id) return OK;
    enum err e = db_run(c, w, "DELETE FROM account_issuer WHERE account_id = ?s", p->account_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err member_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->account_id) return OK;
    enum err e = db_run(c, w, "DELETE FROM member WHERE account_id = ?s", p->account_id);
    if (!e) *rows_out = db_changes(w);
    if (!e) e = db_run(c, w, "UPDATE member SET invited_by = NULL WHERE invited_by = ?s", p->account_id);
    return e;
}

/* Keys are the creator's and go on working: who made them is forgotten. */
static enum err keys_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->account_id) return OK;
    enum err e = db_run(c, w, "UPDATE api_key SET created_by = NULL WHERE created_by = ?s", p->account_id);
    if (!e) *rows_out = 0;
    return e;
}

static enum err account_row_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->account_id) return OK;
    enum err e = db_run(c, w, "UPDATE mail_link SET created_by = NULL WHERE created_by = ?s", p->account_id);
    if (!e) e = db_run(c, w, "DELETE FROM account WHERE id = ?s", p->account_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err instance_ref_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    if (!p->user_id) return OK;
    enum err e = db_run(c, w, "DELETE FROM person_ref WHERE user_id = ?s", arena_printf(&c->mem, "%s/%s", p->creator_id, p->user_id));
    if (!e) *rows_out = db_changes(w);
    return e;
}

/* ---- a creator's database ---- */

static enum err people_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, kind, email, name, plan, attributes, created_ms, updated_ms, seen_ms FROM person "
                               "WHERE (?s IS NULL OR id = ?s) ORDER BY id",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x, "id kind email name plan attributes{} created_at@ updated_at@ seen_at@");
}

static enum err people_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM person WHERE id = ?s", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

/* The visitor's own row ends; what they were is said by the row of who they turned out to be. */
static enum err people_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    (void)to;
    return people_erase(c, w, from, rows_out);
}

static enum err identity_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs, "SELECT user_id, kind, value, created_ms FROM person_identity WHERE (?s IS NULL OR user_id = ?s) ORDER BY user_id, kind, value",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x, "user_id kind value created_at@");
}

static enum err identity_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM person_identity WHERE user_id = ?s", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err identity_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    int64_t  known = 0;
    enum err e = db_get_int(c, w, 0, &known, "SELECT count(*) FROM person WHERE id = ?s", to);
    if (!e && !known) return identity_erase(c, w, from, rows_out);
    if (!e) e = db_run(c, w, "UPDATE person_identity SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

/* A creator's log is the creator's; a person's part of it is what names them. */
static enum err log_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e;
    if (p->user_id) {
        e = db_select(c, r, &rs,
                      "SELECT seq, at_ms, actor_kind, action, outcome, address, request_id, details FROM audit WHERE actor = ?s OR target = ?s "
                      "OR actor IN (SELECT ref FROM person_ref WHERE user_id = ?s) OR target IN (SELECT ref FROM person_ref WHERE user_id = ?s) ORDER BY seq",
                      p->account_id, p->account_id, p->user_id, p->user_id);
        return export_rows(c, &rs, e, x, "seq# at@ actor_kind action outcome address request_id details{}");
    }
    e = db_select(c, r, &rs,
                  "SELECT seq, at_ms, actor_kind, actor, action, target, outcome, address, request_id, details, previous, hash FROM audit ORDER BY seq");
    return export_rows(c, &rs, e, x, "seq# at@ actor_kind actor action target outcome address request_id details{} previous hash");
}

static enum err ref_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM person_ref WHERE user_id = ?s", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

/* One reference a user: the visitor's rows become the user's when they have none yet, else lead nowhere. */
static enum err ref_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    int64_t  known = 0;
    enum err e = db_get_int(c, w, 0, &known, "SELECT count(*) FROM person_ref WHERE user_id = ?s", to);
    if (!e && known) return ref_erase(c, w, from, rows_out);
    if (!e) e = db_run(c, w, "UPDATE person_ref SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err settings_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    (void)p;
    enum err e = db_select(c, r, &rs, "SELECT name, value, updated_ms FROM creator_setting ORDER BY name");
    return export_rows(c, &rs, e, x, "name value{} updated_at@");
}

static enum err jobs_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, kind, state, error, attempt, created_ms, updated_ms, payload FROM job ORDER BY created_ms, id");
    if (!p->user_id) return export_rows(c, &rs, e, x, "id kind state error attempt# created_at@ updated_at@ payload{}");
    while (!e && rows_next(rs)) {
        if (!person_in_payload(c, rows_text(rs, 7), p->user_id)) continue;
        char             iso[25];
        struct json_out *j = export_row(x);
        json_put_text(j, "id", rows_text(rs, 0));
        json_put_text(j, "kind", rows_text(rs, 1));
        json_put_text(j, "state", rows_text(rs, 2));
        json_put_text(j, "created_at", clock_iso(rows_int(rs, 5), iso));
        json_put_raw(j, "payload", rows_text(rs, 7), strlen(rows_text(rs, 7)));
        e = export_row_end(c, x);
    }
    return rows_close(c, &rs, e);
}

static enum err jobs_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    struct rows *rs = NULL;
    int64_t      count = 0, n = 0;
    enum err     e = db_get_int(c, w, 0, &count, "SELECT count(*) FROM job");
    if (e) return e;
    const char **ids = arena_array(&c->mem, (size_t)count + 1, sizeof *ids);
    e = db_select(c, w, &rs, "SELECT id, payload FROM job");
    while (!e && n < count && rows_next(rs))
        if (person_in_payload(c, rows_text(rs, 1), p->user_id)) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    for (int64_t i = 0; !e && i < n; i++) e = db_run(c, w, "DELETE FROM job WHERE id = ?s", ids[i]);
    if (!e) *rows_out = n;
    return e;
}

/* Ended work of a visitor is of no use to who they became; open work keeps a claim from being made. */
static enum err jobs_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    (void)to;
    return jobs_erase(c, w, from, rows_out);
}

/* Nothing may be added under the visitor's id any more. */
static enum err erased_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    (void)to;
    *rows_out = 0;
    return erased_put_in(c, w, from->user_id);
}

static enum err erased_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    *rows_out = 0;
    return p->user_id && !p->unmarked ? erased_put_in(c, w, p->user_id) : OK;
}

#define LOG_STAYS "rows stay, so that the log can be checked; their reference leads nowhere any more"
#define MARK_STAYS "a keyed hash stays, so that their old tokens and late requests are refused"

const struct person_table accounts_person_tables[] = {
    { "creator", "job", "work that was ordered for them", NULL, jobs_export, jobs_erase, jobs_move },
    { "creator", "person_identity", "their names on channels", NULL, identity_export, identity_erase, identity_move },
    { "creator", "person", "name, address, plan and attributes", NULL, people_export, people_erase, people_move },
    { "creator", "audit", "what was done by and to them, by reference, with the network it came from", LOG_STAYS, log_export, NULL, NULL },
    { "creator", "audit_head", NULL, "where the log begins and ends", NULL, NULL, NULL },
    { "creator", "person_ref", "who a reference in the log is", NULL, NULL, ref_erase, ref_move },
    { "creator", "erased", "that somebody was erased", MARK_STAYS, NULL, erased_erase, erased_move },
    { "creator", "creator_setting", NULL, "the creator's decisions", settings_export, NULL, NULL },
    { "creator", "meta", NULL, "whose database this is, and marks of its index", NULL, NULL, NULL },
    { "creator", "schema_version", NULL, "numbers of the schema", NULL, NULL, NULL },
    { "accounts", "session", "sign-ins: when, from which network, with which kind of client", NULL, session_export, session_erase, NULL },
    { "accounts", "mail_link", "address that a link was sent to", NULL, links_export, links_erase, NULL },
    { "accounts", "recovery_code", "hashes of one-time codes", NULL, recovery_export, recovery_erase, NULL },
    { "accounts", "account_issuer", "name at an outside issuer", NULL, issuer_export, issuer_erase, NULL },
    { "accounts", "member", "which creators they work for, and as what", NULL, member_export, member_erase, NULL },
    { "accounts", "api_key", "which keys they made", "keys are the creator's and stay; who made them goes", keys_export, keys_erase, NULL },
    { "accounts", "account", "address, name, password hash, second factor", NULL, account_row_export, account_row_erase, NULL },
    { "accounts", "role", NULL, "rights by name", roles_export, NULL, NULL },
    { "accounts", "creator", NULL, "that there is this creator, and its name", creator_export, NULL, NULL },
    { "accounts", "audit", "what was done by and to them, by reference or account id, with the network it came from", LOG_STAYS,
      instance_log_export, NULL, NULL },
    { "accounts", "audit_head", NULL, "where the log begins and ends", NULL, NULL, NULL },
    { "accounts", "person_ref", "who a reference in the log is", NULL, NULL, instance_ref_erase, NULL },
    { "accounts", "erased", "that somebody, or a creator, was erased", MARK_STAYS, NULL, NULL, NULL },
    { "accounts", "login_guard", NULL, "keyed hashes of addresses with wrong passwords, for two hours", NULL, NULL, NULL },
    { "accounts", "oidc_login", NULL, "sign-ins at outside issuers that have begun, for minutes, before anybody is known", NULL, NULL, NULL },
    { "accounts", "signing_key", NULL, "the instance's keys", NULL, NULL, NULL },
    { "accounts", "access_change", NULL, "a number", NULL, NULL, NULL },
    { "accounts", "retention_run", NULL, "when old data was last removed", NULL, NULL, NULL },
    { "accounts", "setup_link", NULL, "the instance's first link", NULL, NULL, NULL },
    { "accounts", "schema_version", NULL, "numbers of the schema", NULL, NULL, NULL },
    { 0 },
};
