/* Checked credentials, so that the next request of the same caller costs a hash and not a signature. A table of sets of a few places
 * each: a credential has one set, the place longest unused in it goes, so it is bounded and one caller cannot empty it for all.
 * The table never holds a credential: only a hash under a key made at start, long enough that equal means the same, and
 * compared in constant time. */
/* SPDX-License-Identifier: MIT */
#include "accounts/token_cache.h"

#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { SETS = 4096, WAYS = 4, LOCKS = 64 };

struct place {
    bool               used;
    uint32_t           at;             /* of the set's clock, when it was last asked for */
    struct token_print print;
    struct token_known known;
};
struct set {
    uint32_t     clock;
    struct place places[WAYS];
};
static struct set     *sets;           /* zeroed pages come when they are touched */
static pthread_mutex_t locks[LOCKS];
static unsigned char   hash_key[crypto_generichash_KEYBYTES];

void token_cache_open(void)
{
    token_cache_close();
    randombytes_buf(hash_key, sizeof hash_key);
    sets = calloc(SETS, sizeof *sets);
    if (!sets) abort();
    for (int i = 0; i < LOCKS; i++) pthread_mutex_init(&locks[i], NULL);
}

void token_cache_close(void)
{
    if (!sets) return;
    sodium_memzero(hash_key, sizeof hash_key);
    free(sets);
    sets = NULL;
    for (int i = 0; i < LOCKS; i++) pthread_mutex_destroy(&locks[i]);
}

void token_cache_print(const char *credential, size_t n, struct token_print *out)
{
    crypto_generichash(out->bytes, sizeof out->bytes, (const unsigned char *)credential, n, hash_key, sizeof hash_key);
}

/* The set of a print, locked. */
static struct set *set_lock(const struct token_print *p, pthread_mutex_t **lock)
{
    uint32_t h;
    memcpy(&h, p->bytes, sizeof h);
    h %= SETS;
    *lock = &locks[h % LOCKS];
    pthread_mutex_lock(*lock);
    return &sets[h];
}

static struct place *find(struct set *s, const struct token_print *p)
{
    for (int i = 0; i < WAYS; i++)
        if (s->places[i].used && !sodium_memcmp(s->places[i].print.bytes, p->bytes, sizeof p->bytes)) return &s->places[i];
    return NULL;
}

bool token_cache_get(const struct token_print *p, struct token_known *out)
{
    pthread_mutex_t *lock;
    struct set      *s = set_lock(p, &lock);
    struct place    *at = find(s, p);
    if (at) {
        at->at = ++s->clock;
        *out = at->known;
    }
    pthread_mutex_unlock(lock);
    return at != NULL;
}

void token_cache_put(const struct token_print *p, const struct token_known *k)
{
    pthread_mutex_t *lock;
    struct set      *s = set_lock(p, &lock);
    struct place    *at = find(s, p);
    for (int i = 0; i < WAYS && !at; i++)
        if (!s->places[i].used) at = &s->places[i];
    if (!at) {
        at = &s->places[0];
        for (int i = 1; i < WAYS; i++)
            if (s->clock - s->places[i].at > s->clock - at->at) at = &s->places[i];
    }
    *at = (struct place){ true, ++s->clock, *p, *k };
    pthread_mutex_unlock(lock);
}

void token_cache_drop(const struct token_print *p)
{
    pthread_mutex_t *lock;
    struct set      *s = set_lock(p, &lock);
    struct place    *at = find(s, p);
    if (at) at->used = false;
    pthread_mutex_unlock(lock);
}
