/* http/schema.c — a schema is compiled once into a tree of plain checks, so that a body costs no look-ups by keyword
 * and a misspelt keyword is found by the build, not by a user. Refuses every keyword it does not implement: a rule
 * that is silently not applied is worse than none. The first wrong field ends the check, with its path. */
/* SPDX-License-Identifier: MIT */
#include "http/schema.h"

#include <math.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum { IS_NULL = 1, IS_BOOL = 2, IS_INT = 4, IS_REAL = 8, IS_TEXT = 16, IS_ARRAY = 32, IS_OBJECT = 64 };
static const struct {
    const char *name;
    unsigned    bits;
} types[] = { { "null", IS_NULL }, { "boolean", IS_BOOL }, { "integer", IS_INT }, { "number", IS_INT | IS_REAL },
              { "string", IS_TEXT }, { "array", IS_ARRAY }, { "object", IS_OBJECT } };
enum { TYPE_COUNT = sizeof types / sizeof types[0] };

struct property {
    char          *name;
    struct schema *schema;
    bool           required;
};

struct schema {
    unsigned         types;              /* bits; 0: any */
    struct property *properties;
    size_t           property_count;
    bool             closed;             /* additionalProperties: false */
    json_t          *choices;            /* enum, NULL: any */
    double           minimum, maximum;   /* NAN: none */
    json_int_t       min_length, max_length, min_items, max_items;   /* -1: none */
    regex_t          pattern;
    bool             has_pattern;
    char            *pattern_text;
    struct schema   *items;
};

void schema_free(struct schema *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->property_count; i++) {
        free(s->properties[i].name);
        schema_free(s->properties[i].schema);
    }
    free(s->properties);
    json_decref(s->choices);
    if (s->has_pattern) regfree(&s->pattern);
    free(s->pattern_text);
    schema_free(s->items);
    free(s);
}

static char *copy(const char *s)
{
    char *t = strdup(s);
    if (!t) abort();
    return t;
}

static enum err read_types(struct call *c, const json_t *v, unsigned *out)
{
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n == 0) return fail(c, ERR_INVALID, "schema: an empty list of types");
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_is_array(v) ? json_array_get(v, i) : v);
        int k = 0;
        while (name && k < TYPE_COUNT && strcmp(types[k].name, name) != 0) k++;
        if (!name || k == TYPE_COUNT) return fail(c, ERR_INVALID, "schema: unknown type %s", name ? name : "(not a string)");
        bits |= types[k].bits;
    }
    *out = bits;
    return OK;
}

static enum err read_count(struct call *c, const char *key, const json_t *v, json_int_t *out)
{
    if (!json_is_integer(v) || json_integer_value(v) < 0)
        return fail(c, ERR_INVALID, "schema: %s must be an integer from 0", key);
    *out = json_integer_value(v);
    return OK;
}

static enum err read_pattern(struct call *c, const json_t *v, struct schema *s)
{
    const char *text = json_string_value(v);
    if (!text) return fail(c, ERR_INVALID, "schema: pattern must be a string");
    int bad = regcomp(&s->pattern, text, REG_EXTENDED | REG_NOSUB);
    if (bad) {
        char why[120];
        regerror(bad, &s->pattern, why, sizeof why);
        return fail(c, ERR_INVALID, "schema: pattern %s: %s", text, why);
    }
    s->has_pattern = true;
    s->pattern_text = copy(text);
    return OK;
}

static enum err compile(struct call *c, const json_t *v, int depth, struct schema **out);

static enum err read_properties(struct call *c, const json_t *v, int depth, struct schema *s)
{
    if (!json_is_object(v)) return fail(c, ERR_INVALID, "schema: properties must be an object");
    s->properties = calloc(json_object_size(v) + 1, sizeof *s->properties);
    if (!s->properties) abort();
    const char *name;
    json_t *sub;
    json_object_foreach((json_t *)v, name, sub)
    {
        struct property *p = &s->properties[s->property_count++];
        p->name = copy(name);
        enum err e = compile(c, sub, depth + 1, &p->schema);
        if (e) return e;
    }
    return OK;
}

static enum err read_required(struct call *c, const json_t *v, struct schema *s)
{
    if (!json_is_array(v)) return fail(c, ERR_INVALID, "schema: required must be a list");
    for (size_t i = 0; i < json_array_size(v); i++) {
        const char *name = json_string_value(json_array_get(v, i));
        size_t k = 0;
        while (name && k < s->property_count && strcmp(s->properties[k].name, name) != 0) k++;
        if (!name || k == s->property_count)
            return fail(c, ERR_INVALID, "schema: required names %s, which is no property", name ? name : "(not a string)");
        s->properties[k].required = true;
    }
    return OK;
}

