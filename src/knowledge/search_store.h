/* knowledge/search_store.h — the SQL of search, as search.c, collection.c and the routes see it. A struct conn is one
 * read transaction: everything read through it belongs to one generation of the creator's index. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SEARCH_STORE_H
#define CHIRON_KNOWLEDGE_SEARCH_STORE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"
#include "knowledge/knowledge.h"

struct conn;
struct model_row;

/* Begin and end a snapshot; the generation counts every change of what can be found. */
MUST_CHECK enum err search_store_begin(struct call *c, struct conn **out, int64_t *generation_out);
void search_store_end(struct conn **r);
MUST_CHECK enum err search_store_generation(struct call *c, struct conn *conn, int64_t *out);

/* ---- following the index; rows are valid only inside the callback ---- */
struct stored_item {
    int64_t     item;
    int         kind;           /* SEARCH_CHUNK or SEARCH_EMBEDDING */
    const char *source;         /* document or embedding id */
    const char *user_id, *content_type;
    const char *metadata;       /* of the document or embedding, JSON object */
    const char *title, *heading, *body;   /* terms, space-separated; "" for a second vector of an item */
    int64_t     seq;            /* of the vector, 0 for an embedding's */
    const char *model;          /* NULL: the item has no vector */
    int         dim;
    const float *vector;        /* may be unaligned; dim floats */
};
enum { SEARCH_CHUNK, SEARCH_EMBEDDING };
typedef void (*stored_item_fn)(void *arg, const struct stored_item *i);
/* Items above last_item with their vectors (one row per vector), ascending; then vectors above last_seq of older items. */
MUST_CHECK enum err search_store_items(struct call *c, struct conn *r, int64_t last_item, int64_t last_seq, stored_item_fn f,
                                       void *arg);
/* Items taken out since last_gone. *missed_out: the list was pruned past it, all must be read again. */
MUST_CHECK enum err search_store_gone(struct call *c, struct conn *r, int64_t last_gone, void (*f)(void *arg, int64_t item),
                                      void *arg, int64_t *last_out, bool *missed_out);
/* The mark of the index file that fits (knowledge/index_file.h), NULL: none does. */
MUST_CHECK enum err search_store_marked(struct call *c, struct conn *r, const char **mark_out);
/* In one transaction: if nothing was taken out since last_gone, place runs and the mark is set; else *kept_out is false. */
MUST_CHECK enum err search_store_mark(struct call *c, const char *mark, int64_t last_gone, enum err (*place)(struct call *c, void *arg),
                                      void *arg, bool *kept_out);

/* ---- one search ---- */
/* Item number of a chunk or stored embedding; 0: there is none. */
MUST_CHECK enum err search_store_item(struct call *c, struct conn *r, const char *id, int64_t *item_out);
/* The headings of some items; f is not called for one without. */
MUST_CHECK enum err search_store_headings(struct call *c, struct conn *r, const int64_t *items, int n,
                                          void (*f)(void *arg, int64_t item, const char *heading), void *arg);
/* Fills the texts of a passage (in c->mem); scores and ranks stay. *found_out false: the row is gone. */
MUST_CHECK enum err search_store_passage(struct call *c, struct conn *r, int64_t item, struct passage *p, bool *found_out);

/* ---- stored embeddings (RAG-004, RAG-011) ---- */
struct stored_embedding {
    const char *id, *user_id, *content, *content_type, *model, *metadata, *language;
    int         dim;
    const float *vector;
    int64_t     created_ms;
    const unsigned char *text_hash;     /* of content, TEXT_HASH_BYTES; NULL: not known */
    const struct model_row *of;         /* what vector is of; NULL: model alone is known */
    const struct model_row *next;       /* the model that takes its place, and its vector; NULL: none does */
    const float *next_vector;
    bool        lacking;                /* vector is not of the model that answers */
};
/* All or none. */
MUST_CHECK enum err search_store_embeddings(struct call *c, const struct stored_embedding *rows, int n);

/* Durable feedback counters: adds to one event's total. */
MUST_CHECK enum err search_store_feedback(struct call *c, const char *event, int by);
#endif
