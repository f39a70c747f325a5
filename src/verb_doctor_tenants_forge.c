/* Credentials that are none: what people have sent to other servers and been let in with. Each is made from what the stranger could
 * have, but for those that show that a right signature alone is not enough: they are signed with the right key. */
/* SPDX-License-Identifier: MIT */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "verb_doctor_tenants.h"

enum { OVERSIZE = 12000, KEY_BYTES = 8192 };

static void add(struct call *c, struct tenants_plan *p, const char *name, const char *token)
{
    if (p->forged_count < TENANTS_FORGED)
        p->forged[p->forged_count++] = (struct tenants_forged){ name, arena_printf(&c->mem, "Authorization: Bearer %s\r\n", token), false };
}

static void add_lines(struct call *c, struct tenants_plan *p, const char *name, const char *lines, bool none)
{
    if (p->forged_count < TENANTS_FORGED) p->forged[p->forged_count++] = (struct tenants_forged){ name, arena_strdup(&c->mem, lines), none };
}

static const char *encode(struct call *c, const void *p, size_t n)
{
    size_t size = sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char  *out = arena_alloc(&c->mem, size);
    return sodium_bin2base64(out, size, p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static const char *signed_with(struct call *c, const EVP_MD *hash, const void *key, size_t key_len, const char *head, const char *claims)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned      n = 0;
    const char   *text = arena_printf(&c->mem, "%s.%s", encode(c, head, strlen(head)), encode(c, claims, strlen(claims)));
    if (!HMAC(hash, key, (int)key_len, (const unsigned char *)text, strlen(text), mac, &n)) abort();
    return arena_printf(&c->mem, "%s.%s", text, encode(c, mac, n));
}

/* The shared secret as it lies in the data folder; NULL: there is none. */
static const char *secret_of(struct call *c, size_t *n_out)
{
    const char *given = conf_text("JWT_SECRET_KEY"), *path = arena_printf(&c->mem, "%s/jwt.key", store_dir());
    char       *key = arena_alloc(&c->mem, KEY_BYTES);
    if (given && *given) {
        *n_out = strlen(given);
        return given;
    }
    FILE *f = fopen(path, "re");
    if (!f) return NULL;
    *n_out = fread(key, 1, KEY_BYTES - 1, f);
    fclose(f);
    while (*n_out && key[*n_out - 1] == '\n') --*n_out;
    return key;
}

static const char *claims_at(struct call *c, const char *issuer, int64_t iat, int64_t nbf, int64_t exp)
{
    return arena_printf(&c->mem, "{\"iss\":\"%s\",\"aud\":\"chiron\",\"sub\":\"iso-b-u1\",\"creator\":\"iso-b\",\"creator_id\":\"iso-b\",\"role\":\"owner\","
                                 "\"roles\":[\"owner\"],\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld}",
                        issuer, (long long)iat, (long long)nbf, (long long)exp);
}

static void without_key(struct call *c, struct tenants_plan *p, const char *claims)
{
    static const char *const none[] = { "none", "None", "NONE", "nOnE" };
    const char *body = encode(c, claims, strlen(claims));
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        const char *head = arena_printf(&c->mem, "{\"alg\":\"%s\",\"typ\":\"JWT\"}", none[i]);
        add(c, p, "alg none", arena_printf(&c->mem, "%s.%s.", encode(c, head, strlen(head)), body));
        if (i == 0) add(c, p, "alg none with a signature", arena_printf(&c->mem, "%s.%s.AAAA", encode(c, head, strlen(head)), body));
    }
    add(c, p, "no alg", signed_with(c, EVP_sha256(), "", 0, "{\"typ\":\"JWT\"}", claims));
    add(c, p, "an empty key", signed_with(c, EVP_sha256(), "", 0, "{\"alg\":\"HS256\"}", claims));
    add(c, p, "a guessed key", signed_with(c, EVP_sha256(), "secret", 6, "{\"alg\":\"HS256\"}", claims));
    add(c, p, "a key out of a path", signed_with(c, EVP_sha256(), "", 0, "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", claims));
    add(c, p, "a key out of a query", signed_with(c, EVP_sha256(), "a", 1, "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'a'--\"}", claims));
    add(c, p, "a key brought along", signed_with(c, EVP_sha256(), "secret", 6, "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}}", claims));
    add(c, p, "a key from elsewhere", signed_with(c, EVP_sha256(), "secret", 6, "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:1/jwks\"}", claims));
}

