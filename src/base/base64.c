/* base/base64.c — strict base64: every byte string has one accepted padded spelling per alphabet, so a decoded value can
 * be compared by its text. */
/* SPDX-License-Identifier: MIT */
#include "base/base64.h"

#include <stdint.h>

char *base64_encode(struct arena *mem, const void *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = p;
    char  *out = arena_array(mem, n / 3 + 2, 4), *o = out;
    size_t i = 0;
    for (; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)s[i] << 16 | (uint32_t)s[i + 1] << 8 | s[i + 2];
        *o++ = digit[v >> 18];
        *o++ = digit[v >> 12 & 63];
        *o++ = digit[v >> 6 & 63];
        *o++ = digit[v & 63];
    }
    if (i < n) {
        bool     two = n - i == 2;
        uint32_t v = (uint32_t)s[i] << 16 | (two ? (uint32_t)s[i + 1] << 8 : 0);
        *o++ = digit[v >> 18];
        *o++ = digit[v >> 12 & 63];
        *o++ = two ? digit[v >> 6 & 63] : '=';
        *o++ = '=';
    }
    *o = '\0';
    return out;
}

static int value_of(char ch)
{
    if (ch >= 'A' && ch <= 'Z') return ch - 'A';
    if (ch >= 'a' && ch <= 'z') return ch - 'a' + 26;
    if (ch >= '0' && ch <= '9') return ch - '0' + 52;
    if (ch == '+' || ch == '-') return 62;
    if (ch == '/' || ch == '_') return 63;
    return -1;
}

unsigned char *base64_decode(struct arena *mem, const char *text, size_t n, size_t *len_out)
{
    if (n && n % 4 == 0 && text[n - 1] == '=') n -= text[n - 2] == '=' ? 2 : 1;
    if (n % 4 == 1) return NULL;
    unsigned char *out = arena_alloc(mem, n / 4 * 3 + 4), *o = out;
    uint32_t v = 0;
    int      bits = 0;
    for (size_t i = 0; i < n; i++) {
        int d = value_of(text[i]);
        if (d < 0) return NULL;
        v = v << 6 | (uint32_t)d;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        *o++ = (unsigned char)(v >> bits);
        v &= (1u << bits) - 1;
    }
    if (v) return NULL;
    *len_out = (size_t)(o - out);
    return out;
}
