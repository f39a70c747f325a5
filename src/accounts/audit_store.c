/* The rows of both logs. Every addition reads the head, checks the mark on it, adds the row and moves the head, in one
 * transaction: sequence numbers have no gaps and two writers cannot follow the same row. A log found other than it was left is
 * still added to, since what happens next must be on record, but the head remembers the place for ever. Nothing here
 * changes or removes a row but audit_cut, which takes the oldest and keeps the hash that the remaining ones begin with. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "accounts/audit_chain.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mask.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

enum { LIST_DEFAULT = 50, LIST_MOST = 200, DETAIL_BYTES = 8192 };

/* The log a transaction writes to. */
struct log {
    struct conn *k;
    const char  *name;          /* "" the instance's, else the creator */
};

static enum err head_read(struct call *c, const struct log *l, struct audit_head *out, bool *there_out)
{
    struct rows *rs = NULL;
    bool         there = false;
    *out = (struct audit_head){ .first_seq = 1, .first_previous = "", .hash = "", .mac = "" };
    enum err e = db_select(c, l->k, &rs, "SELECT first_seq, first_previous, seq, hash, broken_seq, mac FROM audit_head WHERE id = 1");
    if (!e && rows_next(rs)) {
        there = true;
        *out = (struct audit_head){
            .first_seq = rows_int(rs, 0),
            .first_previous = arena_strdup(&c->mem, rows_text(rs, 1)),
            .seq = rows_int(rs, 2),
            .hash = arena_strdup(&c->mem, rows_text(rs, 3)),
            .broken_seq = rows_int(rs, 4),
            .mac = arena_strdup(&c->mem, rows_text(rs, 5)),
        };
    }
    e = rows_close(c, &rs, e);
    if (!e) *there_out = there;
    return e;
}

static enum err head_write(struct call *c, const struct log *l, struct audit_head *h)
{
    char     mac[AUDIT_HASH_BYTES];
    enum err e = audit_head_mac(c, l->name, h, mac);
    if (e) return e;
    return db_run(c, l->k,
                  "INSERT INTO audit_head(id, first_seq, first_previous, seq, hash, broken_seq, mac) VALUES (1, ?i, ?s, ?i, ?s, ?i, ?s) "
                  "ON CONFLICT(id) DO UPDATE SET first_seq = excluded.first_seq, first_previous = excluded.first_previous, "
                  "seq = excluded.seq, hash = excluded.hash, broken_seq = excluded.broken_seq, mac = excluded.mac",
                  h->first_seq, h->first_previous, h->seq, h->hash, h->broken_seq, mac);
}

static enum err head_right(struct call *c, const struct log *l, const struct audit_head *h, bool *out)
{
    char     mac[AUDIT_HASH_BYTES];
    enum err e = audit_head_mac(c, l->name, h, mac);
    if (!e) *out = strlen(h->mac) == AUDIT_HASH_BYTES - 1 && !sodium_memcmp(mac, h->mac, AUDIT_HASH_BYTES - 1);
    return e;
}

/* The head to add to. One that does not fit the rows is made to fit them, and says so from then on. */
static enum err head_take(struct call *c, const struct log *l, struct audit_head *h)
{
    bool        there = false, right = false;
    int64_t     last = 0;
    const char *hash = NULL;
    enum err    e = head_read(c, l, h, &there);
    if (!e) e = db_get_int(c, l->k, 0, &last, "SELECT max(seq) FROM audit");
    if (!e && last) e = db_get_text(c, l->k, &hash, "SELECT hash FROM audit WHERE seq = ?i", last);
    if (!e && there) e = head_right(c, l, h, &right);
    if (e || (!there && !last)) return e;
    if (there && right && last == h->seq && !strcmp(hash ? hash : "", h->hash)) return OK;
    log_error(c, "the audit log is not as it was left", "log", *l->name ? l->name : "instance", NULL);
    if (!right) *h = (struct audit_head){ .first_seq = 1, .first_previous = "" };
    int64_t broken = last < h->seq ? last + 1 : last;
    if (!h->broken_seq || broken < h->broken_seq) h->broken_seq = broken > 0 ? broken : 1;
    if (last > h->seq) h->seq = last;
    h->hash = hash ? hash : "";
    return OK;
}

/* The user's key in person_ref: the instance's log tells creators apart. */
static const char *ref_key(struct call *c, const struct log *l, const char *user)
{
    return *l->name ? user : arena_printf(&c->mem, "%s/%s", c->creator_id, user);
}

