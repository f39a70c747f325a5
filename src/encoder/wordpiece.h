/* encoder/wordpiece.h — the tokenizer's making; its use is in encoder.h. A wordpiece is read-only once made.
 *     struct wordpiece *w;
 *     e = wordpiece_load(c, folder, &w);  …  wordpiece_free(w);                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_WORDPIECE_H
#define CHIRON_ENCODER_WORDPIECE_H
#include <stddef.h>

#include "encoder/encoder.h"

/* Reads folder/vocab.txt, else the vocabulary in folder/tokenizer.json. ERR_NOT_FOUND, ERR_CORRUPT. */
MUST_CHECK enum err wordpiece_load(struct call *c, const char *folder, struct wordpiece **out);
/* From the bytes of a vocab.txt: one token per line, the line number is the id. ERR_CORRUPT: no [UNK], [CLS] or [SEP],
 * a token twice, a token over 255 bytes, more than a million tokens. */
MUST_CHECK enum err wordpiece_parse(struct call *c, const char *vocab, size_t n, struct wordpiece **out);
void wordpiece_free(struct wordpiece *w);           /* NULL allowed */
int  wordpiece_size(const struct wordpiece *w);     /* tokens in the vocabulary */
#endif
