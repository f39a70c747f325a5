/* Id tokens of an outside issuer: which are believed, and every way to forge one that we know of. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/id_token.h"
#include "accounts/jwks.h"
#include "base/base64.h"

#define NOW 1763760000

static struct call c;
static EVP_PKEY   *rsa, *other_rsa, *small_rsa, *ec;
static json_t     *keys;

static const char *b64(const void *p, size_t n)
{
    char *text = base64_encode(&c.mem, p, n);
    for (char *q = text; *q; q++)
        if (*q == '+') *q = '-';
        else if (*q == '/') *q = '_';
    text[strcspn(text, "=")] = '\0';
    return text;
}

static json_t *rsa_jwk(EVP_PKEY *key, const char *kid)
{
    BIGNUM       *n = NULL, *e = NULL;
    unsigned char bytes[1024], exponent[8];
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e);
    int     len = BN_bn2bin(n, bytes), elen = BN_bn2bin(e, exponent);
    json_t *jwk = json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "RSA", "kid", kid, "use", "sig", "n", b64(bytes, (size_t)len), "e", b64(exponent, (size_t)elen));
    BN_free(n);
    BN_free(e);
    return jwk;
}

static json_t *ec_jwk(EVP_PKEY *key, const char *kid)
{
    unsigned char point[65];
    size_t        n = 0;
    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n);
    assert_int_equal(n, 65);
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "kty", "EC", "kid", kid, "crv", "P-256", "x", b64(point + 1, 32), "y", b64(point + 33, 32));
}

static int open_keys(void **s)
{
    (void)s;
    call_init(&c);
    rsa = EVP_RSA_gen(2048);
    other_rsa = EVP_RSA_gen(2048);
    small_rsa = EVP_RSA_gen(1024);
    ec = EVP_EC_gen("P-256");
    keys = json_pack("{s:[o,o,o,{s:s,s:s,s:s}]}", "keys", rsa_jwk(rsa, "r1"), ec_jwk(ec, "e1"), rsa_jwk(small_rsa, "small"), "kty", "oct", "kid", "sym", "k",
                     "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0");
    return rsa && other_rsa && small_rsa && ec && keys ? 0 : -1;
}

static int close_keys(void **s)
{
    (void)s;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(other_rsa);
    EVP_PKEY_free(small_rsa);
    EVP_PKEY_free(ec);
    json_decref(keys);
    call_dispose(&c);
    return 0;
}

/* header.claims.signature, signed by key as its kind does. */
static const char *sign_text(const char *head, const char *claims, EVP_PKEY *key)
{
    const char   *text = arena_printf(&c.mem, "%s.%s", b64(head, strlen(head)), b64(claims, strlen(claims)));
    unsigned char sig[1024], raw[64];
    size_t        n = sizeof sig;
    EVP_MD_CTX   *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC")) {
        const unsigned char *p = sig;
        ECDSA_SIG           *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
        BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32);
        ECDSA_SIG_free(pair);
        return arena_printf(&c.mem, "%s.%s", text, b64(raw, 64));
    }
    return arena_printf(&c.mem, "%s.%s", text, b64(sig, n));
}

#define RS256_HEAD "{\"alg\":\"RS256\",\"kid\":\"r1\"}"
#define GOOD_CLAIMS                                                                                                                \
    "{\"iss\":\"https://id.example\",\"aud\":\"chiron\",\"sub\":\"u-1\",\"nonce\":\"n-1\",\"iat\":1763759990,\"exp\":1763760300,"    \
    "\"email\":\"ann@example.org\",\"email_verified\":true,\"name\":\"Ann\"}"

static struct id_token_want want(void)
{
    return (struct id_token_want){ .issuer = "https://id.example", .client_id = "chiron", .nonce = "n-1", .algorithm = "RS256", .keys = keys, .now_s = NOW };
}

static enum err check(const char *text, struct id_token_claims *out)
{
    struct id_token_want w = want();
    return id_token_check(&c, text, &w, out);
}

