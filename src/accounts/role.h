/* accounts/role.h — what a role may do: words of rights, the built-in roles, and a creator's own ones. Any thread.
 * Built in: owner (everything), admin (all but creator:own), editor (ask, documents, turns), analyst (ask, documents:read, audit:read),
 * service (for keys: ask, documents, users:act_as, users:write), user (ask, self), visitor (ask, self).              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ROLE_H
#define CHIRON_ACCOUNTS_ROLE_H
#include "base/call.h"

struct json_out;
/* The word of one bit, static; NULL for no right. And back: 0 for no such word. */
const char *right_word(unsigned bit);
unsigned    right_of(const char *word);
/* An array of the words of all bits, under name. */
void        rights_put(struct json_out *j, const char *name, unsigned rights);
/* Rights of a built-in role; 0: there is none of this name. */
unsigned    role_built_in(const char *name);
/* Rights of a role of a creator (creator_id NULL or "": only built-in ones). ERR_NOT_FOUND without words. */
MUST_CHECK enum err role_rights(struct call *c, const char *creator_id, const char *role, unsigned *out);
#endif
