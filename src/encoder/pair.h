/* encoder/pair.h — a query and a text as one sequence of two parts. A struct pair is one thread's.
 *     struct pair p; pair_query(&p, tokenizer, query, strlen(query), 256);
 *     int n = pair_encode(&p, text, len, ids, &first);                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_PAIR_H
#define CHIRON_ENCODER_PAIR_H
#include "encoder/tokenizer.h"

struct pair {
    const struct tokenizer *tokenizer;
    struct tokenizer_frame  frame;
    const char             *query;              /* borrowed */
    size_t                  query_len;
    int                     room;               /* tokens of both parts together */
    int                     query_tokens;       /* at most room + 1 */
    int32_t                 query_ids[LIMIT_TOKENS], text_ids[LIMIT_TOKENS];
};
enum { PAIR_LEAST = 6 };    /* ids that a pair may have: the frame and a token of each part */

/* most: ids of a pair, PAIR_LEAST..LIMIT_TOKENS. */
void pair_query(struct pair *p, const struct tokenizer *t, const char *query, size_t len, int most);
/* ids: room for `most`. Returns how many; *first_out: how many of them come before the text. */
int pair_encode(struct pair *p, const char *text, size_t len, int32_t *ids, int *first_out);
/* Tokens kept of two parts of n1 and n2 when both together may have `most`: the longer part is cut first; when both are
 * over half, half each, the odd one to the longer, or to the second when they are equal. */
void pair_lengths(int n1, int n2, int most, int *keep1, int *keep2);
#endif
