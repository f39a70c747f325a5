/* knowledge/collection.c — snapshots of a creator's items, each made from the one before by appending. Columns, vectors
 * and postings are shared between them and counted; a snapshot itself is a few hundred bytes of counts and pointers, so
 * that a document added to a hundred thousand chunks costs what a document costs. Large runs of postings are left for
 * collection_tidy, which needs no lock while it merges. It refuses to know which creators there are: that is
 * collections.c. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/collection_parts.h"
#include "knowledge/index_file.h"
#include "knowledge/search_store.h"

#define NAME_SLOTS  1024u        /* grows by doubling */
#define DEAD_SLACK  1000         /* removed items carried along before all is read again */
#define RUN_ENTRIES (4u << 20)   /* a run read in at once has at most about so many */
#define INLINE_ENTRIES 60000u    /* runs of together no more are merged where they are made: milliseconds */

static void *grow(void *p, size_t n, size_t each)
{
    void *q = reallocarray(p, n, each);
    if (!q) abort();
    return q;
}

/* ---- names and sources ---- */

static uint32_t name_slot(const struct base *b, const char *s)
{
    uint32_t h = 2166136261u;
    for (const char *p = s; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u;
    h ^= h >> 15;
    while (b->names[h & (b->name_slots - 1)] && strcmp(b->names[h & (b->name_slots - 1)], s) != 0) h++;
    return h & (b->name_slots - 1);
}

static void names_double(struct base *b)
{
    char **old = b->names;
    uint32_t *old_ids = b->name_ids, n = b->name_slots;
    b->name_slots = n ? n * 2 : NAME_SLOTS;
    b->names = calloc(b->name_slots, sizeof *b->names);
    b->name_ids = calloc(b->name_slots, sizeof *b->name_ids);
    if (!b->names || !b->name_ids) abort();
    for (uint32_t i = 0; i < n; i++) {
        if (!old[i]) continue;
        uint32_t at = name_slot(b, old[i]);
        b->names[at] = old[i];
        b->name_ids[at] = old_ids[i];
    }
    free(old);
    free(old_ids);
}

uint32_t collection_name(struct base *b, const char *s, bool add)
{
    pthread_mutex_lock(&b->lock);
    uint32_t at = name_slot(b, s), id = COLLECTION_NONE;
    if (b->names[at]) {
        id = b->name_ids[at];
    } else if (add) {
        if ((b->name_count + 1) * 2 > b->name_slots) {
            names_double(b);
            at = name_slot(b, s);
        }
        if (!(b->names[at] = strdup(s))) abort();
        id = b->name_ids[at] = b->name_count++;
    }
    pthread_mutex_unlock(&b->lock);
    return id;
}

struct source *collection_source_at(const struct base *b, uint32_t id)
{
    uint32_t segment = id < 64 ? 0 : 26 - (uint32_t)__builtin_clz(id);
    return &b->sources[segment][segment ? id - (32u << segment) : id];
}

uint32_t collection_source(struct base *b, const char *metadata)
{
    if (!metadata || !*metadata || !strcmp(metadata, "{}")) return COLLECTION_NONE;
    uint32_t id = b->source_count, segment = id < 64 ? 0 : 26 - (uint32_t)__builtin_clz(id);
    if (segment == COLLECTION_SEGMENTS) return COLLECTION_NONE;
    if (!b->sources[segment]) {
        b->sources[segment] = calloc(segment ? (size_t)32 << segment : 64, sizeof(struct source));
        if (!b->sources[segment]) abort();
    }
    struct source *s = collection_source_at(b, id);
    size_t n = strlen(metadata) + 1;
    s->text = grow(NULL, n, 1);
    memcpy(s->text, metadata, n);
    b->source_bytes += n + sizeof *s;
    b->source_count++;
    return id;
}

/* ---- lifetimes ---- */

static struct base *base_new(void)
{
    struct base *b = calloc(1, sizeof *b);
    if (!b) abort();
    atomic_init(&b->refs, 1);
    pthread_mutex_init(&b->lock, NULL);
    names_double(b);
    return b;
}

static void base_release(struct base *b)
{
    if (atomic_fetch_sub(&b->refs, 1) > 1) return;
    for (uint32_t i = 0; i < b->name_slots; i++) free(b->names[i]);
    free(b->names);
    free(b->name_ids);
    for (int i = 0; i < b->set_count; i++) {
        free(b->sets[i].model);
        free(b->sets[i].slot_of);
        vectors_free(b->sets[i].rows);
    }
    for (uint32_t i = 0; i < b->source_count; i++) {
        struct source *s = collection_source_at(b, i);
        free(s->text);
        json_decref(atomic_load(&s->value));
    }
    for (int i = 0; i < COLLECTION_SEGMENTS; i++) free(b->sources[i]);
    collection_filters_free(b);
    collection_scratches_free(b);
    index_file_close(b->file);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

static void columns_release(struct columns *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) > 1) return;
    free(k->item);
    free(k->user);
    free(k->type);
    free(k->source);
    free(k->length);
    free(k);
}

