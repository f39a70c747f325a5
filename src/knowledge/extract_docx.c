/* DOCX: the one part of the zip that holds the text, read as a stream. A stranger's zip may claim anything, so what is
 * really unpacked is counted against a maximum and a ratio, and XML with a DTD (entities, bombs, outside files) is
 * refused: Word writes none. Which paragraph style is a heading stands in styles.xml, because the ids are translated
 * ("Ttulo1"). Text boxes are stored twice for old readers; the copy is skipped. Pictures, comments and deleted text are
 * left out. */
/* SPDX-License-Identifier: MIT */
#include <libxml/xmlreader.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zip.h>

#include "knowledge/extract_writer.h"

#define PART_MAX_BYTES (4 * LIMIT_DOCUMENT_TEXT_BYTES)
#define RATIO_MAX      400 /* unpacked : packed, once past RATIO_FROM */
#define RATIO_FROM     (8 * 1024 * 1024)
#define ENTRIES_MAX    20000
#define STYLES_MAX     2000

struct style {
    char id[64];
    int level; /* 1..6; 0 no heading; -1 the title */
};
struct part {
    zip_file_t *file;
    int64_t unpacked, packed;
    bool bomb, entities;
};
struct docx {
    struct call *c;
    struct extract_writer *w;
    zip_t *zip;
    struct style *styles;
    int style_count;
};
/* Where the reader is in a body. */
struct walk {
    struct buf line; /* the open paragraph */
    int level, tables, cells, skip_depth, paragraphs;
    bool list, in_text, title, titled;
};

static int on_read(void *arg, char *b, int n)
{
    struct part *p = arg;
    zip_int64_t got = zip_fread(p->file, b, (zip_uint64_t)n);
    if (got < 0) return -1;
    p->unpacked += got;
    if (p->unpacked > PART_MAX_BYTES || (p->unpacked > RATIO_FROM && p->unpacked > RATIO_MAX * (p->packed + 1))) {
        p->bomb = true;
        return -1;
    }
    /* Seen before the parser sees it; one cut between two reads is refused when its node comes. */
    if (memmem(b, (size_t)got, "<!DOCTYPE", 9) || memmem(b, (size_t)got, "<!ENTITY", 8)) {
        p->entities = true;
        return -1;
    }
    return (int)got;
}

static int on_close(void *arg)
{
    (void)arg;
    return 0;
}

static void quiet(void *arg, const char *msg, xmlParserSeverities s, xmlTextReaderLocatorPtr l)
{
    (void)arg, (void)msg, (void)s, (void)l;
}

static bool is(xmlTextReaderPtr r, const char *local)
{
    const xmlChar *name = xmlTextReaderConstLocalName(r);
    return name && strcmp((const char *)name, local) == 0;
}

/* The w: attribute of the current element into out; "" when it has none. */
static void attr(xmlTextReaderPtr r, const char *name, char *out, size_t max)
{
    char full[32];
    snprintf(full, sizeof(full), "w:%s", name);
    xmlChar *v = xmlTextReaderGetAttribute(r, (const xmlChar *)full);
    snprintf(out, max, "%s", v ? (const char *)v : "");
    xmlFree(v);
}

typedef void (*node_fn)(struct docx *d, xmlTextReaderPtr r, void *arg);

/* Every node of one part. *found_out is false when the archive has no such part. */
static enum err read_part(struct docx *d, const char *name, node_fn on_node, void *arg, bool *found_out)
{
    struct call *c = d->c;
    struct zip_stat st;
    *found_out = false;
    if (zip_stat(d->zip, name, 0, &st) != 0) return OK;
    if (st.encryption_method != ZIP_EM_NONE) return fail(c, ERR_INVALID, "the document is protected by a password");
    if ((int64_t)st.size > PART_MAX_BYTES)
        return fail(c, ERR_TOO_LARGE, "the document unpacks to %lld bytes; at most %lld are read", (long long)st.size,
                    (long long)PART_MAX_BYTES);
    struct part p = { .file = zip_fopen(d->zip, name, 0), .packed = (int64_t)st.comp_size };
    if (!p.file) return fail(c, ERR_INVALID, "the document is damaged: %s cannot be unpacked", name);

    enum err e = OK;
    xmlTextReaderPtr r = xmlReaderForIO(on_read, on_close, &p, NULL, NULL,
                                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_COMPACT);
    int more = r ? 1 : -1;
    if (r) xmlTextReaderSetErrorHandler(r, quiet, NULL);
    while (r && (more = xmlTextReaderRead(r)) == 1) {
        int type = xmlTextReaderNodeType(r);
        if (type == XML_READER_TYPE_DOCUMENT_TYPE || type == XML_READER_TYPE_ENTITY_REFERENCE) {
            p.entities = true;
            break;
        }
        on_node(d, r, arg);
        if (d->w->broken || d->w->too_large) break;
    }
    if (p.bomb) {
        e = fail(c, ERR_TOO_LARGE,
                 "the document unpacks to far more than its size (over %lld bytes); it looks like a zip bomb",
                 (long long)RATIO_FROM);
    } else if (p.entities) {
        e = fail(c, ERR_INVALID,
                 "the document holds XML entity definitions, which Word does not write; it was refused");
    } else if (more < 0) {
        e = fail(c, ERR_INVALID, "the document is damaged: %s is not whole or nested too deep", name);
    }
    if (r) xmlFreeTextReader(r);
    zip_fclose(p.file);
    *found_out = true;
    return e;
}

