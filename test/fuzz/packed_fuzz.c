/* SPDX-License-Identifier: MIT */
/* Any bytes as a file of packed weights: what is accepted has its parts inside the file, and nothing is touched
 * otherwise. An odd first byte gives the rest right checksums, so that what comes behind them is reached. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/packed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct packed_part parts[] = { { "0.qkv", 4096, NULL }, { "0.bias", 100, NULL } };
    if (size < 1) return 0;
    const bool   seal = data[0] & 1;
    const size_t n = size - 1;
    char        *file = aligned_alloc(4096, (n + 4096) / 4096 * 4096);
    if (!file) abort();
    memcpy(file, data + 1, n);
    if (seal) packed_seal(file, n);
    const char *wrong = packed_parse(file, n, "int8 fuzz", parts, 2);
    unsigned    sum = 0;
    for (int i = 0; i < 2; i++) {
        const char *p = parts[i].data;
        if (!wrong != !!p) abort();
        if (p && (p < file || p + parts[i].bytes > file + n)) abort();
        for (size_t k = 0; p && k < parts[i].bytes; k++) sum += (unsigned char)p[k];
    }
    free(file);
    return sum > 4196 * 255;    /* never; it keeps the reading */
}
