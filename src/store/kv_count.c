/* store/kv_count.c — the counters of limits, in this process. Redis does the same with one script per function here: what
 * must not come apart (look at all, count in all or in none) is one call. Counters are apart from the cache of
 * kv_memory.c, so that no flood of cached values can push one out, and what strangers cause is apart from what callers
 * with a credential cause, so that a flood of addresses cannot give a known caller a fresh window. A full pool makes
 * room by dropping what has expired or, of a few picked at random, the one furthest from its limit: a counter that
 * refuses is the last to go. One lock a pool: it is held for a few hundred nanoseconds, and exactness needs all keys at once.
 * Nothing survives the process: after a restart windows begin anew. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/metric.h"
#include "store/kv_memory.h"
#include "store/store.h"

enum { ROWS = 32768, SAMPLES = 8 };

struct counter {
    struct counter *next;       /* in its hash row */
    uint64_t        hash;
    int64_t         ends_ms;    /* monotonic */
    int64_t         count;
    int64_t         limit;      /* as it was last asked about; 0: a level, which is kept like a full counter */
    uint32_t        slot;       /* in pool.all */
    uint32_t        key_len;
    char            key[];
};
struct pool {
    pthread_mutex_t  lock;
    struct counter **rows;      /* NULL until first used */
    struct counter **all;       /* dense, so that one can be picked at random */
    uint32_t         count;
    uint64_t         seed, evicted;
};
static struct pool    pools[KV_POOLS];
static unsigned char  hash_key[crypto_shorthash_KEYBYTES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_once(void)
{
    id_random(hash_key, sizeof hash_key);
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    for (int i = 0; i < KV_POOLS; i++) {
        pthread_mutex_init(&pools[i].lock, &attr);
        id_random(&pools[i].seed, sizeof pools[i].seed);
        pools[i].seed |= 1;
    }
    pthread_mutexattr_destroy(&attr);
}

static uint64_t hash_of(const char *key, size_t n)
{
    unsigned char out[crypto_shorthash_BYTES];
    uint64_t      h;
    crypto_shorthash(out, (const unsigned char *)key, n, hash_key);
    memcpy(&h, out, sizeof h);
    return h;
}

static struct pool *pool_lock(enum kv_pool which)
{
    struct pool *p = &pools[which];
    pthread_mutex_lock(&p->lock);
    if (!p->rows) {
        p->rows = calloc(ROWS, sizeof(struct counter *));
        p->all = calloc(LIMIT_KV_COUNTERS, sizeof(struct counter *));
        if (!p->rows || !p->all) abort();
    }
    return p;
}

static void drop(struct pool *p, struct counter *k)
{
    struct counter **at = &p->rows[k->hash % ROWS];
    while (*at != k) at = &(*at)->next;
    *at = k->next;
    struct counter *last = p->all[--p->count];
    p->all[k->slot] = last;
    last->slot = k->slot;
    free(k);
}

/* The live counter of a key; one whose window is over goes. */
static struct counter *find(struct pool *p, uint64_t hash, const char *key, size_t n, int64_t now)
{
    struct counter *k = p->rows[hash % ROWS];
    while (k && (k->hash != hash || k->key_len != n || memcmp(k->key, key, n))) k = k->next;
    if (!k || now < k->ends_ms) return k;
    drop(p, k);
    return NULL;
}

static uint64_t pick(struct pool *p)
{
    p->seed ^= p->seed << 13;
    p->seed ^= p->seed >> 7;
    p->seed ^= p->seed << 17;
    return p->seed;
}

static double fullness(const struct counter *k)
{
    return k->limit > 0 && k->count < k->limit ? (double)k->count / (double)k->limit : 1.0;
}

static void make_room(struct pool *p, int64_t now)
{
    struct counter *worst = NULL;
    for (int i = 0; i < SAMPLES; i++) {
        struct counter *k = p->all[pick(p) % p->count];
        if (now >= k->ends_ms) {
            drop(p, k);
            return;
        }
        if (!worst || fullness(k) < fullness(worst)) worst = k;
    }
    drop(p, worst);
    p->evicted++;
}

static struct counter *add(struct pool *p, uint64_t hash, const char *key, size_t n, int64_t now, int64_t window_ms)
{
    if (p->count == LIMIT_KV_COUNTERS) make_room(p, now);
    struct counter *k = malloc(sizeof *k + n);
    if (!k) abort();
    *k = (struct counter){ .next = p->rows[hash % ROWS], .hash = hash, .ends_ms = now + window_ms, .slot = p->count, .key_len = (uint32_t)n };
    memcpy(k->key, key, n);
    p->rows[hash % ROWS] = k;
    p->all[p->count++] = k;
    return k;
}

static int64_t value_of(struct pool *p, const char *key, int64_t now)
{
    size_t          n = strlen(key);
    struct counter *k = find(p, hash_of(key, n), key, n, now);
    return k ? k->count : 0;
}

enum err kv_count(struct call *c, enum kv_pool pool, struct kv_counter *k, int n, int *refused_out)
{
    (void)c;
    assert(n > 0 && n <= KV_COUNT_MAX);
    pthread_once(&once, open_once);
    uint64_t        hashes[KV_COUNT_MAX];
    size_t          lens[KV_COUNT_MAX];
    struct counter *at[KV_COUNT_MAX];
    int             refused = -1;
    for (int i = 0; i < n; i++) hashes[i] = hash_of(k[i].key, lens[i] = strlen(k[i].key));
    struct pool *p = pool_lock(pool);
    int64_t      now = clock_mono_ms();
    const char  *seen = NULL;
    int64_t      level = 0;
    for (int i = 0; i < n; i++) {
        /* Counters of one caller share their level. */
        if (k[i].level_key && k[i].level_key != seen) level = value_of(p, seen = k[i].level_key, now);
        k[i].level = k[i].level_key ? (int)level : 0;
        int64_t limit = k[i].limit >> k[i].level;
        k[i].allowed = limit > 0 ? limit : 1;
        at[i] = find(p, hashes[i], k[i].key, lens[i], now);
        k[i].count = at[i] ? at[i]->count : 0;
        k[i].left_ms = at[i] ? at[i]->ends_ms - now : k[i].window_ms;
        /* A window made shorter since it began ends by the new measure. */
        if (k[i].left_ms > k[i].window_ms) k[i].left_ms = k[i].window_ms;
        if (k[i].count >= k[i].allowed && refused < 0) refused = i;
    }
    /* Looked up once more: making room for one may have dropped another. */
    for (int i = 0; refused < 0 && i < n; i++) {
        if (k[i].peek) continue;
        if (i > 0 || !at[i]) at[i] = find(p, hashes[i], k[i].key, lens[i], now);
        if (!at[i]) at[i] = add(p, hashes[i], k[i].key, lens[i], now, k[i].window_ms);
        at[i]->limit = k[i].allowed;
        at[i]->ends_ms = now + k[i].left_ms;
        k[i].count = ++at[i]->count;
    }
    pthread_mutex_unlock(&p->lock);
    *refused_out = refused;
    return OK;
}

enum err kv_strike(struct call *c, enum kv_pool pool, const struct kv_strike *s, int *level_out)
{
    (void)c;
    pthread_once(&once, open_once);
    size_t       n = strlen(s->key), m = strlen(s->level_key);
    uint64_t     hash = hash_of(s->key, n), level_hash = hash_of(s->level_key, m);
    struct pool *p = pool_lock(pool);
    int64_t      now = clock_mono_ms();
    struct counter *k = find(p, hash, s->key, n, now);
    if (!k) k = add(p, hash, s->key, n, now, s->window_ms);
    k->limit = s->limit;
    bool over = ++k->count >= s->limit;
    if (over) drop(p, k);
    struct counter *level = find(p, level_hash, s->level_key, m, now);
    if (over) {
        if (!level) level = add(p, level_hash, s->level_key, m, now, s->level_ms);
        level->ends_ms = now + s->level_ms;
        if (level->count < s->level_max) level->count++;
    }
    *level_out = level ? (int)level->count : 0;
    pthread_mutex_unlock(&p->lock);
    return OK;
}

enum err kv_counts(struct call *c, enum kv_pool pool, const char *prefix, struct kv_counter *out, int max, int *n_out)
{
    pthread_once(&once, open_once);
    size_t       n = strlen(prefix);
    int          found = 0;
    struct pool *p = pool_lock(pool);
    int64_t      now = clock_mono_ms();
    for (uint32_t i = 0; i < p->count && found < max; i++) {
        const struct counter *k = p->all[i];
        if (k->key_len < n || memcmp(k->key, prefix, n) || now >= k->ends_ms) continue;
        out[found++] = (struct kv_counter){ .key = arena_strndup(&c->mem, k->key, k->key_len), .limit = k->limit, .allowed = k->limit,
                                            .count = k->count, .left_ms = k->ends_ms - now };
    }
    pthread_mutex_unlock(&p->lock);
    *n_out = found;
    return OK;
}

void kv_counts_sweep(void)
{
    pthread_once(&once, open_once);
    for (int i = 0; i < KV_POOLS; i++) {
        struct pool *p = pool_lock(i);
        int64_t      now = clock_mono_ms();
        for (uint32_t at = 0; at < p->count;) {
            if (now >= p->all[at]->ends_ms) drop(p, p->all[at]);
            else at++;
        }
        metric_set("chiron_kv_counters", i == KV_KNOWN ? "of=\"callers\"" : "of=\"strangers\"", p->count);
        if (p->evicted) metric_add("chiron_kv_counters_evicted_total", NULL, (double)p->evicted);
        p->evicted = 0;
        pthread_mutex_unlock(&p->lock);
    }
}

void kv_counts_close(void)
{
    pthread_once(&once, open_once);
    for (int i = 0; i < KV_POOLS; i++) {
        struct pool *p = pool_lock(i);
        while (p->count) drop(p, p->all[p->count - 1]);
        free(p->rows);
        free(p->all);
        p->rows = p->all = NULL;
        pthread_mutex_unlock(&p->lock);
    }
}
