/* accounts/role.h — what a role may do: the built-in roles, and a creator's own ones; the words of rights are in base/right.h.
 * Any thread. Built in: owner (everything), admin (all but creator:own), editor (ask, documents, self), analyst (ask, documents:read,
 * audit:read, self), service (for keys: ask, documents, users:act_as, users:write), user (ask, self), visitor (ask, self).      */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ROLE_H
#define CHIRON_ACCOUNTS_ROLE_H
#include "base/call.h"
#include "base/right.h"

/* The i-th built-in role, strongest first; NULL past the last. */
const char *role_built_in_name(int i);
/* Rights of a built-in role; 0: there is none of this name. */
unsigned    role_built_in(const char *name);
/* Rights of a role of a creator (creator_id NULL or "": only built-in ones). ERR_NOT_FOUND without words. */
MUST_CHECK enum err role_rights(struct call *c, const char *creator_id, const char *role, unsigned *out);
/* The bits of a JSON array of words; words that are no right (any more) give none. */
unsigned    role_words(struct call *c, const char *json);
#endif
