/* knowledge/fold.h — text brought to the form in which words are compared. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_FOLD_H
#define CHIRON_KNOWLEDGE_FOLD_H
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Appends text without case, accents and compatibility forms: "Ó" → o, "ﬁ" → fi, "½" → " 1/2", every dash → '-', every
 * apostrophe → ''', "×" → x. An invalid byte becomes a space. false: out is full. */
bool fold_text(const char *text, size_t n, struct buf *out);
/* The kind of the UTF-8 character at s (n > 0 bytes left) and its length in bytes. */
enum fold_kind { FOLD_OTHER, FOLD_LETTER, FOLD_DIGIT, FOLD_IDEOGRAPH };
enum fold_kind fold_kind(const char *s, size_t n, size_t *len_out);
#endif
