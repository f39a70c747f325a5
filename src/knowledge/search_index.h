/* knowledge/search_index.h — the private door by which ingest makes chunks findable. Every function runs inside the
 * caller's open write connection and becomes visible, in every process, with its commit.
 *     …rows of document and chunk are in…
 *     for each chunk: e = search_vector_put(c, w, chunk_id, model, dim, v);
 *     e = search_index_put(c, w, document_id);                        // last: reads the chunk and document rows
 * To remove: e = search_index_drop(c, w, document_id) before (or after) the chunk rows go, in the same transaction. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SEARCH_INDEX_H
#define CHIRON_KNOWLEDGE_SEARCH_INDEX_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

struct conn;
/* The chunk's vector for this model; one that was there is replaced. v: dim floats. May be committed before
 * search_index_put: it is not searched until then. */
MUST_CHECK enum err search_vector_put(struct call *c, struct conn *w, const char *chunk_id, const char *model, int dim,
                                      const float *v);
/* The same with the hash of the text it was made of (model_store.h), by which the text is known again. */
MUST_CHECK enum err search_vector_put_of(struct call *c, struct conn *w, const char *chunk_id, const char *model, int dim,
                                         const float *v, const void *hash, size_t hash_bytes);
/* Lexical entries of all rows of table chunk with this document_id, replacing earlier ones; needs its document row. */
MUST_CHECK enum err search_index_put(struct call *c, struct conn *w, const char *document_id);
/* Takes lexical entries and vectors of the document's chunks out. Nothing there is not an error. While chunk rows still
 * stand, vectors that were never indexed go too. */
MUST_CHECK enum err search_index_drop(struct call *c, struct conn *w, const char *document_id);
/* The same for a stored embedding, its vectors included; its row is the caller's. */
MUST_CHECK enum err search_index_drop_embedding(struct call *c, struct conn *w, const char *id);
/* Everything of one user is another's: under new item numbers, since who follows looks at no old one twice. */
MUST_CHECK enum err search_index_move(struct call *c, struct conn *w, const char *from_user, const char *to_user, int64_t *items_out);
#endif
