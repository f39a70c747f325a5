/* knowledge/collection.c — read-copy-update over a creator's items. Per-item columns are copied for each generation
 * (24 bytes an item); vectors, which are eighty times that, are appended to rows that older snapshots go on using.
 * It refuses to know which creators there are: that is collections.c. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/collection_follow.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/postings.h"
#include "knowledge/search_store.h"

#define SETS       8         /* models of one creator; vectors of a ninth are not searched */
#define BM25_K1    1.2f
#define BM25_B     0.75f
#define NAME_SLOTS 1024u     /* grows by doubling */
#define RUNS       32        /* postings of one snapshot; each at least twice the next, so far fewer */
#define DEAD_SLACK 1000      /* removed items carried along before all is read again */

/* What all snapshots since the last full read share. Only the refreshing thread appends. */
struct base {
    atomic_int refs;
    pthread_mutex_t lock;            /* of names */
    char **names;                    /* open addressing: users and types to small numbers, by slot of the table */
    uint32_t *name_ids;
    uint32_t name_count, name_slots;
    struct set_rows { char *model; int dim; struct vectors *rows; } sets[SETS];
    int set_count;
    json_t **metadata;               /* every source ever read; freed with the base */
    uint32_t metadata_count, metadata_cap;
};
struct collection {
    atomic_int refs;
    struct base *base;
    int64_t generation, last_item, last_seq, last_gone;
    uint32_t count, cap, dead_count;
    int64_t *item;                   /* ascending */
    uint32_t *user, *type;           /* numbers of names */
    const json_t **metadata;         /* of the item's source, NULL when empty; owned by the base */
    uint64_t *dead;
    uint32_t *length;                /* terms of the item */
    uint64_t length_sum;
    struct postings *runs[RUNS];     /* of consecutive items, oldest first */
    int run_count;
    struct collection_set sets[SETS];
    uint32_t *index_of[SETS], index_cap[SETS];
    int set_count;
};

static void *grow(void *p, size_t n, size_t each)
{
    void *q = reallocarray(p, n, each);
    if (!q) abort();
    return q;
}

/* ---- names ---- */

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

/* The number of a name; add: it gets one when it is new, else COLLECTION_NONE. */
static uint32_t name_id(struct base *b, const char *s, bool add)
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
        vectors_free(b->sets[i].rows);
    }
    for (uint32_t i = 0; i < b->metadata_count; i++) json_decref(b->metadata[i]);
    free(b->metadata);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void collection_retain(struct collection *col)
{
    atomic_fetch_add(&col->refs, 1);
}

void collection_release(struct collection *col)
{
    if (!col || atomic_fetch_sub(&col->refs, 1) > 1) return;
    base_release(col->base);
    free(col->item);
    free(col->user);
    free(col->type);
    free(col->metadata);
    free(col->dead);
    free(col->length);
    for (int i = 0; i < col->run_count; i++) postings_release(col->runs[i]);
    for (int i = 0; i < SETS; i++) free(col->index_of[i]);
    free(col);
}

static void *copy(const void *p, size_t n, size_t cap, size_t each)
{
    void *q = grow(NULL, cap ? cap : 1, each);
    if (n) memcpy(q, p, n * each);
    return q;
}

/* A snapshot to be completed by the caller: what old holds, or nothing. */
static struct collection *snapshot(const struct collection *old)
{
    struct collection *s = calloc(1, sizeof *s);
    if (!s) abort();
    if (old) *s = *old;
    atomic_init(&s->refs, 1);
    s->base = old ? old->base : base_new();
    if (old) atomic_fetch_add(&s->base->refs, 1);
    uint32_t n = s->count;
    s->cap = n + n / 16 + 64;
    s->cap = (s->cap + 63) & ~63u;
    s->item = copy(s->item, n, s->cap, sizeof *s->item);
    s->user = copy(s->user, n, s->cap, sizeof *s->user);
    s->type = copy(s->type, n, s->cap, sizeof *s->type);
    s->metadata = copy(s->metadata, n, s->cap, sizeof *s->metadata);
    s->length = copy(s->length, n, s->cap, sizeof *s->length);
    for (int i = 0; i < s->run_count; i++) postings_retain(s->runs[i]);
    uint64_t *dead = calloc(s->cap / 64, sizeof *dead);
    if (!dead) abort();
    if (old) memcpy(dead, old->dead, ((size_t)n + 63) / 64 * sizeof *dead);
    s->dead = dead;
    for (int i = 0; i < s->set_count; i++) {
        s->index_cap[i] = s->sets[i].count + 64;
        s->index_of[i] = copy(old->index_of[i], s->sets[i].count, s->index_cap[i], sizeof(uint32_t));
    }
    return s;
}

