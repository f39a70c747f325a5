/* The one secret of the instance, and the keys derived from it. Each purpose has a key of its own (HMAC of the purpose's name
 * under the secret), so that what one part shows to the world opens nothing of another. It lives only in this process's memory and
 * is wiped at the end. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "accounts/token.h"

_Static_assert(TOKEN_DERIVED_BYTES == crypto_auth_hmacsha256_BYTES, "a derived key is one HMAC-SHA256");

static struct {
    unsigned char bytes[TOKEN_KEY_MAX_BYTES];
    size_t        len;             /* 0: not set */
} secret;

enum err token_key_set(struct call *c, const char *key, size_t n)
{
    if (n < TOKEN_KEY_MIN_BYTES || n > TOKEN_KEY_MAX_BYTES)
        return fail_field(c, "JWT_SECRET_KEY", "JWT_SECRET_KEY has %zu bytes; %d to %d are needed", n, TOKEN_KEY_MIN_BYTES,
                          TOKEN_KEY_MAX_BYTES);
    memcpy(secret.bytes, key, n);
    secret.len = n;
    return OK;
}

void token_key_wipe(void)
{
    sodium_memzero(&secret, sizeof secret);
}

const unsigned char *token_key(size_t *n_out)
{
    assert(secret.len);
    *n_out = secret.len;
    return secret.bytes;
}

void token_derive_key(const char *purpose, unsigned char out[TOKEN_DERIVED_BYTES])
{
    assert(secret.len);
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, secret.bytes, secret.len);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)purpose, strlen(purpose));
    crypto_auth_hmacsha256_final(&st, out);
    sodium_memzero(&st, sizeof st);
}

const char *token_derive(struct call *c, const char *purpose, const char *text)
{
    unsigned char key[TOKEN_DERIVED_BYTES], mac[crypto_auth_hmacsha256_BYTES];
    token_derive_key(purpose, key);
    crypto_auth_hmacsha256(mac, (const unsigned char *)text, strlen(text), key);
    sodium_memzero(key, sizeof key);
    return token_text_base64(c, mac, sizeof mac);
}
