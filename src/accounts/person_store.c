/* All SQL of the people being coached. The text that is searched is folded when the row is written, so a search needs no fold
 * in SQL and means the same in every database. It refuses to take an address from the one who has it. */
/* SPDX-License-Identifier: MIT */
#include "accounts/person_store.h"

#include <stdlib.h>
#include <string.h>

#include "store/erased.h"
#include "accounts/label.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

static struct person person_row(struct call *c, struct rows *r)
{
    return (struct person){ .id = arena_strdup(&c->mem, rows_text(r, 0)), .kind = arena_strdup(&c->mem, rows_text(r, 1)),
                            .email = arena_strdup(&c->mem, rows_text(r, 2)), .name = arena_strdup(&c->mem, rows_text(r, 3)),
                            .plan = arena_strdup(&c->mem, rows_text(r, 4)), .attributes = arena_strdup(&c->mem, rows_text(r, 5)),
                            .created_ms = rows_int(r, 6), .seen_ms = rows_int(r, 7) };
}

/* The row of an open result, when there is one; closes it. */
static enum err one_row(struct call *c, struct rows **rows, enum err e, struct person *out, bool *found_out)
{
    struct person p = { 0 };
    bool          found = false;
    if (!e && rows_next(*rows)) {
        p = person_row(c, *rows);
        found = true;
    }
    e = rows_close(c, rows, e);
    if (e) return e;
    if (found) *out = p;
    *found_out = found;
    return OK;
}

static enum err by_id(struct call *c, struct conn *k, const char *id, struct person *out, bool *found_out)
{
    struct rows *rows = NULL;
    enum err     e = db_select(c, k, &rows, "SELECT id, kind, email, name, plan, attributes, created_ms, seen_ms FROM person WHERE id = ?s", id);
    return one_row(c, &rows, e, out, found_out);
}

enum err person_load(struct call *c, const char *id, struct person *out, bool *found_out)
{
    struct conn *r = NULL;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = by_id(c, r, id, out, found_out);
    db_release(&r);
    return e;
}

enum err person_load_email(struct call *c, const char *email, struct person *out, bool *found_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) {
        e = db_select(c, r, &rows, "SELECT id, kind, email, name, plan, attributes, created_ms, seen_ms FROM person WHERE email = ?s", email);
        e = one_row(c, &rows, e, out, found_out);
    }
    db_release(&r);
    return e;
}

enum err person_load_list(struct call *c, const char *like, int offset, int limit, struct person **out, int *n_out, int64_t *total_out)
{
    struct conn   *r = NULL;
    struct rows   *rows = NULL;
    struct person *list = arena_array(&c->mem, (size_t)limit, sizeof *list);
    int64_t        total = 0;
    int            n = 0;
    enum err       e = db_read(c, tenant_db(c->tenant), &r);
    if (!e && like)
        e = db_select(c, r, &rows, "SELECT id, kind, email, name, plan, attributes, created_ms, seen_ms FROM person "
                                   "WHERE folded LIKE ?s ESCAPE '\\' ORDER BY created_ms DESC, id DESC LIMIT ?i OFFSET ?i",
                      like, (int64_t)limit, (int64_t)offset);
    else if (!e)
        e = db_select(c, r, &rows, "SELECT id, kind, email, name, plan, attributes, created_ms, seen_ms FROM person "
                                   "ORDER BY created_ms DESC, id DESC LIMIT ?i OFFSET ?i", (int64_t)limit, (int64_t)offset);
    while (!e && n < limit && rows_next(rows)) list[n++] = person_row(c, rows);
    e = rows_close(c, &rows, e);
    /* Looking for few goes through all: a first page that is not full has counted them already. */
    if (offset == 0 && n < limit)
        total = n;
    else if (!e && like)
        e = db_get_int(c, r, 0, &total, "SELECT count(*) FROM person WHERE folded LIKE ?s ESCAPE '\\'", like);
    else if (!e)
        e = db_get_int(c, r, 0, &total, "SELECT count(*) FROM person");
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    *total_out = total;
    return OK;
}

/* One name per line: a search never matches across two of them, because folded text holds no line end. */
static const char *folded(struct call *c, const struct person *p)
{
    return arena_printf(&c->mem, "%s\n%s\n%s", label_fold(c, p->id), label_fold(c, p->name), label_fold(c, p->email ? p->email : ""));
}

