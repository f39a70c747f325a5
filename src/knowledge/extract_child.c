/* The life of the extract child, in order: take the file, start pdftotext if it is a PDF, give everything else away,
 * read, write frames, leave by _exit. It never sees settings, databases, other documents or the network; its parent
 * believes nothing it says without checking. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "knowledge/extract.h"
#include "knowledge/extract_writer.h"
#include "knowledge/sandbox.h"

static bool emit(void *arg, const void *p, size_t n)
{
    const char *at = p;
    (void)arg;
    while (n) {
        ssize_t put = write(1, at, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        at += put;
        n -= (size_t)put;
    }
    return true;
}

static enum err slurp(struct call *c, char **out, size_t *n_out)
{
    struct stat st;
    if (fstat(0, &st) != 0 || st.st_size < 0 || st.st_size > LIMIT_UPLOAD_BYTES)
        return fail(c, ERR_TOO_LARGE, "the file is too large");
    size_t size = (size_t)st.st_size, got = 0;
    char *b = malloc(size + 1);
    if (!b) return fail(c, ERR_TOO_LARGE, "the file does not fit into the reader's memory");
    while (got < size) {
        ssize_t n = pread(0, b + got, size - got, (off_t)got);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        got += (size_t)n;
    }
    b[got] = 0;
    *out = b;
    *n_out = got;
    return OK;
}

static enum err tool_error(struct call *c, int status, const char *words)
{
    if (strcasestr(words, "incorrect password") || strcasestr(words, "encrypted"))
        return fail(c, ERR_INVALID, "the PDF is protected by a password");
    if (status == -SIGXCPU || status == -SIGKILL)
        return fail(c, ERR_TOO_LARGE, "the PDF takes more than %d seconds of computing to read", LIMIT_EXTRACT_SECONDS);
    if (status < 0) return fail(c, ERR_INVALID, "the PDF broke its reader (signal %d)", -status);
    if (status == 126) return fail(c, ERR_INTERNAL, "the PDF's reader cannot be locked up on this system");
    return fail(c, ERR_INVALID, "the PDF is damaged or cut off and cannot be read");
}

static enum err count_pages(struct call *c, struct extract_writer *w, int *pages_out)
{
    const char *const argv[] = { "pdfinfo", "-", NULL };
    struct tool t;
    char line[1024], words[1024];
    int pages = 0;
    enum err e = sandbox_tool(c, argv, 0, &t);
    if (e) return e;
    while (fgets(line, sizeof(line), t.out))
        if (strncmp(line, "Pages:", 6) == 0) pages = (int)strtol(line + 6, NULL, 10);
    int status = sandbox_tool_end(&t, words, sizeof(words));
    if (status) return tool_error(c, status, words);
    if (pages <= 0) return fail(c, ERR_INVALID, "the PDF is damaged: it has no pages");
    if (pages > LIMIT_DOCUMENT_PAGES)
        return fail(c, ERR_TOO_LARGE, "the PDF has %d pages; at most %d are read", pages, LIMIT_DOCUMENT_PAGES);
    int n = snprintf(line, sizeof(line), "%d", pages);
    writer_info(w, FRAME_PAGES, line, (size_t)n);
    *pages_out = pages;
    return OK;
}

static enum err read_pdf(struct call *c, struct extract_writer *w)
{
    const char *const argv[] = { "pdftotext", "-bbox-layout", "-enc", "UTF-8", "-", "-", NULL };
    struct tool t;
    char words[1024];
    int pages = 0;
    enum err e = count_pages(c, w, &pages);
    if (!e) e = sandbox_tool(c, argv, 0, &t);
    if (e) return e;
    e = sandbox_enter(c);
    if (!e) e = extract_pdf_read(c, w, t.out);
    int status = sandbox_tool_end(&t, words, sizeof(words));
    if (!e && status && !w->broken && !w->too_large) e = tool_error(c, status, words);
    if (!e && w->pages < pages && !w->broken && !w->too_large)
        e = fail(c, ERR_INVALID, "the PDF is damaged after page %d of %d", w->pages, pages);
    if (!e && w->total_bytes == 0 && !w->broken)
        e = fail(c, ERR_INVALID,
                 "the PDF has %d page%s but no text: it looks scanned; run text recognition (OCR) on it first", pages,
                 pages == 1 ? "" : "s");
    return e;
}

static enum err read_file(struct call *c, struct extract_writer *w, enum media_kind kind)
{
    char *p = NULL;
    size_t n = 0;
    enum err e = sandbox_enter(c);
    if (!e) e = slurp(c, &p, &n);
    if (e) return e;
    e = kind == MEDIA_DOCX       ? extract_docx_read(c, w, p, n)
        : kind == MEDIA_HTML     ? extract_html_read(c, w, p, n)
        : kind == MEDIA_JSON     ? extract_json_read(c, w, p, n)
        : kind == MEDIA_MARKDOWN ? extract_markdown_read(c, w, p, n)
                                 : extract_text_read(c, w, p, n);
    if (!e && w->total_bytes == 0) e = fail(c, ERR_INVALID, "there is no text in the file");
    return e;
}

int extract_child_main(int argc, char **argv)
{
    struct call c;
    struct extract_writer w;
    enum media_kind kind;
    if (argc < 2 || !media_type_of_word(argv[1], &kind)) return 2;
    sandbox_limits();
    call_init(&c);
    writer_init(&w, emit, NULL);
    xmlInitParser();
    enum err e = kind == MEDIA_PDF ? read_pdf(&c, &w) : read_file(&c, &w, kind);
    if (!e && w.too_large)
        e = fail(&c, ERR_TOO_LARGE, "the document holds more than %lld bytes of text",
                 (long long)LIMIT_DOCUMENT_TEXT_BYTES);
    if (e)
        writer_failed(&w, e, c.err_text);
    else
        writer_done(&w);
    _exit(0);
}
