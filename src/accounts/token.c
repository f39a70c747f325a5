/* Bearer tokens, HS256 only. The algorithm is decided here and never by the token: the header's "alg" is compared and the
 * signature checked before a claim is read, so "none", RS256 with our secret as its public key, and every other algorithm
 * end the same way. A token must end: without "exp" it lives JWT_EXPIRATION_HOURS from its "iat", without both it is refused.
 * It refuses to say which of its checks a forged token failed: only an honest, expired token hears that it expired. */
/* SPDX-License-Identifier: MIT */
#include "accounts/token.h"

#include <assert.h>
#include <jwt.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "accounts/accounts.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

static struct {
    unsigned char bytes[TOKEN_KEY_MAX_BYTES];
    size_t        len;             /* 0: not set */
} signing;

static const struct role {
    const char *name;
    unsigned    rights;
} roles[] = {
    { "owner", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_WRITE | RIGHT_ADMIN | RIGHT_ACT_AS },
    { "service", RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ | RIGHT_WRITE | RIGHT_ACT_AS },
    { "user", RIGHT_PUBLIC | RIGHT_ASK },
};

static const struct role *role_find(const char *name)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(roles[i].name, name)) return &roles[i];
    return NULL;
}

enum err token_key_set(struct call *c, const char *key, size_t n)
{
    if (n < TOKEN_KEY_MIN_BYTES || n > TOKEN_KEY_MAX_BYTES)
        return fail_field(c, "JWT_SECRET_KEY", "JWT_SECRET_KEY has %zu bytes; %d to %d are needed", n, TOKEN_KEY_MIN_BYTES,
                          TOKEN_KEY_MAX_BYTES);
    memcpy(signing.bytes, key, n);
    signing.len = n;
    return OK;
}

void token_key_wipe(void)
{
    sodium_memzero(&signing, sizeof signing);
}

