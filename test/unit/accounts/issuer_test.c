/* Trusted issuers: one algorithm each, keys from a file or an address, and nothing but what the operator's list says. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "../store/folder.h"
#include "accounts/accounts.h"
#include "accounts/issuer.h"
#include "accounts/jwks.h"
#include "accounts/mail.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log.h"
#include "store/store.h"

#define SECRET "what one outside service signs with"
#define KEY    "the instance's secret, long enough too"

static const struct setting *const tables[] = { accounts_settings, store_settings, mail_settings, NULL };
static char        dir[64];
static struct call c;
static EVP_PKEY   *rsa, *ec, *other;

static int make_keys(void **s)
{
    (void)s;
    rsa = EVP_RSA_gen(2048);
    ec = EVP_EC_gen("P-256");
    other = EVP_EC_gen("P-256");
    return rsa && ec && other ? 0 : -1;
}

static int drop_keys(void **s)
{
    (void)s;
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ec);
    EVP_PKEY_free(other);
    return 0;
}

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    setenv("JWT_SECRET_KEY", KEY, 1);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, store_open(&c, folder_new(dir)));
    fetch_open();
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    accounts_close();
    jwks_forget();
    fetch_close();
    store_close();
    folder_remove(dir);
    conf_free();
    call_dispose(&c);
    unsetenv("JWT_SECRET_KEY");
    unsetenv("TRUSTED_ISSUERS");
    unsetenv("FIT_JWT_ISSUER");
    return 0;
}

static const char *file(const char *name, const char *text)
{
    const char *path = arena_printf(&c.mem, "%s/%s", dir, name);
    FILE       *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    return path;
}

static enum err trust(const char *list)
{
    accounts_close();
    conf_free();
    setenv("TRUSTED_ISSUERS", list, 1);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    call_forgive(&c);
    return accounts_open(&c);
}

/* ---- what an outside issuer makes ---- */

static const char *number(EVP_PKEY *k, const char *name, int bytes)
{
    BIGNUM       *n = NULL;
    unsigned char raw[512];
    assert_int_equal(EVP_PKEY_get_bn_param(k, name, &n), 1);
    if (!bytes) bytes = BN_num_bytes(n);
    assert_int_equal(BN_bn2binpad(n, raw, bytes), bytes);
    BN_free(n);
    return token_text_base64(&c, raw, (size_t)bytes);
}

static const char *key_set(void)
{
    return arena_printf(&c.mem,
                        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"%s\",\"e\":\"%s\"},"
                        "{\"kty\":\"EC\",\"kid\":\"e\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}]}",
                        number(rsa, OSSL_PKEY_PARAM_RSA_N, 0), number(rsa, OSSL_PKEY_PARAM_RSA_E, 0), number(ec, OSSL_PKEY_PARAM_EC_PUB_X, 32),
                        number(ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32));
}

static const char *with_signature(const char *text, EVP_PKEY *k, const char *secret)
{
    unsigned char sig[512];
    size_t        n = sizeof sig;
    if (secret) {
        crypto_auth_hmacsha256_state st;
        crypto_auth_hmacsha256_init(&st, (const unsigned char *)secret, strlen(secret));
        crypto_auth_hmacsha256_update(&st, (const unsigned char *)text, strlen(text));
        crypto_auth_hmacsha256_final(&st, sig);
        n = crypto_auth_hmacsha256_BYTES;
    } else {
        EVP_MD_CTX *md = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, k), 1);
        assert_int_equal(EVP_DigestSign(md, sig, &n, (const unsigned char *)text, strlen(text)), 1);
        EVP_MD_CTX_free(md);
    }
    if (!secret && EVP_PKEY_is_a(k, "EC")) {
        const unsigned char *p = sig;
        ECDSA_SIG           *pair = d2i_ECDSA_SIG(NULL, &p, (long)n);
        unsigned char        raw[64];
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32), 32);
        assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32), 32);
        ECDSA_SIG_free(pair);
        return token_text_base64(&c, raw, sizeof raw);
    }
    return token_text_base64(&c, sig, n);
}

