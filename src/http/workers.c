/* http/workers.c — why not base/pool: a handler that streams to a slow reader holds its thread for minutes, and it is
 * known only after it began. Such a thread steps out of the ordinary count and a spare takes its place; when its stream
 * ends it goes if it is one too many. Nobody is ever moved between threads, so handlers stay plain blocking code.
 * Refuses to grow without limit: ordinary + streaming_max threads, queue_max waiting tasks. */
/* SPDX-License-Identifier: MIT */
#include "http/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Handlers go through JSON of bounded depth, SQLite and TLS; the pages are only used when touched. */
#define STACK_BYTES (1024 * 1024)

struct task {
    void (*run)(void *);
    void *arg;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t  more;
    struct task    *queue;        /* ring of queue_max */
    int             queue_max, head, waiting;
    int             wanted;       /* ordinary threads there should be */
    int             ordinary;     /* and are */
    int             streaming, streaming_max;
    int             threads;      /* started and not yet joined */
    int             idle;         /* waiting for a task */
    bool            waking;       /* one was woken and has not arrived */
    bool            closing;
    pthread_t       ended;        /* the last thread that went, to be joined by the next one or by close */
    bool            ended_set;
    pthread_cond_t  gone;
};

static _Thread_local bool is_streaming;

static void *worker_main(void *arg);

static bool start_thread(struct workers *w)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);   /* signals belong to the main thread */
    pthread_t t;
    bool ok = pthread_create(&t, &attr, worker_main, w) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return ok;
}

struct workers *workers_open(int ordinary, int streaming_max, int queue_max)
{
    assert(ordinary > 0 && queue_max > 0 && streaming_max >= 0);
    struct workers *w = calloc(1, sizeof *w);
    if (!w || !(w->queue = calloc((size_t)queue_max, sizeof *w->queue))) abort();
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);   /* held for nanoseconds: sleeping costs more */
    pthread_mutex_init(&w->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    pthread_cond_init(&w->more, NULL);
    pthread_cond_init(&w->gone, NULL);
    w->queue_max = queue_max;
    w->wanted = ordinary;
    w->streaming_max = streaming_max;
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < ordinary && start_thread(w); i++) {
        w->ordinary++;
        w->threads++;
    }
    if (w->ordinary == 0) {
        fputs("http: no worker thread can be started\n", stderr);
        abort();
    }
    pthread_mutex_unlock(&w->lock);
    return w;
}

/* One at a time: the woken thread wakes the next when there is more to do. Waking all at once for tasks of a few
 * microseconds costs more than the tasks. */
static void wake_one(struct workers *w)
{
    if (w->waking || w->idle == 0 || w->waiting == 0) return;
    w->waking = true;
    pthread_cond_signal(&w->more);
}

bool workers_submit(struct workers *w, void (*run)(void *), void *arg)
{
    pthread_mutex_lock(&w->lock);
    bool ok = !w->closing && w->waiting < w->queue_max;
    if (ok) {
        w->queue[(w->head + w->waiting) % w->queue_max] = (struct task){ run, arg };
        w->waiting++;
        wake_one(w);
    }
    pthread_mutex_unlock(&w->lock);
    return ok;
}

bool workers_stream(struct workers *w)
{
    if (is_streaming) return true;
    pthread_mutex_lock(&w->lock);
    bool ok = w->streaming < w->streaming_max;
    if (ok && !w->closing && w->ordinary <= w->wanted) {
        ok = start_thread(w);
        if (ok) {
            w->ordinary++;
            w->threads++;
        }
    }
    if (ok) {
        w->streaming++;
        w->ordinary--;
        is_streaming = true;
    }
    pthread_mutex_unlock(&w->lock);
    return ok;
}

/* Threads that go are joined by the one that goes after them, so none is left as a zombie and close joins only one. */
static void leave(struct workers *w)
{
    pthread_t before = w->ended;
    bool join = w->ended_set;
    w->ended = pthread_self();
    w->ended_set = true;
    w->ordinary--;
    pthread_mutex_unlock(&w->lock);
    if (join) pthread_join(before, NULL);
    pthread_mutex_lock(&w->lock);
    w->threads--;
    pthread_cond_broadcast(&w->gone);
    pthread_mutex_unlock(&w->lock);
}

static void *worker_main(void *arg)
{
    struct workers *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->waiting == 0 && !w->closing && w->ordinary <= w->wanted) {
            w->idle++;
            pthread_cond_wait(&w->more, &w->lock);
            w->idle--;
            w->waking = false;
        }
        if (w->ordinary > w->wanted || w->waiting == 0) break;
        struct task t = w->queue[w->head];
        w->head = (w->head + 1) % w->queue_max;
        w->waiting--;
        wake_one(w);
        pthread_mutex_unlock(&w->lock);
        t.run(t.arg);
        pthread_mutex_lock(&w->lock);
        if (is_streaming) {
            is_streaming = false;
            w->streaming--;
            w->ordinary++;
        }
    }
    leave(w);
    return NULL;
}

int workers_waiting(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    int n = w->waiting;
    pthread_mutex_unlock(&w->lock);
    return n;
}

int workers_threads(struct workers *w)
{
    pthread_mutex_lock(&w->lock);
    int n = w->threads;
    pthread_mutex_unlock(&w->lock);
    return n;
}

void workers_close(struct workers *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->more);
    while (w->threads > 0) pthread_cond_wait(&w->gone, &w->lock);
    pthread_t last = w->ended;
    bool join = w->ended_set;
    pthread_mutex_unlock(&w->lock);
    if (join) pthread_join(last, NULL);
    pthread_cond_destroy(&w->gone);
    pthread_cond_destroy(&w->more);
    pthread_mutex_destroy(&w->lock);
    free(w->queue);
    free(w);
}
