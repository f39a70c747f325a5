/* accounts/lockout.h — how often somebody may try to sign in: five wrong tries close a name for a minute, then each further one for
 * twice as long, up to an hour; fifty from one address close the address. Known names and unknown ones alike, so that it tells
 * nothing. A try is counted before it is looked at: many at once are as many. It is kept in accounts.db: a restart forgets nothing
 * and replicas count together. Any thread.
 *     e = lockout_claim(c, email, &l);                      // ERR_RATE_LIMITED with retry_after_s: closed, the right password too
 *     …  e = right ? lockout_right(c, &l) : lockout_wrong(c, &l, &closed);                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LOCKOUT_H
#define CHIRON_ACCOUNTS_LOCKOUT_H
#include "base/call.h"

#define LOCKOUT_NAME_TRIES    5
#define LOCKOUT_ADDRESS_TRIES 50
#define LOCKOUT_WINDOW_MS     (15 * 60 * 1000)
#define LOCKOUT_FIRST_MS      (60 * 1000)
#define LOCKOUT_MOST_MS       (60 * 60 * 1000)
#define LOCKOUT_PENDING_MS    (10 * 1000)   /* a try that is still being looked at after this was never finished */

struct lockout { const char *name_key, *address_key; };   /* in c->mem; address_key NULL: not counted (LIMIT_EXEMPT) */

/* Counts one try of this name from c->remote. */
MUST_CHECK enum err lockout_claim(struct call *c, const char *name, struct lockout *out);
MUST_CHECK enum err lockout_right(struct call *c, const struct lockout *l);   /* forgets what the name did wrong */
MUST_CHECK enum err lockout_wrong(struct call *c, const struct lockout *l, bool *closed_out);   /* closed: from now on */
MUST_CHECK enum err lockout_undecided(struct call *c, const struct lockout *l); /* takes the try back: it was not looked at */

/* The rule itself, for one row. */
struct lockout_row { int64_t tries, closed_until_ms, updated_ms; };
/* How long to wait, 0: counted in *r. */
int64_t lockout_count(struct lockout_row *r, int tries_max, int64_t now_ms);
bool    lockout_fail(struct lockout_row *r, int tries_max, int64_t now_ms);   /* is it closed now? */
void    lockout_undo(struct lockout_row *r, int tries_max, int64_t now_ms);
#endif
