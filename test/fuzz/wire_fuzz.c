/* Heads and chunked bodies: any bytes, whole and in single bytes, must end at the same place and decode to the same. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/wire.h"

static enum wire_step decode(const char *p, size_t n, size_t piece, char *out, size_t *out_len)
{
    struct wire_chunks d = { 0 };
    enum wire_step w = WIRE_MORE;
    *out_len = 0;
    for (size_t at = 0; at < n && w == WIRE_MORE; at += piece) {
        const char *s = p + at, *data;
        size_t left = n - at < piece ? n - at : piece, len;
        while ((w = wire_chunks_next(&d, &s, &left, &data, &len)) == WIRE_DATA) {
            assert(*out_len + len <= n);
            memcpy(out + *out_len, data, len);
            *out_len += len;
        }
    }
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *a = malloc(size + 1), *b = malloc(size + 1);
    memcpy(text, data, size);
    size_t scan = 0, step = 0, a_len, b_len;
    ssize_t end = wire_head_end(text, size, &scan), slow = 0;
    for (size_t n = 1; n <= size && slow == 0; n++) slow = wire_head_end(text, n, &step);
    assert(end == slow || end == -1);
    assert(decode(text, size, size ? size : 1, a, &a_len) == decode(text, size, 1, b, &b_len));
    assert(a_len == b_len && memcmp(a, b, a_len) == 0);
    if (end > 2) {
        static struct wire_head h;
        if (wire_head_parse(text, (size_t)end, &h)) {
            assert(h.path[0] == '/' && h.header_count <= WIRE_HEADERS_MAX && !(h.chunked && h.content_length >= 0));
            char *out = malloc(strlen(h.query) + 1);
            if (wire_decode(h.query, strlen(h.query), true, out)) assert(wire_utf8(out, strlen(out)));
            free(out);
        } else {
            assert(h.status >= 400 && h.why[0]);
        }
    }
    free(text);
    free(a);
    free(b);
    return 0;
}
