/* Who gets in: CRE-010 (RS256, 15 minutes), FIT-036 and FIT-040 (HS256 by shared secret), RAG-010 (whose user id one may use). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/accounts.h"
#include "accounts/issuer.h"
#include "accounts/signing.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "unit/store/folder.h"

#define broken(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))
#define KEY  "a secret of exactly the right size"
#define KEY2 "another secret that is long enough!"

static const struct setting *const tables[] = { accounts_settings, store_settings, NULL };
static char dir[64];

static void set(struct call *c, const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
    conf_free();
    assert_ok(c, conf_load(c, tables, "/dev/null"));
}

static int begin(void **state)
{
    struct call *c = calloc(1, sizeof *c);
    assert_non_null(c);
    call_init(c);
    folder_new(dir);
    set(c, "JWT_SECRET_KEY", KEY);
    assert_ok(c, store_open(c, dir));
    assert_ok(c, accounts_open(c));
    *state = c;
    return 0;
}

static int end(void **state)
{
    accounts_close();
    store_close();
    conf_free();
    call_dispose(*state);
    free(*state);
    folder_remove(dir);
    for (const struct setting *s = accounts_settings; s->name; s++) unsetenv(s->name);
    return 0;
}

static int64_t now_s(void)
{
    return clock_unix_ms() / 1000;
}

static enum err bearer_at(struct call *c, const char *token, int64_t at_s)
{
    call_forgive(c);
    return authenticate_at(c, &(struct credential){ .authorization = arena_printf(&c->mem, "Bearer %s", token) }, at_s * 1000);
}

static enum err bearer(struct call *c, const char *token)
{
    return bearer_at(c, token, now_s());
}

/* A token as another issuer would make it: header and claims are JSON; an HS256 signature under key, or none. */
static char *issue_as(struct call *c, const char *header, const char *claims, const char *key)
{
    unsigned char                mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    char *text = arena_printf(&c->mem, "%s.%s", token_text_base64(c, header, strlen(header)), token_text_base64(c, claims, strlen(claims)));
    if (!key) return arena_printf(&c->mem, "%s.", text);
    crypto_auth_hmacsha256_init(&st, (const unsigned char *)key, strlen(key));
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&st, mac);
    return arena_printf(&c->mem, "%s.%s", text, token_text_base64(c, mac, sizeof mac));
}

static char *issue(struct call *c, const char *claims, const char *key)
{
    return issue_as(c, "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", claims, key);
}

static enum err check_claims(struct call *c, const char *claims)
{
    return bearer(c, issue(c, claims, KEY));
}

static const char *claims_with(struct call *c, const char *more, int64_t exp_in)
{
    return arena_printf(&c->mem, "{\"sub\":\"u1\",\"exp\":%lld%s}", (long long)(now_s() + exp_in), more);
}

static void a_token_made_here_names_its_user_creator_and_rights(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_ok(c, token_make(c, "demo", "ann", "user", 1, &token));
    assert_ok(c, bearer(c, token));
    assert_string_equal(c->user_id, "ann");
    assert_string_equal(c->creator_id, "demo");
    assert_string_equal(c->role, "user");
    assert_int_equal(c->rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF);
}

static void an_owner_has_every_right_and_a_service_neither_settings_nor_self_CRE_012(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_ok(c, token_make(c, "demo", NULL, "owner", 1, &token));
    assert_ok(c, bearer(c, token));
    for (unsigned bit = RIGHT_PUBLIC; bit <= RIGHT_OWN; bit <<= 1) assert_true(c->rights & bit);
    assert_ok(c, token_make(c, "demo", NULL, "service", 1, &token));
    assert_ok(c, bearer(c, token));
    assert_true(c->rights & RIGHT_ACT_AS);
    assert_false(c->rights & (RIGHT_ADMIN | RIGHT_SELF | RIGHT_OWN | RIGHT_KEYS | RIGHT_MEMBERS));
    assert_string_equal(c->user_id, "");
}

static json_t *part_of(struct call *c, const char *token, int which)
{
    for (; which; which--) token = strchr(token, '.') + 1;
    size_t         n = 0;
    json_t        *v = NULL;
    unsigned char *bytes = token_text_bytes(c, token, strcspn(token, "."), &n);
    assert_non_null(bytes);
    assert_ok(c, json_parse(c, (const char *)bytes, n, &v));
    return v;
}

