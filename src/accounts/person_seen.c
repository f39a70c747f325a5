/* Who was here. A table of hashes tells in one look whether somebody was noted this hour; two people on one place only cost a
 * second note. Notes wait in a bounded list, are taken together and written a creator at a time. A note that cannot be
 * written is dropped: the next hour brings another. It refuses to note those who work here: their sign-ins are sessions. */
/* SPDX-License-Identifier: MIT */
#include "accounts/person_seen.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "accounts/person_store.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/store.h"

enum { PLACES = 1 << 15, WAITING_MAX = 1024 };
#define HOUR_MS   3600000
#define GATHER_MS 300          /* notes that come together are written together */

static _Atomic uint64_t places[PLACES];
static uint64_t         salt;

static struct {
    pthread_mutex_t     lock;
    pthread_cond_t      wake, idle;
    pthread_t           thread;
    bool                stop, hurry, busy;
    atomic_bool         running;
    int                 n;
    struct person_sight list[WAITING_MAX];
} waiting = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .idle = PTHREAD_COND_INITIALIZER };

static uint64_t mix(uint64_t h, const char *s)
{
    for (; *s; s++) h = (h ^ (unsigned char)*s) * 1099511628211u;
    return (h ^ '/') * 1099511628211u;
}

/* Never 0, which is an empty place. */
static uint64_t sight_hash(const struct call *c, const char *user_id)
{
    uint64_t h = mix(mix(salt ^ (uint64_t)(clock_unix_ms() / HOUR_MS), c->creator_id), user_id);
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9u;
    h ^= h >> 32;
    return h | 1;
}

static void note(struct call *c, const char *user_id, bool visitor)
{
    uint64_t          h = sight_hash(c, user_id);
    _Atomic uint64_t *place = &places[(h >> 1) % PLACES];
    if (atomic_load_explicit(place, memory_order_relaxed) == h) return;
    atomic_store_explicit(place, h, memory_order_relaxed);
    pthread_mutex_lock(&waiting.lock);
    if (waiting.n < WAITING_MAX) {
        struct person_sight *s = &waiting.list[waiting.n++];
        memcpy(s->creator_id, c->creator_id, sizeof s->creator_id);
        snprintf(s->user_id, sizeof s->user_id, "%s", user_id);
        s->visitor = visitor;
        if (waiting.n == 1) pthread_cond_signal(&waiting.wake);
    } else {
        atomic_store_explicit(place, 0, memory_order_relaxed);
    }
    pthread_mutex_unlock(&waiting.lock);
}

void person_seen_as(struct call *c, const char *user_id)
{
    if (!c->tenant || !*user_id || !atomic_load_explicit(&waiting.running, memory_order_relaxed)) return;
    note(c, user_id, !strcmp(c->role, "visitor") && !strcmp(c->user_id, user_id));
}

void person_seen(struct call *c)
{
    bool coached = c->key_id[0] || !strcmp(c->role, "user") || !strcmp(c->role, "visitor");
    if (coached && !c->account_id[0]) person_seen_as(c, c->user_id);
}

static int by_creator(const void *a, const void *b)
{
    return strcmp(((const struct person_sight *)a)->creator_id, ((const struct person_sight *)b)->creator_id);
}

static void write_all(struct person_sight *list, int n)
{
    int64_t now = clock_unix_ms();
    qsort(list, (size_t)n, sizeof *list, by_creator);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && !strcmp(list[i].creator_id, list[end].creator_id);) end++;
        struct call c;
        call_init(&c);
        enum err e = tenant_open(&c, list[i].creator_id);
        if (!e) e = person_seen_save(&c, list + i, end - i, now);
        /* A creator that was erased meanwhile has nobody to note. */
        if (e && e != ERR_NOT_FOUND) log_warn(&c, "people who were seen could not be noted", "error", c.err_text, NULL);
        tenant_release(&c);
        call_dispose(&c);
    }
}

static void gather(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += GATHER_MS * 1000000L;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (!waiting.stop && !waiting.hurry)
        if (pthread_cond_timedwait(&waiting.wake, &waiting.lock, &until)) break;
}

static void *run(void *arg)
{
    struct person_sight *list = arg;
    pthread_mutex_lock(&waiting.lock);
    for (;;) {
        while (!waiting.n && !waiting.stop) {
            pthread_cond_broadcast(&waiting.idle);
            pthread_cond_wait(&waiting.wake, &waiting.lock);
        }
        if (!waiting.n) break;
        waiting.busy = true;
        gather();
        waiting.hurry = false;
        int n = waiting.n;
        memcpy(list, waiting.list, (size_t)n * sizeof *list);
        waiting.n = 0;
        pthread_mutex_unlock(&waiting.lock);
        write_all(list, n);
        pthread_mutex_lock(&waiting.lock);
        waiting.busy = false;
    }
    pthread_cond_broadcast(&waiting.idle);
    pthread_mutex_unlock(&waiting.lock);
    free(list);
    return NULL;
}

enum err person_seen_open(struct call *c)
{
    struct person_sight *list = calloc(WAITING_MAX, sizeof *list);
    if (!list) abort();
    id_random(&salt, sizeof salt);
    waiting.stop = waiting.hurry = waiting.busy = false;
    waiting.n = 0;
    if (pthread_create(&waiting.thread, NULL, run, list)) {
        free(list);
        return fail(c, ERR_INTERNAL, "no thread to note who was seen");
    }
    atomic_store(&waiting.running, true);
    return OK;
}

void person_seen_flush(void)
{
    pthread_mutex_lock(&waiting.lock);
    while (atomic_load(&waiting.running) && (waiting.n || waiting.busy)) {
        waiting.hurry = true;
        pthread_cond_signal(&waiting.wake);
        pthread_cond_wait(&waiting.idle, &waiting.lock);
    }
    pthread_mutex_unlock(&waiting.lock);
}

void person_seen_close(void)
{
    if (!atomic_load(&waiting.running)) return;
    pthread_mutex_lock(&waiting.lock);
    waiting.stop = true;
    pthread_cond_signal(&waiting.wake);
    pthread_mutex_unlock(&waiting.lock);
    pthread_join(waiting.thread, NULL);
    atomic_store(&waiting.running, false);
}
