/* HTML as people write it: libxml2's forgiving parser, event by event, so that a page nested a million deep costs a
 * counter and not a stack. The document is read twice: once to see whether it marks its main text (<main>, <article>),
 * once to write that, or everything but menus, scripts and forms. Nothing is fetched, whatever the page asks for. */
/* SPDX-License-Identifier: MIT */
#include <iconv.h>
#include <errno.h>
#include <libxml/HTMLparser.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "knowledge/extract_writer.h"

#define DEPTH_MAX   2000
#define PIECE_BYTES (32 * 1024)

enum part { PART_ALL, PART_MAIN, PART_ARTICLE };

struct html {
    struct extract_writer *w; /* NULL: only count */
    enum part part;           /* what is written */
    int depth, skip, pre, main, article, heading, cells;
    bool title, bullet, deep, titled;
    size_t bytes, main_bytes, article_bytes; /* visible, without what is skipped */
    struct buf line;                         /* words of the open heading or title */
    htmlParserCtxtPtr ctx;
};

static bool one_of(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = list; (p = strstr(p, name)); p += n)
        if (p[-1] == ' ' && p[n] == ' ') return true;
    return false;
}

static bool skipped(const char *name)
{
    return one_of(" script style noscript template svg math nav aside footer form button select textarea iframe object "
                  "canvas audio video ",
                  name);
}

static bool is_block(const char *name)
{
    return one_of(" p div section article main header blockquote ul ol dl table figure figcaption address details "
                  "summary fieldset body pre hr ",
                  name);
}

static int heading_level(const char *name)
{
    return name[0] == 'h' && name[1] >= '1' && name[1] <= '6' && !name[2] ? name[1] - '0' : 0;
}

static bool writes(const struct html *h)
{
    return h->w && !h->skip && (h->part == PART_ALL || (h->part == PART_MAIN ? h->main : h->article));
}

static void brk(struct html *h, int n)
{
    if (writes(h) && !h->bullet && !h->heading) writer_break(h->w, n);
}

static void language(struct html *h, const xmlChar **attrs)
{
    for (int i = 0; attrs && attrs[i]; i += 2)
        if (attrs[i + 1] && strcasecmp((const char *)attrs[i], "lang") == 0)
            writer_info(h->w, FRAME_LANGUAGE, (const char *)attrs[i + 1], strlen((const char *)attrs[i + 1]));
}

static void on_start(void *arg, const xmlChar *xname, const xmlChar **attrs)
{
    struct html *h = arg;
    const char *name = (const char *)xname;
    if (++h->depth > DEPTH_MAX) {
        h->deep = true;
        xmlStopParser(h->ctx);
        return;
    }
    if (strcmp(name, "html") == 0 && h->w) language(h, attrs);
    if (skipped(name)) h->skip++;
    if (strcmp(name, "main") == 0) h->main++;
    if (strcmp(name, "article") == 0) h->article++;
    if (strcmp(name, "title") == 0 && !h->skip && !h->titled) {
        h->title = true;
        buf_clear(&h->line);
    }
    if (is_block(name)) brk(h, 2);
    if (strcmp(name, "br") == 0) brk(h, 1);
    if (strcmp(name, "tr") == 0) brk(h, 1), h->cells = 0;
    if (one_of(" dt dd ", name)) brk(h, 1);
    if ((strcmp(name, "td") == 0 || strcmp(name, "th") == 0) && h->cells++ && writes(h)) writer_text(h->w, " | ", 3);
    if (strcmp(name, "pre") == 0) h->pre++;
    if (strcmp(name, "li") == 0) {
        brk(h, 1);
        h->bullet = true;
    }
    int level = heading_level(name);
    if (level && !h->heading) {
        h->bullet = false;
        h->heading = level;
        buf_clear(&h->line);
    }
}

static void on_end(void *arg, const xmlChar *xname)
{
    struct html *h = arg;
    const char *name = (const char *)xname;
    if (h->depth > 0) h->depth--;
    if (h->title && strcmp(name, "title") == 0) {
        h->title = false;
        h->titled = h->line.len > 0;
        if (h->w && h->line.len) writer_info(h->w, FRAME_TITLE, h->line.data, h->line.len);
    }
    if (h->heading && heading_level(name) == h->heading) {
        int level = h->heading;
        h->heading = 0;
        if (writes(h) && h->line.len) writer_heading(h->w, level, h->line.data, h->line.len);
    }
    if (strcmp(name, "li") == 0) {
        h->bullet = false;
        brk(h, 1);
    }
    if (is_block(name)) brk(h, 2);
    if (strcmp(name, "tr") == 0) brk(h, 1);
    if (strcmp(name, "pre") == 0 && h->pre) h->pre--;
    if (skipped(name) && h->skip) h->skip--;
    if (strcmp(name, "main") == 0 && h->main) h->main--;
    if (strcmp(name, "article") == 0 && h->article) h->article--;
}

static bool only_spaces(const char *p, int n)
{
    for (int i = 0; i < n; i++)
        if (!strchr(" \t\r\n", p[i]) || !p[i]) return false;
    return true;
}

