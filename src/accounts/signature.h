/* accounts/signature.h — our own keys at work: parsed once, made ready once, counted. Outside issuers' keys are checked by jwks_verify.
 * Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SIGNATURE_H
#define CHIRON_ACCOUNTS_SIGNATURE_H
#include <openssl/evp.h>

#include "accounts/token.h"

struct signature_key;                                            /* an RSA key */
struct signature_key *signature_key_new(EVP_PKEY *k);            /* takes k; NULL: not usable, k is freed */
struct signature_key *signature_key_take(struct signature_key *k);
void                  signature_key_drop(struct signature_key *k);   /* NULL allowed */
EVP_PKEY             *signature_key_is(const struct signature_key *k);   /* borrowed */

/* Is t signed by this key under RS256? */
bool signature_right(struct signature_key *k, const struct token_text *t);
/* RS256 of text, in c->mem. false: the library failed. */
bool signature_make(struct call *c, struct signature_key *k, const char *text, size_t n, unsigned char **out, size_t *n_out);
/* Is t's signature HMAC-SHA256 under this secret? In constant time. */
bool signature_hs256(const unsigned char *secret, size_t n, const struct token_text *t);
#endif
