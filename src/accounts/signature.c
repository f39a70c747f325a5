/* Signatures with keys of our own: the shared secret's, and the one that signs our tokens. The caller says the algorithm, never the
 * token; a secret is compared in constant time. */
/* SPDX-License-Identifier: MIT */
#include "accounts/signature.h"

#include <sodium.h>
#include <stdlib.h>

bool signature_hs256(const unsigned char *key, size_t n, const struct token_text *t)
{
    unsigned char                mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    if (t->signature_len != sizeof mac) return false;
    crypto_auth_hmacsha256_init(&st, key, n);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)t->signed_text, t->signed_len);
    crypto_auth_hmacsha256_final(&st, mac);
    return !sodium_memcmp(mac, t->signature, sizeof mac);
}

bool signature_make(struct call *c, EVP_PKEY *key, const char *text, size_t n, unsigned char **out, size_t *n_out)
{
    EVP_MD_CTX    *md = EVP_MD_CTX_new();
    size_t         len = (size_t)EVP_PKEY_get_size(key);
    unsigned char *sig = arena_alloc(&c->mem, len);
    if (!md) abort();
    bool made = EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
                EVP_DigestSign(md, sig, &len, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(md);
    if (!made) return false;
    *out = sig;
    *n_out = len;
    return true;
}
