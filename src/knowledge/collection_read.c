/* knowledge/collection_read.c — what a search asks of a snapshot: its items, its sets, and the ranking by words. Scores are
 * gathered in an array as long as the collection that is only touched, and only cleared, where a term occurs: a question
 * of rare words costs what those words weigh, however much else there is. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/collection_parts.h"

#define BM25_K1    1.2f
#define BM25_B     0.75f

int64_t collection_generation(const struct collection *col)
{
    return col->generation;
}

uint32_t collection_count(const struct collection *col)
{
    return col->count;
}

const struct postings *collection_run(const struct collection *col, int i)
{
    return i < col->run_count ? col->runs[i] : NULL;
}

uint32_t collection_removed(const struct collection *col)
{
    return col->dead_count;
}

int64_t collection_item(const struct collection *col, uint32_t index)
{
    return col->columns->item[index];
}

uint32_t collection_find(const struct collection *col, int64_t item, uint32_t hint)
{
    const int64_t *items = col->columns->item;
    uint32_t lo = hint, hi = col->count;
    if (lo >= hi || items[lo] > item) return COLLECTION_NONE;
    /* Numbers mostly follow each other: the distance in numbers is the distance in places. */
    int64_t guess = (int64_t)lo + (item - items[lo]);
    if (guess < (int64_t)hi && items[guess] == item) lo = (uint32_t)guess;
    else
        while (hi - lo > 1) {
            uint32_t mid = lo + (hi - lo) / 2;
            if (items[mid] <= item) lo = mid;
            else hi = mid;
        }
    if (items[lo] != item || collection_dead(col, lo)) return COLLECTION_NONE;
    return lo;
}

const struct collection_set *collection_set(const struct collection *col, const char *model, int dim)
{
    for (int i = 0; i < col->set_count; i++)
        if (col->sets[i].dim == dim && !strcmp(col->sets[i].model, model)) return &col->sets[i];
    return NULL;
}

bool collection_slot(const struct collection_set *set, uint32_t index, uint32_t *slot_out)
{
    uint32_t slot = index;
    if (!set->plain)
        for (slot = 0; slot < set->count && set->index_of[slot] != index; slot++) {}
    if (slot >= set->count || set->index_of[slot] != index) return false;
    *slot_out = slot;
    return true;
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

/* ---- ranking by words ---- */

static struct scratch *scratch_take(const struct collection *col)
{
    struct base *b = col->base;
    pthread_mutex_lock(&b->lock);
    struct scratch *s = b->scratches;
    if (s) b->scratches = s->next;
    pthread_mutex_unlock(&b->lock);
    if (!s && !(s = calloc(1, sizeof *s))) abort();
    if (s->cap <= col->count) {     /* one place more: the next is written before it is known to be new */
        free(s->score);
        free(s->touched);
        s->cap = col->count + col->count / 4 + 64;
        s->score = calloc(s->cap, sizeof *s->score);
        s->touched = malloc(s->cap * sizeof *s->touched);
        if (!s->score || !s->touched) abort();
    }
    return s;
}

static void scratch_give(const struct collection *col, struct scratch *s)
{
    pthread_mutex_lock(&col->base->lock);
    s->next = col->base->scratches;
    col->base->scratches = s;
    pthread_mutex_unlock(&col->base->lock);
}

void collection_scratches_free(struct base *b)
{
    while (b->scratches) {
        struct scratch *s = b->scratches;
        b->scratches = s->next;
        free(s->score);
        free(s->touched);
        free(s);
    }
}

static uint32_t add_term(const struct collection *col, const char *term, struct scratch *s, uint32_t touched)
{
    const uint32_t *index[COLLECTION_RUNS], *length = col->columns->length;
    const uint16_t *count[COLLECTION_RUNS];
    uint32_t have[COLLECTION_RUNS], all = 0;
    float mean = col->count && col->length_sum ? (float)col->length_sum / (float)col->count : 1;
    float norm_base = BM25_K1 * (1 - BM25_B), norm_step = BM25_K1 * BM25_B / mean;
    for (int i = 0; i < col->run_count; i++) all += have[i] = postings_find(col->runs[i], term, strlen(term), &index[i], &count[i]);
    if (all == 0) return touched;
    float idf = logf(1 + ((float)(col->count - all) + 0.5f) / ((float)all + 0.5f)) * (BM25_K1 + 1);
    for (int i = 0; i < col->run_count; i++)
        for (uint32_t k = 0; k < have[i]; k++) {
            uint32_t at = index[i][k];
            float f = count[i][k], before = s->score[at];
            s->touched[touched] = at;
            touched += before == 0;
            s->score[at] = before + idf * f / (f + norm_base + norm_step * (float)length[at]);
        }
    return touched;
}

int collection_words(const struct collection *col, const char *const *terms, int n, const uint64_t *allowed, int k,
                     struct collection_hit *best)
{
    struct scratch *s = scratch_take(col);
    uint32_t touched = 0;
    for (int t = 0; t < n; t++) touched = add_term(col, terms[t], s, touched);
    int have = 0;
    for (uint32_t i = 0; i < touched; i++) {
        uint32_t at = s->touched[i];
        struct collection_hit x = { at, s->score[at] };
        s->score[at] = 0;
        if (have == k && (x.score < best[k - 1].score || (x.score == best[k - 1].score && at > best[k - 1].index))) continue;
        if (allowed && !(allowed[at / 64] >> (at % 64) & 1)) continue;
        int to = have < k ? have++ : k - 1;
        for (; to > 0 && (best[to - 1].score < x.score || (best[to - 1].score == x.score && best[to - 1].index > at)); to--)
            best[to] = best[to - 1];
        best[to] = x;
    }
    scratch_give(col, s);
    return have;
}
