/* knowledge/wordlist.c — word lists as data: one entry per line in words/, so that adding a language or a unit needs no
 * code. Hash tables are made once and only read afterwards. It refuses to know what a list is used for. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/wordlist.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/assets.h"

#define SLOTS 2048u    /* at most half full: the longest list has a few hundred entries */

struct entry {
    char *word, *rest; /* heap, for the life of the process */
    size_t len;
};
struct table {
    struct entry slots[SLOTS];
    unsigned count;
};
static struct table tables[WORDLIST_COUNT];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t hash(const char *s, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 16777619u;
    return h ^ h >> 15;
}

static struct entry *seek(struct table *t, const char *s, size_t n)
{
    for (uint32_t i = hash(s, n);; i++) {
        struct entry *e = &t->slots[i & (SLOTS - 1)];
        if (!e->word || (e->len == n && !memcmp(e->word, s, n))) return e;
    }
}

static void put(struct table *t, const char *s, size_t n, const char *rest, size_t rest_n)
{
    struct entry *e = seek(t, s, n);
    if (e->word) return;
    assert(t->count < SLOTS / 2);
    e->word = strndup(s, n);
    e->rest = strndup(rest, rest_n);
    if (!e->word || !e->rest) abort();
    e->len = n;
    t->count++;
}

static void load(struct table *t, const char *path, bool whole_line)
{
    const struct asset *a = asset_find(path);
    if (!a) return;
    const char *p = (const char *)a->data, *end = p + a->len;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl) nl = end;
        const char *sp = whole_line ? NULL : memchr(p, ' ', (size_t)(nl - p));
        if (nl > p) put(t, p, (size_t)((sp ? sp : nl) - p), sp ? sp + 1 : nl, sp ? (size_t)(nl - sp - 1) : 0);
        p = nl + 1;
    }
}

static void load_all(void)
{
    load(&tables[WORDLIST_EN], "words/en.txt", true);
    load(&tables[WORDLIST_ES], "words/es.txt", true);
    load(&tables[WORDLIST_UNITS], "words/units.txt", false);
    load(&tables[WORDLIST_COMPOUNDS], "words/compounds.txt", true);
    for (uint32_t i = 0; i < SLOTS; i++) {
        const struct entry *e = &tables[WORDLIST_COMPOUNDS].slots[i];
        if (!e->word) continue;
        char joined[64];
        size_t n = 0;
        for (size_t j = 0; j < e->len && n < sizeof joined; j++)
            if (e->word[j] != ' ') joined[n++] = e->word[j];
        put(&tables[WORDLIST_JOINED], joined, n, e->word, e->len);
    }
}

const char *wordlist_get(enum wordlist l, const char *word, size_t n)
{
    pthread_once(&once, load_all);
    return seek(&tables[l], word, n)->rest;
}

bool wordlist_has(enum wordlist l, const char *word, size_t n)
{
    return wordlist_get(l, word, n) != NULL;
}
