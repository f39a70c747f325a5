/* http/guard.c — every reason to say no, in one order and from the row: is the path known, the method, the caller, the
 * size, the kind; and only then is a byte of the body read. Domains never check these again. A public row does not look
 * at a bad credential: a page with an expired token must still load and sign in. Refuses to open a creator that came
 * from anywhere but the credential or the row. */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <strings.h>

#include "base/id.h"
#include "http/exchange.h"
#include "http/multipart.h"
#include "store/erased.h"
#include "store/store.h"

bool guard_body_expected(const struct exchange *x)
{
    return x->head.chunked || x->head.content_length > 0;
}

static bool origin_allowed(const struct server *s, const char *origin, bool *any)
{
    *any = false;
    for (int i = 0; s->origins[i]; i++) {
        if (strcmp(s->origins[i], origin) == 0) return true;
        if (strcmp(s->origins[i], "*") == 0) *any = true;
    }
    return *any;
}

void guard_cors(struct exchange *x, struct buf *out)
{
    const char *origin = wire_header(&x->head, "origin");
    if (!origin) return;
    buf_adds(out, "Vary: Origin\r\n");
    bool any;
    if (!x->server || !origin_allowed(x->server, origin, &any)) return;
    buf_adds(out, "Access-Control-Allow-Origin: ");
    buf_adds(out, any ? "*" : origin);
    if (!any) buf_adds(out, "\r\nAccess-Control-Allow-Credentials: true");
    buf_adds(out, "\r\nAccess-Control-Expose-Headers: X-Request-ID, Retry-After, ETag, Location, Idempotency-Replayed, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset\r\n");
}

/* Preflights are answered from the table, so every method and header of a known path is allowed to a listed origin. */
static void answer_options(struct exchange *x)
{
    struct req *r = &x->req;
    reply_empty(r, 204);
    reply_header(r, "Allow", x->match.allow);
    const char *origin = wire_header(&x->head, "origin");
    const char *method = wire_header(&x->head, "access-control-request-method");
    bool any;
    if (!origin || !method || !origin_allowed(x->server, origin, &any)) return;
    reply_header(r, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    const char *wanted = wire_header(&x->head, "access-control-request-headers");
    for (const char *p = wanted; p && *p;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ", \t");
        if (n > 0 && !wire_token(p, n)) wanted = NULL;
        p = wanted ? p + n : NULL;
    }
    if (wanted && *wanted && strlen(wanted) <= 1000) reply_header(r, "Access-Control-Allow-Headers", wanted);
    reply_header(r, "Access-Control-Max-Age", "600");
}

static enum err read_query(struct exchange *x)
{
    struct call *c = &x->req.call;
    for (const char *p = x->head.query; *p;) {
        size_t n = strcspn(p, "&");
        const char *eq = memchr(p, '=', n);
        size_t name_len = eq ? (size_t)(eq - p) : n;
        size_t value_len = eq ? n - name_len - 1 : 0;
        if (n > 0) {
            if (x->query_count == QUERY_PAIRS_MAX) return fail(c, ERR_BAD_REQUEST, "more than %d query parameters", QUERY_PAIRS_MAX);
            char *name = arena_alloc(&c->mem, name_len + 1), *value = arena_alloc(&c->mem, value_len + 1);
            if (!wire_decode(p, name_len, true, name) || !wire_decode(eq ? eq + 1 : p, value_len, true, value))
                return fail(c, ERR_BAD_REQUEST, "the query holds a broken percent-escape, a control character or bytes that are not UTF-8");
            x->query[x->query_count].name = name;
            x->query[x->query_count++].value = value;
        }
        p += n + (p[n] == '&');
    }
    return OK;
}

static void nobody(struct call *c)
{
    c->rights = 0;
    c->user_id[0] = c->creator_id[0] = c->account_id[0] = c->session_id[0] = c->key_id[0] = c->role[0] = '\0';
}

static bool is_given(const struct exchange *x)
{
    return x->cred.authorization || x->cred.api_key;
}

/* That surface's clients know one sentence for every bad token (FIT-040). */
static enum err bad_credential(struct exchange *x, enum err e)
{
    struct call *c = &x->req.call;
    if (e != ERR_UNAUTHENTICATED || strcmp(x->row->route->surface, "fit") != 0) return e;
    call_forgive(c);
    return fail(c, ERR_UNAUTHENTICATED, "Invalid token");
}

