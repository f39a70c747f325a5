/* base/buf.h — bytes that grow up to a maximum; the first addition past it fails and every later one too.
 * One thread at a time. data is NUL-terminated whenever it is not NULL.
 *     struct buf b; buf_init(&b, 4096);
 *     buf_printf(&b, "%d rows", n);
 *     if (b.failed) return fail(c, ERR_TOO_LARGE, "reply over %zu bytes", b.max);
 *     buf_dispose(&b);                                                                                */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_BUF_H
#define CHIRON_BASE_BUF_H
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char  *data;     /* heap; NULL until the first addition */
    size_t len;
    size_t cap;
    size_t max;      /* len never exceeds it */
    bool   failed;   /* an addition did not fit; contents stay what they were */
};

void buf_init(struct buf *b, size_t max);
void buf_dispose(struct buf *b);
void buf_clear(struct buf *b);                               /* len 0, failed false, memory kept */
bool buf_add(struct buf *b, const void *p, size_t n);        /* false when it does not fit */
bool buf_adds(struct buf *b, const char *s);
bool buf_addc(struct buf *b, char ch);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b, size_t *len_out);              /* moves the heap bytes out (never NULL); caller frees */
void buf_drop_front(struct buf *b, size_t n);                /* removes the first n bytes */
#endif
