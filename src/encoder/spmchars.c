/* SPDX-License-Identifier: MIT */
/* Normalising a text as a whole would need room as large as the text; every form here looks no further than a grapheme,
 * so that one is enough. Forms that do look further are known by name and done where words are made (runs of spaces,
 * stripping) or refused. */
#include "encoder/spmchars.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/base64.h"
#include "encoder/bertchars.h"

enum { PRECOMPILED = 1, NFC, NFD, NFKC, NFKD, LOWERCASE, NMT, STRIP_ACCENTS };

static enum err read_precompiled(struct call *c, const json_t *o, struct spmchars *f)
{
    const char    *text = json_get_text(o, "precompiled_charsmap", "");
    size_t         n = 0;
    unsigned char *blob = base64_decode(&c->mem, text, strlen(text), &n);
    if (!*text || !blob) return fail(c, ERR_CORRUPT, "tokenizer.json: precompiled_charsmap is not base64");
    if (f->blob) return fail(c, ERR_CORRUPT, "tokenizer.json: two normalizers are Precompiled");
    f->blob = malloc(n + 1);
    if (!f->blob) abort();
    memcpy(f->blob, blob, n);
    f->kind[f->count++] = PRECOMPILED;
    return charsmap_parse(c, f->blob, n, &f->map);
}

/* The one kind of replacement that converted SentencePiece models have. */
static enum err read_replace(struct call *c, const json_t *o, struct spmchars *f)
{
    const char *regex = json_get_text(json_object_get(o, "pattern"), "Regex", ""), *content = json_get_text(o, "content", "");
    if (strcmp(regex, " {2,}") || (strcmp(content, " ") && strcmp(content, "\u2581")))
        return fail(c, ERR_CORRUPT, "tokenizer.json: a Replace other than of two or more spaces by one is not known");
    f->one_space = true;
    return OK;
}

static enum err read_one(struct call *c, const json_t *o, struct spmchars *f, int depth)
{
    static const struct {
        const char *name;
        int         kind;
    } plain[] = {
        { "NFC", NFC }, { "NFD", NFD }, { "NFKC", NFKC }, { "NFKD", NFKD }, { "Lowercase", LOWERCASE }, { "Nmt", NMT },
        { "StripAccents", STRIP_ACCENTS },
    };
    const char *type = json_get_text(o, "type", "of no type");
    if (f->count >= SPMCHARS_STEPS - 1) return fail(c, ERR_CORRUPT, "tokenizer.json: more than %d normalizers", SPMCHARS_STEPS - 1);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!strcmp(type, plain[i].name)) {
            f->kind[f->count++] = plain[i].kind;
            return OK;
        }
    if (!strcmp(type, "Precompiled")) return read_precompiled(c, o, f);
    if (!strcmp(type, "Replace")) return read_replace(c, o, f);
    if (!strcmp(type, "Strip")) {
        f->strip_left |= json_get_bool(o, "strip_left", false);
        f->strip_right |= json_get_bool(o, "strip_right", false);
        return OK;
    }
    if (strcmp(type, "Sequence") || depth > 2) return fail(c, ERR_CORRUPT, "tokenizer.json: the normalizer %.60s is not known", type);
    const json_t *all = json_object_get(o, "normalizers"), *one;
    size_t        i;
    enum err      e = OK;
    json_array_foreach(all, i, one) {
        e = read_one(c, one, f, depth + 1);
        if (e) break;
    }
    return e;
}

enum err spmchars_read(struct call *c, const json_t *normalizer, struct spmchars *out)
{
    struct spmchars f = { 0 };
    enum err        e = !normalizer || json_is_null(normalizer) ? OK : read_one(c, normalizer, &f, 0);
    if (e) {
        spmchars_dispose(&f);
        return e;
    }
    *out = f;
    return OK;
}

void spmchars_dispose(struct spmchars *f)
{
    free(f->blob);
    *f = (struct spmchars){ 0 };
}

size_t spmchars_next(const char *s, size_t n)
{
    int             len, chars = 1;
    utf8proc_int32_t state = 0;
    uint32_t        last = bertchars_decode((const unsigned char *)s, n, &len);
    if (last == 0xfffd && len == 1) return 0;
    size_t at = (size_t)len;
    for (; at < n && chars < SPMCHARS_GRAPHEME_CHARS; chars++) {
        /* Nearly every text is this, and nothing joins two of them but a line's two ends. */
        if (last < 0x80 && (unsigned char)s[at] < 0x80 && last != '\r') break;
        uint32_t cp = bertchars_decode((const unsigned char *)s + at, n - at, &len);
        if (cp == 0xfffd && len == 1) break;
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)last, (utf8proc_int32_t)cp, &state)) break;
        at += (size_t)len;
        last = cp;
    }
    return at;
}