static void with_key(struct call *c, struct tenants_plan *p, int64_t now)
{
    size_t      n = 0;
    const char *key = secret_of(c, &n), *claims = claims_at(c, "chiron", now, now, now + 3600), *head = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    if (!key) return;
    add(c, p, "expired", signed_with(c, EVP_sha256(), key, n, head, claims_at(c, "chiron", now - 7200, now - 7200, now - 3600)));
    add(c, p, "not valid yet", signed_with(c, EVP_sha256(), key, n, head, claims_at(c, "chiron", now, now + 3600, now + 7200)));
    add(c, p, "from the future", signed_with(c, EVP_sha256(), key, n, head, claims_at(c, "chiron", now + 3600, now + 3600, now + 7200)));
    add(c, p, "the right key and HS512", signed_with(c, EVP_sha512(), key, n, "{\"alg\":\"HS512\"}", claims));
    add(c, p, "the right key and HS384", signed_with(c, EVP_sha384(), key, n, "{\"alg\":\"HS384\"}", claims));
    add(c, p, "the right key under RS256", signed_with(c, EVP_sha256(), key, n, "{\"alg\":\"RS256\"}", claims));
    add(c, p, "no end", signed_with(c, EVP_sha256(), key, n, head, "{\"iss\":\"chiron\",\"sub\":\"iso-b-u1\",\"creator\":\"iso-b\",\"role\":\"owner\"}"));
    add(c, p, "an unknown role", signed_with(c, EVP_sha256(), key, n, head,
                                             arena_printf(&c->mem, "{\"iss\":\"chiron\",\"sub\":\"iso-b-u1\",\"creator\":\"iso-b\",\"role\":\"root\",\"exp\":%lld}",
                                                          (long long)now + 3600)));
    add(c, p, "a creator that is none", signed_with(c, EVP_sha256(), key, n, head,
                                                    arena_printf(&c->mem, "{\"iss\":\"chiron\",\"sub\":\"u\",\"creator\":\"iso-nobody\",\"role\":\"owner\",\"exp\":%lld}",
                                                                 (long long)now + 3600)));
    add(c, p, "a creator that is a path", signed_with(c, EVP_sha256(), key, n, head,
                                                      arena_printf(&c->mem, "{\"iss\":\"chiron\",\"sub\":\"u\",\"creator\":\"iso-a/../iso-b\",\"role\":\"owner\",\"exp\":%lld}",
                                                                   (long long)now + 3600)));
}

/* A good token, spoilt: its last bytes gone, another creator written into it, bytes behind it. */
static void spoilt(struct call *c, struct tenants_plan *p, const char *token)
{
    size_t      n = strlen(token);
    const char *dot = strchr(token, '.'), *end = dot ? strrchr(token, '.') : NULL;
    if (!end || end == dot) return;
    add(c, p, "cut by a byte", arena_strndup(&c->mem, token, n - 1));
    add(c, p, "without a signature", arena_strndup(&c->mem, token, (size_t)(end - token)));
    add(c, p, "an empty signature", arena_strndup(&c->mem, token, (size_t)(end - token) + 1));
    add(c, p, "cut in the middle", arena_strndup(&c->mem, token, n / 2));
    add(c, p, "with more behind it", arena_printf(&c->mem, "%s.AAAA", token));
    unsigned char raw[4096];
    size_t        got = 0;
    if (sodium_base642bin(raw, sizeof raw - 1, dot + 1, (size_t)(end - dot - 1), NULL, &got, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING)) return;
    raw[got] = 0;
    char *at = strstr((char *)raw, "iso-a");
    if (!at) return;
    at[4] = 'b';
    add(c, p, "another creator written in", arena_printf(&c->mem, "%.*s.%s%s", (int)(dot - token), token, encode(c, raw, got), end));
}

/* ---- the server's own keys, as far as anybody can see them ---- */

/* The public key as PEM text in c->mem, NULL when the set holds none that is understood; and its kid. */
static const char *public_pem(struct call *c, struct tenants_plan *p, const char **kid)
{
    struct tenants_reply r;
    struct tenants_ask   a = { .method = "GET", .path = "/.well-known/jwks.json" };
    const char          *out = NULL;
    if (tenants_ask(c, &p->client, &a, &r)) {
        call_forgive(c);
        return NULL;
    }
    json_t       *set = json_loadb(r.body, r.len, 0, NULL);
    const json_t *key = json_array_get(json_object_get(set, "keys"), 0);
    const char   *n = json_get_text(key, "n", ""), *e = json_get_text(key, "e", "");
    unsigned char raw_n[1024], raw_e[16];
    size_t        len_n = 0, len_e = 0;
    *kid = arena_strdup(&c->mem, json_get_text(key, "kid", ""));
    bool read = *n && !sodium_base642bin(raw_n, sizeof raw_n, n, strlen(n), NULL, &len_n, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING)
             && !sodium_base642bin(raw_e, sizeof raw_e, e, strlen(e), NULL, &len_e, NULL, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    json_decref(set);
    if (!read) return NULL;
    BIGNUM         *bn_n = BN_bin2bn(raw_n, (int)len_n, NULL), *bn_e = BN_bin2bn(raw_e, (int)len_e, NULL);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM     *params = NULL;
    EVP_PKEY_CTX   *make = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY       *pkey = NULL;
    BIO            *bio = BIO_new(BIO_s_mem());
    char           *text = NULL;
    if (bn_n && bn_e && build && make && bio && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn_n) && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, bn_e)
        && (params = OSSL_PARAM_BLD_to_param(build)) && EVP_PKEY_fromdata_init(make) > 0 && EVP_PKEY_fromdata(make, &pkey, EVP_PKEY_PUBLIC_KEY, params) > 0
        && PEM_write_bio_PUBKEY(bio, pkey)) {
        long len = BIO_get_mem_data(bio, &text);
        out = arena_strndup(&c->mem, text, (size_t)len);
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    EVP_PKEY_CTX_free(make);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(build);
    BN_free(bn_n);
    BN_free(bn_e);
    return out;
}

