/* store/kv_memory.c — key-value in this process, with the meaning Redis gives the same commands: counters are decimal
 * text, a time to live belongs to the entry and a counter keeps it. Sixteen shards, each with its own lock, hash and
 * order of use, share the two bounds equally; "least recently used goes first" therefore holds per shard. Nothing here
 * survives the process: what must not be lost does not belong in it. */
/* SPDX-License-Identifier: MIT */
#include "store/kv_memory.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/metric.h"
#include "store/store.h"

enum {
    SHARDS = 16,
    ROWS = 8192,
    SHARD_ENTRIES = LIMIT_KV_ENTRIES / SHARDS,
    SHARD_BYTES = LIMIT_KV_BYTES / SHARDS,
    LEAST_VALUE_BYTES = 24, /* a counter grows in place */
    ALLOCATION_BYTES = 16   /* what malloc adds */
};

struct entry {
    struct entry *next;             /* in its hash row */
    struct entry *newer, *older;    /* in order of use */
    uint64_t      hash;
    int64_t       expires_ms;       /* monotonic; 0 never */
    size_t        key_len, len, cap;
    char          bytes[];          /* key, NUL, value */
};
struct shard {
    pthread_mutex_t lock;
    struct entry  **rows;           /* NULL until first used */
    struct entry   *newest, *oldest;
    size_t          entries, bytes;
    uint64_t        evicted;
};

static struct shard   shards[SHARDS];
static unsigned char  hash_key[crypto_shorthash_KEYBYTES]; /* so that nobody can choose keys that collide */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_once(void)
{
    id_random(hash_key, sizeof hash_key);
    for (int i = 0; i < SHARDS; i++) pthread_mutex_init(&shards[i].lock, NULL);
}

static struct shard *shard_lock(const char *key, size_t n, uint64_t *hash_out)
{
    pthread_once(&once, open_once);
    unsigned char out[crypto_shorthash_BYTES];
    crypto_shorthash(out, (const unsigned char *)key, n, hash_key);
    memcpy(hash_out, out, sizeof *hash_out);
    struct shard *s = &shards[*hash_out % SHARDS];
    pthread_mutex_lock(&s->lock);
    if (!s->rows) {
        s->rows = calloc(ROWS, sizeof *s->rows);
        if (!s->rows) abort();
    }
    return s;
}

static struct entry **row_of(struct shard *s, uint64_t hash)
{
    return &s->rows[hash / SHARDS % ROWS];
}

static char *value_of(struct entry *e)
{
    return e->bytes + e->key_len + 1;
}

static size_t cost(const struct entry *e)
{
    return sizeof *e + e->key_len + 1 + e->cap + ALLOCATION_BYTES;
}