static void refused(const char *text, const char *why)
{
    struct id_token_claims t = { .subject = "untouched" };
    enum err               e = check(text, &t);
    if (e != ERR_UNAUTHENTICATED || !strstr(c.err_text, why)) print_error("wanted \"%s\", got %s: %s\n", why, e ? err_word(e) : "a yes", c.err_text);
    assert_int_equal(e, ERR_UNAUTHENTICATED);
    assert_non_null(strstr(c.err_text, why));
    assert_string_equal(t.subject, "untouched");
    call_forgive(&c);
}

/* The good claims with one member replaced (value NULL: taken out). */
static const char *claims_with(const char *name, const char *json)
{
    json_t *o = json_loads(GOOD_CLAIMS, 0, NULL);
    if (json) json_object_set_new(o, name, json_loads(json, JSON_DECODE_ANY, NULL));
    else json_object_del(o, name);
    char       *text = json_dumps(o, JSON_COMPACT);
    const char *out = arena_strdup(&c.mem, text);
    free(text);
    json_decref(o);
    return out;
}

static void a_good_token_is_believed_in_both_algorithms(void **s)
{
    (void)s;
    struct id_token_claims t;
    assert_int_equal(check(sign_text(RS256_HEAD, GOOD_CLAIMS, rsa), &t), OK);
    assert_string_equal(t.subject, "u-1");
    assert_string_equal(t.email, "ann@example.org");
    assert_string_equal(t.name, "Ann");
    struct id_token_want w = want();
    w.algorithm = "ES256";
    assert_int_equal(id_token_check(&c, sign_text("{\"alg\":\"ES256\",\"kid\":\"e1\"}", GOOD_CLAIMS, ec), &w, &t), OK);
    /* The set has one key of that kind, so its name is not needed. */
    assert_int_equal(id_token_check(&c, sign_text("{\"alg\":\"ES256\"}", GOOD_CLAIMS, ec), &w, &t), OK);
}

static void the_algorithm_is_the_issuers_and_never_the_tokens(void **s)
{
    (void)s;
    const char *text = arena_printf(&c.mem, "%s.%s.", b64("{\"alg\":\"none\"}", 14), b64(GOOD_CLAIMS, strlen(GOOD_CLAIMS)));
    refused(text, "not signed as this issuer's are");
    refused(sign_text("{\"alg\":\"ES256\",\"kid\":\"e1\"}", GOOD_CLAIMS, ec), "not signed as this issuer's are");
    refused(sign_text("{\"alg\":\"RS384\",\"kid\":\"r1\"}", GOOD_CLAIMS, rsa), "not signed as this issuer's are");
    refused(sign_text("{\"kid\":\"r1\"}", GOOD_CLAIMS, rsa), "not signed as this issuer's are");
    /* Under RS256's name, signed by the set's other kind of key. */
    refused(sign_text("{\"alg\":\"RS256\",\"kid\":\"e1\"}", GOOD_CLAIMS, ec), "no such key");

    /* HMAC over the public key's PEM, the old confusion. */
    BIO          *bio = BIO_new(BIO_s_mem());
    char         *pem = NULL;
    unsigned char mac[32];
    unsigned      n = 0;
    PEM_write_bio_PUBKEY(bio, rsa);
    long pem_len = BIO_get_mem_data(bio, &pem);
    const char *head = "{\"alg\":\"HS256\",\"kid\":\"r1\"}";
    const char *half = arena_printf(&c.mem, "%s.%s", b64(head, strlen(head)), b64(GOOD_CLAIMS, strlen(GOOD_CLAIMS)));
    HMAC(EVP_sha256(), pem, (int)pem_len, (const unsigned char *)half, strlen(half), mac, &n);
    BIO_free(bio);
    refused(arena_printf(&c.mem, "%s.%s", half, b64(mac, n)), "not signed as this issuer's are");
    half = arena_printf(&c.mem, "%s.%s", b64(RS256_HEAD, strlen(RS256_HEAD)), b64(GOOD_CLAIMS, strlen(GOOD_CLAIMS)));
    refused(arena_printf(&c.mem, "%s.%s", half, b64(mac, n)), "not signed by it");
}