size_t collection_bytes(const struct collection *s)
{
    size_t n = (size_t)s->cap * (sizeof(int64_t) + 3 * sizeof(uint32_t) + sizeof(void *)) + (size_t)s->base->metadata_count * 512;
    for (int i = 0; i < s->set_count; i++) n += vectors_bytes(s->sets[i].rows) + s->index_cap[i] * sizeof(uint32_t);
    for (int i = 0; i < s->run_count; i++) n += postings_bytes(s->runs[i]);
    return n;
}

/* ---- bringing in what changed ---- */

/* A word of the title counts as four of the text: measured, and what makes a question that is a title find its document. */
enum { WEIGHT_TITLE = 4, WEIGHT_HEADING = 2, WEIGHT_BODY = 1 };

struct builder {
    struct collection *s;
    struct postings_builder *terms;  /* of the items that are new */
    const json_t *metadata;          /* of the last source, which its next chunks share */
    char source[LIMIT_ID_BYTES + 1];
};

static int set_for(struct collection *s, const char *model, int dim)
{
    for (int i = 0; i < s->set_count; i++)
        if (s->sets[i].dim == dim && !strcmp(s->sets[i].model, model)) return i;
    struct base *b = s->base;
    if (b->set_count == SETS || dim > 8192) return -1;
    struct set_rows *r = &b->sets[b->set_count++];
    *r = (struct set_rows){ strdup(model), dim, vectors_new(dim) };
    if (!r->model) abort();
    int i = s->set_count++;
    assert(s->set_count == b->set_count);
    s->sets[i] = (struct collection_set){ .model = r->model, .dim = dim, .rows = r->rows, .plain = true, .ascending = true };
    return i;
}

static const json_t *keep_metadata(struct base *b, const char *text)
{
    json_t *v = text && strcmp(text, "{}") != 0 ? json_loads(text, 0, NULL) : NULL;
    if (!v) return NULL;
    if (b->metadata_count == b->metadata_cap) {
        b->metadata_cap = b->metadata_cap ? b->metadata_cap * 2 : 64;
        b->metadata = grow(b->metadata, b->metadata_cap, sizeof *b->metadata);
    }
    return b->metadata[b->metadata_count++] = v;
}

static uint32_t add_item(struct builder *b, const struct stored_item *i)
{
    struct collection *s = b->s;
    if (s->count == s->cap) {
        uint32_t old = s->cap;
        s->cap *= 2;
        s->item = grow(s->item, s->cap, sizeof *s->item);
        s->user = grow(s->user, s->cap, sizeof *s->user);
        s->type = grow(s->type, s->cap, sizeof *s->type);
        s->metadata = grow(s->metadata, s->cap, sizeof *s->metadata);
        s->length = grow(s->length, s->cap, sizeof *s->length);
        s->dead = grow(s->dead, s->cap / 64, sizeof *s->dead);
        memset(s->dead + old / 64, 0, (s->cap - old) / 64 * sizeof *s->dead);
    }
    if (i->kind == SEARCH_EMBEDDING || strcmp(b->source, i->source) != 0) {
        b->metadata = keep_metadata(s->base, i->metadata);
        snprintf(b->source, sizeof b->source, "%s", i->source);
    }
    uint32_t at = s->count++;
    s->item[at] = s->last_item = i->item;
    s->user[at] = name_id(s->base, i->user_id, true);
    s->type[at] = name_id(s->base, i->content_type, true);
    s->metadata[at] = b->metadata;
    s->length[at] = postings_add(b->terms, at, i->title, WEIGHT_TITLE) + postings_add(b->terms, at, i->heading, WEIGHT_HEADING) +
                    postings_add(b->terms, at, i->body, WEIGHT_BODY);
    s->length_sum += s->length[at];
    return at;
}

