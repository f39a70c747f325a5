/* When keys were last used. A request only notes it in a small table; the janitor writes it once a minute, so no request waits
 * for the disk. More keys than places in one minute: those without a place are noted the next time. */
/* SPDX-License-Identifier: MIT */
#include "accounts/key_used.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "accounts/credential_store.h"
#include "base/clock.h"

enum { PLACES = 512 };

static struct {
    pthread_mutex_t lock;
    char            id[PLACES][32];
    int64_t         at_ms[PLACES];
} used = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned place_of(const char *id)
{
    unsigned h = 2166136261u;
    for (; *id; id++) h = (h ^ (unsigned char)*id) * 16777619u;
    return h % PLACES;
}

void key_used_note(const char *key_id)
{
    unsigned at = place_of(key_id);
    pthread_mutex_lock(&used.lock);
    if (!used.id[at][0] || !strcmp(used.id[at], key_id)) {
        snprintf(used.id[at], sizeof used.id[at], "%s", key_id);
        used.at_ms[at] = clock_unix_ms();
    }
    pthread_mutex_unlock(&used.lock);
}

enum err key_used_write(struct call *c)
{
    char(*ids)[32] = arena_array(&c->mem, PLACES, sizeof *ids);
    int64_t *at = arena_array(&c->mem, PLACES, sizeof *at);
    int      n = 0;
    pthread_mutex_lock(&used.lock);
    for (int i = 0; i < PLACES; i++) {
        if (!used.id[i][0]) continue;
        memcpy(ids[n], used.id[i], sizeof ids[n]);
        at[n++] = used.at_ms[i];
        used.id[i][0] = '\0';
    }
    pthread_mutex_unlock(&used.lock);
    return n ? credential_store_used(c, (const char(*)[32])ids, at, n) : OK;
}
