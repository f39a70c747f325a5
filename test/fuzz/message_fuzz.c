/* A mail of a stranger's words: name, subject and text, split at NULs. Whatever they hold, the headers are ours, the lines short, and
 * nothing in them ends a mail. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "base/message.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char *const ours[] = { "Date: ", "From: ", "To: ", "Subject: ", "Message-ID: ", "MIME-Version: ", "Content-Type: ", "Content-Language: ",
                                    "Content-Transfer-Encoding: ", "Auto-Submitted: ", NULL };

static void check(const char *p, size_t n)
{
    const char *end = p + n;
    bool        body = false;
    int         header = 0;
    while (p < end) {
        const char *line = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!line) abort();
        size_t len = (size_t)(line - p);
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)p[i] >= 0x7f || ((unsigned char)p[i] < ' ' && p[i] != '\t')) abort();
        if (len > (body ? 76 : 998) || (body && len && *p == '.')) abort();
        if (!body && !len) {
            if (ours[header]) abort();   /* one is missing */
            body = true;
        } else if (!body && *p != ' ') {
            if (!ours[header] || strncmp(p, ours[header], strlen(ours[header]))) abort();
            header++;
        }
        p = line + 2;
    }
    if (!body) abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *part[3] = { "", "", "" };
    struct call c;
    size_t      n = 0;
    const char *out = NULL;
    call_init(&c);
    const char *text = arena_strndup(&c.mem, (const char *)data, size), *end = text + size;
    for (int i = 0; i < 3 && text <= end; i++, text += strlen(text) + 1) part[i] = text;
    enum err e = message_write(&c, &(struct message){ .from = "coach@example.org", .from_name = part[0], .to = "ann@example.org", .subject = part[1], .text = part[2],
                                                      .language = "en", .id = "mail_1", .at_ms = 1763760000000 }, &out, &n);
    if (!e) check(out, n);
    else if (e != ERR_INVALID && e != ERR_TOO_LARGE) abort();
    call_dispose(&c);
    return 0;
}
