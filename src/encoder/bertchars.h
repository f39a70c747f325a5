/* encoder/bertchars.h — what BERT's tokenizer makes of one character. Stateless; any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_BERTCHARS_H
#define CHIRON_ENCODER_BERTCHARS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bertchars_class { BERTCHARS_WORD, BERTCHARS_SPACE, BERTCHARS_PUNCT, BERTCHARS_DROP };
struct bertchars_out {
    uint32_t cp;
    uint8_t  kind;      /* enum bertchars_class; never DROP */
};
enum { BERTCHARS_MAX = 8 };   /* the longest canonical decomposition has 4 characters, 2 spaces may stand around it */

extern const uint8_t bertchars_ascii[128];   /* enum bertchars_class */

/* What a model does to letters; uncased ones all of it. */
struct bertchars_letters {
    bool lower_case, strip_accents, split_chinese;
};
/* cp cleaned, split off when Chinese, decomposed and stripped of accents, and lower-cased, into out[BERTCHARS_MAX]; the
 * number of entries, 0 when the character disappears. */
int bertchars_fold(uint32_t cp, struct bertchars_letters letters, struct bertchars_out *out);

/* The code point at s[0..n), n ≥ 1, and its length in *len. Bytes that are not UTF-8 give 0xFFFD with *len 1. */
uint32_t bertchars_decode(const unsigned char *s, size_t n, int *len);
/* UTF-8 of cp into out[4]; its length. */
int bertchars_encode(uint32_t cp, unsigned char *out);
#endif
