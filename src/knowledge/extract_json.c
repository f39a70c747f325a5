/* Records: JSONL, a JSON list of objects, or objects one after the other. Each becomes a section of its own under its
 * title and is never merged with its neighbour, because a record is what one wants to find and cite. A record is
 * parsed, written and freed before the next, so a long file needs the memory of its longest record. Members that are
 * not prose are written as "Key: value" lines, which is how a reader, a search and a model all take them in. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "knowledge/extract_writer.h"

#define DEPTH_MAX   8
#define RECORDS_MAX 100000

static const char *const TITLES[] = { "title", "name", "heading", "question", NULL };
static const char *const BODIES[] = { "text", "content", "body", NULL };
static const char *const SKIPPED[] = { "id", "_id", "images", "image", "metadata", "embedding", NULL };

static bool listed(const char *const *list, const char *key)
{
    for (; *list; list++)
        if (strcasecmp(*list, key) == 0) return true;
    return false;
}

static const char *first_text(const json_t *o, const char *const *keys, const char **key_out)
{
    for (; *keys; keys++) {
        const char *v = json_get_text(o, *keys, NULL);
        if (v && *v) {
            *key_out = *keys;
            return v;
        }
    }
    return NULL;
}

static void puts_(struct extract_writer *w, const char *s)
{
    writer_text(w, s, strlen(s));
}

/* "primaryMuscles" and "primary_muscles" are read as "Primary muscles". */
static void put_key(struct extract_writer *w, const char *key)
{
    char b[96];
    size_t o = 0;
    for (size_t i = 0; key[i] && o + 3 < sizeof(b); i++) {
        unsigned char ch = (unsigned char)key[i];
        bool turn = i && isupper(ch) && islower((unsigned char)key[i - 1]);
        if (turn) b[o++] = ' ';
        b[o] = ch == '_' || ch == '-' ? ' ' : o == 0 ? (char)toupper(ch) : turn ? (char)tolower(ch) : (char)ch;
        o++;
    }
    writer_text(w, b, o);
}

static bool prose(const char *s)
{
    return strlen(s) > 60 || strchr(s, '\n') || strstr(s, ". ");
}

static bool is_long(const json_t *v)
{
    size_t i;
    json_t *x;
    if (json_is_object(v)) return true;
    if (json_is_string(v)) return prose(json_string_value(v));
    json_array_foreach(v, i, x) if (!json_is_string(x) ? json_is_object(x) || json_is_array(x)
                                                       : prose(json_string_value(x))) return true;
    return false;
}

static bool worth(const json_t *v)
{
    static const char *const files[] = { ".jpg", ".jpeg", ".png", ".gif", ".webp", ".svg", ".mp4", NULL };
    if (json_is_null(v)) return false;
    if (json_is_string(v)) {
        const char *s = json_string_value(v);
        size_t n = strlen(s);
        for (int i = 0; files[i]; i++)
            if (n > strlen(files[i]) && strcasecmp(s + n - strlen(files[i]), files[i]) == 0) return false;
        return n > 0;
    }
    return (!json_is_array(v) || json_array_size(v)) && (!json_is_object(v) || json_object_size(v));
}

static void put_scalar(struct extract_writer *w, const json_t *v)
{
    char b[32];
    if (json_is_string(v))
        writer_text(w, json_string_value(v), json_string_length(v));
    else if (json_is_integer(v))
        writer_text(w, b, (size_t)snprintf(b, sizeof(b), "%lld", (long long)json_integer_value(v)));
    else if (json_is_real(v))
        writer_text(w, b, (size_t)snprintf(b, sizeof(b), "%.10g", json_real_value(v)));
    else
        puts_(w, json_is_true(v) ? "yes" : "no");
}

static void put_members(struct extract_writer *w, const json_t *o, const char *title_key, const char *body_key,
                        int depth);

static void put_list(struct extract_writer *w, const char *key, const json_t *list, int depth)
{
    bool lines = is_long(list);
    size_t i;
    json_t *v;
    writer_break(w, lines ? 2 : 1);
    put_key(w, key);
    puts_(w, ": ");
    bool some = false;
    json_array_foreach(list, i, v)
    {
        if (!worth(v)) continue;
        if (lines)
            writer_break(w, 1);
        else if (some)
            puts_(w, ", ");
        some = true;
        if (json_is_object(v))
            put_members(w, v, "", "", depth + 1);
        else if (json_is_array(v))
            put_list(w, key, v, depth + 1);
        else
            put_scalar(w, v);
    }
    if (lines) writer_break(w, 2);
}

