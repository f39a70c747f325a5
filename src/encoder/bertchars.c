/* SPDX-License-Identifier: MIT */
/* Character classes of BERT's tokenizer. They come from utf8proc, whose Unicode is newer than the one the
 * published tokenizer was built with; the two tables below are the characters where the difference shows, found by
 * asking that tokenizer about every code point. It does not reorder combining marks: no mark that survives the
 * stripping stands in the vocabulary, so their order cannot change a token. */
#include "encoder/bertchars.h"

#include <stdbool.h>
#include <utf8proc.h>

struct range {
    uint32_t first, last;
};

/* Marks and format characters that the tokenizer does not know yet and therefore keeps. */
static const struct range kept[] = {
    { 0x7fd, 0x7fd }, { 0x890, 0x891 }, { 0x898, 0x89f }, { 0x8ca, 0x8e2 }, { 0x9fe, 0x9fe }, { 0xafa, 0xaff }, { 0xb55, 0xb55 },
    { 0xc04, 0xc04 }, { 0xc3c, 0xc3c }, { 0xd00, 0xd00 }, { 0xd3b, 0xd3c }, { 0xd81, 0xd81 }, { 0xeba, 0xeba }, { 0xece, 0xece },
    { 0x180f, 0x180f }, { 0x1885, 0x1886 }, { 0x1abf, 0x1ace }, { 0x1df6, 0x1dfb }, { 0xa82c, 0xa82c }, { 0xa8c5, 0xa8c5 },
    { 0xa8ff, 0xa8ff }, { 0xa9bd, 0xa9bd }, { 0x10d24, 0x10d27 }, { 0x10eab, 0x10eac }, { 0x10efd, 0x10eff },
    { 0x10f46, 0x10f50 }, { 0x10f82, 0x10f85 }, { 0x11070, 0x11070 }, { 0x11073, 0x11074 }, { 0x110c2, 0x110c2 },
    { 0x110cd, 0x110cd }, { 0x111c9, 0x111c9 }, { 0x111cf, 0x111cf }, { 0x1123e, 0x1123e }, { 0x11241, 0x11241 },
    { 0x1133b, 0x1133b }, { 0x11438, 0x1143f }, { 0x11442, 0x11444 }, { 0x11446, 0x11446 }, { 0x1145e, 0x1145e },
    { 0x1182f, 0x11837 }, { 0x11839, 0x1183a }, { 0x1193b, 0x1193c }, { 0x1193e, 0x1193e }, { 0x11943, 0x11943 },
    { 0x119d4, 0x119d7 }, { 0x119da, 0x119db }, { 0x119e0, 0x119e0 }, { 0x11a01, 0x11a0a }, { 0x11a33, 0x11a38 },
    { 0x11a3b, 0x11a3e }, { 0x11a47, 0x11a47 }, { 0x11a51, 0x11a56 }, { 0x11a59, 0x11a5b }, { 0x11a8a, 0x11a96 },
    { 0x11a98, 0x11a99 }, { 0x11c30, 0x11c36 }, { 0x11c38, 0x11c3d }, { 0x11c3f, 0x11c3f }, { 0x11c92, 0x11ca7 },
    { 0x11caa, 0x11cb0 }, { 0x11cb2, 0x11cb3 }, { 0x11cb5, 0x11cb6 }, { 0x11d31, 0x11d36 }, { 0x11d3a, 0x11d3a },
    { 0x11d3c, 0x11d3d }, { 0x11d3f, 0x11d45 }, { 0x11d47, 0x11d47 }, { 0x11d90, 0x11d91 }, { 0x11d95, 0x11d95 },
    { 0x11d97, 0x11d97 }, { 0x11ef3, 0x11ef4 }, { 0x11f00, 0x11f01 }, { 0x11f36, 0x11f3a }, { 0x11f40, 0x11f40 },
    { 0x11f42, 0x11f42 }, { 0x13430, 0x13440 }, { 0x13447, 0x13455 }, { 0x16f4f, 0x16f4f }, { 0x16fe4, 0x16fe4 },
    { 0x1cf00, 0x1cf2d }, { 0x1cf30, 0x1cf46 }, { 0x1e000, 0x1e006 }, { 0x1e008, 0x1e018 }, { 0x1e01b, 0x1e021 },
    { 0x1e023, 0x1e024 }, { 0x1e026, 0x1e02a }, { 0x1e08f, 0x1e08f }, { 0x1e130, 0x1e136 }, { 0x1e2ae, 0x1e2ae },
    { 0x1e2ec, 0x1e2ef }, { 0x1e4ec, 0x1e4ef }, { 0x1e944, 0x1e94a },
};

