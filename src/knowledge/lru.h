/* knowledge/lru.h — a bounded table of bytes by key in which the least recently used goes first. Any thread.
 *     struct lru *l = lru_new("query", 2048, 8 << 20);
 *     lru_put(l, key, strlen(key), p, n);
 *     if (lru_get(l, key, strlen(key), &c->mem, &p, &n)) …                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_LRU_H
#define CHIRON_KNOWLEDGE_LRU_H
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

struct lru;
/* name: the cache label of chiron_cache_hits_total and chiron_cache_misses_total; a literal. */
struct lru *lru_new(const char *name, int max_entries, size_t max_bytes);
void        lru_free(struct lru *l);    /* no thread may be inside; NULL allowed */
/* A copy of the value in mem, counted as a hit; false: not there, counted as a miss. */
bool        lru_get(struct lru *l, const void *key, size_t key_n, struct arena *mem, void **out, size_t *n_out);
/* Keeps a copy, in place of an earlier value. A value larger than the table is not kept. */
void        lru_put(struct lru *l, const void *key, size_t key_n, const void *p, size_t n);
void        lru_clear(struct lru *l);   /* NULL allowed */
int         lru_count(struct lru *l);
#endif
