/* encoder/spmchars.h — what the normalisers of a Unigram tokenizer.json make of a text, a grapheme at a time. Read-only
 * once made; any thread.
 *     struct spmchars forms;
 *     e = spmchars_read(c, normalizer, &forms);
 *     size_t from = spmchars_next(s, n);  int len = spmchars_apply(&forms, s, from, out);  …  spmchars_dispose(&forms); */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_SPMCHARS_H
#define CHIRON_ENCODER_SPMCHARS_H
#include "base/json.h"
#include "encoder/charsmap.h"

enum { SPMCHARS_STEPS = 8, SPMCHARS_GRAPHEME_CHARS = 32,
       /* Each step's largest result of a full grapheme; what would be longer is cut. */
       SPMCHARS_OUT = SPMCHARS_GRAPHEME_CHARS * CHARSMAP_TEXT_BYTES };
struct spmchars {
    int             kind[SPMCHARS_STEPS];
    int             count;
    struct charsmap map;                /* of the one Precompiled step */
    unsigned char  *blob;
    bool            one_space;          /* runs of spaces become one */
    bool            strip_left, strip_right;
};

/* normalizer: the object of tokenizer.json, NULL or null for none. Precompiled (one), NFC, NFD, NFKC, NFKD, Lowercase, Nmt,
 * StripAccents, Strip, Replace of two or more spaces, Sequence of these. ERR_CORRUPT names any other. */
MUST_CHECK enum err spmchars_read(struct call *c, const json_t *normalizer, struct spmchars *out);
void spmchars_dispose(struct spmchars *f);    /* a zeroed one is allowed */
/* Bytes of the grapheme that s[0..n), n ≥ 1, begins with; valid UTF-8 up to its end. Cut after SPMCHARS_GRAPHEME_CHARS. 0:
 * the first byte is no UTF-8. */
size_t spmchars_next(const char *s, size_t n);
/* The grapheme s[0..n) through all steps into out[SPMCHARS_OUT]; its length, 0 when it disappears. */
size_t spmchars_apply(const struct spmchars *f, const char *s, size_t n, char *out);
#endif