/* The same for both kinds that are one block. */
static void block_release(atomic_int *refs, void *block)
{
    if (block && atomic_fetch_sub(refs, 1) == 1) free(block);
}

void collection_retain(struct collection *col)
{
    atomic_fetch_add(&col->refs, 1);
}

void collection_release(struct collection *col)
{
    if (!col || atomic_fetch_sub(&col->refs, 1) > 1) return;
    for (int i = 0; i < col->run_count; i++) postings_release(col->runs[i]);
    for (int i = 0; i < col->set_count; i++)
        if (col->index_of[i]) block_release(&col->index_of[i]->refs, col->index_of[i]);
    columns_release(col->columns);
    block_release(&col->dead->refs, col->dead);
    base_release(col->base);
    free(col);
}

/* ---- growing ---- */

static void *carry(const void *from, uint32_t n, uint32_t cap, size_t each)
{
    void *p = grow(NULL, cap, each);
    if (n) memcpy(p, from, n * each);
    return p;
}

static struct dead_bits *dead_copy(const struct dead_bits *from, uint32_t items, uint32_t cap)
{
    struct dead_bits *d = calloc(1, sizeof *d + cap / 64 * sizeof *d->bits);
    if (!d) abort();
    atomic_init(&d->refs, 1);
    d->cap = cap;
    if (items) memcpy(d->bits, from->bits, ((size_t)items + 63) / 64 * sizeof *d->bits);
    return d;
}

/* What does not fit is copied to where there is half as much room again: a constant cost an item. Earlier snapshots keep
 * what they have. */
void collection_room(struct collection *s, uint32_t count)
{
    struct columns *old = s->columns;
    if (old && old->cap >= count) return;
    uint32_t cap = (count + count / 2 + 64 + 63) & ~63u, n = s->count;
    struct columns *k = calloc(1, sizeof *k);
    if (!k) abort();
    atomic_init(&k->refs, 1);
    k->cap = cap;
    k->item = carry(old ? old->item : NULL, n, cap, sizeof *k->item);
    k->user = carry(old ? old->user : NULL, n, cap, sizeof *k->user);
    k->type = carry(old ? old->type : NULL, n, cap, sizeof *k->type);
    k->source = carry(old ? old->source : NULL, n, cap, sizeof *k->source);
    k->length = carry(old ? old->length : NULL, n, cap, sizeof *k->length);
    s->columns = k;
    columns_release(old);
    struct dead_bits *dead = s->dead;
    s->dead = dead_copy(dead, n, cap);
    if (dead) block_release(&dead->refs, dead);
}

struct collection *collection_new(void)
{
    struct collection *s = calloc(1, sizeof *s);
    if (!s) abort();
    atomic_init(&s->refs, 1);
    s->base = base_new();
    collection_room(s, 1);
    return s;
}

/* A snapshot to be completed by the caller: what old holds. */
static struct collection *snapshot(const struct collection *old)
{
    struct collection *s = grow(NULL, 1, sizeof *s);
    size_t from = offsetof(struct collection, base);     /* the count before it changes in other threads */
    memcpy((char *)s + from, (const char *)old + from, sizeof *s - from);
    atomic_init(&s->refs, 1);
    atomic_fetch_add(&s->base->refs, 1);
    atomic_fetch_add(&s->columns->refs, 1);
    atomic_fetch_add(&s->dead->refs, 1);
    for (int i = 0; i < s->run_count; i++) postings_retain(s->runs[i]);
    for (int i = 0; i < s->set_count; i++)
        if (s->index_of[i]) atomic_fetch_add(&s->index_of[i]->refs, 1);
    return s;
}

size_t collection_bytes(const struct collection *s)
{
    size_t n = (size_t)s->columns->cap * (sizeof(int64_t) + 4 * sizeof(uint32_t)) + s->base->source_bytes;
    for (int i = 0; i < s->set_count; i++) {
        n += vectors_bytes(s->sets[i].rows);
        if (s->index_of[i]) n += s->index_of[i]->cap * sizeof(uint32_t);
    }
    for (int i = 0; i < s->run_count; i++) n += postings_bytes(s->runs[i]);
    return n;
}

