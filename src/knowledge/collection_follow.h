/* knowledge/collection_follow.h — how the table of creators makes and holds snapshots; for collections.c alone. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_COLLECTION_FOLLOW_H
#define CHIRON_KNOWLEDGE_COLLECTION_FOLLOW_H
#include "knowledge/collection.h"

/* A snapshot of this generation from an earlier one (NULL: from nothing), with one reference. One thread at a time per
 * creator. After an error old must not be followed again: rows may have been appended that it does not count. */
MUST_CHECK enum err collection_follow(struct call *c, struct conn *r, int64_t generation, const struct collection *old,
                                      struct collection **out);
/* Runs of postings that ought to be one: collection_tidy makes it, beside all searches and snapshots (NULL: nothing to do);
 * collection_tidied puts it into a snapshot like the newest one, in the order of making snapshots, or drops it when both are
 * no longer there (NULL). */
struct postings;
bool collection_untidy(const struct collection *col);
struct postings *collection_tidy(const struct collection *col, struct postings *was[2]);
struct collection *collection_tidied(const struct collection *col, struct postings *const was[2], struct postings *merged);
uint32_t collection_removed(const struct collection *col);           /* items taken out that are still carried along */
void   collection_retain(struct collection *col);
size_t collection_bytes(const struct collection *col);
#endif
