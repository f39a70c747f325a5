/* A mail's bytes. Headers are ASCII: what is not goes into encoded words, so that servers of any age pass it on unchanged; an
 * international address is the one thing that stands as it is (RFC 6532), because it has no other form. Everything that could
 * end a header line is refused rather than removed: a name with a line break in it is an attack and not a name. */
/* SPDX-License-Identifier: MIT */
#include "base/message.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/buf.h"

#define WORD_BYTES 45      /* of text in one encoded word: 60 characters of base64, under the 75 of RFC 2047 part 2 */
#define QP_COLUMNS 75      /* and a "=" makes the 76 of RFC 2045 6.7 */

static bool line_ok(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 0x7f) return false;
    return true;
}

static bool ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80) return false;
    return true;
}

/* As encoded words of whole characters, folded between them; as it is when it is ASCII and short and holds no "=?". */
static void put_words(struct call *c, struct buf *b, const char *s, bool phrase)
{
    if (ascii(s) && strlen(s) <= 200 && !strstr(s, "=?") && !phrase) {
        buf_adds(b, s);
        return;
    }
    for (const char *p = s; *p;) {
        size_t n = strlen(p);
        if (n > WORD_BYTES)
            for (n = WORD_BYTES; n > 1 && ((unsigned char)p[n] & 0xc0) == 0x80;) n--;
        buf_printf(b, "%s=?UTF-8?B?%s?=", p == s ? "" : "\r\n ", base64_encode(&c->mem, p, n));
        p += n;
    }
}

static void put_date(struct buf *b, int64_t at_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t    at = (time_t)(at_ms / 1000);
    struct tm tm;
    gmtime_r(&at, &tm);
    buf_printf(b, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d +0000\r\n", days + tm.tm_wday * 3, tm.tm_mday, months + tm.tm_mon * 3,
               tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void put_text(struct buf *b, const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p; p++) {
        unsigned char ch = (unsigned char)*p;
        if (ch == '\r') continue;
        if (ch == '\n') {
            buf_adds(b, "\r\n");
            column = 0;
            continue;
        }
        /* White space at a line's end is lost on the way, and a "." or "From " at its beginning has a meaning to some. */
        bool   last = p[1] == '\n' || p[1] == '\r' || !p[1];
        bool   plain = (ch > ' ' && ch < 0x7f && ch != '=') || ((ch == ' ' || ch == '\t') && !last);
        if (!column && (ch == '.' || ch == 'F')) plain = false;
        size_t width = plain ? 1 : 3;
        if (column + width > QP_COLUMNS) {
            buf_adds(b, "=\r\n");
            column = 0;
            plain = plain && ch != '.' && ch != 'F';
            width = plain ? 1 : 3;
        }
        if (plain) buf_addc(b, (char)ch);
        else buf_printf(b, "=%02X", ch);
        column += width;
    }
    if (column) buf_adds(b, "\r\n");
}

enum err message_write(struct call *c, const struct message *m, const char **out, size_t *n_out)
{
    const char *at = strrchr(m->from, '@');
    if (!at || !line_ok(m->from) || !line_ok(m->to) || !line_ok(m->subject) || (m->from_name && !line_ok(m->from_name)) ||
        strpbrk(m->from, "<> ") || strpbrk(m->to, "<> ") || !m->id[0] || strspn(m->id, "0123456789abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(m->id))
        return fail(c, ERR_INVALID, "a header of the mail holds a character that cannot stand there");
    struct buf b;
    buf_init(&b, LIMIT_MAIL_BYTES);
    put_date(&b, m->at_ms);
    buf_adds(&b, "From: ");
    if (m->from_name && *m->from_name) {
        put_words(c, &b, m->from_name, true);
        buf_adds(&b, " ");
    }
    buf_printf(&b, "<%s>\r\nTo: <%s>\r\nSubject: ", m->from, m->to);
    put_words(c, &b, m->subject, false);
    buf_printf(&b, "\r\nMessage-ID: <%s%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n", m->id, at);
    if (m->language) buf_printf(&b, "Content-Language: %.8s\r\n", m->language);
    /* Nobody answers a mail that a program sent, and no holiday notice should. */
    buf_adds(&b, "Content-Transfer-Encoding: quoted-printable\r\nAuto-Submitted: auto-generated\r\n\r\n");
    put_text(&b, m->text);
    enum err e = b.failed ? fail(c, ERR_TOO_LARGE, "the mail is over %d bytes", LIMIT_MAIL_BYTES) : OK;
    if (!e) {
        *out = arena_strndup(&c->mem, b.data, b.len);
        *n_out = b.len;
    }
    buf_dispose(&b);
    return e;
}