static void a_token_made_here_says_what_it_is_CRE_010_CRE_017(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_ok(c, token_sign(c, TOKEN_ACCESS, &(struct token_facts){ .sub = "acc_1", .creator = "demo", .role = "editor", .sid = "ses_1" }, &token));
    json_t *head = part_of(c, token, 0), *claims = part_of(c, token, 1);
    assert_string_equal(json_get_text(head, "alg", ""), "RS256");
    assert_string_equal(json_get_text(head, "typ", ""), "at+jwt");
    assert_true(signing_knows(json_get_text(head, "kid", "")));
    assert_int_equal(json_get_int(claims, "exp", 0) - json_get_int(claims, "iat", 0), 900);
    assert_string_equal(json_get_text(claims, "sub", ""), "acc_1");
    assert_string_equal(json_get_text(claims, "creator_id", ""), "demo");
    assert_string_equal(json_string_value(json_array_get(json_object_get(claims, "roles"), 0)), "editor");
    assert_true(strlen(json_get_text(claims, "jti", "")) >= 22);
    json_decref(head);
    json_decref(claims);
    assert_ok(c, token_sign(c, TOKEN_REFRESH, &(struct token_facts){ .sub = "acc_1", .sid = "ses_1", .number = 1 }, &token));
    claims = part_of(c, token, 1);
    assert_int_equal(json_get_int(claims, "exp", 0) - json_get_int(claims, "iat", 0), 2592000);
    json_decref(claims);
}

