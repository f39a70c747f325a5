/* Every format ends in the same clean text, so the cleaning is here and once: a reader says what it saw, this decides
 * what of it is worth keeping. Blank space is owed rather than written, which is how trailing space, leading blank
 * lines and three newlines in a row never come to be. Offsets of marks count what was really written. It does not
 * reorder, translate or interpret: what the document says, it says. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/extract_writer.h"

#include <string.h>

#include <utf8proc.h>

void writer_init(struct extract_writer *w, writer_emit_fn emit, void *arg)
{
    *w = (struct extract_writer){ .emit = emit, .arg = arg, .empty = true };
    buf_init(&w->out, FRAME_MAX);
}

void writer_dispose(struct extract_writer *w)
{
    buf_dispose(&w->out);
}

static void frame(struct extract_writer *w, int kind, const void *p, size_t n)
{
    if (w->broken) return;
    unsigned char head[5] = { (unsigned char)kind, n & 0xff, n >> 8 & 0xff, n >> 16 & 0xff, n >> 24 & 0xff };
    if (!w->emit(w->arg, head, sizeof(head)) || (n && !w->emit(w->arg, p, n))) w->broken = true;
}

static void flush(struct extract_writer *w)
{
    if (w->out.len) frame(w, FRAME_TEXT, w->out.data, w->out.len);
    buf_clear(&w->out);
}

static void put(struct extract_writer *w, const char *p, size_t n)
{
    if (w->broken) return;
    if (w->total_bytes + (int64_t)n > LIMIT_DOCUMENT_TEXT_BYTES) {
        w->too_large = true;
        return;
    }
    if (w->out.len + n > FRAME_MAX) flush(w);
    buf_add(&w->out, p, n);
    w->page_bytes += n;
    w->total_bytes += (int64_t)n;
}

static void pay_breaks(struct extract_writer *w)
{
    if (!w->empty) {
        if (w->breaks >= 2)
            put(w, "\n\n", 2);
        else if (w->breaks == 1)
            put(w, "\n", 1);
        else if (w->space)
            put(w, " ", 1);
    }
    w->breaks = 0;
    w->space = false;
    w->empty = false;
}

void writer_break(struct extract_writer *w, int newlines)
{
    if (w->breaks < newlines) w->breaks = newlines;
    w->space = false;
}

/* Latin ligatures from PDF fonts; a search for "fitness" must find "ﬁtness". */
static const char *ligature(utf8proc_int32_t cp)
{
    static const char *const spelt[] = { "ff", "fi", "fl", "ffi", "ffl", "st", "st" };
    return cp >= 0xfb00 && cp <= 0xfb06 ? spelt[cp - 0xfb00] : NULL;
}