/* A reference for "user:ID", made when there is none. Somebody who was erased gets none again. */
static enum err ref_of(struct call *c, const struct log *l, const char *text, const char **out)
{
    if (strncmp(text, AUDIT_USER, strlen(AUDIT_USER)) || !id_valid(text + strlen(AUDIT_USER))) {
        *out = audit_value(c, text);
        return OK;
    }
    const char *user = ref_key(c, l, text + strlen(AUDIT_USER)), *ref = NULL;
    bool        erased = false;
    char        id[ID_BYTES];
    enum err    e = db_get_text(c, l->k, &ref, "SELECT ref FROM person_ref WHERE user_id = ?s", user);
    if (!e && !ref) e = erased_is(c, c->creator_id, text + strlen(AUDIT_USER), &erased);
    if (!e && !ref && erased) ref = "erased";
    if (!e && !ref) {
        ref = arena_strdup(&c->mem, id_new("ref", id));
        e = db_run(c, l->k, "INSERT INTO person_ref(ref, user_id) VALUES (?s, ?s)", ref, user);
    }
    if (!e) *out = ref;
    return e;
}

static enum err details_json(struct call *c, const struct log *l, const char *const *details, const char **out)
{
    struct buf      b;
    struct json_out j;
    enum err        e = OK;
    buf_init(&b, DETAIL_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    for (int i = 0; !e && details && details[i]; i += 2) {
        const char *value = "";
        assert(i < 2 * LIMIT_AUDIT_DETAILS);
        if (details[i + 1]) e = ref_of(c, l, details[i + 1], &value);
        if (!e) json_put_text(&j, details[i], value);
        if (!details[i + 1]) break;
    }
    json_end(&j);
    if (!e && b.failed) e = fail(c, ERR_INTERNAL, "details of an audit row over %d bytes", DETAIL_BYTES);
    if (!e) *out = arena_strdup(&c->mem, b.data);
    buf_dispose(&b);
    return e;
}

static const char *address_of(struct call *c)
{
    return c->remote[0] ? mask_address(c, c->remote) : "";
}

static enum err put(struct call *c, const struct log *l, const struct audit_entry *a)
{
    struct audit_head h;
    struct audit_row  r = { .at_ms = clock_unix_ms(), .action = a->action, .outcome = a->outcome, .request_id = c->log_id };
    char              hash[AUDIT_HASH_BYTES];
    const char       *actor = "";
    audit_actor(c, &r.actor_kind, &actor);
    r.address = address_of(c);
    r.request_id = audit_value(c, c->log_id);
    enum err e = head_take(c, l, &h);
    if (!e) e = ref_of(c, l, actor, &r.actor);
    if (!e) e = ref_of(c, l, a->target ? a->target : "", &r.target);
    if (!e) e = details_json(c, l, a->details, &r.details);
    if (e) return e;
    r.seq = h.seq + 1;
    r.previous = h.hash;
    audit_hash(&r, hash);
    e = db_run(c, l->k,
               "INSERT INTO audit(seq, at_ms, actor_kind, actor, action, target, outcome, address, request_id, details, previous, "
               "hash) VALUES (?i, ?i, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s)",
               r.seq, r.at_ms, r.actor_kind, r.actor, r.action, r.target, r.outcome, r.address, r.request_id, r.details,
               r.previous, hash);
    h.seq = r.seq;
    h.hash = hash;
    if (!e) e = head_write(c, l, &h);
    return e;
}

enum err audit_put_in(struct call *c, struct conn *w, const struct audit_entry *a)
{
    assert(c->tenant);
    return put(c, &(struct log){ w, tenant_id(c->tenant) }, a);
}

enum err audit_put_instance_in(struct call *c, struct conn *w, const struct audit_entry *a)
{
    return put(c, &(struct log){ w, "" }, a);
}

static enum err put_alone(struct call *c, struct db *db, const char *name, const struct audit_entry *a)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, db, &w);
    if (!e) e = put(c, &(struct log){ w, name }, a);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err audit_put(struct call *c, const struct audit_entry *a)
{
    if (!c->tenant) return audit_put_instance(c, a);
    return put_alone(c, tenant_db(c->tenant), tenant_id(c->tenant), a);
}

enum err audit_put_instance(struct call *c, const struct audit_entry *a)
{
    return put_alone(c, store_accounts(), "", a);
}

static const char *column(struct call *c, struct rows *rs, int i)
{
    const char *s = rows_text(rs, i);
    return s ? arena_strdup(&c->mem, s) : "";
}

static void row_read(struct call *c, struct rows *rs, struct audit_row *r)
{
    *r = (struct audit_row){
        .seq = rows_int(rs, 0),
        .at_ms = rows_int(rs, 1),
        .actor_kind = column(c, rs, 2),
        .actor = column(c, rs, 3),
        .action = column(c, rs, 4),
        .target = column(c, rs, 5),
        .outcome = column(c, rs, 6),
        .address = column(c, rs, 7),
        .request_id = column(c, rs, 8),
        .details = column(c, rs, 9),
        .previous = column(c, rs, 10),
        .hash = column(c, rs, 11),
    };
}

