/* knowledge/search_named.c — a question that is just the name of something there (FIT-086). Among many that share its words, "Squat with
 * Bands" and "Squats - With Bands", the words' weights do not tell the one that is called so; its heading does. It lifts
 * that passage within the keyword leg and leaves the combination of the legs as it is (RAG-020). It looks at the leg's best
 * alone, and refuses to look at all when the question is longer than names are. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "knowledge/fold.h"
#include "knowledge/search.h"
#include "knowledge/search_store.h"

#define NAME_BYTES   120
#define LOOKED_AT    16
#define NAMED_WEIGHT 2.0f    /* times the leg's best is added: the other leg's doubts do not outweigh a name */

/* Folded words with one space between them; false: it is no name. */
static bool name_of(const char *text, size_t n, struct buf *out)
{
    struct buf folded;
    buf_clear(out);
    buf_init(&folded, 4 * NAME_BYTES);
    bool ok = n <= NAME_BYTES && fold_text(text, n, &folded) && folded.len;
    for (size_t i = 0, len; ok && i < folded.len; i += len) {
        const char *s = folded.data + i;
        bool word = fold_kind(s, folded.len - i, &len) != FOLD_OTHER;
        if (word) ok = buf_add(out, s, len);
        else if (out->len && out->data[out->len - 1] != ' ') ok = buf_addc(out, ' ');
    }
    while (ok && out->len && out->data[out->len - 1] == ' ') out->len--;
    ok = ok && out->len;
    buf_dispose(&folded);
    return ok;
}

struct look {
    const struct buf *want;
    struct buf name;
    struct search_hit *hits;
    int n;
    float more;
    bool found;
};

/* The last part of "Legs > Squat" is what the passage is called. */
static void look_at(void *arg, int64_t item, const char *heading)
{
    struct look *l = arg;
    const char *last = heading;
    for (const char *at = heading; (at = strstr(at, " > ")); at += 3) last = at + 3;
    if (!name_of(last, strlen(last), &l->name) || l->name.len != l->want->len || memcmp(l->name.data, l->want->data, l->name.len) != 0) return;
    for (int i = 0; i < l->n; i++)
        if (l->hits[i].id == item) l->hits[i].keyword += l->more;
    l->found = true;
}

static int by_keyword(const void *pa, const void *pb)
{
    const struct search_hit *a = pa, *b = pb;
    if (a->keyword != b->keyword) return a->keyword > b->keyword ? -1 : 1;
    return a->rank_keyword - b->rank_keyword;
}

enum err search_named(struct call *c, struct conn *r, const char *text, size_t text_bytes, struct search_hit *hits, int n)
{
    struct buf want;
    int64_t items[LOOKED_AT];
    int count = n < LOOKED_AT ? n : LOOKED_AT;
    enum err e = OK;
    buf_init(&want, 4 * NAME_BYTES);
    struct look l = { .want = &want, .hits = hits, .n = count, .more = n ? NAMED_WEIGHT * hits[0].keyword : 0 };
    buf_init(&l.name, 4 * NAME_BYTES);
    for (int i = 0; i < count; i++) items[i] = hits[i].id;
    if (count && name_of(text, text_bytes, &want)) e = search_store_headings(c, r, items, count, look_at, &l);
    if (!e && l.found) {
        qsort(hits, (size_t)count, sizeof *hits, by_keyword);
        for (int i = 0; i < count; i++) hits[i].rank_keyword = i + 1;
    }
    buf_dispose(&l.name);
    buf_dispose(&want);
    return e;
}
