/* Plain text, and Markdown, which is plain text whose headings we can see. Markdown is not rendered: a coach's own
 * marks read well, and what is cited should be what was written. The work here is the encoding: text that is not UTF-8
 * is read as UTF-16 where a mark says so, else as Windows-1252, and the document says that this was a guess. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "knowledge/extract_writer.h"

static const unsigned short CP1252[32] = { 0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                           0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd,
                                           0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                           0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178 };

static bool valid_utf8(const char *p, size_t n)
{
    const unsigned char *u = (const unsigned char *)p;
    for (size_t i = 0; i < n;) {
        if (u[i] < 0x80) {
            i++;
            continue;
        }
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate(u + i, (utf8proc_ssize_t)(n - i < 4 ? n - i : 4), &cp);
        if (len <= 0) return false;
        i += (size_t)len;
    }
    return true;
}

static size_t from_utf16(const unsigned char *p, size_t n, bool little, char *out)
{
    size_t o = 0;
    for (size_t i = 2; i + 1 < n; i += 2) {
        utf8proc_int32_t u = little ? p[i] | p[i + 1] << 8 : p[i] << 8 | p[i + 1];
        if (u >= 0xd800 && u < 0xdc00 && i + 3 < n) {
            utf8proc_int32_t v = little ? p[i + 2] | p[i + 3] << 8 : p[i + 2] << 8 | p[i + 3];
            if (v >= 0xdc00 && v < 0xe000) {
                u = 0x10000 + ((u - 0xd800) << 10) + (v - 0xdc00);
                i += 2;
            }
        }
        if (u >= 0xd800 && u < 0xe000) u = 0xfffd;
        o += (size_t)utf8proc_encode_char(u, (utf8proc_uint8_t *)out + o);
    }
    return o;
}

static size_t from_cp1252(const unsigned char *p, size_t n, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        utf8proc_int32_t u = p[i] >= 0x80 && p[i] < 0xa0 ? CP1252[p[i] - 0x80] : p[i];
        o += (size_t)utf8proc_encode_char(u, (utf8proc_uint8_t *)out + o);
    }
    return o;
}

enum err extract_text_decode(struct call *c, const char *text, size_t n, char **out, size_t *n_out,
                             const char **note_out)
{
    const unsigned char *p = (const unsigned char *)text;
    /* One byte becomes at most three, two bytes of UTF-16 at most three. */
    char *b = malloc(n * 3 + 4);
    if (!b) return fail(c, ERR_TOO_LARGE, "the text does not fit into the reader's memory");
    const char *note = "";
    size_t o;
    if (n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff))) {
        o = from_utf16(p, n, p[0] == 0xff, b);
        note = p[0] == 0xff ? "read as UTF-16LE" : "read as UTF-16BE";
    } else if (valid_utf8(text, n)) {
        size_t skip = n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
        o = n - skip;
        memcpy(b, text + skip, o);
    } else {
        o = from_cp1252(p, n, b);
        note = "not UTF-8; read as Windows-1252";
    }
    /* A lone carriage return ended lines once. */
    size_t w = 0;
    for (size_t i = 0; i < o; i++) {
        if (b[i] == '\r') {
            if (i + 1 < o && b[i + 1] == '\n') continue;
            b[w++] = '\n';
        } else {
            b[w++] = b[i];
        }
    }
    b[w] = 0;
    *out = b;
    *n_out = w;
    *note_out = note;
    return OK;
}

enum err extract_text_read(struct call *c, struct extract_writer *w, const char *p, size_t n)
{
    char *text;
    size_t len;
    const char *note;
    enum err e = extract_text_decode(c, p, n, &text, &len, &note);
    if (e) return e;
    writer_info(w, FRAME_NOTE, note, strlen(note));
    writer_text(w, text, len);
    writer_page_end(w, 0);
    free(text);
    return OK;
}

static size_t line_end(const char *p, size_t n, size_t at)
{
    const char *nl = memchr(p + at, '\n', n - at);
    return nl ? (size_t)(nl - p) : n;
}

static bool key_is(const char *p, size_t n, const char *key, const char **value, size_t *value_n)
{
    size_t k = strlen(key);
    if (n <= k || memcmp(p, key, k) != 0 || p[k] != ':') return false;
    *value = p + k + 1;
    *value_n = n - k - 1;
    while (*value_n && strchr(" \t\"'", **value)) (*value)++, (*value_n)--;
    while (*value_n && strchr(" \t\"'", (*value)[*value_n - 1])) (*value_n)--;
    return true;
}