static void a_token_lives_24_hours_unless_told_otherwise_FIT_036(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_ok(c, token_make(c, "demo", "ann", "user", 0, &token));
    assert_ok(c, bearer_at(c, token, now_s() + 24 * 3600 - 60));
    assert_int_equal(bearer_at(c, token, now_s() + 24 * 3600 + 60), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token has expired");
}

static void no_credential_is_no_error_and_gives_public_rights_only(void **state)
{
    struct call *c = *state;
    assert_ok(c, authenticate(c, &(struct credential){ 0 }));
    assert_int_equal(c->rights, RIGHT_PUBLIC);
    assert_int_equal(authenticate(c, &(struct credential){ .authorization = "Basic dTpw" }), ERR_UNAUTHENTICATED);
    assert_int_equal(authenticate(c, &(struct credential){ .authorization = "Bearer x", .api_key = "chk_x" }), ERR_UNAUTHENTICATED);
}

static void a_token_under_the_shared_secret_is_a_user_without_creator_FIT_036(void **state)
{
    struct call *c = *state;
    assert_ok(c, check_claims(c, claims_with(c, ",\"email\":\"x@y.z\",\"n\":1.5", 600)));
    assert_string_equal(c->user_id, "u1");
    assert_string_equal(c->creator_id, "");
    assert_int_equal(c->rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF);
}

static void under_the_shared_secret_nobody_claims_a_role_or_a_creator_FIT_040(void **state)
{
    struct call *c = *state;
    assert_ok(c, check_claims(c, claims_with(c, ",\"role\":\"owner\",\"roles\":[\"owner\"],\"creator\":\"demo\",\"creator_id\":\"demo\","
                                                "\"sid\":\"ses_1\",\"account_id\":\"acc_1\"", 600)));
    assert_string_equal(c->creator_id, "");
    assert_string_equal(c->account_id, "");
    assert_string_equal(c->role, "user");
    assert_int_equal(c->rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF);
}

static void the_shared_secret_signs_only_for_issuers_it_is_said_to_FIT_036(void **state)
{
    struct call *c = *state;
    assert_int_equal(check_claims(c, claims_with(c, ",\"iss\":\"chiron\"", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"iss\":\"backend\"", 600)), ERR_UNAUTHENTICATED);
    set(c, "FIT_JWT_ISSUER", "other, backend");
    assert_ok(c, check_claims(c, claims_with(c, ",\"iss\":\"backend\"", 600)));
    assert_int_equal(check_claims(c, claims_with(c, ",\"iss\":\"back\"", 600)), ERR_UNAUTHENTICATED);
}

static void a_secret_of_its_own_for_the_outside_backend_wins_FIT_036(void **state)
{
    struct call *c = *state;
    accounts_close();
    set(c, "FIT_JWT_SECRET_KEY", KEY2);
    assert_ok(c, accounts_open(c));
    assert_ok(c, bearer(c, issue(c, claims_with(c, "", 600), KEY2)));
    assert_int_equal(bearer(c, issue(c, claims_with(c, "", 600), KEY)), ERR_UNAUTHENTICATED);
}

static void another_secret_is_refused_FIT_036_FIT_040(void **state)
{
    struct call *c = *state;
    assert_int_equal(bearer(c, issue(c, claims_with(c, "", 600), KEY2)), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token is not valid");
}

/* HMAC over the public key that anybody can read, as a verifier that follows the header's alg would accept it. */
static void hs256_over_our_public_key_is_refused_CRE_010(void **state)
{
    struct call       *c = *state;
    const char *token = NULL, *pem = "-----BEGIN PUBLIC KEY-----\n";
    assert_ok(c, token_make(c, "demo", NULL, "owner", 1, &token));
    json_t     *head = part_of(c, token, 0);
    const char *kid = json_get_text(head, "kid", "");
    const char *claims = arena_printf(&c->mem,
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"creator_id\":\"demo\",\"roles\":[\"owner\"],\"iat\":%lld,\"exp\":%lld}",
        (long long)now_s(), (long long)now_s() + 600);
    const char *with_kid = arena_printf(&c->mem, "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"%s\"}", kid);
    assert_int_equal(bearer(c, issue_as(c, with_kid, claims, pem)), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token is not valid");
    assert_int_equal(bearer(c, issue_as(c, with_kid, claims, KEY)), ERR_UNAUTHENTICATED);
    json_decref(head);
}

static void algorithm_none_and_others_are_refused_though_the_key_is_right_FIT_040(void **state)
{
    struct call      *c = *state;
    const char       *claims = claims_with(c, "", 600);
    const char *const headers[] = {
        "{\"alg\":\"none\"}", "{\"alg\":\"None\",\"typ\":\"JWT\"}", "{\"alg\":\"HS384\"}", "{\"alg\":\"HS512\"}", "{\"alg\":\"hs256\"}",
        "{\"alg\":\"RS256\"}", "{\"alg\":\"ES256\"}", "{\"alg\":\"PS256\"}", "{\"typ\":\"JWT\"}", "{\"alg\":7}", "{\"alg\":[\"HS256\"]}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\"}", "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", "{\"alg\":\"HS256\",\"b64\":true}",
        "{\"alg\":\"HS256\",\"typ\":\"refresh+jwt\"}", "{\"alg\":\"HS256\",\"typ\":1}", "{\"alg\":\"HS256\",\"kid\":{}}", "[]", "\"HS256\"", "",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        assert_int_equal(bearer(c, issue_as(c, headers[i], claims, KEY)), ERR_UNAUTHENTICATED);
        assert_string_equal(c->err_text, "the token is not valid");
    }
    assert_int_equal(bearer(c, issue_as(c, headers[0], claims, NULL)), ERR_UNAUTHENTICATED);
    assert_ok(c, bearer(c, issue_as(c, "{\"alg\":\"HS256\"}", claims, KEY)));
}

static void every_changed_byte_of_a_token_makes_it_invalid(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_ok(c, token_make(c, "demo", "ann", "user", 1, &token));
    char  *copy = arena_strdup(&c->mem, token);
    size_t n = strlen(copy);
    for (size_t i = 0; i < n; i++) {
        char was = copy[i];
        for (const char *other = "AB.=+ "; *other; other++) {
            if (*other == was) continue;
            copy[i] = *other;
            if (bearer(c, copy) == OK) broken("byte %zu of %s may be '%c'", i, token, *other);
        }
        copy[i] = was;
    }
    assert_ok(c, bearer(c, copy));
    for (size_t i = 0; i < n; i++)
        if (bearer(c, arena_printf(&c->mem, "%.*s", (int)i, token)) == OK) broken("%zu bytes of %s are enough", i, token);
    assert_int_equal(bearer(c, arena_printf(&c->mem, "%s=", token)), ERR_UNAUTHENTICATED);
    assert_int_equal(bearer(c, arena_printf(&c->mem, "%s.", token)), ERR_UNAUTHENTICATED);
}

static void what_is_no_token_is_refused(void **state)
{
    struct call *c = *state;
    char         long_one[20000];
    memset(long_one, 'a', sizeof long_one);
    long_one[sizeof long_one - 1] = 0;
    long_one[5] = long_one[10] = '.';
    const char *const wrong[] = { "", ".", "..", "...", "a.b", "a.b.c", "a..c", ".b.c", "a.b.", "a.b.c.d", "e30.e30.e30", "a b.c.d", long_one };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(bearer(c, wrong[i]), ERR_UNAUTHENTICATED);
        assert_string_equal(c->err_text, "the token is not valid");
    }
}

static void times_are_checked_with_thirty_seconds_of_patience(void **state)
{
    struct call *c = *state;
    assert_ok(c, check_claims(c, claims_with(c, "", -20)));
    assert_int_equal(check_claims(c, claims_with(c, "", -40)), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token has expired");
    const char *soon = arena_printf(&c->mem, ",\"nbf\":%lld", (long long)now_s() + 20);
    const char *later = arena_printf(&c->mem, ",\"nbf\":%lld", (long long)now_s() + 60);
    const char *future = arena_printf(&c->mem, ",\"iat\":%lld", (long long)now_s() + 300);
    assert_ok(c, check_claims(c, claims_with(c, soon, 600)));
    assert_int_equal(check_claims(c, claims_with(c, later, 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, future, 600)), ERR_UNAUTHENTICATED);
    assert_non_null(strstr(c->err_text, "a clock is wrong"));
    assert_int_equal(check_claims(c, "{\"sub\":\"u1\"}"), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, "{\"sub\":\"u1\",\"exp\":\"tomorrow\"}"), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, "{\"sub\":\"u1\",\"exp\":1e300}"), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"exp\":1", 600)), ERR_UNAUTHENTICATED);
    /* Without exp it lives JWT_EXPIRATION_HOURS from iat. */
    assert_ok(c, check_claims(c, arena_printf(&c->mem, "{\"sub\":\"u1\",\"iat\":%lld}", (long long)now_s() - 3600)));
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":\"u1\",\"iat\":%lld}", (long long)now_s() - 25 * 3600)), ERR_UNAUTHENTICATED);
}

