/* store/jobs.h — the durable queue: work that outlives the process. A job is a row of its creator's database; it is
 * claimed by one worker at a time, survives kill -9 (it is claimed again at start) and runs at most `tries` times.
 *     e = jobs_add(c, "ingest", payload_json, &job_id);     // inside: its own transaction; durable when OK
 *     jobs_subscribe(job_id, on_event, arg);                // live progress in this process                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_JOBS_H
#define CHIRON_STORE_JOBS_H
#include "base/call.h"

/* queued → running → done | failed | cancelled. A job found running at start was killed: it goes back to queued. */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELLED };
const char *job_state_word(enum job_state s);              /* "queued", … */

struct job {
    const char    *id;            /* "job_…" */
    const char    *kind;          /* "ingest" */
    const char    *payload;       /* JSON object */
    enum job_state state;
    const char    *progress;      /* JSON object, the last reported, "{}" at first */
    const char    *error;         /* words, NULL unless failed */
    const char    *error_code;    /* err_word, NULL unless failed */
    int            attempt;       /* from 1 while running */
    int64_t        created_ms, updated_ms;   /* unix */
};

/* A kind's handler runs on a job worker thread with c->tenant open and c->stop set when it is cancelled or the process
 * stops. OK → done. ERR_CANCELLED by the user → cancelled; by a stopping process → queued again. Other → failed. */
struct job_kind {
    const char *kind;
    int         tries;            /* claims after crashes; errors do not retry */
    enum err  (*run)(struct call *c, const struct job *j);
    void      (*dropped)(struct call *c, const struct job *j);  /* after failed or cancelled: remove what it half wrote; may be NULL */
    bool        gives_way;        /* begun only when its creator has no job of another kind, and may step back for others by
                                   * ending with ERR_CANCELLED unasked: then it is queued again */
};

/* kinds: NULL-ended. Claims what earlier processes left in every creator, then serves with `threads` workers. */
MUST_CHECK enum err jobs_open(struct call *c, const struct job_kind *const *kinds, int threads);
void jobs_close(void);            /* stops running jobs at their next check; they are queued again */

/* Inside the caller's write transaction on c->tenant's database: the job exists when that commits and only then.
 * jobs_announce after the commit sets it going; without it the job waits for the next start. */
struct conn;
MUST_CHECK enum err jobs_put(struct call *c, struct conn *w, const char *kind, const char *payload, const char **id_out);
void jobs_announce(struct call *c, const char *kind);
MUST_CHECK enum err jobs_add(struct call *c, const char *kind, const char *payload, const char **id_out);
MUST_CHECK enum err jobs_get(struct call *c, const char *id, struct job *out);          /* in c->mem; ERR_NOT_FOUND */
MUST_CHECK enum err jobs_list(struct call *c, int max, struct job **out, int *n_out);   /* newest first */
MUST_CHECK enum err jobs_cancel(struct call *c, const char *id);                        /* ERR_CONFLICT when it has ended */
/* Run one job in the calling thread (the CLI without a server); returns the job's own error. */
MUST_CHECK enum err jobs_run_here(struct call *c, const struct job_kind *const *kinds, const char *id);

/* From inside run(): record progress (JSON object). Stored at most every 500 ms, published at once. */
void jobs_progress(struct call *c, const struct job *j, const char *progress_json);
/* Wait until the job's progress or state has changed since *seen (0 at first) or timeout; *seen moves on. Any thread. */
MUST_CHECK enum err jobs_wait(struct call *c, const char *id, int64_t *seen, int64_t timeout_ms, struct job *out);
int jobs_waiting(void);           /* queued in this process, all creators */
#endif
