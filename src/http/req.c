/* http/req.c — what a handler may ask about its request. Everything was parsed, decoded and bounded by the guard, so
 * these are look-ups in short lists and cannot fail, except where a number is wanted. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/exchange.h"
#include "http/multipart.h"
#include "http/workers.h"

static struct exchange *exchange_of(struct req *r)
{
    return (struct exchange *)r;
}

const char *req_path(struct req *r, const char *name)
{
    struct exchange *x = exchange_of(r);
    const char *v = x->row ? route_param(x->row, &x->match, name) : NULL;
    return v ? v : "";
}

const char *req_query(struct req *r, const char *name)
{
    struct exchange *x = exchange_of(r);
    for (int i = 0; i < x->query_count; i++)
        if (strcmp(x->query[i].name, name) == 0) return x->query[i].value;
    return NULL;
}

enum err req_query_int(struct req *r, const char *name, int64_t dflt, int64_t min, int64_t max, int64_t *out)
{
    const char *s = req_query(r, name);
    if (!s) {
        *out = dflt;
        return OK;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s || *end || s[0] == ' ' || s[0] == '+' || v < min || v > max)
        return fail_field(&r->call, name, "%s must be an integer from %lld to %lld", name, (long long)min, (long long)max);
    *out = v;
    return OK;
}

const char *req_header(struct req *r, const char *lower_case_name)
{
    return wire_header(&exchange_of(r)->head, lower_case_name);
}

const char *req_form(struct req *r, const char *name)
{
    struct exchange *x = exchange_of(r);
    return x->form ? multipart_field(x->form, name) : NULL;
}

bool req_step_aside(struct req *r)
{
    return workers_stream(exchange_of(r)->server->workers);
}
