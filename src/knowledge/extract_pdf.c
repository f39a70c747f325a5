/* PDF has no paragraphs, only words at places. pdftotext finds the reading order and says where each line stands; this
 * file reads that and makes text of it: lines of a block are joined, words broken at a line's end made whole, bullets
 * put back before their items, cells of a row set side by side, larger type taken for headings, page numbers and
 * running titles dropped. It decides by geometry alone, page after page, so that the same file always gives the same
 * text. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "knowledge/extract_writer.h"

#define INPUT_LINE_MAX (64 * 1024)
#define PAGE_LINES_MAX 20000
#define PAGE_BYTES_MAX (8 * 1024 * 1024)
#define HEADING_RATIO  1.12
#define HEIGHTS        400 /* half points */
#define BULLET_REACH   60  /* lines a bullet may stand before its item */

struct line {
    double x0, y0, x1, y1;
    size_t at, len; /* in struct page's text */
    int block;
    bool taken; /* joined to another, or dropped */
    int bullet; /* index of the line that is its bullet, -1 none */
};
struct page {
    struct line *lines;
    int count, block;
    double height; /* points; 0 unknown */
    struct buf text;
};
struct pdf {
    struct extract_writer *w;
    struct page page;
    double heights[HEIGHTS];    /* characters by line height, over the pages so far */
    char first[128], last[128]; /* outer lines of the page before, digits as # */
    int number;
    bool titled;
};

/* No page is larger than this; what claims to be, or is no number at all, stands at 0. */
#define POINTS_MAX 1e6

static double number_after(const char *s, const char *key)
{
    const char *p = strstr(s, key);
    double v = p ? strtod(p + strlen(key), NULL) : 0;
    return v > -POINTS_MAX && v < POINTS_MAX ? v : 0;
}

static void add_word(struct page *g, struct line *l, char *s)
{
    static const struct {
        const char *name;
        char ch;
    } names[] = { { "&amp;", '&' },  { "&lt;", '<' },    { "&gt;", '>' },
                  { "&quot;", '"' }, { "&apos;", '\'' }, { "&#39;", '\'' } };
    if (l->len) {
        buf_addc(&g->text, ' ');
        l->len++;
    }
    for (char *p = s; *p;) {
        char ch = *p;
        size_t used = 1;
        for (size_t i = 0; ch == '&' && i < sizeof(names) / sizeof(*names); i++) {
            if (strncmp(p, names[i].name, strlen(names[i].name)) == 0) {
                ch = names[i].ch;
                used = strlen(names[i].name);
                break;
            }
        }
        if (!buf_addc(&g->text, ch)) return;
        l->len++;
        p += used;
    }
}

static const char *text_of(const struct page *g, const struct line *l)
{
    return g->text.data ? g->text.data + l->at : "";
}

static double height(const struct line *l)
{
    return l->y1 > l->y0 ? l->y1 - l->y0 : 0.1;
}

/* The type most characters were set in so far. */
static double body_height(const struct pdf *d)
{
    int best = 0;
    for (int i = 1; i < HEIGHTS; i++)
        if (d->heights[i] > d->heights[best]) best = i;
    return (best + 0.5) / 2;
}

static bool same_row(const struct line *a, const struct line *b)
{
    double top = a->y0 > b->y0 ? a->y0 : b->y0, bottom = a->y1 < b->y1 ? a->y1 : b->y1;
    double least = height(a) < height(b) ? height(a) : height(b);
    return bottom - top > 0.6 * least;
}

/* "•", "–", "3.", "b)" */
static bool is_bullet(const char *p, size_t n)
{
    static const char *const marks[] = { "•", "◦", "▪", "▸", "‣", "●", "○", "■", "–", "-", "*", "·", "\xef\x82\xb7" };
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (n == strlen(marks[i]) && memcmp(p, marks[i], n) == 0) return true;
    if (n < 2 || n > 4 || (p[n - 1] != '.' && p[n - 1] != ')')) return false;
    if (n == 2 && isalpha((unsigned char)p[0])) return true;
    for (size_t i = 0; i + 1 < n; i++)
        if (!isdigit((unsigned char)p[i])) return false;
    return true;
}

static bool starts_item(const char *p, size_t n)
{
    const char *sp = memchr(p, ' ', n < 6 ? n : 6);
    return sp && is_bullet(p, (size_t)(sp - p));
}

