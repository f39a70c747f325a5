/* http/deadline.c — until when a request's answer is wanted, and how much of it each stage may take: from the body of
 * routes that can do less in less time, from a header on every other, and from the settings for what nobody asked. Time counts from the
 * request's first byte, so that what it waited in a queue is not given twice. It refuses a bound it would not keep. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "http/exchange.h"

static const struct { const char *name, *setting; } stages[CALL_STAGES] = {
    [CALL_EMBED] = { "embed", "STAGE_EMBED_MS" },
    [CALL_SEARCH] = { "search", "STAGE_SEARCH_MS" },
    [CALL_RERANK] = { "rerank", "STAGE_RERANK_MS" },
    [CALL_GENERATE] = { "generate", "STAGE_GENERATE_MS" },
};
static int64_t from_settings[CALL_STAGES];

void deadline_open(void)
{
    for (int i = 0; i < CALL_STAGES; i++) from_settings[i] = conf_int(stages[i].setting);
}

void deadline_start(struct exchange *x)
{
    struct call *c = &x->req.call;
    c->deadline_ms = x->began_us / 1000 + LIMIT_DEADLINE_MS;
    memcpy(c->stage_ms, from_settings, sizeof c->stage_ms);
}

static enum err bounded(struct call *c, const char *field, int64_t ms)
{
    if (ms >= 1 && ms <= LIMIT_DEADLINE_MS) return OK;
    return fail_field(c, field, "it is 1 to %d ms", LIMIT_DEADLINE_MS);
}

/* What comes before the handler is not worth giving up: it takes microseconds, and without it nothing can be said. */
void deadline_apply(struct exchange *x)
{
    if (x->asked_ms) x->req.call.deadline_ms = x->began_us / 1000 + x->asked_ms;
}

int64_t req_deadline(struct req *r)
{
    struct exchange *x = (struct exchange *)r;
    return x->asked_ms ? x->began_us / 1000 + x->asked_ms : 0;
}

enum err deadline_head(struct exchange *x)
{
    const char *sent = wire_header(&x->head, "x-deadline-ms");
    if (!sent) return OK;
    size_t n = strlen(sent);
    int64_t ms = n > 0 && n <= 9 && strspn(sent, "0123456789") == n ? strtol(sent, NULL, 10) : 0;
    enum err e = bounded(&x->req.call, "X-Deadline-Ms", ms);
    if (!e) x->asked_ms = ms;
    return e;
}

enum err deadline_body(struct exchange *x)
{
    struct call *c = &x->req.call;
    if (!(x->row->route->flags & ROUTE_DEADLINE) || !json_is_object(x->json)) return OK;
    const json_t *whole = json_object_get(x->json, "deadline_ms"), *each = json_object_get(x->json, "stage_ms");
    if (whole && !json_is_null(whole)) {
        if (!json_is_integer(whole)) return fail_field(c, "deadline_ms", "it is a whole number of ms");
        enum err e = bounded(c, "deadline_ms", json_integer_value(whole));
        if (e) return e;
        x->asked_ms = json_integer_value(whole);
    }
    if (!each || json_is_null(each)) return OK;
    if (!json_is_object(each)) return fail_field(c, "stage_ms", "it is an object of ms by stage");
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)each, name, v) {
        int i = 0;
        while (i < CALL_STAGES && strcmp(stages[i].name, name)) i++;
        if (i == CALL_STAGES) return fail_field(c, "stage_ms", "the stages are embed, search, rerank and generate");
        const char *field = arena_printf(&c->mem, "stage_ms.%s", stages[i].name);
        if (!json_is_integer(v)) return fail_field(c, field, "it is a whole number of ms");
        enum err e = bounded(c, field, json_integer_value(v));
        if (e) return e;
        c->stage_ms[i] = json_integer_value(v);
    }
    return OK;
}