static enum err address_free(struct call *c, struct conn *w, const struct person *p)
{
    const char *holder = NULL;
    if (!p->email) return OK;
    enum err e = db_get_text(c, w, &holder, "SELECT id FROM person WHERE email = ?s", p->email);
    if (!e && holder && strcmp(holder, p->id)) {
        e = fail(c, ERR_CONFLICT, "this e-mail address is another user's");
        memcpy(c->err_field, "email", sizeof "email");
    }
    return e;
}

static enum err identity_put(struct call *c, struct conn *w, const struct person *p, int64_t now)
{
    enum err e = db_run(c, w, "DELETE FROM person_identity WHERE kind = 'email' AND user_id = ?s", p->id);
    if (!e && p->email)
        e = db_run(c, w, "INSERT INTO person_identity(kind, value, user_id, created_ms) VALUES ('email', ?s, ?s, ?i) "
                         "ON CONFLICT (kind, value) DO UPDATE SET user_id = excluded.user_id", p->email, p->id, now);
    return e;
}

enum err person_save(struct call *c, const struct person *p, unsigned which, struct person *out, bool *made_out)
{
    struct conn  *w = NULL;
    struct person now = { 0 };
    bool          known = false;
    int64_t       at = clock_unix_ms();
    enum err      e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, p->id);
    if (!e) e = by_id(c, w, p->id, &now, &known);
    if (!e && !known)
        now = (struct person){ .id = p->id, .kind = p->kind, .name = "", .plan = "free", .attributes = "{}", .created_ms = at };
    if (!e) {
        if (which & PERSON_NAME) now.name = p->name;
        if (which & PERSON_EMAIL) now.email = p->email;
        if (which & PERSON_PLAN) now.plan = p->plan;
        if (which & PERSON_ATTRIBUTES) now.attributes = p->attributes;
        e = address_free(c, w, &now);
    }
    if (!e && !known)
        e = db_run(c, w, "INSERT INTO person(id, kind, email, name, plan, attributes, created_ms, updated_ms, folded) "
                         "VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?i, ?i, ?s)",
                   now.id, now.kind, now.email, now.name, now.plan, now.attributes, at, at, folded(c, &now));
    else if (!e && which)
        e = db_run(c, w, "UPDATE person SET email = ?s, name = ?s, plan = ?s, attributes = ?s, updated_ms = ?i, folded = ?s WHERE id = ?s",
                   now.email, now.name, now.plan, now.attributes, at, folded(c, &now), now.id);
    if (!e && (which & PERSON_EMAIL)) e = identity_put(c, w, &now, at);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    *out = now;
    *made_out = !known;
    return OK;
}

enum err person_plan_load(struct call *c, struct db *db, const char *id, const char **out)
{
    struct conn *r = NULL;
    const char  *plan = NULL;
    enum err     e = db_read(c, db, &r);
    if (!e) e = db_get_text(c, r, &plan, "SELECT plan FROM person WHERE id = ?s", id);
    db_release(&r);
    if (!e) *out = plan;
    return e;
}

static enum err seen_one(struct call *c, struct conn *w, const struct person_sight *s, int64_t at_ms)
{
    enum err e = erased_check(c, w, s->user_id);
    if (e == ERR_CONFLICT) {
        call_forgive(c);
        return OK;
    }
    if (e) return e;
    return db_run(c, w, "INSERT INTO person(id, kind, created_ms, updated_ms, seen_ms, folded) SELECT ?s, ?s, ?i, ?i, ?i, ?s "
                        "WHERE NOT EXISTS (SELECT 1 FROM person_identity WHERE kind = 'visitor' AND value = ?s) "
                        "ON CONFLICT (id) DO UPDATE SET seen_ms = excluded.seen_ms",
                  s->user_id, s->visitor ? "visitor" : "external", at_ms, at_ms, at_ms,
                  folded(c, &(struct person){ .id = s->user_id, .name = "" }), s->user_id);
}

enum err person_seen_save(struct call *c, const struct person_sight *list, int n, int64_t at_ms)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; i < n && !e; i++) e = seen_one(c, w, &list[i], at_ms);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