static enum err read_keyword(struct call *c, const char *key, const json_t *v, int depth, struct schema *s)
{
    if (strcmp(key, "type") == 0) return read_types(c, v, &s->types);
    if (strcmp(key, "properties") == 0) return read_properties(c, v, depth, s);
    if (strcmp(key, "required") == 0) return OK;   /* after properties, below */
    if (strcmp(key, "additionalProperties") == 0) {
        if (!json_is_false(v)) return fail(c, ERR_INVALID, "schema: additionalProperties may only be false");
        s->closed = true;
        return OK;
    }
    if (strcmp(key, "enum") == 0) {
        if (!json_is_array(v) || json_array_size(v) == 0) return fail(c, ERR_INVALID, "schema: enum must be a list");
        s->choices = json_deep_copy(v);
        return OK;
    }
    if (strcmp(key, "minimum") == 0 || strcmp(key, "maximum") == 0) {
        if (!json_is_number(v)) return fail(c, ERR_INVALID, "schema: %s must be a number", key);
        *(key[1] == 'i' ? &s->minimum : &s->maximum) = json_number_value(v);
        return OK;
    }
    if (strcmp(key, "minLength") == 0) return read_count(c, key, v, &s->min_length);
    if (strcmp(key, "maxLength") == 0) return read_count(c, key, v, &s->max_length);
    if (strcmp(key, "minItems") == 0) return read_count(c, key, v, &s->min_items);
    if (strcmp(key, "maxItems") == 0) return read_count(c, key, v, &s->max_items);
    if (strcmp(key, "pattern") == 0) return read_pattern(c, v, s);
    if (strcmp(key, "items") == 0) return compile(c, v, depth + 1, &s->items);
    if (strcmp(key, "default") == 0 || strcmp(key, "description") == 0 || strcmp(key, "format") == 0) return OK;
    return fail(c, ERR_INVALID, "schema: unknown keyword %s", key);
}

static enum err compile(struct call *c, const json_t *v, int depth, struct schema **out)
{
    if (!json_is_object(v)) return fail(c, ERR_INVALID, "schema: an object is needed");
    if (depth > LIMIT_JSON_DEPTH / 2) return fail(c, ERR_INVALID, "schema: too deep");
    struct schema *s = calloc(1, sizeof *s);
    if (!s) abort();
    s->minimum = s->maximum = (double)NAN;
    s->min_length = s->max_length = s->min_items = s->max_items = -1;
    enum err e = OK;
    const char *key;
    json_t *sub;
    json_object_foreach((json_t *)v, key, sub)
    {
        e = read_keyword(c, key, sub, depth, s);
        if (e) goto out;
    }
    json_t *required = json_object_get(v, "required");
    if (required) e = read_required(c, required, s);
out:
    if (e) schema_free(s);
    else *out = s;
    return e;
}

enum err schema_compile(struct call *c, const char *text, struct schema **out)
{
    json_t *v;
    enum err e = json_parse(c, text, strlen(text), &v);
    if (e) return e;
    e = compile(c, v, 0, out);
    json_decref(v);
    return e;
}

/* The path of the value being checked, built on the way down; cut, never overrun. */
struct where {
    char   path[96];
    size_t len;
};

static size_t enter_name(struct where *w, const char *name)
{
    size_t was = w->len;
    int n = snprintf(w->path + w->len, sizeof w->path - w->len, "%s%.64s", w->len ? "." : "", name);
    w->len += (size_t)n < sizeof w->path - w->len ? (size_t)n : sizeof w->path - w->len - 1;
    return was;
}

static size_t enter_index(struct where *w, size_t i)
{
    size_t was = w->len;
    int n = snprintf(w->path + w->len, sizeof w->path - w->len, "[%zu]", i);
    w->len += (size_t)n < sizeof w->path - w->len ? (size_t)n : sizeof w->path - w->len - 1;
    return was;
}

static void leave(struct where *w, size_t was)
{
    w->len = was;
    w->path[was] = '\0';
}

/* 3.0 is no integer here: json_get_int would not read it as one either. */
static unsigned type_of(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_NULL: return IS_NULL;
    case JSON_TRUE:
    case JSON_FALSE: return IS_BOOL;
    case JSON_INTEGER: return IS_INT;
    case JSON_REAL: return IS_REAL;
    case JSON_STRING: return IS_TEXT;
    case JSON_ARRAY: return IS_ARRAY;
    case JSON_OBJECT: return IS_OBJECT;
    }
    return 0;
}

static const char *type_words(unsigned bits, char *out, size_t max)
{
    size_t len = 0;
    out[0] = '\0';
    for (int i = 0; i < TYPE_COUNT; i++) {
        if ((types[i].bits & bits) != types[i].bits) continue;
        if (types[i].bits == IS_INT && (bits & IS_REAL)) continue;
        int n = snprintf(out + len, max - len, "%s%s", len ? " or " : "", types[i].name);
        len += (size_t)n < max - len ? (size_t)n : max - len - 1;
    }
    return out;
}

static json_int_t code_points(const char *s, size_t n)
{
    json_int_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)s[i] & 0xc0) != 0x80;
    return count;
}

