/* The text of a token, as any stranger may send it: reading must end, keep its bounds, and read one token from one text only. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/token.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct call       c;
    struct token_text t;
    char             *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    call_init(&c);
    if (token_text_read(&c, text, &t)) {
        /* What was read is what was written: the same bytes written again give the same text. */
        const char *again = token_text_base64(&c, t.signature, t.signature_len);
        if (t.signed_len >= strlen(text) || strcmp(text + t.signed_len + 1, again)) abort();
        if (!json_is_object(t.claims) || t.algorithm == TOKEN_NO_ALGORITHM || !t.type || !t.kid) abort();
        json_decref(t.claims);
    } else if (c.err) {
        abort();
    }
    size_t         n = 0;
    unsigned char *bytes = token_text_bytes(&c, text, strlen(text), &n);
    if (bytes && strcmp(token_text_base64(&c, bytes, n), text)) abort();
    call_dispose(&c);
    free(text);
    return 0;
}
