/* One signature, one algorithm, one parsed key. The caller says the algorithm, never the token; a key that does not belong to the
 * algorithm is refused here as well, so that a mistake in a table cannot become RS256's public key used as a secret. */
/* SPDX-License-Identifier: MIT */
#include "accounts/signature.h"

#include <openssl/ecdsa.h>
#include <sodium.h>
#include <string.h>

enum { ES256_HALF = 32, ES256_DER_MAX = 80 };

/* JWS has r and s side by side (RFC 7518 3.4), the library wants them in DER. */
static size_t es256_der(const unsigned char *raw, size_t n, unsigned char der[ES256_DER_MAX])
{
    if (n != 2 * ES256_HALF) return 0;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM    *r = BN_bin2bn(raw, ES256_HALF, NULL), *s = BN_bin2bn(raw + ES256_HALF, ES256_HALF, NULL);
    int        len = -1;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s) == 1) {
        r = s = NULL;
        unsigned char *p = der;
        len = i2d_ECDSA_SIG(sig, NULL);
        if (len > 0 && len <= ES256_DER_MAX) len = i2d_ECDSA_SIG(sig, &p);
        else len = -1;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return len > 0 ? (size_t)len : 0;
}

bool signature_right(enum token_algorithm a, EVP_PKEY *key, const struct token_text *t)
{
    unsigned char        der[ES256_DER_MAX];
    const unsigned char *sig = t->signature;
    size_t               n = t->signature_len;
    if (a == TOKEN_ES256) {
        if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 256) return false;
        n = es256_der(t->signature, t->signature_len, der);
        sig = der;
        if (!n) return false;
    } else if (a != TOKEN_RS256 || EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        return false;
    }
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (!md) abort();
    bool right = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
                 EVP_DigestVerify(md, sig, n, (const unsigned char *)t->signed_text, t->signed_len) == 1;
    EVP_MD_CTX_free(md);
    return right;
}

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
