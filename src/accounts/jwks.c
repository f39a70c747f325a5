/* Public keys of outside issuers. A set is turned into keys when it arrives, so that checking a token never parses. Sets are read
 * over the network by one thread at a time per address while the others wait for it a little; an old set is used on when a new one
 * cannot be had, for a day, because an issuer's bad minute must not sign everybody out. It refuses what an issuer's key can
 * be confused with: symmetric keys, keys for encryption, keys of another algorithm, RSA under 2048 bits, other curves. */
/* SPDX-License-Identifier: MIT */
#include "accounts/jwks.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/param_build.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log.h"

#define SETS_MAX     16
#define KEYS_MAX     32
#define URL_BYTES    2048
#define KID_BYTES    256
#define SET_BYTES    (256 * 1024)
#define FETCH_MS     5000
#define FRESH_MS     (15 * 60 * 1000)          /* then it is asked for again */
#define STALE_MS     (24 * 60 * 60 * 1000LL)   /* then it is used no more */
#define AGAIN_MS     60000                     /* between two tries for a kid that is not known */
#define FIRST_MS     5000                      /* between two tries while there is no set at all */
#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define EC_BYTES     32                        /* of a P-256 coordinate */

struct jwk {
    char      kid[KID_BYTES];
    char      algorithm[8];
    EVP_PKEY *key;
};
struct set {
    char       url[URL_BYTES];
    struct jwk keys[KEYS_MAX];
    int        count;
    int64_t    got_ms, tried_ms, used_ms;      /* monotonic; 0: never */
    bool       fetching;
};
static struct set      sets[SETS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  fetched = PTHREAD_COND_INITIALIZER;

static unsigned char *member(struct call *c, const json_t *jwk, const char *name, size_t *n)
{
    const char *text = json_get_text(jwk, name, NULL);
    return text && strlen(text) <= 2048 ? base64_decode(&c->mem, text, strlen(text), n) : NULL;
}

static EVP_PKEY *from_params(const char *kind, OSSL_PARAM_BLD *build)
{
    EVP_PKEY     *key = NULL;
    OSSL_PARAM   *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1) EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    /* A point off the curve is the classic way to learn something about others' keys; here it is only a broken key. */
    ctx = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    if (key && EVP_PKEY_public_check(ctx) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    return key;
}

static EVP_PKEY *rsa_key(struct call *c, const json_t *jwk)
{
    size_t               nn = 0, ne = 0;
    const unsigned char *n = member(c, jwk, "n", &nn), *e = member(c, jwk, "e", &ne);
    if (!n || !e || !ne || ne > 4 || nn > RSA_BITS_MAX / 8 + 1) return NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM         *bn = BN_bin2bn(n, (int)nn, NULL), *be = BN_bin2bn(e, (int)ne, NULL);
    EVP_PKEY       *key = NULL;
    if (build && bn && be && BN_is_odd(be) && BN_num_bits(bn) >= RSA_BITS_MIN && BN_num_bits(bn) <= RSA_BITS_MAX &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) == 1 && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be) == 1)
        key = from_params("RSA", build);
    BN_free(bn);
    BN_free(be);
    OSSL_PARAM_BLD_free(build);
    return key;
}

static EVP_PKEY *ec_key(struct call *c, const json_t *jwk)
{
    size_t               nx = 0, ny = 0;
    const unsigned char *x = member(c, jwk, "x", &nx), *y = member(c, jwk, "y", &ny);
    unsigned char        point[1 + 2 * EC_BYTES] = { 4 };
    if (!x || !y || nx != EC_BYTES || ny != EC_BYTES || strcmp(json_get_text(jwk, "crv", ""), "P-256")) return NULL;
    memcpy(point + 1, x, EC_BYTES);
    memcpy(point + 1 + EC_BYTES, y, EC_BYTES);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    EVP_PKEY       *key = NULL;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point) == 1)
        key = from_params("EC", build);
    OSSL_PARAM_BLD_free(build);
    return key;
}

