/* store/jobs.c — the queue's door: adding, asking, cancelling, waiting. The row is the truth; what runs in this process
 * only adds newer progress to it. Waiting compares a fingerprint of what a watcher would see, so it works the same for
 * jobs of this process (at once, by the bell) and of another (by looking twice a second). */
/* SPDX-License-Identifier: MIT */
#include "store/jobs.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "store/job_live.h"
#include "store/job_workers.h"
#include "store/jobs_store.h"
#include "store/owner.h"
#include "store/store.h"

enum { LOOK_MS = 500, STOP_LOOK_MS = 100, PROGRESS_BYTES = 16 * 1024 };

enum err jobs_open(struct call *c, const struct job_kind *const *kinds, int threads)
{
    if (threads < 1 || threads > 64) return fail(c, ERR_INVALID, "1 to 64 job workers, not %d", threads);
    if (!*owner_mark()) return fail(c, ERR_INTERNAL, "the store is not open");
    job_workers_open(kinds, threads);
    return OK;
}

void jobs_close(void)
{
    job_workers_close();
}

int jobs_waiting(void)
{
    return job_workers_waiting();
}

void jobs_announce(struct call *c, const char *kind)
{
    if (job_workers_serving() && job_workers_kind(kind))
        job_workers_add(tenant_id(c->tenant));
    else
        job_workers_hint(tenant_id(c->tenant));
}

static enum err check_payload(struct call *c, const char *payload)
{
    if (strlen(payload) <= LIMIT_JOB_PAYLOAD_BYTES) return OK;
    return fail(c, ERR_TOO_LARGE, "a job's payload has over %d bytes", LIMIT_JOB_PAYLOAD_BYTES);
}

enum err jobs_put(struct call *c, struct conn *w, const char *kind, const char *payload, const char **id_out)
{
    char id[ID_BYTES];
    enum err e = check_payload(c, payload);
    if (!e) e = jobs_store_put(c, w, id_new("job", id), kind, payload);
    if (!e) *id_out = arena_strdup(&c->mem, id);
    return e;
}

enum err jobs_add(struct call *c, const char *kind, const char *payload, const char **id_out)
{
    char id[ID_BYTES];
    enum err e = check_payload(c, payload);
    if (!e) e = jobs_store_add(c, id_new("job", id), kind, payload);
    if (e) return e;
    jobs_announce(c, kind);
    *id_out = arena_strdup(&c->mem, id);
    return OK;
}

static void add_live(struct call *c, struct job *j)
{
    const char *newer = j->state == JOB_RUNNING ? live_progress_of(c, j->id) : NULL;
    if (newer) j->progress = newer;
}

enum err jobs_get(struct call *c, const char *id, struct job *out)
{
    struct stored_job s;
    enum err e = jobs_store_get(c, id, &s);
    if (e) return e;
    add_live(c, &s.job);
    *out = s.job;
    return OK;
}

enum err jobs_list(struct call *c, int max, struct job **out, int *n_out)
{
    struct stored_job *list = NULL;
    int n = 0;
    if (max < 1) max = 1;
    if (max > LIMIT_JOBS_KEPT) max = LIMIT_JOBS_KEPT;
    enum err e = jobs_store_list(c, max, &list, &n);
    if (e) return e;
    struct job *jobs = arena_array(&c->mem, (size_t)n, sizeof *jobs);
    for (int i = 0; i < n; i++) {
        add_live(c, &list[i].job);
        jobs[i] = list[i].job;
    }
    *out = jobs;
    *n_out = n;
    return OK;
}

/* A queued job is ended by claiming it: whoever claims it sees that it was cancelled and goes no further. */
enum err jobs_cancel(struct call *c, const char *id)
{
    struct stored_job s;
    bool asked = false, won = false;
    enum err e = jobs_store_get(c, id, &s);
    if (!e) e = jobs_store_ask_cancel(c, id, &asked);
    if (e) return e;
    if (!asked) return fail(c, ERR_CONFLICT, "the job has ended");
    bell_ring();
    if (live_cancel(id)) return OK;
    const struct job_kind *kind = job_workers_kind(s.job.kind);
    if (!kind) {
        job_workers_hint(tenant_id(c->tenant));
        return OK;
    }
    struct call own;
    call_init(&own);
    e = tenant_open(&own, tenant_id(c->tenant));
    if (!e) e = job_run(&own, kind, id, NULL, &won);
    if (e == ERR_CANCELLED) e = OK;
    if (e) e = fail(c, e, "%s", own.err_text);
    tenant_release(&own);
    call_dispose(&own);
    return e;
}

