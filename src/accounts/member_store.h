/* accounts/member_store.h — the rows of member, and of the invitations that wait.                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_MEMBER_STORE_H
#define CHIRON_ACCOUNTS_MEMBER_STORE_H
#include "accounts/member.h"

/* What became of a change that others might have been faster with. */
enum member_done { MEMBER_DONE, MEMBER_CHANGED, MEMBER_LAST_OWNER, MEMBER_FULL, MEMBER_NO_ROLE, MEMBER_ALREADY };

MUST_CHECK enum err member_load_list(struct call *c, struct member **out, int *n_out);
MUST_CHECK enum err invitation_load_list(struct call *c, struct invitation **out, int *n_out);
MUST_CHECK enum err member_load(struct call *c, const char *account_id, struct member *out, bool *found_out);
/* An account by its address, whether a member or not; role NULL when it is none. Only accounts in use. colleague_out: it is a member of
 * some creator that account_id (NULL: nobody) is a member of too. */
MUST_CHECK enum err member_load_email(struct call *c, const char *email, const char *account_id, struct member *out, bool *found_out,
                                      bool *colleague_out);
/* built_in: the role needs no row. */
MUST_CHECK enum err member_insert(struct call *c, const char *account_id, const char *role, bool built_in,
                                  const char *invited_by, enum member_done *done_out);
/* In the place of role `was`. */
MUST_CHECK enum err member_update(struct call *c, const char *account_id, const char *was, const char *role, bool built_in,
                                  enum member_done *done_out);
MUST_CHECK enum err member_delete(struct call *c, const char *account_id, const char *was, bool end_keys, enum member_done *done_out);
MUST_CHECK enum err invitation_delete(struct call *c, const char *id, bool *found_out);
#endif
