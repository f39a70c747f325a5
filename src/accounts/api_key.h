/* accounts/api_key.h — keys for programs: made, listed, renewed and ended by a creator's people. A key is shown once; what is kept is
 * its SHA-256 and its first characters. It may do what its scopes say, never more than who made it, never what belongs to a
 * person alone. c->tenant is open. Any thread. How a key is checked at a request is in accounts/token.h.
 *     e = api_key_make(c, "backend", RIGHT_ASK | RIGHT_ACT_AS, 90, &k, &secret);                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_API_KEY_H
#define CHIRON_ACCOUNTS_API_KEY_H
#include "base/call.h"

#define API_KEY_PREFIX     "chk_"
#define API_KEY_SHOWN      10          /* characters kept for people: the prefix and six more */
#define API_KEY_LIVE_MAX   200         /* of one creator */
#define API_KEY_ENDED_MAX  200         /* ended ones kept for the list; the oldest go */
#define API_KEY_DAYS_MAX   3650
#define API_KEY_GRACE_MAX  (30 * 24)   /* hours */

struct api_key {
    const char *id;            /* "key_…" */
    const char *name;
    const char *prefix;        /* "chk_Ab12Cd" */
    const char *hash;          /* SHA-256 of the whole key, lower-case hex */
    unsigned    scopes;        /* enum right bits */
    const char *created_by;    /* account or key, NULL: made without either */
    int64_t     created_ms, expires_ms, used_ms, ended_ms;   /* unix; 0: never, not yet */
    const char *ended_why;     /* "revoked", "rotated"; NULL */
    const char *replaced_by;   /* the key that follows it, which may be while it still works; NULL */
};
/* "active", "expired", "revoked" or "rotated", static. */
const char *api_key_state(const struct api_key *k, int64_t now_ms);

/* Newest first, those that work before the others. */
MUST_CHECK enum err api_key_list(struct call *c, struct api_key **out, int *n_out);
/* days 0: until it is ended. ERR_INVALID: name or scopes; ERR_FORBIDDEN: a scope the caller lacks; ERR_CONFLICT: API_KEY_LIVE_MAX
 * are there. A key that a key makes ends no later than its maker, and with it. *secret_out is the whole key, in c->mem. */
MUST_CHECK enum err api_key_make(struct call *c, const char *name, unsigned scopes, int days, struct api_key *out, const char **secret_out);
/* A key of the same name, scopes and lifetime; the old one ends after grace_hours. ERR_NOT_FOUND; ERR_CONFLICT: it has ended or was
 * replaced; ERR_FORBIDDEN: it may do more than the caller. */
MUST_CHECK enum err api_key_rotate(struct call *c, const char *id, int grace_hours, struct api_key *out, const char **secret_out);
/* It and the keys it made stop working; invitations made with them that still wait go. ERR_NOT_FOUND; one that has ended already is no error. */
MUST_CHECK enum err api_key_revoke(struct call *c, const char *id);
#endif
