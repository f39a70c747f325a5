/* http/exchange.h — one request with its reply: the private contract of this folder. The listener owns an exchange and
 * lends it to a worker; while it is lent the listener touches nothing of it but `gone` and the locked stream.
 *     x = exchange_new(server);  …head…  workers_submit(server->workers, exchange_work, x);
 *     …the worker posts POST_GUARDED, POST_FED, POST_DATA or POST_DONE back through conn_post.             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_EXCHANGE_H
#define CHIRON_HTTP_EXCHANGE_H
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "base/cidr.h"
#include "http/http.h"
#include "http/route.h"
#include "http/wire.h"
#include "http/workers.h"

#define QUERY_PAIRS_MAX 64
#define ORIGINS_MAX 32

/* Times and counts of the listener: base/limits.h, and shorter ones in tests. Set before http_serve. */
struct http_limits {
    int64_t header_ms, body_ms, idle_ms, stall_ms, heartbeat_ms, stop_ms;
    int     connections, queue;
};
extern struct http_limits http_limits;

struct server {
    const struct http_conf *conf;
    struct routes          *routes;
    struct workers         *workers;
    char                   *origins[ORIGINS_MAX + 1];   /* CORS_ORIGINS, split */
    char                    tmp_dir[512];               /* for uploads; "" when there is no store */
    struct buf              openapi;                    /* made once at start */
    struct cidr             proxies[CIDR_MAX];          /* TRUSTED_PROXIES */
    int                     proxy_count;
    bool                    forwarded_rfc;              /* they write Forwarded, not X-Forwarded-For */
    bool                    auth_required;              /* AUTH_REQUIRED */
    atomic_bool             stopping;
};

/* A server-sent stream: the worker fills the queue, the listener empties it. */
struct stream {
    pthread_mutex_t lock;
    pthread_cond_t  room;
    struct buf      queue;         /* framed for the wire; at most LIMIT_SSE_QUEUE_BYTES */
    bool            open;          /* sse_begin was called */
    bool            mid_event;     /* an event is only partly in the queue: nothing may come between */
    bool            gone;          /* the reader left or was dropped */
    bool            chunked;       /* HTTP/1.1: the end of the stream can be told from a broken one */
};

enum stage { STAGE_GUARD,          /* look at the head only: the body is still outside */
             STAGE_FEED,           /* a piece of a multipart body waits in x->piece */
             STAGE_RUN };          /* everything is here */
enum { POST_GUARDED = 1, POST_FED = 2, POST_DATA = 4, POST_DONE = 8 };

struct multipart;
struct idempotent;
struct conn;
struct exchange {
    struct req         req;            /* first; req.call.mem holds the head and everything parsed from it */
    struct server     *server;
    struct wire_head   head;
    enum stage         stage;
    bool               guarded;        /* guard_head was passed */
    bool               close_after;    /* the connection cannot be used again */
    int64_t            began_us;
    bool               from_proxy;     /* the peer is a trusted proxy */
    bool               forwarded;      /* a proxy that is not trusted says it speaks for others */
    struct credential  cred;
    struct limit_state limited;        /* what the reply says of the caller's limit; limit 0: nothing */
    int64_t            asked_ms;       /* the caller's deadline, from began_us; 0 none */
    const struct route_row *row;
    struct route_match match;
    int                query_count;
    struct { const char *name, *value; } query[QUERY_PAIRS_MAX];

    struct buf         body;           /* JSON and raw bodies */
    struct buf         piece;          /* STAGE_FEED: bytes of the multipart body, and whether they are the last */
    struct idempotent *idempotent;     /* while it runs under an Idempotency-Key; in the arena */
    struct multipart  *form;
    json_t            *json;

    int                status;         /* of the reply; 0 while none was written */
    const char        *content_type;
    struct buf         extra;          /* header lines of the handler */
    bool               own_csp, own_cache;
    struct buf         reply;          /* body made by the handler */
    struct json_out    json_out;
    const void        *fixed;          /* body that outlives the process's replies */
    size_t             fixed_len;
    struct buf         head_out;       /* status line and headers, ready to send */
    bool               head_only;      /* HEAD: no body is sent */
    int64_t            sent_bytes;     /* of a stream, for the log */

    struct stream      stream;
    atomic_bool        gone;           /* what call.stop points to */

    struct exchange   *post_next;      /* under the mailbox's lock */
    unsigned           posts;
    struct conn       *conn;           /* listener only, as the next: NULL once the connection is closed */
    bool               lent;           /* a worker has it */
};

struct exchange *exchange_new(struct server *s);
void exchange_free(struct exchange *x);
void exchange_work(void *exchange);                /* on a worker */
/* Listener: an answer without a worker (malformed head, full queue, timeout). */
void exchange_refuse(struct exchange *x, int status, const char *why);

/* From a worker to the listener: what has happened to x. After POST_DONE the worker must not touch it. */
void conn_post(struct exchange *x, unsigned what);

/* guard.c: everything that can be refused from the head; then the body; then whose data it is. */
MUST_CHECK enum err guard_head(struct exchange *x);
MUST_CHECK enum err guard_body(struct exchange *x);
MUST_CHECK enum err guard_tenant(struct exchange *x);
void guard_cors(struct exchange *x, struct buf *out);   /* header lines for an allowed Origin */
bool guard_body_expected(const struct exchange *x);
void guard_outcome(struct exchange *x, int status);     /* tells the limiter of a refusal */

/* remote.c */
MUST_CHECK enum err remote_open(struct call *c, struct server *s);
void remote_find(struct exchange *x, const char *peer);  /* fills call.remote; after the head was parsed */

/* deadline.c */
void deadline_open(void);                               /* reads the settings; before requests */
void deadline_start(struct exchange *x);                /* what holds until the request says otherwise */
void deadline_apply(struct exchange *x);                /* the caller's own, from here on */
MUST_CHECK enum err deadline_head(struct exchange *x);  /* X-Deadline-Ms; ERR_INVALID */
MUST_CHECK enum err deadline_body(struct exchange *x);  /* deadline_ms and stage_ms of ROUTE_DEADLINE rows; ERR_INVALID */

/* reply.c */
void reply_finish(struct exchange *x, enum err e);      /* makes head_out from the reply, or from the call's error */
void reply_head(struct exchange *x, int status, int64_t length);   /* length -1: chunked or until close */
int  reply_status(const struct exchange *x, enum err e);
void reply_error_body(struct exchange *x, enum err e, int status, struct buf *out);
const char *reply_reason(int status);

/* sse.c */
void stream_init(struct stream *s);
void stream_dispose(struct stream *s);
void stream_drop(struct stream *s);                     /* listener: the reader is gone, wake the producer */
/* Listener: moves at most max bytes out of the queue; they are counted as room at once. */
size_t stream_take(struct stream *s, struct buf *out, size_t max);
bool stream_heartbeat(struct exchange *x);              /* listener: queue a comment when nothing waits */
void stream_end(struct exchange *x, enum err e);        /* worker: the error event when e, then the end mark */
#endif
