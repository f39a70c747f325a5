/* knowledge/wordlist.h — the word lists built into the binary, each loaded at first use and kept. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_WORDLIST_H
#define CHIRON_KNOWLEDGE_WORDLIST_H
#include <stdbool.h>
#include <stddef.h>

enum wordlist { WORDLIST_EN, WORDLIST_ES, WORDLIST_UNITS, WORDLIST_COMPOUNDS, WORDLIST_JOINED, WORDLIST_COUNT };

/* Is this folded word in the list? COMPOUNDS takes "push up", JOINED the same entries written "pushup". */
bool wordlist_has(enum wordlist l, const char *word, size_t n);
/* The rest of the entry's line after the word and a space ("lbs" → "lb" in UNITS, "pushup" → "push up" in JOINED), ""
 * when there is none, NULL when the word is not in the list. Static storage. */
const char *wordlist_get(enum wordlist l, const char *word, size_t n);
#endif
