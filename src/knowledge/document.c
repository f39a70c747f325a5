/* What may become a document and how it is named, before any of it is read: options are checked, the kind is found by
 * content, bytes are made durable, and only then is anything acknowledged. Reading in is the job's business. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>

#include "base/id.h"
#include "base/json.h"
#include "knowledge/document_store.h"
#include "knowledge/ingest.h"
#include "knowledge/media_type.h"
#include "store/jobs.h"
#include "store/store.h"

#define CHUNK_SIZE_MIN 50
#define CHUNK_SIZE_MAX 8000
#define SNIFF_BYTES    (64 * 1024)
#define TEXT_PAGE_MAX  (1024 * 1024)

static enum err check_text(struct call *c, const char *field, const char *s, size_t max)
{
    if (!s) return OK;
    size_t n = strlen(s);
    if (n > max) return fail_field(c, field, "%s has %zu bytes; at most %zu are taken", field, n, max);
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t cp;
        utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)s + i, (utf8proc_ssize_t)(n - i), &cp);
        if (len <= 0) return fail_field(c, field, "%s is not UTF-8", field);
        if (cp < 32 || cp == 127) return fail_field(c, field, "%s holds a control character", field);
        i += (size_t)len;
    }
    return OK;
}

static enum err check_metadata(struct call *c, const char *text, const char **out)
{
    json_t *v = NULL;
    *out = "{}";
    if (!text || !*text) return OK;
    if (strlen(text) > LIMIT_METADATA_BYTES)
        return fail_field(c, "metadata", "metadata has over %d bytes", LIMIT_METADATA_BYTES);
    enum err e = json_parse(c, text, strlen(text), &v);
    if (e) return e;
    bool object = json_is_object(v);
    json_decref(v);
    if (!object) return fail_field(c, "metadata", "metadata must be a JSON object");
    *out = text;
    return OK;
}

static bool is_language(const char *s)
{
    size_t n = strlen(s);
    return n >= 2 && n <= 16 && strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-") == n;
}

static enum err check_options(struct call *c, const struct ingest_opts *o, struct ingest_task *t)
{
    enum err e = check_text(c, "title", o->title, LIMIT_TITLE_BYTES);
    if (!e) e = check_text(c, "filename", o->filename, LIMIT_TITLE_BYTES);
    if (!e) e = check_metadata(c, o->metadata, &t->metadata);
    if (e) return e;
    t->title = o->title ? o->title : "";
    t->filename = o->filename ? o->filename : "";
    t->content_type = o->content_type && *o->content_type ? o->content_type : "document";
    t->user_id = o->user_id ? o->user_id : "";
    t->language = o->language ? o->language : "";
    t->unit = o->unit && *o->unit ? o->unit : "characters";
    t->size = o->chunk_size ? o->chunk_size : LIMIT_CHUNK_CHARS;
    t->overlap = o->chunk_overlap ? o->chunk_overlap : LIMIT_CHUNK_OVERLAP_CHARS;
    if (!o->chunk_overlap && t->overlap >= t->size) t->overlap = t->size / 5;
    if (!id_valid(t->content_type))
        return fail_field(c, "content_type", "content_type must be a name of letters, digits and . _ : @ -");
    if (*t->user_id && !id_valid(t->user_id))
        return fail_field(c, "user_id", "user_id must be an id of letters, digits and . _ : @ -");
    if (*t->language && !is_language(t->language))
        return fail_field(c, "language", "language must be a code like en or es");
    if (strcmp(t->unit, "characters") != 0 && strcmp(t->unit, "tokens") != 0)
        return fail_field(c, "unit", "unit must be characters or tokens");
    if (t->size < CHUNK_SIZE_MIN || t->size > CHUNK_SIZE_MAX)
        return fail_field(c, "chunk_size", "chunk_size must be %d to %d", CHUNK_SIZE_MIN, CHUNK_SIZE_MAX);
    if (t->overlap < 0 || t->overlap * 2 > t->size)
        return fail_field(c, "chunk_overlap", "chunk_overlap must be 0 to half of chunk_size");
    return OK;
}

/* Until it is found in the text: the file's name without its end. */
static const char *name_of(struct call *c, const struct ingest_task *t)
{
    if (*t->title) return t->title;
    const char *dot = strrchr(t->filename, '.');
    size_t n = dot && dot != t->filename ? (size_t)(dot - t->filename) : strlen(t->filename);
    return n ? arena_strndup(&c->mem, t->filename, n) : "Untitled";
}

