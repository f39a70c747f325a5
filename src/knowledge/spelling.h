/* knowledge/spelling.h — a question as it was probably meant: a word that stands nowhere in the material, and is no word of
 * the encoder's vocabulary, becomes the nearest one that does.
 *     const char *meant = spelling_correct(c, col, user, "protien per kg", 14, "en");   // "protein per kg"; NULL: nothing to do */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SPELLING_H
#define CHIRON_KNOWLEDGE_SPELLING_H
#include <stddef.h>

#include "base/call.h"

struct collection;
/* In c->mem. Words that stand only where user may not look are neither known nor offered. Words of one to three letters, with digits in or beside them, or that look like names stay as they are. */
const char *spelling_correct(struct call *c, const struct collection *col, const char *user, const char *text, size_t n,
                             const char *language);

/* Slips that make a (as typed) of b (as meant), words of at most 48 bytes: a letter left out, two neighbours swapped, a
 * letter doubled or hit with the key beside it, a sound written with another letter. most + 1: more than most, or no such slips. */
int spelling_slips(const char *a, size_t n, const char *b, size_t m, int most);
#endif
