/* Documents, pages and chunks in SQL. Files are put in place and taken away while the writer's lock is held, so that
 * one creator's rows and files never tell different stories to two writers: a row's file is there before the row is.
 * Callers that are users see shared documents and their own; that filter is in here, so that no route can forget it. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/document_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/audit.h"
#include "base/buf.h"
#include "base/clock.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/jobs.h"
#include "store/store.h"

#define COLUMNS                                                                                                        \
    "id, title, filename, media_type, language, content_type, user_id, sha256, metadata, state, job_id, error, "       \
    "size_bytes, text_bytes, pages, chunks, version, created_at, updated_at"

const char *document_file(struct call *c, const char *sha256)
{
    return arena_printf(&c->mem, "%s/files/%s", tenant_dir(c->tenant), sha256);
}

/* Who may read documents sees all, and so do our own jobs and verbs, which have no rights at all. A user sees shared documents
 * and their own; who may only ask and is no user (a key, a member) sees the shared ones. */
static const char *only_user(const struct call *c)
{
    bool all = !c->rights || (c->rights & RIGHT_READ) || (!c->user_id[0] && (c->rights & RIGHT_WRITE));
    return all ? NULL : c->user_id;
}

static const char *split_of(struct call *c, const struct ingest_task *t)
{
    return arena_printf(&c->mem, "%s:%d:%d", t->unit, t->size, t->overlap);
}

enum err document_store_drop_file(struct call *c, struct conn *w, const char *sha256, const char *except)
{
    int64_t used = 0;
    if (!sha256 || !*sha256) return OK;
    enum err e = db_get_int(
        c, w, 0, &used,
        "SELECT count(*) FROM document WHERE (sha256 = ?s OR next_sha256 = ?s) AND id <> ?s AND state <> 'failed'",
        sha256, sha256, except);
    if (!e && !used) (void)unlink(document_file(c, sha256));
    return e;
}

static enum err find_known(struct call *c, struct conn *w, const struct ingest_task *t, bool replace,
                           const char **id_out, const char **job_out)
{
    struct rows *r = NULL;
    *id_out = NULL;
    enum err e = db_select(c, w, &r,
                           "SELECT id, state, job_id, version FROM document WHERE (sha256 = ?s OR next_sha256 = ?s) "
                           "AND content_type = ?s AND "
                           "user_id = ?s AND split = ?s AND state <> 'failed' AND (?s = '' OR title = ?s) AND (?i = 0 "
                           "OR id = ?s) ORDER BY created_at",
                           t->sha256, t->sha256, t->content_type, t->user_id, split_of(c, t), t->title, t->title,
                           (int64_t)replace, t->document_id);
    if (!e && rows_next(r)) {
        *id_out = arena_strdup(&c->mem, rows_text(r, 0));
        *job_out = strcmp(rows_text(r, 1), "queued") == 0 ? arena_strdup(&c->mem, rows_text(r, 2)) : NULL;
    }
    return rows_close(c, &r, e);
}

/* Durable before the row that speaks of it. */
static enum err place_file(struct call *c, const char *path, const char *sha256)
{
    const char *to = document_file(c, sha256);
    if (rename(path, to) != 0) return fail(c, ERR_IO, "cannot keep the file: %s", strerror(errno));
    int fd = open(arena_printf(&c->mem, "%s/files", tenant_dir(c->tenant)), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return ok ? OK : fail(c, ERR_IO, "cannot make the file durable: %s", strerror(errno));
}

static enum err mark_replaced(struct call *c, struct conn *w, const struct ingest_task *t)
{
    const char *waiting = NULL;
    enum err e = db_get_text(c, w, &waiting, "SELECT next_sha256 FROM document WHERE id = ?s", t->document_id);
    if (e) return e;
    if (!waiting) return fail(c, ERR_NOT_FOUND, "no document %s", t->document_id);
    e = db_run(c, w, "UPDATE document SET next_sha256 = ?s, updated_at = ?i WHERE id = ?s", t->sha256, clock_unix_ms(),
               t->document_id);
    return e ? e : document_store_drop_file(c, w, waiting, "");
}

enum err document_store_add(struct call *c, const struct ingest_task *t, bool replace, const char *path,
                            const char *title, const char *job_kind, const char *payload, const char **known_id_out,
                            const char **job_out)
{
    struct conn *w = NULL;
    const char *known = NULL, *job = NULL;
    int64_t now = clock_unix_ms();
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, t->user_id);
    if (!e) e = find_known(c, w, t, replace, &known, &job);
    if (e || known) goto out;
    if (replace) {
        e = mark_replaced(c, w, t);
    } else {
        /* A failed try of the same bytes makes room for this one. */
        e = db_run(c, w,
                   "DELETE FROM document WHERE sha256 = ?s AND content_type = ?s AND user_id = ?s AND state = 'failed' "
                   "AND version = 0",
                   t->sha256, t->content_type, t->user_id);
        if (!e)
            e = db_run(c, w,
                       "INSERT INTO document (id, title, filename, media_type, language, content_type, user_id, "
                       "sha256, next_sha256, split, metadata, "
                       "state, size_bytes, created_at, updated_at) VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, ?s, "
                       "'queued', ?i, ?i, ?i)",
                       t->document_id, title, t->filename, t->media_type, t->language, t->content_type, t->user_id,
                       t->sha256, t->sha256, split_of(c, t), t->metadata, t->size_bytes, now, now);
    }
    if (!e) e = jobs_put(c, w, job_kind, payload, &job);
    if (!e) e = db_run(c, w, "UPDATE document SET job_id = ?s WHERE id = ?s", job, t->document_id);
    if (!e) e = place_file(c, path, t->sha256);
    if (!e) e = db_commit(c, &w);
out:
    db_release(&w);
    if (e) return e;
    *known_id_out = known;
    *job_out = job;
    return OK;
}