const char *token_derive(struct call *c, const char *purpose, const char *text)
{
    assert(signing.len);
    unsigned char key[crypto_auth_hmacsha256_BYTES], mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state st;
    crypto_auth_hmacsha256_init(&st, signing.bytes, signing.len);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)purpose, strlen(purpose));
    crypto_auth_hmacsha256_final(&st, key);
    crypto_auth_hmacsha256_init(&st, key, sizeof key);
    crypto_auth_hmacsha256_update(&st, (const unsigned char *)text, strlen(text));
    crypto_auth_hmacsha256_final(&st, mac);
    size_t n = sodium_base64_encoded_len(sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    char  *out = arena_alloc(&c->mem, n);
    sodium_bin2base64(out, n, mac, sizeof mac, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(key, sizeof key);
    return out;
}

enum err token_make(struct call *c, const char *creator, const char *user, const char *role, int hours, const char **out)
{
    assert(signing.len);
    if (!creator || !id_valid(creator)) return fail_field(c, "creator", "\"%.60s\" is not a creator id", creator ? creator : "");
    if (user && !id_valid(user)) return fail_field(c, "user", "\"%.60s\" is not a user id", user);
    if (!role_find(role)) return fail_field(c, "role", "role is owner, service or user, not \"%.40s\"", role);
    if (!user && !strcmp(role, "user")) return fail_field(c, "user", "a token of role user needs a user id");
    int64_t now = clock_unix_ms() / 1000;
    if (hours <= 0) hours = (int)conf_int("JWT_EXPIRATION_HOURS");

    jwt_t   *t = NULL;
    char    *text = NULL;
    enum err e = OK;
    int      bad = jwt_new(&t);
    if (!bad) bad = jwt_set_alg(t, JWT_ALG_HS256, signing.bytes, (int)signing.len);
    if (!bad && user) bad = jwt_add_grant(t, "sub", user);
    if (!bad) bad = jwt_add_grant(t, "creator", creator);
    if (!bad) bad = jwt_add_grant(t, "role", role);
    if (!bad) bad = jwt_add_grant(t, "iss", "chiron");
    if (!bad) bad = jwt_add_grant_int(t, "iat", now);
    if (!bad) bad = jwt_add_grant_int(t, "exp", now + (int64_t)hours * 3600);
    if (!bad) text = jwt_encode_str(t);
    if (text) *out = arena_strdup(&c->mem, text);
    else e = fail(c, ERR_INTERNAL, "could not sign a token");
    free(text);
    jwt_free(t);
    return e;
}

/* A claim that is a time: whole seconds, or a fraction as some issuers write it. */
static bool claim_time(const json_t *claims, const char *name, int64_t *out, bool *wrong)
{
    const json_t *v = json_object_get(claims, name);
    if (!v) return false;
    double d = json_number_value(v);
    if (!json_is_number(v) || !(d >= 0 && d < 1e11)) {
        *wrong = true;
        return false;
    }
    *out = (int64_t)d;
    return true;
}

static enum err claims_check(struct call *c, const json_t *claims, int64_t now)
{
    bool    wrong = false;
    int64_t exp = 0, iat = 0, nbf = 0;
    bool    has_exp = claim_time(claims, "exp", &exp, &wrong);
    bool    has_iat = claim_time(claims, "iat", &iat, &wrong);
    bool    has_nbf = claim_time(claims, "nbf", &nbf, &wrong);
    if (wrong) return fail(c, ERR_UNAUTHENTICATED, "the token's times are not numbers");
    if (!has_exp && !has_iat) return fail(c, ERR_UNAUTHENTICATED, "the token has no expiry");
    if (!has_exp) exp = iat + conf_int("JWT_EXPIRATION_HOURS") * 3600;
    if (now >= exp + TOKEN_SKEW_SECONDS) return fail(c, ERR_UNAUTHENTICATED, "the token has expired");
    if (has_nbf && now + TOKEN_SKEW_SECONDS < nbf) return fail(c, ERR_UNAUTHENTICATED, "the token is not valid yet");
    if (has_iat && now + TOKEN_SKEW_SECONDS < iat) return fail(c, ERR_UNAUTHENTICATED, "the token is from the future");

    const json_t *named = json_object_get(claims, "role");
    if (named && !json_is_string(named)) return fail(c, ERR_UNAUTHENTICATED, "the token's role is not known");
    const struct role *role = role_find(named ? json_string_value(named) : "user");
    if (!role) return fail(c, ERR_UNAUTHENTICATED, "the token's role is not known");
    const json_t *sub = json_object_get(claims, "sub"), *creator = json_object_get(claims, "creator");
    if (sub ? !json_is_string(sub) || !id_valid(json_string_value(sub)) : !strcmp(role->name, "user"))
        return fail(c, ERR_UNAUTHENTICATED, "the token names no valid user");
    if (creator && (!json_is_string(creator) || !id_valid(json_string_value(creator))))
        return fail(c, ERR_UNAUTHENTICATED, "the token names no valid creator");

    /* id_valid bounds both by LIMIT_ID_BYTES, the size of these arrays. */
    memset(c->user_id, 0, sizeof c->user_id);
    memset(c->creator_id, 0, sizeof c->creator_id);
    if (sub) memcpy(c->user_id, json_string_value(sub), json_string_length(sub));
    if (creator) memcpy(c->creator_id, json_string_value(creator), json_string_length(creator));
    c->rights = role->rights;
    return OK;
}

/* The payload's JSON, from a token whose form and signature are right; NULL otherwise. */
static json_t *claims_open(struct call *c, const char *token)
{
    jwt_t  *t = NULL;
    json_t *claims = NULL;
    char   *text = NULL;
    if (jwt_decode(&t, token, signing.bytes, (int)signing.len)) return NULL;
    if (jwt_get_alg(t) == JWT_ALG_HS256) text = jwt_get_grants_json(t, NULL);
    if (text && json_parse(c, text, strlen(text), &claims)) {
        call_forgive(c);
        claims = NULL;
    }
    free(text);
    jwt_free(t);
    if (claims && !json_is_object(claims)) {
        json_decref(claims);
        claims = NULL;
    }
    return claims;
}

enum err token_check(struct call *c, const char *token, int64_t now_s)
{
    assert(signing.len);
    size_t n = strlen(token);
    /* Three base64url parts and nothing else: what the library would forgive (a missing signature, stray bytes) is refused. */
    int dots = 0;
    bool form = n <= TOKEN_MAX_BYTES && n >= 5 && token[0] != '.' && token[n - 1] != '.';
    for (size_t i = 0; i < n && form; i++) {
        char ch = token[i];
        if (ch == '.') dots++;
        else form = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || ch == '-' || ch == '_';
    }
    json_t *claims = form && dots == 2 ? claims_open(c, token) : NULL;
    if (!claims) return fail(c, ERR_UNAUTHENTICATED, "the token is not valid");
    enum err e = claims_check(c, claims, now_s);
    json_decref(claims);
    return e;
}

enum err token_authenticate(struct call *c, const struct credential *cred)
{
    const char *authorization = cred->authorization;
    c->rights = RIGHT_PUBLIC;
    if (!authorization) return OK;
    if (strncasecmp(authorization, "Bearer ", 7)) return fail(c, ERR_UNAUTHENTICATED, "Authorization must be \"Bearer TOKEN\"");
    const char *token = authorization + 7;
    while (*token == ' ') token++;
    return token_check(c, token, clock_unix_ms() / 1000);
}
