/* models/sse_read.h — server-sent events, read as they arrive: bytes in at any split, events out. One thread at a time.
 *     struct sse_read s; sse_read_init(&s, 1 << 20, on_event, arg);
 *     while (more) if (!sse_read_feed(&s, p, n)) break;
 *     sse_read_dispose(&s);
 * Lines end in LF, CR or CRLF; comments, ids and retry hints are skipped; several data lines are joined by LF; an
 * event without data is none; what follows the last empty line is no event, as the standard says.              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_MODELS_SSE_READ_H
#define CHIRON_MODELS_SSE_READ_H
#include "base/buf.h"

/* name: "" when the event has none. data: n bytes and a NUL. Both live until it returns. false: stop reading. */
typedef bool (*sse_event_fn)(void *arg, const char *name, const char *data, size_t n);

struct sse_read {
    struct buf   line;        /* the line being read */
    struct buf   data;        /* of the event being read */
    char         name[64];    /* longer ones are cut */
    bool         after_cr;    /* an LF now belongs to the line before */
    bool         began;       /* the place of a byte order mark has passed */
    bool         some;        /* a data line came, perhaps empty */
    bool         stopped;     /* by on_event */
    bool         overflow;    /* a line or event over the maximum */
    sse_event_fn on_event;
    void        *arg;
};
void sse_read_init(struct sse_read *s, size_t max_bytes, sse_event_fn on_event, void *arg);
bool sse_read_feed(struct sse_read *s, const char *p, size_t n);   /* false: stopped or overflow, now and later */
void sse_read_dispose(struct sse_read *s);
#endif
