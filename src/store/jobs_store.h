/* store/jobs_store.h — the job table of one creator (c->tenant). Every change of state is one atomic UPDATE that names
 * the state it expects, so that several processes may work on one table.                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_JOBS_STORE_H
#define CHIRON_STORE_JOBS_STORE_H
#include "store/jobs.h"

struct stored_job {
    struct job  job;         /* in c->mem */
    const char *owner;       /* mark of the process that runs it, or NULL */
    bool        cancel;      /* asked to stop */
};
/* ERR_BUSY: LIMIT_JOBS_QUEUED wait already. Also removes the oldest ended jobs over LIMIT_JOBS_KEPT. */
struct conn;
MUST_CHECK enum err jobs_store_put(struct call *c, struct conn *w, const char *id, const char *kind, const char *payload);
/* The same in a transaction of its own. */
MUST_CHECK enum err jobs_store_add(struct call *c, const char *id, const char *kind, const char *payload);
MUST_CHECK enum err jobs_store_get(struct call *c, const char *id, struct stored_job *out);         /* ERR_NOT_FOUND */
MUST_CHECK enum err jobs_store_list(struct call *c, int max, struct stored_job **out, int *n_out);  /* newest first */
/* Jobs in a state, oldest first, at most max. */
MUST_CHECK enum err jobs_store_in(struct call *c, enum job_state s, int max, struct stored_job **out, int *n_out);
MUST_CHECK enum err jobs_store_count(struct call *c, enum job_state s, int *out);
/* queued → running for owner, attempt + 1. *won: it was this caller who did it. */
MUST_CHECK enum err jobs_store_claim(struct call *c, const char *id, const char *owner, bool *won);
/* running by owner → queued. attempt_back: this attempt does not count. */
MUST_CHECK enum err jobs_store_requeue(struct call *c, const char *id, const char *owner, bool attempt_back, bool *won);
/* running by owner → an end. */
MUST_CHECK enum err jobs_store_finish(struct call *c, const struct job *end, const char *owner, bool *won);
/* Asks for the end of a job that is queued or running. *won false: it has ended. */
MUST_CHECK enum err jobs_store_ask_cancel(struct call *c, const char *id, bool *won);
/* Keeps progress unless the writer is busy; *cancel_out: somebody asked for the end. */
MUST_CHECK enum err jobs_store_progress(struct call *c, const char *id, const char *owner, const char *progress, bool *cancel_out);
#endif
