/* Settings files: any bytes are either understood or refused with the number of a line. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/envfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call c;
    struct envfile f = { 0 };
    if (size > LIMIT_SETTINGS_FILE_BYTES) return 0;
    call_init(&c);
    char *text = malloc(size + 1); /* its own allocation: reading past the end is seen */
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    enum err e = envfile_parse(&c, "x", text, size, &f);
    if (e && !c.err_text[0]) abort();
    for (int i = 0; !e && i < f.count; i++)
        if (!f.names[i][0] || !f.values[i] || !envfile_get(&f, f.names[i])) abort();
    free(text);
    call_dispose(&c);
    return 0;
}
