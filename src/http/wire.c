/* http/wire.c — the grammar of RFC 9112, read in the strictest way that real clients pass. A proxy in front and this
 * parser must never disagree about where a request ends, so everything with two readings is refused: bare LF, folded
 * lines, space before a colon, two lengths, a length beside a transfer coding, any coding but chunked.
 * It refuses absolute-form and authority-form targets: this server is nobody's proxy. */
/* SPDX-License-Identifier: MIT */
#include "http/wire.h"

#include <string.h>
#include <strings.h>

#define METHOD_MAX 16
#define CHUNK_LINE_MAX 256
#define TRAILER_MAX 4096

static bool is_token_char(unsigned char ch)
{
    if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z')) return true;
    return ch != 0 && strchr("!#$%&'*+-.^_`|~", ch) != NULL;
}

bool wire_token(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_token_char((unsigned char)s[i])) return false;
    return n > 0;
}

ssize_t wire_head_end(const char *p, size_t n, size_t *scan)
{
    size_t at = *scan;
    /* A TLS hello or worse: say so now, not when the time for a head is over. */
    if (n > 0 && p[0] != '\r' && !is_token_char((unsigned char)p[0])) return -1;
    while (at < n) {
        const char *lf = memchr(p + at, '\n', n - at);
        size_t end = lf ? (size_t)(lf - p) : n;
        if (memchr(p + at, '\0', end - at)) return -1;
        if (!lf) return 0;
        if (end == 0 || p[end - 1] != '\r') return -1;
        bool empty = end - at == 1;
        if (empty && at > 0) return (ssize_t)end + 1;
        /* One empty line before the request line is a habit of old clients; the caller drops it and starts again. */
        if (empty && at == 0) return 2;
        at = end + 1;
        *scan = at;
    }
    return 0;
}

static bool bad(struct wire_head *h, int status, const char *why)
{
    h->status = status;
    h->why = why;
    return false;
}

/* One line without its CR LF, NUL-terminated in place; *p moves behind it. NULL: a CR stands inside. */
static char *take_line(char **p, char *end, size_t *len)
{
    char *line = *p;
    char *lf = memchr(line, '\n', (size_t)(end - line));
    char *stop = lf - 1;
    *p = lf + 1;
    *stop = '\0';
    *len = (size_t)(stop - line);
    return memchr(line, '\r', *len) ? NULL : line;
}