/* The key of one JWK, or NULL when it is none that signs with an algorithm we take. */
static EVP_PKEY *read_jwk(struct call *c, const json_t *jwk, const char **algorithm)
{
    const char *kind = json_get_text(jwk, "kty", ""), *use = json_get_text(jwk, "use", "sig"), *alg = json_get_text(jwk, "alg", NULL);
    bool        rsa = !strcmp(kind, "RSA");
    if (strcmp(use, "sig") || (!rsa && strcmp(kind, "EC"))) return NULL;
    *algorithm = rsa ? "RS256" : "ES256";
    if (alg && strcmp(alg, *algorithm)) return NULL;
    return rsa ? rsa_key(c, jwk) : ec_key(c, jwk);
}

static void drop(struct jwk *keys, int n)
{
    for (int i = 0; i < n; i++) EVP_PKEY_free(keys[i].key);
}

static int read_set(struct call *c, const json_t *set, struct jwk out[KEYS_MAX])
{
    const json_t *keys = json_object_get(set, "keys"), *jwk;
    size_t        i;
    int           n = 0;
    json_array_foreach(keys, i, jwk)
    {
        const char *kid = json_get_text(jwk, "kid", ""), *algorithm = NULL;
        EVP_PKEY   *key = n < KEYS_MAX && strlen(kid) < KID_BYTES ? read_jwk(c, jwk, &algorithm) : NULL;
        if (!key) continue;
        memset(&out[n], 0, sizeof out[n]);
        memcpy(out[n].kid, kid, strlen(kid));
        memcpy(out[n].algorithm, algorithm, strlen(algorithm));
        out[n++].key = key;
    }
    return n;
}

/* Without a kid a key is only known when there is no choice. */
static EVP_PKEY *pick(const struct jwk *keys, int n, const char *algorithm, const char *kid)
{
    EVP_PKEY *found = NULL;
    int       fits = 0;
    for (int i = 0; i < n; i++) {
        if (strcmp(keys[i].algorithm, algorithm) || (kid && *kid && strcmp(keys[i].kid, kid))) continue;
        found = keys[i].key;
        fits++;
    }
    if (fits != 1) return NULL;
    EVP_PKEY_up_ref(found);
    return found;
}

static enum err unknown(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "the token's issuer has no such key");
}

enum err jwks_find(struct call *c, const json_t *set, const char *algorithm, const char *kid, EVP_PKEY **out)
{
    struct jwk keys[KEYS_MAX];
    int        n = read_set(c, set, keys);
    EVP_PKEY  *key = pick(keys, n, algorithm, kid);
    drop(keys, n);
    if (!key) return unknown(c);
    *out = key;
    return OK;
}

/* Under the lock. The place of an address: its own, a free one, or that of the one not used the longest. */
static struct set *place(const char *url)
{
    struct set *oldest = NULL;
    for (int i = 0; i < SETS_MAX; i++) {
        if (!strcmp(sets[i].url, url)) return &sets[i];
        if (!sets[i].fetching && (!oldest || sets[i].used_ms < oldest->used_ms)) oldest = &sets[i];
    }
    if (!oldest) return NULL;
    drop(oldest->keys, oldest->count);
    memset(oldest, 0, sizeof *oldest);
    memcpy(oldest->url, url, strlen(url));
    return oldest;
}

static enum err get(struct call *c, const char *url, struct jwk keys[KEYS_MAX], int *n)
{
    struct fetch_reply r;
    enum err e = fetch(c, &(struct fetch_opts){ .url = url, .timeout_ms = FETCH_MS, .max_bytes = SET_BYTES,
                                                .headers = (const char *[]){ "Accept: application/json", NULL } }, &r);
    if (!e && r.status != 200) e = fail(c, ERR_UPSTREAM, "the issuer's keys: status %d", r.status);
    json_t *set = NULL;
    if (!e && json_parse(c, r.body, r.body_len, &set)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the issuer's keys are not JSON");
    }
    if (!e) *n = read_set(c, set, keys);
    json_decref(set);
    return e;
}

