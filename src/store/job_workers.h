/* store/job_workers.h — who runs the jobs: worker threads, the janitor that finds work left or added by other
 * processes, and the running of one job.                                                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_JOB_WORKERS_H
#define CHIRON_STORE_JOB_WORKERS_H
#include "store/jobs.h"

void job_workers_open(const struct job_kind *const *kinds, int threads);
void job_workers_close(void);
bool job_workers_serving(void);                              /* between open and close */
int  job_workers_waiting(void);
void job_workers_add(const char *creator_id);                /* one more queued job there */
void job_workers_hint(const char *creator_id);               /* to whichever process serves: look at this creator */
const struct job_kind *job_workers_kind(const char *kind);   /* NULL: not known here */

const struct job_kind *job_kind_in(const struct job_kind *const *kinds, const char *kind);
/* Claims one queued job of c->tenant and runs it to its end in this thread. *won false: another got it first.
 * parent_stop: ends it too, as the end of the process does; may be NULL. */
MUST_CHECK enum err job_run(struct call *c, const struct job_kind *kind, const char *id, const atomic_bool *parent_stop, bool *won);
#endif