/* Ours, made by a server whose clock is five minutes ahead; and one behind, whose tokens of 15 minutes still have ten. */
static void a_clock_that_is_five_minutes_off_gets_a_clear_answer(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    int64_t      at = now_s();
    assert_ok(c, token_sign(c, TOKEN_ACCESS, &(struct token_facts){ .sub = "ann", .creator = "demo", .role = "user", .iat = at + 300 }, &token));
    assert_int_equal(bearer_at(c, token, at), ERR_UNAUTHENTICATED);
    assert_non_null(strstr(c->err_text, "300 seconds"));
    assert_ok(c, token_sign(c, TOKEN_ACCESS, &(struct token_facts){ .sub = "ann", .creator = "demo", .role = "user", .iat = at - 300 }, &token));
    assert_ok(c, bearer_at(c, token, at));
}

static void claims_of_a_wrong_kind_are_refused_FIT_040(void **state)
{
    struct call *c = *state;
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":42,\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":\"../x\",\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":\"u1' OR 1=1 --\",\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"iss\":7", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"sub\":\"u2\"", 600)), ERR_UNAUTHENTICATED);
}

static void a_refresh_token_is_no_access_token_and_the_other_way_round(void **state)
{
    struct call       *c = *state;
    const char        *access = NULL, *refresh = NULL;
    struct token_facts f = { .sub = "ann", .creator = "demo", .role = "user", .sid = "ses_1", .number = 1 };
    assert_ok(c, token_sign(c, TOKEN_ACCESS, &f, &access));
    assert_ok(c, token_sign(c, TOKEN_REFRESH, &f, &refresh));
    assert_int_equal(bearer(c, refresh), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token is not valid");
    call_forgive(c);
    assert_int_equal(token_verify(c, access, TOKEN_REFRESH, now_s(), &f), ERR_UNAUTHENTICATED);
    call_forgive(c);
    assert_ok(c, token_verify(c, refresh, TOKEN_REFRESH, now_s(), &f));
    assert_int_equal(f.number, 1);
}

/* Signed with our own key, but not what we would say. */
static void our_key_alone_does_not_make_a_token_ours(void **state)
{
    struct call      *c = *state;
    const char       *token = NULL;
    const char *const claims[] = {
        "{\"iss\":\"chiron\",\"aud\":\"other\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"iss\":\"other\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"../demo\",\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":[\"demo\"],\"roles\":[\"user\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"king\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\",\"owner\"],\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":\"owner\",\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"exp\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"iat\":%lld}",
        "{\"iss\":\"chiron\",\"aud\":\"chiron\",\"sub\":\"ann\",\"creator_id\":\"demo\",\"roles\":[\"user\"],\"sid\":\"ses_none\",\"exp\":%lld}",
    };
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        const char *text = arena_printf(&c->mem, claims[i], (long long)now_s() + 20);
#pragma GCC diagnostic pop
        call_forgive(c);
        assert_ok(c, signing_compact(c, "at+jwt", text, strlen(text), &token));
        if (bearer(c, token) != ERR_UNAUTHENTICATED) broken("%s is let in", text);
        assert_string_equal(c->err_text, "the token is not valid");
    }
}

static void token_make_refuses_bad_ids_and_roles(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "../x", "ann", "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", "a b", "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", NULL, "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", "ann", "king", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, NULL, "ann", "user", 1, &token), ERR_INVALID);
    assert_null(token);
}