/* Punctuation that it does not know yet and treats as letters. */
static const struct range newer_punctuation[] = {
    { 0x61d, 0x61d }, { 0x9fd, 0x9fd }, { 0xa76, 0xa76 }, { 0xc77, 0xc77 }, { 0xc84, 0xc84 }, { 0x1b7d, 0x1b7e },
    { 0x2e43, 0x2e4f }, { 0x2e52, 0x2e5d }, { 0x10ead, 0x10ead }, { 0x10f55, 0x10f59 }, { 0x10f86, 0x10f89 },
    { 0x1144b, 0x1144f }, { 0x1145a, 0x1145b }, { 0x1145d, 0x1145d }, { 0x11660, 0x1166c }, { 0x116b9, 0x116b9 },
    { 0x1183b, 0x1183b }, { 0x11944, 0x11946 }, { 0x119e2, 0x119e2 }, { 0x11a3f, 0x11a46 }, { 0x11a9a, 0x11a9c },
    { 0x11a9e, 0x11aa2 }, { 0x11b00, 0x11b09 }, { 0x11c41, 0x11c45 }, { 0x11c70, 0x11c71 }, { 0x11ef7, 0x11ef8 },
    { 0x11f43, 0x11f4f }, { 0x11fff, 0x11fff }, { 0x12ff1, 0x12ff2 }, { 0x16e97, 0x16e9a }, { 0x16fe2, 0x16fe2 },
    { 0x1e95e, 0x1e95f },
};

/* The tokenizer's own list, with its gap at the start of extension E. */
static const struct range chinese[] = {
    { 0x3400, 0x4dbf },   { 0x4e00, 0x9fff },   { 0xf900, 0xfaff },   { 0x20000, 0x2a6df },
    { 0x2a700, 0x2b73f }, { 0x2b740, 0x2b81f }, { 0x2b920, 0x2ceaf }, { 0x2f800, 0x2fa1f },
};

enum { W = BERTCHARS_WORD, S = BERTCHARS_SPACE, P = BERTCHARS_PUNCT, D = BERTCHARS_DROP };
const uint8_t bertchars_ascii[128] = {
    D, D, D, D, D, D, D, D, D, S, S, D, D, S, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D, D,
    S, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, W, W, W, W, W, W, W, W, W, W, P, P, P, P, P, P,
    P, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, P, P, P, P, P,
    P, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, W, P, P, P, P, D,
};

static bool within(const struct range *r, size_t n, uint32_t cp)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > r[mid].last) lo = mid + 1;
        else hi = mid;
    }
    return lo < n && cp >= r[lo].first;
}
#define WITHIN(table, cp) within(table, sizeof table / sizeof *table, cp)

/* U+1734 was a nonspacing mark and U+166D, U+111C9 were punctuation in the tokenizer's Unicode. */
enum { HANUNOO_PAMUDPOD = 0x1734, CANADIAN_CHI = 0x166d, SHARADA_SANDHI = 0x111c9, DIVES_AKURU_O = 0x11938 };

static bool is_punctuation(uint32_t cp, int category)
{
    if (cp < 128) return bertchars_ascii[cp] == BERTCHARS_PUNCT;
    if (cp == CANADIAN_CHI || cp == SHARADA_SANDHI) return true;
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO && !WITHIN(newer_punctuation, cp);
}

