/* knowledge/collections.c — one entry per creator with the newest snapshot of their collection. An entry's snapshot leaves
 * when all together are over the bound, least recently used first; searches that hold it finish undisturbed. Readers of
 * the generation that is there never wait for one that is being read in. What takes long and can wait, the merging of
 * large runs and the writing of index files, is done by one thread behind, of low priority; what it wrote takes the place
 * of what was in memory, so that rows read from the file need none. A writer of much makes the snapshot itself before it
 * commits; the first search that reads the new generation puts it in its place, however long the commit takes to return.
 * It refuses to look inside a collection. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "knowledge/collection_follow.h"
#include "knowledge/index_file.h"
#include "knowledge/postings.h"
#include "knowledge/search_store.h"
#include "store/store.h"

struct entry {
    struct entry *next;
    char creator[LIMIT_ID_BYTES + 1];
    pthread_mutex_t refresh;
    struct collection *now;          /* NULL: nothing read yet, or evicted */
    struct collection *coming;       /* of the generation that a writer is about to commit; refresh is the writer's */
    size_t bytes;
    uint64_t used;
    bool untidy;                     /* runs are to be merged */
    uint32_t on_file;                /* items in the index file, 0: there is none */
    int64_t changed_ms, wrote_ms;    /* monotonic; of the last change, and of the last writing or try */
    int64_t took_ms;                 /* the last writing or try */
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
    bool running;
    atomic_bool stop;
    uint32_t least;
    int64_t quiet_ms;
} keeper = { .wake = PTHREAD_COND_INITIALIZER, .least = 4096, .quiet_ms = 5000 };
/* Between two writings of a creator's file: so many times quiet_ms, and so many times what the last one took. A large
 * creator from whom something is taken out every minute is not read anew all the time. */
enum { AGAIN_QUIET = 4, AGAIN_TOOK = 8 };

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

static void publish(struct entry *en, struct collection *fresh)
{
    en->now = fresh;
    en->bytes = fresh ? collection_bytes(fresh) : 0;
    en->untidy = fresh && collection_untidy(fresh);
}

static struct collection *current(struct entry *en, int64_t generation)
{
    struct collection *was = NULL;
    pthread_mutex_lock(&lock);
    if (en->coming && collection_generation(en->coming) == generation) {   /* who asks has read it: it is committed */
        was = en->now;
        publish(en, en->coming);
        en->coming = NULL;
    }
    struct collection *now = en->now && collection_generation(en->now) >= generation ? en->now : NULL;
    if (now) collection_retain(now);
    pthread_mutex_unlock(&lock);
    collection_release(was);
    return now;
}

/* ---- the thread behind ---- */

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

/* Called with lock held: is the file so far behind that it is worth writing? */
static bool stale(const struct entry *en)
{
    if (!en->now) return false;
    uint32_t n = collection_count(en->now);
    return n >= keeper.least && (en->on_file == 0 || collection_removed(en->now) || n - en->on_file > en->on_file / 20 + keeper.least / 8);
}

/* Not while changes come, unless it has become twice as much. */
static bool due(const struct entry *en, int64_t now_ms)
{
    int64_t since = now_ms - en->wrote_ms;
    if (!stale(en) || since < AGAIN_QUIET * keeper.quiet_ms || since < AGAIN_TOOK * en->took_ms) return false;
    return now_ms - en->changed_ms >= keeper.quiet_ms || (!collection_removed(en->now) && collection_count(en->now) / 2 > en->on_file);
}

/* The snapshot to write: without what was taken out. NULL: it cannot be read now. */
static struct collection *without_removed(struct call *c, struct collection *col)
{
    struct collection *fresh = NULL;
    struct conn *r = NULL;
    int64_t generation = 0;
    if (collection_removed(col) == 0) {
        collection_retain(col);
        return col;
    }
    enum err e = search_store_begin(c, &r, &generation);
    if (!e) e = collection_follow(c, r, generation, NULL, &fresh);
    search_store_end(&r);
    return e ? NULL : fresh;
}

/* Puts a snapshot with a base of its own in the place of the entry's, brought up to date first. No connection is waited for
 * with refresh held: those who wait for refresh hold one. So a newer generation may come first; then once more. */
