/* JSON: what the parser accepts, the writer writes, and it reads back equal; whatever bytes come as text, JSON comes out. */
/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool so)
{
    if (!so) abort();
}

static void write_and_compare(struct call *c, const json_t *v)
{
    struct buf b;
    struct json_out j;
    json_t *again = NULL;
    buf_init(&b, 64 << 20);
    json_out_init(&j, &b);
    json_put_value(&j, NULL, v);
    must(!b.failed && !json_parse(c, b.data, b.len, &again));
    must(json_equal(v, again));
    json_decref(again);
    buf_dispose(&b);
}

static void write_as_text(struct call *c, const char *p, size_t n)
{
    struct buf b;
    struct json_out j;
    json_t *v = NULL;
    buf_init(&b, 64 << 20);
    json_out_init(&j, &b);
    json_begin_array(&j, NULL);
    json_put_textn(&j, NULL, p, n);
    for (size_t i = 0; i + 4 <= n && i < 400; i += 4) {
        float f;
        memcpy(&f, p + i, sizeof f);
        json_put_float(&j, NULL, f);
    }
    json_end(&j);
    enum err e = json_parse(c, b.data, b.len, &v);
    must(!e || memchr(p, '\0', n)); /* a NUL is written as text may hold it, and refused when read */
    call_forgive(c);
    json_decref(v);
    buf_dispose(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct call c;
    json_t *v = NULL;
    size_t n = 0;
    call_init(&c);
    if (size > 1 << 20) return 0;
    if (!json_parse(&c, (const char *)data, size, &v)) write_and_compare(&c, v);
    call_forgive(&c);
    json_decref(v);
    write_as_text(&c, (const char *)data, size);
    unsigned char *back = base64_decode(&c.mem, (const char *)data, size, &n);
    if (back) must(n <= size);
    char *text = base64_encode(&c.mem, data, size);
    back = base64_decode(&c.mem, text, strlen(text), &n);
    must(back && n == size && !memcmp(back, data, n));
    call_dispose(&c);
    return 0;
}