static void only_the_issuers_own_strong_keys_count(void **s)
{
    (void)s;
    refused(sign_text(RS256_HEAD, GOOD_CLAIMS, other_rsa), "not signed by it");
    refused(sign_text("{\"alg\":\"RS256\",\"kid\":\"unknown\"}", GOOD_CLAIMS, rsa), "no such key");
    refused(sign_text("{\"alg\":\"RS256\",\"kid\":\"small\"}", GOOD_CLAIMS, small_rsa), "no such key");
    refused(sign_text("{\"alg\":\"RS256\",\"kid\":\"sym\"}", GOOD_CLAIMS, rsa), "no such key");
    /* A key that the token brings along is not one of the issuer's. */
    json_t *head = json_pack("{s:s, s:o}", "alg", "RS256", "jwk", rsa_jwk(other_rsa, "x"));
    char   *text = json_dumps(head, JSON_COMPACT);
    refused(sign_text(text, GOOD_CLAIMS, other_rsa), "not signed by it");
    free(text);
    json_decref(head);
    refused(sign_text("{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[\"b64\"]}", GOOD_CLAIMS, rsa), "do not know");
}

static void what_it_says_must_be_about_this_sign_in(void **s)
{
    (void)s;
    static const struct {
        const char *name, *json, *why;
    } wrong[] = {
        { "iss", "\"https://id.example/\"", "another issuer's" },
        { "iss", "\"https://evil.example\"", "another issuer's" },
        { "iss", NULL, "another issuer's" },
        { "iss", "[\"https://id.example\"]", "another issuer's" },
        { "aud", "\"other\"", "somebody else" },
        { "aud", NULL, "somebody else" },
        { "aud", "[]", "somebody else" },
        { "aud", "[\"other\"]", "somebody else" },
        { "aud", "[\"chiron\",\"other\"]", "somebody else" },
        { "azp", "\"other\"", "somebody else" },
        { "azp", "7", "somebody else" },
        { "nonce", "\"n-2\"", "another sign-in" },
        { "nonce", NULL, "another sign-in" },
        { "nonce", "\"\"", "another sign-in" },
        { "exp", "1763759800", "expired" },
        { "exp", NULL, "when it was made" },
        { "exp", "\"1763760300\"", "when it was made" },
        { "exp", "-1", "when it was made" },
        { "exp", "1e300", "when it was made" },
        { "iat", NULL, "when it was made" },
        { "iat", "1763760400", "from the future" },
        { "nbf", "1763760400", "from the future" },
        { "iat", "1763750000", "too long ago" },
        { "sub", NULL, "who it is about" },
        { "sub", "\"\"", "who it is about" },
        { "sub", "7", "who it is about" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) refused(sign_text(RS256_HEAD, claims_with(wrong[i].name, wrong[i].json), rsa), wrong[i].why);
    char sub[300];
    memset(sub, 'x', sizeof sub);
    sub[0] = sub[298] = '"';
    sub[299] = '\0';
    refused(sign_text(RS256_HEAD, claims_with("sub", sub), rsa), "who it is about");

    struct id_token_claims t;
    static const struct {
        const char *name, *json;
    } right[] = { { "aud", "[\"chiron\"]" }, { "azp", "\"chiron\"" }, { "exp", "1763759950" }, { "iat", "1763760060" } };
    for (size_t i = 0; i < sizeof right / sizeof *right; i++)
        assert_int_equal(check(sign_text(RS256_HEAD, claims_with(right[i].name, right[i].json), rsa), &t), OK);
}

static void an_address_counts_only_when_the_issuer_has_verified_it(void **s)
{
    (void)s;
    static const char *const no[] = { NULL, "false", "\"false\"", "1", "null", "\"TRUE\"" };
    struct id_token_claims   t;
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        assert_int_equal(check(sign_text(RS256_HEAD, claims_with("email_verified", no[i]), rsa), &t), OK);
        assert_null(t.email);
    }
    assert_int_equal(check(sign_text(RS256_HEAD, claims_with("email_verified", "\"true\""), rsa), &t), OK);
    assert_string_equal(t.email, "ann@example.org");
    assert_int_equal(check(sign_text(RS256_HEAD, claims_with("email", "7"), rsa), &t), OK);
    assert_null(t.email);
}

