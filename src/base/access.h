/* base/access.h — what the listener tells of a caller and a request to whoever decides about them, and what it hears back.
 * Shared by http/, which asks, and accounts/, which answers; neither knows the other.                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_ACCESS_H
#define CHIRON_BASE_ACCESS_H
#include <stdbool.h>
#include <stdint.h>

#include "base/call.h"

/* What a request brings to say who it is from. Each may be NULL. */
struct credential {
    const char *authorization;   /* the header: "Bearer TOKEN" or "Bearer KEY" */
    const char *api_key;         /* X-API-Key */
    const char *as_user;         /* X-Chiron-User: the user a key with RIGHT_ACT_AS speaks for */
};
/* Fills c->rights, user_id, creator_id and what else is known of the caller. ERR_UNAUTHENTICATED with words for a bad
 * credential. A missing one is not an error: rights stay RIGHT_PUBLIC. */
typedef enum err (*authenticate_fn)(struct call *c, const struct credential *cred);

/* What is about to be done: texts of the route's row, static. Asked twice a request: before the credential is looked at
 * (known false: only c->remote is known) and once the caller may pass. */
struct limit_ask {
    const char *method, *path;   /* "POST", "/api/v1/users/{id}" */
    const char *surface;         /* "rag", "fit" … */
    const char *rate;            /* the row's policy; NULL: the surface's */
    bool        known;
    bool        given;           /* a credential was sent */
    bool        forwarded;       /* a proxy that is not trusted says it speaks for others: c->remote is the proxy's */
};
struct limit_state {
    const char *policy;          /* static or in c->mem */
    int64_t     limit, remaining;/* of the tightest window; limit 0: nothing is counted here */
    int         reset_s;         /* until that window ends */
};
/* ERR_RATE_LIMITED with c->retry_after_s refuses; out is for the reply's headers either way. */
typedef enum err (*limit_fn)(struct call *c, const struct limit_ask *ask, struct limit_state *out);
/* Heard after a request that ended with 401, 403, 404 or 429: who is refused often is watched more closely. */
typedef void (*limit_outcome_fn)(struct call *c, const struct limit_ask *ask, int status);
#endif