/* styles.xml: <w:style w:type="paragraph" w:styleId="Ttulo1"><w:name w:val="heading 1"/>…<w:outlineLvl w:val="0"/> */
static void on_style(struct docx *d, xmlTextReaderPtr r, void *arg)
{
    (void)arg;
    char v[80];
    if (xmlTextReaderNodeType(r) != XML_READER_TYPE_ELEMENT) return;
    if (is(r, "style")) {
        if (d->style_count >= STYLES_MAX) return;
        struct style *s = &d->styles[d->style_count++];
        attr(r, "styleId", s->id, sizeof(s->id));
        s->level = 0;
    } else if (d->style_count && is(r, "name")) {
        struct style *s = &d->styles[d->style_count - 1];
        attr(r, "val", v, sizeof(v));
        if (strncasecmp(v, "heading ", 8) == 0 && v[8] >= '1' && v[8] <= '9')
            s->level = v[8] - '0' > 6 ? 6 : v[8] - '0';
        else if (strcasecmp(v, "title") == 0)
            s->level = -1;
    } else if (d->style_count && is(r, "outlineLvl")) {
        struct style *s = &d->styles[d->style_count - 1];
        attr(r, "val", v, sizeof(v));
        if (s->level == 0 && v[0] >= '0' && v[0] <= '5' && !v[1]) s->level = v[0] - '0' + 1;
    }
}

static int style_level(const struct docx *d, const char *id)
{
    for (int i = 0; i < d->style_count; i++)
        if (strcmp(d->styles[i].id, id) == 0) return d->styles[i].level;
    if (strncasecmp(id, "Heading", 7) == 0 && id[7] >= '1' && id[7] <= '6' && !id[8]) return id[7] - '0';
    return strcasecmp(id, "Title") == 0 ? -1 : 0;
}

static void open_paragraph(struct walk *k)
{
    if (k->tables && k->paragraphs++) buf_addc(&k->line, ' ');
    if (!k->tables) buf_clear(&k->line);
    k->level = 0;
    k->list = k->title = false;
}

static void close_paragraph(struct docx *d, struct walk *k)
{
    struct extract_writer *w = d->w;
    if (k->tables) return; /* the row writes it */
    if (!k->line.len) {
        if (!k->list) writer_break(w, 2);
        return;
    }
    if (k->title && !k->titled) {
        writer_info(w, FRAME_TITLE, k->line.data, k->line.len);
        k->titled = true;
    }
    if (k->level || k->title) {
        writer_heading(w, k->level ? k->level : 1, k->line.data, k->line.len);
        return;
    }
    writer_break(w, k->list ? 1 : 2);
    if (k->list) writer_text(w, "- ", 2);
    writer_text(w, k->line.data, k->line.len);
    writer_break(w, k->list ? 1 : 2);
    buf_clear(&k->line);
}

static void close_row(struct docx *d, struct walk *k)
{
    writer_break(d->w, 1);
    if (k->line.len) writer_text(d->w, k->line.data, k->line.len);
    buf_clear(&k->line);
    writer_break(d->w, 1);
}

static void add_text(struct docx *d, struct walk *k, const char *p, size_t n)
{
    /* A paragraph longer than the buffer goes out in pieces and is then no heading. */
    if (k->line.len + n > k->line.max) {
        writer_text(d->w, k->line.data, k->line.len);
        buf_clear(&k->line);
        k->level = 0;
    }
    if (n > k->line.max)
        writer_text(d->w, p, n);
    else
        buf_add(&k->line, p, n);
}

