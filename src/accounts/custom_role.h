/* accounts/custom_role.h — a creator's own roles: made, changed, dropped. Reading what a role may do is in accounts/role.h. c->tenant is
 * open. Any thread. A change holds at the next request of everybody who has the role.
 *     e = custom_role_put(c, "uploader", RIGHT_ASK | RIGHT_WRITE, &made);                                             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_CUSTOM_ROLE_H
#define CHIRON_ACCOUNTS_CUSTOM_ROLE_H
#include "base/call.h"

#define CUSTOM_ROLE_MAX 100    /* of one creator */

struct custom_role {
    const char *name;          /* 1..LIMIT_ROLE_BYTES of a-z 0-9 -, beginning with a letter */
    const char *words;         /* its permissions as stored: a JSON array */
    unsigned    rights;        /* the same as bits, without RIGHT_PUBLIC */
    int64_t     created_ms, updated_ms;
};
/* By name, in c->mem. */
MUST_CHECK enum err custom_role_list(struct call *c, struct custom_role **out, int *n_out);
/* Makes or changes it. Everybody with a role may see to their own account, so RIGHT_SELF is always in it. ERR_INVALID: the name,
 * or a right no role may have; ERR_FORBIDDEN: a right, new or until now in it, that the caller lacks; ERR_CONFLICT: built in, or
 * changed meanwhile, or CUSTOM_ROLE_MAX are there. made_out may be NULL. */
MUST_CHECK enum err custom_role_put(struct call *c, const char *name, unsigned rights, bool *made_out);
/* ERR_NOT_FOUND; ERR_CONFLICT: built in, or somebody has it or is invited to it; ERR_FORBIDDEN: it may do more than the caller. */
MUST_CHECK enum err custom_role_drop(struct call *c, const char *name);

/* Rights that the caller may hand on: their own. ERR_FORBIDDEN names the first that is lacking. */
MUST_CHECK enum err rights_grantable(struct call *c, unsigned rights);
#endif