static const char *keep(struct call *c, struct rows *r, int col)
{
    const char *s = rows_text(r, col);
    return s ? arena_strdup(&c->mem, s) : NULL;
}

static struct document read_row(struct call *c, struct rows *r)
{
    const char *state = rows_text(r, 9);
    return (struct document){
        .id = keep(c, r, 0),
        .title = keep(c, r, 1),
        .filename = keep(c, r, 2),
        .media_type = keep(c, r, 3),
        .language = keep(c, r, 4),
        .content_type = keep(c, r, 5),
        .user_id = keep(c, r, 6),
        .sha256 = keep(c, r, 7),
        .metadata = keep(c, r, 8),
        .state = strcmp(state, "ready") == 0    ? DOCUMENT_READY
                 : strcmp(state, "failed") == 0 ? DOCUMENT_FAILED
                                                : DOCUMENT_QUEUED,
        .job_id = keep(c, r, 10),
        .error = keep(c, r, 11),
        .size_bytes = rows_int(r, 12),
        .text_bytes = rows_int(r, 13),
        .pages = (int)rows_int(r, 14),
        .chunks = (int)rows_int(r, 15),
        .version = (int)rows_int(r, 16),
        .created_ms = rows_int(r, 17),
        .updated_ms = rows_int(r, 18),
    };
}

static enum err read_one(struct call *c, struct conn *conn, const char *id, struct document *out)
{
    struct rows *r = NULL;
    bool found = false;
    const char *user = only_user(c);
    enum err e = db_select(
        c, conn, &r, "SELECT " COLUMNS " FROM document WHERE id = ?s AND (?i = 0 OR user_id = '' OR user_id = ?s)", id,
        (int64_t)(user != NULL), user ? user : "");
    if (!e && rows_next(r)) {
        *out = read_row(c, r);
        found = true;
    }
    e = rows_close(c, &r, e);
    return !e && !found ? fail(c, ERR_NOT_FOUND, "no document %s", id) : e;
}

enum err document_store_get(struct call *c, const char *id, struct document *out)
{
    struct conn *conn = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = read_one(c, conn, id, out);
    db_release(&conn);
    return e;
}

enum err document_store_list(struct call *c, int offset, int max, struct document **out, int *n_out, int64_t *total_out)
{
    struct conn *conn = NULL;
    struct rows *r = NULL;
    struct document *list = arena_array(&c->mem, (size_t)max, sizeof(*list));
    const char *user = only_user(c);
    int64_t total = 0;
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e)
        e = db_get_int(c, conn, 0, &total,
                       "SELECT count(*) FROM document WHERE (?i = 0 OR user_id = '' OR user_id = ?s)",
                       (int64_t)(user != NULL), user ? user : "");
    if (!e)
        e = db_select(c, conn, &r,
                      "SELECT " COLUMNS " FROM document WHERE (?i = 0 OR user_id = '' OR user_id = ?s) ORDER BY "
                                        "created_at DESC, id DESC LIMIT ?i OFFSET ?i",
                      (int64_t)(user != NULL), user ? user : "", (int64_t)max, (int64_t)offset);
    while (!e && n < max && rows_next(r)) list[n++] = read_row(c, r);
    e = rows_close(c, &r, e);
    db_release(&conn);
    if (e) return e;
    *out = list;
    *n_out = n;
    *total_out = total;
    return OK;
}

