/* http/multipart.c — RFC 7578 as a small machine over one buffer: look for the delimiter, and write everything that
 * certainly stands before it. Memory is one buffer whatever is uploaded. Names are read strictly: a quoted string or a
 * token, UTF-8, bounded; of a file name only what follows the last slash or backslash is kept, and it is never used as
 * a path. Refuses nested multiparts by not knowing them, transfer encodings (RFC 7578 4.7), and parts without a name. */
/* SPDX-License-Identifier: MIT */
#include "http/multipart.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/id.h"
#include "http/wire.h"

#define BOUNDARY_MAX 70
#define PART_HEADER_MAX 8192
#define NAME_MAX_BYTES 256
#define FILENAME_MAX_BYTES 512
/* What is searched at once: large enough that writes are few, small enough for many uploads at a time. */
#define WINDOW_BYTES (128 * 1024)

enum state { PREAMBLE, AFTER_DELIMITER, PART_HEADER, PART_BODY, EPILOGUE };

struct text_field {
    char *name, *value;
};

struct multipart {
    char              delimiter[BOUNDARY_MAX + 8];   /* CR LF -- boundary */
    size_t            delimiter_len;
    const char       *dir;
    enum state        state;
    enum err          err;
    char              why[200];
    struct buf        in;          /* bytes not yet decided on */
    struct text_field fields[MULTIPART_PARTS_MAX];
    int               field_count;
    struct upload     uploads[MULTIPART_PARTS_MAX];
    int               upload_count;
    /* the part being read */
    char             *name, *filename;
    bool              is_file;
    struct buf        text;
    int               fd;
    char             *path;
    int64_t           size;
    EVP_MD_CTX       *sha;
};

static char *copy(const char *s, size_t n)
{
    char *t = malloc(n + 1);
    if (!t) abort();
    memcpy(t, s, n);
    t[n] = '\0';
    return t;
}

static enum err refuse(struct multipart *m, struct call *c, enum err e, const char *why)
{
    m->err = e;
    snprintf(m->why, sizeof m->why, "%s", why);
    return fail(c, e, "%s", m->why);
}

/* The value of a parameter in "form-data; name=x; filename="y"": a token or a quoted string with \" and \\ only.
 * NULL: absent, *bad false; or malformed, *bad true. The result is the caller's to free. */
static char *parameter(const char *s, const char *want, size_t max, bool *bad)
{
    *bad = false;
    char *found = NULL;
    s += strcspn(s, ";");
    while (*s == ';') {
        s++;
        s += strspn(s, " \t");
        size_t n = strcspn(s, "=; \t");
        const char *key = s;
        s += n;
        if (*s != '=' || !wire_token(key, n)) goto malformed;
        s++;
        char value[FILENAME_MAX_BYTES + 1];
        size_t len = 0;
        if (*s == '"') {
            for (s++; *s && *s != '"'; s++) {
                /* Browsers escape only the quote; a backslash before anything else is part of an old Windows path. */
                if (*s == '\\' && (s[1] == '"' || s[1] == '\\')) s++;
                if (len == FILENAME_MAX_BYTES) goto malformed;
                value[len++] = *s;
            }
            if (*s != '"') goto malformed;
            s++;
        } else {
            size_t k = strcspn(s, "; \t");
            if (k > FILENAME_MAX_BYTES || !wire_token(s, k)) goto malformed;
            memcpy(value, s, k);
            len = k;
            s += k;
        }
        if (n == strlen(want) && strncasecmp(key, want, n) == 0) {
            if (found || len > max) goto malformed;
            found = copy(value, len);
        }
        s += strspn(s, " \t");
    }
    if (*s == '\0') return found;
malformed:
    free(found);
    *bad = true;
    return NULL;
}

