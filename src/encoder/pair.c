/* SPDX-License-Identifier: MIT */
/* A query and a text as token ids in the model's frame ([CLS] query [SEP] text [SEP]), cut to its length the way the
 * tokenizers library cuts pairs, because a cross-encoder was trained and published with that. The query is read once
 * for all its texts. */
#include "encoder/pair.h"

#include <string.h>

void pair_lengths(int n1, int n2, int most, int *keep1, int *keep2)
{
    int shorter = n1 < n2 ? n1 : n2, longer = n1 < n2 ? n2 : n1;
    if (shorter + longer > most) {
        longer = most - shorter > shorter ? most - shorter : shorter;
        if (shorter + longer > most) {
            shorter = most / 2;
            longer = shorter + most % 2;
        }
    }
    *keep1 = n1 > n2 ? longer : shorter;
    *keep2 = n1 > n2 ? shorter : longer;
}

void pair_query(struct pair *p, const struct tokenizer *t, const char *query, size_t len, int most)
{
    p->tokenizer = t;
    p->frame = tokenizer_frame(t);
    p->room = most - 2 - p->frame.between_count;
    p->query = query;
    p->query_len = len;
    /* One more than can be kept, so that a part that is exactly full differs from one that is longer. */
    p->query_tokens = tokenizer_ids(t, query, len, p->query_ids, p->room + 1);
}

int pair_encode(struct pair *p, const char *text, size_t len, int32_t *ids, int *first_out)
{
    int n1 = p->query_tokens, n2 = tokenizer_ids(p->tokenizer, text, len, p->text_ids, p->room + 1), keep1, keep2, n = 0;
    /* Which part is the longer one decides who gets the odd token. */
    if (n1 > p->room && n2 > p->room) {
        n1 = tokenizer_spans(p->tokenizer, p->query, p->query_len, NULL, INT32_MAX);
        n2 = tokenizer_spans(p->tokenizer, text, len, NULL, INT32_MAX);
    }
    pair_lengths(n1, n2, p->room, &keep1, &keep2);
    ids[n++] = p->frame.begin;
    memcpy(ids + n, p->query_ids, (size_t)keep1 * sizeof *ids);
    n += keep1;
    for (int i = 0; i < p->frame.between_count; i++) ids[n++] = p->frame.between[i];
    *first_out = n;
    memcpy(ids + n, p->text_ids, (size_t)keep2 * sizeof *ids);
    n += keep2;
    ids[n++] = p->frame.end;
    return n;
}
