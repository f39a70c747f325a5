/* Signatures with keys of our own: the one that signs our tokens, and the shared secret. Every request without a remembered token
 * waits for one check, and half of what the library takes for it is finding its parts again; so the parts are kept ready with
 * the key and lent to one thread at a time. The caller says the algorithm, never the token. */
/* SPDX-License-Identifier: MIT */
#include "accounts/signature.h"

#include <assert.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SPARE_MAX = 32, SHA256_BYTES = 32 };

/* What one check needs; one thread at a time. */
struct ready {
    EVP_PKEY_CTX *key;
    EVP_MD_CTX   *md;
};
struct signature_key {
    EVP_PKEY       *pkey;
    atomic_int      users;
    pthread_mutex_t lock;
    struct ready    spare[SPARE_MAX];
    int             count;
};

static EVP_MD        *sha256;             /* fetched once: looking it up costs as much as the hash */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!sha256) abort();
}

static void ready_free(struct ready *r)
{
    EVP_PKEY_CTX_free(r->key);
    EVP_MD_CTX_free(r->md);
}

static bool ready_new(EVP_PKEY *k, struct ready *r)
{
    r->key = EVP_PKEY_CTX_new_from_pkey(NULL, k, NULL);
    r->md = EVP_MD_CTX_new();
    if (r->key && r->md && EVP_PKEY_verify_init(r->key) == 1 && EVP_PKEY_CTX_set_rsa_padding(r->key, RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(r->key, sha256) == 1)
        return true;
    ready_free(r);
    return false;
}

struct signature_key *signature_key_new(EVP_PKEY *k)
{
    struct ready          r;
    struct signature_key *s = calloc(1, sizeof *s);
    if (!s) abort();
    pthread_once(&once, fetch_sha256);
    if (!k || EVP_PKEY_get_base_id(k) != EVP_PKEY_RSA || !ready_new(k, &r)) {
        EVP_PKEY_free(k);
        free(s);
        return NULL;
    }
    s->pkey = k;
    s->spare[s->count++] = r;
    atomic_init(&s->users, 1);
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct signature_key *signature_key_take(struct signature_key *k)
{
    atomic_fetch_add(&k->users, 1);
    return k;
}

void signature_key_drop(struct signature_key *k)
{
    if (!k || atomic_fetch_sub(&k->users, 1) > 1) return;
    for (int i = 0; i < k->count; i++) ready_free(&k->spare[i]);
    EVP_PKEY_free(k->pkey);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

EVP_PKEY *signature_key_is(const struct signature_key *k)
{
    return k->pkey;
}

static bool borrow(struct signature_key *k, struct ready *r)
{
    bool have = false;
    pthread_mutex_lock(&k->lock);
    if (k->count) {
        *r = k->spare[--k->count];
        have = true;
    }
    pthread_mutex_unlock(&k->lock);
    return have || ready_new(k->pkey, r);
}

static void give_back(struct signature_key *k, struct ready *r)
{
    bool kept = false;
    pthread_mutex_lock(&k->lock);
    if (k->count < SPARE_MAX) {
        k->spare[k->count++] = *r;
        kept = true;
    }
    pthread_mutex_unlock(&k->lock);
    if (!kept) ready_free(r);
}

bool signature_right(struct signature_key *k, const struct token_text *t)
{
    struct ready  r;
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned      n = 0;
    if (!borrow(k, &r)) return false;
    bool right = EVP_DigestInit_ex2(r.md, sha256, NULL) == 1 && EVP_DigestUpdate(r.md, t->signed_text, t->signed_len) == 1 &&
                 EVP_DigestFinal_ex(r.md, sum, &n) == 1 && n == SHA256_BYTES && EVP_PKEY_verify(r.key, t->signature, t->signature_len, sum, n) == 1;
    give_back(k, &r);
    return right;
}

bool signature_make(struct call *c, struct signature_key *k, const char *text, size_t n, unsigned char **out, size_t *n_out)
{
    EVP_MD_CTX    *md = EVP_MD_CTX_new();
    size_t         len = (size_t)EVP_PKEY_get_size(k->pkey);
    unsigned char *sig = arena_alloc(&c->mem, len);
    if (!md) abort();
    bool made = EVP_DigestSignInit(md, NULL, sha256, NULL, k->pkey) == 1 && EVP_DigestSign(md, sig, &len, (const unsigned char *)text, n) == 1;
    EVP_MD_CTX_free(md);
    if (!made) return false;
    *out = sig;
    *n_out = len;
    return true;
}

bool signature_hs256(const unsigned char *secret, size_t n, const struct token_text *t)
{
    unsigned char                mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    if (t->signature_len != sizeof mac) return false;
    crypto_auth_hmacsha256_init(&st, secret, n);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)t->signed_text, t->signed_len);
    crypto_auth_hmacsha256_final(&st, mac);
    return !sodium_memcmp(mac, t->signature, sizeof mac);
}
