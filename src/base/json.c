/* base/json.c — strict reading on top of jansson, and the streaming writer. The writer is on the path of every reply
 * and of whole batches of embeddings, so text goes out in runs and floats are formatted with integer arithmetic.
 * Reading refuses what parsers disagree about: duplicate keys, trailing bytes, NULs, bad UTF-8, absurd depth. */
/* SPDX-License-Identifier: MIT */
#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_out_init(struct json_out *j, struct buf *to)
{
    memset(j, 0, sizeof *j);
    j->to = to;
}

static void put_string(struct buf *b, const char *s, size_t n);

/* The comma and the name in front of a value. */
static void lead(struct json_out *j, const char *name)
{
    if (!j->depth) {
        assert(!name);
        return;
    }
    int at = j->depth - 1;
    assert((j->kind[at] == '{') == (name != NULL));
    if (j->some[at]) buf_addc(j->to, ',');
    j->some[at] = true;
    if (!name) return;
    put_string(j->to, name, strlen(name));
    buf_addc(j->to, ':');
}

static void begin(struct json_out *j, const char *name, char kind)
{
    assert(j->depth < JSON_OUT_DEPTH);
    lead(j, name);
    j->kind[j->depth] = kind;
    j->some[j->depth] = false;
    j->depth++;
    buf_addc(j->to, kind);
}

void json_begin_object(struct json_out *j, const char *name)
{
    begin(j, name, '{');
}

void json_begin_array(struct json_out *j, const char *name)
{
    begin(j, name, '[');
}

void json_end(struct json_out *j)
{
    assert(j->depth > 0);
    j->depth--;
    buf_addc(j->to, j->kind[j->depth] == '{' ? '}' : ']');
}

/* Length of the well-formed UTF-8 sequence at s (Unicode table 3-7), 0 when there is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80) return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4) return 0;
    size_t need = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (need > n) return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (s[0] == 0xe0) low = 0xa0;
    if (s[0] == 0xed) high = 0x9f;
    if (s[0] == 0xf0) low = 0x90;
    if (s[0] == 0xf4) high = 0x8f;
    if (s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < need; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return need;
}

static void put_escape(struct buf *b, unsigned char ch)
{
    static const char plain[32] = { ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't' };
    char out[8];
    if (ch == '"' || ch == '\\')
        snprintf(out, sizeof out, "\\%c", ch);
    else if (ch < 32 && plain[ch])
        snprintf(out, sizeof out, "\\%c", plain[ch]);
    else
        snprintf(out, sizeof out, "\\u%04x", ch);
    buf_adds(b, out);
}

static void put_string(struct buf *b, const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    buf_addc(b, '"');
    size_t run = 0, i = 0;
    while (i < n) {
        unsigned char ch = p[i];
        if (ch >= 0x20 && ch < 0x7f && ch != '"' && ch != '\\') {
            i++;
            continue;
        }
        size_t len = utf8_length(p + i, n - i);
        if (ch >= 0x80 && len) {
            i += len;
            continue;
        }
        buf_add(b, s + run, i - run);
        if (ch < 0x80)
            put_escape(b, ch);
        else
            buf_adds(b, "\xef\xbf\xbd");
        run = ++i;
    }
    buf_add(b, s + run, n - run);
    buf_addc(b, '"');
}

void json_put_textn(struct json_out *j, const char *name, const char *s, size_t n)
{
    lead(j, name);
    put_string(j->to, s, n);
}

void json_put_text(struct json_out *j, const char *name, const char *s)
{
    if (s)
        json_put_textn(j, name, s, strlen(s));
    else
        json_put_null(j, name);
}

/* Decimal digits of v, right-aligned to end; returns the first. */
static char *digits_of(uint64_t v, char *end)
{
    do {
        *--end = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    return end;
}

void json_put_int(struct json_out *j, const char *name, int64_t v)
{
    char  text[24], *end = text + sizeof text;
    char *p = digits_of(v < 0 ? 0 - (uint64_t)v : (uint64_t)v, end);
    if (v < 0) *--p = '-';
    lead(j, name);
    buf_add(j->to, p, (size_t)(end - p));
}

/* snprintf obeys the locale's decimal comma; JSON does not. A number without point or exponent gets ".0", so that a
 * real stays a real for readers that tell them apart. */
static void put_printed(struct json_out *j, char *text, size_t size)
{
    bool real = false;
    for (char *p = text; *p; p++) {
        if (*p == ',') *p = '.';
        real = real || *p == '.' || *p == 'e';
    }
    size_t n = strlen(text);
    if (!real && n + 2 < size) {
        memcpy(text + n, ".0", 3);
        n += 2;
    }
    buf_add(j->to, text, n);
}

void json_put_real(struct json_out *j, const char *name, double v)
{
    if (!isfinite(v)) {
        json_put_null(j, name);
        return;
    }
    lead(j, name);
    char text[40];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, v);
        if (strtod(text, NULL) == v) break;
    }
    put_printed(j, text, sizeof text);
}

/* Shortest digits of 1e-6 <= v < 1e6: the nearest decimals of 6, 7, 8, 9 digits are tried in turn (6 always suffice to
 * tell decimals apart, 9 always read back). The quotient of two exact doubles is off by at most one half unit in the
 * last place, so reading back is tried on both sides of it: a reader going through double or not gets the same float. */
