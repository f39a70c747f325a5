/* accounts/id_token.h — what an issuer's id token must be before a word of it is believed (OpenID Connect Core 3.1.3.7).
 *     struct id_token_claims t;
 *     e = id_token_check(c, text, &(struct id_token_want){ .issuer = i, .client_id = id, .nonce = n, .algorithm = "RS256",
 *                        .jwks_uri = u, .now_s = clock_unix_ms() / 1000 }, &t);                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ID_TOKEN_H
#define CHIRON_ACCOUNTS_ID_TOKEN_H
#include "base/call.h"
#include "base/json.h"

#define ID_TOKEN_SKEW_SECONDS 120    /* how far the issuer's clock may be off */
#define ID_TOKEN_AGE_SECONDS  3600   /* a token made longer ago than this was not made for this sign-in */
#define ID_TOKEN_BYTES        (16 * 1024)
#define ID_TOKEN_SUBJECT      255    /* OpenID Connect Core 2 */

struct id_token_want {
    const char   *issuer, *client_id, *nonce;
    const char   *algorithm;         /* the one of this issuer */
    const char   *jwks_uri;          /* where its keys are; not asked when keys is set */
    const json_t *keys;
    int64_t       now_s;             /* unix */
};
struct id_token_claims {             /* in c->mem */
    const char *subject;
    const char *email;               /* NULL unless the issuer says that it is verified */
    const char *name;                /* NULL: not said */
};
/* ERR_UNAUTHENTICATED with what is wrong; ERR_UPSTREAM, ERR_TIMEOUT: its keys cannot be had. */
MUST_CHECK enum err id_token_check(struct call *c, const char *text, const struct id_token_want *want, struct id_token_claims *out);
/* E-mail and name of a claims object, for userinfo too: email only when email_verified is true. subject is left alone. */
void id_token_person(struct call *c, const json_t *claims, struct id_token_claims *out);
#endif
