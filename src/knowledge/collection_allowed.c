/* knowledge/collection_allowed.c — who may see which items, as bits, before anything is scanned. A set of bits is kept for
 * each of the last kinds of question (a user, types, a filter) and only brought up to date with what was added since:
 * reading the metadata of a hundred thousand documents for every query would cost more than the search. What was taken
 * out is cleared for each snapshot anew. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "knowledge/collection_parts.h"

#define TYPES_MAX 32

static bool one_matches(const json_t *have, const json_t *want)
{
    if (json_is_number(have) && json_is_number(want)) return json_number_value(have) == json_number_value(want);
    return json_equal(have, want);
}

static bool matches(const json_t *have, const json_t *want)
{
    if (json_is_array(want)) {
        for (size_t i = 0; i < json_array_size(want); i++)
            if (matches(have, json_array_get(want, i))) return true;
        return false;
    }
    if (json_is_array(have)) {
        for (size_t i = 0; i < json_array_size(have); i++)
            if (one_matches(json_array_get(have, i), want)) return true;
        return false;
    }
    return one_matches(have, want);
}

bool collection_matches(const json_t *metadata, const json_t *filter)
{
    const char *key;
    json_t *want;
    json_object_foreach((json_t *)(uintptr_t)filter, key, want) {
        const json_t *have = json_object_get(metadata, key);
        if (!have || !matches(have, want)) return false;
    }
    return true;
}

/* The metadata of a source, read at its first use. Two threads may read it at once; one of them is kept. */
static const json_t *metadata_of(const struct base *b, uint32_t id)
{
    struct source *s = collection_source_at(b, id);
    json_t *v = atomic_load(&s->value), *none = NULL;
    if (v) return v;
    v = json_loads(s->text, 0, NULL);
    if (!v) v = json_object();
    if (atomic_compare_exchange_strong(&s->value, &none, v)) return v;
    json_decref(v);
    return none;
}

struct asked {
    uint32_t shared, own;            /* names of users */
    uint32_t types[TYPES_MAX];
    int type_count;                  /* -1: any */
    const json_t *filter;            /* NULL: none */
};

static void add_bits(const struct collection *col, const struct asked *a, uint32_t from, uint64_t *bits)
{
    const struct columns *k = col->columns;
    uint32_t last = COLLECTION_NONE;
    bool last_ok = false;
    for (uint32_t i = from; i < col->count; i++) {
        bool ok = k->user[i] == a->shared || (a->own != COLLECTION_NONE && k->user[i] == a->own);
        if (ok && a->type_count >= 0) {
            ok = false;
            for (int t = 0; t < a->type_count && !ok; t++) ok = k->type[i] == a->types[t];
        }
        if (ok && a->filter) {
            uint32_t source = k->source[i];
            if (source != last) last_ok = source != COLLECTION_NONE && collection_matches(metadata_of(col->base, source), a->filter);
            last = source;
            ok = last_ok && source != COLLECTION_NONE;
        }
        bits[i / 64] |= (uint64_t)ok << (i % 64);
    }
}

/* Names get their numbers once and for all, so a key of numbers means the same in every snapshot of a base. */
static char *key_of(const struct asked *a)
{
    struct buf b;
    buf_init(&b, LIMIT_REQUEST_BODY_BYTES);
    buf_printf(&b, "%u %u %d", a->shared, a->own, a->type_count);
    for (int i = 0; i < a->type_count; i++) buf_printf(&b, " %u", a->types[i]);
    if (a->filter) {
        char *filter = json_dumps(a->filter, JSON_SORT_KEYS | JSON_COMPACT);
        if (filter) buf_printf(&b, "\n%s", filter);
        if (!filter) b.failed = true;
        free(filter);
    }
    char *key = b.failed ? NULL : buf_take(&b, NULL);
    buf_dispose(&b);
    return key;
}

/* What is kept under the key, for the first of col's items; returns for how many. */
static uint32_t recall(const struct collection *col, const char *key, uint64_t *bits)
{
    struct base *b = col->base;
    uint32_t known = 0;
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < COLLECTION_FILTERS; i++) {
        struct seen_bits *s = &b->filters[i];
        if (!s->key || strcmp(s->key, key) != 0) continue;
        known = s->count < col->count ? s->count : col->count;
        memcpy(bits, s->bits, ((size_t)known + 63) / 64 * sizeof *bits);
        s->used = ++b->filter_uses;
        break;
    }
    pthread_mutex_unlock(&b->lock);
    /* An item past this snapshot's end may share the last word. */
    if (known % 64) bits[known / 64] &= ((uint64_t)1 << (known % 64)) - 1;
    return known;
}

static void keep(const struct collection *col, char *key, const uint64_t *bits)
{
    struct base *b = col->base;
    size_t n = ((size_t)col->count + 63) / 64 * sizeof *bits;
    uint64_t *copy = malloc(n + sizeof *bits);
    if (!copy) abort();
    memcpy(copy, bits, n);
    pthread_mutex_lock(&b->lock);
    struct seen_bits *to = &b->filters[0];
    for (int i = 0; i < COLLECTION_FILTERS; i++) {
        struct seen_bits *s = &b->filters[i];
        if (s->key && !strcmp(s->key, key)) {
            to = s;
            break;
        }
        if (s->used < to->used) to = s;
    }
    if (to->key && !strcmp(to->key, key) && to->count >= col->count) {   /* another thread was further */
        free(key);
        free(copy);
    } else {
        free(to->key);
        free(to->bits);
        *to = (struct seen_bits){ key, col->count, ++b->filter_uses, copy };
    }
    pthread_mutex_unlock(&b->lock);
}

void collection_filters_free(struct base *b)
{
    for (int i = 0; i < COLLECTION_FILTERS; i++) {
        free(b->filters[i].key);
        free(b->filters[i].bits);
    }
}

const uint64_t *collection_allowed(struct call *c, const struct collection *col, const char *user, const char *const *types,
                                   const json_t *filter)
{
    struct asked a = { .own = COLLECTION_NONE, .type_count = types ? 0 : -1, .filter = filter };
    if (filter && json_object_size(filter) == 0) a.filter = NULL;
    if (!types && !a.filter && col->dead_count == 0 && col->private_count == 0) return NULL;
    a.shared = collection_name(col->base, "", true);
    if (user && *user) a.own = collection_name(col->base, user, false);
    for (; types && types[a.type_count] && a.type_count < TYPES_MAX; a.type_count++)
        a.types[a.type_count] = collection_name(col->base, types[a.type_count], false);
    size_t words = ((size_t)col->count + 63) / 64;
    uint64_t *bits = arena_array(&c->mem, words + 1, sizeof *bits);
    char *key = key_of(&a);
    uint32_t known = key ? recall(col, key, bits) : 0;
    add_bits(col, &a, known, bits);
    if (key && known < col->count) keep(col, key, bits);
    else free(key);
    for (size_t i = 0; col->dead_count && i < words; i++) bits[i] &= ~col->dead->bits[i];
    return bits;
}
