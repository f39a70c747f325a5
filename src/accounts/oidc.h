/* accounts/oidc.h — signing in at an outside issuer: OpenID Connect's authorization code with PKCE. A sign-in is begun here, goes
 * on in the browser at the issuer, and comes back with a code that is exchanged for who it is. Any thread.
 *     e = oidc_begin(c, issuer, "/#/ask", &to);                     // send the browser to to.url, remember to.state in it
 *     e = oidc_end(c, &(struct oidc_answer){ state, code, iss, NULL, remembered }, &who);                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_OIDC_H
#define CHIRON_ACCOUNTS_OIDC_H
#include "accounts/oidc_issuers.h"

#define OIDC_LOGIN_SECONDS 600
#define OIDC_BACK_DEFAULT  "/#/ask"

struct oidc_begun {                  /* in c->mem */
    const char *url;                 /* at the issuer */
    const char *state;               /* for a cookie of this browser only */
};
/* back: where to go afterwards; anything but a path of ours becomes OIDC_BACK_DEFAULT. ERR_UPSTREAM, ERR_TIMEOUT: the issuer.
 * ERR_BUSY: too many sign-ins are open. */
MUST_CHECK enum err oidc_begin(struct call *c, const struct oidc_issuer *o, const char *back, struct oidc_begun *out);

struct oidc_answer {
    const char *state, *code, *iss, *error;   /* of the address the issuer sent the browser to; NULL: not there */
    const char *remembered;          /* the state in this browser's cookie; NULL: none */
};
struct oidc_person {                 /* in c->mem */
    const struct oidc_issuer *issuer;
    const char *subject;
    const char *email;               /* as email_check gives it; NULL: none that the issuer has verified */
    const char *name;                /* NULL */
    const char *back;
    const char *language;            /* an Accept-Language, for what is mailed; the caller's to fill */
};
/* ERR_BAD_REQUEST: no sign-in of this browser has this state (any more). ERR_FORBIDDEN: the person or the issuer said no.
 * ERR_UNAUTHENTICATED: the answer is not to be believed. ERR_UPSTREAM, ERR_TIMEOUT: the issuer cannot be asked. */
MUST_CHECK enum err oidc_end(struct call *c, const struct oidc_answer *a, struct oidc_person *out);

/* Is this a path of ours and nothing else? "/x", "/#/ask"; not "//host", "/\host", "https:…", over 512 bytes or with controls. */
bool oidc_back_ok(const char *back);

enum oidc_door { OIDC_IN, OIDC_NO_EMAIL, OIDC_UNCONFIRMED, OIDC_CLOSED, OIDC_DISABLED, OIDC_DOMAIN };
/* The account of this person, in c->mem: the one that is known by issuer and subject; else the one with their verified address if
 * that was confirmed here too; else a new one, when new ones are allowed. *door_out says why there is none (*account_out NULL). */
MUST_CHECK enum err oidc_account(struct call *c, const struct oidc_person *p, const char **account_out, enum oidc_door *door_out);
#endif
