/* store/tenant.h — the open creators as a whole; one creator is in store/store.h. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_TENANT_H
#define CHIRON_STORE_TENANT_H
#include "base/call.h"

void tenants_close(void);                 /* closes every creator; none may be in use */
/* Where a creator's data lies, in c->mem; says nothing about whether there is such a creator. */
const char *tenant_folder(struct call *c, const char *creator_id);
/* Ends the removal of creators that was cut short: their folders and rows. When the store is opened. */
MUST_CHECK enum err tenants_sweep(struct call *c);
bool tenant_id_valid(const char *creator_id);
#endif
