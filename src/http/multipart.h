/* http/multipart.h — multipart/form-data, read as it comes: text fields to memory, files to disk with their SHA-256.
 * One thread at a time, any thread.
 *     e = multipart_open(&c, content_type, dir, max, &m);
 *     while (…) e = multipart_feed(m, &c, p, n);
 *     e = multipart_end(m, &c);   …multipart_uploads(m, &n)…   multipart_close(m);                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_MULTIPART_H
#define CHIRON_HTTP_MULTIPART_H
#include "http/http.h"

#define MULTIPART_PARTS_MAX 64
#define MULTIPART_FIELD_BYTES (64 * 1024)

struct multipart;
/* dir: folder of the temporary files, exists. ERR_BAD_REQUEST: no boundary, or one that RFC 2046 does not allow. */
MUST_CHECK enum err multipart_open(struct call *c, const char *content_type, const char *dir, struct multipart **out);
/* Words of an error stay the first ones; after an error every feed returns it again. ERR_BAD_REQUEST: malformed;
 * ERR_TOO_LARGE: a part over its limit, too many parts; ERR_IO: the disk. */
MUST_CHECK enum err multipart_feed(struct multipart *m, struct call *c, const void *p, size_t n);
MUST_CHECK enum err multipart_end(struct multipart *m, struct call *c);   /* ERR_BAD_REQUEST: the last boundary is missing */
const char *multipart_field(const struct multipart *m, const char *name);  /* the first; NULL when absent */
/* What the form says, piece by piece: names, values, file names and the files' hashes, each ended by a NUL. */
void multipart_each(const struct multipart *m, void (*f)(void *arg, const char *p, size_t n), void *arg);
struct upload *multipart_uploads(struct multipart *m, int *n_out);         /* live until multipart_close */
void multipart_close(struct multipart *m);   /* removes files that were not renamed away; NULL allowed */
#endif
