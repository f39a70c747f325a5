/* Names from outside. A name is shown to other people, in lists, mails and terminals, so what changes the reading of its
 * surroundings is refused (controls, line separators, overrides of direction) and nothing else is: right-to-left names, emoji
 * with their joiners and marks of any script stay byte for byte. It refuses to repair a name: a wrong one is said to be wrong. */
/* SPDX-License-Identifier: MIT */
#include "accounts/label.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

static bool refused(utf8proc_int32_t p)
{
    if (p < 0x20 || (p >= 0x7f && p <= 0x9f)) return true;                   /* controls */
    if (p == 0x2028 || p == 0x2029) return true;                             /* line and paragraph separators */
    if ((p >= 0x202a && p <= 0x202e) || (p >= 0x2066 && p <= 0x2069)) return true; /* embeddings, overrides, isolates */
    return p == 0xfeff || (p >= 0xfff9 && p <= 0xfffb) || (p & 0xfffe) == 0xfffe || (p >= 0xe0000 && p <= 0xe001f);
}

static bool space(utf8proc_int32_t p)
{
    return utf8proc_category(p) == UTF8PROC_CATEGORY_ZS || p == '\t' || p == '\n' || p == '\r';
}

enum err label_check(struct call *c, const char *field, const char *text, size_t max_bytes, const char **out)
{
    const utf8proc_uint8_t *s = (const utf8proc_uint8_t *)text;
    size_t                  n = strlen(text), begin = 0, end = 0;
    bool                    begun = false;
    if (n > max_bytes * 2) return fail_field(c, field, "%s is longer than %zu bytes", field, max_bytes);
    for (size_t at = 0; at < n;) {
        utf8proc_int32_t   p;
        utf8proc_ssize_t used = utf8proc_iterate(s + at, (utf8proc_ssize_t)(n - at), &p);
        if (used <= 0) return fail_field(c, field, "%s is not UTF-8", field);
        if (!space(p)) {
            if (!begun) begin = at;
            begun = true;
            end = at + (size_t)used;
        }
        at += (size_t)used;
    }
    for (size_t at = begin; at < end;) {
        utf8proc_int32_t p;
        at += (size_t)utf8proc_iterate(s + at, (utf8proc_ssize_t)(n - at), &p);
        if (refused(p))
            return fail_field(c, field, "%s holds U+%04X, a character that does not show or changes how others show", field,
                              (unsigned)p);
    }
    if (end - begin > max_bytes) return fail_field(c, field, "%s is longer than %zu bytes", field, max_bytes);
    *out = begun ? arena_strndup(&c->mem, text + begin, end - begin) : "";
    return OK;
}

const char *label_fold(struct call *c, const char *text)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t  n = utf8proc_map((const utf8proc_uint8_t *)text, 0, &folded,
                                       UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE |
                                           UTF8PROC_CASEFOLD | UTF8PROC_STRIPMARK | UTF8PROC_IGNORE);
    const char *out = n < 0 ? "" : arena_strdup(&c->mem, (const char *)folded);
    free(folded);
    return out;
}
