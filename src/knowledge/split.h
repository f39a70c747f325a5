/* knowledge/split.h — a page's text into chunks (ARC-006, CRE-025): every chunk is a piece of the text as it stands, at most
 * size units long; neighbours share at most overlap units. Breaks are sought at a blank line first, then at a line's end,
 * then between words (after a sentence where one ends near), then anywhere. A heading begins a chunk; one without text
 * of its own stays with what follows. Pure; any thread.
 *     n = split_page(c, &page, &(struct split_opts){ .size = 1000, .overlap = 200 }, &pieces);                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SPLIT_H
#define CHIRON_KNOWLEDGE_SPLIT_H
#include "knowledge/extract.h"

struct tokenizer;
struct split_opts {
    const struct tokenizer *tokens;   /* unit tokens of this tokenizer; NULL: code points */
    int size, overlap;                /* size ≥ 1, 0 ≤ overlap < size */
};
struct split_piece {
    size_t      start, end;           /* bytes of the page's text; no blank at either end */
    const char *heading;              /* of the mark it stands under; in the page's memory */
};
/* In c->mem; the count returned, 0 for a blank page. */
int split_page(struct call *c, const struct extract_page *p, const struct split_opts *o, struct split_piece **out);
#endif
