/* Addresses and names from outside. An address is compared in one form only, so that one person is one account; what the
 * other side would do with it (dots, plus signs) is not guessed. A name is a person's own: it is checked for characters that
 * would break out of the place where it is shown, and otherwise left alone. Nothing here says whether an address exists. */
/* SPDX-License-Identifier: MIT */
#include "accounts/identity.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define LOCAL_BYTES  64     /* RFC 5321 4.5.3.1.1 */
#define LABEL_BYTES  63     /* RFC 1035 2.3.4, taken for its Unicode form too */
#define SLUG_BYTES   40

/* Characters that are not seen, or that turn what stands around them. */
static bool outside(utf8proc_int32_t ch, bool joiners)
{
    if ((ch >= 0x202a && ch <= 0x202e) || (ch >= 0x2066 && ch <= 0x2069) || ch == 0xfeff) return true;
    utf8proc_category_t k = utf8proc_category(ch);
    if (k == UTF8PROC_CATEGORY_CC || k == UTF8PROC_CATEGORY_ZL || k == UTF8PROC_CATEGORY_ZP) return true;
    return !joiners && (k == UTF8PROC_CATEGORY_CF || k == UTF8PROC_CATEGORY_ZS || k == UTF8PROC_CATEGORY_CN);
}

static enum err walk(struct call *c, const char *field, const char *text, bool joiners, bool *blank)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    *blank = true;
    while (*p) {
        utf8proc_int32_t ch = 0;
        utf8proc_ssize_t n = utf8proc_iterate(p, -1, &ch);
        if (n <= 0) return fail_field(c, field, "%s is not UTF-8", field);
        if (outside(ch, joiners)) return fail_field(c, field, "%s holds a character (U+%04X) that cannot stand there", field, (unsigned)ch);
        utf8proc_category_t k = utf8proc_category(ch);
        if (k != UTF8PROC_CATEGORY_ZS && k != UTF8PROC_CATEGORY_CF) *blank = false;
        p += n;
    }
    return OK;
}

static bool local_good(const char *p, size_t n)
{
    if (n == 0 || n > LOCAL_BYTES || p[0] == '.' || p[n - 1] == '.') return false;
    for (size_t i = 0; i < n; i++)
        if (strchr("\"(),:;<>[\\]", p[i]) || (p[i] == '.' && p[i + 1] == '.')) return false;
    return true;
}

static bool domain_good(const char *p)
{
    size_t labels = 0;
    if (!strcmp(p, "localhost")) return true;
    for (;; p++) {
        size_t n = strcspn(p, ".");
        if (n == 0 || n > LABEL_BYTES || p[0] == '-' || p[n - 1] == '-') return false;
        for (size_t i = 0; i < n; i++) {
            unsigned char ch = (unsigned char)p[i];
            if (ch < 0x80 && ch != '-' && !(ch >= '0' && ch <= '9') && !(ch >= 'a' && ch <= 'z')) return false;
        }
        labels++;
        p += n;
        if (!*p) return labels > 1;
    }
}

enum err identity_email(struct call *c, const char *field, const char *text, const char **out)
{
    size_t      n = strlen(text);
    bool        blank = false;
    while (n && strchr(" \t\r\n", text[n - 1])) n--;
    while (n && strchr(" \t\r\n", *text)) text++, n--;
    if (n == 0) return fail_field(c, field, "%s is empty", field);
    if (n > LIMIT_EMAIL_BYTES) return fail_field(c, field, "%s has %zu bytes; an e-mail address has at most %d", field, n, LIMIT_EMAIL_BYTES);
    const char *inner = arena_strndup(&c->mem, text, n);
    enum err    e = walk(c, field, inner, false, &blank);
    if (e) return e;
    utf8proc_uint8_t *folded = NULL;
    if (utf8proc_map((const utf8proc_uint8_t *)inner, 0, &folded,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD) < 0)
        return fail_field(c, field, "%s is not UTF-8", field);
    const char *email = arena_strdup(&c->mem, (const char *)folded);
    free(folded);
    const char *at = strchr(email, '@');
    if (!at || strchr(at + 1, '@')) return fail_field(c, field, "%s must be one name, one @ and one domain", field);
    if (strlen(email) > LIMIT_EMAIL_BYTES) return fail_field(c, field, "an e-mail address has at most %d bytes", LIMIT_EMAIL_BYTES);
    if (!local_good(email, (size_t)(at - email))) return fail_field(c, field, "%s has a name before the @ that cannot be", field);
    if (!domain_good(at + 1)) return fail_field(c, field, "%s has a domain after the @ that cannot be", field);
    *out = email;
    return OK;
}

enum err identity_name(struct call *c, const char *field, const char *text, const char **out)
{
    size_t n = strlen(text);
    bool   blank = true;
    if (n > LIMIT_NAME_BYTES) return fail_field(c, field, "%s has %zu bytes; the limit is %d", field, n, LIMIT_NAME_BYTES);
    enum err e = walk(c, field, text, true, &blank);
    if (e) return e;
    if (blank) return fail_field(c, field, "%s is empty", field);
    *out = arena_strndup(&c->mem, text, n);
    return OK;
}

const char *identity_slug(struct call *c, const char *name)
{
    char  *slug = arena_alloc(&c->mem, SLUG_BYTES + 1);
    size_t n = 0;
    utf8proc_uint8_t *plain = NULL;
    /* Accents fall off; what is still beyond ASCII then is left out. */
    if (utf8proc_map((const utf8proc_uint8_t *)name, 0, &plain,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STRIPMARK | UTF8PROC_CASEFOLD) < 0)
        return slug;
    for (const utf8proc_uint8_t *p = plain; *p && n < SLUG_BYTES; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')) slug[n++] = (char)*p;
        else if (n && slug[n - 1] != '-' && *p < 0x80) slug[n++] = '-';
    }
    free(plain);
    while (n && slug[n - 1] == '-') n--;
    slug[n] = '\0';
    return slug;
}
