/* What must hold of every reader, whatever it was fed: frames are whole, text is UTF-8, marks lie in order inside their page. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_WRITER_CHECK_H
#define CHIRON_TEST_WRITER_CHECK_H
#include <assert.h>
#include <string.h>

#include <utf8proc.h>

#include "knowledge/extract_writer.h"

struct seen {
    struct buf frames, text;
};

static inline bool seen_emit(void *arg, const void *p, size_t n)
{
    return buf_add(&((struct seen *)arg)->frames, p, n);
}

static inline void seen_begin(struct seen *s, struct extract_writer *w, struct call *c)
{
    call_init(c);
    buf_init(&s->frames, 512u * 1024 * 1024);
    buf_init(&s->text, 512u * 1024 * 1024);
    writer_init(w, seen_emit, s);
}

static inline size_t seen_u32(const unsigned char *p)
{
    return p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

static inline void seen_end(struct seen *s, struct extract_writer *w, struct call *c, enum err e)
{
    const unsigned char *p = (const unsigned char *)s->frames.data;
    size_t at = 0, before = 0;
    assert(!e || c->err_text[0]);
    while (at < s->frames.len) {
        assert(at + 5 <= s->frames.len);
        size_t n = seen_u32(p + at + 1);
        assert(n <= FRAME_MAX && at + 5 + n <= s->frames.len);
        const unsigned char *q = p + at + 5;
        if (p[at] == FRAME_TEXT) {
            buf_add(&s->text, q, n);
        } else if (p[at] == FRAME_MARK) {
            size_t from = seen_u32(q), body = seen_u32(q + 4);
            assert(n > 9 && n <= 9 + HEADING_MAX && q[8] <= HEADING_LEVELS);
            assert(before <= from && from <= body && body <= s->text.len);
            before = body;
        } else if (p[at] == FRAME_PAGE) {
            for (size_t i = 0; i < s->text.len;) {
                utf8proc_int32_t cp;
                utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)s->text.data + i, (utf8proc_ssize_t)(s->text.len - i), &cp);
                assert(len > 0 && cp != 0);
                i += (size_t)len;
            }
            buf_clear(&s->text);
            before = 0;
        }
        at += 5 + n;
    }
    writer_dispose(w);
    buf_dispose(&s->frames);
    buf_dispose(&s->text);
    call_dispose(c);
}
#endif
