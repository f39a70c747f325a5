/* http/route.c — rows are compiled once into segments and compared one by one: about a hundred rows and a handful of
 * segments cost a microsecond, less than a trie would in cache misses. The most literal row wins, whatever the order
 * of tables, so surfaces can be mounted side by side. A path is split before it is decoded, so an encoded slash can
 * never move a request to another row. Refuses dot segments: no path of ours has them and files might. */
/* SPDX-License-Identifier: MIT */
#include "http/route.h"

#include <stdlib.h>
#include <string.h>

#include "http/wire.h"

static enum err compile_path(struct call *c, struct route_row *row)
{
    const char *p = row->route->path;
    int params = 0;
    if (p[0] != '/') return fail(c, ERR_INVALID, "route %s %s: the path must start with /", row->route->method, p);
    while (*p == '/') {
        p++;
        size_t n = strcspn(p, "/");
        if (row->count == ROUTE_SEGMENTS_MAX)
            return fail(c, ERR_INVALID, "route %s: more than %d segments", row->route->path, ROUTE_SEGMENTS_MAX);
        struct segment *s = &row->segments[row->count++];
        *s = (struct segment){ SEGMENT_LITERAL, p, n };
        if (n > 2 && p[0] == '{' && p[n - 1] == '}') {
            bool rest = n > 5 && memcmp(p + n - 4, "...", 3) == 0;
            *s = (struct segment){ rest ? SEGMENT_REST : SEGMENT_PARAM, p + 1, n - 2 - (rest ? 3 : 0) };
            if (rest && p[n] != '\0') return fail(c, ERR_INVALID, "route %s: {…...} must be last", row->route->path);
            if (++params > ROUTE_PARAMS_MAX) return fail(c, ERR_INVALID, "route %s: too many names", row->route->path);
        } else if (memchr(p, '{', n) || memchr(p, '}', n)) {
            return fail(c, ERR_INVALID, "route %s: a brace inside a segment", row->route->path);
        }
        p += n;
    }
    return OK;
}

static bool same_shape(const struct route_row *a, const struct route_row *b)
{
    if (a->count != b->count) return false;
    for (int i = 0; i < a->count; i++) {
        const struct segment *x = &a->segments[i], *y = &b->segments[i];
        if (x->kind != y->kind) return false;
        if (x->kind == SEGMENT_LITERAL && (x->len != y->len || memcmp(x->text, y->text, x->len) != 0)) return false;
    }
    return true;
}

void routes_free(struct routes *t)
{
    if (!t) return;
    for (int i = 0; i < t->count; i++) schema_free(t->rows[i].schema);
    free(t->rows);
    free(t);
}

enum err routes_compile(struct call *c, const struct route *const *tables, struct routes **out)
{
    enum err e = OK;
    int n = 0;
    for (int i = 0; tables[i]; i++)
        for (const struct route *r = tables[i]; r->method; r++) n++;
    struct routes *t = calloc(1, sizeof *t);
    if (!t || !(t->rows = calloc((size_t)n + 1, sizeof *t->rows))) abort();
    for (int i = 0; tables[i]; i++)
        for (const struct route *r = tables[i]; r->method; r++) {
            struct route_row *row = &t->rows[t->count++];
            row->route = r;
            e = compile_path(c, row);
            if (!e && r->schema) e = schema_compile(c, r->schema, &row->schema);
            if (e) goto out;
            for (int k = 0; k < t->count - 1; k++)
                if (strcmp(t->rows[k].route->method, r->method) == 0 && same_shape(&t->rows[k], row)) {
                    e = fail(c, ERR_CONFLICT, "two routes for %s %s", r->method, r->path);
                    goto out;
                }
        }
    *out = t;
    return OK;
out:
    routes_free(t);
    return e;
}

enum err routes_split(struct call *c, const char *path, struct route_match *m)
{
    m->count = 0;
    m->rest = NULL;
    m->allow[0] = '\0';
    while (*path == '/') {
        path++;
        size_t n = strcspn(path, "/");
        if (m->count == ROUTE_SEGMENTS_MAX) return fail(c, ERR_NOT_FOUND, "no such path");
        char *s = arena_alloc(&c->mem, n + 1);
        if (!wire_decode(path, n, false, s))
            return fail(c, ERR_BAD_REQUEST, "the path holds a broken percent-escape, a control character or bytes that are not UTF-8");
        if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0) return fail(c, ERR_BAD_REQUEST, "the path holds a dot segment");
        m->segments[m->count++] = s;
        path += n;
    }
    return OK;
}

static bool row_matches(const struct route_row *row, const struct route_match *m)
{
    bool rest = row->count > 0 && row->segments[row->count - 1].kind == SEGMENT_REST;
    if (rest ? m->count < row->count : m->count != row->count) return false;
    for (int i = 0; i < row->count; i++) {
        const struct segment *s = &row->segments[i];
        if (s->kind == SEGMENT_LITERAL) {
            if (strncmp(m->segments[i], s->text, s->len) != 0 || m->segments[i][s->len] != '\0') return false;
        } else if (m->segments[i][0] == '\0') {
            return false;
        }
    }
    return true;
}