static void take_item(void *arg, const struct stored_item *i)
{
    struct builder *b = arg;
    struct collection *s = b->s;
    uint32_t at = s->count && s->item[s->count - 1] == i->item ? s->count - 1 : collection_find(s, i->item, 0);
    if (i->item > s->last_item) at = add_item(b, i);
    if (i->seq > s->last_seq) s->last_seq = i->seq;
    int set = at != COLLECTION_NONE && i->model ? set_for(s, i->model, i->dim) : -1;
    if (set < 0) return;
    struct collection_set *to = &s->sets[set];
    /* A vector of an item from an earlier generation may be a second one; not where they came in the items' order so far. */
    bool second = at + 1 < s->count && to->count && !(to->ascending && s->index_of[set][to->count - 1] < at);
    for (uint32_t k = 0; second && k < to->count; k++) {
        if (s->index_of[set][k] != at) continue;
        s->index_of[set][k] = COLLECTION_NONE;
        to->plain = to->ascending = false;
    }
    if (to->count == s->index_cap[set]) {
        s->index_cap[set] = s->index_cap[set] ? s->index_cap[set] * 2 : 64;
        s->index_of[set] = grow(s->index_of[set], s->index_cap[set], sizeof(uint32_t));
    }
    struct vectors *rows = s->base->sets[set].rows;
    float row[8192];
    memcpy(row, i->vector, (size_t)i->dim * sizeof *row);
    uint32_t slot = vectors_add(rows, row);
    assert(slot == to->count);
    to->plain &= slot == at;
    to->ascending &= slot == 0 || (s->index_of[set][slot - 1] != COLLECTION_NONE && s->index_of[set][slot - 1] < at);
    s->index_of[set][slot] = at;
    to->count = slot + 1;
}

static void take_gone(void *arg, int64_t item)
{
    struct collection *s = ((struct builder *)arg)->s;
    uint32_t at = collection_find(s, item, 0);
    if (at == COLLECTION_NONE) return;
    s->dead[at / 64] |= (uint64_t)1 << (at % 64);
    s->dead_count++;
}

static void add_run(struct collection *s, struct postings *run)
{
    if (postings_entries(run) == 0) {
        postings_release(run);
        return;
    }
    s->runs[s->run_count++] = run;
    while (s->run_count > 1 &&
           (s->run_count == RUNS || postings_entries(s->runs[s->run_count - 1]) * 2 > postings_entries(s->runs[s->run_count - 2]))) {
        struct postings *newer = s->runs[--s->run_count], *older = s->runs[s->run_count - 1];
        s->runs[s->run_count - 1] = postings_merge(older, newer);
        postings_release(older);
        postings_release(newer);
    }
}

enum err collection_follow(struct call *c, struct conn *r, int64_t generation, const struct collection *old, struct collection **out)
{
    struct builder b = { .s = snapshot(old) };
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
        add_run(s, postings_end(b.terms));
    }
    if (e) {
        collection_release(s);
        return e;
    }
    for (int i = 0; i < s->set_count; i++) s->sets[i].index_of = s->index_of[i];
    s->generation = generation;
    *out = s;
    return OK;
}

/* ---- reading a snapshot ---- */

int64_t collection_generation(const struct collection *col)
{
    return col->generation;
}

uint32_t collection_count(const struct collection *col)
{
    return col->count;
}

int64_t collection_item(const struct collection *col, uint32_t index)
{
    return col->item[index];
}

uint32_t collection_find(const struct collection *col, int64_t item, uint32_t hint)
{
    uint32_t lo = hint, hi = col->count;
    if (lo >= hi || col->item[lo] > item) return COLLECTION_NONE;
    /* Numbers mostly follow each other: the distance in numbers is the distance in places. */
    int64_t guess = (int64_t)lo + (item - col->item[lo]);
    if (guess < (int64_t)hi && col->item[guess] == item) lo = (uint32_t)guess;
    else
        while (hi - lo > 1) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (col->item[mid] <= item) lo = mid;
            else hi = mid;
        }
    if (col->item[lo] != item || (col->dead[lo / 64] >> (lo % 64) & 1)) return COLLECTION_NONE;
    return lo;
}

const struct collection_set *collection_set(const struct collection *col, const char *model, int dim)
{
    for (int i = 0; i < col->set_count; i++)
        if (col->sets[i].dim == dim && !strcmp(col->sets[i].model, model)) return &col->sets[i];
    return NULL;
}