static void put_members(struct extract_writer *w, const json_t *o, const char *title_key, const char *body_key,
                        int depth)
{
    const char *key;
    json_t *v;
    if (depth > DEPTH_MAX) return;
    /* Short members first: after the prose they would begin a chunk of a few words. */
    for (int part = 0; part < 2; part++) json_object_foreach((json_t *)o, key, v)
        {
            if (strcmp(key, title_key) == 0 || strcmp(key, body_key) == 0 || listed(SKIPPED, key) || !worth(v) ||
                is_long(v) != (part == 1))
                continue;
            if (json_is_array(v)) {
                put_list(w, key, v, depth + 1);
                continue;
            }
            writer_break(w, json_is_string(v) && prose(json_string_value(v)) ? 2 : 1);
            put_key(w, key);
            puts_(w, ": ");
            if (json_is_object(v))
                put_members(w, v, "", "", depth + 1);
            else
                put_scalar(w, v);
        }
}

static void put_record(struct extract_writer *w, const json_t *o, int number)
{
    const char *title_key = "", *body_key = "";
    const char *title = first_text(o, TITLES, &title_key), *body = first_text(o, BODIES, &body_key);
    char plain[32];
    if (!title) title = json_get_text(o, "id", NULL);
    if (!title || !*title) {
        snprintf(plain, sizeof(plain), "%d", number);
        title = plain;
    }
    if (strlen(title) > HEADING_MAX) {
        writer_heading(w, 0, title, (size_t)HEADING_MAX - 4);
        title_key = "";
    } else {
        writer_heading(w, 0, title, strlen(title));
    }
    writer_break(w, 1);
    put_members(w, o, title_key, body_key, 0);
    if (body) {
        writer_break(w, 2);
        puts_(w, body);
    }
    writer_break(w, 2);
}

static int line_of(const char *p, size_t at)
{
    int line = 1;
    for (size_t i = 0; i < at; i++) line += p[i] == '\n';
    return line;
}

static enum err read_records(struct call *c, struct extract_writer *w, const char *p, size_t n)
{
    size_t at = 0;
    int count = 0;
    bool list = false, closed = false;
    while (at < n && strchr(" \t\n", p[at])) at++;
    if (at < n && p[at] == '[') {
        list = true;
        at++;
    }
    for (;;) {
        while (at < n && (strchr(" \t\n", p[at]) || (p[at] == ',' && count && list))) at++;
        if (at >= n) break;
        if (list && p[at] == ']') {
            closed = true;
            at++;
            while (at < n && strchr(" \t\n", p[at])) at++;
            if (at < n) return fail(c, ERR_INVALID, "line %d: something follows the list of records", line_of(p, at));
            break;
        }
        json_error_t why;
        json_t *v = json_loadb(p + at, n - at, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &why);
        if (!v)
            return fail(c, ERR_INVALID, "line %d is not JSON: %.120s",
                        line_of(p, at) + (why.line > 0 ? why.line - 1 : 0), why.text);
        if (!json_is_object(v)) {
            json_decref(v);
            return fail(c, ERR_INVALID, "line %d: a record must be an object like {\"title\": …, \"text\": …}",
                        line_of(p, at));
        }
        put_record(w, v, ++count);
        json_decref(v);
        at += (size_t)why.position;
        if (w->broken || w->too_large) break;
        if (count > RECORDS_MAX) return fail(c, ERR_TOO_LARGE, "more than %d records", RECORDS_MAX);
    }
    if (list && !closed && !w->broken && !w->too_large)
        return fail(c, ERR_INVALID, "the list of records ends in the middle; the file is cut off");
    return OK;
}

enum err extract_json_read(struct call *c, struct extract_writer *w, const char *src, size_t src_n)
{
    char *p;
    size_t n;
    const char *note;
    enum err e = extract_text_decode(c, src, src_n, &p, &n, &note);
    if (e) return e;
    writer_info(w, FRAME_NOTE, note, strlen(note));
    e = read_records(c, w, p, n);
    if (!e) writer_page_end(w, 0);
    free(p);
    return e;
}
