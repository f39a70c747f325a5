/* http/conn.h — one connection: bytes in, exchanges, bytes out. Everything here runs on the listener's thread; sockets
 * are driven by listen.c, which is told what to wait for. A function that returns false wants the connection closed. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_CONN_H
#define CHIRON_HTTP_CONN_H
#include "base/buf.h"
#include "http/exchange.h"

enum conn_state { CONN_HEAD,      /* idle, or reading a head */
                  CONN_LENT,      /* a worker has the exchange */
                  CONN_BODY,      /* reading the body of a guarded request */
                  CONN_SEND,      /* writing the reply */
                  CONN_STREAM,    /* passing on a stream */
                  CONN_LINGER };  /* reply sent, waiting for the client to have read it */

struct conn {
    struct conn       *next, *prev;
    struct server     *server;
    void              *socket;        /* listen.c's */
    int                fd;
    char               remote[64];
    enum conn_state    state;
    bool               fresh;         /* no request was read yet */
    bool               reading;       /* the socket is watched for input */
    bool               retry;         /* the queue was full for a later step: lend again at the next tick */
    struct buf         in;
    size_t             scan;
    struct wire_chunks chunks;
    int64_t            body_left;     /* of a body with a length */
    int64_t            body_seen;
    bool               body_done;
    struct exchange   *x;
    int64_t            since_ms;      /* when the state began, or the last progress in sending */
    int64_t            beat_ms;       /* last byte to a stream */
    struct buf         out;           /* stream bytes on their way */
    size_t             sent;          /* of the reply or of out */
    bool               stream_done;   /* the producer has ended */
};

struct conn *conn_new(struct server *s, int fd, const char *remote);
MUST_CHECK bool conn_input(struct conn *k, const char *p, size_t n);
MUST_CHECK bool conn_writable(struct conn *k);
MUST_CHECK bool conn_posted(struct conn *k, unsigned what);
MUST_CHECK bool conn_tick(struct conn *k, int64_t now_ms);
MUST_CHECK bool conn_stopping(struct conn *k);   /* the server stops: idle ones go, streams are told */
void conn_free(struct conn *k);                  /* the socket is closed already */

/* listen.c */
void listen_read(struct conn *k, bool on);
void listen_write(struct conn *k);               /* call conn_writable when the socket takes bytes */
#endif
