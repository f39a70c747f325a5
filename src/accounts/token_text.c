/* The text of a token, read before anything is known of who wrote it. Strict, so that one token has one text: three parts of
 * base64url, no padding, no bits left over, no stray bytes, no member twice, no critical extension. It decides nothing: the
 * algorithm that the header names is handed on to be compared with the issuer's. */
/* SPDX-License-Identifier: MIT */
#include <sodium.h>
#include <string.h>

#include "accounts/token.h"
#include "base/json.h"

const char *token_text_base64(struct call *c, const void *p, size_t n)
{
    size_t room = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char  *out = arena_alloc(&c->mem, room);
    sodium_bin2base64(out, room, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return out;
}

/* One more than the value of each character of the URL alphabet. */
static const unsigned char value_of[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11,
    ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22,
    ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33,
    ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44,
    ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55,
    ['3'] = 56, ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

/* Every request without a remembered token decodes three parts, so this goes by fours. */
unsigned char *token_text_bytes(struct call *c, const char *text, size_t n, size_t *n_out)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned char       *out = arena_alloc(&c->mem, n / 4 * 3 + 4), *to = out;
    unsigned             v[4];
    size_t               left = n % 4;
    if (!n || left == 1) return NULL;
    for (; n >= 4; n -= 4, p += 4, to += 3) {
        for (int i = 0; i < 4; i++) v[i] = value_of[p[i]];
        if (!v[0] || !v[1] || !v[2] || !v[3]) return NULL;
        unsigned bits = (v[0] - 1) << 18 | (v[1] - 1) << 12 | (v[2] - 1) << 6 | (v[3] - 1);
        to[0] = (unsigned char)(bits >> 16);
        to[1] = (unsigned char)(bits >> 8);
        to[2] = (unsigned char)bits;
    }
    if (left) {
        for (size_t i = 0; i < left; i++)
            if (!(v[i] = value_of[p[i]])) return NULL;
        unsigned bits = (v[0] - 1) << 18 | (v[1] - 1) << 12 | (left == 3 ? (v[2] - 1) << 6 : 0);
        if (bits & (left == 3 ? 0xff : 0xffff)) return NULL;
        *to++ = (unsigned char)(bits >> 16);
        if (left == 3) *to++ = (unsigned char)(bits >> 8);
    }
    *to = '\0';
    *n_out = (size_t)(to - out);
    return out;
}

/* One part as a JSON object; NULL: it is none. */
static json_t *object_of(struct call *c, const char *part, size_t n)
{
    size_t         len = 0;
    json_t        *v = NULL;
    unsigned char *bytes = token_text_bytes(c, part, n, &len);
    if (!bytes) return NULL;
    if (json_parse(c, (const char *)bytes, len, &v)) {
        call_forgive(c);
        return NULL;
    }
    if (json_is_object(v)) return v;
    json_decref(v);
    return NULL;
}

static enum token_algorithm algorithm_of(const char *name)
{
    if (!strcmp(name, "RS256")) return TOKEN_RS256;
    if (!strcmp(name, "ES256")) return TOKEN_ES256;
    if (!strcmp(name, "HS256")) return TOKEN_HS256;
    return TOKEN_NO_ALGORITHM;
}

/* "b64" changes what is signed and comes with "crit" (RFC 7797); neither is understood here, as any crit is. */
static bool header_read(struct call *c, const json_t *h, struct token_text *out)
{
    if (json_object_get(h, "crit") || json_object_get(h, "b64")) return false;
    const json_t *type = json_object_get(h, "typ"), *kid = json_object_get(h, "kid");
    if ((type && !json_is_string(type)) || (kid && !json_is_string(kid))) return false;
    out->algorithm = algorithm_of(json_get_text(h, "alg", ""));
    out->type = arena_strdup(&c->mem, json_get_text(h, "typ", ""));
    out->kid = arena_strdup(&c->mem, json_get_text(h, "kid", ""));
    return out->algorithm != TOKEN_NO_ALGORITHM;
}

bool token_text_read(struct call *c, const char *text, struct token_text *out)
{
    size_t n = strnlen(text, TOKEN_MAX_BYTES + 1);
    if (n > TOKEN_MAX_BYTES) return false;
    const char *dot1 = memchr(text, '.', n);
    const char *dot2 = dot1 ? memchr(dot1 + 1, '.', n - (size_t)(dot1 + 1 - text)) : NULL;
    if (!dot2) return false;
    struct token_text t = { .signed_text = text, .signed_len = (size_t)(dot2 - text) };
    t.signature = token_text_bytes(c, dot2 + 1, n - t.signed_len - 1, &t.signature_len);
    if (!t.signature) return false;
    json_t *header = object_of(c, text, (size_t)(dot1 - text));
    bool    good = header && header_read(c, header, &t);
    json_decref(header);
    if (good) t.claims = object_of(c, dot1 + 1, (size_t)(dot2 - dot1) - 1);
    if (!t.claims) return false;
    *out = t;
    return true;
}