/* Under the lock, which is left for the time of the transfer. */
static enum err refresh(struct call *c, struct set *s)
{
    struct jwk keys[KEYS_MAX];
    int        n = 0;
    s->fetching = true;
    s->tried_ms = clock_mono_ms();
    pthread_mutex_unlock(&lock);
    enum err e = get(c, s->url, keys, &n);
    pthread_mutex_lock(&lock);
    s->fetching = false;
    if (!e) {
        drop(s->keys, s->count);
        memcpy(s->keys, keys, sizeof *keys * (size_t)n);
        s->count = n;
        s->got_ms = clock_mono_ms();
    }
    pthread_cond_broadcast(&fetched);
    return e;
}

/* Under the lock: the place of an address once nobody fetches it, or the time for that is over. NULL: all are being fetched. */
static struct set *settled(struct call *c, const char *url)
{
    int64_t         until_ms = clock_unix_ms() + call_left_ms(c, FETCH_MS);
    struct timespec until = { .tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000 };
    for (;;) {
        /* Asked for again after each wait: meanwhile the place may have become another's. */
        struct set *s = place(url);
        if (!s || !s->fetching || pthread_cond_timedwait(&fetched, &lock, &until)) return s;
    }
}

/* Under the lock. */
static enum err find(struct call *c, const char *url, const char *algorithm, const char *kid, EVP_PKEY **out)
{
    struct set *s = settled(c, url);
    if (!s) {
        c->retry_after_s = 1;
        return fail(c, ERR_BUSY, "too many issuers' keys are being fetched");
    }
    int64_t now = clock_mono_ms();
    s->used_ms = now;
    if (s->got_ms && now - s->got_ms < STALE_MS) *out = pick(s->keys, s->count, algorithm, kid);
    bool old = !s->got_ms || now - s->got_ms > FRESH_MS, may_ask = !s->fetching && (!s->tried_ms || now - s->tried_ms > (s->got_ms ? AGAIN_MS : FIRST_MS));
    if (*out && (!old || !may_ask)) return OK;
    if (!may_ask) return s->got_ms ? unknown(c) : fail(c, ERR_UPSTREAM, "the issuer's keys could not be fetched a moment ago");
    enum err e = refresh(c, s);
    if (e && !*out) return e;
    if (e) {
        log_warn(c, "an issuer's keys could not be fetched; the old ones are used on", "error", c->err_text, NULL);
        call_forgive(c);
        return OK;
    }
    EVP_PKEY_free(*out);
    *out = pick(s->keys, s->count, algorithm, kid);
    return *out ? OK : unknown(c);
}

enum err jwks_key(struct call *c, const char *url, const char *algorithm, const char *kid, EVP_PKEY **out)
{
    if (strlen(url) >= URL_BYTES) return fail(c, ERR_INVALID, "the address of the issuer's keys is over %d bytes", URL_BYTES - 1);
    EVP_PKEY *key = NULL;
    pthread_mutex_lock(&lock);
    enum err e = find(c, url, algorithm, kid, &key);
    pthread_mutex_unlock(&lock);
    if (e) return e;
    *out = key;
    return OK;
}

bool jwks_verify(EVP_PKEY *key, const char *algorithm, const void *text, size_t n, const unsigned char *sig, size_t sig_len)
{
    unsigned char *der = NULL;
    bool           rsa = EVP_PKEY_is_a(key, "RSA");
    if (strcmp(algorithm, rsa ? "RS256" : "ES256")) return false;
    if (!rsa) {
        ECDSA_SIG *pair = sig_len == 2 * EC_BYTES ? ECDSA_SIG_new() : NULL;
        BIGNUM    *r = pair ? BN_bin2bn(sig, EC_BYTES, NULL) : NULL, *s = pair ? BN_bin2bn(sig + EC_BYTES, EC_BYTES, NULL) : NULL;
        int        len = -1;
        if (pair && ECDSA_SIG_set0(pair, r, s) == 1) len = i2d_ECDSA_SIG(pair, &der);
        ECDSA_SIG_free(pair);
        if (len < 0) return false;
        sig = der;
        sig_len = (size_t)len;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool        ok = ctx && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestVerify(ctx, sig, sig_len, text, n) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return ok;
}

void jwks_forget(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < SETS_MAX; i++) {
        if (sets[i].fetching) continue;
        drop(sets[i].keys, sets[i].count);
        memset(&sets[i], 0, sizeof sets[i]);
    }
    pthread_mutex_unlock(&lock);
}