static void open_element(struct docx *d, xmlTextReaderPtr r, struct walk *k)
{
    char v[64];
    bool empty = xmlTextReaderIsEmptyElement(r);
    if (is(r, "Fallback") || is(r, "del") || is(r, "moveFrom")) {
        if (!empty) k->skip_depth = xmlTextReaderDepth(r);
    } else if (is(r, "p")) {
        open_paragraph(k);
        if (empty) close_paragraph(d, k);
    } else if (is(r, "txbxContent")) {
        if (k->line.len && !k->tables) close_paragraph(d, k); /* its paragraphs stand inside this one */
    } else if (is(r, "pStyle")) {
        attr(r, "val", v, sizeof(v));
        int level = style_level(d, v);
        k->level = level > 0 ? level : 0;
        k->title = level < 0;
        if (strncasecmp(v, "List", 4) == 0) k->list = true;
    } else if (is(r, "outlineLvl") && !k->level) {
        attr(r, "val", v, sizeof(v));
        if (v[0] >= '0' && v[0] <= '5' && !v[1]) k->level = v[0] - '0' + 1;
    } else if (is(r, "numPr")) {
        k->list = true;
    } else if (is(r, "t")) {
        k->in_text = !empty;
    } else if (is(r, "tab")) {
        add_text(d, k, " ", 1);
    } else if (is(r, "br") || is(r, "cr")) {
        add_text(d, k, k->tables ? " " : "\n", 1);
    } else if (is(r, "noBreakHyphen")) {
        add_text(d, k, "-", 1);
    } else if (is(r, "tbl") && !empty) {
        if (k->tables++ == 0) {
            writer_break(d->w, 2);
            buf_clear(&k->line);
        }
    } else if (is(r, "tr")) {
        if (k->tables == 1) k->cells = 0;
    } else if (is(r, "tc")) {
        k->paragraphs = 0;
        if (k->tables == 1 && k->cells++) add_text(d, k, " | ", 3);
    }
}

static void close_element(struct docx *d, xmlTextReaderPtr r, struct walk *k)
{
    if (is(r, "t"))
        k->in_text = false;
    else if (is(r, "p"))
        close_paragraph(d, k);
    else if (is(r, "tr") && k->tables == 1)
        close_row(d, k);
    else if (is(r, "tbl") && k->tables && --k->tables == 0)
        writer_break(d->w, 2);
}

static void on_body(struct docx *d, xmlTextReaderPtr r, void *arg)
{
    struct walk *k = arg;
    int type = xmlTextReaderNodeType(r);
    if (k->skip_depth >= 0) {
        if (type == XML_READER_TYPE_END_ELEMENT && xmlTextReaderDepth(r) == k->skip_depth) k->skip_depth = -1;
        return;
    }
    if (type == XML_READER_TYPE_ELEMENT) {
        open_element(d, r, k);
    } else if (type == XML_READER_TYPE_END_ELEMENT) {
        close_element(d, r, k);
    } else if (k->in_text && (type == XML_READER_TYPE_TEXT || type == XML_READER_TYPE_SIGNIFICANT_WHITESPACE ||
                              type == XML_READER_TYPE_WHITESPACE)) {
        const char *v = (const char *)xmlTextReaderConstValue(r);
        if (v) add_text(d, k, v, strlen(v));
    }
}

struct core {
    int frame;
};

/* docProps/core.xml: <dc:title>, <dc:language>. */
static void on_core(struct docx *d, xmlTextReaderPtr r, void *arg)
{
    struct core *k = arg;
    int type = xmlTextReaderNodeType(r);
    if (type == XML_READER_TYPE_ELEMENT) {
        k->frame = is(r, "title") ? FRAME_TITLE : is(r, "language") ? FRAME_LANGUAGE : 0;
    } else if (type == XML_READER_TYPE_TEXT && k->frame) {
        const char *v = (const char *)xmlTextReaderConstValue(r);
        if (v) writer_info(d->w, k->frame, v, strlen(v));
        k->frame = 0;
    }
}

static enum err read_all(struct docx *d)
{
    struct call *c = d->c;
    struct core core = { 0 };
    struct walk k = { .skip_depth = -1 };
    bool found;
    if (zip_get_num_entries(d->zip, 0) > ENTRIES_MAX)
        return fail(c, ERR_TOO_LARGE, "the document holds more than %d parts", ENTRIES_MAX);
    enum err e = read_part(d, "word/styles.xml", on_style, NULL, &found);
    if (!e) e = read_part(d, "docProps/core.xml", on_core, &core, &found);
    if (e) return e;
    buf_init(&k.line, 256 * 1024);
    e = read_part(d, "word/document.xml", on_body, &k, &found);
    if (!e && !found) e = fail(c, ERR_INVALID, "the document is damaged: word/document.xml is missing");
    if (!e) {
        writer_break(d->w, 2);
        e = read_part(d, "word/footnotes.xml", on_body, &k, &found);
    }
    buf_dispose(&k.line);
    if (!e) writer_page_end(d->w, 0);
    return e;
}

enum err extract_docx_read(struct call *c, struct extract_writer *w, const char *p, size_t n)
{
    zip_error_t why;
    zip_error_init(&why);
    struct docx d = { .c = c, .w = w };
    zip_source_t *source = zip_source_buffer_create(p, n, 0, &why);
    d.zip = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    enum err e;
    if (!d.zip) {
        e = fail(c, ERR_INVALID, "the document is damaged: %.120s", zip_error_strerror(&why));
        if (source) zip_source_free(source);
    } else {
        d.styles = arena_array(&c->mem, STYLES_MAX, sizeof(*d.styles));
        e = read_all(&d);
        zip_discard(d.zip);
    }
    zip_error_fini(&why);
    return e;
}
