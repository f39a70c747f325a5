/* base/pool.h — worker threads behind one bounded queue, first in first out. Tasks are plain blocking code.
 *     struct pool *p = pool_open("http", 8, LIMIT_REQUEST_QUEUE);
 *     if (!pool_submit(p, run, task)) …busy…                                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_POOL_H
#define CHIRON_BASE_POOL_H
#include <stdbool.h>

struct pool;
struct pool *pool_open(const char *name, int threads, int queue_max);   /* aborts when a thread cannot start */
bool pool_submit(struct pool *p, void (*run)(void *), void *arg);       /* false: full or closing; arg stays the caller's */
int  pool_waiting(struct pool *p);
int  pool_running(struct pool *p);
void pool_close(struct pool *p);                                        /* runs what is queued, joins, frees; NULL allowed */
#endif
