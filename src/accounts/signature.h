/* accounts/signature.h — the two signatures that are not checked with an issuer's public key (that is jwks_verify). Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SIGNATURE_H
#define CHIRON_ACCOUNTS_SIGNATURE_H
#include <openssl/evp.h>

#include "accounts/token.h"

/* Is t's signature HMAC-SHA256 under this key? In constant time. */
bool signature_hs256(const unsigned char *key, size_t n, const struct token_text *t);
/* RS256 of text, in c->mem. false: the library failed. */
bool signature_make(struct call *c, EVP_PKEY *key, const char *text, size_t n, unsigned char **out, size_t *n_out);
#endif