static bool more_literal(const struct route_row *a, const struct route_row *b)
{
    for (int i = 0; i < a->count && i < b->count; i++)
        if (a->segments[i].kind != b->segments[i].kind) return a->segments[i].kind > b->segments[i].kind;
    return a->count > b->count;
}

static void add_method(char *allow, size_t max, const char *method)
{
    size_t n = strlen(method);
    for (const char *p = allow; *p; p += strspn(p, ", ")) {
        size_t k = strcspn(p, ",");
        if (k == n && memcmp(p, method, n) == 0) return;
        p += k;
    }
    size_t len = strlen(allow);
    if (len + n + 3 > max) return;
    if (len > 0) {
        memcpy(allow + len, ", ", 2);
        len += 2;
    }
    memcpy(allow + len, method, n + 1);
}

const struct route_row *routes_find(struct call *c, const struct routes *t, const char *method, struct route_match *m)
{
    const struct route_row *best = NULL;
    bool head = strcmp(method, "HEAD") == 0;
    for (int i = 0; i < t->count; i++) {
        const struct route_row *row = &t->rows[i];
        if (!row_matches(row, m)) continue;
        const char *has = row->route->method;
        add_method(m->allow, sizeof m->allow, has);
        if (strcmp(has, "GET") == 0) add_method(m->allow, sizeof m->allow, "HEAD");
        if (strcmp(has, method) != 0 && !(head && strcmp(has, "GET") == 0)) continue;
        if (!best || more_literal(row, best)) best = row;
    }
    if (m->allow[0]) add_method(m->allow, sizeof m->allow, "OPTIONS");
    if (best && best->segments[best->count - 1].kind == SEGMENT_REST) {
        size_t len = 1;
        for (int i = best->count - 1; i < m->count; i++) len += strlen(m->segments[i]) + 1;
        char *rest = arena_alloc(&c->mem, len), *o = rest;
        for (int i = best->count - 1; i < m->count; i++) {
            size_t n = strlen(m->segments[i]);
            if (o > rest) *o++ = '/';
            memcpy(o, m->segments[i], n);
            o += n;
        }
        *o = '\0';
        m->rest = rest;
    }
    return best;
}

const char *route_param(const struct route_row *row, const struct route_match *m, const char *name)
{
    for (int i = 0; i < row->count; i++) {
        const struct segment *s = &row->segments[i];
        if (s->kind != SEGMENT_LITERAL && strlen(name) == s->len && memcmp(s->text, name, s->len) == 0)
            return s->kind == SEGMENT_REST ? m->rest : m->segments[i];
    }
    return NULL;
}

static enum err check_row(struct call *c, const struct route *r)
{
    const char *m = r->method;
    if (r->rights == 0) return fail(c, ERR_INVALID, "route %s %s: no rights, it would refuse everyone", m, r->path);
    if (!r->handler) return fail(c, ERR_INVALID, "route %s %s: no handler", m, r->path);
    if (!r->summary || !*r->summary) return fail(c, ERR_INVALID, "route %s %s: no summary", m, r->path);
    if (!r->surface || !*r->surface) return fail(c, ERR_INVALID, "route %s %s: no surface", m, r->path);
    if (r->body_max < 0) return fail(c, ERR_INVALID, "route %s %s: negative body limit", m, r->path);
    bool looks = !strcmp(m, "GET") || !strcmp(m, "DELETE");   /* their schema may be of the query */
    if (r->body_max == 0 && ((r->schema && !looks) || (r->flags & (ROUTE_MULTIPART | ROUTE_RAW))))
        return fail(c, ERR_INVALID, "route %s %s: a body is described but none accepted", m, r->path);
    if (r->schema && (r->flags & (ROUTE_MULTIPART | ROUTE_RAW)))
        return fail(c, ERR_INVALID, "route %s %s: a schema only fits a JSON body", m, r->path);
    if (!(r->flags & ROUTE_MULTIPART) && r->body_max > LIMIT_REPLY_BYTES)
        return fail(c, ERR_INVALID, "route %s %s: a body in memory may not exceed %lld bytes", m, r->path, (long long)LIMIT_REPLY_BYTES);
    if (r->reply_schema) {
        json_t *v;
        enum err e = json_parse(c, r->reply_schema, strlen(r->reply_schema), &v);
        if (e) return e;
        json_decref(v);
    }
    return OK;
}

enum err http_check_tables(struct call *c, const struct route *const *tables)
{
    for (int i = 0; tables[i]; i++)
        for (const struct route *r = tables[i]; r->method; r++) {
            enum err e = check_row(c, r);
            if (e) return e;
        }
    struct routes *t;
    enum err e = routes_compile(c, tables, &t);
    if (!e) routes_free(t);
    return e;
}
