/* base/pool.c — a ring of tasks under one mutex. At the sizes used here (a few threads, tasks of a millisecond and
 * more) the lock is never the limit, and first in first out is exact. Workers block every signal: signals are for the
 * main thread. There are no priorities and no cancelling: a task looks at its own call's stop flag. */
/* SPDX-License-Identifier: MIT */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct task {
    void (*run)(void *);
    void *arg;
};

struct pool {
    pthread_mutex_t lock;
    pthread_cond_t  some;
    pthread_t      *threads;
    int             thread_count;
    struct task    *ring;
    int             ring_max, first, waiting, running;
    bool            closing;
};

static void *serve(void *arg)
{
    struct pool *p = arg;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->waiting && !p->closing) pthread_cond_wait(&p->some, &p->lock);
        if (!p->waiting) break;
        struct task t = p->ring[p->first];
        p->first = (p->first + 1) % p->ring_max;
        p->waiting--;
        p->running++;
        pthread_mutex_unlock(&p->lock);
        t.run(t.arg);
        pthread_mutex_lock(&p->lock);
        p->running--;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

struct pool *pool_open(const char *name, int threads, int queue_max)
{
    assert(threads > 0 && queue_max > 0);
    struct pool *p = calloc(1, sizeof *p);
    if (!p) abort();
    p->threads = calloc((size_t)threads, sizeof *p->threads);
    p->ring = calloc((size_t)queue_max, sizeof *p->ring);
    if (!p->threads || !p->ring) abort();
    p->ring_max = queue_max;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->some, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (; p->thread_count < threads; p->thread_count++) {
        char label[16];
        snprintf(label, sizeof label, "%.10s-%u", name, (unsigned)p->thread_count % 10000);
        if (pthread_create(&p->threads[p->thread_count], NULL, serve, p)) {
            fprintf(stderr, "pool: cannot start thread %s\n", label);
            abort();
        }
        pthread_setname_np(p->threads[p->thread_count], label);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p;
}

bool pool_submit(struct pool *p, void (*run)(void *), void *arg)
{
    pthread_mutex_lock(&p->lock);
    bool fits = !p->closing && p->waiting < p->ring_max;
    if (fits) {
        p->ring[(p->first + p->waiting) % p->ring_max] = (struct task){ run, arg };
        p->waiting++;
        pthread_cond_signal(&p->some);
    }
    pthread_mutex_unlock(&p->lock);
    return fits;
}

int pool_waiting(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    int n = p->waiting;
    pthread_mutex_unlock(&p->lock);
    return n;
}

int pool_running(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    int n = p->running;
    pthread_mutex_unlock(&p->lock);
    return n;
}

void pool_close(struct pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->some);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->thread_count; i++) pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->some);
    pthread_mutex_destroy(&p->lock);
    free(p->ring);
    free(p->threads);
    free(p);
}
