/* knowledge/lru.c — hash table and age list under one mutex: an entry is copied in and out within a microsecond, so
 * finer locks would cost more than they save. It refuses to know time: an owner that wants expiry keeps it in the value. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/lru.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metric.h"

struct entry {
    struct entry *chain;            /* next in the same slot */
    struct entry *newer, *older;
    uint64_t hash;
    size_t key_n, n;
    char bytes[];                   /* key, then value */
};
struct lru {
    pthread_mutex_t lock;
    char label[48];
    int count, max_entries;
    size_t bytes, max_bytes;
    uint64_t mask;
    struct entry *newest, *oldest;
    struct entry **slots;
};

struct lru *lru_new(const char *name, int max_entries, size_t max_bytes)
{
    struct lru *l = calloc(1, sizeof *l);
    uint64_t slots = 16;
    while (slots < (uint64_t)max_entries) slots *= 2;
    if (!l || !(l->slots = calloc(slots, sizeof *l->slots))) abort();
    pthread_mutex_init(&l->lock, NULL);
    snprintf(l->label, sizeof l->label, "cache=\"%s\"", name);
    l->mask = slots - 1;
    l->max_entries = max_entries;
    l->max_bytes = max_bytes;
    return l;
}

void lru_free(struct lru *l)
{
    if (!l) return;
    for (struct entry *e = l->newest, *next; e; e = next) {
        next = e->older;
        free(e);
    }
    free(l->slots);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void lru_clear(struct lru *l)
{
    if (!l) return;
    pthread_mutex_lock(&l->lock);
    struct entry *e = l->newest;
    memset(l->slots, 0, (l->mask + 1) * sizeof *l->slots);
    l->newest = l->oldest = NULL;
    l->count = 0;
    l->bytes = 0;
    pthread_mutex_unlock(&l->lock);
    for (struct entry *next; e; e = next) {
        next = e->older;
        free(e);
    }
}

static uint64_t hash(const void *key, size_t n)
{
    const unsigned char *p = key;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static struct entry **seek(struct lru *l, uint64_t h, const void *key, size_t n)
{
    struct entry **at = &l->slots[h & l->mask];
    while (*at && ((*at)->hash != h || (*at)->key_n != n || memcmp((*at)->bytes, key, n) != 0)) at = &(*at)->chain;
    return at;
}

static void unlink_age(struct lru *l, struct entry *e)
{
    *(e->newer ? &e->newer->older : &l->newest) = e->older;
    *(e->older ? &e->older->newer : &l->oldest) = e->newer;
}

static void make_newest(struct lru *l, struct entry *e)
{
    e->newer = NULL;
    e->older = l->newest;
    *(l->newest ? &l->newest->newer : &l->oldest) = e;
    l->newest = e;
}

static size_t weight(const struct entry *e)
{
    return sizeof *e + e->key_n + e->n;
}

static void drop(struct lru *l, struct entry **at)
{
    struct entry *e = *at;
    *at = e->chain;
    unlink_age(l, e);
    l->count--;
    l->bytes -= weight(e);
    free(e);
}

bool lru_get(struct lru *l, const void *key, size_t key_n, struct arena *mem, void **out, size_t *n_out)
{
    uint64_t h = hash(key, key_n);
    pthread_mutex_lock(&l->lock);
    struct entry *e = *seek(l, h, key, key_n);
    if (e) {
        unlink_age(l, e);
        make_newest(l, e);
        void *p = arena_alloc(mem, e->n);
        memcpy(p, e->bytes + e->key_n, e->n);
        *out = p;
        *n_out = e->n;
    }
    pthread_mutex_unlock(&l->lock);
    metric_add(e ? "chiron_cache_hits_total" : "chiron_cache_misses_total", l->label, 1);
    return e != NULL;
}

void lru_put(struct lru *l, const void *key, size_t key_n, const void *p, size_t n)
{
    struct entry *e = malloc(sizeof *e + key_n + n);
    if (!e) abort();
    e->hash = hash(key, key_n);
    e->key_n = key_n;
    e->n = n;
    memcpy(e->bytes, key, key_n);
    memcpy(e->bytes + key_n, p, n);
    pthread_mutex_lock(&l->lock);
    struct entry **at = seek(l, e->hash, key, key_n);
    if (*at) drop(l, at);
    if (weight(e) > l->max_bytes) {
        free(e);
    } else {
        while (l->count >= l->max_entries || l->bytes + weight(e) > l->max_bytes)
            drop(l, seek(l, l->oldest->hash, l->oldest->bytes, l->oldest->key_n));
        at = seek(l, e->hash, key, key_n);
        e->chain = *at;
        *at = e;
        make_newest(l, e);
        l->count++;
        l->bytes += weight(e);
    }
    pthread_mutex_unlock(&l->lock);
}

int lru_count(struct lru *l)
{
    pthread_mutex_lock(&l->lock);
    int n = l->count;
    pthread_mutex_unlock(&l->lock);
    return n;
}
