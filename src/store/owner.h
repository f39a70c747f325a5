/* store/owner.h — a mark that this process is alive, which others on the same folder can check. The mark is a locked
 * file: the system lets go of the lock however the process ends, and no process id can be mistaken for another's. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_OWNER_H
#define CHIRON_STORE_OWNER_H
#include "base/call.h"

MUST_CHECK enum err owner_open(struct call *c);       /* after store_open; removes the marks of the dead */
void        owner_close(void);
const char *owner_mark(void);                          /* "4711-own_01J…"; "" when closed */
/* Removes the marks of the dead and, when there was one, leaves wake/.all for the servers: what it ran is to be looked for. */
void        owner_bury(void);
bool        owner_alive(const char *mark);             /* of any process; unsure counts as alive */
#endif
