/* http/route.h — the route tables, compiled: which row answers a path, and which methods it knows.
 * Immutable after routes_compile: any thread.
 *     const struct route_row *row = routes_find(t, "GET", &m);   // NULL: m.allow tells 404 from 405        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_ROUTE_H
#define CHIRON_HTTP_ROUTE_H
#include "http/http.h"
#include "http/schema.h"

#define ROUTE_SEGMENTS_MAX 24
#define ROUTE_PARAMS_MAX 8

enum segment_kind { SEGMENT_REST, SEGMENT_PARAM, SEGMENT_LITERAL };   /* in order of preference */
struct segment {
    enum segment_kind kind;
    const char       *text;      /* the literal, or the name of the parameter */
    size_t            len;
};
struct route_row {
    const struct route *route;
    struct schema      *schema;  /* NULL: none */
    struct segment      segments[ROUTE_SEGMENTS_MAX];
    int                 count;
};
struct routes {
    struct route_row *rows;
    int               count;
};

struct route_match {
    const char *segments[ROUTE_SEGMENTS_MAX];   /* of the request's path, decoded, in the call's arena */
    int         count;
    const char *rest;                           /* what "{name...}" took */
    char        allow[80];                      /* "GET, HEAD, OPTIONS": methods of the path; "" for an unknown path */
};

MUST_CHECK enum err routes_compile(struct call *c, const struct route *const *tables, struct routes **out);
void routes_free(struct routes *t);
/* Splits and decodes a path into m. ERR_BAD_REQUEST: bad escape, not UTF-8, dot segments. ERR_NOT_FOUND: too deep. */
MUST_CHECK enum err routes_split(struct call *c, const char *path, struct route_match *m);
/* The row for a method; HEAD falls back to GET. NULL: none; m->allow is then what the path allows. */
const struct route_row *routes_find(struct call *c, const struct routes *t, const char *method, struct route_match *m);
const char *route_param(const struct route_row *row, const struct route_match *m, const char *name);  /* NULL: none */
#endif
