/* store/job_live.h — the jobs this process runs right now: their stop flags and latest progress, and the bell that
 * rings when anything about any job changed here. Any thread.                                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_JOB_LIVE_H
#define CHIRON_STORE_JOB_LIVE_H
#include <stdatomic.h>

#include "store/jobs.h"

struct live {
    struct live *next;
    char         id[LIMIT_ID_BYTES + 1];
    char         creator_id[LIMIT_ID_BYTES + 1];
    atomic_bool  stop;          /* the call's stop flag */
    atomic_bool  cancelled;     /* stop was asked for by somebody, not by the end of the process */
    char        *progress;      /* heap; NULL: none yet */
    int64_t      stored_ms;     /* monotonic: when progress was last written down */
};

struct live *live_add(const char *creator_id, const char *job_id);
void live_remove(struct live *l);                              /* frees; rings */
bool live_has(const char *job_id);
bool live_cancel(const char *job_id);                          /* false: not running here */
void live_stop_all(void);
/* Takes a copy of progress and rings. *store_now: it is time to write it down. false: not running here. */
bool live_progress(const char *job_id, const char *progress, bool *store_now);
const char *live_progress_of(struct call *c, const char *job_id);   /* in c->mem; NULL: none */
/* Creator and job ids of all, in c->mem; count returned. */
int  live_list(struct call *c, const char ***creators, const char ***jobs);

void    bell_ring(void);
int64_t bell_count(void);
void    bell_wait(int64_t since, int64_t wait_ms);             /* until it rang after `since`, or wait_ms */
#endif
