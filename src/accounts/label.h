/* accounts/label.h — names that people give to themselves and to things: kept exactly as written in any script, with emoji
 * and joiners, but for what could make a line of a list or a log say something else.
 *     e = label_check(c, "name", json_get_text(body, "name", ""), LIMIT_NAME_BYTES, &name);                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LABEL_H
#define CHIRON_ACCOUNTS_LABEL_H
#include <stddef.h>

#include "base/call.h"

/* The text in c->mem without white space around it; it may be "". ERR_INVALID naming the field: longer than max_bytes, not
 * UTF-8, or holding control characters, line separators or characters that turn the direction of what follows. */
MUST_CHECK enum err label_check(struct call *c, const char *field, const char *text, size_t max_bytes, const char **out);
/* For searching: compatibility forms, case and accents folded, in c->mem. Text that is no UTF-8 gives "". */
const char *label_fold(struct call *c, const char *text);
#endif