static bool parse_request_line(char *line, size_t len, struct wire_head *h)
{
    char *sp = memchr(line, ' ', len);
    if (!sp || !wire_token(line, (size_t)(sp - line))) return bad(h, 400, "the request line has no valid method");
    if (sp - line > METHOD_MAX) return bad(h, 400, "the method is longer than 16 bytes");
    *sp = '\0';
    h->method = line;
    char *target = sp + 1;
    char *sp2 = memchr(target, ' ', len - (size_t)(target - line));
    if (!sp2) return bad(h, 400, "the request line has no HTTP version");
    *sp2 = '\0';
    const char *version = sp2 + 1;
    if (strcmp(version, "HTTP/1.1") == 0) h->minor = 1;
    else if (strcmp(version, "HTTP/1.0") == 0) h->minor = 0;
    else if (strncmp(version, "HTTP/", 5) == 0) return bad(h, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else return bad(h, 400, "the request line has no HTTP version");
    if (target[0] != '/') return bad(h, 400, "the request target must start with a slash");
    for (const char *t = target; *t; t++)
        if ((unsigned char)*t <= 0x20 || *t == 0x7f || *t == '#')
            return bad(h, 400, "the request target holds a character that must be percent-encoded");
    h->path = target;
    h->query = "";
    char *q = strchr(target, '?');
    if (q) {
        *q = '\0';
        h->query = q + 1;
    }
    return true;
}

static bool parse_length(struct wire_head *h, const char *v)
{
    if (h->content_length >= 0) return bad(h, 400, "more than one Content-Length");
    size_t n = strlen(v);
    if (n == 0 || n > 18 || strspn(v, "0123456789") != n) return bad(h, 400, "Content-Length is not a number");
    int64_t x = 0;
    for (size_t i = 0; i < n; i++) x = x * 10 + (v[i] - '0');
    h->content_length = x;
    return true;
}

static void parse_connection(struct wire_head *h, const char *v)
{
    while (*v) {
        v += strspn(v, " \t,");
        size_t n = strcspn(v, " \t,");
        if (n == 5 && strncasecmp(v, "close", 5) == 0) h->keep_alive = false;
        else if (n == 10 && strncasecmp(v, "keep-alive", 10) == 0 && h->minor == 0) h->keep_alive = true;
        v += n;
    }
}

static bool parse_header(char *line, size_t len, struct wire_head *h, int *hosts)
{
    if (line[0] == ' ' || line[0] == '\t') return bad(h, 400, "a header line is folded");
    char *colon = memchr(line, ':', len);
    if (!colon || !wire_token(line, (size_t)(colon - line))) return bad(h, 400, "a header line has no valid name");
    if (h->header_count == WIRE_HEADERS_MAX) return bad(h, 431, "more than 100 header lines");
    *colon = '\0';
    for (char *s = line; *s; s++)
        if (*s >= 'A' && *s <= 'Z') *s = (char)(*s + ('a' - 'A'));
    char *v = colon + 1;
    v += strspn(v, " \t");
    size_t n = strlen(v);
    while (n > 0 && (v[n - 1] == ' ' || v[n - 1] == '\t')) v[--n] = '\0';
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)v[i] < 0x20 && v[i] != '\t') || v[i] == 0x7f)
            return bad(h, 400, "a header value holds a control character");
    h->headers[h->header_count++] = (struct wire_header){ line, v };

    if (strcmp(line, "host") == 0) (*hosts)++;
    else if (strcmp(line, "content-length") == 0) return parse_length(h, v);
    else if (strcmp(line, "connection") == 0) parse_connection(h, v);
    else if (strcmp(line, "transfer-encoding") == 0) {
        if (h->chunked) return bad(h, 400, "more than one Transfer-Encoding");
        if (strcasecmp(v, "chunked") != 0) return bad(h, 501, "only the chunked transfer coding is understood");
        h->chunked = true;
    } else if (strcmp(line, "expect") == 0) {
        if (strcasecmp(v, "100-continue") != 0) return bad(h, 417, "only Expect: 100-continue is understood");
        h->expect_continue = h->minor > 0;
    }
    return true;
}

bool wire_head_parse(char *p, size_t n, struct wire_head *h)
{
    memset(h, 0, offsetof(struct wire_head, headers));
    h->header_count = 0;
    h->chunked = h->expect_continue = false;
    h->content_length = -1;
    h->status = 400;
    h->why = "";
    char *end = p + n;
    size_t len;
    char *line = take_line(&p, end, &len);
    if (!line) return bad(h, 400, "a line holds a bare CR");
    if (!parse_request_line(line, len, h)) return false;
    h->keep_alive = h->minor > 0;
    int hosts = 0;
    while ((line = take_line(&p, end, &len)) && len > 0)
        if (!parse_header(line, len, h, &hosts)) return false;
    if (!line) return bad(h, 400, "a line holds a bare CR");
    if (hosts > 1 || (hosts == 0 && h->minor > 0)) return bad(h, 400, "exactly one Host header is needed");
    if (h->chunked && h->content_length >= 0) return bad(h, 400, "both Content-Length and Transfer-Encoding");
    if (h->chunked && h->minor == 0) return bad(h, 400, "HTTP/1.0 has no transfer codings");
    int tokens = 0;
    for (int i = 0; i < h->header_count; i++) tokens += strcmp(h->headers[i].name, "authorization") == 0;
    if (tokens > 1) return bad(h, 400, "more than one Authorization header");
    return true;
}

const char *wire_header(const struct wire_head *h, const char *name)
{
    for (int i = 0; i < h->header_count; i++)
        if (strcmp(h->headers[i].name, name) == 0) return h->headers[i].value;
    return NULL;
}

enum { CHUNK_SIZE, CHUNK_EXTENSION, CHUNK_SIZE_LF, CHUNK_BYTES, CHUNK_CR, CHUNK_LF, TRAILER_START, TRAILER_LINE,
       TRAILER_LF, TRAILER_LAST_LF, CHUNKS_DONE };

static int hex_value(char ch)
{
    if (ch >= '0' && ch <= '9') return ch - '0';
    if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F') return ch - 'A' + 10;
    return -1;
}