/* Who a reference or an id is, where that is still known. */
static enum err name_of(struct call *c, const struct log *l, const char *kind, const char *id, const char **out)
{
    struct conn *r = NULL;
    enum err     e = OK;
    if (!*id) return OK;
    if (!strncmp(id, "ref_", 4)) return db_get_text(c, l->k, out, "SELECT user_id FROM person_ref WHERE ref = ?s", id);
    if (strcmp(kind, "account") && strcmp(kind, "key") && strncmp(id, "acc_", 4) && strncmp(id, "key_", 4)) return OK;
    if (*l->name) e = db_read(c, store_accounts(), &r);
    struct conn *k = r ? r : l->k;
    /* Of accounts and keys only those of this creator: another's name is nobody's business here. */
    if (!e && !strncmp(id, "acc_", 4))
        e = *l->name ? db_get_text(c, k, out,
                                   "SELECT CASE WHEN a.full_name <> '' THEN a.full_name ELSE a.email END FROM account a "
                                   "JOIN member m ON m.account_id = a.id WHERE a.id = ?s AND m.creator_id = ?s",
                                   id, l->name)
                     : db_get_text(c, k, out,
                                   "SELECT CASE WHEN full_name <> '' THEN full_name ELSE email END FROM account WHERE id = ?s", id);
    else if (!e)
        e = *l->name ? db_get_text(c, k, out, "SELECT name FROM api_key WHERE id = ?s AND creator_id = ?s", id, l->name)
                     : db_get_text(c, k, out, "SELECT name FROM api_key WHERE id = ?s", id);
    db_release(&r);
    return e;
}

