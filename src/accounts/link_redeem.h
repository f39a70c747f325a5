/* accounts/link_redeem.h — what a mail link opens, once.
 *     e = link_redeem(c, &(struct link_redeem){ .token = t, .agent = agent }, &got);
 *     if (!e && got.signed_in) …                                                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LINK_REDEEM_H
#define CHIRON_ACCOUNTS_LINK_REDEEM_H
#include "accounts/session.h"

struct link_redeem {
    const char *token;
    const char *password;            /* a new one for a password link or a new member; an account's own where it is asked for */
    const char *full_name;           /* of a new member, or of somebody who is coached here for the first time */
    const char *totp, *recovery_code;/* for an account with a second factor */
    const char *agent;               /* User-Agent */
    const char *language;            /* Accept-Language */
};                                   /* all but token may be NULL */
struct link_redeemed {               /* in c->mem */
    bool                  signed_in; /* else the link only changed something: a password, a confirmed address */
    struct session_tokens tokens;
};
/* ERR_UNAUTHENTICATED: wrong, used or old link; c->err_code "totp_required" when the account wants a code and none came, which
 * leaves the link good, as a wrong code does (counted as at sign-in). ERR_INVALID: "password" or "full_name" is needed
 * or too weak; the link stays good. ERR_CONFLICT: what it invites to is gone. ERR_RATE_LIMITED, ERR_BUSY. */
MUST_CHECK enum err link_redeem(struct call *c, const struct link_redeem *r, struct link_redeemed *out);
#endif