static enum err check_rights(struct exchange *x)
{
    struct call *c = &x->req.call;
    const struct route *row = x->row->route;
    unsigned need = row->rights;
    bool given = is_given(x);
    c->rights = RIGHT_PUBLIC;
    if (given && x->cred.as_user && !id_valid(x->cred.as_user)) return fail_field(c, "X-Chiron-User", "X-Chiron-User is not a user's id");
    if (given && x->server->conf->authenticate) {
        enum err e = x->server->conf->authenticate(c, &x->cred);
        if (e) nobody(c);
        if (e && !(need & RIGHT_PUBLIC)) return bad_credential(x, e);
        if (e) call_forgive(c);
        c->rights |= RIGHT_PUBLIC;
    }
    /* Without a credential nobody says who is asking, so whoever may ask may name the user. */
    if (!given && (row->flags & ROUTE_TOKEN_OPTIONAL) && row->house && !x->server->auth_required) c->rights |= RIGHT_ASK | RIGHT_ACT_AS;
    if (c->rights & need) return OK;
    if (!given) return fail(c, ERR_UNAUTHENTICATED, "this needs a credential: Authorization: Bearer …");
    return fail(c, ERR_FORBIDDEN, "this credential may not do that");
}

static struct limit_ask ask_of(const struct exchange *x, bool known)
{
    static const struct route none = { .method = "", .path = "", .surface = "" };
    const struct route *r = x->row ? x->row->route : &none;
    return (struct limit_ask){ r->method, r->path, r->surface, r->rate, known, is_given(x), x->forwarded };
}

/* The caller's address first, so that guessing credentials is counted too; then who they turned out to be. */
static enum err check_limit(struct exchange *x, bool known)
{
    struct limit_state s = { 0 };
    limit_fn limit = x->server->conf->limit;
    if (!limit) return OK;
    struct limit_ask ask = ask_of(x, known);
    enum err e = limit(&x->req.call, &ask, &s);
    if (s.limit > 0) x->limited = s;
    return e;
}

void guard_outcome(struct exchange *x, int status)
{
    if (status != 401 && status != 403 && status != 404 && status != 429) return;
    /* A head that could not be read has no address yet. */
    if (!x->server || !x->server->conf->limit_outcome || !x->req.call.remote[0]) return;
    struct limit_ask ask = ask_of(x, false);
    x->server->conf->limit_outcome(&x->req.call, &ask, status);
}

static bool media_type_is(const char *v, const char *type)
{
    size_t n = strlen(type);
    return strncasecmp(v, type, n) == 0 && (v[n] == '\0' || v[n] == ';' || v[n] == ' ' || v[n] == '\t');
}

static enum err check_body(struct exchange *x)
{
    struct call *c = &x->req.call;
    const struct route *r = x->row->route;
    if (!guard_body_expected(x)) return OK;
    if (r->body_max == 0) return fail(c, ERR_TOO_LARGE, "%s %s takes no body", r->method, r->path);
    if (x->head.content_length > r->body_max)
        return fail(c, ERR_TOO_LARGE, "the body has %lld bytes, the limit here is %lld", (long long)x->head.content_length,
                    (long long)r->body_max);
    const char *encoding = wire_header(&x->head, "content-encoding");
    if (encoding && strcasecmp(encoding, "identity") != 0)
        return fail(c, ERR_UNSUPPORTED_TYPE, "Content-Encoding %.40s is not read here", encoding);
    const char *type = wire_header(&x->head, "content-type");
    if (r->flags & ROUTE_RAW) return OK;
    if (r->flags & ROUTE_MULTIPART) {
        if (!type || !media_type_is(type, "multipart/form-data"))
            return fail(c, ERR_UNSUPPORTED_TYPE, "the body must be multipart/form-data");
        return multipart_open(c, type, x->server->tmp_dir, &x->form);
    }
    if (type && !media_type_is(type, "application/json"))
        return fail(c, ERR_UNSUPPORTED_TYPE, "the body must be application/json, not %.60s", type);
    return OK;
}

