/* accounts/creator_settings_store.h — the rows of creator_setting, and the creator's name in accounts.db.          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_CREATOR_SETTINGS_STORE_H
#define CHIRON_ACCOUNTS_CREATOR_SETTINGS_STORE_H
#include "base/call.h"

struct creator_setting {
    const char *name, *value;    /* value: JSON text */
};
/* All that were set, in c->mem. */
MUST_CHECK enum err creator_setting_load(struct call *c, struct creator_setting **out, int *n_out);
/* All in one transaction; keep: those that are set already stay. */
MUST_CHECK enum err creator_setting_save(struct call *c, const struct creator_setting *s, int n, bool keep);
MUST_CHECK enum err creator_name_load(struct call *c, const char **out);
MUST_CHECK enum err creator_name_save(struct call *c, const char *name);
#endif