static bool invisible(utf8proc_int32_t cp)
{
    return cp == 0xad || cp == 0xfeff || (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
           (cp >= 0x2060 && cp <= 0x2069) || (cp >= 0xe000 && cp <= 0xf8ff) || (cp >= 0xfff9 && cp <= 0xfffb) ||
           (cp >= 0xe0000 && cp <= 0xe007f) || cp >= 0xf0000;
}

static bool blank(utf8proc_int32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x202f ||
           cp == 0x205f || cp == 0x3000;
}

static void put_cp(struct extract_writer *w, utf8proc_int32_t cp, const char *raw, size_t n)
{
    if (cp == '\n' || cp == '\f' || cp == '\v' || cp == 0x85 || cp == 0x2028 || cp == 0x2029) {
        w->breaks = w->breaks < 2 ? w->breaks + 1 : 2;
        w->space = false;
    } else if (blank(cp)) {
        if (!w->keep_spaces) {
            w->space = w->breaks == 0;
        } else if (w->breaks == 0 || cp == ' ' || cp == '\t') {
            /* Indentation says what belongs to which list item; it is written with the character that follows it. */
            pay_breaks(w);
            put(w, cp == '\t' ? "\t" : " ", 1);
        }
    } else if (cp < 32 || (cp >= 0x7f && cp < 0xa0) || invisible(cp)) {
        return;
    } else {
        const char *spelt = ligature(cp);
        pay_breaks(w);
        if (spelt)
            put(w, spelt, strlen(spelt));
        else
            put(w, raw, n);
    }
}

static void put_broken(struct extract_writer *w)
{
    w->replaced++;
    put_cp(w, 0xfffd, "\xef\xbf\xbd", 3);
}

/* How many bytes a sequence that begins with this byte has; 0: it cannot begin one. */
static int sequence(unsigned char b)
{
    return b < 0x80 ? 1 : b >= 0xc2 && b < 0xe0 ? 2 : b >= 0xe0 && b < 0xf0 ? 3 : b >= 0xf0 && b < 0xf5 ? 4 : 0;
}

static size_t put_one(struct extract_writer *w, const unsigned char *p, size_t n)
{
    utf8proc_int32_t cp;
    utf8proc_ssize_t len = utf8proc_iterate(p, (utf8proc_ssize_t)n, &cp);
    if (len <= 0) {
        put_broken(w);
        return 1;
    }
    put_cp(w, cp, (const char *)p, (size_t)len);
    return (size_t)len;
}

void writer_text(struct extract_writer *w, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    while (n && w->tail_len) {
        w->tail[w->tail_len++] = *p++;
        n--;
        if (w->tail_len < sequence(w->tail[0]) && (p[-1] & 0xc0) == 0x80) continue;
        size_t had = (size_t)w->tail_len;
        unsigned char b[4];
        memcpy(b, w->tail, had);
        w->tail_len = 0;
        for (size_t i = 0; i < had;) i += put_one(w, b + i, had - i);
    }
    while (n && !w->broken && !w->too_large) {
        size_t want = (size_t)sequence(*p);
        if (want > n) {
            bool whole = true;
            for (size_t i = 1; i < n; i++) whole = whole && (p[i] & 0xc0) == 0x80;
            if (whole) {
                memcpy(w->tail, p, n);
                w->tail_len = (int)n;
                return;
            }
        }
        size_t used = put_one(w, p, want && want < n ? want : n < 4 ? n : 4);
        p += used;
        n -= used;
    }
}

static void mark(struct extract_writer *w, int level, size_t at, const char *p, size_t n)
{
    if (++w->marks > MARKS_MAX) return;
    unsigned char m[9 + HEADING_MAX];
    for (int i = 0; i < 4; i++) {
        m[i] = at >> (8 * i) & 0xff;
        m[4 + i] = w->page_bytes >> (8 * i) & 0xff;
    }
    m[8] = (unsigned char)level;
    memcpy(m + 9, p, n);
    flush(w);
    frame(w, FRAME_MARK, m, 9 + n);
}

static void trim(const char **p, size_t *n)
{
    while (*n && strchr(" \t\r\n", **p)) (*p)++, (*n)--;
    while (*n && strchr(" \t\r\n", (*p)[*n - 1])) (*n)--;
}

void writer_heading_line(struct extract_writer *w, int level, const char *p, size_t n, const char *line, size_t line_n)
{
    trim(&p, &n);
    writer_break(w, 2);
    if (n == 0 || n > HEADING_MAX) {
        writer_text(w, line, line_n);
        writer_break(w, 2);
        return;
    }
    size_t owed = w->empty ? 0 : 2, at = w->page_bytes + owed;
    writer_text(w, line, line_n);
    if (w->page_bytes > at) mark(w, level > HEADING_LEVELS ? HEADING_LEVELS : level, at, p, n);
    writer_break(w, 2);
}

void writer_heading(struct extract_writer *w, int level, const char *p, size_t n)
{
    writer_heading_line(w, level, p, n, p, n);
}

void writer_info(struct extract_writer *w, int kind, const char *p, size_t n)
{
    trim(&p, &n);
    if (n > LIMIT_TITLE_BYTES) {
        n = LIMIT_TITLE_BYTES;
        while (n && (p[n] & 0xc0) == 0x80) n--;
    }
    if (n) frame(w, kind, p, n);
}

void writer_page_end(struct extract_writer *w, int page)
{
    if (w->tail_len) {
        w->tail_len = 0;
        put_broken(w);
    }
    if (!w->empty) put(w, "\n", 1);
    flush(w);
    char number[16];
    int n = snprintf(number, sizeof(number), "%d", page);
    frame(w, FRAME_PAGE, number, (size_t)n);
    w->pages++;
    w->page_bytes = 0;
    w->marks = 0;
    w->breaks = 0;
    w->space = false;
    w->empty = true;
}

void writer_failed(struct extract_writer *w, enum err e, const char *words)
{
    unsigned char b[512];
    size_t n = strnlen(words, sizeof(b) - 1);
    b[0] = (unsigned char)e;
    memcpy(b + 1, words, n);
    frame(w, FRAME_FAILED, b, n + 1);
}

void writer_done(struct extract_writer *w)
{
    frame(w, FRAME_DONE, NULL, 0);
}
