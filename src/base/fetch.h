/* base/fetch.h — HTTP requests and mail to others; the only user of libcurl. Blocking; any thread. TLS is verified, redirects
 * are not followed, only http and https. The deadline is the earlier of opts and the call's; a set c->stop ends it.
 *     struct fetch_reply r;
 *     enum err e = fetch(c, &(struct fetch_opts){ .method = "POST", .url = u, .body = b, .body_len = n }, &r);  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_FETCH_H
#define CHIRON_BASE_FETCH_H
#include <stdbool.h>
#include <stddef.h>

#include "base/call.h"

struct fetch_opts {
    const char        *method;        /* NULL: GET */
    const char        *url;
    const char *const *headers;       /* "Name: value", ended by NULL; may be NULL */
    const char        *body;          /* may be NULL */
    size_t             body_len;
    int64_t            timeout_ms;    /* 0: LIMIT_FETCH_MS */
    int64_t            idle_ms;       /* no byte for this long is ERR_TIMEOUT; 0: none */
    size_t             max_bytes;     /* 0: LIMIT_FETCH_BYTES */
    /* Streaming: called per piece of a 2xx body instead of collecting it; false ends the transfer with OK. */
    bool (*on_data)(void *arg, const char *p, size_t n);
    void *arg;
    const char        *to_file;       /* write a 2xx body there (created, truncated, or appended when resume_from > 0) */
    int64_t            resume_from;   /* sends a Range from this byte; status is then 206 or 200 */
    /* With to_file: called as the body of a 2xx arrives, the first time before a byte of it is written, with the bytes the
     * file has and will have (-1: not said) and the ETag ("" when absent). false ends the transfer with ERR_CANCELLED. */
    bool (*on_progress)(void *arg, int64_t have_bytes, int64_t total_bytes, const char *etag);
};
struct fetch_reply {
    int         status;
    const char *body;                 /* in c->mem, NUL-terminated; error bodies too, cut at 64 KiB when streaming */
    size_t      body_len;
    int         retry_after_s;        /* from the header (seconds or date), -1 when absent */
    const char *content_type;         /* in c->mem, "" when absent */
    const char *etag;                 /* in c->mem as it was sent, "" when absent; so too the next two */
    const char *linked_etag;          /* X-Linked-Etag: of the file that a redirect leads to */
    const char *location;             /* absolute; "" also when it is no http or https address */
};
/* OK for every complete answer, whatever its status. ERR_UPSTREAM: cannot connect, broken reply; ERR_TIMEOUT;
 * ERR_CANCELLED; ERR_TOO_LARGE: more than max_bytes
 * came, or will. A 206 that begins elsewhere than asked is ERR_UPSTREAM. */
MUST_CHECK enum err fetch(struct call *c, const struct fetch_opts *o, struct fetch_reply *out);

/* One mail to one recipient by SMTP. */
struct mail_opts {
    const char *url;              /* smtp://[USER:PASSWORD@]HOST[:PORT] or smtps://…, user and password percent-encoded */
    const char *from, *to;        /* addresses, without names and angle brackets */
    const char *message;          /* headers and body with CRLF line ends (base/message.h) */
    size_t      message_len;
    const char *ca_file;          /* who may vouch for the server, PEM; NULL: the system's list */
    bool        plain_allowed;    /* smtp:// goes on without TLS when the server has none; otherwise that is refused */
    int64_t     timeout_ms;       /* 0: LIMIT_MAIL_MS */
};
/* OK: the server has taken it. ERR_INVALID: an address that cannot stand there. ERR_UPSTREAM: not taken; *permanent_out says
 * that it will not be later either (a 5xx reply to the recipient or the message). ERR_TIMEOUT, ERR_CANCELLED. The words hold
 * neither addresses nor the password. */
MUST_CHECK enum err fetch_mail(struct call *c, const struct mail_opts *o, bool *permanent_out);

void fetch_open(void);    /* once, before threads */
void fetch_close(void);
#endif