/* RS256 by a key of our own under the server's kid: another issuer that calls itself this one. */
static const char *signed_by_another(struct call *c, const char *kid, const char *claims)
{
    EVP_PKEY   *pkey = EVP_RSA_gen(2048);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    const char *head = arena_printf(&c->mem, "{\"alg\":\"RS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid), *out = NULL;
    const char *text = arena_printf(&c->mem, "%s.%s", encode(c, head, strlen(head)), encode(c, claims, strlen(claims)));
    unsigned char sig[512];
    size_t        n = sizeof sig;
    if (pkey && md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, pkey) > 0 && EVP_DigestSign(md, sig, &n, (const unsigned char *)text, strlen(text)) > 0)
        out = arena_printf(&c->mem, "%s.%s", text, encode(c, sig, n));
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    return out;
}

static void of_other_keys(struct call *c, struct tenants_plan *p, const char *claims)
{
    const char *kid = NULL, *pem = public_pem(c, p, &kid);
    if (!pem) return;
    size_t      n = strlen(pem);
    const char *head = arena_printf(&c->mem, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid), *other = signed_by_another(c, kid, claims);
    add(c, p, "HS256 over the public key", signed_with(c, EVP_sha256(), pem, n, head, claims));
    add(c, p, "HS256 over the public key without its last line's end", signed_with(c, EVP_sha256(), pem, n - 1, head, claims));
    if (other) add(c, p, "the right kid, another's key", other);
}

/* Sign-ins of the stranger's own: what is good for one thing is good for nothing else, and what has ended has ended. */
static enum err of_sessions(struct call *c, struct tenants_plan *p)
{
    const struct session_who who = { .kind = "user", .creator_id = p->cases[0].own->creator, .user_id = p->cases[0].own->user, .role = "user" };
    struct session_tokens    open, ended;
    enum err                 e = session_begin(c, &who, &open);
    if (!e) e = session_begin(c, &who, &ended);
    if (!e) e = session_end(c, ended.session_id, "revoked");
    if (e) return e;
    add(c, p, "a refresh token as access", open.refresh);
    add(c, p, "an ended session", ended.access);
    add(c, p, "an ended session's refresh token", ended.refresh);
    const char *dot = strchr(open.access, '.');
    for (int i = 0; dot && i < 2; i++) {
        const char *head = i ? "{\"alg\":\"PS256\",\"typ\":\"at+jwt\"}" : "{\"alg\":\"RS384\",\"typ\":\"at+jwt\"}";
        add(c, p, i ? "a good signature called PS256" : "a good signature called RS384", arena_printf(&c->mem, "%s%s", encode(c, head, strlen(head)), dot));
    }
    spoilt(c, p, open.access);
    return OK;
}

enum err tenants_forge(struct call *c, struct tenants_plan *p)
{
    int64_t     now = clock_unix_ms() / 1000;
    const char *claims = claims_at(c, "chiron", now, now, now + 3600);
    char       *big = arena_alloc(&c->mem, OVERSIZE + 1);
    memset(big, 'A', OVERSIZE);
    add_lines(c, p, "none", "", true);
    add(c, p, "rubbish", "not.a.token");
    add(c, p, "empty", "");
    add(c, p, "bytes", "\xff\xfe\x80.\xff.\xff");
    add_lines(c, p, "another scheme", "Authorization: Basic aXNvLWE6aXNvLWE=\r\n", false);
    add_lines(c, p, "a key that is none", "X-API-Key: chk_00000000000000000000000000000000000000000000\r\n", false);
    add(c, p, "a key that is none, as a bearer", "chk_00000000000000000000000000000000000000000000");
    add_lines(c, p, "only a user's name", "X-Chiron-User: iso-b-u1\r\n", true);
    add(c, p, "oversize", big);
    without_key(c, p, claims);
    with_key(c, p, now);
    of_other_keys(c, p, claims);
    return of_sessions(c, p);
}
