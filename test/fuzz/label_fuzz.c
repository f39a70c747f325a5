/* Names and addresses from outside. What is taken is UTF-8 without controls and stays as it is when it comes again; an address has
 * one form, and what it folds to for a search never grows a line. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/email.h"
#include "accounts/label.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2000 || memchr(data, '\0', size)) return 0;
    char       *text = strndup((const char *)data, size);
    const char *out = NULL, *again = NULL;
    struct call c;
    call_init(&c);
    if (!label_check(&c, "name", text, LIMIT_NAME_BYTES, &out)) {
        assert(strlen(out) <= LIMIT_NAME_BYTES);
        for (const char *p = out; *p; p++) assert((unsigned char)*p >= 0x20 && *p != 0x7f);
        assert(label_check(&c, "name", out, LIMIT_NAME_BYTES, &again) == OK && !strcmp(out, again));
        assert(!strchr(label_fold(&c, out), '\n'));
    }
    call_forgive(&c);
    if (!email_check(&c, "email", text, &out)) {
        const char *at = strchr(out, '@');
        assert(strlen(out) <= LIMIT_EMAIL_BYTES && at && at > out && at[1] && !strchr(at + 1, '@'));
        for (const char *p = out; *p; p++) assert((unsigned char)*p > 0x20 && *p != 0x7f && !strchr("<>,;\"\\", *p));
        assert(email_check(&c, "email", out, &again) == OK && !strcmp(out, again));
    }
    call_dispose(&c);
    free(text);
    return 0;
}