static void a_short_secret_does_not_start_FIT_036_CRE_067(void **state)
{
    struct call *c = *state;
    accounts_close();
    set(c, "JWT_SECRET_KEY", "exactly thirty-two bytes, no les");
    assert_ok(c, accounts_open(c));
    accounts_close();
    set(c, "JWT_SECRET_KEY", "only thirty-one bytes one short");
    assert_int_equal(accounts_open(c), ERR_INVALID);
    assert_string_equal(c->err_field, "JWT_SECRET_KEY");
    call_forgive(c);
    set(c, "JWT_SECRET_KEY", "");
    set(c, "JWT_SECRET", "short");
    assert_int_equal(accounts_open(c), ERR_INVALID);
    assert_string_equal(c->err_field, "JWT_SECRET");
    call_forgive(c);
    set(c, "JWT_SECRET", KEY);
    set(c, "FIT_JWT_SECRET_KEY", "short");
    assert_int_equal(accounts_open(c), ERR_INVALID);
    assert_string_equal(c->err_field, "FIT_JWT_SECRET_KEY");
    call_forgive(c);
    set(c, "FIT_JWT_SECRET_KEY", "");
    set(c, "JWT_SECRET_KEY", KEY2);
    assert_int_equal(accounts_open(c), ERR_INVALID);
    call_forgive(c);
    set(c, "JWT_SECRET_KEY", "");
    assert_ok(c, accounts_open(c));
}

static void a_user_speaks_for_itself_only_and_a_service_for_anyone_RAG_010(void **state)
{
    struct call *c = *state;
    const char  *user = NULL;
    c->rights = RIGHT_PUBLIC | RIGHT_ASK;
    strcpy(c->user_id, "ann");
    assert_int_equal(user_check(c, "user_id", "ann", &user), OK);
    assert_string_equal(user, "ann");
    user = NULL;
    assert_int_equal(user_check(c, "user_id", "bob", &user), ERR_FORBIDDEN);
    assert_null(user);
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", "", &user), ERR_INVALID);
    assert_string_equal(c->err_field, "user_id");
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", NULL, &user), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", "a/b", &user), ERR_INVALID);
    call_forgive(c);
    c->rights = RIGHT_ACT_AS;
    assert_int_equal(user_check(c, "user_id", "bob", &user), OK);
    assert_string_equal(user, "bob");
}

static void a_caller_without_user_id_speaks_for_nobody_RAG_010(void **state)
{
    struct call *c = *state;
    const char  *user = NULL;
    c->rights = RIGHT_PUBLIC | RIGHT_ASK;
    assert_int_equal(user_check(c, "user_id", "ann", &user), ERR_FORBIDDEN);
}

static void what_is_derived_from_the_key_changes_with_purpose_text_and_key(void **state)
{
    struct call *c = *state;
    const char  *one = token_derive(c, "p", "t");
    assert_string_equal(one, token_derive(c, "p", "t"));
    assert_string_not_equal(one, token_derive(c, "q", "t"));
    assert_string_not_equal(one, token_derive(c, "p", "u"));
    assert_int_equal(token_key_set(c, KEY2, strlen(KEY2)), OK);
    assert_string_not_equal(one, token_derive(c, "p", "t"));
}

/* ---- keys from settings (CRE-067) ---- */

static const char *pem_of(struct call *c, EVP_PKEY *k, bool private)
{
    char *text = NULL;
    BIO  *b = BIO_new(BIO_s_mem());
    assert_int_equal(private ? PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL, NULL) : PEM_write_bio_PUBKEY(b, k), 1);
    long        n = BIO_get_mem_data(b, &text);
    const char *out = arena_printf(&c->mem, "%.*s", (int)n, text);
    BIO_free(b);
    return out;
}

