/* knowledge/extract_writer.h — the child's pen: a reader of a format writes cleaned text, headings and page ends; frames
 * go out. One thread.
 *     struct extract_writer w; writer_init(&w, emit, arg);
 *     writer_heading(&w, 1, "Nutrition", 9); writer_text(&w, p, n); writer_break(&w, 2); writer_page_end(&w, 0);
 *     writer_dispose(&w);                                                                                         */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EXTRACT_WRITER_H
#define CHIRON_KNOWLEDGE_EXTRACT_WRITER_H
#include <stdio.h>

#include "base/buf.h"
#include "base/call.h"

/* On the wire: one byte kind, four bytes length (little-endian), payload. Text comes before the marks that point into
 * it and both before the page's end. */
enum {
    FRAME_TITLE = 'T', FRAME_LANGUAGE = 'L', FRAME_NOTE = 'N', FRAME_PAGES = 'C' /* decimal */,
    FRAME_TEXT = 'X',
    FRAME_MARK = 'H',       /* u32 at, u32 body_at, u8 level (0 a record), heading */
    FRAME_PAGE = 'P',       /* decimal number: the page ends */
    FRAME_FAILED = 'F',     /* u8 enum err, words */
    FRAME_DONE = 'Z'
};
#define FRAME_MAX        (64 * 1024)
#define HEADING_MAX      200        /* bytes of one heading; longer is text */
#define HEADING_LEVELS   6
#define MARKS_MAX        200000     /* in one page */

typedef bool (*writer_emit_fn)(void *arg, const void *p, size_t n);

struct extract_writer {
    writer_emit_fn emit;
    void          *arg;
    int            breaks;          /* newlines owed before the next visible character */
    bool           space;           /* a space is owed */
    bool           keep_spaces;     /* Markdown, preformatted: spaces stay as they are */
    bool           empty;           /* nothing visible on this page yet */
    size_t         page_bytes;      /* written to this page */
    int64_t        total_bytes;     /* written to all pages */
    int            pages, marks;
    unsigned char  tail[4];         /* an unfinished UTF-8 sequence */
    int            tail_len;
    size_t         replaced;        /* bytes that were not UTF-8 */
    struct buf     out;             /* text not yet framed */
    bool           broken;          /* the other end is gone or a limit was passed; all else is ignored */
    bool           too_large;
};

void writer_init(struct extract_writer *w, writer_emit_fn emit, void *arg);
void writer_dispose(struct extract_writer *w);
/* Text as it stands in the document: control characters go, runs of blank lines become one, runs of spaces one (unless
 * keep_spaces), ligatures are spelt out, soft hyphens dropped. Broken UTF-8 becomes U+FFFD. May end inside a character. */
void writer_text(struct extract_writer *w, const char *p, size_t n);
void writer_break(struct extract_writer *w, int newlines);     /* at least so many (1 or 2) before what follows */
/* A heading: marked, and written as a line of its own. level 1..6, or 0 for a record. */
void writer_heading(struct extract_writer *w, int level, const char *p, size_t n);
/* A heading whose line, as the format spells it ("## Sleep"), is already in the source: marks it and writes line. */
void writer_heading_line(struct extract_writer *w, int level, const char *p, size_t n, const char *line, size_t line_n);
void writer_info(struct extract_writer *w, int frame, const char *p, size_t n);   /* title, language, note, pages */
void writer_page_end(struct extract_writer *w, int page);
void writer_failed(struct extract_writer *w, enum err e, const char *words);
void writer_done(struct extract_writer *w);

/* The readers. Bytes in, writer out; OK, or the first error with words in c. None opens a file, none keeps state. */
MUST_CHECK enum err extract_text_read(struct call *c, struct extract_writer *w, const char *p, size_t n);
MUST_CHECK enum err extract_markdown_read(struct call *c, struct extract_writer *w, const char *p, size_t n);
MUST_CHECK enum err extract_json_read(struct call *c, struct extract_writer *w, const char *p, size_t n);
MUST_CHECK enum err extract_html_read(struct call *c, struct extract_writer *w, const char *p, size_t n);
MUST_CHECK enum err extract_docx_read(struct call *c, struct extract_writer *w, const char *p, size_t n);

/* PDF comes as what pdftotext -bbox-layout prints. */
MUST_CHECK enum err extract_pdf_read(struct call *c, struct extract_writer *w, FILE *from);

/* Text in any of the encodings we take, as UTF-8 in *out (heap, caller frees) with a note when it was not UTF-8. */
MUST_CHECK enum err extract_text_decode(struct call *c, const char *p, size_t n, char **out, size_t *n_out, const char **note_out);
#endif