static void on_text(void *arg, const xmlChar *x, int n)
{
    struct html *h = arg;
    const char *p = (const char *)x;
    bool spaces = only_spaces(p, n);
    if (!h->skip && !h->title && !spaces) {
        h->bytes += (size_t)n;
        if (h->main) h->main_bytes += (size_t)n;
        if (h->article) h->article_bytes += (size_t)n;
    }
    if (h->title || h->heading) {
        if (h->line.len + (size_t)n <= h->line.max)
            for (int i = 0; i < n; i++) buf_addc(&h->line, strchr("\t\r\n", p[i]) && p[i] ? ' ' : p[i]);
        return;
    }
    if (!writes(h)) return;
    if (h->bullet && !spaces) {
        h->bullet = false;
        writer_text(h->w, "- ", 2);
    }
    if (h->bullet) return;
    h->w->keep_spaces = h->pre > 0;
    if (h->pre) {
        writer_text(h->w, p, (size_t)n);
    } else {
        /* Outside <pre> a newline is a space. */
        for (int at = 0; at < n;) {
            int run = 0;
            while (at + run < n && p[at + run] != '\n' && p[at + run] != '\r') run++;
            if (run) writer_text(h->w, p + at, (size_t)run);
            if (at + run < n) writer_text(h->w, " ", 1);
            at += run + 1;
        }
    }
    h->w->keep_spaces = false;
}

static void on_cdata(void *arg, const xmlChar *x, int n)
{
    (void)arg, (void)x, (void)n; /* what <script> and <style> hold */
}

static enum err pass(struct call *c, struct html *h, const char *p, size_t n)
{
    htmlSAXHandler sax = { .startElement = on_start,
                           .endElement = on_end,
                           .characters = on_text,
                           .ignorableWhitespace = on_text,
                           .cdataBlock = on_cdata };
    h->ctx = htmlCreatePushParserCtxt(&sax, h, NULL, 0, NULL, XML_CHAR_ENCODING_UTF8);
    if (!h->ctx) return fail(c, ERR_TOO_LARGE, "the page does not fit into the reader's memory");
    htmlCtxtUseOptions(h->ctx, HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET |
                                   HTML_PARSE_IGNORE_ENC);
    buf_init(&h->line, 4 * LIMIT_TITLE_BYTES);
    for (size_t at = 0; at < n && !h->deep; at += PIECE_BYTES) {
        if (h->w && (h->w->broken || h->w->too_large)) break;
        htmlParseChunk(h->ctx, p + at, (int)(n - at < PIECE_BYTES ? n - at : PIECE_BYTES), 0);
    }
    htmlParseChunk(h->ctx, NULL, 0, 1);
    buf_dispose(&h->line);
    if (h->ctx->myDoc) xmlFreeDoc(h->ctx->myDoc);
    htmlFreeParserCtxt(h->ctx);
    h->ctx = NULL;
    return h->deep ? fail(c, ERR_TOO_LARGE, "the page is nested deeper than %d elements", DEPTH_MAX) : OK;
}

/* The name after charset= near the beginning; false when there is none. */
static bool declared(const char *p, size_t n, char out[40])
{
    const size_t near = n < 2048 ? n : 2048;
    for (size_t i = 0; i + 8 < near; i++) {
        if (strncasecmp(p + i, "charset=", 8) != 0) continue;
        size_t at = i + 8, o = 0;
        while (at < near && strchr("\"' ", p[at])) at++;
        while (at < near && o < 39 && p[at] > 32 && p[at] < 127 && !strchr("\"'/>;", p[at])) out[o++] = p[at++];
        out[o] = 0;
        return o > 0;
    }
    return false;
}

/* Through iconv, dropping what it cannot read. NULL when the name is unknown. */
static char *convert(const char *from, const char *p, size_t n, size_t *n_out)
{
    iconv_t cd = iconv_open("UTF-8", from);
    if (cd == (iconv_t)-1) return NULL;
    size_t cap = n * 3 + 16, left = cap;
    char *out = malloc(cap), *to = out, *in = (char *)p;
    while (out && n) {
        if (iconv(cd, &in, &n, &to, &left) != (size_t)-1) break;
        if (errno != EILSEQ || n == 0) break;
        in++, n--;
    }
    iconv_close(cd);
    if (out) *n_out = cap - left;
    return out;
}

enum err extract_html_read(struct call *c, struct extract_writer *w, const char *src, size_t src_n)
{
    char *text, *other = NULL, charset[40];
    const char *note;
    size_t n;
    enum err e = extract_text_decode(c, src, src_n, &text, &n, &note);
    if (e) return e;
    if (strncmp(note, "not", 3) == 0 && declared(src, src_n, charset)) {
        size_t on;
        other = convert(charset, src, src_n, &on);
        if (other) {
            free(text);
            text = other;
            n = on;
            note = arena_printf(&c->mem, "read as %s, as the page says", charset);
        }
    }
    writer_info(w, FRAME_NOTE, note, strlen(note));

    struct html count = { 0 }, h = { .w = w };
    e = pass(c, &count, text, n);
    if (!e) {
        h.part = count.main_bytes * 10 > count.bytes * 3      ? PART_MAIN
                 : count.article_bytes * 10 > count.bytes * 3 ? PART_ARTICLE
                                                              : PART_ALL;
        e = pass(c, &h, text, n);
    }
    if (!e) writer_page_end(w, 0);
    free(text);
    return e;
}