static void a_key_pair_from_the_settings_signs_and_the_one_before_still_verifies_CRE_067(void **state)
{
    struct call *c = *state;
    const char  *before = NULL, *token = NULL;
    char         kid[SIGNING_KID_BYTES + 1];
    EVP_PKEY    *k = EVP_RSA_gen(2048), *small = EVP_RSA_gen(1024), *ec = EVP_EC_gen("P-256");
    assert_ok(c, token_make(c, "demo", "ann", "user", 1, &before));
    accounts_close();
    set(c, "JWT_PRIVATE_KEY", pem_of(c, k, true));
    set(c, "JWT_PUBLIC_KEY", pem_of(c, k, false));
    assert_ok(c, accounts_open(c));
    assert_ok(c, token_make(c, "demo", "ann", "user", 1, &token));
    assert_ok(c, bearer(c, token));
    assert_ok(c, bearer(c, before));
    assert_int_equal(signing_rotate(c, kid), ERR_CONFLICT);
    call_forgive(c);
    /* As one line, as an environment file holds it. */
    const char *pem = pem_of(c, k, true);
    struct buf  line;
    buf_init(&line, 8192);
    for (; *pem; pem++) {
        if (*pem == '\n') buf_adds(&line, "\\n");
        else buf_addc(&line, *pem);
    }
    accounts_close();
    set(c, "JWT_PRIVATE_KEY", line.data);
    assert_ok(c, accounts_open(c));
    assert_ok(c, bearer(c, token));
    accounts_close();
    static const char *const wrong[] = { "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n" };
    for (size_t i = 0; i < 4; i++) {
        set(c, "JWT_PRIVATE_KEY", i < 2 ? wrong[i] : pem_of(c, i == 2 ? small : ec, true));
        set(c, "JWT_PUBLIC_KEY", "");
        assert_int_equal(accounts_open(c), ERR_INVALID);
        assert_string_equal(c->err_field, "JWT_PRIVATE_KEY");
        call_forgive(c);
    }
    set(c, "JWT_PRIVATE_KEY", line.data);
    set(c, "JWT_PUBLIC_KEY", pem_of(c, ec, false));
    assert_int_equal(accounts_open(c), ERR_INVALID);
    assert_string_equal(c->err_field, "JWT_PUBLIC_KEY");
    call_forgive(c);
    set(c, "JWT_PRIVATE_KEY", "");
    assert_int_equal(accounts_open(c), ERR_INVALID);
    assert_string_equal(c->err_field, "JWT_PUBLIC_KEY");
    call_forgive(c);
    set(c, "JWT_PUBLIC_KEY", "");
    assert_ok(c, accounts_open(c));
    assert_int_equal(bearer(c, token), ERR_UNAUTHENTICATED);
    buf_dispose(&line);
    EVP_PKEY_free(k);
    EVP_PKEY_free(small);
    EVP_PKEY_free(ec);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_token_made_here_names_its_user_creator_and_rights),
        T(an_owner_has_every_right_and_a_service_neither_settings_nor_self_CRE_012),
        T(a_token_made_here_says_what_it_is_CRE_010_CRE_017),
        T(a_token_lives_24_hours_unless_told_otherwise_FIT_036),
        T(no_credential_is_no_error_and_gives_public_rights_only),
        T(a_token_under_the_shared_secret_is_a_user_without_creator_FIT_036),
        T(under_the_shared_secret_nobody_claims_a_role_or_a_creator_FIT_040),
        T(the_shared_secret_signs_only_for_issuers_it_is_said_to_FIT_036),
        T(a_secret_of_its_own_for_the_outside_backend_wins_FIT_036),
        T(another_secret_is_refused_FIT_036_FIT_040),
        T(hs256_over_our_public_key_is_refused_CRE_010),
        T(algorithm_none_and_others_are_refused_though_the_key_is_right_FIT_040),
        T(every_changed_byte_of_a_token_makes_it_invalid),
        T(what_is_no_token_is_refused),
        T(times_are_checked_with_thirty_seconds_of_patience),
        T(a_clock_that_is_five_minutes_off_gets_a_clear_answer),
        T(claims_of_a_wrong_kind_are_refused_FIT_040),
        T(a_refresh_token_is_no_access_token_and_the_other_way_round),
        T(our_key_alone_does_not_make_a_token_ours),
        T(a_key_pair_from_the_settings_signs_and_the_one_before_still_verifies_CRE_067),
        T(token_make_refuses_bad_ids_and_roles),
        T(a_short_secret_does_not_start_FIT_036_CRE_067),
        T(a_user_speaks_for_itself_only_and_a_service_for_anyone_RAG_010),
        T(a_caller_without_user_id_speaks_for_nobody_RAG_010),
        T(what_is_derived_from_the_key_changes_with_purpose_text_and_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
