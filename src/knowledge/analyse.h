/* knowledge/analyse.h — texts to index terms, and questions to index queries. Any thread; word lists load once.
 * A term is folded (case, accents, width), stemmed by language and free of stop words; forms such as 5x5, 1rm, 80kg,
 * 3/4 stay whole, and push-up, push up and pushup meet in one term (RAG-019). Terms hold letters, digits and / . - : _ */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_ANALYSE_H
#define CHIRON_KNOWLEDGE_ANALYSE_H
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/call.h"

#define ANALYSE_QUERY_TERMS 64     /* different terms of a question that count; the first ones */

/* Appends the terms of text, space-separated, to out; language "en", "es" or "" (then both stems where they differ).
 * keep_stop: stop words stay, unstemmed (for titles, so that a title made of them is found). Invalid UTF-8 separates
 * words. false: out is full. */
bool analyse_terms(const char *text, size_t n, const char *language, bool keep_stop, struct buf *out);

/* The different terms of a question in c->mem, in order; only_stop says that it held nothing but stop words and these
 * are they: then only titles and headings can answer. *n_out may be 0. */
const char *const *analyse_query(struct call *c, const char *text, size_t n, const char *language, int *n_out,
                                 bool *only_stop_out);
#endif
