/* An address is a name that others also know, so two spellings of one must be one row: trimmed, compatibility forms and case
 * folded. Mail servers may tell upper from lower case before the @; nobody's people do, and an account that looks like
 * another's is worse. It checks only what can be known without sending: the confirmation is the mail itself. It refuses quoted
 * local parts and comments, which nobody has and which end in header injection. */
/* SPDX-License-Identifier: MIT */
#include "accounts/email.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "accounts/label.h"

#define LOCAL_BYTES 64     /* RFC 5321 4.5.3.1.1 */
#define LABEL_BYTES 63     /* of a domain, RFC 1035 2.3.4 */

static bool local_ok(const char *s, size_t n)
{
    if (!n || n > LOCAL_BYTES || s[0] == '.' || s[n - 1] == '.') return false;
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch <= ' ' || ch == 0x7f || strchr("\"(),:;<>@[\\]", ch)) return false;
        if (ch == '.' && s[i + 1] == '.') return false;
    }
    return true;
}

static bool domain_ok(const char *s)
{
    size_t labels = 0;
    for (const char *p = s;; labels++) {
        size_t n = strcspn(p, ".");
        if (!n || n > LABEL_BYTES || p[0] == '-' || p[n - 1] == '-') return false;
        for (size_t i = 0; i < n; i++) {
            unsigned char ch = (unsigned char)p[i];
            if (ch < 0x80 && !((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-')) return false;
        }
        if (!p[n]) return labels >= 1 || !strcmp(s, "localhost");
        p += n + 1;
    }
}

enum err email_check(struct call *c, const char *field, const char *text, const char **out)
{
    const char *trimmed = NULL;
    if (strlen(text) > 2 * LIMIT_EMAIL_BYTES)
        return fail_field(c, field, "%s is longer than the %d bytes that an address may have", field, LIMIT_EMAIL_BYTES);
    enum err e = label_check(c, field, text, 2 * LIMIT_EMAIL_BYTES, &trimmed);
    if (e) return e;
    utf8proc_uint8_t *folded = NULL;
    utf8proc_ssize_t  n = utf8proc_map((const utf8proc_uint8_t *)trimmed, 0, &folded,
                                       UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
    const char *s = n < 0 ? "" : arena_strdup(&c->mem, (const char *)folded);
    free(folded);
    if (strlen(s) > LIMIT_EMAIL_BYTES)
        return fail_field(c, field, "%s is longer than the %d bytes that an address may have", field, LIMIT_EMAIL_BYTES);
    /* Folding can bring a character that would have been refused. */
    e = label_check(c, field, s, LIMIT_EMAIL_BYTES, &trimmed);
    if (e) return e;
    const char *at = strchr(s, '@');
    if (!at || strchr(s, ' ') || strcmp(s, trimmed) || !local_ok(s, (size_t)(at - s)) || !domain_ok(at + 1))
        return fail_field(c, field, "%s is no e-mail address", field);
    *out = s;
    return OK;
}
