/* base/message.h — a mail as bytes (RFC 5322, 2045, 2047): plain UTF-8 text in quoted-printable, which every server takes. Any thread.
 *     e = message_write(c, &(struct message){ .from = "coach@example.org", .to = "ann@example.org", .subject = "Hola", .text = t,
 *                                             .id = "01J…", .at_ms = clock_unix_ms() }, &p, &n);                   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_MESSAGE_H
#define CHIRON_BASE_MESSAGE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

struct message {
    const char *from, *from_name;   /* an address; a name that may be NULL */
    const char *to;
    const char *subject, *text;     /* UTF-8; lines of the text end with \n */
    const char *language;           /* "en"; NULL: not said */
    const char *id;                 /* unique; letters and digits. The Message-ID is this at the domain of from */
    int64_t     at_ms;              /* unix */
};
/* The message with CRLF line ends, in c->mem. ERR_INVALID: an address, name, subject or id with a character that could begin
 * another header; a text that is not UTF-8 or holds NULs is the caller's bug. ERR_TOO_LARGE: over LIMIT_MAIL_BYTES. */
MUST_CHECK enum err message_write(struct call *c, const struct message *m, const char **out, size_t *n_out);
#endif