float *collection_bm25(struct call *c, const struct collection *col, const char *const *terms, int n)
{
    float *score = arena_array(&c->mem, (size_t)col->count + 1, sizeof *score);
    float mean = col->count && col->length_sum ? (float)col->length_sum / (float)col->count : 1;
    float norm_base = BM25_K1 * (1 - BM25_B), norm_step = BM25_K1 * BM25_B / mean;
    for (int t = 0; t < n; t++) {
        const uint32_t *index[RUNS];
        const uint16_t *count[RUNS];
        uint32_t have[RUNS], all = 0;
        for (int i = 0; i < col->run_count; i++)
            all += have[i] = postings_find(col->runs[i], terms[t], strlen(terms[t]), &index[i], &count[i]);
        if (all == 0) continue;
        float idf = logf(1 + ((float)(col->count - all) + 0.5f) / ((float)all + 0.5f)) * (BM25_K1 + 1);
        for (int i = 0; i < col->run_count; i++)
            for (uint32_t k = 0; k < have[i]; k++) {
                uint32_t at = index[i][k];
                float f = count[i][k];
                score[at] += idf * f / (f + norm_base + norm_step * (float)col->length[at]);
            }
    }
    return score;
}

static bool one_matches(const json_t *have, const json_t *want)
{
    if (json_is_number(have) && json_is_number(want)) return json_number_value(have) == json_number_value(want);
    return json_equal(have, want);
}

static bool matches(const json_t *have, const json_t *want)
{
    if (json_is_array(want)) {
        for (size_t i = 0; i < json_array_size(want); i++)
            if (matches(have, json_array_get(want, i))) return true;
        return false;
    }
    if (json_is_array(have)) {
        for (size_t i = 0; i < json_array_size(have); i++)
            if (one_matches(json_array_get(have, i), want)) return true;
        return false;
    }
    return one_matches(have, want);
}

bool collection_matches(const json_t *metadata, const json_t *filter)
{
    const char *key;
    json_t *want;
    json_object_foreach((json_t *)(uintptr_t)filter, key, want) {
        const json_t *have = json_object_get(metadata, key);
        if (!have || !matches(have, want)) return false;
    }
    return true;
}

const uint64_t *collection_allowed(struct call *c, const struct collection *col, const char *user, const char *const *types,
                                   const json_t *filter)
{
    uint32_t wanted[32], n_types = 0, all = COLLECTION_NONE;
    uint32_t shared = name_id(col->base, "", false), own = user && *user ? name_id(col->base, user, false) : all;
    for (; types && types[n_types] && n_types < 32; n_types++) wanted[n_types] = name_id(col->base, types[n_types], false);
    if (filter && json_object_size(filter) == 0) filter = NULL;
    size_t words = ((size_t)col->count + 63) / 64;
    uint64_t *bits = arena_array(&c->mem, words + 1, sizeof *bits);
    uint32_t seen = 0;
    const json_t *last = NULL;
    bool last_ok = false;
    for (uint32_t i = 0; i < col->count; i++) {
        bool ok = (col->user[i] == shared || (own != all && col->user[i] == own)) && !(col->dead[i / 64] >> (i % 64) & 1);
        if (ok && types) {
            ok = false;
            for (uint32_t t = 0; t < n_types && !ok; t++) ok = col->type[i] == wanted[t];
        }
        if (ok && filter) {
            if (i == 0 || col->metadata[i] != last) last_ok = col->metadata[i] && collection_matches(col->metadata[i], filter);
            last = col->metadata[i];
            ok = last_ok;
        }
        bits[i / 64] |= (uint64_t)ok << (i % 64);
        seen += ok;
    }
    return seen == col->count ? NULL : bits;
}

const uint64_t *collection_slots(struct call *c, const struct collection *col, const struct collection_set *set,
                                 const uint64_t *allowed)
{
    (void)col;
    if (set->plain) return allowed;
    uint64_t *bits = arena_array(&c->mem, (size_t)set->count / 64 + 1, sizeof *bits);
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t at = set->index_of[i];
        bool ok = at != COLLECTION_NONE && (!allowed || (allowed[at / 64] >> (at % 64) & 1));
        bits[i / 64] |= (uint64_t)ok << (i % 64);
    }
    return bits;
}
