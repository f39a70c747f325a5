/* knowledge/collections.c — one entry per creator with the newest snapshot of their collection. An entry's snapshot leaves
 * when all together are over the bound, least recently used first; searches that hold it finish undisturbed. Readers of
 * the generation that is there never wait for one that is being read in. What takes long and can wait, the merging of
 * large runs, is done by one thread behind, of low priority. It refuses to look inside a collection. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "knowledge/collection_follow.h"
#include "knowledge/postings.h"
#include "knowledge/search_store.h"

struct entry {
    struct entry *next;
    char creator[LIMIT_ID_BYTES + 1];
    pthread_mutex_t refresh;
    struct collection *now;          /* NULL: nothing read yet, or evicted */
    size_t bytes;
    uint64_t used;
    bool untidy;                     /* the keeper has something to do here */
    int busy;                        /* threads inside; it is not freed meanwhile */
};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;   /* entries, their now, bytes, used, busy */
static struct entry *entries;
static uint64_t uses;
static size_t bytes_max = (size_t)LIMIT_INDEX_BYTES;
static bool over;                    /* one collection alone is more than the bound; said once */
static struct {
    pthread_t thread;
    pthread_cond_t wake;
    bool running, stop;
} keeper = { .wake = PTHREAD_COND_INITIALIZER };

static struct entry *entry_enter(const char *creator)
{
    pthread_mutex_lock(&lock);
    struct entry *e = entries;
    while (e && strcmp(e->creator, creator) != 0) e = e->next;
    if (!e) {
        if (!(e = calloc(1, sizeof *e))) abort();
        snprintf(e->creator, sizeof e->creator, "%s", creator);
        pthread_mutex_init(&e->refresh, NULL);
        e->next = entries;
        entries = e;
    }
    e->busy++;
    e->used = ++uses;
    pthread_mutex_unlock(&lock);
    return e;
}

/* Called with lock held: the least recently used entries go until the rest fits; keep stays. */
static void evict(const struct entry *keep, struct collection **old, int max, int *n)
{
    for (;;) {
        size_t sum = 0;
        struct entry *oldest = NULL;
        for (struct entry *e = entries; e; e = e->next) {
            sum += e->bytes;
            if (e != keep && e->now && (!oldest || e->used < oldest->used)) oldest = e;
        }
        metric_set("chiron_index_bytes", NULL, (double)sum);
        metric_set("chiron_index_over_bytes", NULL, sum > bytes_max ? (double)(sum - bytes_max) : 0);
        if (sum <= bytes_max || !oldest || *n == max) {
            if (sum > bytes_max && !oldest && !over)
                log_warn(NULL, "one creator's index is larger than KNOWLEDGE_INDEX_MIB; it is searched all the same", "creator",
                         keep->creator, NULL);
            over = sum > bytes_max;
            return;
        }
        metric_add("chiron_index_evictions_total", NULL, 1);
        old[(*n)++] = oldest->now;
        oldest->now = NULL;
        oldest->bytes = 0;
    }
}

static struct collection *current(struct entry *en, int64_t generation)
{
    pthread_mutex_lock(&lock);
    struct collection *now = en->now && collection_generation(en->now) >= generation ? en->now : NULL;
    if (now) collection_retain(now);
    pthread_mutex_unlock(&lock);
    return now;
}

/* ---- the thread behind ---- */

static void publish(struct entry *en, struct collection *fresh)
{
    en->now = fresh;
    en->bytes = fresh ? collection_bytes(fresh) : 0;
    en->untidy = fresh && collection_untidy(fresh);
}

/* Called with lock held; it is not while the work is done. */
static void tidy(struct entry *en)
{
    struct collection *col = en->now, *now, *fresh = NULL;
    struct postings *was[2];
    collection_retain(col);
    en->busy++;
    pthread_mutex_unlock(&lock);
    struct postings *merged = collection_tidy(col, was);
    pthread_mutex_lock(&en->refresh);
    pthread_mutex_lock(&lock);
    now = en->now;
    if (now) collection_retain(now);
    pthread_mutex_unlock(&lock);
    if (merged && now) fresh = collection_tidied(now, was, merged);
    else postings_release(merged);
    pthread_mutex_lock(&lock);
    if (fresh && en->now == now) {
        publish(en, fresh);
        fresh = now;                 /* the entry's reference to it goes */
    } else {
        en->untidy = en->now && fresh && collection_untidy(en->now);
    }
    en->busy--;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&en->refresh);
    collection_release(fresh);
    collection_release(now);
    collection_release(col);
    pthread_mutex_lock(&lock);
}

