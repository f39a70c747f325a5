/* accounts/privacy.h — what a person may ask of the data about them: a copy of all of it, its removal with a certificate, and, for
 * a visitor who turns out to be somebody, its move to them. The inventory in accounts/person_table.h says what "all" is. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PRIVACY_H
#define CHIRON_ACCOUNTS_PRIVACY_H
#include "base/call.h"
#include "base/json.h"

/* Makes everything of one user of c->tenant another's, in one transaction, and puts "moved": {table: rows} into an open object.
 * ERR_INVALID: they are the same. The caller ends from_user's sessions. */
MUST_CHECK enum err person_move(struct call *c, const char *from_user, const char *to_user, struct json_out *j);
#endif
