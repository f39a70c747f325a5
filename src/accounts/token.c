/* Bearer tokens: our own, RS256 with a kept key, and those of trusted issuers. Who issued it is read first, from a text nobody
 * has vouched for yet; that decides the one algorithm and the keys, then the signature is checked, and only then does a claim
 * count. "none", HS256 over our public key, a key of another issuer and every other mixture end the same way. It refuses to say
 * which of its checks a forged token failed; what is rightly signed hears that it has expired, or that a clock is wrong. */
/* SPDX-License-Identifier: MIT */
#include "accounts/token.h"

#include <string.h>
#include <strings.h>

#include "accounts/accounts.h"
#include "accounts/issuer.h"
#include "accounts/role.h"
#include "accounts/session.h"
#include "accounts/signing.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"

enum { JTI_BYTES = 16, PAYLOAD_MAX = 4096 };

enum err token_refuse(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "the token is not valid");
}

/* ---- making ---- */

enum err token_sign(struct call *c, enum token_use use, const struct token_facts *f, const char **out)
{
    unsigned char   jti[JTI_BYTES];
    struct buf      b;
    struct json_out j;
    int64_t         iat = f->iat ? f->iat : clock_unix_ms() / 1000;
    id_random(jti, sizeof jti);
    buf_init(&b, PAYLOAD_MAX);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "iss", conf_text("TOKEN_ISSUER"));
    json_put_text(&j, "aud", TOKEN_AUDIENCE);
    if (f->sub) json_put_text(&j, "sub", f->sub);
    if (f->creator && *f->creator) json_put_text(&j, "creator_id", f->creator);
    if (use == TOKEN_ACCESS) {
        json_begin_array(&j, "roles");
        if (f->role && *f->role) json_put_text(&j, NULL, f->role);
        json_end(&j);
    }
    if (f->sid) json_put_text(&j, "sid", f->sid);
    if (use == TOKEN_REFRESH) json_put_int(&j, "n", f->number);
    json_put_text(&j, "jti", token_text_base64(c, jti, sizeof jti));
    json_put_int(&j, "iat", iat);
    json_put_int(&j, "exp", f->exp ? f->exp : iat + (use == TOKEN_ACCESS ? SESSION_ACCESS_SECONDS : SESSION_REFRESH_SECONDS));
    json_end(&j);
    enum err e = b.failed ? fail(c, ERR_INTERNAL, "the claims of a token are too large") : OK;
    if (!e) e = signing_compact(c, use == TOKEN_ACCESS ? "at+jwt" : "refresh+jwt", b.data, b.len, out);
    buf_dispose(&b);
    return e;
}

enum err token_make(struct call *c, const char *creator, const char *user, const char *role, int hours, const char **out)
{
    unsigned rights = 0;
    if (!creator || !id_valid(creator)) return fail_field(c, "creator", "\"%.60s\" is not a creator id", creator ? creator : "");
    if (user && !id_user_valid(user)) return fail_field(c, "user", "\"%.60s\" is not a user id", user);
    enum err e = role_rights(c, creator, role, &rights);
    if (e == ERR_NOT_FOUND) return fail_field(c, "role", "there is no role \"%.40s\"", role);
    if (e) return e;
    if (!user && (!strcmp(role, "user") || !strcmp(role, "visitor")))
        return fail_field(c, "user", "a token of role %s needs a user id", role);
    int64_t now = clock_unix_ms() / 1000;
    if (hours <= 0) hours = (int)conf_int("JWT_EXPIRATION_HOURS");
    return token_sign(c, TOKEN_ACCESS,
                      &(struct token_facts){ .sub = user, .creator = creator, .role = role, .iat = now, .exp = now + (int64_t)hours * 3600 }, out);
}

/* ---- reading ---- */

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

/* A text of 1..max bytes, copied; NULL in *out when it is absent. false: it is something else. */
static bool claim_text(struct call *c, const json_t *claims, const char *name, size_t max, const char **out)
{
    const json_t *v = json_object_get(claims, name);
    *out = NULL;
    if (!v) return true;
    if (!json_is_string(v) || !json_string_length(v) || json_string_length(v) > max) return false;
    *out = arena_strdup(&c->mem, json_string_value(v));
    return true;
}

