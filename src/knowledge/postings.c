/* knowledge/postings.c — an inverted index as flat arrays without a pointer in them: one hash table of terms, one array of
 * items, one of weights; so it may as well stand in a mapped file. While it is built, entries lie in the order of coming
 * and are dealt out to their terms at the end: no term has memory of its own. The database's own full-text index ranks at
 * some 3 µs a matching row, this at some nanoseconds, and can be read anew from the terms stored beside the chunks. It
 * refuses to rank. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/postings.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct postings {
    atomic_int refs;
    bool borrowed;                /* the arrays are somebody else's */
    struct postings_arrays a;
};
struct entry {
    uint32_t term, index;
    uint16_t weight;
};
struct postings_builder {
    struct postings_arrays a;     /* terms, slots and text, ours to write; term.start is the place + 1 of its last entry */
    uint64_t term_cap, text_cap, cap;
    struct entry *entries;        /* a.entries of them, in the order of coming */
};

static void *grow(void *p, size_t n, size_t each)
{
    void *q = reallocarray(p, n, each);
    if (!q) abort();
    return q;
}

/* Arrays are const to those who read; whoever builds them writes through these. */
static struct postings_term *terms_of(const struct postings_arrays *a)
{
    return (struct postings_term *)(uintptr_t)a->terms;
}

static uint32_t *slots_of(const struct postings_arrays *a)
{
    return (uint32_t *)(uintptr_t)a->slots;
}