static enum err make_folder(struct call *c)
{
    const char *folder = arena_printf(&c->mem, "%s/files", tenant_dir(c->tenant));
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return fail(c, ERR_IO, "cannot make the folder for documents: %s", strerror(errno));
    return OK;
}

/* A name in the files folder that is nobody's hash. */
static const char *fresh_name(struct call *c)
{
    char id[ID_BYTES];
    return arena_printf(&c->mem, "%s/files/%s", tenant_dir(c->tenant), id_new("new", id));
}

static enum err write_all(struct call *c, int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return fail(c, ERR_IO, "cannot write the file: %s", strerror(errno));
        p += put;
        n -= (size_t)put;
    }
    return OK;
}

static enum err copy(struct call *c, int from, int to)
{
    char *b = arena_alloc(&c->mem, 256 * 1024);
    for (;;) {
        ssize_t n = read(from, b, 256 * 1024);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));
        if (n == 0) break;
        enum err e = write_all(c, to, b, (size_t)n);
        if (!e) e = call_check(c);
        if (e) return e;
    }
    return fsync(to) == 0 ? OK : fail(c, ERR_IO, "cannot make the file durable: %s", strerror(errno));
}

enum err document_import(struct call *c, const char *path, const char **out)
{
    const char *to = fresh_name(c);
    enum err e = make_folder(c);
    if (e) return e;
    int in = open(path, O_RDONLY | O_CLOEXEC);
    if (in < 0) return fail(c, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot read %s: %s", path, strerror(errno));
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    e = fd < 0 ? fail(c, ERR_IO, "cannot write the file: %s", strerror(errno)) : copy(c, in, fd);
    close(in);
    if (fd >= 0) close(fd);
    if (e)
        (void)unlink(to);
    else
        *out = to;
    return e;
}

/* Into the files folder under a passing name, durable. The caller's file is moved where the folders share a disk. */
static enum err bring_in(struct call *c, const char *path, const char **out)
{
    const char *to = fresh_name(c);
    enum err e = make_folder(c);
    if (e) return e;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));
    bool synced = fsync(fd) == 0;
    close(fd);
    if (!synced) return fail(c, ERR_IO, "cannot make the file durable: %s", strerror(errno));
    if (rename(path, to) == 0) {
        *out = to;
        return OK;
    }
    if (errno != EXDEV) return fail(c, ERR_IO, "cannot keep the file: %s", strerror(errno));
    e = document_import(c, path, out);
    if (!e) (void)unlink(path);
    return e;
}

static enum err add(struct call *c, const char *path, const struct ingest_opts *o, struct ingest_task *t,
                    const char **document_id_out, const char **job_id_out, bool *known_out)
{
    char sha[65], id[ID_BYTES];
    const char *mine = NULL, *known = NULL, *job = NULL;
    bool replace = o->replace_id && *o->replace_id;
    if (!id_sha256_file(path, sha)) return fail(c, ERR_IO, "cannot read the file: %s", strerror(errno));
    t->sha256 = arena_strdup(&c->mem, sha);
    t->document_id = replace ? o->replace_id : arena_strdup(&c->mem, id_new("doc", id));
    if (replace) {
        struct document d;
        enum err e = document_store_get(c, t->document_id, &d);
        if (e) return e;
    }
    enum err e = bring_in(c, path, &mine);
    if (!e)
        e = document_store_add(c, t, replace, mine, name_of(c, t), ingest_kind.kind, ingest_payload(c, t), &known, &job);
    if (mine && (e || known)) {
        /* On an error the caller's file is where it was. */
        if (!e || rename(mine, path) != 0) (void)unlink(mine);
    }
    if (e) return e;
    if (!known) jobs_announce(c, ingest_kind.kind);
    *document_id_out = known ? known : t->document_id;
    *job_id_out = job;
    *known_out = known != NULL;
    return OK;
}