static bool take_place(struct call *c, struct entry *en, struct collection *fresh, uint32_t on_file)
{
    enum { TRIES = 20 };
    bool done = false;
    enum err e = OK;
    collection_retain(fresh);
    for (int i = 0; i < TRIES && !e && !done; i++) {
        struct collection *newer = NULL, *was = NULL;
        struct conn *r = NULL;
        int64_t generation = 0;
        e = search_store_begin(c, &r, &generation);
        if (!e) e = collection_follow(c, r, generation, fresh, &newer);
        search_store_end(&r);
        collection_release(fresh);
        fresh = newer;
        pthread_mutex_lock(&en->refresh);
        pthread_mutex_lock(&lock);
        if (!e && en->now && generation >= collection_generation(en->now)) {
            was = en->now;
            publish(en, fresh);
            en->on_file = on_file;
            done = true;
            fresh = NULL;
        }
        pthread_mutex_unlock(&lock);
        pthread_mutex_unlock(&en->refresh);
        collection_release(was);
    }
    collection_release(fresh);
    return done;
}

/* What is on file and what changed since. */
static void adopt(struct call *c, struct entry *en)
{
    struct collection *read = NULL;
    struct conn *r = NULL;
    int64_t generation = 0;
    if (search_store_begin(c, &r, &generation) == OK) read = index_file_read(c, r, generation);
    search_store_end(&r);
    if (read && !take_place(c, en, read, collection_count(read))) {
        pthread_mutex_lock(&lock);
        en->on_file = collection_count(read);
        pthread_mutex_unlock(&lock);
    }
    collection_release(read);
}

/* Called with lock held; it is not while the work is done. */
static void write_out(struct entry *en)
{
    struct collection *col = en->now, *whole = NULL;
    struct call c;
    int64_t begun = clock_mono_ms();
    collection_retain(col);
    en->busy++;
    pthread_mutex_unlock(&lock);
    call_init(&c);
    c.stop = &keeper.stop;
    if (tenant_open(&c, en->creator) == OK) {
        whole = without_removed(&c, col);
        if (whole && index_file_write(&c, whole)) adopt(&c, en);
    }
    tenant_release(&c);
    call_dispose(&c);
    collection_release(whole);
    collection_release(col);
    metric_observe("chiron_index_file_seconds", NULL, (double)(clock_mono_ms() - begun) / 1000);
    pthread_mutex_lock(&lock);
    en->wrote_ms = clock_mono_ms();
    en->took_ms = en->wrote_ms - begun;
    en->busy--;
}

/* With lock held: until called, or a second when something will be due. */
static void wait_for_work(bool soon)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    if (soon) pthread_cond_timedwait(&keeper.wake, &lock, &until);
    else pthread_cond_wait(&keeper.wake, &lock);
}