static size_t float_digits(float f, char out[24])
{
    static const double ten[] = { 1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7, 1e8,
                                  1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    double v = f;
    int    whole = 0; /* digits before the point; negative: zeros after it */
    if (v >= 1)
        while (v >= ten[whole]) whole++;
    else
        while (v * ten[1 - whole] < 1) whole--;
    uint64_t m = 0;
    int      places = 0;
    for (int n = 6; n <= 9; n++) {
        places = n - whole;
        double scale = ten[places];
        m = (uint64_t)(v * scale + 0.5);
        double back = (double)m / scale;
        if ((float)(back * (1 - 1e-15)) == f && (float)(back * (1 + 1e-15)) == f) break;
    }
    while (places > 1 && m % 10 == 0) {
        m /= 10;
        places--;
    }
    if (!places) {
        m *= 10;
        places = 1;
    }
    char  text[24], *end = text + sizeof text;
    char *p = digits_of(m, end);
    while (end - p <= places) *--p = '0';
    size_t before = (size_t)(end - p) - (size_t)places, after = (size_t)places;
    memcpy(out, p, before);
    out[before] = '.';
    memcpy(out + before + 1, p + before, after);
    return before + 1 + after;
}

void json_put_float(struct json_out *j, const char *name, float v)
{
    if (!isfinite(v)) {
        json_put_null(j, name);
        return;
    }
    lead(j, name);
    char  text[40];
    float size = fabsf(v);
    if (size >= 1e-6f && size < 1e6f) {
        text[0] = '-';
        size_t n = float_digits(size, text + 1);
        buf_add(j->to, v < 0 ? text : text + 1, v < 0 ? n + 1 : n);
        return;
    }
    for (int precision = 6; precision <= 9; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, (double)v);
        if (strtof(text, NULL) == v) break;
    }
    put_printed(j, text, sizeof text);
}

void json_put_bool(struct json_out *j, const char *name, bool v)
{
    lead(j, name);
    buf_adds(j->to, v ? "true" : "false");
}

void json_put_null(struct json_out *j, const char *name)
{
    lead(j, name);
    buf_adds(j->to, "null");
}

void json_put_raw(struct json_out *j, const char *name, const char *json, size_t n)
{
    lead(j, name);
    buf_add(j->to, json, n);
}

void json_put_value(struct json_out *j, const char *name, const json_t *v)
{
    switch (v ? json_typeof(v) : JSON_NULL) {
    case JSON_OBJECT:
        json_begin_object(j, name);
        /* The iterator's signature takes a plain pointer; nothing is changed. */
        for (void *at = json_object_iter((json_t *)(uintptr_t)v); at;
             at = json_object_iter_next((json_t *)(uintptr_t)v, at))
            json_put_value(j, json_object_iter_key(at), json_object_iter_value(at));
        json_end(j);
        return;
    case JSON_ARRAY:
        json_begin_array(j, name);
        for (size_t i = 0; i < json_array_size(v); i++) json_put_value(j, NULL, json_array_get(v, i));
        json_end(j);
        return;
    case JSON_STRING: json_put_textn(j, name, json_string_value(v), json_string_length(v)); return;
    case JSON_INTEGER: json_put_int(j, name, json_integer_value(v)); return;
    case JSON_REAL: json_put_real(j, name, json_real_value(v)); return;
    case JSON_TRUE:
    case JSON_FALSE: json_put_bool(j, name, json_is_true(v)); return;
    case JSON_NULL: json_put_null(j, name); return;
    }
}

/* The parser recurses; how deep is known from the brackets outside strings. */
static bool too_deep(const char *text, size_t n)
{
    int  depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char ch = text[i];
        if (in_string) {
            if (ch == '\\')
                i++;
            else if (ch == '"')
                in_string = false;
        } else if (ch == '"') {
            in_string = true;
        } else if (ch == '{' || ch == '[') {
            if (++depth > LIMIT_JSON_DEPTH) return true;
        } else if (ch == '}' || ch == ']') {
            depth--;
        }
    }
    return false;
}

enum err json_parse(struct call *c, const char *text, size_t n, json_t **out)
{
    if (too_deep(text, n)) return fail(c, ERR_BAD_REQUEST, "JSON is nested deeper than %d", LIMIT_JSON_DEPTH);
    json_error_t why;
    json_t *v = json_loadb(text ? text : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!v) {
        /* "near '…'" repeats the text of the sender; the position says as much without it. */
        char *near = strstr(why.text, " near ");
        if (near) *near = '\0';
        return fail(c, ERR_BAD_REQUEST, "not valid JSON, line %d column %d: %s", why.line, why.column, why.text);
    }
    *out = v;
    return OK;
}

const char *json_get_text(const json_t *o, const char *name, const char *dflt)
{
    const json_t *v = json_object_get(o, name);
    return json_is_string(v) ? json_string_value(v) : dflt;
}

int64_t json_get_int(const json_t *o, const char *name, int64_t dflt)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : dflt;
}

double json_get_real(const json_t *o, const char *name, double dflt)
{
    const json_t *v = json_object_get(o, name);
    return json_is_number(v) ? json_number_value(v) : dflt;
}

bool json_get_bool(const json_t *o, const char *name, bool dflt)
{
    const json_t *v = json_object_get(o, name);
    return json_is_boolean(v) ? json_is_true(v) : dflt;
}

void json_put_degraded(struct json_out *j, const struct degrade *d, int n)
{
    json_begin_array(j, "degraded");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "stage", d[i].stage);
        json_put_text(j, "to", d[i].to);
        json_put_text(j, "why", d[i].why);
        json_end(j);
    }
    json_end(j);
}
