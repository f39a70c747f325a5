/* Every row × every caller × every id of somebody else, each beside the same request with an id of nothing. Two replies that are
 * not alike are asked for once more in the other order, because a first request may change what the second finds; where the
 * stranger's request went through and the other did not, once is enough. What only reads goes first: words of the victim's
 * that a caller wrote into their own things would hide behind that later. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "http/http.h"
#include "http/schema.h"
#include "verb_doctor_tenants.h"

enum { PATH_MAX_BYTES = 1024, BUSY_TRIES = 20, BUSY_US = 100000 };

/* One request to be asked with another's id and with that of nothing. */
struct shape {
    struct tenants_row    *row;
    struct tenants_cell   *cell;
    struct tenants_case   *of;
    struct tenants_caller *caller;
    const char            *what;             /* "path", "body user_id", … for the words of a finding */
    const char            *query;            /* a parameter that gets the id, NULL: none */
    bool                   as_user;          /* X-Chiron-User gets it */
    int                    path_at;          /* which parameter of the path gets it, -1: none */
    const json_t          *schema;           /* body, NULL: none or multipart */
    int                    body_at;          /* which text gets it, -1: none */
    const char            *form;             /* field of a multipart body that gets it, NULL: none */
    bool                   free;             /* what gets it is any text: another text may be answered otherwise */
};

/* Scratch memory is given back after every pair, so a walk of thousands of requests stays small. */
struct walker {
    struct call         *c;
    struct call          now;
    struct tenants_plan *p;
    bool                 has_me;
};

void tenants_find(struct call *c, struct tenants_plan *p, struct tenants_row *row, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (p->finding_count < TENANTS_FINDINGS)
        p->findings[p->finding_count] = (struct tenants_finding){ row ? row->route : NULL, arena_vprintf(&c->mem, fmt, ap) };
    va_end(ap);
    p->finding_count++;
    if (row) row->findings++;
}

void tenants_plan_dispose(struct tenants_plan *p)
{
    tenants_client_close(&p->client);
    free(p->rows);
    p->rows = NULL;
}

static void count(struct tenants_cell *cell, int status)
{
    for (int i = 0; i < cell->kinds; i++)
        if (cell->status[i] == status) {
            cell->times[i]++;
            return;
        }
    if (cell->kinds == TENANTS_STATUSES) return;
    cell->status[cell->kinds] = status;
    cell->times[cell->kinds++] = 1;
}

static bool went_through(int status)
{
    return status >= 200 && status < 300;
}

/* ---- paths ---- */

/* The n-th parameter's name and the part of the path before it. false: there are not so many. */
static bool parameter(const char *path, int n, char name[64], char before[64])
{
    char last[64] = "";
    for (const char *p = path; *p;) {
        size_t len;
        p += *p == '/';
        len = strcspn(p, "/");
        if (*p == '{' && n-- == 0) {
            snprintf(name, 64, "%.*s", (int)strcspn(p + 1, ".}"), p + 1);
            snprintf(before, 64, "%s", last);
            return true;
        }
        if (*p != '{') snprintf(last, sizeof last, "%.*s", (int)len, p);
        p += len;
    }
    return false;
}

