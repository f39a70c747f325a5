/* base/base64.h — bytes as text, standard alphabet with padding (RFC 4648, part 4). Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_BASE64_H
#define CHIRON_BASE_BASE64_H
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"

char *base64_encode(struct arena *mem, const void *p, size_t n);   /* NUL-terminated, never NULL */
/* The bytes of text[0..n), NUL-terminated in mem; NULL when it is not base64. Also takes the URL alphabet and missing
 * padding; refuses white space, bits left over, and characters outside both alphabets. */
unsigned char *base64_decode(struct arena *mem, const char *text, size_t n, size_t *len_out);
#endif
