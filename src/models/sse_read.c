/* models/sse_read.c — the event stream format of the HTML standard, byte by byte because a provider's packets end
 * anywhere: inside a line, inside a CRLF, inside a character. It does not decode what the data means and never grows
 * past its maximum: a stream without line ends is refused, not collected. */
/* SPDX-License-Identifier: MIT */
#include "models/sse_read.h"

#include <string.h>

void sse_read_init(struct sse_read *s, size_t max_bytes, sse_event_fn on_event, void *arg)
{
    memset(s, 0, sizeof *s);
    buf_init(&s->line, max_bytes);
    buf_init(&s->data, max_bytes);
    s->on_event = on_event;
    s->arg = arg;
}

void sse_read_dispose(struct sse_read *s)
{
    buf_dispose(&s->line);
    buf_dispose(&s->data);
}

static bool dispatch(struct sse_read *s)
{
    bool go = true;
    if (s->some) go = s->on_event(s->arg, s->name, s->data.data ? s->data.data : "", s->data.len);
    buf_clear(&s->data);
    s->name[0] = '\0';
    s->some = false;
    if (!go) s->stopped = true;
    return go;
}

static bool line_end(struct sse_read *s)
{
    const char *line = s->line.data ? s->line.data : "";
    size_t n = s->line.len;
    if (!s->began) {
        s->began = true;
        if (n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) line += 3, n -= 3;
    }
    bool ok = true;
    if (n == 0) {
        ok = dispatch(s);
    } else {
        const char *colon = memchr(line, ':', n);
        size_t field = colon ? (size_t)(colon - line) : n;
        const char *value = colon ? colon + 1 : line + n;
        size_t value_len = (size_t)(line + n - value);
        if (value_len && *value == ' ') value++, value_len--;
        if (field == 4 && memcmp(line, "data", 4) == 0) {
            if (s->some) buf_addc(&s->data, '\n');
            buf_add(&s->data, value, value_len);
            s->some = true;
            if (s->data.failed) s->overflow = true, ok = false;
        } else if (field == 5 && memcmp(line, "event", 5) == 0) {
            if (value_len >= sizeof s->name) value_len = sizeof s->name - 1;
            memcpy(s->name, value, value_len);
            s->name[value_len] = '\0';
        }
    }
    buf_clear(&s->line);
    return ok;
}

bool sse_read_feed(struct sse_read *s, const char *p, size_t n)
{
    if (s->stopped || s->overflow) return false;
    while (n) {
        if (s->after_cr) {
            s->after_cr = false;
            if (*p == '\n') {
                p++, n--;
                continue;
            }
        }
        size_t run = 0;
        while (run < n && p[run] != '\n' && p[run] != '\r') run++;
        if (run && !buf_add(&s->line, p, run)) {
            s->overflow = true;
            return false;
        }
        p += run, n -= run;
        if (!n) break;
        s->after_cr = *p == '\r';
        p++, n--;
        if (!line_end(s)) return false;
    }
    return true;
}