/* Page numbers: digits with at most a word around them ("Page 3 of 10", "- 3 -"). */
static bool is_page_number(const char *p, size_t n)
{
    size_t digits = 0, letters = 0;
    if (n > 20) return false;
    for (size_t i = 0; i < n; i++) {
        digits += isdigit((unsigned char)p[i]) != 0;
        letters += isalpha((unsigned char)p[i]) != 0 || (unsigned char)p[i] > 127;
    }
    return digits && (letters == 0 ? n <= 9 && !strchr("%/:.", p[n - 1])
                                   : letters <= 10 &&
                                         (strncasecmp(p, "page", 4) == 0 || strncasecmp(p, "p\xc3\xa1gina", 7) == 0 ||
                                          strncasecmp(p, "pagina", 6) == 0));
}

/* "The Handbook, page 3" on page 3. */
static bool ends_in_number(const char *p, size_t n, int number)
{
    static const char *const words[] = { "page ", "p\xc3\xa1gina ", "pagina ", "p. ", "seite " };
    size_t digits = 0;
    while (digits < n && isdigit((unsigned char)p[n - 1 - digits])) digits++;
    if (digits == 0 || digits > 6 || n > 100 || strtol(p + n - digits, NULL, 10) != number) return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        size_t w = strlen(words[i]);
        if (n >= digits + w && strncasecmp(p + n - digits - w, words[i], w) == 0) return true;
    }
    return false;
}

static void shape(const struct page *g, const struct line *l, char out[128])
{
    const char *p = text_of(g, l);
    size_t n = l->len < 127 ? l->len : 127;
    for (size_t i = 0; i < n; i++) out[i] = isdigit((unsigned char)p[i]) ? '#' : p[i];
    out[n] = 0;
}

/* Is there another line beside this one? Lines of a row follow each other closely. */
static bool in_row(const struct page *g, int i)
{
    enum { NEAR = 8 };
    for (int k = i - NEAR < 0 ? 0 : i - NEAR; k < g->count && k <= i + NEAR; k++)
        if (k != i && !g->lines[k].taken && same_row(&g->lines[i], &g->lines[k])) return true;
    return false;
}

/* In the margin, apart from the text, in type no larger than it: where running titles stand. */
static bool in_margin(const struct pdf *d, int at, bool top)
{
    const struct page *g = &d->page;
    const struct line *l = &g->lines[at];
    if (g->height > 0 && (top ? l->y0 > 0.15 * g->height : l->y1 < 0.85 * g->height)) return false;
    if (height(l) >= HEADING_RATIO * body_height(d)) return false;
    for (int i = 0; i < g->count; i++) {
        const struct line *o = &g->lines[i];
        if (i == at || same_row(l, o)) continue;
        double gap = top ? o->y0 - l->y1 : l->y0 - o->y1;
        if (gap < 0.6 * height(l)) return false;
    }
    return true;
}

/* The outermost line at the top or bottom goes when it is a page number or stood at the same place of the page before.
 */
static void drop_running(struct pdf *d, bool top, char seen[128])
{
    struct page *g = &d->page;
    int at = -1;
    char now[128];
    for (int i = 0; i < g->count; i++) {
        const struct line *l = &g->lines[i];
        if (!l->taken && (at < 0 || (top ? l->y0 < g->lines[at].y0 : l->y1 > g->lines[at].y1))) at = i;
    }
    if (at < 0) return;
    struct line *l = &g->lines[at];
    shape(g, l, now);
    bool number = g->count > 1 && !in_row(g, at) &&
                  (is_page_number(text_of(g, l), l->len) || ends_in_number(text_of(g, l), l->len, d->number + 1));
    if (number || (g->count > 3 && strcmp(now, seen) == 0 && in_margin(d, at, top))) l->taken = true;
    if (!number) snprintf(seen, 128, "%s", now);
}

static void join_bullets(struct page *g)
{
    for (int i = 0; i < g->count; i++) {
        struct line *b = &g->lines[i];
        if (b->taken || !is_bullet(text_of(g, b), b->len)) continue;
        int best = -1;
        for (int k = i + 1; k < g->count && k <= i + BULLET_REACH; k++) {
            const struct line *l = &g->lines[k];
            if (l->taken || l->bullet >= 0 || l->x0 < b->x1 || !same_row(b, l)) continue;
            if (best < 0 || l->x0 < g->lines[best].x0) best = k;
        }
        if (best < 0) continue;
        g->lines[best].bullet = i;
        b->taken = true;
    }
}

