/* encoder/wordpiece.h — BERT's tokenizer, behind tokenizer.h. A wordpiece is read-only once made; any thread.
 *     struct wordpiece *w;
 *     e = wordpiece_parse(c, vocab, n, &w);  …  wordpiece_free(w);                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_WORDPIECE_H
#define CHIRON_ENCODER_WORDPIECE_H
#include <stddef.h>

#include "base/json.h"
#include "encoder/bertchars.h"
#include "encoder/tokenizer.h"

/* From the bytes of a vocab.txt: one token per line, the line number is the id. ERR_CORRUPT: no [UNK], [CLS] or [SEP],
 * a token twice, a token over 255 bytes, more than a million tokens. */
MUST_CHECK enum err wordpiece_parse(struct call *c, const char *vocab, size_t n, struct wordpiece **out);
/* From a tokenizer.json of n bytes whose model is WordPiece. ERR_CORRUPT also: ids that are not 0 to one less than the number
 * of tokens, a normalizer, pre-tokenizer or prefix of pieces that BERT's is not. What it says of letters holds. */
MUST_CHECK enum err wordpiece_read(struct call *c, const json_t *root, size_t n, struct wordpiece **out);
void wordpiece_letters(struct wordpiece *w, bool lower_case, bool strip_accents, bool split_chinese);   /* all true before */
void wordpiece_free(struct wordpiece *w);           /* NULL allowed */
int  wordpiece_size(const struct wordpiece *w);     /* tokens in the vocabulary */
struct tokenizer_frame wordpiece_frame(const struct wordpiece *w);
/* As tokenizer_ids, tokenizer_encode and tokenizer_spans. */
int wordpiece_ids(const struct wordpiece *w, const char *text, size_t len, int32_t *ids, int max);
int wordpiece_encode(const struct wordpiece *w, const char *text, size_t len, int32_t *ids, int max_ids);
int wordpiece_spans(const struct wordpiece *w, const char *text, size_t len, uint32_t *offsets_out, int max);
#endif