static uint32_t hash(const char *s, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t seek(const struct postings_arrays *a, uint32_t h, const char *s, size_t n)
{
    for (uint32_t i = h;; i++) {
        uint32_t at = i & (a->slot_count - 1), slot = a->slots[at];
        if (slot == 0) return at;
        const struct postings_term *t = &a->terms[slot - 1];
        if (t->hash == h && t->len == n && !memcmp(a->text + t->text, s, n)) return at;
    }
}

static void double_slots(struct postings_arrays *a)
{
    uint32_t *slots;
    a->slot_count *= 2;
    free(slots_of(a));
    if (!(slots = calloc(a->slot_count, sizeof *slots))) abort();
    for (uint32_t i = 0; i < a->term_count; i++) {
        uint32_t at = a->terms[i].hash;
        while (slots[at & (a->slot_count - 1)]) at++;
        slots[at & (a->slot_count - 1)] = i + 1;
    }
    a->slots = slots;
}

/* The term's number; new ones have no entries. */
static uint32_t term_for(struct postings_builder *b, uint32_t h, const char *s, size_t n)
{
    struct postings_arrays *a = &b->a;
    uint32_t at = seek(a, h, s, n);
    if (a->slots[at]) return a->slots[at] - 1;
    if (a->term_count == b->term_cap) a->terms = grow(terms_of(a), b->term_cap *= 2, sizeof *a->terms);
    while (a->text_bytes + n > b->text_cap) a->text = grow((char *)(uintptr_t)a->text, b->text_cap *= 2, 1);
    terms_of(a)[a->term_count++] = (struct postings_term){ .hash = h, .text = (uint32_t)a->text_bytes, .len = (uint32_t)n };
    memcpy((char *)(uintptr_t)a->text + a->text_bytes, s, n);
    a->text_bytes += n;
    slots_of(a)[at] = a->term_count;
    if (a->term_count * 2 > a->slot_count) double_slots(a);
    return a->term_count - 1;
}

struct postings_builder *postings_begin(void)
{
    struct postings_builder *b = calloc(1, sizeof *b);
    if (!b) abort();
    b->term_cap = 64;
    b->text_cap = 1024;
    b->cap = 256;
    b->a.terms = grow(NULL, b->term_cap, sizeof *b->a.terms);
    b->a.text = grow(NULL, b->text_cap, 1);
    b->entries = grow(NULL, b->cap, sizeof *b->entries);
    b->a.slot_count = 64;
    double_slots(&b->a);
    return b;
}

uint32_t postings_add(struct postings_builder *b, uint32_t index, const char *terms, unsigned weight)
{
    uint32_t words = 0;
    for (const char *s = terms; *s;) {
        size_t n = strcspn(s, " ");
        if (n > 0) {
            uint32_t term = term_for(b, hash(s, n), s, n);
            struct postings_term *t = &terms_of(&b->a)[term];
            if (t->count == 0 || b->entries[t->start - 1].index != index) {
                if (b->a.entries == b->cap) b->entries = grow(b->entries, b->cap *= 2, sizeof *b->entries);
                b->entries[b->a.entries++] = (struct entry){ .term = term, .index = index };
                t->start = b->a.entries;
                t->count++;
            }
            struct entry *e = &b->entries[t->start - 1];
            unsigned sum = e->weight + weight;
            e->weight = (uint16_t)(sum > UINT16_MAX ? UINT16_MAX : sum);
            words++;
        }
        s += n + (s[n] == ' ');
    }
    return words;
}

uint64_t postings_built(const struct postings_builder *b)
{
    return b->a.entries;
}

/* Gives every term its place; entries are to be filled in. */
static void lay_out(struct postings_arrays *a)
{
    uint64_t at = 0;
    for (uint32_t i = 0; i < a->term_count; i++) {
        struct postings_term *t = &terms_of(a)[i];
        t->start = at;
        at += t->count;
    }
    a->entries = at;
    a->index = grow(NULL, at + 1, sizeof *a->index);
    a->weight = grow(NULL, at + 1, sizeof *a->weight);
}

static struct postings *finish(struct postings_builder *b)
{
    struct postings *p = grow(NULL, 1, sizeof *p);
    *p = (struct postings){ .a = b->a };
    atomic_init(&p->refs, 1);
    free(b->entries);
    free(b);
    return p;
}

struct postings *postings_end(struct postings_builder *b)
{
    uint64_t n = b->a.entries, *next = grow(NULL, b->a.term_count + 1, sizeof *next);
    lay_out(&b->a);
    for (uint32_t i = 0; i < b->a.term_count; i++) next[i] = b->a.terms[i].start;
    for (uint64_t i = 0; i < n; i++) {
        const struct entry *e = &b->entries[i];
        uint64_t at = next[e->term]++;
        ((uint32_t *)(uintptr_t)b->a.index)[at] = e->index;
        ((uint16_t *)(uintptr_t)b->a.weight)[at] = e->weight;
    }
    free(next);
    return finish(b);
}

static void copy_entries(const struct postings_arrays *to, uint64_t at, const struct postings_arrays *from, uint64_t start, uint32_t n)
{
    memcpy((uint32_t *)(uintptr_t)to->index + at, from->index + start, n * sizeof *from->index);
    memcpy((uint16_t *)(uintptr_t)to->weight + at, from->weight + start, n * sizeof *from->weight);
}

struct postings *postings_merge(const struct postings *older, const struct postings *newer)
{
    struct postings_builder *b = postings_begin();
    const struct postings_arrays *parts[2] = { &older->a, &newer->a };
    uint32_t *number[2];                       /* of a part's term in the result */
    for (int k = 0; k < 2; k++) {
        const struct postings_arrays *a = parts[k];
        number[k] = grow(NULL, a->term_count + 1, sizeof *number[k]);
        for (uint32_t i = 0; i < a->term_count; i++) {
            const struct postings_term *t = &a->terms[i];
            number[k][i] = term_for(b, t->hash, a->text + t->text, t->len);
            terms_of(&b->a)[number[k][i]].count += t->count;
        }
    }
    lay_out(&b->a);
    uint64_t *next = grow(NULL, b->a.term_count + 1, sizeof *next);
    for (uint32_t i = 0; i < b->a.term_count; i++) next[i] = b->a.terms[i].start;
    for (int k = 0; k < 2; k++) {
        for (uint32_t i = 0; i < parts[k]->term_count; i++) {
            const struct postings_term *t = &parts[k]->terms[i];
            copy_entries(&b->a, next[number[k][i]], parts[k], t->start, t->count);
            next[number[k][i]] += t->count;
        }
        free(number[k]);
    }
    free(next);
    return finish(b);
}

struct postings *postings_over(const struct postings_arrays *a)
{
    struct postings *p = grow(NULL, 1, sizeof *p);
    *p = (struct postings){ .a = *a, .borrowed = true };
    atomic_init(&p->refs, 1);
    return p;
}

const struct postings_arrays *postings_arrays(const struct postings *p)
{
    return &p->a;
}

uint32_t postings_find(const struct postings *p, const char *term, size_t n, const uint32_t **index_out, const uint16_t **count_out)
{
    uint32_t slot = p->a.slots[seek(&p->a, hash(term, n), term, n)];
    if (!slot) return 0;
    const struct postings_term *t = &p->a.terms[slot - 1];
    *index_out = p->a.index + t->start;
    *count_out = p->a.weight + t->start;
    return t->count;
}

size_t postings_entries(const struct postings *p)
{
    return p->a.entries;
}

size_t postings_bytes(const struct postings *p)
{
    return sizeof *p + p->a.entries * (sizeof *p->a.index + sizeof *p->a.weight) + p->a.term_count * sizeof *p->a.terms +
           p->a.text_bytes + p->a.slot_count * sizeof *p->a.slots;
}

void postings_retain(struct postings *p)
{
    atomic_fetch_add(&p->refs, 1);
}

void postings_release(struct postings *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1) return;
    const void *arrays[] = { p->a.terms, p->a.slots, p->a.text, p->a.index, p->a.weight };
    for (int i = 0; i < 5 && !p->borrowed; i++) free((void *)(uintptr_t)arrays[i]);
    free(p);
}