static void no_piece_of_a_token_is_one(void **s)
{
    (void)s;
    const char *good = sign_text(RS256_HEAD, GOOD_CLAIMS, rsa);
    refused("", "not a token");
    refused("a.b", "not a token");
    refused("..", "not a token");
    refused(arena_printf(&c.mem, "%s.x", good), "not a token");
    refused(arena_printf(&c.mem, "%s=", good), "not a token");
    refused(sign_text("[]", GOOD_CLAIMS, rsa), "not a token");
    refused(sign_text(RS256_HEAD, "[]", rsa), "not a token");
    refused(sign_text(RS256_HEAD, "{\"iss\":\"https://evil.example\",\"iss\":\"https://id.example\"}", rsa), "not a token");
    refused(sign_text("{\"alg\":\"RS256\",\"alg\":\"RS256\"}", GOOD_CLAIMS, rsa), "not a token");
    for (size_t n = 0; n < strlen(good); n += 7) refused(arena_strndup(&c.mem, good, n), "");
    /* One bit of the claims. */
    char *bent = arena_strdup(&c.mem, good);
    char *dot = strchr(bent, '.');
    dot[20] = dot[20] == 'A' ? 'B' : 'A';
    refused(bent, "");
    char *long_one = malloc(ID_TOKEN_BYTES + 10);
    memset(long_one, 'a', ID_TOKEN_BYTES + 9);
    long_one[ID_TOKEN_BYTES + 9] = '\0';
    refused(long_one, "too long");
    free(long_one);
}

static void a_signature_on_the_curve_has_one_form(void **s)
{
    (void)s;
    const char    text[] = "text";
    unsigned char sig[128];
    size_t        n = sizeof sig;
    EVP_MD_CTX   *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, ec), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &n, (const unsigned char *)text, 4), 1);
    EVP_MD_CTX_free(ctx);
    assert_false(jwks_verify(ec, "ES256", text, 4, sig, n));   /* DER, as OpenSSL writes it */
    memset(sig, 0, sizeof sig);
    assert_false(jwks_verify(ec, "ES256", text, 4, sig, 64));  /* r = s = 0 */
    assert_false(jwks_verify(ec, "RS256", text, 4, sig, 64));
    assert_false(jwks_verify(rsa, "ES256", text, 4, sig, 64));
    assert_false(jwks_verify(rsa, "RS256", text, 4, sig, 0));
}

static void keys_that_are_no_good_are_passed_over(void **s)
{
    (void)s;
    static const char *const sets[] = {
        "{}", "{\"keys\":7}", "{\"keys\":[]}", "{\"keys\":[null,7,\"x\",{}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r1\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e1\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":\"AAAA\"}]}",
        /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e1\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\",\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}]}",
    };
    EVP_PKEY *key = NULL;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        json_t *set = json_loads(sets[i], 0, NULL);
        assert_int_equal(jwks_find(&c, set, "RS256", "r1", &key), ERR_UNAUTHENTICATED);
        call_forgive(&c);
        assert_int_equal(jwks_find(&c, set, "ES256", "e1", &key), ERR_UNAUTHENTICATED);
        call_forgive(&c);
        assert_null(key);
        json_decref(set);
    }
    /* For encryption, of another algorithm, and two that both fit without a name. */
    json_t *set = json_pack("{s:[o,o]}", "keys", rsa_jwk(rsa, "a"), rsa_jwk(other_rsa, "b"));
    assert_int_equal(jwks_find(&c, set, "RS256", "", &key), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    json_object_set_new(json_array_get(json_object_get(set, "keys"), 0), "use", json_string("enc"));
    assert_int_equal(jwks_find(&c, set, "RS256", "a", &key), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    json_object_set_new(json_array_get(json_object_get(set, "keys"), 1), "alg", json_string("PS256"));
    assert_int_equal(jwks_find(&c, set, "RS256", "b", &key), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    json_decref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_token_is_believed_in_both_algorithms),
        cmocka_unit_test(the_algorithm_is_the_issuers_and_never_the_tokens),
        cmocka_unit_test(only_the_issuers_own_strong_keys_count),
        cmocka_unit_test(what_it_says_must_be_about_this_sign_in),
        cmocka_unit_test(an_address_counts_only_when_the_issuer_has_verified_it),
        cmocka_unit_test(no_piece_of_a_token_is_one),
        cmocka_unit_test(a_signature_on_the_curve_has_one_form),
        cmocka_unit_test(keys_that_are_no_good_are_passed_over),
    };
    return cmocka_run_group_tests(tests, open_keys, close_keys);
}
