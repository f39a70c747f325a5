/* Archives: any bytes are read to an end or refused; no name leaves the folder, nothing is taken that is not there. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call c;
    struct tar_member m;
    bool more = true;
    if (!size || size > 1 << 20) return 0;
    FILE *f = fmemopen((void *)(uintptr_t)data, size, "rb");
    if (!f) abort();
    call_init(&c);
    while (more) {
        enum err e = tar_next(&c, f, &m, &more);
        if (!e && more) {
            if (!tar_name_valid(m.name) || m.size_bytes < 0) abort();
            if (m.size_bytes > (int64_t)size) break; /* who reads asks the manifest first; the bytes are not there */
            void *p = malloc((size_t)m.size_bytes + 1);
            if (!p) abort();
            e = tar_take(&c, f, &m, p);
            free(p);
        }
        if (e && !c.err_text[0]) abort();
        if (e) break;
    }
    fclose(f);
    call_dispose(&c);
    return 0;
}
