/* knowledge/collection_follow.h — how the table of creators makes and holds snapshots; for collections.c alone. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_COLLECTION_FOLLOW_H
#define CHIRON_KNOWLEDGE_COLLECTION_FOLLOW_H
#include "knowledge/collection.h"

/* A snapshot of this generation from an earlier one (NULL: from nothing), with one reference. One thread at a time per
 * creator. After an error old must not be followed again: rows may have been appended that it does not count. */
MUST_CHECK enum err collection_follow(struct call *c, struct conn *r, int64_t generation, const struct collection *old,
                                      struct collection **out);
void   collection_retain(struct collection *col);
size_t collection_bytes(const struct collection *col);
#endif
