/* The two ends of a sign-in elsewhere. What ties them together is the state: random, known to this browser by a cookie and to us
 * by its hash, and taken once. With it go the nonce (is the id token of this sign-in?), the verifier (was the code asked for by
 * us?) and the issuer (did the answer come from where we sent them?). Everything that comes through the browser is hostile
 * until one of these fits. It refuses to say more to the browser than one word; the log has the rest. */
/* SPDX-License-Identifier: MIT */
#include "accounts/oidc.h"

#include <sodium.h>
#include <string.h>

#include "accounts/email.h"
#include "accounts/id_token.h"
#include "accounts/label.h"
#include "accounts/mail.h"
#include "accounts/oidc_store.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"

#define LIVE_MAX       100000
#define RANDOM_BYTES   32
#define RANDOM_TEXT    44        /* of base64url and its end */
#define CODE_BYTES     4096
#define URL_BYTES      8192
#define ANSWER_BYTES   (256 * 1024)
#define EXCHANGE_MS    10000
#define BACK_BYTES     512

static void put_url(struct buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        bool          plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' || ch == '_' || ch == '~';
        if (plain) buf_addc(b, (char)ch);
        else buf_printf(b, "%%%02X", ch);
    }
}

static void put_pair(struct buf *b, const char *name, const char *value)
{
    if (b->len && b->data[b->len - 1] != '?') buf_addc(b, '&');
    buf_adds(b, name);
    buf_addc(b, '=');
    put_url(b, value);
}