static bool has_letter(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isalpha((unsigned char)p[i]) || (unsigned char)p[i] > 127) return true;
    return false;
}

static int heading_level(const struct page *g, const struct line *l, double body)
{
    double ratio = height(l) / body;
    if (ratio < HEADING_RATIO || l->len > 120 || l->bullet >= 0 || !has_letter(text_of(g, l), l->len)) return 0;
    return ratio >= 1.7 ? 1 : ratio >= 1.3 ? 2 : 3;
}

/* "exer-" + "cise": the hyphen was the line's, not the word's. */
static bool broken_word(const char *a, size_t an, const char *b, size_t bn)
{
    return an >= 3 && bn >= 2 && a[an - 1] == '-' && islower((unsigned char)a[an - 2]) &&
           islower((unsigned char)a[an - 3]) && islower((unsigned char)b[0]) && islower((unsigned char)b[1]);
}

static void write_line(struct extract_writer *w, const struct page *g, const struct line *l, bool cut_hyphen)
{
    if (l->bullet >= 0) {
        const struct line *b = &g->lines[l->bullet];
        const char *p = text_of(g, b);
        if (isalnum((unsigned char)p[0]))
            writer_text(w, p, b->len);
        else
            writer_text(w, "-", 1);
        writer_text(w, " ", 1);
    }
    writer_text(w, text_of(g, l), l->len - cut_hyphen);
}

static void block_edges(const struct page *g, int from, double *x0, double *x1)
{
    *x0 = g->lines[from].x0;
    *x1 = g->lines[from].x1;
    for (int i = from; i < g->count && g->lines[i].block == g->lines[from].block; i++) {
        if (g->lines[i].x0 < *x0) *x0 = g->lines[i].x0;
        if (g->lines[i].x1 > *x1) *x1 = g->lines[i].x1;
    }
    for (int i = from; i-- > 0 && g->lines[i].block == g->lines[from].block;) {
        if (g->lines[i].x0 < *x0) *x0 = g->lines[i].x0;
        if (g->lines[i].x1 > *x1) *x1 = g->lines[i].x1;
    }
}

/* What stands between line a and the line b that follows it: 0 a space, 1 a newline, 2 a blank line, 3 a cell border.
 */
static int between(const struct page *g, int a, int b)
{
    const struct line *l = &g->lines[a], *m = &g->lines[b];
    if (same_row(l, m) && m->x0 >= l->x1) return m->x0 - l->x1 > 0.6 * height(l) ? 3 : 0;
    if (l->block != m->block) {
        double gap = m->y0 - l->y1;
        bool close_by = gap > -height(l) && gap < 2.5 * height(l);
        return close_by && ((m->bullet >= 0 && l->bullet >= 0) || (in_row(g, a) && in_row(g, b))) ? 1 : 2;
    }
    double x0, x1;
    block_edges(g, a, &x0, &x1);
    if (m->y0 - l->y1 > 0.9 * height(l)) return 2;
    if (m->bullet >= 0 || starts_item(text_of(g, m), m->len)) return 1;
    bool ends = strchr(".!?:;", text_of(g, l)[l->len - 1]) != NULL;
    if (l->x1 < x1 - (ends ? 0.15 : 0.35) * (x1 - x0)) return 1;
    return 0;
}

static int next_line(const struct page *g, int i)
{
    for (i++; i < g->count; i++)
        if (!g->lines[i].taken && g->lines[i].len) return i;
    return -1;
}

