/* Our public keys, for others who check our tokens. They may be kept for ten minutes: a key is published when it begins to sign and
 * stays until its last token has ended, so who meets a kid they do not know asks again. Nothing private passes through here. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/access_change.h"
#include "accounts/mail.h"
#include "accounts/signing.h"
#include "base/conf.h"
#include "http/http.h"

#define KEYS_PATH "/.well-known/jwks.json"

extern const struct route jwks_routes[];

static enum err get_keys(struct req *r)
{
    struct call          *c = &r->call;
    struct signing_state *keys = NULL;
    int                   n = 0;
    int64_t               seq = 0;
    enum err              e = access_change_seq(c, &seq);
    if (!e) e = signing_look(c, seq);
    if (!e) e = signing_list(c, &keys, &n);
    if (e) return e;
    reply_header(r, "Cache-Control", "public, max-age=600");
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    signing_put_jwks(c, j);
    json_end(j);
    return OK;
}

/* Where the client found us, when nobody said how we are reached; NULL: what it says is no host. */
static const char *host_of(struct req *r)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]";
    const char       *host = req_header(r, "host");
    if (!host || !*host || strlen(host) > 255 || strspn(host, allowed) != strlen(host)) return NULL;
    return arena_printf(&r->call.mem, "http://%s", host);
}

static enum err get_configuration(struct req *r)
{
    const char *base = public_url(), *host = *base ? NULL : host_of(r);
    reply_header(r, "Cache-Control", *base ? "public, max-age=600" : "no-store");
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "issuer", conf_text("TOKEN_ISSUER"));
    json_put_text(j, "jwks_uri", arena_printf(&r->call.mem, "%s" KEYS_PATH, host ? host : base));
    static const char *const lists[][2] = {
        { "id_token_signing_alg_values_supported", "RS256" },
        { "token_endpoint_auth_methods_supported", "none" },
        { "subject_types_supported", "public" },
        { "response_types_supported", "token" },
    };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_begin_array(j, lists[i][0]);
        json_put_text(j, NULL, lists[i][1]);
        json_end(j);
    }
    json_end(j);
    return OK;
}

const struct route jwks_routes[] = {
    { "GET", KEYS_PATH, RIGHT_PUBLIC, 0, NULL, get_keys, "The public keys our tokens are signed with", "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"keys\"],\"properties\":{\"keys\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}}}}", NULL },
    { "GET", "/.well-known/openid-configuration", RIGHT_PUBLIC, 0, NULL, get_configuration, "Who issues our tokens and where the keys are",
      "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"issuer\",\"jwks_uri\"],\"properties\":{\"issuer\":{\"type\":\"string\"},"
      "\"jwks_uri\":{\"type\":\"string\"}}}", NULL },
    { 0 },
};
