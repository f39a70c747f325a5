/* http/http.h — routes, requests, replies and streams. A handler is plain blocking C on a worker thread: it reads its
 * validated body, calls rules, writes one reply or one stream, and returns. An error it returns becomes the error reply
 * from the call's words; it writes no status by hand.
 *     static enum err get_doc(struct req *r) {
 *         struct document d;
 *         enum err e = document_get(&r->call, req_path(r, "id"), &d);
 *         if (e) return e;
 *         struct json_out *j = reply_json(r, 200);
 *         json_begin_object(j); json_put_text(j, "id", d.id); json_end(j);
 *         return OK;
 *     }
 *     const struct route knowledge_routes[] = {
 *         { "GET", "/api/v1/hub/documents/{id}", RIGHT_READ, 0, NULL, get_doc, "One document", "hub",
 *           0, NULL, NULL, NULL }, { 0 } };   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_HTTP_H
#define CHIRON_HTTP_HTTP_H
#include "base/access.h"
#include "base/call.h"
#include "base/conf.h"
#include "base/json.h"

extern const struct setting http_settings[];

struct req;
typedef enum err (*handler_fn)(struct req *r);

enum { ROUTE_MULTIPART = 1,    /* body is multipart/form-data, files streamed to disk before the handler runs */
       ROUTE_RAW = 2,          /* body is kept as bytes, no JSON */
       ROUTE_OPENAI = 4,       /* errors in the OpenAI envelope */
       ROUTE_IGNORE_UNKNOWN = 8,/* unknown members of the body are allowed whatever the schema says */
       ROUTE_TOKEN_OPTIONAL = 32,/* unless AUTH_REQUIRED, a caller without a credential may ask in the row's house, for the user named */
       ROUTE_ARCHIVE = 64,     /* the reply may be a zip archive instead of JSON */
       ROUTE_DEADLINE = 16     /* the body may hold deadline_ms and stage_ms: less is done in less time, and the reply says so */ };

struct route {
    const char *method;        /* "GET" … */
    const char *path;          /* literal segments and {name}; a last "{name...}" takes the rest */
    unsigned    rights;        /* any of these enum right bits; 0 refuses everyone */
    int64_t     body_max;      /* bytes; 0: no body is accepted */
    const char *schema;        /* JSON Schema subset text of the body, or for the description of the query where there is no body; NULL: none */
    handler_fn  handler;
    const char *summary;       /* one line, for openapi.json and /docs */
    const char *surface;       /* tag: "rag", "arc", "cre", "hub", "openai", "admin", "coaching" */
    unsigned    flags;         /* ROUTE_… */
    const char *house;         /* creator used when the credential names none ("rag"); NULL: 403 then */
    const char *reply_schema;  /* JSON Schema of the 2xx body for openapi.json, may be NULL */
    const char *rate;          /* name of the limit policy, NULL: the surface's */
};

struct upload {                /* one file of a multipart body */
    const char *name;          /* field name */
    const char *filename;      /* as sent, path parts removed; "" when absent */
    const char *path;          /* temporary file, removed after the handler unless renamed away */
    int64_t     size_bytes;
    const char *sha256;        /* hex, computed while streaming */
};

struct req {
    struct call         call;        /* first: &r->call is the domain's context */
    const struct route *route;
    const char         *method, *path;
    const json_t       *json;        /* the validated body of a JSON route, else NULL */
    const char         *body;        /* bytes of a JSON or ROUTE_RAW body */
    size_t              body_len;
    struct upload      *uploads;     /* ROUTE_MULTIPART */
    int                 upload_count;
    const char         *remote;      /* address of the client: call.remote */
};

/* Members of a ROUTE_DEADLINE row's schema. Time counts from the request's first byte. Any route's deadline may also come in
 * the header X-Deadline-Ms; the body's wins. */
#define DEADLINE_MEMBERS \
    "\"deadline_ms\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":120000,\"description\":\"when the answer is wanted, in ms from " \
    "now: with less time less is done, and degraded says what\"}," \
    "\"stage_ms\":{\"type\":\"object\",\"additionalProperties\":false,\"description\":\"the most ms a stage may take\",\"properties\":{" \
    "\"embed\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":120000},\"search\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":120000}," \
    "\"rerank\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":120000},\"generate\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":120000}}}"

