/* accounts/token.h — bearer tokens: the secret everything is derived from, the text of a token, and what a verified one says.
 * The secret is set once before threads start; all else from any thread.
 *     struct token_facts f;
 *     e = token_verify(c, text, TOKEN_ACCESS, clock_unix_ms() / 1000, &f);                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_TOKEN_H
#define CHIRON_ACCOUNTS_TOKEN_H
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

#define TOKEN_KEY_MIN_BYTES 32     /* RFC 7518 3.2: an HS256 key is at least as long as the hash */
#define TOKEN_KEY_MAX_BYTES 4096
#define TOKEN_MAX_BYTES     8192   /* a longer Authorization header is no token of ours */
#define TOKEN_SKEW_SECONDS  30     /* how far the issuer's clock may be off */
#define TOKEN_AUDIENCE      "chiron"
#define TOKEN_DERIVED_BYTES 32

/* ---- the secret ---- */

/* Takes a copy. ERR_INVALID: shorter than TOKEN_KEY_MIN_BYTES or longer than TOKEN_KEY_MAX_BYTES. */
MUST_CHECK enum err token_key_set(struct call *c, const char *key, size_t n);
void token_key_wipe(void);
/* The secret itself, for tokens that another issuer signs with it. Borrowed. */
const unsigned char *token_key(size_t *n_out);
/* A key for this purpose only. The caller wipes it. */
void token_derive_key(const char *purpose, unsigned char out[TOKEN_DERIVED_BYTES]);
/* HMAC-SHA256 of text under a key derived for this purpose only, as base64url without padding, in c->mem. */
const char *token_derive(struct call *c, const char *purpose, const char *text);

/* ---- the text: three base64url parts (RFC 7515 3.1) ---- */

enum token_algorithm { TOKEN_NO_ALGORITHM, TOKEN_RS256, TOKEN_ES256, TOKEN_HS256 };
struct token_text {
    enum token_algorithm algorithm; /* as the header says it: to be compared with the issuer's, never to be followed */
    const char          *type;      /* the header's typ, "" when absent; in c->mem as all here */
    const char          *kid;       /* "" when absent */
    const char          *signed_text;   /* header.payload, in the text that was read */
    size_t               signed_len;
    const unsigned char *signature;
    size_t               signature_len;
    json_t              *claims;    /* an object; json_decref */
};
/* false, with nothing to release: it is no token. Says nothing about the signature. */
bool token_text_read(struct call *c, const char *text, struct token_text *out);
/* RFC 4648 5 without padding, in c->mem. */
const char *token_text_base64(struct call *c, const void *p, size_t n);
/* Bytes of base64url without padding, in c->mem; NULL when it is anything else. */
unsigned char *token_text_bytes(struct call *c, const char *text, size_t n, size_t *n_out);

/* ---- what it says ---- */

enum token_use { TOKEN_ACCESS, TOKEN_REFRESH };
struct token_facts {             /* texts in c->mem; NULL or 0: not said */
    bool        ours;            /* signed by us; else by a trusted issuer, whose row gave creator and role */
    const char *kid;             /* our signing key */
    const char *sub, *creator, *role, *sid, *jti;
    int64_t     number;          /* of a refresh token */
    int64_t     iat, exp;        /* unix seconds */
};
/* A token of ours: sub, creator, role, sid, number and exp from f, the rest is made. */
MUST_CHECK enum err token_sign(struct call *c, enum token_use use, const struct token_facts *f, const char **out);
/* ERR_UNAUTHENTICATED in the same words whatever is wrong with it; only what is signed rightly hears that it expired, or that
 * a clock is wrong. */
MUST_CHECK enum err token_verify(struct call *c, const char *text, enum token_use use, int64_t now_s, struct token_facts *out);
/* "the token is not valid". */
enum err token_refuse(struct call *c);
#endif