/* What a filter calls a person, as the log does: the reference when there is one. */
static enum err filter_ref(struct call *c, const struct log *l, const char *id, const char **out)
{
    const char *ref = NULL;
    *out = id;
    if (!id || !*id) return OK;
    if (!strncmp(id, AUDIT_USER, strlen(AUDIT_USER))) id += strlen(AUDIT_USER);
    enum err e = db_get_text(c, l->k, &ref, "SELECT ref FROM person_ref WHERE user_id = ?s", ref_key(c, l, id));
    if (!e && ref) *out = ref;
    return e;
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

/* LIKE's own signs stand for themselves. */
static const char *like_of(struct call *c, const char *q)
{
    if (!q || !*q) return NULL;
    char *out = arena_alloc(&c->mem, 2 * strlen(q) + 3), *p = out;
    *p++ = '%';
    for (; *q; q++) {
        if (strchr("%_\\", *q)) *p++ = '\\';
        *p++ = *q;
    }
    *p++ = '%';
    *p = '\0';
    return out;
}

static enum err log_open_read(struct call *c, bool instance, struct log *l)
{
    *l = (struct log){ .name = instance ? "" : tenant_id(c->tenant) };
    return db_read(c, instance ? store_accounts() : tenant_db(c->tenant), &l->k);
}

enum err audit_list(struct call *c, bool instance, const struct audit_filter *f, struct audit_row **out, int *n_out,
                    int64_t *next_out)
{
    struct log   l;
    struct rows *rs = NULL;
    int          n = 0, limit = f->limit > 0 && f->limit <= LIST_MOST ? f->limit : LIST_DEFAULT;
    const char  *actor = NULL, *target = NULL, *action = or_null(f->action), *q = like_of(c, f->q);
    int64_t      none = INT64_MAX;
    struct audit_row *rows = arena_array(&c->mem, (size_t)limit + 1, sizeof *rows);
    enum err e = log_open_read(c, instance, &l);
    if (!e) e = filter_ref(c, &l, or_null(f->actor), &actor);
    if (!e) e = filter_ref(c, &l, or_null(f->target), &target);
    if (!e)
        e = db_select(c, l.k, &rs,
                      "SELECT seq, at_ms, actor_kind, actor, action, target, outcome, address, request_id, details, previous, hash "
                      "FROM audit WHERE seq < ?i AND at_ms >= ?i AND at_ms < ?i AND (?s IS NULL OR actor = ?s) "
                      "AND (?s IS NULL OR action = ?s OR action LIKE ?s || '.%') AND (?s IS NULL OR target = ?s) "
                      "AND (?s IS NULL OR outcome = ?s) AND (?s IS NULL OR action LIKE ?s ESCAPE '\\' OR target LIKE ?s ESCAPE '\\' "
                      "OR details LIKE ?s ESCAPE '\\') ORDER BY seq DESC LIMIT ?i",
                      f->before > 0 ? f->before : none, f->from_ms, f->to_ms > 0 ? f->to_ms : none, actor, actor, action, action,
                      action, target, target, or_null(f->outcome), or_null(f->outcome), q, q, q, q, (int64_t)limit + 1);
    while (!e && n <= limit && rows_next(rs)) row_read(c, rs, &rows[n++]);
    e = rows_close(c, &rs, e);
    bool more = n > limit;
    if (more) n = limit;
    for (int i = 0; !e && i < n; i++) {
        e = name_of(c, &l, rows[i].actor_kind, rows[i].actor, &rows[i].actor_name);
        if (!e) e = name_of(c, &l, "", rows[i].target, &rows[i].target_name);
    }
    db_release(&l.k);
    if (e) return e;
    *out = rows;
    *n_out = n;
    *next_out = more ? rows[n - 1].seq : 0;
    return OK;
}

static void broken(struct audit_state *s, int64_t seq, const char *why)
{
    if (!s->whole) return;
    s->whole = false;
    s->first_broken = seq;
    s->why = why;
}

enum err audit_verify(struct call *c, bool instance, struct audit_state *out)
{
    struct log         l;
    struct rows       *rs = NULL;
    struct audit_head  h;
    struct audit_state s = { .whole = true };
    struct call        work; /* a row's texts go with the row */
    bool               there = false, right = true;
    char               previous[AUDIT_HASH_BYTES] = "", hash[AUDIT_HASH_BYTES] = "";
    enum err e = log_open_read(c, instance, &l);
    if (!e) e = head_read(c, &l, &h, &there);
    if (!e && there) e = head_right(c, &l, &h, &right);
    if (!e)
        e = db_select(c, l.k, &rs,
                      "SELECT seq, at_ms, actor_kind, actor, action, target, outcome, address, request_id, details, previous, hash "
                      "FROM audit ORDER BY seq");
    int64_t expect = !e && there && right ? h.first_seq : 1;
    if (!e) snprintf(previous, sizeof previous, "%s", there && right ? h.first_previous : "");
    while (!e && rows_next(rs)) {
        struct audit_row r;
        call_init(&work);
        row_read(&work, rs, &r);
        audit_hash(&r, hash);
        if (!s.entries) s.first_seq = r.seq;
        if (r.seq != expect) broken(&s, expect, "rows are missing");
        if (strcmp(r.previous, previous)) broken(&s, r.seq, "the row does not follow the one before");
        if (strcmp(r.hash, hash)) broken(&s, r.seq, "the row was changed");
        snprintf(previous, sizeof previous, "%s", r.hash);
        expect = r.seq + 1;
        s.seq = r.seq;
        s.entries++;
        call_dispose(&work);
        e = call_check(c);
    }
    e = rows_close(c, &rs, e);
    db_release(&l.k);
    if (e) return e;
    if (!there && s.entries) broken(&s, s.seq, "the mark of the log's end is missing");
    if (there && !right) broken(&s, s.seq ? s.seq : 1, "the mark of the log's end is not this instance's");
    if (there && right && s.seq < h.seq) broken(&s, s.seq + 1, "rows were cut off the end");
    if (there && right && (s.seq > h.seq || (s.seq == h.seq && strcmp(previous, h.hash))))
        broken(&s, h.seq, "the newest row is not the one that was written last");
    if (there && right && h.broken_seq) broken(&s, h.broken_seq, "the log was found changed when it was added to");
    s.head = arena_strdup(&c->mem, previous);
    *out = s;
    return OK;
}

enum err audit_cut(struct call *c, struct conn *w, bool instance, int64_t before_ms, int64_t *rows_out)
{
    struct log        l = { w, instance ? "" : tenant_id(c->tenant) };
    struct audit_head h;
    int64_t           keep = 0;
    const char       *previous = NULL;
    enum err          e = head_take(c, &l, &h);
    *rows_out = 0;
    if (!e) e = db_get_int(c, w, h.seq, &keep, "SELECT min(seq) FROM audit WHERE at_ms >= ?i", before_ms);
    if (!e && keep > h.first_seq) {
        e = db_get_text(c, w, &previous, "SELECT previous FROM audit WHERE seq = ?i", keep);
        if (!e) e = db_run(c, w, "DELETE FROM audit WHERE seq < ?i", keep);
        if (!e) *rows_out = db_changes(w);
        h.first_seq = keep;
        h.first_previous = previous ? previous : "";
        if (!e) e = head_write(c, &l, &h);
    }
    return e;
}
