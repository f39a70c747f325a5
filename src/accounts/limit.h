/* accounts/limit.h — how much anyone may use: one limiter, its policies a table (docs/limits.md). Windows are fixed and begin
 * with the first request; what is counted lies behind kv_count, so several servers share it when the key-value store is shared.
 *     e = limits_open(&c);                                     // after the settings, before requests
 *     conf.limit = limit_check; conf.limit_outcome = limit_outcome;                                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LIMIT_H
#define CHIRON_ACCOUNTS_LIMIT_H
#include "base/access.h"
#include "base/call.h"
#include "base/conf.h"

extern const struct setting limit_settings[];

/* Reads the settings. ERR_INVALID names the one that is not understood. Any time before requests; may be called again. */
MUST_CHECK enum err limits_open(struct call *c);
/* Rows of LIMIT_ROUTES, to be compared with the real ones; false past the last. Static until limits_open. */
bool limit_route_row(int i, const char **method_out, const char **path_out);

/* limit_fn and limit_outcome_fn of base/access.h. */
enum err limit_check(struct call *c, const struct limit_ask *ask, struct limit_state *out);
void     limit_outcome(struct call *c, const struct limit_ask *ask, int status);
/* limit_check at a given time (unix ms), so that the turn of an hour can be tested. */
enum err limit_check_at(struct call *c, const struct limit_ask *ask, int64_t unix_ms, struct limit_state *out);

/* TEN's check_rate_limit(user_id, endpoint): counts one call (TEN-035). remaining goes 59 … 0, and stays 0 when not allowed. */
MUST_CHECK enum err limit_endpoint(struct call *c, const char *user_id, const char *endpoint, bool *allowed_out, int64_t *remaining_out);

/* What a caller has used, for people. In c->mem. */
struct limit_use {
    const char *policy, *key;
    int64_t     limit, used;
    int         reset_s, window_s;
    double      factor;          /* 1, or 0.5 or 0.25 for a while after many refusals (CRE-061) */
};
/* Of the caller; of user when it is not NULL; everybody's of the creator that is counted now with all. At most max. */
MUST_CHECK enum err limit_uses(struct call *c, const char *user, bool all, struct limit_use *out, int max, int *n_out);

/* A creator's own numbers for the policies of its callers. */
struct limit_own {
    const char *policy;
    int64_t     limit;           /* requests in the window */
    int         window_s;
};
/* All policies with the numbers that hold in this creator. overridable: a creator may set it, up to *most. In c->mem. */
struct limit_row {
    const char *policy, *about;
    int64_t     limit, most;     /* limit 0: not limited */
    int         window_s;
    bool        own, overridable;
};
MUST_CHECK enum err limit_rows(struct call *c, struct limit_row **out, int *n_out);
/* Replaces the creator's own numbers (c->tenant is open). ERR_INVALID names the policy. Holds here at once, in other
 * processes within a few seconds. */
MUST_CHECK enum err limit_own_set(struct call *c, const struct limit_own *own, int n);
#endif
