/* store/job_live.c — what is known about running jobs without asking the database. One lock for all: there are as many
 * entries as workers. One bell for all: who waits for a job looks again when it rings, which is cheap and cannot miss. */
/* SPDX-License-Identifier: MIT */
#include "store/job_live.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum { STORE_EVERY_MS = 500 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  bell;
static pthread_once_t  once = PTHREAD_ONCE_INIT;
static struct live    *first;
static int64_t         rings;

static void open_once(void)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&bell, &a);
    pthread_condattr_destroy(&a);
}

static void ring_locked(void)
{
    pthread_once(&once, open_once);
    rings++;
    pthread_cond_broadcast(&bell);
}

void bell_ring(void)
{
    pthread_mutex_lock(&lock);
    ring_locked();
    pthread_mutex_unlock(&lock);
}

int64_t bell_count(void)
{
    pthread_mutex_lock(&lock);
    int64_t n = rings;
    pthread_mutex_unlock(&lock);
    return n;
}

void bell_wait(int64_t since, int64_t wait_ms)
{
    pthread_once(&once, open_once);
    int64_t until = clock_mono_ms() + wait_ms;
    struct timespec t = { until / 1000, until % 1000 * 1000000 };
    pthread_mutex_lock(&lock);
    while (rings == since && clock_mono_ms() < until) pthread_cond_timedwait(&bell, &lock, &t);
    pthread_mutex_unlock(&lock);
}

static struct live *find(const char *job_id)
{
    struct live *l = first;
    while (l && strcmp(l->id, job_id)) l = l->next;
    return l;
}

struct live *live_add(const char *creator_id, const char *job_id)
{
    struct live *l = calloc(1, sizeof *l);
    if (!l) abort();
    strncpy(l->id, job_id, sizeof l->id - 1);
    strncpy(l->creator_id, creator_id, sizeof l->creator_id - 1);
    l->stored_ms = clock_mono_ms();
    pthread_mutex_lock(&lock);
    l->next = first;
    first = l;
    pthread_mutex_unlock(&lock);
    return l;
}

void live_remove(struct live *l)
{
    pthread_mutex_lock(&lock);
    struct live **at = &first;
    while (*at != l) at = &(*at)->next;
    *at = l->next;
    ring_locked();
    pthread_mutex_unlock(&lock);
    free(l->progress);
    free(l);
}

bool live_has(const char *job_id)
{
    pthread_mutex_lock(&lock);
    bool has = find(job_id) != NULL;
    pthread_mutex_unlock(&lock);
    return has;
}

bool live_cancel(const char *job_id)
{
    pthread_mutex_lock(&lock);
    struct live *l = find(job_id);
    if (l) {
        atomic_store(&l->cancelled, true);
        atomic_store(&l->stop, true);
        ring_locked();
    }
    pthread_mutex_unlock(&lock);
    return l != NULL;
}

void live_stop_all(void)
{
    pthread_mutex_lock(&lock);
    for (struct live *l = first; l; l = l->next) atomic_store(&l->stop, true);
    ring_locked();
    pthread_mutex_unlock(&lock);
}

bool live_progress(const char *job_id, const char *progress, bool *store_now)
{
    char *copy = strdup(progress);
    if (!copy) abort();
    pthread_mutex_lock(&lock);
    struct live *l = find(job_id);
    if (l) {
        char *old = l->progress;
        l->progress = copy;
        copy = old;
        int64_t now = clock_mono_ms();
        *store_now = now - l->stored_ms >= STORE_EVERY_MS;
        if (*store_now) l->stored_ms = now;
        ring_locked();
    }
    pthread_mutex_unlock(&lock);
    free(copy);
    return l != NULL;
}

const char *live_progress_of(struct call *c, const char *job_id)
{
    pthread_mutex_lock(&lock);
    struct live *l = find(job_id);
    const char *p = l ? arena_strdup(&c->mem, l->progress) : NULL;
    pthread_mutex_unlock(&lock);
    return p;
}

int live_list(struct call *c, const char ***creators, const char ***jobs)
{
    int n = 0, i = 0;
    pthread_mutex_lock(&lock);
    for (struct live *l = first; l; l = l->next) n++;
    *creators = arena_array(&c->mem, (size_t)n + 1, sizeof **creators);
    *jobs = arena_array(&c->mem, (size_t)n + 1, sizeof **jobs);
    for (struct live *l = first; l; l = l->next, i++) {
        (*creators)[i] = arena_strdup(&c->mem, l->creator_id);
        (*jobs)[i] = arena_strdup(&c->mem, l->id);
    }
    pthread_mutex_unlock(&lock);
    return n;
}
