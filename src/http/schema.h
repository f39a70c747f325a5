/* http/schema.h — the JSON-Schema subset of request bodies: type (a name or a list), required, properties,
 * additionalProperties (false or absent), enum, minimum, maximum, minLength, maxLength (code points), pattern (ERE),
 * items, minItems, maxItems, default (documentation only), description, format (documentation only).
 *     struct schema *s;  e = schema_compile(c, text, &s);   e = schema_check(c, s, value);   schema_free(s);      */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_SCHEMA_H
#define CHIRON_HTTP_SCHEMA_H
#include <jansson.h>

#include "base/call.h"

struct schema;
MUST_CHECK enum err schema_compile(struct call *c, const char *text, struct schema **out); /* ERR_INVALID: unknown keyword */
/* ERR_INVALID, c->err_field = the JSON path ("candidates[3].text"), words with the limit. Immutable: any thread. */
MUST_CHECK enum err schema_check(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown);
void schema_free(struct schema *s);
#endif
