/* SPDX-License-Identifier: MIT */
/* Any bytes as a model file: what is accepted can be read whole, and lies inside the file. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors st = { 0 };
    struct call        c;
    /* A map begins at a page; the tensors' alignment is judged from there. */
    char *file = aligned_alloc(4096, (size + 4096) / 4096 * 4096);
    if (!file) abort();
    memcpy(file, data, size);
    call_init(&c);
    enum err e = safetensors_parse(&c, file, size, &st);
    if (e && e != ERR_CORRUPT) abort();
    if (e && !c.err_text[0]) abort();
    for (int i = 0; i < st.count; i++) {
        const struct tensor *t = &st.tensors[i];
        if ((const char *)t->data < file || (const char *)t->data + t->bytes > file + size) abort();
        if (!safetensors_find(&st, t->name)) abort();
        (void)tensor_is_finite(t);
    }
    safetensors_close(&st);
    call_dispose(&c);
    free(file);
    return 0;
}