static void unlink_use(struct shard *s, struct entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct shard *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void drop(struct shard *s, struct entry *e)
{
    struct entry **at = row_of(s, e->hash);
    while (*at != e) at = &(*at)->next;
    *at = e->next;
    unlink_use(s, e);
    s->entries--;
    s->bytes -= cost(e);
    free(e);
}

/* The live entry of a key, now the most recently used; an expired one goes. */
static struct entry *find(struct shard *s, uint64_t hash, const char *key, size_t n)
{
    struct entry *e = *row_of(s, hash);
    while (e && (e->hash != hash || e->key_len != n || memcmp(e->bytes, key, n))) e = e->next;
    if (!e) return NULL;
    if (e->expires_ms && clock_mono_ms() >= e->expires_ms) {
        drop(s, e);
        return NULL;
    }
    unlink_use(s, e);
    link_newest(s, e);
    return e;
}

static void make_room(struct shard *s, size_t bytes)
{
    while (s->oldest && (s->entries + 1 > SHARD_ENTRIES || s->bytes + bytes > SHARD_BYTES)) {
        drop(s, s->oldest);
        s->evicted++;
    }
}

static void add(struct shard *s, uint64_t hash, const char *key, size_t key_len, const void *p, size_t n, int64_t ttl_ms)
{
    size_t cap = n < LEAST_VALUE_BYTES ? LEAST_VALUE_BYTES : n;
    struct entry *e = malloc(sizeof *e + key_len + 1 + cap);
    if (!e) abort();
    *e = (struct entry){ .hash = hash, .key_len = key_len, .len = n, .cap = cap };
    e->expires_ms = ttl_ms > 0 ? clock_mono_ms() + ttl_ms : 0;
    memcpy(e->bytes, key, key_len + 1);
    if (n) memcpy(value_of(e), p, n);
    make_room(s, cost(e));
    struct entry **row = row_of(s, hash);
    e->next = *row;
    *row = e;
    link_newest(s, e);
    s->entries++;
    s->bytes += cost(e);
}

enum err kv_put(struct call *c, const char *key, const void *p, size_t n, int64_t ttl_ms)
{
    size_t key_len = strlen(key);
    if (n > LIMIT_KV_VALUE_BYTES || key_len > LIMIT_KV_VALUE_BYTES)
        return fail(c, ERR_TOO_LARGE, "a cached value has over %d bytes", LIMIT_KV_VALUE_BYTES);
    uint64_t hash;
    struct shard *s = shard_lock(key, key_len, &hash);
    struct entry *old = find(s, hash, key, key_len);
    if (old) drop(s, old);
    add(s, hash, key, key_len, p, n, ttl_ms);
    pthread_mutex_unlock(&s->lock);
    return OK;
}

enum err kv_get(struct call *c, const char *key, const void **p_out, size_t *n_out)
{
    uint64_t hash;
    size_t key_len = strlen(key);
    struct shard *s = shard_lock(key, key_len, &hash);
    struct entry *e = find(s, hash, key, key_len);
    if (e) {
        *p_out = arena_strndup(&c->mem, value_of(e), e->len);
        *n_out = e->len;
    }
    pthread_mutex_unlock(&s->lock);
    return e ? OK : ERR_NOT_FOUND;
}

void kv_drop(const char *key)
{
    uint64_t hash;
    size_t key_len = strlen(key);
    struct shard *s = shard_lock(key, key_len, &hash);
    struct entry *e = find(s, hash, key, key_len);
    if (e) drop(s, e);
    pthread_mutex_unlock(&s->lock);
}

static bool names(const struct entry *e, const char *part, size_t n)
{
    for (const char *p = e->bytes; (p = strstr(p, part)); p++)
        if ((p == e->bytes || p[-1] == ':' || p[-1] == '/') && (!p[n] || p[n] == ':' || p[n] == '/')) return true;
    return false;
}

int kv_drop_named(const char *part)
{
    size_t n = strlen(part);
    int    dropped = 0;
    if (!n) return 0;
    pthread_once(&once, open_once);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct entry *e = s->oldest, *newer; e; e = newer) {
            newer = e->newer;
            if (!names(e, part, n)) continue;
            drop(s, e);
            dropped++;
        }
        pthread_mutex_unlock(&s->lock);
    }
    return dropped;
}

static bool number_of(struct entry *e, int64_t *out)
{
    char text[LEAST_VALUE_BYTES], *end;
    if (!e->len || e->len >= sizeof text) return false;
    memcpy(text, value_of(e), e->len);
    text[e->len] = '\0';
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *out = v;
    return !errno && !*end;
}

enum err kv_add(struct call *c, const char *key, int64_t by, int64_t ttl_ms, int64_t *now_out)
{
    uint64_t hash;
    int64_t now = 0;
    size_t key_len = strlen(key);
    char text[LEAST_VALUE_BYTES];
    enum err err = OK;
    struct shard *s = shard_lock(key, key_len, &hash);
    struct entry *e = find(s, hash, key, key_len);
    if (e && !number_of(e, &now))
        err = fail(c, ERR_CONFLICT, "a value that is no number cannot be counted up");
    else if (__builtin_add_overflow(now, by, &now))
        err = fail(c, ERR_CONFLICT, "a counter is at its limit");
    if (!err) {
        size_t n = (size_t)snprintf(text, sizeof text, "%lld", (long long)now);
        if (e) {
            memcpy(value_of(e), text, n);
            e->len = n;
        } else {
            add(s, hash, key, key_len, text, n, ttl_ms);
        }
        *now_out = now;
    }
    pthread_mutex_unlock(&s->lock);
    return err;
}

void kv_sweep(void)
{
    pthread_once(&once, open_once);
    size_t entries = 0, bytes = 0;
    uint64_t evicted = 0;
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        int64_t now = clock_mono_ms();
        for (struct entry *e = s->oldest, *newer; e; e = newer) {
            newer = e->newer;
            if (e->expires_ms && now >= e->expires_ms) drop(s, e);
        }
        entries += s->entries;
        bytes += s->bytes;
        evicted += s->evicted;
        s->evicted = 0;
        pthread_mutex_unlock(&s->lock);
    }
    metric_set("chiron_kv_entries", NULL, (double)entries);
    metric_set("chiron_kv_bytes", NULL, (double)bytes);
    if (evicted) metric_add("chiron_kv_evictions_total", NULL, (double)evicted);
    kv_counts_sweep();
}

const char *kv_state(void)
{
    return "connected";
}

void kv_close(void)
{
    pthread_once(&once, open_once);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        while (s->oldest) drop(s, s->oldest);
        free(s->rows);
        s->rows = NULL;
        pthread_mutex_unlock(&s->lock);
    }
    kv_counts_close();
}