struct text {
    char   at[SPMCHARS_OUT];
    size_t n;
};

static void add(struct text *t, const char *s, size_t n)
{
    if (t->n + n > sizeof t->at) return;
    memcpy(t->at + t->n, s, n);
    t->n += n;
}

static void add_char(struct text *t, uint32_t cp)
{
    unsigned char out[4];
    add(t, (const char *)out, (size_t)bertchars_encode(cp, out));
}

/* Graphemes under six bytes are looked up as wholes first, longer ones character by character: its library's rule. */
static void precompiled(const struct charsmap *m, const char *s, size_t n, struct text *to)
{
    size_t      len;
    const char *whole = n < 6 ? charsmap_find(m, s, n, &len) : NULL;
    if (whole) {
        add(to, whole, len);
        return;
    }
    for (size_t at = 0; at < n;) {
        int step;
        bertchars_decode((const unsigned char *)s + at, n - at, &step);
        const char *one = charsmap_find(m, s + at, (size_t)step, &len);
        if (one) add(to, one, len);
        else add(to, s + at, (size_t)step);
        at += (size_t)step;
    }
}

static void normal_form(int kind, const char *s, size_t n, struct text *to)
{
    utf8proc_int32_t    cps[SPMCHARS_OUT];
    utf8proc_option_t   options = UTF8PROC_STABLE | (kind == NFC || kind == NFKC ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE) |
                                (kind == NFKC || kind == NFKD ? UTF8PROC_COMPAT : 0);
    utf8proc_ssize_t    count = utf8proc_decompose((const utf8proc_uint8_t *)s, (utf8proc_ssize_t)n, cps, SPMCHARS_OUT, options);
    if (count < 0 || count > SPMCHARS_OUT) {
        add(to, s, n);
        return;
    }
    count = utf8proc_normalize_utf32(cps, count, options);
    for (utf8proc_ssize_t i = 0; i < count; i++) add_char(to, (uint32_t)cps[i]);
}

static bool nmt_drops(uint32_t cp)
{
    return (cp >= 1 && cp <= 8) || cp == 0xb || (cp >= 0xe && cp <= 0x1f) || cp == 0x7f || cp == 0x8f || cp == 0x9f;
}

static bool nmt_is_space(uint32_t cp)
{
    return cp == 9 || cp == 0xa || cp == 0xc || cp == 0xd || cp == 0x1680 || (cp >= 0x200b && cp <= 0x200f) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x2581 || cp == 0xfeff || cp == 0xfffd;
}

static void each_char(int kind, const char *s, size_t n, struct text *to)
{
    for (size_t at = 0; at < n;) {
        int      step;
        uint32_t cp = bertchars_decode((const unsigned char *)s + at, n - at, &step);
        at += (size_t)step;
        if (kind == LOWERCASE && cp == 0x130) {
            add_char(to, 'i');
            add_char(to, 0x307);
        } else if (kind == LOWERCASE) {
            add_char(to, (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp));
        } else if (kind == NMT) {
            if (!nmt_drops(cp)) add_char(to, nmt_is_space(cp) ? ' ' : cp);
        } else {
            utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)cp);
            if (k != UTF8PROC_CATEGORY_MN && k != UTF8PROC_CATEGORY_MC && k != UTF8PROC_CATEGORY_ME) add_char(to, cp);
        }
    }
}

size_t spmchars_apply(const struct spmchars *f, const char *s, size_t n, char *out)
{
    /* One ASCII character is what it was under every form but two. */
    if (!f->count || (n == 1 && (unsigned char)*s > ' ' && *s < 0x7f && f->count == 1 && f->kind[0] >= NFC && f->kind[0] <= NFKD)) {
        memcpy(out, s, n);
        return n;
    }
    struct text room[2];
    room[1].n = 0;
    add(&room[1], s, n);
    int from = 1;
    for (int i = 0; i < f->count; i++, from = !from) {
        struct text *to = &room[!from];
        to->n = 0;
        if (f->kind[i] == PRECOMPILED) precompiled(&f->map, room[from].at, room[from].n, to);
        else if (f->kind[i] <= NFKD) normal_form(f->kind[i], room[from].at, room[from].n, to);
        else each_char(f->kind[i], room[from].at, room[from].n, to);
    }
    memcpy(out, room[from].at, room[from].n);
    return room[from].n;
}
