/* accounts/token.h — the signing key behind token_make and token_authenticate. Set once before threads start.    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_TOKEN_H
#define CHIRON_ACCOUNTS_TOKEN_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

#define TOKEN_KEY_MIN_BYTES 32     /* RFC 7518 3.2: an HS256 key is at least as long as the hash */
#define TOKEN_KEY_MAX_BYTES 4096
#define TOKEN_MAX_BYTES     8192   /* a longer Authorization header is no token of ours */
#define TOKEN_SKEW_SECONDS  30     /* how far the issuer's clock may be off */

/* Takes a copy. ERR_INVALID: shorter than TOKEN_KEY_MIN_BYTES or longer than TOKEN_KEY_MAX_BYTES. */
MUST_CHECK enum err token_key_set(struct call *c, const char *key, size_t n);
void token_key_wipe(void);
/* HMAC-SHA256 of text under a key derived for this purpose only, as base64url without padding, in c->mem. */
const char *token_derive(struct call *c, const char *purpose, const char *text);
/* token_authenticate at a given time (unix seconds), so that expiry can be tested. */
MUST_CHECK enum err token_check(struct call *c, const char *token, int64_t now_s);
#endif