static enum err times_check(struct call *c, const json_t *claims, int64_t now, bool expiry_by_iat, struct token_facts *f)
{
    bool    wrong = false;
    int64_t exp = 0, iat = 0, nbf = 0;
    bool    has_exp = claim_time(claims, "exp", &exp, &wrong);
    bool    has_iat = claim_time(claims, "iat", &iat, &wrong);
    bool    has_nbf = claim_time(claims, "nbf", &nbf, &wrong);
    if (wrong || (!has_exp && !(has_iat && expiry_by_iat))) return token_refuse(c);
    if (!has_exp) exp = iat + conf_int("JWT_EXPIRATION_HOURS") * 3600;
    if (now >= exp + TOKEN_SKEW_SECONDS) return fail(c, ERR_UNAUTHENTICATED, "the token has expired");
    int64_t from = iat > nbf ? iat : nbf;
    if ((has_iat || has_nbf) && now + TOKEN_SKEW_SECONDS < from)
        return fail(c, ERR_UNAUTHENTICATED, "the token is not valid yet: it begins %lld seconds from now; a clock is wrong, its issuer's or ours",
                    (long long)(from - now));
    f->iat = iat;
    f->exp = exp;
    return OK;
}

/* The claim is the audience, or a list that holds it. */
static bool audience_right(const json_t *claims, const char *want)
{
    const json_t *aud = json_object_get(claims, "aud"), *one;
    size_t        i;
    if (json_is_string(aud)) return !strcmp(json_string_value(aud), want);
    json_array_foreach(aud, i, one)
        if (json_is_string(one) && !strcmp(json_string_value(one), want)) return true;
    return false;
}

static enum err read_ours(struct call *c, const struct token_text *t, enum token_use use, int64_t now, struct token_facts *f)
{
    const char *type = use == TOKEN_ACCESS ? "at+jwt" : "refresh+jwt";
    if (t->algorithm != TOKEN_RS256 || strcmp(t->type, type)) return token_refuse(c);
    signing_meet(c, t->kid);
    if (!signing_right(t)) return token_refuse(c);
    enum err e = times_check(c, t->claims, now, false, f);
    if (e) return e;
    const json_t *roles = json_object_get(t->claims, "roles"), *number = json_object_get(t->claims, "n");
    bool good = audience_right(t->claims, TOKEN_AUDIENCE) && claim_text(c, t->claims, "sub", LIMIT_ID_BYTES, &f->sub) &&
                claim_text(c, t->claims, "creator_id", LIMIT_ID_BYTES, &f->creator) && claim_text(c, t->claims, "sid", ID_BYTES - 1, &f->sid) &&
                claim_text(c, t->claims, "jti", 64, &f->jti);
    if (use == TOKEN_REFRESH) good = good && f->sid && json_is_integer(number);
    else good = good && json_is_array(roles) && json_array_size(roles) <= 1;
    const json_t *role = json_array_get(roles, 0);
    if (good && role) good = json_is_string(role) && json_string_length(role) <= LIMIT_ROLE_BYTES;
    if (good) good = (!f->sub || id_valid(f->sub)) && (!f->creator || id_valid(f->creator));
    if (!good) return token_refuse(c);
    f->ours = true;
    f->kid = t->kid;
    f->role = role ? arena_strdup(&c->mem, json_string_value(role)) : NULL;
    f->number = number ? json_integer_value(number) : 0;
    return OK;
}

/* What an outside token claims to be is not read: its issuer's row says it. */
static enum err read_outside(struct call *c, const struct token_text *t, const char *iss, int64_t now, struct token_facts *f)
{
    const struct issuer *i = issuer_find(iss);
    const char          *type = !strncasecmp(t->type, "application/", 12) ? t->type + 12 : t->type;
    if (!i || t->algorithm != i->algorithm || (*type && strcasecmp(type, "jwt") && strcasecmp(type, "at+jwt"))) return token_refuse(c);
    enum err e = issuer_signed(c, i, t);
    if (!e) e = times_check(c, t->claims, now, i->expiry_by_iat, f);
    if (e) return e;
    if (i->audience && !audience_right(t->claims, i->audience)) return token_refuse(c);
    if (!claim_text(c, t->claims, i->user_claim, LIMIT_ID_BYTES, &f->sub) || !f->sub || !id_user_valid(f->sub)) return token_refuse(c);
    f->creator = i->creator;
    f->role = i->role;
    return OK;
}

enum err token_verify(struct call *c, const char *text, enum token_use use, int64_t now_s, struct token_facts *out)
{
    struct token_text  t;
    struct token_facts f = { 0 };
    const char        *iss = NULL;
    if (!token_text_read(c, text, &t)) return token_refuse(c);
    enum err e = OK;
    if (!claim_text(c, t.claims, "iss", LIMIT_TITLE_BYTES, &iss)) e = token_refuse(c);
    else if (iss && !strcmp(iss, conf_text("TOKEN_ISSUER"))) e = read_ours(c, &t, use, now_s, &f);
    else if (use == TOKEN_ACCESS) e = read_outside(c, &t, iss, now_s, &f);
    else e = token_refuse(c);
    json_decref(t.claims);
    if (!e) *out = f;
    return e;
}
