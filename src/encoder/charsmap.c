/* SPDX-License-Identifier: MIT */
/* The trie is walked where it lies: a unit is checked against the bounds when it is reached, so that a damaged one ends
 * a search instead of the process. */
#include "encoder/charsmap.h"

#include <string.h>

#include "encoder/bertchars.h"

static uint32_t word_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static bool is_utf8(const char *s, size_t n)
{
    for (size_t at = 0; at < n;) {
        int len;
        if (bertchars_decode((const unsigned char *)s + at, n - at, &len) == 0xfffd && len == 1) return false;
        at += (size_t)len;
    }
    return true;
}

enum err charsmap_parse(struct call *c, const unsigned char *blob, size_t n, struct charsmap *out)
{
    if (n > CHARSMAP_BYTES) return fail(c, ERR_CORRUPT, "precompiled_charsmap: over %d bytes", CHARSMAP_BYTES);
    uint32_t size = n >= 4 ? word_at(blob) : 0;
    if (n < 9 || size % 4 || size < 4 || size > n - 5 || blob[n - 1])
        return fail(c, ERR_CORRUPT, "precompiled_charsmap: its trie of %u bytes does not fit into %zu", size, n);
    const char *texts = (const char *)blob + 4 + size;
    size_t      text_bytes = n - 4 - size;
    for (size_t at = 0; at < text_bytes;) {
        size_t len = strlen(texts + at);
        if (len > CHARSMAP_TEXT_BYTES || !is_utf8(texts + at, len))
            return fail(c, ERR_CORRUPT, "precompiled_charsmap: the replacement at byte %zu has over %d bytes or is no UTF-8", at,
                        CHARSMAP_TEXT_BYTES);
        at += len + 1;
    }
    *out = (struct charsmap){ blob + 4, size / 4, texts, text_bytes };
    return OK;
}

static uint32_t unit_at(const struct charsmap *m, uint32_t i) { return i < m->count ? word_at(m->units + (size_t)i * 4) : 0; }
static uint32_t offset_of(uint32_t unit) { return (unit >> 10) << ((unit & 1u << 9) >> 6); }

const char *charsmap_find(const struct charsmap *m, const char *s, size_t n, size_t *len_out)
{
    uint32_t at = offset_of(unit_at(m, 0));
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)s[i];
        if (!byte) return NULL;
        at ^= byte;
        uint32_t unit = unit_at(m, at);
        if ((unit & (1u << 31 | 0xff)) != byte) return NULL;
        at ^= offset_of(unit);
        if (unit >> 8 & 1) {
            uint32_t value = unit_at(m, at) & ~(1u << 31);
            if (value >= m->text_bytes) return NULL;
            *len_out = strlen(m->texts + value);
            /* A damaged trie may point into the middle of a character. */
            return is_utf8(m->texts + value, *len_out) ? m->texts + value : NULL;
        }
    }
    return NULL;
}
