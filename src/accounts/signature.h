/* accounts/signature.h — checking one signature under one algorithm with a key that is kept parsed. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SIGNATURE_H
#define CHIRON_ACCOUNTS_SIGNATURE_H
#include <openssl/evp.h>

#include "accounts/token.h"

/* RS256 with an RSA key, ES256 with one on P-256; a key of another kind never verifies. */
bool signature_right(enum token_algorithm a, EVP_PKEY *key, const struct token_text *t);
bool signature_hs256(const unsigned char *key, size_t n, const struct token_text *t);
/* RS256 of text. false: the library failed. The signature in c->mem. */
bool signature_make(struct call *c, EVP_PKEY *key, const char *text, size_t n, unsigned char **out, size_t *n_out);
#endif
