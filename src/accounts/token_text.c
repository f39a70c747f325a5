/* The text of a token, read before anything is known of who wrote it. Strict, so that one token has one text: three parts of
 * base64url, no padding, no bits left over, no stray bytes, no member twice, no critical extension. It decides nothing: the
 * algorithm that the header names is handed on to be compared with the issuer's. */
/* SPDX-License-Identifier: MIT */
#include <sodium.h>
#include <string.h>

#include "accounts/token.h"
#include "base/base64.h"
#include "base/json.h"

const char *token_text_base64(struct call *c, const void *p, size_t n)
{
    size_t room = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char  *out = arena_alloc(&c->mem, room);
    sodium_bin2base64(out, room, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    return out;
}

static bool url_alphabet(const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char ch = text[i];
        if (!((ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_')) return false;
    }
    return n > 0;
}

unsigned char *token_text_bytes(struct call *c, const char *text, size_t n, size_t *n_out)
{
    return url_alphabet(text, n) ? base64_decode(&c->mem, text, n, n_out) : NULL;
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