void jobs_progress(struct call *c, const struct job *j, const char *progress_json)
{
    struct call own;
    bool store_now = false, cancel = false;
    if (strlen(progress_json) > PROGRESS_BYTES) return;
    if (!live_progress(j->id, progress_json, &store_now) || !store_now) return;
    /* Its failure is no failure of the job, so it gets a call of its own; the tenant is borrowed. */
    call_init(&own);
    own.tenant = c->tenant;
    if (!jobs_store_progress(&own, j->id, owner_mark(), progress_json, &cancel) && cancel) live_cancel(j->id);
    call_dispose(&own);
}

static bool ended(const struct job *j)
{
    return j->state != JOB_QUEUED && j->state != JOB_RUNNING;
}

static int64_t fingerprint(const struct job *j)
{
    uint64_t h = 14695981039346656037u;
    const char *parts[] = { job_state_word(j->state), j->progress, j->error ? j->error : "" };
    for (int i = 0; i < 3; i++) {
        for (const char *p = parts[i]; *p; p++) h = (h ^ (unsigned char)*p) * 1099511628211u;
        h = (h ^ (unsigned)j->attempt) * 1099511628211u;
    }
    return (int64_t)(h | 1);
}

enum err jobs_wait(struct call *c, const char *id, int64_t *seen, int64_t timeout_ms, struct job *out)
{
    int64_t end_ms = clock_mono_ms() + timeout_ms;
    for (;;) {
        /* Rows read while waiting must not pile up in the caller's memory: it may wait for hours. */
        struct call look;
        struct job j;
        int64_t heard = bell_count(), mark = 0, left;
        bool over = false;
        call_init(&look);
        look.tenant = c->tenant;
        look.stop = c->stop;
        enum err e = jobs_get(&look, id, &j);
        if (e) e = fail(c, e, "%s", look.err_text);
        if (!e) {
            mark = fingerprint(&j);
            over = ended(&j);
        }
        call_dispose(&look);
        if (!e) e = call_check(c);
        if (e) return e;
        left = end_ms - clock_mono_ms();
        if (mark != *seen || over || left <= 0) {
            e = jobs_get(c, id, out);
            if (!e) *seen = fingerprint(out);
            return e;
        }
        for (int64_t until = clock_mono_ms() + (left < LOOK_MS ? left : LOOK_MS); clock_mono_ms() < until;) {
            int64_t piece = until - clock_mono_ms();
            bell_wait(heard, c->stop && piece > STOP_LOOK_MS ? STOP_LOOK_MS : piece);
            if (bell_count() != heard || (c->stop && atomic_load(c->stop))) break;
        }
    }
}

static enum err code_of(const char *word)
{
    for (int e = OK + 1; e < ERR_COUNT; e++)
        if (word && !strcmp(word, err_word((enum err)e))) return (enum err)e;
    return ERR_INTERNAL;
}

/* Another process got it first: its end is awaited and told as if it had run here. */
static enum err await_end(struct call *c, const char *id)
{
    struct job j;
    int64_t seen = 0;
    do {
        enum err e = jobs_wait(c, id, &seen, LOOK_MS, &j);
        if (e) return e;
    } while (!ended(&j));
    if (j.state == JOB_DONE) return OK;
    if (j.state == JOB_CANCELLED) return fail(c, ERR_CANCELLED, "the job was cancelled");
    return fail(c, code_of(j.error_code), "%s", j.error ? j.error : "the job failed");
}

enum err jobs_run_here(struct call *c, const struct job_kind *const *kinds, const char *id)
{
    struct call own;
    struct stored_job s;
    bool won = false;
    enum err e = jobs_store_get(c, id, &s);
    if (e) return e;
    const struct job_kind *kind = job_kind_in(kinds, s.job.kind);
    if (!kind) return fail(c, ERR_INVALID, "no kind of job %s here", s.job.kind);
    /* Left running by a process that died, with no server there to take it back. */
    if (s.job.state == JOB_RUNNING && !owner_alive(s.owner)) e = jobs_store_requeue(c, id, s.owner, false, &won);
    if (e) return e;
    won = false;
    job_workers_hint(tenant_id(c->tenant)); /* should this process die, a server will look after the job */
    call_init(&own);
    e = tenant_open(&own, tenant_id(c->tenant));
    if (!e) e = job_run(&own, kind, id, c->stop, &won);
    if (e) e = fail(c, e, "%s", own.err_text);
    tenant_release(&own);
    call_dispose(&own);
    return e || won ? e : await_end(c, id);
}
