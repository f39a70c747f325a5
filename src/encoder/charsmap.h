/* encoder/charsmap.h — SentencePiece's table of character replacements: a double-array trie whose values point at strings.
 * Borrows its bytes; read-only; any thread.
 *     struct charsmap map;
 *     e = charsmap_parse(c, blob, n, &map);
 *     const char *to = charsmap_find(&map, "ﬁ", 3, &len);        // "fi"                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_CHARSMAP_H
#define CHIRON_ENCODER_CHARSMAP_H
#include "base/call.h"

enum { CHARSMAP_BYTES = 8 * 1024 * 1024, CHARSMAP_TEXT_BYTES = 64 /* of one replacement */ };
struct charsmap {
    const unsigned char *units;      /* count × 4 bytes, little-endian, at any address */
    uint32_t             count;
    const char          *texts;      /* NUL-ended strings, the last byte is NUL */
    size_t               text_bytes;
};

/* blob: a 32-bit size, the trie of that size, the strings. ERR_CORRUPT: sizes that do not fit, a replacement that is too
 * long or no UTF-8. */
MUST_CHECK enum err charsmap_parse(struct call *c, const unsigned char *blob, size_t n, struct charsmap *out);
/* What stands for the shortest beginning of s[0..n) that is in the table, as its library has it: the whole of s is
 * replaced by it. NULL when there is none. */
const char *charsmap_find(const struct charsmap *m, const char *s, size_t n, size_t *len_out);
#endif
