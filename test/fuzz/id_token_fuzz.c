/* An issuer's keys and an id token in the two halves of the input, split at the first NUL: both come from outside. Believed is only
 * what is signed, so what is believed must say what the check asks for. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/id_token.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char   *split = size ? memchr(data, 0, size) : NULL;
    struct id_token_claims t = { .subject = NULL };
    struct call            c;
    json_t                *keys = NULL;
    if (!split) return 0;
    size_t      n = (size_t)(split - data);
    call_init(&c);
    const char *text = arena_strndup(&c.mem, (const char *)split + 1, size - n - 1);
    if (json_parse(&c, (const char *)data, n, &keys)) {
        call_forgive(&c);
        keys = json_object();
    }
    for (int es = 0; es < 2; es++) {
        enum err e = id_token_check(&c, text,
                                    &(struct id_token_want){ .issuer = "https://id.example", .client_id = "chiron", .nonce = "n-1", .algorithm = es ? "ES256" : "RS256",
                                                             .keys = keys, .now_s = 1763760000 },
                                    &t);
        if (!e != (t.subject != NULL)) abort();
        if (t.subject && (!*t.subject || strlen(t.subject) > ID_TOKEN_SUBJECT)) abort();
        t.subject = NULL;
        call_forgive(&c);
    }
    json_decref(keys);
    call_dispose(&c);
    return 0;
}