enum err document_store_remove(struct call *c, const char *id, const char **job_out)
{
    struct conn *w = NULL;
    struct document d;
    const char *next = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = read_one(c, w, id, &d);
    if (!e) e = db_get_text(c, w, &next, "SELECT next_sha256 FROM document WHERE id = ?s", id);
    if (!e) e = search_index_drop(c, w, id);
    if (!e) e = db_run(c, w, "DELETE FROM chunk WHERE document_id = ?s", id);
    if (!e) e = db_run(c, w, "DELETE FROM document_page WHERE document_id = ?s", id);
    if (!e) e = db_run(c, w, "DELETE FROM staged_chunk WHERE job_id = ?s", d.job_id);
    if (!e) e = db_run(c, w, "DELETE FROM staged_page WHERE job_id = ?s", d.job_id);
    if (!e) e = db_run(c, w, "DELETE FROM document WHERE id = ?s", id);
    if (!e) e = document_store_drop_file(c, w, d.sha256, "");
    if (!e) e = document_store_drop_file(c, w, next, "");
    if (!e)
        e = audit_put_in(c, w, &(struct audit_entry){ "document.delete", id, "done",
                                                      (const char *[]){ "chunks", arena_printf(&c->mem, "%d", d.chunks), NULL } });
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *job_out = d.job_id;
    return e;
}

/* The whole text, page after page, cut between code points. */
static enum err join_pages(struct call *c, struct conn *conn, const char *id, size_t max, const char **out)
{
    struct rows *r = NULL;
    struct buf b;
    buf_init(&b, max + 4);
    enum err e = db_select(c, conn, &r, "SELECT text FROM document_page WHERE document_id = ?s ORDER BY page", id);
    while (!e && b.len < max && rows_next(r)) {
        const char *t = rows_text(r, 0);
        size_t n = strlen(t), room = max - b.len;
        if (n > room)
            for (n = room; n && ((unsigned char)t[n] & 0xc0) == 0x80;) n--;
        buf_add(&b, t, n);
        if (n < strlen(t)) break;
    }
    e = rows_close(c, &r, e);
    if (!e) *out = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return e;
}

enum err document_store_text(struct call *c, const char *id, int page, size_t max, const char **text_out,
                             int64_t *start_out, int64_t *total_out)
{
    struct conn *conn = NULL;
    struct document d;
    const char *text = NULL;
    int64_t start = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = read_one(c, conn, id, &d);
    if (!e && page == 0) {
        e = join_pages(c, conn, id, max, &text);
    } else if (!e) {
        e = db_get_text(c, conn, &text, "SELECT text FROM document_page WHERE document_id = ?s AND page = ?i", id,
                        (int64_t)page);
        if (!e)
            e = db_get_int(c, conn, 0, &start,
                           "SELECT start_byte FROM document_page WHERE document_id = ?s AND page = ?i", id,
                           (int64_t)page);
        if (!e && !text) e = fail(c, ERR_NOT_FOUND, "document %s has no page %d", id, page);
    }
    db_release(&conn);
    if (e) return e;
    *text_out = text;
    *start_out = start;
    *total_out = d.text_bytes;
    return OK;
}

enum err document_store_pages(struct call *c, const char *id, struct document_page **out, int *n_out)
{
    struct conn *conn = NULL;
    struct rows *r = NULL;
    int64_t count = 0;
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = db_get_int(c, conn, 0, &count, "SELECT count(*) FROM document_page WHERE document_id = ?s", id);
    struct document_page *list = arena_array(&c->mem, (size_t)count, sizeof(*list));
    if (!e)
        e = db_select(c, conn, &r,
                      "SELECT page, start_byte, start_byte + length(CAST(text AS BLOB)) FROM document_page WHERE "
                      "document_id = ?s ORDER BY page",
                      id);
    while (!e && n < count && rows_next(r))
        list[n++] = (struct document_page){ (int)rows_int(r, 0), rows_int(r, 1), rows_int(r, 2) };
    e = rows_close(c, &r, e);
    db_release(&conn);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err document_store_chunks(struct call *c, const char *id, struct chunk **out, int *n_out)
{
    struct conn *conn = NULL;
    struct rows *r = NULL;
    struct document d;
    int64_t count = 0;
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = read_one(c, conn, id, &d);
    if (!e) e = db_get_int(c, conn, 0, &count, "SELECT count(*) FROM chunk WHERE document_id = ?s", id);
    struct chunk *list = arena_array(&c->mem, (size_t)count, sizeof(*list));
    if (!e)
        e = db_select(
            c, conn, &r,
            "SELECT id, text, heading, page, start_byte, end_byte, idx FROM chunk WHERE document_id = ?s ORDER BY idx",
            id);
    while (!e && n < count && rows_next(r))
        list[n++] = (struct chunk){ .id = keep(c, r, 0),
                                    .text = keep(c, r, 1),
                                    .heading = keep(c, r, 2),
                                    .page = (int)rows_int(r, 3),
                                    .start_byte = rows_int(r, 4),
                                    .end_byte = rows_int(r, 5),
                                    .index = (int)rows_int(r, 6) };
    e = rows_close(c, &r, e);
    db_release(&conn);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}