static void write_page(struct pdf *d)
{
    struct page *g = &d->page;
    struct extract_writer *w = d->w;
    double body = body_height(d);
    for (int i = next_line(g, -1); i >= 0;) {
        struct line *l = &g->lines[i];
        int n = next_line(g, i), level = heading_level(g, l, body);
        if (level) {
            /* A heading over two lines is one heading. */
            char words[HEADING_MAX + 1];
            int len = snprintf(words, sizeof(words), "%.*s", (int)l->len, text_of(g, l));
            while (n >= 0 && g->lines[n].block == l->block && heading_level(g, &g->lines[n], body) == level &&
                   len + 1 + (int)g->lines[n].len < HEADING_MAX) {
                len += snprintf(words + len, sizeof(words) - (size_t)len, " %.*s", (int)g->lines[n].len,
                                text_of(g, &g->lines[n]));
                n = next_line(g, n);
            }
            writer_heading(w, level, words, (size_t)len);
            i = n;
            continue;
        }
        int kind = n >= 0 ? between(g, i, n) : 2;
        bool cut = kind == 0 && n >= 0 && broken_word(text_of(g, l), l->len, text_of(g, &g->lines[n]), g->lines[n].len);
        write_line(w, g, l, cut);
        if (kind == 3)
            writer_text(w, " | ", 3);
        else if (kind > 0)
            writer_break(w, kind);
        else if (!cut)
            writer_text(w, " ", 1);
        i = n;
    }
    writer_page_end(w, ++d->number);
}

static void end_page(struct pdf *d)
{
    struct page *g = &d->page;
    for (int i = 0; i < g->count; i++) {
        int k = (int)(height(&g->lines[i]) * 2);
        d->heights[k < 0 ? 0 : k >= HEIGHTS ? HEIGHTS - 1 : k] += (double)g->lines[i].len;
    }
    drop_running(d, true, d->first);
    drop_running(d, false, d->last);
    join_bullets(g);
    write_page(d);
    g->count = 0;
    g->block = 0;
    buf_clear(&g->text);
}

static enum err read_line(struct call *c, struct pdf *d, char *s)
{
    struct page *g = &d->page;
    while (*s == ' ') s++;
    if (strncmp(s, "<word ", 6) == 0) {
        char *from = strchr(s, '>'), *to = from ? strstr(from, "</word>") : NULL;
        if (!to || !g->count) return OK;
        *to = 0;
        add_word(g, &g->lines[g->count - 1], from + 1);
    } else if (strncmp(s, "<line ", 6) == 0) {
        if (g->count >= PAGE_LINES_MAX || g->text.failed)
            return fail(c, ERR_TOO_LARGE, "page %d holds more text than a page can", d->number + 1);
        g->lines[g->count++] = (struct line){ .x0 = number_after(s, "xMin=\""),
                                              .y0 = number_after(s, "yMin=\""),
                                              .x1 = number_after(s, "xMax=\""),
                                              .y1 = number_after(s, "yMax=\""),
                                              .at = g->text.len,
                                              .block = g->block,
                                              .bullet = -1 };
    } else if (strncmp(s, "<block ", 7) == 0) {
        g->block++;
    } else if (strncmp(s, "<page ", 6) == 0) {
        g->height = number_after(s, "height=\"");
    } else if (strncmp(s, "</page>", 7) == 0) {
        if (d->number >= LIMIT_DOCUMENT_PAGES)
            return fail(c, ERR_TOO_LARGE, "the document has more than %d pages", LIMIT_DOCUMENT_PAGES);
        end_page(d);
    } else if (strncmp(s, "<title>", 7) == 0 && !d->number && !d->titled) {
        char *to = strstr(s, "</title>");
        struct line l = { 0 };
        if (!to) return OK;
        *to = 0;
        add_word(g, &l, s + 7);
        if (l.len && strncmp(text_of(g, &l), "(anonymous)", 11) && strcmp(text_of(g, &l), "untitled"))
            writer_info(d->w, FRAME_TITLE, text_of(g, &l), l.len);
        d->titled = true;
        buf_clear(&g->text);
    }
    return OK;
}

enum err extract_pdf_read(struct call *c, struct extract_writer *w, FILE *from)
{
    struct pdf *d = arena_alloc(&c->mem, sizeof(*d));
    char *line = arena_alloc(&c->mem, INPUT_LINE_MAX);
    d->w = w;
    d->page.lines = arena_array(&c->mem, PAGE_LINES_MAX, sizeof(struct line));
    buf_init(&d->page.text, PAGE_BYTES_MAX);
    enum err e = OK;
    while (!e && !w->broken && !w->too_large && fgets(line, INPUT_LINE_MAX, from)) e = read_line(c, d, line);
    buf_dispose(&d->page.text);
    return e;
}