/* Full lower case: one letter becomes two. */
enum { CAPITAL_I_DOT = 0x130, COMBINING_DOT_ABOVE = 0x307 };

static int put_lower(uint32_t cp, int category, bool lower, struct bertchars_out *out)
{
    int n = 0;
    if (lower && cp == CAPITAL_I_DOT) {
        out[n++] = (struct bertchars_out){ 'i', BERTCHARS_WORD };
        cp = COMBINING_DOT_ABOVE;
    } else if (lower) {
        cp = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    }
    out[n++] = (struct bertchars_out){ cp, is_punctuation(cp, category) ? BERTCHARS_PUNCT : BERTCHARS_WORD };
    return n;
}

int bertchars_fold(uint32_t cp, struct bertchars_letters letters, struct bertchars_out *out)
{
    if (cp < 128) {
        uint8_t k = bertchars_ascii[cp];
        out[0] = (struct bertchars_out){ cp - 'A' < 26 && letters.lower_case ? cp + 32 : cp, k };
        return k != BERTCHARS_DROP;
    }
    int category = utf8proc_category((utf8proc_int32_t)cp);
    if (cp == 0xfffd || (cp == HANUNOO_PAMUDPOD && letters.strip_accents)) return 0;
    if (WITHIN(kept, cp)) {
        out[0] = (struct bertchars_out){ cp, is_punctuation(cp, category) ? BERTCHARS_PUNCT : BERTCHARS_WORD };
        return 1;
    }
    switch (category) {
    case UTF8PROC_CATEGORY_MN:
        if (!letters.strip_accents) break;
        return 0;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO: return 0;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: out[0] = (struct bertchars_out){ ' ', BERTCHARS_SPACE }; return 1;
    default: break;
    }
    utf8proc_int32_t parts[4] = { (utf8proc_int32_t)cp };
    int n = 1, boundary = 0;
    if (letters.strip_accents && cp != DIVES_AKURU_O) {
        n = (int)utf8proc_decompose_char((utf8proc_int32_t)cp, parts, 4, UTF8PROC_DECOMPOSE, &boundary);
        if (n < 1 || n > 4) return 0;
    }
    int  count = 0;
    bool alone = letters.split_chinese && WITHIN(chinese, cp);
    if (alone) out[count++] = (struct bertchars_out){ ' ', BERTCHARS_SPACE };
    for (int i = 0; i < n; i++) {
        int part_category = utf8proc_category(parts[i]);
        if (letters.strip_accents && part_category == UTF8PROC_CATEGORY_MN) continue;
        count += put_lower((uint32_t)parts[i], part_category, letters.lower_case, out + count);
    }
    if (alone) out[count++] = (struct bertchars_out){ ' ', BERTCHARS_SPACE };
    return count;
}

uint32_t bertchars_decode(const unsigned char *s, size_t n, int *len)
{
    uint32_t c = s[0], cp;
    *len = 1;
    if (c < 0x80) return c;
    if (c >= 0xc2 && c <= 0xdf) {
        if (n < 2 || (s[1] & 0xc0) != 0x80) return 0xfffd;
        *len = 2;
        return (c & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (c >= 0xe0 && c <= 0xef) {
        if (n < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80) return 0xfffd;
        cp = (c & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
        if (cp < 0x800 || (cp >= 0xd800 && cp < 0xe000)) return 0xfffd;
        *len = 3;
        return cp;
    }
    if (c >= 0xf0 && c <= 0xf4) {
        if (n < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80) return 0xfffd;
        cp = (c & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 | (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
        if (cp < 0x10000 || cp > 0x10ffff) return 0xfffd;
        *len = 4;
        return cp;
    }
    return 0xfffd;
}

int bertchars_encode(uint32_t cp, unsigned char *out)
{
    if (cp < 0x80) {
        out[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (unsigned char)(0xc0 | cp >> 6);
        out[1] = (unsigned char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (unsigned char)(0xe0 | cp >> 12);
        out[1] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | cp >> 18);
    out[1] = (unsigned char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (cp & 0x3f));
    return 4;
}