enum err multipart_open(struct call *c, const char *content_type, const char *dir, struct multipart **out)
{
    bool bad;
    char *boundary = content_type ? parameter(content_type, "boundary", BOUNDARY_MAX, &bad) : NULL;
    if (!boundary || !*boundary || strspn(boundary, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ") != strlen(boundary)) {
        free(boundary);
        return fail(c, ERR_BAD_REQUEST, "multipart/form-data needs a boundary of 1 to %d characters", BOUNDARY_MAX);
    }
    struct multipart *m = calloc(1, sizeof *m);
    if (!m) abort();
    m->delimiter_len = (size_t)snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%s", boundary);
    free(boundary);
    m->dir = dir;
    m->fd = -1;
    buf_init(&m->in, WINDOW_BYTES * 2);
    buf_init(&m->text, MULTIPART_FIELD_BYTES);
    /* The first delimiter may stand at the very start, without the CR LF that belongs to all the others. */
    buf_add(&m->in, "\r\n", 2);
    *out = m;
    return OK;
}

static void drop_part(struct multipart *m)
{
    if (m->fd >= 0) close(m->fd);
    if (m->path) unlink(m->path);
    m->fd = -1;
    free(m->path);
    free(m->name);
    free(m->filename);
    m->path = m->name = m->filename = NULL;
    EVP_MD_CTX_free(m->sha);
    m->sha = NULL;
}

void multipart_close(struct multipart *m)
{
    if (!m) return;
    drop_part(m);
    for (int i = 0; i < m->upload_count; i++) {
        unlink(m->uploads[i].path);
        free((char *)m->uploads[i].name);
        free((char *)m->uploads[i].filename);
        free((char *)m->uploads[i].path);
        free((char *)m->uploads[i].sha256);
    }
    for (int i = 0; i < m->field_count; i++) {
        free(m->fields[i].name);
        free(m->fields[i].value);
    }
    buf_dispose(&m->text);
    buf_dispose(&m->in);
    free(m);
}

/* A control character in a name is either an attack on logs or a mistake. */
static bool clean(const char *s)
{
    for (const char *p = s; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return wire_utf8(s, strlen(s));
}

static enum err open_file(struct multipart *m, struct call *c)
{
    char id[ID_BYTES], path[1024];
    if (!m->dir || !*m->dir) return refuse(m, c, ERR_INTERNAL, "there is no folder for uploads");
    int n = snprintf(path, sizeof path, "%s/%s", m->dir, id_new("up", id));
    if (n < 0 || (size_t)n >= sizeof path) return refuse(m, c, ERR_IO, "the path of the upload folder is too long");
    m->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (m->fd < 0) {
        char why[120];
        snprintf(why, sizeof why, "the upload cannot be written: %s", strerror(errno));
        return refuse(m, c, ERR_IO, why);
    }
    m->path = copy(path, strlen(path));
    m->size = 0;
    m->sha = EVP_MD_CTX_new();
    if (!m->sha || EVP_DigestInit_ex(m->sha, EVP_sha256(), NULL) != 1) abort();
    return OK;
}

static enum err read_disposition(struct multipart *m, struct call *c, const char *v)
{
    bool bad;
    size_t n = strcspn(v, "; \t");
    if (n != 9 || strncasecmp(v, "form-data", 9) != 0)
        return refuse(m, c, ERR_BAD_REQUEST, "a part's Content-Disposition is not form-data");
    if (m->name) return refuse(m, c, ERR_BAD_REQUEST, "a part has two Content-Dispositions");
    m->name = parameter(v, "name", NAME_MAX_BYTES, &bad);
    if (!bad) m->filename = parameter(v, "filename", FILENAME_MAX_BYTES, &bad);
    if (bad || !m->name || !*m->name || !clean(m->name) || (m->filename && !clean(m->filename)))
        return refuse(m, c, ERR_BAD_REQUEST, "a part's name or filename is missing, malformed or too long");
    m->is_file = m->filename != NULL;
    for (char *p = m->filename; p && *p; p++)
        if (*p == '/' || *p == '\\') {
            memmove(m->filename, p + 1, strlen(p + 1) + 1);
            p = m->filename - 1;
        }
    if (m->filename && (strcmp(m->filename, ".") == 0 || strcmp(m->filename, "..") == 0)) m->filename[0] = '\0';
    return OK;
}

static enum err read_part_headers(struct multipart *m, struct call *c, char *p, size_t n)
{
    if (memchr(p, '\0', n)) return refuse(m, c, ERR_BAD_REQUEST, "a part's header holds a NUL");
    char *end = p + n;
    while (p < end) {
        char *cr = memmem(p, (size_t)(end - p), "\r\n", 2);
        if (!cr) cr = end;
        *cr = '\0';
        char *colon = strchr(p, ':');
        if (!colon || !wire_token(p, (size_t)(colon - p))) return refuse(m, c, ERR_BAD_REQUEST, "a part has a malformed header line");
        *colon = '\0';
        const char *v = colon + 1 + strspn(colon + 1, " \t");
        if (strcasecmp(p, "content-disposition") == 0) {
            enum err e = read_disposition(m, c, v);
            if (e) return e;
        } else if (strcasecmp(p, "content-transfer-encoding") == 0 && strncasecmp(v, "binary", 6) != 0 && v[0] != '7' && v[0] != '8') {
            return refuse(m, c, ERR_BAD_REQUEST, "a part's Content-Transfer-Encoding is not supported");
        }
        p = cr + 2;
    }
    if (!m->name) return refuse(m, c, ERR_BAD_REQUEST, "a part has no Content-Disposition with a name");
    if (m->field_count + m->upload_count == MULTIPART_PARTS_MAX) {
        snprintf(m->why, sizeof m->why, "more than %d parts", MULTIPART_PARTS_MAX);
        m->err = ERR_TOO_LARGE;
        return fail(c, ERR_TOO_LARGE, "%s", m->why);
    }
    buf_clear(&m->text);
    return m->is_file ? open_file(m, c) : OK;
}

static enum err write_part(struct multipart *m, struct call *c, const char *p, size_t n)
{
    char why[160];
    if (!m->is_file) {
        if (buf_add(&m->text, p, n)) return OK;
        snprintf(why, sizeof why, "the field %.60s is over %d bytes", m->name, MULTIPART_FIELD_BYTES);
        return refuse(m, c, ERR_TOO_LARGE, why);
    }
    m->size += (int64_t)n;
    if (m->size > LIMIT_UPLOAD_BYTES) {
        snprintf(why, sizeof why, "the file %.60s is over %lld bytes", m->filename, (long long)LIMIT_UPLOAD_BYTES);
        return refuse(m, c, ERR_TOO_LARGE, why);
    }
    EVP_DigestUpdate(m->sha, p, n);
    while (n > 0) {
        ssize_t k = write(m->fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) {
            snprintf(why, sizeof why, "the upload cannot be written: %s", strerror(errno));
            return refuse(m, c, ERR_IO, why);
        }
        p += k;
        n -= (size_t)k;
    }
    return OK;
}

static enum err finish_part(struct multipart *m, struct call *c)
{
    if (!m->is_file) {
        const char *s = m->text.data ? m->text.data : "";
        if (memchr(s, '\0', m->text.len) || !wire_utf8(s, m->text.len)) {
            char why[160];
            snprintf(why, sizeof why, "the field %.60s is not UTF-8 text", m->name);
            return refuse(m, c, ERR_BAD_REQUEST, why);
        }
        m->fields[m->field_count++] = (struct text_field){ m->name, copy(s, m->text.len) };
        m->name = NULL;
        return OK;
    }
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int sum_len = 0;
    EVP_DigestFinal_ex(m->sha, sum, &sum_len);
    char hex[65];
    for (unsigned int i = 0; i < 32; i++) snprintf(hex + i * 2, 3, "%02x", sum[i]);
    int bad = close(m->fd);
    m->fd = -1;
    if (bad) return refuse(m, c, ERR_IO, "the upload cannot be written");
    m->uploads[m->upload_count++] = (struct upload){ m->name, m->filename, m->path, m->size, copy(hex, 64) };
    m->name = m->filename = m->path = NULL;
    drop_part(m);
    return OK;
}

/* Takes one step; *more is false when the buffer holds nothing that can be decided yet. */
static enum err step(struct multipart *m, struct call *c, bool *more)
{
    char *at = m->in.data;
    size_t n = m->in.len;
    *more = false;
    switch (m->state) {
    case PREAMBLE:
    case PART_BODY: {
        const char *hit = memmem(at, n, m->delimiter, m->delimiter_len);
        size_t sure = hit ? (size_t)(hit - at) : n >= m->delimiter_len ? n - m->delimiter_len + 1 : 0;
        enum err e = m->state == PART_BODY && sure > 0 ? write_part(m, c, at, sure) : OK;
        if (!e && hit && m->state == PART_BODY) e = finish_part(m, c);
        if (e) return e;
        buf_drop_front(&m->in, sure + (hit ? m->delimiter_len : 0));
        if (!hit) return OK;
        m->state = AFTER_DELIMITER;
        *more = true;
        return OK;
    }
    case AFTER_DELIMITER: {
        if (n >= 2 && at[0] == '-' && at[1] == '-') {
            m->state = EPILOGUE;
            *more = true;
            return OK;
        }
        size_t pad = 0;
        while (pad < n && (at[pad] == ' ' || at[pad] == '\t')) pad++;
        if (n < pad + 2 && pad < 64) return OK;
        if (n < pad + 2 || at[pad] != '\r' || at[pad + 1] != '\n')
            return refuse(m, c, ERR_BAD_REQUEST, "a boundary is not followed by a line end");
        buf_drop_front(&m->in, pad + 2);
        m->state = PART_HEADER;
        *more = true;
        return OK;
    }
    case PART_HEADER: {
        if (n >= 2 && at[0] == '\r' && at[1] == '\n') return refuse(m, c, ERR_BAD_REQUEST, "a part has no headers");
        char *end = memmem(at, n, "\r\n\r\n", 4);
        if (!end && n <= PART_HEADER_MAX) return OK;
        if (!end || end - at > PART_HEADER_MAX) return refuse(m, c, ERR_BAD_REQUEST, "a part's headers are over 8192 bytes");
        size_t len = (size_t)(end - at);
        enum err e = read_part_headers(m, c, at, len);
        if (e) return e;
        buf_drop_front(&m->in, len + 4);
        m->state = PART_BODY;
        *more = true;
        return OK;
    }
    case EPILOGUE:
        buf_clear(&m->in);
        return OK;
    }
    return OK;
}

enum err multipart_feed(struct multipart *m, struct call *c, const void *data, size_t n)
{
    const char *p = data;
    if (m->err) return fail(c, m->err, "%s", m->why);
    while (n > 0) {
        size_t take = n < WINDOW_BYTES ? n : WINDOW_BYTES;
        if (!buf_add(&m->in, p, take)) return refuse(m, c, ERR_BAD_REQUEST, "a boundary line is too long");
        p += take;
        n -= take;
        for (bool more = true; more;) {
            enum err e = step(m, c, &more);
            if (e) return e;
        }
    }
    return OK;
}

enum err multipart_end(struct multipart *m, struct call *c)
{
    if (m->err) return fail(c, m->err, "%s", m->why);
    if (m->state != EPILOGUE) return refuse(m, c, ERR_BAD_REQUEST, "the multipart body ends before its last boundary");
    return OK;
}

const char *multipart_field(const struct multipart *m, const char *name)
{
    for (int i = 0; i < m->field_count; i++)
        if (strcmp(m->fields[i].name, name) == 0) return m->fields[i].value;
    return NULL;
}

void multipart_each(const struct multipart *m, void (*f)(void *arg, const char *p, size_t n), void *arg)
{
    for (int i = 0; i < m->field_count; i++) {
        f(arg, m->fields[i].name, strlen(m->fields[i].name) + 1);
        f(arg, m->fields[i].value, strlen(m->fields[i].value) + 1);
    }
    for (int i = 0; i < m->upload_count; i++) {
        f(arg, m->uploads[i].name, strlen(m->uploads[i].name) + 1);
        f(arg, m->uploads[i].filename, strlen(m->uploads[i].filename) + 1);
        f(arg, m->uploads[i].sha256, strlen(m->uploads[i].sha256) + 1);
    }
}

struct upload *multipart_uploads(struct multipart *m, int *n_out)
{
    *n_out = m->upload_count;
    return m->uploads;
}