/* The schema of a row without a body: its query parameters, for the description. The handler checks them. */
#define URL_QUERY(members) "{\"type\":\"object\",\"properties\":{" members "}}"
#define QUERY_LIMIT    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200,\"default\":50}"
#define QUERY_OFFSET   "\"offset\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000000000,\"default\":0}"
#define QUERY_TEXT(name) "\"" name "\":{\"type\":\"string\"}"

int64_t req_deadline(struct req *r);    /* the one the caller asked for, a clock_mono_ms value; 0: none */
const char *req_path(struct req *r, const char *name);                       /* decoded; "" when absent */
const char *req_query(struct req *r, const char *name);                      /* decoded; NULL when absent */
MUST_CHECK enum err req_query_int(struct req *r, const char *name, int64_t dflt, int64_t min, int64_t max, int64_t *out);
const char *req_header(struct req *r, const char *lower_case_name);          /* NULL when absent */
bool req_secure(struct req *r);                                              /* a trusted proxy says that the client spoke https */
const char *req_form(struct req *r, const char *name);                       /* multipart text field; NULL when absent */

/* This request is about to wait for something that uses no worker: its thread leaves the ordinary ones and another takes its place,
 * so that those who wait cannot keep those who work from a thread. false: HTTP_STREAM_WORKERS have left already. */
bool req_step_aside(struct req *r);

/* A JSON reply: write the body into the writer; it is sent when the handler returns OK (discarded on an error). */
struct json_out *reply_json(struct req *r, int status);
void reply_header(struct req *r, const char *name, const char *value);       /* before the handler returns or streams */
void reply_bytes(struct req *r, int status, const char *content_type, const void *p, size_t n);  /* copied */
void reply_static(struct req *r, int status, const char *content_type, const void *p, size_t n); /* p outlives the process's replies; ETag and 304 handled */
void reply_empty(struct req *r, int status);                                 /* 204 … */

/* Server-sent events. After sse_begin the status is sent; an error returned later becomes an `error` event.
 * sse_send waits while the reader is slow; ERR_CANCELLED once it is gone (c->stop is set then too). Heartbeat comments
 * are sent by the listener. event NULL: a data-only message; id NULL: none. sse_begin takes the call's deadline away: a
 * stream lasts as long as its reader, unless the handler sets one after it. ERR_BUSY: HTTP_STREAM_WORKERS are open. */
MUST_CHECK enum err sse_begin(struct req *r);
MUST_CHECK enum err sse_send(struct req *r, const char *event, const char *id, const char *data, size_t n);
bool sse_started(struct req *r);

/* Authentication and limits are given by main (base/access.h). The guard then opens the tenant (the credential's creator, else
 * the row's house). */
struct http_conf {
    const char *const         *listen;      /* "127.0.0.1:8000", ended by NULL; port 0 picks one */
    const struct route *const *tables;      /* NULL-ended list of route tables, each ended by a zero row */
    authenticate_fn            authenticate;
    limit_fn                   limit;       /* NULL: nothing is limited */
    limit_outcome_fn           limit_outcome; /* with limit */
    void                     (*seen)(struct call *c); /* a caller is about to be served, their creator open; may be NULL, never waits */
    /* A text that only this instance can make of another, in c->mem; seals kept replies. NULL: they are sealed by their keys alone. */
    const char              *(*derive)(struct call *c, const char *purpose, const char *text);
    const char                *title, *version;   /* openapi info */
    int                        workers;     /* threads for handlers */
};
/* Binds and serves until http_stop; ready is called once all addresses accept, with the bound ones. */
MUST_CHECK enum err http_serve(struct call *c, const struct http_conf *conf, void (*ready)(void *arg, const char *const *bound), void *arg);
void http_stop(void);    /* from a signal handler or any thread: accept no more, finish what runs, return from http_serve */
/* Aborts the build's check: rows with rights 0, no summary, schema that does not parse, two rows for one method and path. */
MUST_CHECK enum err http_check_tables(struct call *c, const struct route *const *tables);
/* openapi.json of the tables into out. */
MUST_CHECK enum err http_openapi(struct call *c, const struct http_conf *conf, struct buf *out);
extern const struct route http_routes[];   /* /openapi.json, /docs */
#endif
