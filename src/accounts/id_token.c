/* Believing an id token. The algorithm is the issuer's from the settings and never the token's; everything the specification lets
 * a client skip because the token came straight from the issuer is checked all the same, since that costs nothing and a
 * mixed-up answer then is one. It refuses tokens for several audiences unless they say which one they were made for. */
/* SPDX-License-Identifier: MIT */
#include "accounts/id_token.h"

#include <sodium.h>
#include <string.h>

#include "accounts/jwks.h"
#include "base/base64.h"

static enum err refuse(struct call *c, const char *why)
{
    return fail(c, ERR_UNAUTHENTICATED, "the issuer's id token %s", why);
}

/* The JSON object of a base64url part without padding; NULL: it is none. */
static json_t *part(struct call *c, const char *text, size_t n)
{
    size_t         len = 0;
    unsigned char *bytes = n && !memchr(text, '=', n) && !memchr(text, '+', n) && !memchr(text, '/', n) ? base64_decode(&c->mem, text, n, &len) : NULL;
    json_t        *o = NULL;
    if (!bytes) return NULL;
    if (json_parse(c, (const char *)bytes, len, &o)) {
        call_forgive(c);
        return NULL;
    }
    if (json_is_object(o)) return o;
    json_decref(o);
    return NULL;
}

static bool audience_ok(const json_t *claims, const char *client_id)
{
    const json_t *aud = json_object_get(claims, "aud"), *one;
    const char   *azp = json_get_text(claims, "azp", NULL);
    size_t        i, found = 0;
    if (json_object_get(claims, "azp") && (!azp || strcmp(azp, client_id))) return false;
    if (json_is_string(aud)) return !strcmp(json_string_value(aud), client_id);
    json_array_foreach(aud, i, one) found += json_is_string(one) && !strcmp(json_string_value(one), client_id);
    return found == 1 && (json_array_size(aud) == 1 || azp);
}

/* Seconds since 1970 of a claim; false: it is not there or no number. */
static bool seconds(const json_t *claims, const char *name, double *out)
{
    const json_t *v = json_object_get(claims, name);
    if (!json_is_number(v)) return false;
    *out = json_number_value(v);
    return *out >= 0 && *out < 1e12;
}

static enum err check_claims(struct call *c, const json_t *claims, const struct id_token_want *w)
{
    double      exp, iat, nbf, now = (double)w->now_s;
    const char *iss = json_get_text(claims, "iss", ""), *sub = json_get_text(claims, "sub", ""), *nonce = json_get_text(claims, "nonce", "");
    if (strcmp(iss, w->issuer)) return refuse(c, "is another issuer's");
    if (!audience_ok(claims, w->client_id)) return refuse(c, "was made for somebody else");
    if (!seconds(claims, "exp", &exp) || !seconds(claims, "iat", &iat)) return refuse(c, "does not say when it was made and when it ends");
    if (exp <= now - ID_TOKEN_SKEW_SECONDS) return refuse(c, "has expired");
    if (iat > now + ID_TOKEN_SKEW_SECONDS || (seconds(claims, "nbf", &nbf) && nbf > now + ID_TOKEN_SKEW_SECONDS))
        return refuse(c, "is from the future: one of the two clocks is wrong");
    if (iat < now - ID_TOKEN_AGE_SECONDS) return refuse(c, "was made too long ago");
    if (strlen(nonce) != strlen(w->nonce) || sodium_memcmp(nonce, w->nonce, strlen(nonce))) return refuse(c, "belongs to another sign-in");
    if (!*sub || strlen(sub) > ID_TOKEN_SUBJECT) return refuse(c, "does not say who it is about");
    return OK;
}

void id_token_person(struct call *c, const json_t *claims, struct id_token_claims *out)
{
    const json_t *verified = json_object_get(claims, "email_verified");
    /* Some issuers send the word instead of the value. */
    bool is = json_is_true(verified) || (json_is_string(verified) && !strcmp(json_string_value(verified), "true"));
    if (is && !out->email) out->email = arena_strdup(&c->mem, json_get_text(claims, "email", NULL));
    if (!out->name) out->name = arena_strdup(&c->mem, json_get_text(claims, "name", json_get_text(claims, "preferred_username", NULL)));
}

static enum err check_signature(struct call *c, const char *text, size_t signed_len, const char *signature, const json_t *head, const struct id_token_want *w)
{
    const char    *kid = json_get_text(head, "kid", "");
    size_t         n = 0;
    unsigned char *sig = *signature && !strpbrk(signature, "=+/") ? base64_decode(&c->mem, signature, strlen(signature), &n) : NULL;
    EVP_PKEY      *key = NULL;
    if (strcmp(json_get_text(head, "alg", ""), w->algorithm)) return refuse(c, "is not signed as this issuer's are");
    if (json_object_get(head, "crit")) return refuse(c, "wants something that we do not know");
    if (!sig) return refuse(c, "is not a token");
    enum err e = w->keys ? jwks_find(c, w->keys, w->algorithm, kid, &key) : jwks_key(c, w->jwks_uri, w->algorithm, kid, &key);
    if (e) return e;
    bool right = jwks_verify(key, w->algorithm, text, signed_len, sig, n);
    EVP_PKEY_free(key);
    return right ? OK : refuse(c, "is not signed by it");
}

enum err id_token_check(struct call *c, const char *text, const struct id_token_want *want, struct id_token_claims *out)
{
    if (strlen(text) > ID_TOKEN_BYTES) return refuse(c, "is too long");
    const char *first = strchr(text, '.'), *second = first ? strchr(first + 1, '.') : NULL;
    if (!second || strchr(second + 1, '.')) return refuse(c, "is not a token");
    json_t *head = part(c, text, (size_t)(first - text)), *claims = part(c, first + 1, (size_t)(second - first) - 1);
    enum err e = head && claims ? OK : refuse(c, "is not a token");
    if (!e) e = check_signature(c, text, (size_t)(second - text), second + 1, head, want);
    if (!e) e = check_claims(c, claims, want);
    if (!e) {
        *out = (struct id_token_claims){ .subject = arena_strdup(&c->mem, json_get_text(claims, "sub", "")) };
        id_token_person(c, claims, out);
    }
    json_decref(head);
    json_decref(claims);
    return e;
}
