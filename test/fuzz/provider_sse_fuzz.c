/* A provider's stream of any bytes: the first byte says into which pieces it is split; the events must be those of the
 * unsplit stream, and their data must survive the JSON reader. */
/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/call.h"
#include "base/id.h"
#include "base/json.h"
#include "models/sse_read.h"

#define MAX_BYTES 4096

struct seen {
    struct call *c;           /* NULL: only count */
    size_t       events, bytes;
    uint32_t     sum;
};

static bool on_event(void *arg, const char *name, const char *data, size_t n)
{
    struct seen *s = arg;
    assert(strlen(name) < 64 && data[n] == '\0' && n <= MAX_BYTES);
    s->events++;
    s->bytes += n;
    for (size_t i = 0; i < n; i++) s->sum = s->sum * 31 + (unsigned char)data[i];
    for (const char *p = name; *p; p++) s->sum = s->sum * 31 + (unsigned char)*p;
    if (s->c) {
        json_t *o = NULL;
        if (json_parse(s->c, data, n, &o) == OK) json_decref(o);
        call_forgive(s->c);
    }
    return s->events < 1000;
}

static struct seen feed(struct call *c, const uint8_t *data, size_t n, size_t step)
{
    struct seen s = { .c = c };
    struct sse_read r;
    sse_read_init(&r, MAX_BYTES, on_event, &s);
    for (size_t i = 0; i < n; i += step)
        if (!sse_read_feed(&r, (const char *)data + i, n - i < step ? n - i : step)) break;
    sse_read_dispose(&r);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > 65536) return 0;
    struct call c;
    call_init(&c);
    struct seen whole = feed(&c, data + 1, size - 1, size);
    struct seen split = feed(NULL, data + 1, size - 1, (size_t)data[0] % 16 + 1);
    assert(whole.events == split.events && whole.bytes == split.bytes && whole.sum == split.sum);
    call_dispose(&c);
    return 0;
}
