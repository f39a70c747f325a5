/* base/log.c — one event, one line, one write(2): lines of several threads never mix, and a killed process loses none.
 * A line is cut at 4 KiB. The caller chooses what is named; texts of people are never handed to it. */
/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mask.h"

enum { LINE_BYTES = 4096 };

static atomic_int least_level = LOG_INFO;
static atomic_int as_json = -1;

static const char *const level_word[] = { "debug", "info", "warn", "error" };

void log_open(enum log_level least, int json)
{
    atomic_store(&least_level, (int)least);
    atomic_store(&as_json, json < 0 ? !isatty(STDERR_FILENO) : json != 0);
}

/* What looks like an address or a number of somebody goes in nobody's name: words of an error may hold what was sent. */
static const char *masked(struct call *own, const char *value)
{
    return value && strpbrk(value, "@+") ? mask_pii(own, value, strnlen(value, LINE_BYTES), NULL) : value;
}

static void text_line(struct buf *b, enum log_level l, const struct call *c, struct call *own, const char *message, va_list ap)
{
    char iso[25];
    buf_printf(b, "%s %-5s %s", clock_iso(clock_unix_ms(), iso), level_word[l], message);
    for (const char *name; (name = va_arg(ap, const char *));) {
        const char *value = masked(own, va_arg(ap, const char *));
        buf_printf(b, " %s=", name);
        size_t from = b->len;
        buf_adds(b, value ? value : "-");
        for (size_t i = from; i < b->len; i++)
            if ((unsigned char)b->data[i] < 0x20) b->data[i] = ' ';
    }
    if (c && c->log_id[0]) buf_printf(b, " request_id=%s", c->log_id);
}

static void json_line(struct buf *b, enum log_level l, const struct call *c, struct call *own, const char *message, va_list ap)
{
    char iso[25];
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "time", clock_iso(clock_unix_ms(), iso));
    json_put_text(&j, "level", level_word[l]);
    json_put_text(&j, "message", message);
    if (c && c->log_id[0]) json_put_text(&j, "request_id", c->log_id);
    for (const char *name; (name = va_arg(ap, const char *));) {
        const char *value = masked(own, va_arg(ap, const char *));
        size_t n = value ? strlen(value) : 0;
        if (n > LINE_BYTES / 4) n = LINE_BYTES / 4;
        /* The object must close: a pair that might not fit is left out rather than cut. */
        if (b->len + strlen(name) + 6 * n + 16 > b->max) continue;
        if (value)
            json_put_textn(&j, name, value, n);
        else
            json_put_null(&j, name);
    }
    json_end(&j);
}

void log_event(enum log_level l, const struct call *c, const char *message, ...)
{
    if ((int)l < atomic_load_explicit(&least_level, memory_order_relaxed)) return;
    int json = atomic_load_explicit(&as_json, memory_order_relaxed);
    if (json < 0) json = !isatty(STDERR_FILENO);
    struct buf  b;
    struct call own;
    buf_init(&b, LINE_BYTES - 1);
    call_init(&own);
    va_list ap;
    va_start(ap, message);
    if (json)
        json_line(&b, l, c, &own, message, ap);
    else
        text_line(&b, l, c, &own, message, ap);
    va_end(ap);
    call_dispose(&own);
    b.failed = false;
    b.max = LINE_BYTES;
    buf_addc(&b, '\n');
    ssize_t done = write(STDERR_FILENO, b.data, b.len);
    (void)done; /* a log that cannot be written has nowhere to say so */
    buf_dispose(&b);
}

const char *log_int(struct call *c, int64_t v)
{
    return arena_printf(&c->mem, "%lld", (long long)v);
}

const char *log_real(struct call *c, double v)
{
    return arena_printf(&c->mem, "%.3f", v);
}
