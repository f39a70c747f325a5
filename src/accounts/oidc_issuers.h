/* accounts/oidc_issuers.h — the outside issuers that people may sign in with, from OIDC_ISSUERS, and what each says of itself.
 * The list is read once at start; discovery is fetched when it is needed and kept for an hour. Any thread.          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_OIDC_ISSUERS_H
#define CHIRON_ACCOUNTS_OIDC_ISSUERS_H
#include "base/call.h"
#include "base/conf.h"

#define OIDC_ISSUERS_MAX 16
#define OIDC_DOMAINS_MAX 16

extern const struct setting oidc_settings[];   /* OIDC_ISSUERS */

struct oidc_issuer {
    const char *id, *name;          /* "google", "Google" */
    const char *issuer;             /* exactly as in its tokens */
    const char *client_id;
    const char *client_secret;      /* NULL: a public client */
    const char *scopes;             /* "openid email profile" */
    const char *algorithm;          /* "RS256" or "ES256": the one its id tokens are signed with */
    const char *creator, *role;     /* whom new accounts join and as what; NULL: they get a creator of their own */
    bool        signup_said, signup;/* overrides SIGNUP for this issuer */
    const char *domains[OIDC_DOMAINS_MAX + 1];   /* of addresses that may make an account; none: all. Ended by NULL */
};
struct oidc_discovery {             /* in c->mem */
    const char *authorization_endpoint, *token_endpoint, *jwks_uri, *userinfo_endpoint;   /* the last may be NULL */
    bool        secret_in_body;     /* it takes client_secret_post and not client_secret_basic */
    bool        says_iss;           /* its answers carry iss (RFC 9207) */
};
/* ERR_INVALID: OIDC_ISSUERS cannot be read (entry and member named), or PUBLIC_URL is missing. After mail_open. */
MUST_CHECK enum err oidc_issuers_open(struct call *c);
void oidc_issuers_close(void);
int  oidc_issuer_count(void);
const struct oidc_issuer *oidc_issuer_at(int i);
const struct oidc_issuer *oidc_issuer_find(const char *id);   /* NULL: none */
/* ERR_UPSTREAM: not to be had, or not an issuer's: another name in it, an address that is not https. */
MUST_CHECK enum err oidc_discover(struct call *c, const struct oidc_issuer *o, struct oidc_discovery *out);
#endif
