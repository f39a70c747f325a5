/* knowledge/fold.c — one folding for documents and questions, so that "Sueño" and "sueno" are the same word whoever
 * typed it. Code point by code point, because a whole-string mapping refuses a text for one bad byte.
 * It refuses to know languages: what folding loses there, the stemmer's caller restores. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/fold.h"

#include <utf8proc.h>

#define FOLD_OPTIONS (UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE)

static bool add_point(struct buf *out, utf8proc_int32_t u)
{
    if ((u >= 0x2010 && u <= 0x2015) || u == 0x2212) u = '-';
    if (u == 0x2019 || u == 0x2018 || u == 0x02BC || u == 0x00B4) u = '\'';
    if (u == 0x2044) u = '/';
    if (u < 0x80) return buf_addc(out, (char)u);
    utf8proc_uint8_t bytes[4];
    utf8proc_ssize_t k = utf8proc_encode_char(u, bytes);
    return buf_add(out, bytes, (size_t)k);
}

bool fold_text(const char *text, size_t n, struct buf *out)
{
    size_t i = 0;
    while (i < n) {
        size_t run = i;
        char ascii[256];
        while (run < n && run - i < sizeof ascii && (unsigned char)text[run] < 0x80) {
            char ch = text[run];
            ascii[run - i] = ch >= 'A' && ch <= 'Z' ? (char)(ch + 32) : ch ? ch : ' ';
            run++;
        }
        if (run > i) {
            if (!buf_add(out, ascii, run - i)) return false;
            i = run;
            continue;
        }
        utf8proc_int32_t u, parts[32];
        utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)text + i, (utf8proc_ssize_t)(n - i), &u);
        if (k <= 0) {
            if (!buf_addc(out, ' ')) return false;
            i++;
            continue;
        }
        i += (size_t)k;
        if (u == 0xD7) u = 'x';
        if (((u >= 0xBC && u <= 0xBE) || (u >= 0x2150 && u <= 0x215E)) && !buf_addc(out, ' ')) return false;
        int class = 0;
        utf8proc_ssize_t m = utf8proc_decompose_char(u, parts, 32, FOLD_OPTIONS, &class);
        for (utf8proc_ssize_t j = 0; j < m && j < 32; j++)
            if (!add_point(out, parts[j])) return false;
    }
    return true;
}

enum fold_kind fold_kind(const char *s, size_t n, size_t *len_out)
{
    unsigned char ch = (unsigned char)*s;
    *len_out = 1;
    if (ch < 0x80) {
        if (ch >= '0' && ch <= '9') return FOLD_DIGIT;
        return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ? FOLD_LETTER : FOLD_OTHER;
    }
    utf8proc_int32_t u;
    utf8proc_ssize_t k = utf8proc_iterate((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, &u);
    if (k <= 0) return FOLD_OTHER;
    *len_out = (size_t)k;
    if ((u >= 0x3040 && u <= 0x30FF) || (u >= 0x3400 && u <= 0x9FFF) || (u >= 0xAC00 && u <= 0xD7AF))
        return FOLD_IDEOGRAPH;
    switch (utf8proc_category(u)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC: return FOLD_LETTER;
    case UTF8PROC_CATEGORY_ND: return FOLD_DIGIT;
    default: return FOLD_OTHER;
    }
}