/* One byte of everything that is not chunk data. false: malformed. */
static bool chunk_byte(struct wire_chunks *d, char ch)
{
    switch (d->state) {
    case CHUNK_SIZE: {
        int v = hex_value(ch);
        if (v >= 0) {
            if (++d->digits > 15) return false;
            d->left = d->left * 16 + (uint64_t)v;
            return true;
        }
        if (d->digits == 0) return false;
        if (ch == '\r') d->state = CHUNK_SIZE_LF;
        else if (ch == ';' || ch == ' ' || ch == '\t') d->state = CHUNK_EXTENSION;
        else return false;
        d->line = 0;
        return true;
    }
    case CHUNK_EXTENSION:
        if (ch == '\r') d->state = CHUNK_SIZE_LF;
        else if (ch == '\n' || ch == '\0' || ++d->line > CHUNK_LINE_MAX) return false;
        return true;
    case CHUNK_SIZE_LF:
        d->state = d->left > 0 ? CHUNK_BYTES : TRAILER_START;
        return ch == '\n';
    case CHUNK_CR:
        d->state = CHUNK_LF;
        return ch == '\r';
    case CHUNK_LF:
        d->state = CHUNK_SIZE;
        d->digits = 0;
        d->left = 0;
        return ch == '\n';
    case TRAILER_START:
        if (ch == '\r') {
            d->state = TRAILER_LAST_LF;
            return true;
        }
        d->state = TRAILER_LINE;
        /* fallthrough */
    case TRAILER_LINE:
        if (ch == '\r') d->state = TRAILER_LF;
        else if (ch == '\n' || ch == '\0' || ++d->trailer > TRAILER_MAX) return false;
        return true;
    case TRAILER_LF:
        d->state = TRAILER_START;
        return ch == '\n';
    case TRAILER_LAST_LF:
        d->state = CHUNKS_DONE;
        return ch == '\n';
    default:
        return false;
    }
}

enum wire_step wire_chunks_next(struct wire_chunks *d, const char **p, size_t *n, const char **data, size_t *data_len)
{
    while (d->state != CHUNKS_DONE && *n > 0) {
        if (d->state == CHUNK_BYTES) {
            size_t take = d->left < *n ? (size_t)d->left : *n;
            *data = *p;
            *data_len = take;
            *p += take;
            *n -= take;
            d->left -= take;
            if (d->left == 0) d->state = CHUNK_CR;
            return WIRE_DATA;
        }
        char ch = **p;
        (*p)++;
        (*n)--;
        if (!chunk_byte(d, ch)) return WIRE_BAD;
    }
    return d->state == CHUNKS_DONE ? WIRE_END : WIRE_MORE;
}

bool wire_utf8(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        unsigned char a = (unsigned char)s[i];
        if (a < 0x80) {
            i++;
            continue;
        }
        int more = a >= 0xc2 && a <= 0xdf ? 1 : (a & 0xf0) == 0xe0 ? 2 : a >= 0xf0 && a <= 0xf4 ? 3 : 0;
        if (more == 0 || n - i < (size_t)more + 1) return false;
        uint32_t cp = a & (0x3fu >> more);
        for (int k = 1; k <= more; k++) {
            unsigned char b = (unsigned char)s[i + (size_t)k];
            if ((b & 0xc0) != 0x80) return false;
            cp = cp << 6 | (b & 0x3fu);
        }
        if ((more == 2 && cp < 0x800) || (more == 3 && (cp < 0x10000 || cp > 0x10ffff))) return false;
        if (cp >= 0xd800 && cp <= 0xdfff) return false;
        i += (size_t)more + 1;
    }
    return true;
}

bool wire_decode(const char *s, size_t n, bool plus, char *out)
{
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        char ch = s[i];
        if (ch == '%') {
            if (n - i < 3) return false;
            int hi = hex_value(s[i + 1]), lo = hex_value(s[i + 2]);
            if (hi < 0 || lo < 0) return false;
            ch = (char)(hi * 16 + lo);
            i += 2;
        } else if (plus && ch == '+') {
            ch = ' ';
        }
        if (((unsigned char)ch < 0x20 && !(plus && (ch == '\n' || ch == '\r' || ch == '\t'))) || ch == 0x7f) return false;
        out[o++] = ch;
    }
    out[o] = '\0';
    return wire_utf8(out, o);
}