static void *keep_house(void *arg)
{
    (void)arg;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
    pthread_mutex_lock(&lock);
    while (!keeper.stop) {
        struct entry *en = entries;
        while (en && !(en->untidy && en->now)) en = en->next;
        if (en) tidy(en);
        else pthread_cond_wait(&keeper.wake, &lock);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Called with lock held. Without the thread searches go on, over more runs. */
static void call_keeper(void)
{
    if (!keeper.running) {
        keeper.stop = false;
        keeper.running = pthread_create(&keeper.thread, NULL, keep_house, NULL) == 0;
    }
    pthread_cond_signal(&keeper.wake);
}

/* ---- */

static enum err refresh(struct call *c, struct conn *r, int64_t generation, struct entry *en, struct collection **out)
{
    struct collection *fresh = NULL, *gone[16];
    int n = 0;
    pthread_mutex_lock(&lock);
    struct collection *old = en->now, *was;   /* stays for those whose generation it is */
    if (old) collection_retain(old);
    pthread_mutex_unlock(&lock);
    enum err e = collection_follow(c, r, generation, old, &fresh);
    /* After an error rows may have been appended that no snapshot counts: the old base is not continued. */
    pthread_mutex_lock(&lock);
    was = en->now;
    publish(en, fresh);
    if (fresh) collection_retain(fresh);
    if (en->untidy) call_keeper();
    evict(en, gone, 16, &n);
    pthread_mutex_unlock(&lock);
    collection_release(was);
    collection_release(old);
    while (n > 0) collection_release(gone[--n]);
    if (!e) *out = fresh;
    return e;
}

enum err collection_get(struct call *c, struct conn *r, int64_t generation, struct collection **out)
{
    struct entry *en = entry_enter(c->creator_id);
    struct collection *col = current(en, generation);
    enum err e = OK;
    if (!col) {
        pthread_mutex_lock(&en->refresh);
        col = current(en, generation);
        if (!col) e = refresh(c, r, generation, en, &col);
        pthread_mutex_unlock(&en->refresh);
    }
    pthread_mutex_lock(&lock);
    en->busy--;
    pthread_mutex_unlock(&lock);
    if (!e) *out = col;
    return e;
}

void collection_renew(struct call *c)
{
    struct entry *en = entry_enter(c->creator_id);
    struct collection *fresh = NULL, *newer = NULL, *was = NULL;
    struct conn *r = NULL;
    int64_t generation = 0;
    pthread_mutex_lock(&lock);
    bool held = en->now != NULL;
    pthread_mutex_unlock(&lock);
    enum err e = held ? search_store_begin(c, &r, &generation) : OK;
    if (!e && held) e = collection_follow(c, r, generation, NULL, &fresh);
    search_store_end(&r);
    /* What changed while it was read is little. */
    pthread_mutex_lock(&en->refresh);
    if (!e && fresh) e = search_store_begin(c, &r, &generation);
    if (!e && fresh) e = collection_follow(c, r, generation, fresh, &newer);
    if (!e && newer) {
        pthread_mutex_lock(&lock);
        was = en->now;
        publish(en, newer);
        if (en->untidy) call_keeper();
        pthread_mutex_unlock(&lock);
    }
    pthread_mutex_unlock(&en->refresh);
    search_store_end(&r);
    collection_release(was);
    collection_release(fresh);
    pthread_mutex_lock(&lock);
    en->busy--;
    pthread_mutex_unlock(&lock);
    if (e) call_forgive(c);
}

void collections_open(size_t max_bytes)
{
    bytes_max = max_bytes;
}

void collection_forget(const char *creator_id)
{
    pthread_mutex_lock(&lock);
    for (struct entry *e = entries; e; e = e->next) {
        if (strcmp(e->creator, creator_id) != 0) continue;
        collection_release(e->now);
        e->now = NULL;
        e->bytes = 0;
    }
    pthread_mutex_unlock(&lock);
}

void collections_close(void)
{
    pthread_mutex_lock(&lock);
    keeper.stop = true;
    pthread_cond_signal(&keeper.wake);
    bool ran = keeper.running;
    pthread_mutex_unlock(&lock);
    if (ran) pthread_join(keeper.thread, NULL);
    pthread_mutex_lock(&lock);
    keeper.running = false;
    while (entries) {
        struct entry *e = entries;
        assert(e->busy == 0);
        entries = e->next;
        collection_release(e->now);
        pthread_mutex_destroy(&e->refresh);
        free(e);
    }
    pthread_mutex_unlock(&lock);
}

size_t collections_bytes(void)
{
    size_t sum = 0;
    pthread_mutex_lock(&lock);
    for (struct entry *e = entries; e; e = e->next) sum += e->bytes;
    pthread_mutex_unlock(&lock);
    return sum;
}