/* ---- bringing in what changed ---- */

/* A word of the title counts as four of the text: measured, and what makes a question that is a title find its document. */
enum { WEIGHT_TITLE = 4, WEIGHT_HEADING = 2, WEIGHT_BODY = 1 };

struct builder {
    struct collection *s;
    struct postings_builder *terms;  /* of the items that are new */
    bool own_dead, own_index[COLLECTION_SETS];   /* not shared with an earlier snapshot */
    uint32_t source;                 /* of the last item, which its next chunks share */
    char source_id[LIMIT_ID_BYTES + 1];
};

int collection_set_add(struct collection *s, const char *model, int dim, struct vectors *rows)
{
    struct base *b = s->base;
    if (b->set_count == COLLECTION_SETS || dim > 8192) return -1;
    struct set_rows *r = &b->sets[b->set_count++];
    *r = (struct set_rows){ .model = strdup(model), .dim = dim, .rows = rows ? rows : vectors_new(dim) };
    if (!r->model) abort();
    int i = s->set_count++;
    assert(s->set_count == b->set_count);
    s->sets[i] = (struct collection_set){ .model = r->model, .dim = dim, .rows = r->rows, .plain = true };
    return i;
}

static int set_for(struct collection *s, const char *model, int dim)
{
    for (int i = 0; i < s->set_count; i++)
        if (s->sets[i].dim == dim && !strcmp(s->sets[i].model, model)) return i;
    return collection_set_add(s, model, dim, NULL);
}

static struct index_column *index_copy(const struct index_column *old, uint32_t n, uint32_t cap)
{
    struct index_column *k = malloc(sizeof *k + cap * sizeof *k->index);
    if (!k) abort();
    atomic_init(&k->refs, 1);
    k->cap = cap;
    if (n) memcpy(k->index, old->index, n * sizeof *k->index);
    return k;
}

static void index_replace(struct collection *s, int set, uint32_t cap)
{
    struct index_column *old = s->index_of[set];
    s->index_of[set] = index_copy(old, s->sets[set].count, cap);
    if (old) block_release(&old->refs, old);
}

void collection_index_put(struct collection *s, int set, uint32_t slot, uint32_t at)
{
    struct collection_set *to = &s->sets[set];
    struct set_rows *r = &s->base->sets[set];
    assert(slot == to->count);
    if (!s->index_of[set] || slot == s->index_of[set]->cap) index_replace(s, set, slot + slot / 2 + 64);
    s->index_of[set]->index[slot] = at;
    if (at != COLLECTION_NONE) {
        if (at >= r->slot_of_cap) {
            uint32_t cap = at + at / 2 + 64;
            r->slot_of = grow(r->slot_of, cap, sizeof *r->slot_of);
            memset(r->slot_of + r->slot_of_cap, 0xff, (cap - r->slot_of_cap) * sizeof *r->slot_of);
            r->slot_of_cap = cap;
        }
        r->slot_of[at] = slot;
    }
    to->plain &= slot == at;
    to->count = slot + 1;
}

static void end_run(struct builder *b);

static uint32_t add_item(struct builder *b, const struct stored_item *i)
{
    struct collection *s = b->s;
    collection_room(s, s->count + 1);
    if (postings_built(b->terms) >= RUN_ENTRIES) {
        end_run(b);
        b->terms = postings_begin();
    }
    if (i->kind == SEARCH_EMBEDDING || strcmp(b->source_id, i->source) != 0) {
        b->source = collection_source(s->base, i->metadata);
        snprintf(b->source_id, sizeof b->source_id, "%s", i->source);
    }
    struct columns *k = s->columns;
    uint32_t at = s->count++;
    k->item[at] = s->last_item = i->item;
    k->user[at] = collection_name(s->base, i->user_id, true);
    k->type[at] = collection_name(s->base, i->content_type, true);
    k->source[at] = b->source;
    k->length[at] = postings_add(b->terms, at, i->title, WEIGHT_TITLE) + postings_add(b->terms, at, i->heading, WEIGHT_HEADING) +
                    postings_add(b->terms, at, i->body, WEIGHT_BODY);
    s->length_sum += k->length[at];
    s->private_count += *i->user_id != 0;
    return at;
}

/* The item has a vector of this model from before: that one is searched no more. */
static void replace_vector(struct builder *b, int set, uint32_t at)
{
    struct collection *s = b->s;
    const struct set_rows *r = &s->base->sets[set];
    if (at >= r->slot_of_cap || r->slot_of[at] == COLLECTION_NONE) return;
    if (!b->own_index[set]) index_replace(s, set, s->index_of[set]->cap);
    b->own_index[set] = true;
    s->index_of[set]->index[r->slot_of[at]] = COLLECTION_NONE;
    s->sets[set].plain = false;
}

