/* knowledge/media_type.h — what a file is, by its bytes. Pure: any thread.
 *     struct media m;
 *     e = media_type_find(c, path, "plan.pdf", &m);          // m.kind == MEDIA_PDF                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_MEDIA_TYPE_H
#define CHIRON_KNOWLEDGE_MEDIA_TYPE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

enum media_kind { MEDIA_TEXT, MEDIA_MARKDOWN, MEDIA_HTML, MEDIA_PDF, MEDIA_DOCX, MEDIA_JSON, MEDIA_KINDS };

struct media {
    enum media_kind kind;
    const char     *type;         /* "application/pdf", static */
    int64_t         size_bytes;
};
#define MEDIA_ACCEPTED "PDF, DOCX, HTML, Markdown, plain text and JSONL are read"

const char     *media_type_name(enum media_kind k);   /* "application/pdf" */
const char     *media_type_word(enum media_kind k);   /* "pdf": the child's argument */
bool            media_type_of_word(const char *word, enum media_kind *out);

/* The file's kind. filename (may be NULL) only decides between plain text and Markdown. Reads all of it once for the
 * scan. ERR_INVALID: empty; ERR_UNSUPPORTED_TYPE: says what it looks like and what is read; ERR_TOO_LARGE; ERR_IO. */
MUST_CHECK enum err media_type_find(struct call *c, const char *path, const char *filename, struct media *out);

/* The same decision on its parts, for tests: head and tail are the first and last bytes of the file. NULL when it is
 * readable (*kind_out set), else what it looks like ("a PNG image"). */
const char *media_type_sniff(const unsigned char *head, size_t head_len, const unsigned char *tail, size_t tail_len,
                             const char *filename, enum media_kind *kind_out);

/* Does text hold the EICAR test pattern? A virus scanner's harmless stand-in for malware. */
bool media_type_eicar(const char *p, size_t n);
#endif
