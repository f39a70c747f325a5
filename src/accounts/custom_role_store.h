/* accounts/custom_role_store.h — the rows of role, always of one creator.                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_CUSTOM_ROLE_STORE_H
#define CHIRON_ACCOUNTS_CUSTOM_ROLE_STORE_H
#include "accounts/custom_role.h"

MUST_CHECK enum err custom_role_load(struct call *c, const char *name, struct custom_role *out, bool *found_out);
MUST_CHECK enum err custom_role_load_list(struct call *c, struct custom_role **out, int *n_out);
/* was NULL: a new one, unless it is there or CUSTOM_ROLE_MAX are; else in the place of these words. done_out: it was so. */
MUST_CHECK enum err custom_role_save(struct call *c, const char *name, const char *words, const char *was, bool *done_out);
/* Unless a member has it or a live invitation names it (used_out). */
MUST_CHECK enum err custom_role_delete(struct call *c, const char *name, bool *used_out);
#endif
