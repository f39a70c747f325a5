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

struct postings_builder *postings_begin(void);
/* Adds the space-separated terms of one item; returns how many. Several calls for one item add up. */
uint32_t postings_add(struct postings_builder *b, uint32_t index, const char *terms, unsigned weight);
struct postings *postings_end(struct postings_builder *b);          /* the builder is gone; one reference */
/* Both of neighbours as one; older holds the lower indexes. */
struct postings *postings_merge(const struct postings *older, const struct postings *newer);

/* Items of a term, ascending, with the sum of weights of its occurrences; returns how many. */
uint32_t postings_find(const struct postings *p, const char *term, size_t n, const uint32_t **index_out, const uint16_t **count_out);
size_t   postings_entries(const struct postings *p);
size_t   postings_bytes(const struct postings *p);
void     postings_retain(struct postings *p);
void     postings_release(struct postings *p);                      /* NULL allowed */
#endif
