/* encoder/tokenizer.h — a tokenizer's making and its special tokens; its use is in encoder.h. One door for the kinds there
 * are: WordPiece and Unigram. Read-only once made; any thread.
 *     struct tokenizer *t;
 *     e = tokenizer_load(c, folder, &card, &t);  …  tokenizer_free(t);                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_TOKENIZER_H
#define CHIRON_ENCODER_TOKENIZER_H
#include "encoder/card.h"

struct wordpiece;

/* Ids that stand around texts: begin a end, or for two texts begin a between[0..between_count) b end. */
struct tokenizer_frame {
    int32_t begin, end;
    int     between_count;
    int32_t between[2];
};

/* From folder/vocab.txt, else folder/tokenizer.json. ERR_NOT_FOUND: neither; ERR_CORRUPT names what is wrong. */
MUST_CHECK enum err tokenizer_load(struct call *c, const char *folder, const struct card *card, struct tokenizer **out);
/* From the bytes of a tokenizer.json. */
MUST_CHECK enum err tokenizer_read(struct call *c, const char *text, size_t n, struct tokenizer **out);
struct tokenizer *tokenizer_of_words(struct wordpiece *w);   /* takes w */
void tokenizer_free(struct tokenizer *t);                    /* NULL allowed */
int  tokenizer_size(const struct tokenizer *t);              /* ids are below it */
const char *tokenizer_kind(const struct tokenizer *t);       /* "WordPiece", "Unigram" */
struct tokenizer_frame tokenizer_frame(const struct tokenizer *t);
/* A text's ids without the frame, at most max; reading stops once they are full. */
int tokenizer_ids(const struct tokenizer *t, const char *text, size_t len, int32_t *ids, int max);
#endif
