/* accounts/key_used.h — when API keys were last used, gathered in memory and written now and then. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_KEY_USED_H
#define CHIRON_ACCOUNTS_KEY_USED_H
#include "base/call.h"

void key_used_note(const char *key_id);
/* Writes what was noted since. */
MUST_CHECK enum err key_used_write(struct call *c);
#endif
