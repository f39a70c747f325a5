/* store/job_workers.c — running jobs. Creators with queued jobs stand in one line and give one job each before it is
 * their turn again, so that a creator with a thousand documents does not hold up one with a single document. Other
 * processes are heard through files in wake/, named by creator: a directory read once a second costs the same for ten
 * creators as for ten thousand. A hint may be lost in a crash; the start of a server looks at every creator. */
/* SPDX-License-Identifier: MIT */
#include "store/job_workers.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/job_live.h"
#include "store/jobs_store.h"
#include "store/owner.h"
#include "store/store.h"

enum { LOOK_MS = 1000, CANDIDATES = 16, FINISH_TRIES = 5, WORKERS_MAX = 64,
       WORKER_NICE = 10 /* somebody waits for a request, nobody for a job */ };

struct lane {                       /* a creator that has or had queued jobs */
    struct lane *next;
    struct lane *behind;            /* in the line */
    char         creator_id[LIMIT_ID_BYTES + 1];
    int          waiting;
    bool         in_line, again;    /* again: look once more, whatever the count says */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  work = PTHREAD_COND_INITIALIZER, closing = PTHREAD_COND_INITIALIZER;
static struct lane    *lanes, *line_first, **line_last = &line_first;
static const struct job_kind *const *_Atomic serving;  /* NULL: closed */
static atomic_bool     stopping;
static pthread_t       threads[WORKERS_MAX + 1];
static int             thread_count;

const struct job_kind *job_kind_in(const struct job_kind *const *kinds, const char *kind)
{
    for (; kinds && *kinds; kinds++)
        if (!strcmp((*kinds)->kind, kind)) return *kinds;
    return NULL;
}

const struct job_kind *job_workers_kind(const char *kind)
{
    return job_kind_in(atomic_load(&serving), kind);
}

bool job_workers_serving(void)
{
    return atomic_load(&serving) != NULL;
}

/* ---- the line of creators; with the lock held ---- */

static struct lane *lane_of(const char *creator_id)
{
    for (struct lane *l = lanes; l; l = l->next)
        if (!strcmp(l->creator_id, creator_id)) return l;
    struct lane *l = calloc(1, sizeof *l);
    if (!l) abort();
    strncpy(l->creator_id, creator_id, sizeof l->creator_id - 1);
    l->next = lanes;
    lanes = l;
    return l;
}

static void stand_in_line(struct lane *l)
{
    if (l->in_line || (l->waiting <= 0 && !l->again)) return;
    l->in_line = true;
    l->behind = NULL;
    *line_last = l;
    line_last = &l->behind;
    pthread_cond_signal(&work);
}

static struct lane *first_in_line(void)
{
    struct lane *l = line_first;
    line_first = l->behind;
    if (!line_first) line_last = &line_first;
    l->in_line = false;
    l->again = false;
    return l;
}

void job_workers_add(const char *creator_id)
{
    pthread_mutex_lock(&lock);
    struct lane *l = lane_of(creator_id);
    l->waiting++;
    stand_in_line(l);
    pthread_mutex_unlock(&lock);
}

int job_workers_waiting(void)
{
    int n = 0;
    pthread_mutex_lock(&lock);
    for (struct lane *l = lanes; l; l = l->next) n += l->waiting;
    pthread_mutex_unlock(&lock);
    return n;
}

void job_workers_hint(const char *creator_id)
{
    char path[4200];
    int n = snprintf(path, sizeof path, "%s/wake", store_dir());
    mkdir(path, 0700);
    snprintf(path + n, sizeof path - (size_t)n, "/%s", creator_id);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

/* ---- one job ---- */

static void describe_end(struct call *c, struct job *end, enum err e, const struct live *l)
{
    end->error = NULL;
    end->error_code = NULL;
    if (!e) {
        end->state = JOB_DONE;
    } else if (atomic_load(&l->cancelled)) {
        end->state = JOB_CANCELLED;
    } else {
        end->state = JOB_FAILED;
        end->error = c->err_text[0] ? c->err_text : err_word(e);
        end->error_code = err_word(e);
    }
}

static void count_end(const struct job *end, int64_t began_us)
{
    char labels[128];
    snprintf(labels, sizeof labels, "kind=\"%.32s\",state=\"%s\"", end->kind, job_state_word(end->state));
    metric_add("chiron_jobs_total", labels, 1);
    snprintf(labels, sizeof labels, "kind=\"%.32s\"", end->kind);
    metric_observe("chiron_job_seconds", labels, (double)(clock_mono_us() - began_us) / 1e6);
}

/* What was half written goes first: a crash in between leaves a running job, which is found again. */
static enum err write_end(struct call *c, const struct job_kind *kind, const struct job *end, const char *owner)
{
    enum err e = OK;
    bool won = false;
    if (end->state != JOB_DONE && kind && kind->dropped) kind->dropped(c, end);
    for (int i = 0; i < FINISH_TRIES; i++) {
        call_forgive(c);
        e = jobs_store_finish(c, end, owner, &won);
        if (!e) break;
        nanosleep(&(struct timespec){ .tv_nsec = 200000000 }, NULL);
    }
    if (e) log_error(c, "the end of a job could not be stored", "job", end->id, "error", c->err_text, NULL);
    return e;
}

/* A call of its own: the job's may be stopped, past its deadline or in error, and its end must be written all the same. */
static enum err end_job(struct call *job_call, const struct job_kind *kind, const struct job *end)
{
    struct call c;
    call_init(&c);
    enum err e = tenant_open(&c, tenant_id(job_call->tenant));
    if (!e) e = write_end(&c, kind, end, owner_mark());
    tenant_release(&c);
    call_dispose(&c);
    return e;
}

static enum err put_back(struct call *job_call, const char *id)
{
    struct call c;
    bool won;
    call_init(&c);
    enum err e = tenant_open(&c, tenant_id(job_call->tenant));
    if (!e) e = jobs_store_requeue(&c, id, owner_mark(), true, &won);
    tenant_release(&c);
    call_dispose(&c);
    return e;
}

static enum err run_claimed(struct call *c, const struct job_kind *kind, struct live *l)
{
    struct stored_job s;
    int64_t began_us = clock_mono_us();
    enum err e = jobs_store_get(c, l->id, &s);
    if (e) return e;
    if (s.cancel) live_cancel(l->id);
    bell_ring();
    c->stop = &l->stop;
    log_info(c, "job began", "job", l->id, "kind", s.job.kind, "attempt", log_int(c, s.job.attempt), NULL);
    e = call_check(c);
    if (!e) e = kind->run(c, &s.job);
    c->stop = NULL;
    if (e == ERR_CANCELLED && !atomic_load(&l->cancelled)) {
        enum err put = put_back(c, l->id);
        return put ? put : e;
    }
    const char *progress = live_progress_of(c, l->id);
    if (progress) s.job.progress = progress;
    describe_end(c, &s.job, e, l);
    enum err stored = end_job(c, kind, &s.job);
    count_end(&s.job, began_us);
    log_info(c, "job ended", "job", l->id, "kind", s.job.kind, "state", job_state_word(s.job.state), "error", s.job.error, NULL);
    return stored ? stored : e;
}

struct watched {                    /* a job and the thread that watches over it */
    struct live       *live;
    const atomic_bool *parent_stop;
    atomic_bool        over;
};

static void *watch(void *arg)
{
    struct watched *w = arg;
    while (!atomic_load(&w->over)) {
        if (atomic_load(w->parent_stop)) atomic_store(&w->live->stop, true);
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
    }
    return NULL;
}

enum err job_run(struct call *c, const struct job_kind *kind, const char *id, const atomic_bool *parent_stop, bool *won)
{
    pthread_t watcher;
    /* Before the claim: from then on a job of this process that is not live counts as left behind. */
    struct live *l = live_add(tenant_id(c->tenant), id);
    struct watched w = { .live = l, .parent_stop = parent_stop };
    bool claimed = false;
    enum err e = jobs_store_claim(c, id, owner_mark(), &claimed);
    if (!e && claimed) {
        if (parent_stop && pthread_create(&watcher, NULL, watch, &w)) abort();
        e = run_claimed(c, kind, l);
        atomic_store(&w.over, true);
        if (parent_stop) pthread_join(watcher, NULL);
    }
    live_remove(l);
    *won = claimed;
    return e;
}

/* ---- what earlier and other processes left ---- */

static enum err give_up(struct call *c, const struct stored_job *s)
{
    struct job end = s->job;
    const struct job_kind *kind = job_workers_kind(end.kind);
    end.state = s->cancel ? JOB_CANCELLED : JOB_FAILED;
    if (end.state == JOB_FAILED) {
        end.error = arena_printf(&c->mem, "the process ended %d times while this ran", end.attempt);
        end.error_code = err_word(ERR_INTERNAL);
    }
    return write_end(c, kind, &end, s->owner);
}

/* Jobs whose process has ended go back to the queue, or to their end when that happened too often. */
static enum err take_back(struct call *c, bool *others)
{
    struct stored_job *list = NULL;
    int n = 0;
    bool won;
    enum err e = jobs_store_in(c, JOB_RUNNING, LIMIT_JOBS_QUEUED, &list, &n);
    *others = false;
    for (int i = 0; !e && i < n; i++) {
        const struct stored_job *s = &list[i];
        const struct job_kind *kind = job_workers_kind(s->job.kind);
        bool mine = s->owner && !strcmp(s->owner, owner_mark());
        if (mine ? live_has(s->job.id) : owner_alive(s->owner)) {
            *others = *others || !mine;
            continue;
        }
        bool last = kind && s->job.attempt >= (kind->tries > 0 ? kind->tries : 1);
        if (last || (kind && s->cancel))
            e = give_up(c, s);
        else
            e = jobs_store_requeue(c, s->job.id, s->owner, false, &won);
    }
    return e;
}

static void look_at(const char *creator_id)
{
    struct call c;
    int queued = 0;
    bool others = false;
    call_init(&c);
    enum err e = tenant_open(&c, creator_id);
    if (!e) e = take_back(&c, &others);
    if (!e) e = jobs_store_count(&c, JOB_QUEUED, &queued);
    tenant_release(&c);
    if (e && e != ERR_NOT_FOUND) log_warn(&c, "cannot look for jobs", "creator", creator_id, "error", c.err_text, NULL);
    call_dispose(&c);
    if (others || (e && e != ERR_NOT_FOUND)) job_workers_hint(creator_id);
    if (e) return;
    pthread_mutex_lock(&lock);
    struct lane *l = lane_of(creator_id);
    if (queued > l->waiting) l->waiting = queued;
    stand_in_line(l);
    pthread_mutex_unlock(&lock);
}

static void look_at_all(void)
{
    struct call c;
    const char **ids = NULL;
    int n = 0;
    call_init(&c);
    enum err e = tenant_list(&c, &ids, &n);
    for (int i = 0; !e && i < n && !atomic_load(&stopping); i++) look_at(ids[i]);
    if (e) log_error(&c, "cannot list creators", "error", c.err_text, NULL);
    call_dispose(&c);
}

static void look_at_hints(void)
{
    enum { AT_ONCE = 256 };
    static char names[AT_ONCE][LIMIT_ID_BYTES + 1];
    char path[4200];
    int n = 0, len = snprintf(path, sizeof path, "%s/wake", store_dir());
    /* A process died and left no hint: what it ran, and what only it knew was queued, may be anybody's. */
    owner_bury();
    snprintf(path + len, sizeof path - (size_t)len, "/.all");
    if (!unlink(path)) look_at_all();
    path[len] = 0;
    DIR *d = opendir(path);
    if (!d) return;
    for (struct dirent *f; n < AT_ONCE && (f = readdir(d));)
        if (*f->d_name != '.' && strlen(f->d_name) <= LIMIT_ID_BYTES) memcpy(names[n++], f->d_name, strlen(f->d_name) + 1);
    closedir(d);
    for (int i = 0; i < n; i++) {
        snprintf(path + len, sizeof path - (size_t)len, "/%s", names[i]);
        unlink(path);
        look_at(names[i]);
    }
}

/* Somebody in another process may have asked for the end of a job that reports no progress. */
static void look_for_cancels(void)
{
    struct call c;
    const char **creators, **jobs;
    call_init(&c);
    int n = live_list(&c, &creators, &jobs);
    for (int i = 0; i < n; i++) {
        struct stored_job s;
        enum err e = tenant_open(&c, creators[i]);
        if (!e) e = jobs_store_get(&c, jobs[i], &s);
        if (!e && s.cancel && s.job.state == JOB_RUNNING) live_cancel(jobs[i]);
        tenant_release(&c);
        call_forgive(&c);
    }
    call_dispose(&c);
}

static void *janitor(void *arg)
{
    (void)arg;
    look_at_all();
    while (!atomic_load(&stopping)) {
        look_at_hints();
        look_for_cancels();
        pthread_mutex_lock(&lock);
        for (struct lane *l = lanes; l; l = l->next) stand_in_line(l);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_MS / 1000;
        int rc = 0;
        while (!atomic_load(&stopping) && rc != ETIMEDOUT) rc = pthread_cond_timedwait(&closing, &lock, &until);
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

/* ---- workers ---- */

/* Runs the oldest job of a creator that this process knows how to run. *some: there was one. */
static enum err run_next(struct call *c, struct lane *lane, bool *some)
{
    struct stored_job *list = NULL;
    int n = 0;
    enum err e = jobs_store_in(c, JOB_QUEUED, CANDIDATES, &list, &n);
    for (int i = 0; !e && i < 2 * n && !atomic_load(&stopping); i++) {
        const struct job_kind *kind = job_workers_kind(list[i % n].job.kind);
        const char *id = list[i % n].job.id;
        bool won = false;
        /* Those that give way have their turn after all others. */
        if (!kind || kind->gives_way != (i >= n) || live_has(id)) continue;
        pthread_mutex_lock(&lock);
        if (lane->waiting > 0) lane->waiting--;
        stand_in_line(lane);
        pthread_mutex_unlock(&lock);
        e = job_run(c, kind, id, NULL, &won);
        *some = won;
        if (won) return OK; /* how it ended is written in its row */
    }
    return e;
}

static void *worker(void *arg)
{
    (void)arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), WORKER_NICE);
    for (;;) {
        struct call c;
        pthread_mutex_lock(&lock);
        while (!line_first && !atomic_load(&stopping)) pthread_cond_wait(&work, &lock);
        struct lane *lane = atomic_load(&stopping) ? NULL : first_in_line();
        pthread_mutex_unlock(&lock);
        if (!lane) return NULL;
        call_init(&c);
        enum err e = tenant_open(&c, lane->creator_id);
        bool some = false;
        if (!e) e = run_next(&c, lane, &some);
        tenant_release(&c);
        if (e) log_warn(&c, "cannot take a job", "creator", lane->creator_id, "error", c.err_text, NULL);
        call_dispose(&c);
        pthread_mutex_lock(&lock);
        /* After an error the janitor brings it back; without any job the count was wrong. */
        if (!e && !some) lane->waiting = 0;
        lane->again = some;
        stand_in_line(lane);
        pthread_mutex_unlock(&lock);
    }
}

void job_workers_open(const struct job_kind *const *kinds, int wanted)
{
    assert(!job_workers_serving() && wanted > 0 && wanted <= WORKERS_MAX);
    sigset_t all, before;
    atomic_store(&stopping, false);
    atomic_store(&serving, kinds);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (thread_count = 0; thread_count <= wanted; thread_count++) {
        if (pthread_create(&threads[thread_count], NULL, thread_count ? worker : janitor, NULL)) abort();
        pthread_setname_np(threads[thread_count], thread_count ? "jobs" : "jobs-janitor");
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void job_workers_close(void)
{
    if (!job_workers_serving()) return;
    pthread_mutex_lock(&lock);
    atomic_store(&stopping, true);
    pthread_cond_broadcast(&work);
    pthread_cond_broadcast(&closing);
    pthread_mutex_unlock(&lock);
    live_stop_all();
    for (int i = 0; i < thread_count; i++) pthread_join(threads[i], NULL);
    atomic_store(&serving, NULL);
    while (lanes) {
        struct lane *l = lanes;
        lanes = l->next;
        free(l);
    }
    line_first = NULL;
    line_last = &line_first;
}
