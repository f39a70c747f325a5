/* knowledge/collection.h — what one creator's search needs in memory: for each item who may see it, its type, its
 * document's metadata, its terms, and its vectors by model. A collection is a snapshot of one generation: immutable, shared by any
 * number of searches, freed with its last release. A newer generation is reached by reading only what changed.
 *     e = collection_get(c, r, generation, &col);        // r: read transaction of that generation
 *     const uint64_t *bits = collection_allowed(c, col, user, types, filter);
 *     …  collection_release(col);                                                                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_COLLECTION_H
#define CHIRON_KNOWLEDGE_COLLECTION_H
#include <jansson.h>
#include <stdint.h>

#include "base/call.h"
#include "store/vectors.h"

struct conn;
struct collection;

/* One model's vectors; vectors of two models are never in one set (RAG-014). */
struct collection_set {
    const char           *model;
    int                   dim;
    const struct vectors *rows;
    uint32_t              count;      /* rows of this snapshot */
    const uint32_t       *index_of;   /* slot → index of the item; COLLECTION_NONE: replaced by a later vector */
    bool                  plain;      /* slot and index are the same everywhere */
};
#define COLLECTION_NONE UINT32_MAX

/* The snapshot of at least this generation for c's creator. The first reader of a new generation brings it in, others
 * wait for it: what a reply acknowledged is found by the next search. ERR_IO, ERR_CORRUPT. */
MUST_CHECK enum err collection_get(struct call *c, struct conn *r, int64_t generation, struct collection **out);
void     collection_release(struct collection *col);                 /* NULL allowed */
/* A writer of much need not leave the bringing in to the first search after it. Before its transaction: brings in what is
 * there. In it, after its last change: brings in what it wrote, if the creator's collection is in memory. After the commit,
 * or without one, always: settles it; NULL allowed. In between it asks for no collection of this creator. What fails
 * is forgiven: the next reader meets it. */
struct collection_coming;
void     collection_catch_up(struct call *c);
struct collection_coming *collection_prepare(struct call *c, struct conn *w);
void     collection_settle(struct collection_coming *k, bool committed);
int64_t  collection_generation(const struct collection *col);
uint32_t collection_count(const struct collection *col);             /* items, those taken out included */
/* Index of an item number, COLLECTION_NONE when it is not (or no longer) there. hint: an index not above it, or 0. */
uint32_t collection_find(const struct collection *col, int64_t item, uint32_t hint);
int64_t  collection_item(const struct collection *col, uint32_t index);
/* NULL: no vector of this model and dimension. */
const struct collection_set *collection_set(const struct collection *col, const char *model, int dim);
/* Where an item's vector stands in a set; false: it has none there. */
bool collection_slot(const struct collection_set *set, uint32_t index, uint32_t *slot_out);

struct postings;
/* The terms of its items, in parts: i from 0, NULL past the last. */
const struct postings *collection_run(const struct collection *col, int i);

struct collection_hit {
    uint32_t index;
    float    score;
};
/* The best k of the allowed items (NULL: all) by BM25 for these terms, best first, equal scores by index; returns how many.
 * (Robertson & Zaragoza 2009; k1 1.2, b 0.75, idf ln(1 + (N - n + .5)/(n + .5)); a term in the title counts four times, in the
 * heading twice.) An item without any of the terms is not among them. */
int collection_words(const struct collection *col, const char *const *terms, int n, const uint64_t *allowed, int k,
                     struct collection_hit *best);

/* Bits (index & 63 of word index / 64) of the items that user may see and that have one of the types and match the
 * filter; in c->mem, NULL when that is all of them. user "" sees shared items only; types, filter NULL: any. */
const uint64_t *collection_allowed(struct call *c, const struct collection *col, const char *user, const char *const *types,
                                   const json_t *filter);
/* The same bits by slot of a set; NULL for all. */
const uint64_t *collection_slots(struct call *c, const struct collection *col, const struct collection_set *set,
                                 const uint64_t *allowed);
/* Does a metadata object match an equality filter? Lists stand for alternatives on both sides. */
bool collection_matches(const json_t *metadata, const json_t *filter);

void   collections_open(size_t max_bytes);
/* Creators of at least so many items get an index file (knowledge/index_file.h) once nothing changed for quiet_ms; in
 * between again when a twentieth has been added or anything taken out. 4096 and 5000 unless called. */
void   collections_keep(uint32_t least, int64_t quiet_ms);
void   collections_close(void);
void   collection_forget(const char *creator_id);                    /* its data folder went or was replaced */
/* Reads all of c's creator's index anew, beside searches that go on with what is there, and lets go of the memory of
 * vectors that are no more. Nothing held in memory: nothing to do. An error is forgiven: the next reader meets it. */
void   collection_renew(struct call *c);
size_t collections_bytes(void);
#endif
