/* Documents made on the spot for the tests: PDF by hand, DOCX by libzip, and a pen that keeps what a reader writes. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_DOCUMENT_FILES_H
#define CHIRON_TEST_DOCUMENT_FILES_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "base/buf.h"
#include "knowledge/extract_writer.h"

/* ---- what a reader writes ---- */
struct kept {
    struct buf frames;
    struct buf text;           /* of all pages, one after the other */
    char       headings[4096]; /* "1:Title\n2:Sleep\n" */
    char       title[600], language[64], note[600];
    int        pages;
};

static inline bool keep_frame(void *arg, const void *p, size_t n)
{
    return buf_add(&((struct kept *)arg)->frames, p, n);
}

static inline void kept_init(struct kept *k, struct extract_writer *w)
{
    memset(k, 0, sizeof(*k));
    buf_init(&k->frames, 256 * 1024 * 1024);
    buf_init(&k->text, 256 * 1024 * 1024);
    writer_init(w, keep_frame, k);
}

static inline void kept_read(struct kept *k)
{
    const unsigned char *p = (const unsigned char *)k->frames.data;
    for (size_t at = 0; at + 5 <= k->frames.len;) {
        size_t n = p[at + 1] | (size_t)p[at + 2] << 8 | (size_t)p[at + 3] << 16 | (size_t)p[at + 4] << 24;
        const char *s = (const char *)p + at + 5;
        size_t h = strlen(k->headings);
        switch (p[at]) {
        case FRAME_TEXT: buf_add(&k->text, s, n); break;
        case FRAME_MARK: snprintf(k->headings + h, sizeof(k->headings) - h, "%d:%.*s\n", s[8], (int)n - 9, s + 9); break;
        case FRAME_TITLE: if (!k->title[0]) snprintf(k->title, sizeof(k->title), "%.*s", (int)n, s); break;
        case FRAME_LANGUAGE: snprintf(k->language, sizeof(k->language), "%.*s", (int)n, s); break;
        case FRAME_NOTE: snprintf(k->note, sizeof(k->note), "%.*s", (int)n, s); break;
        case FRAME_PAGE: k->pages++; break;
        }
        at += 5 + n;
    }
    buf_addc(&k->text, 0);
}

static inline void kept_dispose(struct kept *k, struct extract_writer *w)
{
    writer_dispose(w);
    buf_dispose(&k->frames);
    buf_dispose(&k->text);
}

/* ---- files ---- */
static inline void put_file(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "w");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f)) abort();
}

/* A PDF of so many pages; on page N the lines of page_text(N), one under the other, the first in larger type. */
static inline void pdf_make(struct buf *b, int pages, const char *(*page_text)(int page))
{
    size_t *at = calloc((size_t)pages * 2 + 4, sizeof(*at));
    buf_init(b, 64 * 1024 * 1024);
    buf_adds(b, "%PDF-1.4\n");
    at[1] = b->len;
    buf_adds(b, "1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n");
    at[2] = b->len;
    buf_adds(b, "2 0 obj<</Type/Pages/Kids[");
    for (int i = 0; i < pages; i++) buf_printf(b, "%d 0 R ", 4 + 2 * i);
    buf_printf(b, "]/Count %d>>endobj\n", pages);
    at[3] = b->len;
    buf_adds(b, "3 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>endobj\n");
    for (int i = 0; i < pages; i++) {
        struct buf s;
        buf_init(&s, 1024 * 1024);
        int y = 780, n = 0;
        for (const char *line = page_text(i + 1); *line; n++) {
            size_t len = strcspn(line, "\n");
            buf_printf(&s, "BT /F1 %d Tf 60 %d Td (", n ? 11 : 20, y);
            for (size_t k = 0; k < len; k++) {
                if (strchr("()\\", line[k])) buf_addc(&s, '\\');
                buf_addc(&s, line[k]);
            }
            buf_adds(&s, ") Tj ET\n");
            y -= n ? 13 : 30;
            line += len + (line[len] == '\n');
        }
        at[4 + 2 * i] = b->len;
        buf_printf(b, "%d 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>endobj\n", 4 + 2 * i, 5 + 2 * i);
        at[5 + 2 * i] = b->len;
        buf_printf(b, "%d 0 obj<</Length %zu>>stream\n%s\nendstream endobj\n", 5 + 2 * i, s.len + 1, s.data ? s.data : "");
        buf_dispose(&s);
    }
    size_t xref = b->len;
    buf_printf(b, "xref\n0 %d\n0000000000 65535 f \n", 2 * pages + 4);
    for (int i = 1; i < 2 * pages + 4; i++) buf_printf(b, "%010zu 00000 n \n", at[i]);
    buf_printf(b, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF\n", 2 * pages + 4, xref);
    free(at);
}

/* A zip of parts name, text, name, text …, NULL. */
static inline void zip_make(const char *path, const char *const *parts)
{
    int why;
    zip_t *z = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    if (!z) abort();
    for (; *parts; parts += 2) {
        zip_source_t *s = zip_source_buffer(z, parts[1], strlen(parts[1]), 0);
        if (!s || zip_file_add(z, parts[0], s, ZIP_FL_OVERWRITE) < 0) abort();
    }
    if (zip_close(z)) abort();
}

static inline char *file_get(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    if (!f) abort();
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *b = malloc(*n + 1);
    if (!b || fread(b, 1, *n, f) != *n) abort();
    b[*n] = 0;
    fclose(f);
    return b;
}

#define DOCX_OPEN "<?xml version=\"1.0\"?><w:document xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\" " \
                  "xmlns:mc=\"http://schemas.openxmlformats.org/markup-compatibility/2006\"><w:body>"
#define DOCX_CLOSE "</w:body></w:document>"
#define DOCX_P(s)  "<w:p><w:r><w:t>" s "</w:t></w:r></w:p>"
#endif