enum err document_add_file(struct call *c, const char *path, const struct ingest_opts *o, const char **document_id_out,
                           const char **job_id_out, bool *known_out)
{
    struct ingest_task t = { 0 };
    struct media m;
    enum err e = check_options(c, o, &t);
    if (!e) e = media_type_find(c, path, o->filename, &m);
    if (e) return e;
    t.kind = media_type_word(m.kind);
    t.media_type = m.type;
    t.size_bytes = m.size_bytes;
    return add(c, path, o, &t, document_id_out, job_id_out, known_out);
}

enum err document_add_text(struct call *c, const char *text, size_t n, const struct ingest_opts *o,
                           const char **document_id_out, const char **job_id_out, bool *known_out)
{
    struct ingest_task t = { 0 };
    struct media m = { .kind = MEDIA_TEXT };
    enum media_kind found = MEDIA_TEXT;
    enum err e = check_options(c, o, &t);
    if (!e && n == 0) e = fail_field(c, "text", "the text is empty");
    if (!e && (int64_t)n > LIMIT_DOCUMENT_TEXT_BYTES)
        e = fail(c, ERR_TOO_LARGE, "the text has %zu bytes; at most %lld are taken", n,
                 (long long)LIMIT_DOCUMENT_TEXT_BYTES);
    if (!e) e = make_folder(c);
    if (e) return e;
    const char *path = fresh_name(c);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, ERR_IO, "cannot write the text: %s", strerror(errno));
    e = write_all(c, fd, text, n);
    close(fd);
    if (!e && o->filename && *o->filename)
        e = media_type_find(c, path, o->filename, &m);
    else if (!e && media_type_eicar(text, n))
        e = fail(c, ERR_UNSUPPORTED_TYPE, "the text was refused by the security scan: it holds the EICAR test pattern");
    else if (!e && !media_type_sniff((const unsigned char *)text, n < SNIFF_BYTES ? n : SNIFF_BYTES, NULL, 0, NULL, &found) &&
             found == MEDIA_MARKDOWN)
        m.kind = MEDIA_MARKDOWN;
    t.kind = media_type_word(m.kind);
    t.media_type = media_type_name(m.kind);
    t.size_bytes = (int64_t)n;
    if (!e) e = add(c, path, o, &t, document_id_out, job_id_out, known_out);
    (void)unlink(path);
    return e;
}

enum err document_get(struct call *c, const char *id, struct document *out)
{
    return document_store_get(c, id, out);
}

enum err document_list(struct call *c, int offset, int max, struct document **out, int *n_out, int64_t *total_out)
{
    return document_store_list(c, offset, max, out, n_out, total_out);
}

enum err document_remove(struct call *c, const char *id)
{
    const char *job = NULL;
    enum err e = document_store_remove(c, id, &job);
    if (e) return e;
    /* Its ingest, if one runs, finds nothing to finish; asking it to stop only saves work. */
    if (job && *job && jobs_cancel(c, job) != OK) call_forgive(c);
    return OK;
}

enum err document_text(struct call *c, const char *id, int page, const char **text_out, int64_t *start_byte_out,
                       int64_t *total_out)
{
    return document_store_text(c, id, page, TEXT_PAGE_MAX, text_out, start_byte_out, total_out);
}

enum err document_chunks(struct call *c, const char *id, struct chunk **out, int *n_out)
{
    return document_store_chunks(c, id, out, n_out);
}
