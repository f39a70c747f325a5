/* store/jobs_store.c — all SQL of the durable queue. */
/* SPDX-License-Identifier: MIT */
#include "store/jobs_store.h"

#include <string.h>

#include "base/clock.h"
#include "store/db_open.h"
#include "store/store.h"

#define COLUMNS "id, kind, payload, state, progress, error, error_code, attempt, created_ms, updated_ms, owner, cancel"

const char *job_state_word(enum job_state s)
{
    static const char *const word[] = { "queued", "running", "done", "failed", "cancelled" };
    return word[s];
}

static enum job_state state_of(const char *word)
{
    for (int s = JOB_QUEUED; s < JOB_CANCELLED; s++)
        if (word && !strcmp(word, job_state_word((enum job_state)s))) return (enum job_state)s;
    return JOB_CANCELLED;
}

static void read_row(struct call *c, struct rows *r, struct stored_job *out)
{
    struct arena *m = &c->mem;
    *out = (struct stored_job){
        .job = { .id = arena_strdup(m, rows_text(r, 0)),
                 .kind = arena_strdup(m, rows_text(r, 1)),
                 .payload = arena_strdup(m, rows_text(r, 2)),
                 .state = state_of(rows_text(r, 3)),
                 .progress = arena_strdup(m, rows_text(r, 4)),
                 .error = arena_strdup(m, rows_text(r, 5)),
                 .error_code = arena_strdup(m, rows_text(r, 6)),
                 .attempt = (int)rows_int(r, 7),
                 .created_ms = rows_int(r, 8),
                 .updated_ms = rows_int(r, 9) },
        .owner = arena_strdup(m, rows_text(r, 10)),
        .cancel = rows_int(r, 11) != 0,
    };
}

enum err jobs_store_put(struct call *c, struct conn *w, const char *id, const char *kind, const char *payload)
{
    int64_t queued = 0, newest = 0, now = clock_unix_ms();
    enum err e = db_get_int(c, w, 0, &queued, "SELECT count(*) FROM (SELECT 1 FROM job WHERE state = 'queued' LIMIT ?i)",
                            (int64_t)LIMIT_JOBS_QUEUED);
    if (!e && queued >= LIMIT_JOBS_QUEUED) {
        c->retry_after_s = 30;
        e = fail(c, ERR_BUSY, "%d jobs are waiting already", LIMIT_JOBS_QUEUED);
    }
    if (!e)
        e = db_run(c, w,
                   "DELETE FROM job WHERE state NOT IN ('queued', 'running') AND created_ms <= "
                   "(SELECT created_ms FROM job ORDER BY created_ms DESC, id DESC LIMIT 1 OFFSET ?i)",
                   (int64_t)LIMIT_JOBS_KEPT);
    /* Several in one millisecond, or a clock set back: the order of adding is the order of running all the same. */
    if (!e) e = db_get_int(c, w, 0, &newest, "SELECT max(created_ms) FROM job");
    if (now <= newest) now = newest + 1;
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO job(id, kind, payload, state, created_ms, updated_ms) VALUES (?s, ?s, ?s, 'queued', ?i, ?i)",
                   id, kind, payload, now, now);
    return e;
}

enum err jobs_store_add(struct call *c, const char *id, const char *kind, const char *payload)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = jobs_store_put(c, w, id, kind, payload);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err jobs_store_get(struct call *c, const char *id, struct stored_job *out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    bool found = false;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_select(c, r, &rs, "SELECT " COLUMNS " FROM job WHERE id = ?s", id);
    if (!e && (found = rows_next(rs))) read_row(c, rs, out);
    e = rows_close(c, &rs, e);
    db_release(&r);
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such job");
    return e;
}

static enum err collect(struct call *c, struct conn *r, struct rows **rs, int max, enum err e, struct stored_job **out, int *n_out)
{
    struct stored_job *list = NULL;
    int n = 0;
    if (!e) list = arena_array(&c->mem, (size_t)max, sizeof *list);
    while (!e && n < max && rows_next(*rs)) read_row(c, *rs, &list[n++]);
    e = rows_close(c, rs, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err jobs_store_list(struct call *c, int max, struct stored_job **out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rs, "SELECT " COLUMNS " FROM job ORDER BY created_ms DESC, id DESC LIMIT ?i", (int64_t)max);
    return collect(c, r, &rs, max, e, out, n_out);
}

enum err jobs_store_in(struct call *c, enum job_state s, int max, struct stored_job **out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rs,
                      "SELECT " COLUMNS " FROM job WHERE state = ?s AND state IN ('queued', 'running') "
                      "ORDER BY created_ms, id LIMIT ?i",
                      job_state_word(s), (int64_t)max);
    return collect(c, r, &rs, max, e, out, n_out);
}

enum err jobs_store_count(struct call *c, enum job_state s, int *out)
{
    struct conn *r = NULL;
    int64_t n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_get_int(c, r, 0, &n, "SELECT count(*) FROM job WHERE state = ?s AND state IN ('queued', 'running')",
                       job_state_word(s));
    db_release(&r);
    if (!e) *out = (int)n;
    return e;
}

/* Commits the one statement that was run on w, or gives up; says whether it touched its row. */
static enum err settle(struct call *c, struct conn *w, enum err e, bool *won)
{
    bool touched = !e && db_changes(w) == 1;
    if (touched) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *won = touched;
    return e;
}

enum err jobs_store_claim(struct call *c, const char *id, const char *owner, bool *won)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE job SET state = 'running', owner = ?s, attempt = attempt + 1, updated_ms = ?i "
                   "WHERE id = ?s AND state = 'queued'",
                   owner, clock_unix_ms(), id);
    return settle(c, w, e, won);
}

enum err jobs_store_requeue(struct call *c, const char *id, const char *owner, bool attempt_back, bool *won)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE job SET state = 'queued', owner = NULL, attempt = attempt - ?i, updated_ms = ?i "
                   "WHERE id = ?s AND state = 'running' AND owner = ?s",
                   (int64_t)attempt_back, clock_unix_ms(), id, owner);
    return settle(c, w, e, won);
}

enum err jobs_store_finish(struct call *c, const struct job *end, const char *owner, bool *won)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE job SET state = ?s, progress = ?s, error = ?s, error_code = ?s, owner = NULL, updated_ms = ?i "
                   "WHERE id = ?s AND state = 'running' AND owner = ?s",
                   job_state_word(end->state), end->progress, end->error, end->error_code, clock_unix_ms(), end->id, owner);
    return settle(c, w, e, won);
}

enum err jobs_store_ask_cancel(struct call *c, const char *id, bool *won)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_run(c, w, "UPDATE job SET cancel = 1, updated_ms = ?i WHERE id = ?s AND state IN ('queued', 'running')",
                   clock_unix_ms(), id);
    return settle(c, w, e, won);
}

enum err jobs_store_progress(struct call *c, const char *id, const char *owner, const char *progress, bool *cancel_out)
{
    struct conn *w = NULL;
    int64_t cancel = 0;
    enum err e = db_write_within(c, tenant_db(c->tenant), 0, &w);
    if (!e)
        e = db_run(c, w,
                   "UPDATE job SET progress = ?s, updated_ms = ?i WHERE id = ?s AND state = 'running' AND owner = ?s",
                   progress, clock_unix_ms(), id, owner);
    if (!e) e = db_get_int(c, w, 0, &cancel, "SELECT cancel FROM job WHERE id = ?s", id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *cancel_out = cancel != 0;
    return e;
}