enum err guard_head(struct exchange *x)
{
    struct call *c = &x->req.call;
    const char *method = x->head.method;
    x->cred = (struct credential){ wire_header(&x->head, "authorization"), wire_header(&x->head, "x-api-key"), wire_header(&x->head, "x-chiron-user") };
    enum err e = routes_split(c, x->head.path, &x->match);
    if (e) return e;
    x->row = routes_find(c, x->server->routes, method, &x->match);
    if (!x->row) {
        e = check_limit(x, false);
        if (e) return e;
        if (x->match.allow[0] == '\0') return fail(c, ERR_NOT_FOUND, "no such path");
        if (strcmp(method, "OPTIONS") == 0) {
            answer_options(x);
            return OK;
        }
        reply_header(&x->req, "Allow", x->match.allow);
        return fail(c, ERR_METHOD, "%s is not allowed here, but %s", method, x->match.allow);
    }
    x->req.route = x->row->route;
    e = check_limit(x, false);
    if (!e) e = check_rights(x);
    if (!e) e = check_limit(x, true);
    if (!e) e = deadline_head(x);
    if (!e) e = read_query(x);
    if (!e) e = check_body(x);
    x->guarded = !e;
    return e;
}

enum err guard_body(struct exchange *x)
{
    struct call *c = &x->req.call;
    struct req *r = &x->req;
    const struct route *row = x->row->route;
    if (row->flags & ROUTE_MULTIPART) {
        if (!x->form) return fail(c, ERR_BAD_REQUEST, "a multipart/form-data body is needed");
        enum err e = x->body.len > 0 ? multipart_feed(x->form, c, x->body.data, x->body.len) : OK;
        if (!e) e = multipart_end(x->form, c);
        if (!e) r->uploads = multipart_uploads(x->form, &r->upload_count);
        return e;
    }
    if ((int64_t)x->body.len > row->body_max)
        return fail(c, ERR_TOO_LARGE, "the body has more than %lld bytes, the limit here", (long long)row->body_max);
    r->body = x->body.data ? x->body.data : "";
    r->body_len = x->body.len;
    if ((row->flags & ROUTE_RAW) || row->body_max == 0) return OK;
    if (x->body.len == 0) {
        if (!x->row->schema) return OK;
        return fail(c, ERR_BAD_REQUEST, "a JSON body is needed");
    }
    enum err e = json_parse(c, x->body.data, x->body.len, &x->json);
    if (!e && x->row->schema) e = schema_check(c, x->row->schema, x->json, row->flags & ROUTE_IGNORE_UNKNOWN);
    if (!e) e = deadline_body(x);
    if (!e) r->json = x->json;
    return e;
}

/* A token that names no creator was looked at before its house was known: who was erased there is refused here. */
static enum err not_erased_here(struct exchange *x)
{
    struct call *c = &x->req.call;
    bool         erased = false;
    enum err     e = c->user_id[0] && is_given(x) ? erased_is(c, c->creator_id, c->user_id, &erased) : OK;
    return !e && erased ? bad_credential(x, fail(c, ERR_UNAUTHENTICATED, "the token is not valid")) : e;
}

enum err guard_tenant(struct exchange *x)
{
    struct call *c = &x->req.call;
    const struct route *row = x->row->route;
    bool public = row->rights & RIGHT_PUBLIC;
    char creator[LIMIT_ID_BYTES + 1];
    memcpy(creator, c->creator_id, sizeof creator);
    if (creator[0]) {
        enum err e = tenant_open(c, creator);
        if (e != ERR_NOT_FOUND) return e;
        call_forgive(c);
        c->creator_id[0] = '\0';
        if (public) return OK;
        return fail(c, ERR_UNAUTHENTICATED, "the credential's creator does not exist here");
    }
    if (row->house) {
        enum err e = tenant_open(c, row->house);
        if (e != ERR_NOT_FOUND) return e ? e : not_erased_here(x);
        call_forgive(c);
        bool created;
        e = tenant_create(c, row->house, row->house, &created);
        return e ? e : tenant_open(c, row->house);
    }
    if (public) return OK;
    /* An account that works for no creator, or for none any more, still has itself to look after. */
    if (c->account_id[0] && row->rights == RIGHT_SELF) return OK;
    return fail(c, ERR_FORBIDDEN, "this credential names no creator");
}
