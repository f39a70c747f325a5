/* knowledge/postings.c — an inverted index as flat arrays: one hash table of terms, one array of items, one of counts.
 * The database's own full-text index ranks at some 3 µs a matching row, this at some nanoseconds, and the terms it is
 * read from are stored beside the chunks; so it is rebuilt from them and never written. It refuses to rank. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/postings.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct term {
    uint32_t hash, text, len;     /* text: offset of its bytes */
    uint32_t count, cap;          /* entries; cap while building */
    size_t   start;               /* of its entries, when built */
    uint32_t *index;              /* while building */
    uint16_t *weight;
};
struct postings {
    atomic_int refs;
    struct term *terms;
    uint32_t term_count, slot_count;
    uint32_t *slots;              /* term number + 1, 0: free */
    char *text;
    size_t text_len, entries;
    uint32_t *index;
    uint16_t *weight;
};
struct postings_builder {
    struct postings p;            /* without entries */
    uint32_t term_cap;
    size_t text_cap;
};

static void *grow(void *p, size_t n, size_t each)
{
    void *q = reallocarray(p, n, each);
    if (!q) abort();
    return q;
}

static uint32_t hash(const char *s, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t *seek(const struct postings *p, uint32_t h, const char *s, size_t n)
{
    for (uint32_t i = h;; i++) {
        uint32_t *slot = &p->slots[i & (p->slot_count - 1)];
        if (*slot == 0) return slot;
        const struct term *t = &p->terms[*slot - 1];
        if (t->hash == h && t->len == n && !memcmp(p->text + t->text, s, n)) return slot;
    }
}

static void double_slots(struct postings *p)
{
    p->slot_count *= 2;
    free(p->slots);
    p->slots = calloc(p->slot_count, sizeof *p->slots);
    if (!p->slots) abort();
    for (uint32_t i = 0; i < p->term_count; i++) {
        uint32_t at = p->terms[i].hash;
        while (p->slots[at & (p->slot_count - 1)]) at++;
        p->slots[at & (p->slot_count - 1)] = i + 1;
    }
}

static struct term *term_for(struct postings_builder *b, const char *s, size_t n)
{
    struct postings *p = &b->p;
    uint32_t h = hash(s, n), *slot = seek(p, h, s, n);
    if (*slot) return &p->terms[*slot - 1];
    if (p->term_count == b->term_cap) p->terms = grow(p->terms, b->term_cap *= 2, sizeof *p->terms);
    while (p->text_len + n > b->text_cap) p->text = grow(p->text, b->text_cap *= 2, 1);
    struct term *t = &p->terms[p->term_count++];
    *t = (struct term){ .hash = h, .text = (uint32_t)p->text_len, .len = (uint32_t)n };
    memcpy(p->text + p->text_len, s, n);
    p->text_len += n;
    *slot = p->term_count;
    if (p->term_count * 2 > p->slot_count) double_slots(p);
    return t;
}

static void room(struct term *t, uint32_t more)
{
    if (t->count + more <= t->cap) return;
    t->cap = t->cap * 2 > t->count + more ? t->cap * 2 : t->count + more;
    t->index = grow(t->index, t->cap, sizeof *t->index);
    t->weight = grow(t->weight, t->cap, sizeof *t->weight);
}

struct postings_builder *postings_begin(void)
{
    struct postings_builder *b = calloc(1, sizeof *b);
    if (!b) abort();
    b->term_cap = 64;
    b->text_cap = 1024;
    b->p.terms = grow(NULL, b->term_cap, sizeof *b->p.terms);
    b->p.text = grow(NULL, b->text_cap, 1);
    b->p.slot_count = 64;
    double_slots(&b->p);
    return b;
}

uint32_t postings_add(struct postings_builder *b, uint32_t index, const char *terms, unsigned weight)
{
    uint32_t words = 0;
    for (const char *s = terms; *s;) {
        size_t n = strcspn(s, " ");
        if (n > 0) {
            struct term *t = term_for(b, s, n);
            if (t->count == 0 || t->index[t->count - 1] != index) {
                room(t, 1);
                t->index[t->count] = index;
                t->weight[t->count++] = 0;
            }
            unsigned sum = t->weight[t->count - 1] + weight;
            t->weight[t->count - 1] = (uint16_t)(sum > UINT16_MAX ? UINT16_MAX : sum);
            words++;
        }
        s += n + (s[n] == ' ');
    }
    return words;
}

struct postings *postings_end(struct postings_builder *b)
{
    struct postings *p = grow(NULL, 1, sizeof *p);
    memcpy(p, &b->p, sizeof *p);
    free(b);
    atomic_init(&p->refs, 1);
    p->entries = 0;
    for (uint32_t i = 0; i < p->term_count; i++) p->entries += p->terms[i].count;
    p->index = grow(NULL, p->entries + 1, sizeof *p->index);
    p->weight = grow(NULL, p->entries + 1, sizeof *p->weight);
    size_t at = 0;
    for (uint32_t i = 0; i < p->term_count; i++) {
        struct term *t = &p->terms[i];
        t->start = at;
        memcpy(p->index + at, t->index, t->count * sizeof *p->index);
        memcpy(p->weight + at, t->weight, t->count * sizeof *p->weight);
        at += t->count;
        free(t->index);
        free(t->weight);
        t->index = NULL;
        t->weight = NULL;
    }
    return p;
}

static void append_all(struct postings_builder *b, const struct postings *p)
{
    for (uint32_t i = 0; i < p->term_count; i++) {
        const struct term *from = &p->terms[i];
        struct term *to = term_for(b, p->text + from->text, from->len);
        room(to, from->count);
        memcpy(to->index + to->count, p->index + from->start, from->count * sizeof *to->index);
        memcpy(to->weight + to->count, p->weight + from->start, from->count * sizeof *to->weight);
        to->count += from->count;
    }
}

struct postings *postings_merge(const struct postings *older, const struct postings *newer)
{
    struct postings_builder *b = postings_begin();
    append_all(b, older);
    append_all(b, newer);
    return postings_end(b);
}

uint32_t postings_find(const struct postings *p, const char *term, size_t n, const uint32_t **index_out, const uint16_t **count_out)
{
    uint32_t slot = *seek(p, hash(term, n), term, n);
    if (!slot) return 0;
    const struct term *t = &p->terms[slot - 1];
    *index_out = p->index + t->start;
    *count_out = p->weight + t->start;
    return t->count;
}

size_t postings_entries(const struct postings *p)
{
    return p->entries;
}

size_t postings_bytes(const struct postings *p)
{
    return sizeof *p + p->entries * (sizeof *p->index + sizeof *p->weight) + p->term_count * sizeof *p->terms + p->text_len +
           p->slot_count * sizeof *p->slots;
}

void postings_retain(struct postings *p)
{
    atomic_fetch_add(&p->refs, 1);
}

void postings_release(struct postings *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1) return;
    free(p->terms);
    free(p->slots);
    free(p->text);
    free(p->index);
    free(p->weight);
    free(p);
}
