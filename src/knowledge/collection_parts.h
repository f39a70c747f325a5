/* knowledge/collection_parts.h — what a snapshot is made of; for the files collection*.c alone. Columns and sets grow by
 * appending: one thread at a time makes the next snapshot of a creator and writes past the counts of all earlier ones,
 * which is why a change costs what changed and not what is there. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_COLLECTION_PARTS_H
#define CHIRON_KNOWLEDGE_COLLECTION_PARTS_H
#include <pthread.h>
#include <stdatomic.h>

#include "knowledge/collection_follow.h"
#include "knowledge/postings.h"

#define COLLECTION_SETS 8        /* models of one creator; vectors of a ninth are not searched */
#define COLLECTION_RUNS 256      /* postings of one snapshot */
#define COLLECTION_SEGMENTS 26   /* 64 << 25 sources */

/* A document's or embedding's metadata: read when a filter first asks. */
struct source {
    char *text;
    _Atomic(json_t *) value;     /* NULL: not read yet */
};
struct seen_bits {               /* who may see what under one filter, the dead included */
    char *key;
    uint32_t count;
    uint64_t used, *bits;
};
#define COLLECTION_FILTERS 32
struct scratch {                 /* of one ranking at a time; score is zero outside of one */
    struct scratch *next;
    uint32_t cap;
    float *score;
    uint32_t *touched;
};
struct set_rows {
    char *model;
    int dim;
    struct vectors *rows;
    uint32_t *slot_of;           /* index → slot that is searched, COLLECTION_NONE: none; the writer's */
    uint32_t slot_of_cap;
};

/* What all snapshots since the last full read share. */
struct base {
    atomic_int refs;
    pthread_mutex_t lock;            /* of names, filters, scratches */
    char **names;                    /* open addressing: users and types to small numbers, by slot of the table */
    uint32_t *name_ids;
    uint32_t name_count, name_slots;
    struct seen_bits filters[COLLECTION_FILTERS];
    uint64_t filter_uses;
    struct scratch *scratches;
    struct set_rows sets[COLLECTION_SETS];
    int set_count;
    struct source *sources[COLLECTION_SEGMENTS];   /* segments double and never move */
    uint32_t source_count;
    size_t source_bytes;
    struct index_file *file;         /* that some of the arrays lie in, or NULL */
};
struct columns {
    atomic_int refs;
    uint32_t cap;
    int64_t *item;                   /* ascending */
    uint32_t *user, *type;           /* numbers of names */
    uint32_t *source;                /* COLLECTION_NONE: no metadata */
    uint32_t *length;                /* terms of the item */
};
struct index_column {                /* of a set: slot → index */
    atomic_int refs;
    uint32_t cap, index[];
};
struct dead_bits {
    atomic_int refs;
    uint32_t cap;                    /* items */
    uint64_t bits[];
};
struct collection {
    atomic_int refs;
    struct base *base;
    int64_t generation, last_item, last_seq, last_gone;
    uint32_t count, dead_count, private_count;   /* private: a user's own */
    uint64_t length_sum;
    struct columns *columns;
    struct dead_bits *dead;
    struct postings *runs[COLLECTION_RUNS];      /* of consecutive items, oldest first */
    int run_count;
    struct collection_set sets[COLLECTION_SETS];
    struct index_column *index_of[COLLECTION_SETS];
    int set_count;
};

static inline bool collection_dead(const struct collection *col, uint32_t at)
{
    return col->dead->bits[at / 64] >> (at % 64) & 1;
}
struct collection *collection_new(void);                        /* empty, one reference */
uint32_t collection_name(struct base *b, const char *s, bool add);   /* COLLECTION_NONE: unknown and not to be added */
uint32_t collection_source(struct base *b, const char *metadata);    /* writer only; COLLECTION_NONE for an empty object */
struct source *collection_source_at(const struct base *b, uint32_t id);
/* Room for `count` items in the columns of a snapshot that is being made; what stands there stays. */
void collection_room(struct collection *s, uint32_t count);
int collection_set_add(struct collection *s, const char *model, int dim, struct vectors *rows);   /* -1: no place */
void collection_index_put(struct collection *s, int set, uint32_t slot, uint32_t at);             /* slot: the next one */
void collection_filters_free(struct base *b);
void collection_scratches_free(struct base *b);
#endif
