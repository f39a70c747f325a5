/* The doors of mail links: asking for one, which sounds the same whoever asks for whom, and opening one. And what ways in there
 * are at all, for the page that shows them. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/account.h"
#include "accounts/auth_reply_http.h"
#include "accounts/creator_settings.h"
#include "accounts/email.h"
#include "accounts/link.h"
#include "accounts/link_redeem.h"
#include "accounts/mail.h"
#include "accounts/oidc_issuers.h"
#include "base/id.h"
#include "http/http.h"
#include "store/store.h"

extern const struct route link_routes[];

static enum err post_link(struct req *r)
{
    struct call    *c = &r->call;
    const char     *email = NULL, *creator = json_get_text(r->json, "creator_id", NULL);
    struct link_ask ask = { .purpose = link_of(json_get_text(r->json, "purpose", "")), .creator_id = creator, .language = req_header(r, "accept-language") };
    enum err        e = email_check(c, "email", json_get_text(r->json, "email", ""), &email);
    if (e) return e;
    if (creator && ask.purpose != LINK_SIGN_IN) return fail_field(c, "creator_id", "creator_id goes with the purpose sign_in only");
    ask.email = email;
    e = link_ask(c, &ask);
    if (e) return e;
    struct json_out *j = reply_json(r, 202);
    json_begin_object(j, NULL);
    json_put_bool(j, "sent", true);
    json_end(j);
    return OK;
}

static enum err post_redeem(struct req *r)
{
    const json_t        *b = r->json;
    struct link_redeemed got;
    /* Only these are hashed. */
    enum err             e = json_get_text(b, "password", NULL) ? auth_step_aside(r) : OK;
    if (!e) e = link_redeem(&r->call,
                                         &(struct link_redeem){ .token = json_get_text(b, "token", ""),
                                                                .password = json_get_text(b, "password", NULL),
                                                                .full_name = json_get_text(b, "full_name", NULL),
                                                                .totp = json_get_text(b, "totp", NULL),
                                                                .recovery_code = json_get_text(b, "recovery_code", NULL),
                                                                .agent = auth_agent(r),
                                                                .language = req_header(r, "accept-language") },
                                         &got);
    if (e) return e;
    if (!got.signed_in) {
        reply_empty(r, 204);
        return OK;
    }
    return auth_put_session(r, 200, &got.tokens, auth_wants_cookie(r));
}

/* May strangers talk to this creator's coach as visitors? A creator that is not there says no like one that does not want to. */
static bool anonymous(struct call *c, const char *creator)
{
    struct creator_settings s = { 0 };
    if (!creator || !id_valid(creator) || tenant_open(c, creator) || creator_settings_get(c, &s)) call_forgive(c);
    tenant_release(c);
    return s.anonymous;
}

static enum err get_providers(struct req *r)
{
    const char *creator = req_query(r, "creator_id");
    const char *owner = conf_text("OWNER_CREATOR");
    if (!creator) creator = conf_bool("DEMO") ? "demo" : owner && *owner ? owner : "home";
    bool             visitors = anonymous(&r->call, creator);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_bool(j, "password", true);
    json_put_bool(j, "signup", account_signup_open());
    json_put_bool(j, "mail", mail_ready());
    json_put_bool(j, "anonymous", visitors);
    json_begin_array(j, "oidc");
    for (int i = 0; i < oidc_issuer_count(); i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "id", oidc_issuer_at(i)->id);
        json_put_text(j, "name", oidc_issuer_at(i)->name);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

#define PROVIDERS_REPLY                                                                                                          \
    "{\"type\":\"object\",\"required\":[\"password\",\"signup\",\"mail\",\"anonymous\",\"oidc\"],\"properties\":{"              \
    "\"password\":{\"type\":\"boolean\"},\"signup\":{\"type\":\"boolean\"},\"mail\":{\"type\":\"boolean\"},"                    \
    "\"anonymous\":{\"type\":\"boolean\"},\"oidc\":{\"type\":\"array\",\"items\":{\"type\":\"object\",\"required\":[\"id\",\"name\"]," \
    "\"properties\":{\"id\":{\"type\":\"string\"},\"name\":{\"type\":\"string\"}}}}}}"

const struct route link_routes[] = {
    { "POST", "/api/v1/auth/link", RIGHT_PUBLIC, 4096,
      "{\"type\":\"object\",\"required\":[\"email\",\"purpose\"],\"additionalProperties\":false,\"properties\":{"
      "\"email\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":508},"
      "\"purpose\":{\"type\":\"string\",\"enum\":[\"sign_in\",\"password\",\"verify\"]},"
      "\"creator_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128}}}",
      post_link, "Ask for a link by mail: to sign in, to set a new password, to confirm an address", "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"sent\"],\"properties\":{\"sent\":{\"type\":\"boolean\"}}}", "auth" },
    { "POST", "/api/v1/auth/link/redeem", RIGHT_PUBLIC, 4096,
      "{\"type\":\"object\",\"required\":[\"token\"],\"additionalProperties\":false,\"properties\":{"
      "\"token\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":200},"
      "\"password\":{\"type\":\"string\",\"maxLength\":1024},\"full_name\":{\"type\":\"string\",\"maxLength\":1000},"
      "\"totp\":{\"type\":\"string\",\"maxLength\":20},\"recovery_code\":{\"type\":\"string\",\"maxLength\":80},\"cookie\":{\"type\":\"boolean\"}}}",
      post_redeem, "Open a link that came by mail", "accounts", 0, NULL, AUTH_SESSION_REPLY, "auth" },
    { "GET", "/api/v1/auth/providers", RIGHT_PUBLIC, 0, NULL, get_providers, "The ways to sign in", "accounts", 0, NULL, PROVIDERS_REPLY, NULL },
    { 0 },
};
