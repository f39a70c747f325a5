/* The schema compiler and checker: the first line is a schema, the rest a body. What compiles must check without harm. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "http/schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *cut = size ? memchr(text, '\n', size) : NULL;
    size_t n = cut ? (size_t)(cut - text) : size;
    if (memchr(text, '\0', n)) return 0;
    char *first = strndup(text, n);
    struct call c;
    call_init(&c);
    struct schema *s = NULL;
    json_t *v = NULL;
    if (!schema_compile(&c, first, &s)) {
        if (cut && !json_parse(&c, cut + 1, size - n - 1, &v)) {
            enum err strict = schema_check(&c, s, v, false);
            assert(strict == OK || (strict == ERR_INVALID && c.err_text[0] && strlen(c.err_field) < sizeof c.err_field));
            call_forgive(&c);
            enum err loose = schema_check(&c, s, v, true);
            assert(strict != OK || loose == OK);   /* allowing more fields never refuses more */
        }
    }
    json_decref(v);
    schema_free(s);
    call_dispose(&c);
    free(first);
    return 0;
}