/* claims: what stands behind iss and exp. */
static const char *issue(const char *algorithm, const char *kid, const char *iss, const char *claims, EVP_PKEY *k, const char *secret)
{
    const char *head = arena_printf(&c.mem, "{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}", algorithm, kid);
    const char *body = arena_printf(&c.mem, "{\"iss\":\"%s\",\"exp\":%lld,%s}", iss, (long long)(clock_unix_ms() / 1000 + 600), claims);
    const char *text = arena_printf(&c.mem, "%s.%s", token_text_base64(&c, head, strlen(head)), token_text_base64(&c, body, strlen(body)));
    return arena_printf(&c.mem, "%s.%s", text, with_signature(text, k, secret));
}

static enum err present(const char *token)
{
    call_forgive(&c);
    return authenticate(&c, &(struct credential){ .authorization = arena_printf(&c.mem, "Bearer %s", token) });
}

#define ANN "\"sub\":\"ann\",\"aud\":\"chiron-api\""

static const char *three(void)
{
    const char *set = file("keys.json", key_set()), *secret = file("secret", SECRET "\n");
    return arena_printf(&c.mem,
                        "[{\"issuer\":\"https://rsa.example\",\"algorithm\":\"RS256\",\"jwks_file\":\"%s\",\"audience\":\"chiron-api\",\"creator\":\"demo\","
                        "\"role\":\"editor\"},"
                        "{\"issuer\":\"https://ec.example\",\"algorithm\":\"ES256\",\"jwks_file\":\"%s\",\"audience\":\"chiron-api\"},"
                        "{\"issuer\":\"https://hmac.example\",\"algorithm\":\"HS256\",\"secret_file\":\"%s\",\"audience\":null,\"user_claim\":\"uid\"}]",
                        set, set, secret);
}

static void each_issuer_opens_what_the_list_says_with_its_own_algorithm(void **s)
{
    (void)s;
    assert_ok(&c, trust(three()));
    assert_ok(&c, present(issue("RS256", "r", "https://rsa.example", ANN ",\"roles\":[\"owner\"],\"creator_id\":\"other\"", rsa, NULL)));
    assert_string_equal(c.user_id, "ann");
    assert_string_equal(c.creator_id, "demo");
    assert_string_equal(c.role, "editor");
    assert_ok(&c, present(issue("ES256", "e", "https://ec.example", ANN, ec, NULL)));
    assert_string_equal(c.creator_id, "");
    assert_string_equal(c.role, "user");
    assert_ok(&c, present(issue("HS256", "", "https://hmac.example", "\"uid\":\"bob\"", NULL, SECRET)));
    assert_string_equal(c.user_id, "bob");
    /* Without a kid there is only one key that fits. */
    assert_ok(&c, present(issue("ES256", "", "https://ec.example", ANN, ec, NULL)));
}

static void the_right_key_with_the_wrong_issuer_or_algorithm_is_refused(void **s)
{
    (void)s;
    assert_ok(&c, trust(three()));
    const char *wrong[] = {
        issue("ES256", "e", "https://rsa.example", ANN, ec, NULL),
        issue("RS256", "r", "https://ec.example", ANN, rsa, NULL),
        issue("RS256", "r", "https://hmac.example", "\"uid\":\"ann\"", rsa, NULL),
        issue("HS256", "r", "https://rsa.example", ANN, NULL, SECRET),
        issue("HS256", "", "https://hmac.example", "\"uid\":\"ann\"", NULL, KEY),
        issue("HS256", "", "https://ec.example", ANN, NULL, KEY),
        issue("HS256", "r", "https://rsa.example", ANN, NULL, number(rsa, OSSL_PKEY_PARAM_RSA_N, 0)),
        issue("ES256", "e", "https://ec.example", ANN, other, NULL),
        issue("ES256", "x", "https://ec.example", ANN, ec, NULL),
        issue("RS256", "r", "https://RSA.example", ANN, rsa, NULL),
        issue("RS256", "r", "https://rsa.example/", ANN, rsa, NULL),
        issue("RS256", "r", "chiron", ANN, rsa, NULL),
        issue("RS256", "r", "https://rsa.example", "\"sub\":\"ann\",\"aud\":\"another-api\"", rsa, NULL),
        issue("RS256", "r", "https://rsa.example", "\"sub\":\"ann\"", rsa, NULL),
        issue("RS256", "r", "https://rsa.example", "\"aud\":\"chiron-api\"", rsa, NULL),
        issue("RS256", "r", "https://rsa.example", "\"aud\":\"chiron-api\",\"sub\":\"a|b\"", rsa, NULL),
        issue("HS256", "", "https://hmac.example", "\"sub\":\"ann\"", NULL, SECRET),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (present(wrong[i]) != ERR_UNAUTHENTICATED) print_error("token %zu is let in\n", i);
        assert_int_equal(present(wrong[i]), ERR_UNAUTHENTICATED);
        assert_string_equal(c.err_text, "the token is not valid");
    }
    assert_ok(&c, present(issue("RS256", "r", "https://rsa.example", "\"sub\":\"ann\",\"aud\":[\"x\",\"chiron-api\"]", rsa, NULL)));
}

