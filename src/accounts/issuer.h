/* accounts/issuer.h — whose tokens are trusted besides our own: each issuer with exactly one algorithm, its keys, and what its
 * tokens may be here. Read once at start; any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ISSUER_H
#define CHIRON_ACCOUNTS_ISSUER_H
#include "accounts/token.h"

#define ISSUERS_MAX 16

struct issuer {
    const char          *name;          /* the iss claim; "" for the shared secret, which also takes tokens without one */
    enum token_algorithm algorithm;
    const char          *audience;      /* NULL: not asked for */
    const char          *creator;       /* NULL: the house of the route */
    const char          *role;          /* a built-in one */
    const char          *user_claim;    /* "sub" */
    bool                 expiry_by_iat; /* a token without exp lives JWT_EXPIRATION_HOURS from its iat (FIT-036) */
    const char          *jwks_url;      /* or */
    json_t              *jwks;          /* the set of a file, or */
    unsigned char       *secret;        /* of HS256 */
    size_t               secret_len;
};
/* The shared secret and TRUSTED_ISSUERS. ERR_INVALID: it cannot be read; the entry and the member are named. */
MUST_CHECK enum err issuers_open(struct call *c);
void issuers_close(void);
/* NULL: not trusted. iss NULL: the token names none. */
const struct issuer *issuer_at(int i);   /* NULL: there are no more */
const struct issuer *issuer_find(const char *iss);
/* Is t signed by that issuer under its algorithm? Keys of a URL are fetched when none is known of t's kid, at most once a minute.
 * ERR_UNAUTHENTICATED: no. ERR_UPSTREAM, ERR_TIMEOUT: its keys cannot be had. */
MUST_CHECK enum err issuer_signed(struct call *c, const struct issuer *i, const struct token_text *t);
#endif