/* Past YAML front matter, whose title and language name the document. Not closed: it is text. */
static size_t front_matter(struct extract_writer *w, const char *p, size_t n, bool *titled)
{
    if (n < 4 || memcmp(p, "---\n", 4) != 0) return 0;
    size_t at = 4, end = 0;
    for (size_t i = 4; i < n && i < LIMIT_METADATA_BYTES; i = line_end(p, n, i) + 1) {
        size_t len = line_end(p, n, i) - i;
        if (len == 3 && (memcmp(p + i, "---", 3) == 0 || memcmp(p + i, "...", 3) == 0)) {
            end = i + 3;
            break;
        }
    }
    if (!end) return 0;
    for (; at < end; at = line_end(p, n, at) + 1) {
        const char *v;
        size_t vn, len = line_end(p, n, at) - at;
        if (key_is(p + at, len, "title", &v, &vn)) {
            writer_info(w, FRAME_TITLE, v, vn);
            *titled = vn > 0;
        } else if (key_is(p + at, len, "language", &v, &vn) || key_is(p + at, len, "lang", &v, &vn)) {
            writer_info(w, FRAME_LANGUAGE, v, vn);
        }
    }
    return end;
}

/* The words of "## Words ##"; 0 when the line is no heading. */
static int atx(const char *p, size_t n, const char **words, size_t *words_n)
{
    size_t h = 0, i = 0;
    while (i < n && i < 3 && p[i] == ' ') i++;
    while (i + h < n && p[i + h] == '#') h++;
    if (h == 0 || h > 6 || i + h >= n || (p[i + h] != ' ' && p[i + h] != '\t')) return 0;
    *words = p + i + h;
    *words_n = n - i - h;
    while (*words_n && strchr(" \t#", (*words)[*words_n - 1])) (*words_n)--;
    while (*words_n && strchr(" \t", **words)) (*words)++, (*words_n)--;
    return (int)h;
}

/* 1 or 2 when the line underlines the one before it. */
static int underline(const char *p, size_t n)
{
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    if (n < 3 || (p[0] != '=' && p[0] != '-')) return 0;
    for (size_t i = 1; i < n; i++)
        if (p[i] != p[0]) return 0;
    return p[0] == '=' ? 1 : 2;
}

static bool is_text_line(const char *p, size_t n)
{
    return n && n <= HEADING_MAX && !strchr(" \t>|#-*+", p[0]);
}

enum err extract_markdown_read(struct call *c, struct extract_writer *w, const char *src, size_t src_n)
{
    char *p;
    size_t n;
    const char *note;
    enum err e = extract_text_decode(c, src, src_n, &p, &n, &note);
    if (e) return e;
    writer_info(w, FRAME_NOTE, note, strlen(note));

    bool titled = false, fence = false, paragraph = false;
    w->keep_spaces = true;
    for (size_t at = front_matter(w, p, n, &titled), end; at < n; at = end + 1) {
        end = line_end(p, n, at);
        const char *words;
        size_t len = end - at, wn;
        bool border = len >= 3 && (memcmp(p + at, "```", 3) == 0 || memcmp(p + at, "~~~", 3) == 0);
        if (border) fence = !fence;
        int level = fence ? 0 : atx(p + at, len, &words, &wn);
        size_t next = end + 1;
        if (!level && !fence && !paragraph && next < n && is_text_line(p + at, len)) {
            level = underline(p + next, line_end(p, n, next) - next);
            words = p + at;
            wn = len;
            if (level) end = line_end(p, n, next);
        }
        paragraph = !level && !border && len > 0;
        if (!level) {
            while (len && (p[at + len - 1] == ' ' || p[at + len - 1] == '\t')) len--;
            writer_text(w, p + at, len);
            writer_text(w, "\n", 1);
            continue;
        }
        if (!titled && wn) {
            writer_info(w, FRAME_TITLE, words, wn);
            titled = true;
        }
        writer_heading_line(w, level, words, wn, p + at, len);
    }
    writer_page_end(w, 0);
    free(p);
    return OK;
}
