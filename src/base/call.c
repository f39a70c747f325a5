/* base/call.c — the context of one piece of work. The first words of an error win: the place that knew first knew best.
 * Words are kept to one line of printable text, since they end in replies and logs. */
/* SPDX-License-Identifier: MIT */
#include "base/call.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"

void call_init(struct call *c)
{
    memset(c, 0, sizeof *c);
    arena_init(&c->mem, LIMIT_ARENA_BYTES);
}

void call_dispose(struct call *c)
{
    arena_dispose(&c->mem);
}

static void words(struct call *c, enum err e, const char *fmt, va_list ap)
{
    if (c->err) return;
    c->err = e;
    vsnprintf(c->err_text, sizeof c->err_text, fmt, ap);
    for (char *p = c->err_text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = ' ';
}

enum err fail(struct call *c, enum err e, const char *fmt, ...)
{
    assert(e > OK && e < ERR_COUNT);
    va_list ap;
    va_start(ap, fmt);
    words(c, e, fmt, ap);
    va_end(ap);
    return e;
}

enum err fail_field(struct call *c, const char *field, const char *fmt, ...)
{
    if (!c->err) snprintf(c->err_field, sizeof c->err_field, "%s", field);
    va_list ap;
    va_start(ap, fmt);
    words(c, ERR_INVALID, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

void call_forgive(struct call *c)
{
    c->err = OK;
    c->err_text[0] = '\0';
    c->err_field[0] = '\0';
    c->err_code = NULL;
    c->retry_after_s = 0;
}

enum err call_check(struct call *c)
{
    if (c->stop && atomic_load_explicit(c->stop, memory_order_relaxed)) return fail(c, ERR_CANCELLED, "cancelled");
    if (c->deadline_ms && clock_mono_ms() >= c->deadline_ms) return fail(c, ERR_TIMEOUT, "the deadline has passed");
    return OK;
}

int64_t call_left_ms(const struct call *c, int64_t cap_ms)
{
    if (!c->deadline_ms) return cap_ms;
    int64_t left = c->deadline_ms - clock_mono_ms();
    if (left < 0) left = 0;
    return left < cap_ms ? left : cap_ms;
}

int64_t call_stage_begin(struct call *c, enum call_stage s, int64_t keep_ms)
{
    int64_t outer = c->deadline_ms;
    if (outer && keep_ms > 0) c->deadline_ms = outer - keep_ms > 0 ? outer - keep_ms : 1;
    if (c->stage_ms[s] > 0) {
        int64_t own = clock_mono_ms() + c->stage_ms[s];
        if (!c->deadline_ms || own < c->deadline_ms) c->deadline_ms = own;
    }
    return outer;
}

void call_stage_end(struct call *c, int64_t outer)
{
    c->deadline_ms = outer;
}

static void describe(void)
{
    metric_describe("chiron_degraded_total", 'c', "Steps down the ladder: stages that did less than they could, and what they did instead");
}

void call_degrade(struct call *c, const char *stage, const char *to, const char *why)
{
    for (int i = 0; i < c->degrade_count; i++)
        if (!strcmp(c->degrades[i].stage, stage) && !strcmp(c->degrades[i].to, to)) return;
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, describe);
    char labels[160];
    snprintf(labels, sizeof labels, "stage=\"%s\",to=\"%s\"", stage, to);
    metric_add("chiron_degraded_total", labels, 1);
    if (c->degrade_count < DEGRADES_MAX) c->degrades[c->degrade_count++] = (struct degrade){ stage, to, why };
}

int span_begin(struct call *c, const char *name)
{
    if (c->span_count == SPANS_MAX) {
        c->spans_full = true;
        return -1;
    }
    c->spans[c->span_count] = (struct span){ name, clock_mono_us(), -1 };
    return c->span_count++;
}

void span_end(struct call *c, int index)
{
    if (index < 0) return;
    assert(index < c->span_count);
    struct span *s = &c->spans[index];
    if (s->took_us < 0) s->took_us = clock_mono_us() - s->start_us;
}

const char *err_word(enum err e)
{
    static const char *const word[ERR_COUNT] = {
        [OK] = "ok",
        [ERR_BAD_REQUEST] = "bad_request",
        [ERR_UNAUTHENTICATED] = "unauthenticated",
        [ERR_FORBIDDEN] = "forbidden",
        [ERR_NOT_FOUND] = "not_found",
        [ERR_METHOD] = "method_not_allowed",
        [ERR_CONFLICT] = "conflict",
        [ERR_TOO_LARGE] = "too_large",
        [ERR_UNSUPPORTED_TYPE] = "unsupported_type",
        [ERR_INVALID] = "invalid",
        [ERR_RATE_LIMITED] = "rate_limited",
        [ERR_CANCELLED] = "cancelled",
        [ERR_INTERNAL] = "internal",
        [ERR_IO] = "io",
        [ERR_CORRUPT] = "corrupt",
        [ERR_UPSTREAM] = "upstream",
        [ERR_BUSY] = "busy",
        [ERR_TIMEOUT] = "timeout",
    };
    return (unsigned)e < ERR_COUNT ? word[e] : "unknown";
}