static void take_item(void *arg, const struct stored_item *i)
{
    struct builder *b = arg;
    struct collection *s = b->s;
    uint32_t at = s->count && s->columns->item[s->count - 1] == i->item ? s->count - 1 : collection_find(s, i->item, 0);
    if (i->item > s->last_item) at = add_item(b, i);
    if (i->seq > s->last_seq) s->last_seq = i->seq;
    int set = at != COLLECTION_NONE && i->model ? set_for(s, i->model, i->dim) : -1;
    if (set < 0) return;
    replace_vector(b, set, at);
    float row[8192];
    memcpy(row, i->vector, (size_t)i->dim * sizeof *row);
    collection_index_put(s, set, vectors_add(s->base->sets[set].rows, row), at);
}

static void take_gone(void *arg, int64_t item)
{
    struct builder *b = arg;
    struct collection *s = b->s;
    uint32_t at = collection_find(s, item, 0);
    if (at == COLLECTION_NONE) return;
    if (!b->own_dead) {
        struct dead_bits *old = s->dead;
        s->dead = dead_copy(old, s->count, old->cap);
        block_release(&old->refs, old);
        b->own_dead = true;
    }
    s->dead->bits[at / 64] |= (uint64_t)1 << (at % 64);
    s->dead_count++;
}

/* ---- runs of postings ---- */

/* Each run is at least twice the next, or there would be too many to ask. */
static bool too_small(const struct collection *s, int run)
{
    return postings_entries(s->runs[run]) * 2 > postings_entries(s->runs[run - 1]);
}

static void replace_two(struct collection *s, int run, struct postings *merged)
{
    postings_release(s->runs[run - 1]);
    postings_release(s->runs[run]);
    s->runs[run - 1] = merged;
    s->run_count--;
    for (int i = run; i < s->run_count; i++) s->runs[i] = s->runs[i + 1];
}

static void end_run(struct builder *b)
{
    struct collection *s = b->s;
    struct postings *run = postings_end(b->terms);
    if (postings_entries(run) == 0) {
        postings_release(run);
        return;
    }
    s->runs[s->run_count++] = run;
    for (int last = s->run_count - 1; last > 0 && too_small(s, last); last--) {
        if (s->run_count < COLLECTION_RUNS &&
            postings_entries(s->runs[last]) + postings_entries(s->runs[last - 1]) > INLINE_ENTRIES)
            return;
        replace_two(s, last, postings_merge(s->runs[last - 1], s->runs[last]));
    }
}

static int untidy_run(const struct collection *col)
{
    for (int i = col->run_count - 1; i > 0; i--)
        if (too_small(col, i)) return i;
    return 0;
}

bool collection_untidy(const struct collection *col)
{
    return untidy_run(col) > 0;
}

struct postings *collection_tidy(const struct collection *col, struct postings *was[2])
{
    int i = untidy_run(col);
    if (i == 0) return NULL;
    was[0] = col->runs[i - 1];
    was[1] = col->runs[i];
    return postings_merge(was[0], was[1]);
}

struct collection *collection_tidied(const struct collection *col, struct postings *const was[2], struct postings *merged)
{
    for (int i = 1; i < col->run_count; i++) {
        if (col->runs[i - 1] != was[0] || col->runs[i] != was[1]) continue;
        struct collection *s = snapshot(col);
        replace_two(s, i, merged);
        return s;
    }
    postings_release(merged);
    return NULL;
}

enum err collection_follow(struct call *c, struct conn *r, int64_t generation, const struct collection *old, struct collection **out)
{
    struct builder b = { .s = old ? snapshot(old) : collection_new() };
    struct collection *s = b.s;
    bool missed = false;
    int64_t from_item = s->last_item, from_seq = s->last_seq;
    enum err e = search_store_gone(c, r, s->last_gone, take_gone, &b, &s->last_gone, &missed);
    if (!e && old && (missed || s->dead_count > s->count / 2 + DEAD_SLACK)) {
        collection_release(s);
        return collection_follow(c, r, generation, NULL, out);
    }
    if (!e) {
        b.terms = postings_begin();
        e = search_store_items(c, r, from_item, from_seq, take_item, &b);
        end_run(&b);
    }
    if (e) {
        collection_release(s);
        return e;
    }
    for (int i = 0; i < s->set_count; i++) s->sets[i].index_of = s->index_of[i] ? s->index_of[i]->index : NULL;
    s->generation = generation;
    *out = s;
    return OK;
}
