/* coaching/coaching_store.c — all SQL of coaching. A turn is one row: what the lists and the history need stands in
 * columns, the rest is the trace, kept as the JSON it is shown as. It refuses to give a turn to anyone but its user
 * when a user is named: the filter is in the statement, not in the caller. */
/* SPDX-License-Identifier: MIT */
#include "coaching/coaching_store.h"

#include "accounts/audit.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

static struct coach coach_row(struct call *c, struct rows *r)
{
    return (struct coach){ .id = arena_strdup(&c->mem, rows_text(r, 0)), .name = arena_strdup(&c->mem, rows_text(r, 1)),
                           .description = arena_strdup(&c->mem, rows_text(r, 2)), .language = arena_strdup(&c->mem, rows_text(r, 3)),
                           .expertise = arena_strdup(&c->mem, rows_text(r, 4)), .method = arena_strdup(&c->mem, rows_text(r, 5)),
                           .style = arena_strdup(&c->mem, rows_text(r, 6)), .created_ms = rows_int(r, 7) };
}

enum err coach_load(struct call *c, const char *id, struct coach *out, bool *found_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    struct coach coach = { 0 };
    bool found = false;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e && id)
        e = db_select(c, r, &rows, "SELECT id, name, description, language, expertise, method, style, created_ms "
                                   "FROM coach WHERE id = ?s", id);
    else if (!e)
        e = db_select(c, r, &rows, "SELECT id, name, description, language, expertise, method, style, created_ms "
                                   "FROM coach ORDER BY created_ms, id LIMIT 1");
    if (!e && rows_next(rows)) {
        coach = coach_row(c, rows);
        found = true;
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (found) *out = coach;
    *found_out = found;
    return OK;
}

enum err coach_save(struct call *c, const struct coach *coach, bool keep_existing)
{
    struct conn *w = NULL;
    int64_t now = clock_unix_ms();
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e && keep_existing)
        e = db_run(c, w, "INSERT INTO coach(id, name, description, language, expertise, method, style, created_ms, updated_ms) "
                         "VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?i, ?i) ON CONFLICT (id) DO NOTHING",
                   coach->id, coach->name, coach->description, coach->language, coach->expertise, coach->method, coach->style,
                   now, now);
    else if (!e)
        e = db_run(c, w, "INSERT INTO coach(id, name, description, language, expertise, method, style, created_ms, updated_ms) "
                         "VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?i, ?i) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
                         "description = excluded.description, language = excluded.language, expertise = excluded.expertise, "
                         "method = excluded.method, style = excluded.style, updated_ms = excluded.updated_ms",
                   coach->id, coach->name, coach->description, coach->language, coach->expertise, coach->method, coach->style,
                   now, now);
    if (!e && !keep_existing) e = audit_put_in(c, w, &(struct audit_entry){ "coach.change", coach->id, "done", NULL });
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err turn_save(struct call *c, const struct turn_row *t)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, t->user_id);
    if (!e)
        e = db_run(c, w, "INSERT INTO turn(id, conversation_id, user_id, coach_id, question, answer, covered, step, confidence, "
                         "took_ms, created_ms, trace) VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?i, ?s, ?d, ?d, ?i, ?s)",
                   t->id, t->conversation_id, t->user_id, t->coach_id, t->question, t->answer, (int64_t)t->covered, t->step,
                   t->confidence, t->took_ms, t->created_ms, t->trace);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err turn_load_trace(struct call *c, const char *id, const char *user_id, const char **trace_out)
{
    struct conn *r = NULL;
    const char *trace = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e && user_id)
        e = db_get_text(c, r, &trace, "SELECT trace FROM turn WHERE id = ?s AND user_id = ?s", id, user_id);
    else if (!e)
        e = db_get_text(c, r, &trace, "SELECT trace FROM turn WHERE id = ?s", id);
    db_release(&r);
    if (e) return e;
    if (!trace) return fail(c, ERR_NOT_FOUND, "no turn %.64s", id);
    *trace_out = trace;
    return OK;
}

enum err turn_load_list(struct call *c, const char *user_id, int max, struct turn_row **out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    struct turn_row *list = arena_array(&c->mem, (size_t)max, sizeof *list);
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e && user_id)
        e = db_select(c, r, &rows, "SELECT id, question, covered, created_ms, took_ms, confidence FROM turn WHERE user_id = ?s "
                                   "ORDER BY created_ms DESC, id DESC LIMIT ?i", user_id, (int64_t)max);
    else if (!e)
        e = db_select(c, r, &rows, "SELECT id, question, covered, created_ms, took_ms, confidence FROM turn "
                                   "ORDER BY created_ms DESC, id DESC LIMIT ?i", (int64_t)max);
    while (!e && n < max && rows_next(rows))
        list[n++] = (struct turn_row){ .id = arena_strdup(&c->mem, rows_text(rows, 0)),
                                       .question = arena_strdup(&c->mem, rows_text(rows, 1)), .covered = rows_int(rows, 2) != 0,
                                       .created_ms = rows_int(rows, 3), .took_ms = rows_real(rows, 4),
                                       .confidence = rows_real(rows, 5) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err turn_load_history(struct call *c, const char *conversation_id, const char *user_id, int max, struct turn_row **out,
                           int *n_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    struct turn_row *list = arena_array(&c->mem, (size_t)max, sizeof *list);
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT question, answer FROM turn WHERE conversation_id = ?s AND user_id = ?s AND covered = 1 "
                                   "ORDER BY created_ms DESC, id DESC LIMIT ?i", conversation_id, user_id, (int64_t)max);
    while (!e && n < max && rows_next(rows))
        list[n++] = (struct turn_row){ .question = arena_strdup(&c->mem, rows_text(rows, 0)),
                                       .answer = arena_strdup(&c->mem, rows_text(rows, 1)) };
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    for (int i = 0; i < n / 2; i++) {
        struct turn_row swap = list[i];
        list[i] = list[n - 1 - i];
        list[n - 1 - i] = swap;
    }
    *out = list;
    *n_out = n;
    return OK;
}