static void keys_that_cannot_be_had_are_no_refusal_of_the_token(void **s)
{
    (void)s;
    assert_ok(&c, trust("[{\"issuer\":\"https://far.example\",\"algorithm\":\"RS256\",\"jwks_url\":\"http://127.0.0.1:9/jwks\",\"audience\":\"chiron-api\"}]"));
    assert_int_equal(present(issue("RS256", "r", "https://far.example", ANN, rsa, NULL)), ERR_UPSTREAM);
    assert_int_equal(present(issue("HS256", "r", "https://far.example", ANN, NULL, SECRET)), ERR_UNAUTHENTICATED);
}

static void a_list_with_a_slip_in_it_does_not_start(void **s)
{
    (void)s;
    const char *set = file("keys.json", key_set()), *short_one = file("short", "too short");
    const char *const wrong[] = {
        "{}", "[7]", "nonsense", "/no/such/file",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\"}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"none\",\"jwks_url\":\"https://a\",\"audience\":null}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"HS256\",\"jwks_url\":\"https://a\",\"audience\":null}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"audience\":null}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"http://a.example/\",\"audience\":null}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"file:///etc/passwd\",\"audience\":null}]",
        "[{\"issuer\":\"chiron\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null}]",
        "[{\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null,\"role\":\"owner\"}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null,\"role\":\"king\"}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null,\"creator\":\"../x\"}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null,\"creators\":\"x\"}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":7}]",
        "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null},"
        "{\"issuer\":\"a\",\"algorithm\":\"ES256\",\"jwks_url\":\"https://a\",\"audience\":null}]",
        arena_printf(&c.mem, "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_file\":\"%s\",\"jwks_url\":\"https://a\",\"audience\":null}]", set),
        arena_printf(&c.mem, "[{\"issuer\":\"a\",\"algorithm\":\"HS256\",\"secret_file\":\"%s\",\"audience\":null}]", short_one),
        arena_printf(&c.mem, "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_file\":\"%s\",\"audience\":null}]", short_one),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum err e = trust(wrong[i]);
        if (e != ERR_INVALID) print_error("%s starts\n", wrong[i]);
        assert_int_equal(e, ERR_INVALID);
        assert_string_equal(c.err_field, "TRUSTED_ISSUERS");
    }
    const char *good = "[{\"issuer\":\"a\",\"algorithm\":\"RS256\",\"jwks_url\":\"https://a\",\"audience\":null}]";
    assert_ok(&c, trust(good));
    assert_ok(&c, trust(file("list.json", good)));
    setenv("FIT_JWT_ISSUER", "b, a", 1);
    assert_int_equal(trust(good), ERR_INVALID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_issuer_opens_what_the_list_says_with_its_own_algorithm),
        T(the_right_key_with_the_wrong_issuer_or_algorithm_is_refused),
        T(keys_that_cannot_be_had_are_no_refusal_of_the_token),
        T(a_list_with_a_slip_in_it_does_not_start),
    };
    return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