static enum err wrong(struct call *c, const struct where *w, const char *words)
{
    return fail_field(c, w->path, "%s %s", w->len ? w->path : "the body", words);
}

static enum err check_choices(struct call *c, const struct schema *s, const json_t *v, const struct where *w)
{
    char words[300] = "must be one of";
    size_t len = strlen(words);
    for (size_t i = 0; i < json_array_size(s->choices); i++) {
        const json_t *one = json_array_get(s->choices, i);
        if (json_equal(one, v)) return OK;
        char *text = json_is_string(one) ? NULL : json_dumps(one, JSON_ENCODE_ANY | JSON_COMPACT);
        int n = snprintf(words + len, sizeof words - len, "%s %s", i ? "," : "", text ? text : json_string_value(one));
        len += (size_t)n < sizeof words - len ? (size_t)n : sizeof words - len - 1;
        free(text);
    }
    return wrong(c, w, words);
}

static enum err check_number(struct call *c, const struct schema *s, double x, const struct where *w)
{
    char words[80];
    if (x < s->minimum) {
        snprintf(words, sizeof words, "must be at least %.15g", s->minimum);
        return wrong(c, w, words);
    }
    if (x > s->maximum) {
        snprintf(words, sizeof words, "must be at most %.15g", s->maximum);
        return wrong(c, w, words);
    }
    return OK;
}

static enum err check_text(struct call *c, const struct schema *s, const json_t *v, const struct where *w)
{
    char words[300];
    json_int_t n = s->min_length >= 0 || s->max_length >= 0 ? code_points(json_string_value(v), json_string_length(v)) : 0;
    if (n < s->min_length) {
        if (n == 0) return wrong(c, w, "must not be empty");
        snprintf(words, sizeof words, "must have at least %lld characters", (long long)s->min_length);
        return wrong(c, w, words);
    }
    if (s->max_length >= 0 && n > s->max_length) {
        snprintf(words, sizeof words, "must have at most %lld characters", (long long)s->max_length);
        return wrong(c, w, words);
    }
    if (s->has_pattern && regexec(&s->pattern, json_string_value(v), 0, NULL, 0) != 0) {
        snprintf(words, sizeof words, "must match %s", s->pattern_text);
        return wrong(c, w, words);
    }
    return OK;
}

static enum err check(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown, struct where *w);

static enum err check_array(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown, struct where *w)
{
    char words[80];
    json_int_t n = (json_int_t)json_array_size(v);
    if (n < s->min_items) {
        snprintf(words, sizeof words, "must have at least %lld items", (long long)s->min_items);
        return wrong(c, w, words);
    }
    if (s->max_items >= 0 && n > s->max_items) {
        snprintf(words, sizeof words, "must have at most %lld items", (long long)s->max_items);
        return wrong(c, w, words);
    }
    for (size_t i = 0; s->items && i < (size_t)n; i++) {
        size_t was = enter_index(w, i);
        enum err e = check(c, s->items, json_array_get(v, i), ignore_unknown, w);
        if (e) return e;
        leave(w, was);
    }
    return OK;
}

static enum err check_object(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown, struct where *w)
{
    size_t known = 0;
    for (size_t i = 0; i < s->property_count; i++) {
        const struct property *p = &s->properties[i];
        const json_t *sub = json_object_get(v, p->name);
        if (!sub && !p->required) continue;
        size_t was = enter_name(w, p->name);
        if (!sub) return wrong(c, w, "is required");
        enum err e = check(c, p->schema, sub, ignore_unknown, w);
        if (e) return e;
        leave(w, was);
        known++;
    }
    if (!s->closed || ignore_unknown || known == json_object_size(v)) return OK;
    const char *name;
    json_t *sub;
    json_object_foreach((json_t *)v, name, sub)
    {
        size_t i = 0;
        while (i < s->property_count && strcmp(s->properties[i].name, name) != 0) i++;
        if (i < s->property_count) continue;
        enter_name(w, name);
        return wrong(c, w, "is not a known field");
    }
    return OK;
}

static enum err check(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown, struct where *w)
{
    unsigned is = type_of(v);
    if (s->types && !(s->types & is)) {
        char words[120], list[100];
        snprintf(words, sizeof words, "must be %s", type_words(s->types, list, sizeof list));
        return wrong(c, w, words);
    }
    if (s->choices) {
        enum err e = check_choices(c, s, v, w);
        if (e) return e;
    }
    switch (is) {
    case IS_INT:
    case IS_REAL: return check_number(c, s, json_number_value(v), w);
    case IS_TEXT: return check_text(c, s, v, w);
    case IS_ARRAY: return check_array(c, s, v, ignore_unknown, w);
    case IS_OBJECT: return check_object(c, s, v, ignore_unknown, w);
    default: return OK;
    }
}

enum err schema_check(struct call *c, const struct schema *s, const json_t *v, bool ignore_unknown)
{
    struct where w = { .len = 0 };
    return check(c, s, v, ignore_unknown, &w);
}
