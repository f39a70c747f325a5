/* accounts/person_seen.h — people who come with a token of an outside issuer are in no list until they are seen here: known from then on,
 * and when they were last seen, to the hour. Never in a request's way: written beside it, by a thread of its own, in batches.
 * Any thread.
 *     e = person_seen_open(c);  … person_seen(c); …  person_seen_close();                                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PERSON_SEEN_H
#define CHIRON_ACCOUNTS_PERSON_SEEN_H
#include "base/call.h"

/* After store_open. Without it person_seen does nothing. */
MUST_CHECK enum err person_seen_open(struct call *c);
void person_seen_close(void);     /* writes what waits */
/* c is of a request whose tenant is open. Nanoseconds when they were seen this hour; what does not fit waits for the next time. */
void person_seen(struct call *c);
/* The same of somebody whom the caller names and may speak for. */
void person_seen_as(struct call *c, const char *user_id);
void person_seen_flush(void);     /* returns when all seen before is written; for tests */
#endif
