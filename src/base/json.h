/* base/json.h — JSON: strict reading through jansson, and a small streaming writer into a buf.
 * The writer puts commas itself; nesting errors are asserts. Text that is not UTF-8 is written with U+FFFD.
 *     struct json_out j; json_out_init(&j, &buf);
 *     json_begin_object(&j); json_put_text(&j, "name", s); json_begin_array(&j, "hits"); … json_end(&j); json_end(&j);
 * A NULL name puts an array element.                                                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_JSON_H
#define CHIRON_BASE_JSON_H
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/call.h"

/* Any value that was read may stand inside a reply's own levels. */
enum { JSON_OUT_DEPTH = LIMIT_JSON_DEPTH + 32 };
struct json_out {
    struct buf *to;
    int         depth;
    char        kind[JSON_OUT_DEPTH];     /* '{' or '[' per level */
    bool        some[JSON_OUT_DEPTH];     /* a comma is due */
};

void json_out_init(struct json_out *j, struct buf *to);
void json_begin_object(struct json_out *j, const char *name);
void json_begin_array(struct json_out *j, const char *name);
void json_end(struct json_out *j);                                        /* closes the innermost */
void json_put_text(struct json_out *j, const char *name, const char *s);  /* NULL writes null */
void json_put_textn(struct json_out *j, const char *name, const char *s, size_t n);
void json_put_int(struct json_out *j, const char *name, int64_t v);
void json_put_real(struct json_out *j, const char *name, double v);       /* shortest round trip; NaN, Inf write null */
void json_put_float(struct json_out *j, const char *name, float v);       /* shortest that reads back to the same float */
/* "degraded": steps down that were taken, as objects of stage, to and why; an empty array when there were none. */
void json_put_degraded(struct json_out *j, const struct degrade *d, int n);
void json_put_bool(struct json_out *j, const char *name, bool v);
void json_put_null(struct json_out *j, const char *name);
void json_put_raw(struct json_out *j, const char *name, const char *json, size_t n); /* already valid JSON */
void json_put_value(struct json_out *j, const char *name, const json_t *v);          /* any jansson value */

/* Parse exactly one JSON text. ERR_BAD_REQUEST with line and column: not JSON, duplicate key, bytes after it, not
 * UTF-8, deeper than LIMIT_JSON_DEPTH, NUL in a string. *out is the caller's: json_decref. */
MUST_CHECK enum err json_parse(struct call *c, const char *text, size_t n, json_t **out);

/* Members of an object with a default; wrong type gives the default too (schemas check types before). Borrowed. */
const char *json_get_text(const json_t *o, const char *name, const char *dflt);
int64_t     json_get_int(const json_t *o, const char *name, int64_t dflt);
double      json_get_real(const json_t *o, const char *name, double dflt);   /* integers count */
bool        json_get_bool(const json_t *o, const char *name, bool dflt);
#endif