static const char *base64url(struct call *c, const unsigned char *p, size_t n)
{
    char *text = arena_alloc(&c->mem, sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING));
    return sodium_bin2base64(text, sodium_base64_encoded_len(n, sodium_base64_VARIANT_URLSAFE_NO_PADDING), p, n, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static const char *fresh(struct call *c)
{
    unsigned char raw[RANDOM_BYTES];
    id_random(raw, sizeof raw);
    return base64url(c, raw, sizeof raw);
}

static const char *redirect_uri(struct call *c)
{
    return arena_printf(&c->mem, "%s/api/v1/auth/oidc/callback", public_url());
}

bool oidc_back_ok(const char *back)
{
    if (!back || back[0] != '/' || back[1] == '/' || strlen(back) > BACK_BYTES) return false;
    for (const char *p = back; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f || strchr("\\<>\"", *p)) return false;
    return true;
}

/* ---- there ---- */

enum err oidc_begin(struct call *c, const struct oidc_issuer *o, const char *back, struct oidc_begun *out)
{
    struct oidc_discovery d;
    enum err              e = oidc_discover(c, o, &d);
    if (e) return e;
    const char     *state = fresh(c), *verifier = fresh(c);
    unsigned char   challenge[crypto_hash_sha256_BYTES];
    char            hash[65];
    bool            added = false;
    struct oidc_row row = { .state_hash = id_sha256_hex(state, strlen(state), hash), .issuer = o->id, .nonce = fresh(c), .verifier = verifier,
                            .back_to = oidc_back_ok(back) ? back : OIDC_BACK_DEFAULT,
                            .expires_ms = clock_unix_ms() + OIDC_LOGIN_SECONDS * 1000 };
    e = oidc_row_add(c, &row, LIVE_MAX, &added);
    if (e) return e;
    if (!added) {
        c->retry_after_s = 60;
        return fail(c, ERR_BUSY, "too many sign-ins at outside issuers are open");
    }
    crypto_hash_sha256(challenge, (const unsigned char *)verifier, strlen(verifier));
    struct buf b;
    buf_init(&b, URL_BYTES);
    buf_adds(&b, d.authorization_endpoint);
    if (!strchr(d.authorization_endpoint, '?')) buf_addc(&b, '?');
    put_pair(&b, "response_type", "code");
    put_pair(&b, "client_id", o->client_id);
    put_pair(&b, "redirect_uri", redirect_uri(c));
    put_pair(&b, "scope", o->scopes);
    put_pair(&b, "state", state);
    put_pair(&b, "nonce", row.nonce);
    put_pair(&b, "code_challenge", base64url(c, challenge, sizeof challenge));
    put_pair(&b, "code_challenge_method", "S256");
    if (b.failed) e = fail(c, ERR_TOO_LARGE, "the address at the issuer is over %d bytes", URL_BYTES);
    if (!e) *out = (struct oidc_begun){ arena_strndup(&c->mem, b.data, b.len), state };
    buf_dispose(&b);
    return e;
}

/* ---- and back ---- */

/* The issuer's token for the code. */
static enum err exchange(struct call *c, const struct oidc_issuer *o, const struct oidc_discovery *d, const char *code, const char *verifier, json_t **out)
{
    struct buf b, auth;
    buf_init(&b, URL_BYTES + CODE_BYTES * 3);
    buf_init(&auth, URL_BYTES * 3);
    put_pair(&b, "grant_type", "authorization_code");
    put_pair(&b, "code", code);
    put_pair(&b, "redirect_uri", redirect_uri(c));
    put_pair(&b, "code_verifier", verifier);
    if (!o->client_secret || d->secret_in_body) put_pair(&b, "client_id", o->client_id);
    if (o->client_secret && d->secret_in_body) put_pair(&b, "client_secret", o->client_secret);
    if (o->client_secret && !d->secret_in_body) {
        /* RFC 6749 2.3.1: both are form-encoded before they are joined. */
        put_url(&auth, o->client_id);
        buf_addc(&auth, ':');
        put_url(&auth, o->client_secret);
    }
    const char *basic = auth.len ? arena_printf(&c->mem, "Authorization: Basic %s", base64_encode(&c->mem, auth.data, auth.len)) : NULL;
    struct fetch_reply r;
    enum err e = fetch(c, &(struct fetch_opts){ .method = "POST", .url = d->token_endpoint, .body = b.data, .body_len = b.len, .timeout_ms = EXCHANGE_MS,
                                                .max_bytes = ANSWER_BYTES,
                                                .headers = (const char *[]){ "Content-Type: application/x-www-form-urlencoded", "Accept: application/json", basic, NULL } }, &r);
    buf_dispose(&b);
    buf_dispose(&auth);
    json_t *answer = NULL;
    if (!e && r.status != 200)
        e = fail(c, r.status >= 500 ? ERR_UPSTREAM : ERR_UNAUTHENTICATED, "the issuer %s does not take the code: status %d", o->id, r.status);
    if (!e && json_parse(c, r.body, r.body_len, &answer)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the issuer %s answers no JSON", o->id);
    }
    if (!e && !json_get_text(answer, "id_token", NULL)) {
        json_decref(answer);
        return fail(c, ERR_UPSTREAM, "the issuer %s gave no id token", o->id);
    }
    if (!e) *out = answer;
    return e;
}

/* What the id token leaves out. Nothing of it is believed unless it is about the same subject. */
static enum err ask_userinfo(struct call *c, const struct oidc_issuer *o, const char *url, const char *token, struct id_token_claims *t)
{
    struct fetch_reply r;
    for (const char *p = token; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 0x7f) return fail(c, ERR_UPSTREAM, "the issuer %s gave no usable token", o->id);
    enum err e = fetch(c, &(struct fetch_opts){ .url = url, .timeout_ms = EXCHANGE_MS, .max_bytes = ANSWER_BYTES,
                                                .headers = (const char *[]){ arena_printf(&c->mem, "Authorization: Bearer %s", token), "Accept: application/json", NULL } }, &r);
    if (!e && r.status != 200) e = fail(c, ERR_UPSTREAM, "the issuer %s does not say who it is: status %d", o->id, r.status);
    json_t *claims = NULL;
    if (!e && json_parse(c, r.body, r.body_len, &claims)) {
        call_forgive(c);
        e = fail(c, ERR_UPSTREAM, "the issuer %s says who it is in no JSON", o->id);
    }
    if (!e && strcmp(json_get_text(claims, "sub", ""), t->subject)) e = fail(c, ERR_UNAUTHENTICATED, "the issuer %s speaks of somebody else", o->id);
    if (!e) id_token_person(c, claims, t);
    json_decref(claims);
    return e;
}

/* Which sign-in this answers. It is spent by the question, whatever the answer turns out to be. */
static enum err take(struct call *c, const struct oidc_answer *a, struct oidc_row *row)
{
    char hash[65];
    bool ours = a->state && a->remembered && *a->state && strlen(a->state) == strlen(a->remembered) &&
                !sodium_memcmp(a->state, a->remembered, strlen(a->state));
    enum err e = ours ? oidc_row_take(c, id_sha256_hex(a->state, strlen(a->state), hash), row) : ERR_NOT_FOUND;
    return e == ERR_NOT_FOUND ? fail(c, ERR_BAD_REQUEST, "this browser has not begun such a sign-in, or it took too long") : e;
}

static enum err check_answer(struct call *c, const struct oidc_answer *a, const struct oidc_issuer *o, const struct oidc_discovery *d)
{
    if (a->iss ? strcmp(a->iss, o->issuer) != 0 : d->says_iss)
        return fail(c, ERR_UNAUTHENTICATED, "the answer is not from the issuer %s that was asked", o->id);
    if (a->error) return fail(c, ERR_FORBIDDEN, "the issuer %s answers \"%.60s\"", o->id, a->error);
    if (!a->code || !*a->code || strlen(a->code) > CODE_BYTES) return fail(c, ERR_UNAUTHENTICATED, "the issuer %s sent no code", o->id);
    return OK;
}

/* An address or name of a kind that we do not take is as good as none. */
static void take_person(struct call *c, const struct id_token_claims *t, struct oidc_person *out)
{
    if (t->email && email_check(c, "email", t->email, &out->email)) {
        call_forgive(c);
        out->email = NULL;
    }
    if (t->name && label_check(c, "name", t->name, LIMIT_NAME_BYTES, &out->name)) {
        call_forgive(c);
        out->name = NULL;
    }
    if (out->name && !*out->name) out->name = NULL;
}

enum err oidc_end(struct call *c, const struct oidc_answer *a, struct oidc_person *out)
{
    struct oidc_row        row;
    struct oidc_discovery  d;
    struct id_token_claims t;
    json_t                *answer = NULL;
    enum err               e = take(c, a, &row);
    if (e) return e;
    const struct oidc_issuer *o = oidc_issuer_find(row.issuer);
    if (!o) return fail(c, ERR_BAD_REQUEST, "the issuer of this sign-in is no longer one of ours");
    e = oidc_discover(c, o, &d);
    if (!e) e = check_answer(c, a, o, &d);
    if (!e) e = exchange(c, o, &d, a->code, row.verifier, &answer);
    if (!e)
        e = id_token_check(c, json_get_text(answer, "id_token", ""),
                           &(struct id_token_want){ .issuer = o->issuer, .client_id = o->client_id, .nonce = row.nonce, .algorithm = o->algorithm,
                                                    .jwks_uri = d.jwks_uri, .now_s = clock_unix_ms() / 1000 }, &t);
    const char *token = e ? NULL : json_get_text(answer, "access_token", NULL);
    if (!e && !t.email && d.userinfo_endpoint && token) e = ask_userinfo(c, o, d.userinfo_endpoint, token, &t);
    if (!e) {
        struct oidc_person p = { .issuer = o, .subject = t.subject, .back = row.back_to };
        take_person(c, &t, &p);
        *out = p;
    }
    json_decref(answer);
    return e;
}
