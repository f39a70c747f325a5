/* knowledge/postings.h — which items hold a term, and how often: the keyword leg's memory. A postings is built once for a
 * run of items, then immutable and shared; a collection is a few of them, merged as they grow.
 *     struct postings_builder *b = postings_begin();
 *     postings_add(b, index, "sleep better", 4);           // terms of item index, weight 4 each; indexes ascend
 *     struct postings *p = postings_end(b);
 *     n = postings_find(p, "sleep", 5, &indexes, &counts);
 *     postings_release(p);                                                                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_POSTINGS_H
#define CHIRON_KNOWLEDGE_POSTINGS_H
#include <stddef.h>
#include <stdint.h>

struct postings;
struct postings_builder;

/* A term: len bytes of text from .text on, and count entries from start on. */
struct postings_term { uint32_t hash, text, len, count; uint64_t start; };
/* All of a postings; may lie in a mapped file. slots: term number + 1 by hash & (slot_count - 1) and on; 0: free. */
struct postings_arrays {
    uint32_t term_count, slot_count;         /* slot_count a power of two, more than term_count */
    uint64_t text_bytes, entries;
    const struct postings_term *terms;
    const uint32_t *slots;
    const char     *text;
    const uint32_t *index;                   /* entries, ascending within a term */
    const uint16_t *weight;
};

struct postings_builder *postings_begin(void);
/* Adds the space-separated terms of one item; returns how many. Several calls for one item add up. */
uint32_t postings_add(struct postings_builder *b, uint32_t index, const char *terms, unsigned weight);
uint64_t postings_built(const struct postings_builder *b);          /* entries so far */
struct postings *postings_end(struct postings_builder *b);          /* the builder is gone; one reference */
/* Both of neighbours as one; older holds the lower indexes. */
struct postings *postings_merge(const struct postings *older, const struct postings *newer);
/* One over arrays that outlive it; they have been checked. */
struct postings *postings_over(const struct postings_arrays *a);
const struct postings_arrays *postings_arrays(const struct postings *p);

/* Items of a term, ascending, with the sum of weights of its occurrences; returns how many. */
uint32_t postings_find(const struct postings *p, const char *term, size_t n, const uint32_t **index_out, const uint16_t **count_out);
size_t   postings_entries(const struct postings *p);
size_t   postings_bytes(const struct postings *p);
void     postings_retain(struct postings *p);
void     postings_release(struct postings *p);                      /* NULL allowed */
#endif
