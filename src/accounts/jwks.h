/* accounts/jwks.h — the public keys of an outside issuer, fetched from its JWKS address and remembered. Keys whose kid is not known
 * are looked for again, at most once a minute an address, so a stranger's tokens cannot make us a crowd. Any thread.
 *     EVP_PKEY *key = NULL;
 *     e = jwks_key(c, "https://id.example/jwks", "RS256", kid, &key);
 *     … EVP_PKEY_free(key);                                                                                         */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_JWKS_H
#define CHIRON_ACCOUNTS_JWKS_H
#include <openssl/evp.h>

#include "base/call.h"
#include "base/json.h"

/* A key of the set that may verify this algorithm ("RS256", "ES256") and has this kid; kid NULL or "": the only one that fits.
 * The caller's: EVP_PKEY_free. ERR_UNAUTHENTICATED: there is none; ERR_UPSTREAM, ERR_TIMEOUT: the set could not be had. */
MUST_CHECK enum err jwks_key(struct call *c, const char *url, const char *algorithm, const char *kid, EVP_PKEY **out);
/* The same in a set at hand ({"keys":[…]}), for sets in files. */
MUST_CHECK enum err jwks_find(struct call *c, const json_t *set, const char *algorithm, const char *kid, EVP_PKEY **out);
/* Does sig sign text under this key? RS256: PKCS #1 v1.5 of at least 2048 bits; ES256: r and s of 32 bytes each (RFC 7518 3.4). */
bool jwks_verify(EVP_PKEY *key, const char *algorithm, const void *text, size_t n, const unsigned char *sig, size_t sig_len);
void jwks_forget(void);   /* drops everything remembered */
#endif