static void *keep_house(void *arg)
{
    (void)arg;
    setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
    pthread_mutex_lock(&lock);
    while (!atomic_load(&keeper.stop)) {
        struct entry *untidy = NULL, *old = NULL;
        bool soon = false;
        int64_t now_ms = clock_mono_ms();
        for (struct entry *en = entries; en; en = en->next) {
            if (en->untidy && en->now) untidy = en;
            if (due(en, now_ms)) old = en;
            soon |= stale(en);
        }
        if (untidy) tidy(untidy);
        else if (old) write_out(old);
        else wait_for_work(soon);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* Called with lock held. Without the thread searches go on, over more runs. */
static void call_keeper(void)
{
    if (!keeper.running) {
        atomic_store(&keeper.stop, false);
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
    struct collection *filed = old ? NULL : index_file_read(c, r, generation);
    uint32_t on_file = filed ? collection_count(filed) : 0;
    enum err e = collection_follow(c, r, generation, old ? old : filed, &fresh);
    collection_release(filed);
    /* After an error rows may have been appended that no snapshot counts: the old base is not continued. */
    pthread_mutex_lock(&lock);
    was = en->now;
    publish(en, fresh);
    en->changed_ms = clock_mono_ms();
    if (!old) en->on_file = on_file;
    if (old && fresh && collection_removed(fresh) < collection_removed(old)) en->on_file = 0;   /* all was read anew */
    if (fresh) collection_retain(fresh);
    if (en->untidy || stale(en)) call_keeper();
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

/* ---- a writer's own ---- */

struct collection_coming {
    struct entry *en;
    struct collection *made;
    bool anew;                       /* not followed from what was there */
};

static bool held(struct entry *en)
{
    pthread_mutex_lock(&lock);
    bool some = en->now != NULL;
    pthread_mutex_unlock(&lock);
    return some;
}

void collection_catch_up(struct call *c)
{
    struct entry *en = entry_enter(c->creator_id);
    struct collection *col = NULL;
    struct conn *r = NULL;
    int64_t generation = 0;
    enum err e = held(en) ? search_store_begin(c, &r, &generation) : OK;
    if (!e && r) e = collection_get(c, r, generation, &col);
    search_store_end(&r);
    collection_release(col);
    pthread_mutex_lock(&lock);
    en->busy--;
    pthread_mutex_unlock(&lock);
    if (e) call_forgive(c);
}

struct collection_coming *collection_prepare(struct call *c, struct conn *w)
{
    struct entry *en = entry_enter(c->creator_id);
    struct collection *made = NULL;
    struct collection_coming *k = NULL;
    int64_t generation = 0;
    pthread_mutex_lock(&en->refresh);
    pthread_mutex_lock(&lock);
    struct collection *old = en->now;
    if (old) collection_retain(old);
    pthread_mutex_unlock(&lock);
    enum err e = old ? search_store_generation(c, w, &generation) : OK;
    if (old && !e) e = collection_follow(c, w, generation, old, &made);
    pthread_mutex_lock(&lock);
    if (made) {
        if (!(k = malloc(sizeof *k))) abort();
        *k = (struct collection_coming){ en, made, collection_removed(made) < collection_removed(old) };
        collection_retain(made);
        en->coming = made;
    } else {
        if (e && en->now == old) publish(en, NULL);   /* rows may have been appended that no snapshot counts */
        else e = OK;
        en->busy--;
        pthread_mutex_unlock(&en->refresh);
    }
    pthread_mutex_unlock(&lock);
    if (!made && e) collection_release(old);          /* the entry's */
    collection_release(old);
    if (c->err) call_forgive(c);
    return k;
}

void collection_settle(struct collection_coming *k, bool committed)
{
    struct collection *was[2] = { NULL, NULL }, *gone[16];
    int n = 0;
    if (!k) return;
    struct entry *en = k->en;
    pthread_mutex_lock(&lock);
    was[0] = en->coming;             /* NULL: a search has put it in its place, or the creator was forgotten */
    en->coming = NULL;
    if (was[0] || !committed) {
        was[1] = en->now;
        publish(en, committed ? was[0] : NULL);
        if (committed) was[0] = NULL;
    }
    en->changed_ms = clock_mono_ms();
    if (k->anew) en->on_file = 0;
    if (en->untidy || stale(en)) call_keeper();
    evict(en, gone, 16, &n);
    en->busy--;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&en->refresh);
    for (int i = 0; i < 2; i++) collection_release(was[i]);
    while (n > 0) collection_release(gone[--n]);
    collection_release(k->made);
    free(k);
}

void collection_renew(struct call *c)
{
    struct entry *en = entry_enter(c->creator_id);
    struct collection *fresh = NULL;
    struct conn *r = NULL;
    int64_t generation = 0;
    bool some = held(en);
    index_file_drop(c);     /* it may hold what is no more */
    enum err e = some ? search_store_begin(c, &r, &generation) : OK;
    if (!e && some) e = collection_follow(c, r, generation, NULL, &fresh);
    search_store_end(&r);
    if (!e && fresh) take_place(c, en, fresh, 0);
    collection_release(fresh);
    pthread_mutex_lock(&lock);
    en->changed_ms = clock_mono_ms();
    if (en->untidy || stale(en)) call_keeper();
    en->busy--;
    pthread_mutex_unlock(&lock);
    if (c->err) call_forgive(c);
}

void collections_open(size_t max_bytes)
{
    bytes_max = max_bytes;
}

void collections_keep(uint32_t least, int64_t quiet_ms)
{
    pthread_mutex_lock(&lock);
    keeper.least = least;
    keeper.quiet_ms = quiet_ms;
    pthread_mutex_unlock(&lock);
}

void collection_forget(const char *creator_id)
{
    pthread_mutex_lock(&lock);
    for (struct entry *e = entries; e; e = e->next) {
        if (strcmp(e->creator, creator_id) != 0) continue;
        collection_release(e->now);
        collection_release(e->coming);
        e->now = e->coming = NULL;
        e->bytes = 0;
    }
    pthread_mutex_unlock(&lock);
}

void collections_close(void)
{
    pthread_mutex_lock(&lock);
    atomic_store(&keeper.stop, true);
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
