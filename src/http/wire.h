/* http/wire.h — HTTP/1.1 as bytes: the head of a request and chunked bodies. Parses in place, allocates nothing, strict:
 * what two readers could read differently is refused. One thread at a time.
 *     ssize_t n = wire_head_end(buf, len, &scan);        // 0: more to come, -1: never will be one
 *     if (n > 0 && !wire_head_parse(buf, n, &head)) …head.status and head.why say what is wrong…             */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_WIRE_H
#define CHIRON_HTTP_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_HEADERS_MAX 100

struct wire_header {
    const char *name;              /* lower case */
    const char *value;             /* without white space around it */
};
struct wire_head {
    const char *method;            /* a token, at most 16 bytes */
    const char *path;              /* still percent-encoded, starts with '/' */
    const char *query;             /* still encoded, without '?'; "" when absent */
    struct wire_header headers[WIRE_HEADERS_MAX];
    int     header_count;
    int     minor;                 /* HTTP/1.minor, 0 or 1 */
    int64_t content_length;        /* -1 when absent */
    bool    chunked;
    bool    keep_alive;
    bool    expect_continue;
    int         status;            /* set when parsing failed: the status to answer with */
    const char *why;               /* and its words, static */
};

/* Bytes of the head with its empty line, once it is all there; 0 before; -1 when a line does not end in CR LF or holds
 * a NUL, or the first byte begins no method. *scan starts at 0 and remembers how far was looked. An empty line before the request line is a head of 2
 * bytes: drop it, *scan = 0, look again. */
ssize_t wire_head_end(const char *p, size_t n, size_t *scan);
/* p[n] must be writable up to n; strings of *out point into p. */
bool wire_head_parse(char *p, size_t n, struct wire_head *out);
const char *wire_header(const struct wire_head *h, const char *lower_case_name);   /* the first; NULL when absent */

/* A chunked body, decoded piece by piece. Start from a zeroed struct. */
struct wire_chunks {
    int      state;
    uint64_t left;                 /* bytes of the current chunk still to come */
    int      line;                 /* bytes of the current line: chunk extensions and trailers are bounded */
    int      digits;
    int      trailer;              /* bytes of all trailers */
};
enum wire_step { WIRE_DATA, WIRE_MORE, WIRE_END, WIRE_BAD };
/* Takes bytes from *p, *n. WIRE_DATA: *data, *data_len is the next piece of body; call again. WIRE_MORE: all taken.
 * WIRE_END: the body is complete, what is left belongs to the next request. WIRE_BAD: malformed. */
enum wire_step wire_chunks_next(struct wire_chunks *d, const char **p, size_t *n, const char **data, size_t *data_len);

/* Percent-decoding of n bytes into out (n + 1 bytes). plus: '+' is a space. false: a bad escape, NUL or other control
 * character, or not UTF-8. */
bool wire_decode(const char *s, size_t n, bool plus, char *out);
bool wire_utf8(const char *s, size_t n);
bool wire_token(const char *s, size_t n);    /* a non-empty RFC 9110 token */
#endif