static bool kind_in(const char *kinds, const char *kind)
{
    size_t n = strlen(kind);
    for (const char *p = strstr(kinds, kind); p; p = strstr(p + 1, kind))
        if ((p == kinds || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

static const char *find_kind(const struct tenants_side *s, const char *kinds)
{
    for (int i = 0; i < s->count; i++)
        if (!*kinds || kind_in(kinds, s->ids[i].kind)) return s->ids[i].id;
    return NULL;
}

/* Parameters that are not asked about get the caller's own thing of that kind, so that the request gets as far as it can. */
static const char *path_of(struct walker *w, const struct shape *s, const char *id)
{
    char   out[PATH_MAX_BYTES], name[64], before[64];
    size_t n = 0;
    int    at = 0;
    for (const char *p = s->row->route->path; *p && n < sizeof out - LIMIT_ID_BYTES - 2;) {
        if (*p != '{') {
            out[n++] = *p++;
            continue;
        }
        parameter(s->row->route->path, at, name, before);
        const char *kinds = tenants_kind_of(name, before), *v = at == s->path_at ? id : NULL;
        if (!v && *kinds == '=') v = kinds + 1;
        if (!v) v = find_kind(s->path_at >= 0 ? s->of->victim : s->of->own, kinds);
        /* The same nothing every time: two requests differ in the id they are about and in nothing else. */
        if (!v) v = "nil_01J00000000000000000000NIL";
        n += (size_t)snprintf(out + n, sizeof out - n, "%s", v);
        at++;
        p += strcspn(p, "}");
        p += *p == '}';
    }
    out[n] = 0;
    if (s->query) return arena_printf(&w->now.mem, "%s?%s=%s", out, s->query, id);
    return arena_strdup(&w->now.mem, out);
}

/* ---- bodies ---- */

static const char *const form_fields[] = { "replace", "user_id", "creator_id", "document_id", "conversation_id", "title", "content_type",
                                           "language", "metadata", NULL };

static void body_form(struct walker *w, const struct shape *s, const char *id, struct tenants_ask *a)
{
    struct buf b;
    buf_init(&b, 65536);
    if (s->form) buf_printf(&b, "--strange\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n%s\r\n", s->form, id);
    buf_printf(&b, "--strange\r\nContent-Disposition: form-data; name=\"file\"; filename=\"harbour.txt\"\r\nContent-Type: text/plain\r\n\r\n"
                   "What keeps a stranger out is a door, sn%06lld.\r\n--strange--\r\n", (long long)(w->p->serial % 1000000));
    a->type = "multipart/form-data; boundary=strange";
    a->body = arena_strndup(&w->now.mem, b.data, b.len);
    a->len = b.len;
    buf_dispose(&b);
}

static void body_json(struct walker *w, const struct shape *s, const char *id, struct tenants_ask *a)
{
    struct tenants_fill f = { s->of->own, s->caller, w->p->encoder, w->p->serial, s->body_at, id, false };
    json_t *v = tenants_body(s->schema, &f);
    char   *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
    a->type = "application/json";
    a->body = arena_strdup(&w->now.mem, text ? text : "{}");
    a->len = strlen(a->body);
    free(text);
    json_decref(v);
}

static struct tenants_ask request(struct walker *w, const struct shape *s, const char *id)
{
    const struct route *r = s->row->route;
    struct tenants_ask  a = { .method = r->method, .path = path_of(w, s, id), .headers = s->caller->headers };
    w->p->serial++;
    if (s->as_user) a.headers = arena_printf(&w->now.mem, "%sX-Chiron-User: %s\r\n", a.headers, id);
    if (r->flags & ROUTE_MULTIPART) body_form(w, s, id, &a);
    else if (s->schema) body_json(w, s, id, &a);
    else if (r->body_max && (r->flags & ROUTE_RAW)) {
        a.type = "application/octet-stream";
        a.body = id ? id : "stranger";
        a.len = strlen(a.body);
    }
    return a;
}

/* ---- one request ---- */

static enum err ask_once(struct walker *w, struct tenants_row *row, struct tenants_cell *cell, const struct tenants_ask *a, struct tenants_reply *out)
{
    enum err e = OK;
    for (int try = 0; try < BUSY_TRIES; try++) {
        e = tenants_ask(&w->now, &w->p->client, a, out);
        w->p->requests++;
        row->requests++;
        if (e || out->status != 503 || !strcasestr(out->head, "\nretry-after:")) break;
        usleep(BUSY_US);
    }
    if (!e) e = call_check(w->c);
    if (e) return e;
    count(cell, out->status);
    if (out->status >= 500 || out->status < 100)
        tenants_find(w->c, w->p, row, "%s %.160s answered %d: %.300s", a->method, a->path, out->status, out->body);
    return OK;
}

/* Whether the credential is still one; a new one when it is not. */
static enum err keep_alive(struct walker *w, struct tenants_row *row, struct tenants_caller *k, bool *renewed)
{
    struct tenants_reply r;
    struct tenants_ask   a = { .method = "GET", .path = "/api/v1/me", .headers = k->headers };
    if (!w->has_me) return OK;
    enum err e = tenants_ask(&w->now, &w->p->client, &a, &r);
    if (e || r.status != 401) return e;
    if (!k->renew) {
        tenants_find(w->c, w->p, row, "the credential of %s ended and there is no other", k->role);
        return OK;
    }
    e = k->renew(w->c, k, k->arg);
    a.headers = k->headers;
    if (!e) e = tenants_ask(&w->now, &w->p->client, &a, &r);
    if (e) return e;
    *renewed = r.status != 401;
    if (!*renewed) k->renew = NULL;
    return OK;
}

static enum err ask(struct walker *w, const struct shape *s, const char *id, struct tenants_reply *out)
{
    const struct route *r = s->row->route;
    bool                renewed = false, reads = !strcmp(r->method, "GET");
    for (int try = 0; try < 2; try++) {
        struct tenants_ask a = request(w, s, id);
        enum err e = ask_once(w, s->row, s->cell, &a, out);
        if (e) return e;
        bool refused = out->status == 401 && !(r->rights & RIGHT_PUBLIC);
        if (!refused && (reads || !went_through(out->status))) return OK;
        e = keep_alive(w, s->row, s->caller, &renewed);
        if (e) return e;
        if (!refused || !renewed) return OK;
    }
    return OK;
}

/* ---- two requests ---- */

/* free: either may hold what the caller has put there under that name; only what became of the request counts then. */
static bool alike(struct walker *w, bool free, const struct tenants_reply *a, const char *a_sent, const struct tenants_reply *b,
                  const char *b_sent)
{
    /* How often one may is one's own doing, and says nothing of anybody. */
    if (a->status == 429 || b->status == 429) return true;
    if (free && went_through(a->status) && a->status == b->status) return true;
    return a->status == b->status && !strcmp(tenants_mask(&w->now, a, a_sent, b_sent), tenants_mask(&w->now, b, a_sent, b_sent));
}

static void say(struct walker *w, const struct shape *s, const struct tenants_id *t, const char *what)
{
    tenants_find(w->c, w->p, s->row, "%s %s as %s of %s, %s %s: %s", s->row->route->method, s->row->route->path, s->caller->role, s->of->name,
                 t ? t->kind : "", s->what, what);
}

/* What may differ, and why. Left out of the walk, and shown. */
static const struct {
    const char *method, *path, *name;
} by_design[] = {
    { "POST", "/api/v1/auth/register", "email" },        /* an address has one account */
    { "POST", "/api/v1/auth/register", "creator_id" },   /* a creator's id is taken once */
};

static bool is_by_design(const struct route *r, const char *name)
{
    for (size_t i = 0; i < sizeof by_design / sizeof *by_design; i++)
        if (!strcmp(by_design[i].method, r->method) && !strcmp(by_design[i].path, r->path) && !strcmp(by_design[i].name, name)) return true;
    return false;
}

static void look_for_words(struct walker *w, const struct shape *s, const struct tenants_id *t, const struct tenants_reply *r)
{
    const char *word = tenants_betrayed(w->p, s->of->victim, r, t ? t->id : NULL);
    if (word) say(w, s, t, arena_printf(&w->now.mem, "the reply (%d) holds \"%s\", which is another's: %.200s", r->status, word, r->body));
}

static void remember(struct walker *w, const struct shape *s, const struct tenants_id *t, const struct tenants_reply *r)
{
    struct tenants_plan *p = w->p;
    if (!went_through(r->status) || !strcmp(s->row->route->method, "GET") || p->stored_count == TENANTS_IDS) return;
    for (int i = 0; i < p->stored_count; i++)
        if (p->stored[i] == t->id) return;
    p->stored[p->stored_count++] = t->id;
}

static enum err pair(struct walker *w, const struct shape *s, const struct tenants_id *t)
{
    struct tenants_reply theirs, nothing;
    bool                 path = s->path_at >= 0, free = s->free || (t->chosen && strcmp(s->row->route->method, "GET"));
    enum err             e = ask(w, s, t->id, &theirs);
    if (!e) e = ask(w, s, t->none, &nothing);
    if (e) goto out;
    look_for_words(w, s, t, &theirs);
    look_for_words(w, s, t, &nothing);
    remember(w, s, t, &theirs);
    if (alike(w, free, &theirs, t->id, &nothing, t->none)) goto out;
    if (went_through(theirs.status) && !went_through(nothing.status)) {
        say(w, s, t, arena_printf(&w->now.mem, "%d, and %d for one that is not there: %.160s", theirs.status, nothing.status, theirs.body));
        goto out;
    }
    struct tenants_reply again, first;
    struct tenants_id    other = *t;
    /* Where ids are chosen by the caller a second of nothing must be as new as the first was. */
    if (!path && t->chosen) other.none = tenants_none_of(&w->now, t->id);
    e = ask(w, s, other.none, &again);
    if (!e) e = ask(w, s, t->id, &first);
    if (e || alike(w, free, &first, t->id, &again, other.none)) goto out;
    /* A reply that is never the same twice, as a list that grows with being read, is compared by its status and its words. */
    if (first.status == again.status) {
        const char *last = tenants_none_of(&w->now, t->id);
        e = ask(w, s, last, &nothing);
        if (e || !alike(w, false, &nothing, last, &again, other.none)) goto out;
    }
    say(w, s, t, arena_printf(&w->now.mem, "answered %d %.120s, but %d %.120s for one that is not there", first.status,
                              tenants_mask(&w->now, &first, t->id, other.none), again.status, tenants_mask(&w->now, &again, t->id, other.none)));
out:
    if (e) e = fail(w->c, e, "%s", w->now.err_text);
    call_forgive(&w->now);
    arena_reset(&w->now.mem);
    return e;
}

/* ---- one row ---- */

static enum err without_the_right(struct walker *w, struct shape s)
{
    struct tenants_reply r;
    enum err e = ask(w, &s, s.of->victim->count ? s.of->victim->ids[0].none : "none", &r);
    if (!e && r.status != 403 && r.status != 401)
        say(w, &s, NULL, arena_printf(&w->now.mem, "answered %d to one who has not the right", r.status));
    arena_reset(&w->now.mem);
    return e;
}

static bool first_of_kind(const struct tenants_side *s, int at)
{
    for (int i = 0; i < at; i++)
        if (!strcmp(s->ids[i].kind, s->ids[at].kind)) return false;
    return true;
}

static enum err paths(struct walker *w, struct shape s, bool all)
{
    enum err e = OK;
    char     name[64], before[64];
    s.what = "in the path";
    for (int at = 0; !e && parameter(s.row->route->path, at, name, before); at++) {
        const char *kinds = tenants_kind_of(name, before);
        if (*kinds == '=') continue;
        s.path_at = at;
        for (int i = 0; !e && i < s.of->victim->count; i++)
            if (!*kinds || kind_in(kinds, s.of->victim->ids[i].kind) || (all && first_of_kind(s.of->victim, i))) e = pair(w, &s, &s.of->victim->ids[i]);
    }
    return e;
}

/* Of each kind that may be meant: every thing where the name says which, the first of each where it does not. */
static enum err with_kinds(struct walker *w, const struct shape *s, const char *kinds, bool one_each)
{
    const struct tenants_side *v = s->of->victim;
    enum err e = OK;
    for (int i = 0; !e && i < v->count; i++)
        if (*kinds ? kind_in(kinds, v->ids[i].kind) && (!one_each || first_of_kind(v, i)) : first_of_kind(v, i)) e = pair(w, s, &v->ids[i]);
    return e;
}

static enum err bodies(struct walker *w, struct shape s, bool all)
{
    enum err e = OK;
    for (int at = 0; s.schema && !e && at < tenants_body_texts(s.schema); at++) {
        const char *name = tenants_body_text_name(s.schema, at), *kinds = tenants_kind_of(name, NULL);
        if ((!all && !*kinds) || is_by_design(s.row->route, name)) continue;
        s.body_at = at;
        s.free = !*kinds;
        s.what = arena_printf(&w->c->mem, "as %s of the body", name);
        e = with_kinds(w, &s, kinds, false);
    }
    for (int i = 0; (s.row->route->flags & ROUTE_MULTIPART) && !e && form_fields[i]; i++) {
        const char *kinds = tenants_kind_of(form_fields[i], NULL);
        if (!all && !*kinds) continue;
        s.form = form_fields[i];
        s.free = !*kinds;
        s.what = arena_printf(&w->c->mem, "as %s of the form", form_fields[i]);
        e = with_kinds(w, &s, s.free ? "document user creator" : kinds, false);
    }
    return e;
}

static enum err query(struct walker *w, struct shape s, const char *name)
{
    const char *kinds = tenants_kind_of(name, NULL);
    s.query = name;
    s.free = !strcmp(name, "q");
    s.what = arena_printf(&w->c->mem, "as ?%s", name);
    return with_kinds(w, &s, s.free ? "document user creator" : kinds, true);
}

/* Those the row says it has, and those that people would try. */
static enum err queries(struct walker *w, struct shape s, const json_t *described)
{
    static const char *const tried[] = { "user_id", "user", "creator_id", "document_id", "conversation_id", "id" };
    json_t     *own = json_object_get(described, "properties"), *v;
    const char *name;
    enum err    e = OK;
    json_object_foreach(own, name, v)
        if (!e && tenants_body_texts(v)) e = query(w, s, name);
    for (size_t i = 0; !e && i < sizeof tried / sizeof *tried; i++)
        if (!json_object_get(own, tried[i])) e = query(w, s, tried[i]);
    s.as_user = true;
    s.what = "as X-Chiron-User";
    if (!e && s.caller->rights & RIGHT_ACT_AS) e = with_kinds(w, &s, "user", true);
    return e;
}

/* As it is meant to be used, with what the caller owns: nothing of the victim's may be in the reply. */
static enum err plainly(struct walker *w, struct shape s)
{
    struct tenants_reply r;
    s.what = "asked plainly";
    enum err e = ask(w, &s, NULL, &r);
    if (!e) look_for_words(w, &s, NULL, &r);
    if (e) e = fail(w->c, e, "%s", w->now.err_text);
    arena_reset(&w->now.mem);
    return e;
}

/* Of a row without a body the schema describes the query. */
static json_t *schema_of(struct walker *w, const struct route *r, enum err *e)
{
    json_t *schema = NULL;
    *e = r->schema ? json_parse(w->c, r->schema, strlen(r->schema), &schema) : OK;
    return schema;
}

/* The row's schema takes the body that was made for it, else nothing past the guard was asked. */
static enum err check_body(struct walker *w, const struct shape *s)
{
    struct schema      *compiled = NULL;
    struct tenants_fill f = { s->of->own, s->caller, w->p->encoder, 1, -1, NULL, false };
    json_t             *v = tenants_body(s->schema, &f);
    enum err            e = schema_compile(&w->now, s->row->route->schema, &compiled);
    if (!e && schema_check(&w->now, compiled, v, s->row->route->flags & ROUTE_IGNORE_UNKNOWN))
        tenants_find(w->c, w->p, s->row, "%s %s: no body could be made for it: %s %s", s->row->route->method, s->row->route->path,
                     w->now.err_field, w->now.err_text);
    call_forgive(&w->now);
    schema_free(compiled);
    json_decref(v);
    return e;
}

static enum err walk_row(struct walker *w, struct tenants_row *row, int case_at, bool reads)
{
    const struct route  *r = row->route;
    struct tenants_case *of = &w->p->cases[case_at];
    enum err             e = OK;
    if (!strcmp(r->method, "GET") != reads) return OK;
    json_t *described = schema_of(w, r, &e), *schema = r->body_max ? described : NULL;
    for (int k = 0; !e && k < of->count; k++) {
        struct tenants_caller *caller = &of->callers[k];
        struct shape s = { .row = row, .cell = &row->cells[case_at][k], .of = of, .caller = caller, .what = "", .path_at = -1, .body_at = -1,
                           .schema = schema };
        bool public = r->rights & RIGHT_PUBLIC;
        if (public && k) continue;
        if (k == 0 && case_at == 0 && schema) e = check_body(w, &s);
        if (!e && !public && !(caller->rights & r->rights)) {
            e = without_the_right(w, s);
            continue;
        }
        if (!e && strchr(r->path, '{')) e = paths(w, s, k == 0);
        if (!e && (schema || r->flags & ROUTE_MULTIPART) && (!strchr(r->path, '{') || strcmp(r->method, "DELETE"))) e = bodies(w, s, k == 0);
        if (!e && reads && !public && (k == 0 || !strcmp(caller->role, "user"))) e = queries(w, s, described);
        if (!e && !strchr(r->path, '{')) e = plainly(w, s);
    }
    json_decref(described);
    return e;
}

/* Nobody's, or nobody's any more: only 401, or 403 where a credential is good for less. What cannot even be read may be 400, 413 or 431. */
static enum err forged(struct walker *w, struct tenants_row *row)
{
    const struct route  *r = row->route;
    struct tenants_case *of = &w->p->cases[0];
    enum err             e = OK;
    for (int i = 0; !e && i < w->p->forged_count; i++) {
        const struct tenants_forged *f = &w->p->forged[i];
        struct tenants_caller as = { .role = f->name, .headers = f->headers };
        struct shape s = { .row = row, .cell = &row->forged, .of = of, .caller = &as, .what = "with a credential that is none", .path_at = -1, .body_at = -1 };
        struct tenants_reply reply;
        struct tenants_ask   a;
        if (r->rights & RIGHT_PUBLIC && i) break;      /* who needs no credential is not asked for one */
        a = request(w, &s, NULL);
        e = ask_once(w, row, &row->forged, &a, &reply);
        if (e) e = fail(w->c, e, "%s", w->now.err_text);
        if (!e) look_for_words(w, &s, NULL, &reply);
        bool open = r->rights & RIGHT_PUBLIC || (f->none && r->flags & ROUTE_TOKEN_OPTIONAL);
        int  status = e ? 401 : reply.status;
        bool refused = status == 401 || status == 403 || status == 400 || status == 413 || status == 431 || status == 429;
        if (!refused && !open && status < 500)
            tenants_find(w->c, w->p, row, "%s %s answered %d to a credential that is none (%s): %.160s", r->method, r->path, status, f->name,
                         reply.body);
        arena_reset(&w->now.mem);
    }
    return e;
}

static enum err keeper_uses(struct walker *w, struct tenants_row *row, bool reads)
{
    const struct route *r = row->route;
    enum err            e = OK;
    if (!strcmp(r->method, "GET") != reads || r->rights & RIGHT_PUBLIC) return OK;
    json_t *described = schema_of(w, r, &e), *schema = r->body_max ? described : NULL;
    for (int i = 0; !e && i < w->p->case_count; i++) {
        struct tenants_case own = w->p->cases[i];
        char name[64], before[64];
        if (!own.keeper.headers || !(own.keeper.rights & r->rights)) continue;
        own.own = own.victim;
        struct shape s = { .row = row, .cell = &row->own, .of = &own, .caller = &own.keeper, .what = "", .path_at = -1, .body_at = -1, .schema = schema };
        struct tenants_reply reply;
        const char *kinds = parameter(r->path, 0, name, before) ? tenants_kind_of(name, before) : NULL;
        for (int k = 0; !e && k < (kinds ? own.victim->count : 1); k++) {
            if (kinds && *kinds && !kind_in(kinds, own.victim->ids[k].kind)) continue;
            s.path_at = kinds ? 0 : -1;
            e = ask(w, &s, kinds ? own.victim->ids[k].id : NULL, &reply);
            w->p->cases[i].keeper.headers = own.keeper.headers;
            if (e) e = fail(w->c, e, "%s", w->now.err_text);
            arena_reset(&w->now.mem);
        }
    }
    json_decref(described);
    return e;
}

static void rows_open(struct tenants_plan *p)
{
    int n = 0;
    if (p->rows) return;
    for (int i = 0; p->tables[i]; i++)
        for (const struct route *r = p->tables[i]; r->method; r++) n++;
    p->rows = calloc((size_t)n + 1, sizeof *p->rows);
    if (!p->rows) abort();
    p->row_count = n;
    n = 0;
    for (int i = 0; p->tables[i]; i++)
        for (const struct route *r = p->tables[i]; r->method; r++) p->rows[n++].route = r;
}

static void walker_open(struct walker *w, struct call *c, struct tenants_plan *p)
{
    *w = (struct walker){ .c = c, .p = p };
    call_init(&w->now);
    rows_open(p);
    for (int i = 0; i < p->row_count; i++) w->has_me |= !strcmp(p->rows[i].route->path, "/api/v1/me");
}

enum err tenants_walk_forged(struct call *c, struct tenants_plan *p)
{
    struct walker w;
    enum err      e = OK;
    walker_open(&w, c, p);
    for (int i = 0; !e && i < p->row_count; i++) e = forged(&w, &p->rows[i]);
    for (int i = 0; !e && i < p->row_count; i++) e = keeper_uses(&w, &p->rows[i], true);
    call_dispose(&w.now);
    return e;
}

enum err tenants_walk(struct call *c, struct tenants_plan *p, int which)
{
    struct walker w;
    enum err      e = OK;
    walker_open(&w, c, p);
    p->stored_count = 0;
    for (int pass = 0; !e && pass < 2; pass++)
        for (int i = 0; !e && i < p->row_count; i++) e = walk_row(&w, &p->rows[i], which, pass == 0);
    for (int i = 0; !e && i < p->row_count; i++)
        if (!p->rows[i].cells[which][0].kinds)
            tenants_find(c, p, &p->rows[i], "%s %s was not asked", p->rows[i].route->method, p->rows[i].route->path);
    call_dispose(&w.now);
    return e;
}

enum err tenants_walk_own(struct call *c, struct tenants_plan *p)
{
    struct walker w;
    enum err      e = OK;
    walker_open(&w, c, p);
    for (int i = 0; !e && i < p->row_count; i++) e = keeper_uses(&w, &p->rows[i], false);
    call_dispose(&w.now);
    return e;
}
