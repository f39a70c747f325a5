/* The SQL of a version on its way in. Each batch is one short transaction, so a kill loses one batch; the last step is
 * one transaction for everything that can be seen, so a kill leaves the old version or the new one whole. */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "knowledge/collection.h"
#include "knowledge/document_store.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/store.h"

#define SWEEP_AGE_MS  (60 * 60 * 1000LL)
#define SPANS_AT_MOST 4000000

/* Only to tell one text from another: FNV-1a. */
uint64_t staging_hash(const char *text, size_t n)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i++) h = (h ^ (unsigned char)text[i]) * 1099511628211u;
    return h;
}

enum err staging_store_read(struct call *c, const char *job_id, const char *model, struct staged_span **out, int *n_out)
{
    struct conn *conn = NULL;
    struct rows *r = NULL;
    int64_t count = 0;
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = db_get_int(c, conn, 0, &count, "SELECT count(*) FROM staged_chunk WHERE job_id = ?s", job_id);
    if (!e && count > SPANS_AT_MOST) e = fail(c, ERR_TOO_LARGE, "the document has more than %d chunks", SPANS_AT_MOST);
    struct staged_span *list = arena_array(&c->mem, (size_t)(e ? 0 : count), sizeof(*list));
    if (!e)
        e = db_select(c, conn, &r,
                      "SELECT idx, start_byte, end_byte, model, text FROM staged_chunk WHERE job_id = ?s ORDER BY idx",
                      job_id);
    while (!e && n < count && rows_next(r)) {
        if (rows_int(r, 0) != n || strcmp(rows_text(r, 3), model) != 0) break;
        const char *text = rows_text(r, 4);
        list[n++] = (struct staged_span){ rows_int(r, 1), rows_int(r, 2), staging_hash(text, strlen(text)) };
    }
    e = rows_close(c, &r, e);
    db_release(&conn);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

enum err staging_store_cut(struct call *c, const char *job_id, int idx)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "DELETE FROM staged_chunk WHERE job_id = ?s AND idx >= ?i", job_id, (int64_t)idx);
    if (!e && idx == 0) e = db_run(c, w, "DELETE FROM staged_page WHERE job_id = ?s", job_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err staging_store_add(struct call *c, const char *job_id, const struct staged_page *pages, int page_count,
                           const struct staged_chunk *chunks, int chunk_count)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; !e && i < page_count; i++) {
        e = db_run(c, w, "DELETE FROM staged_page WHERE job_id = ?s AND page = ?i", job_id, (int64_t)pages[i].page);
        if (!e)
            e = db_run(c, w, "INSERT INTO staged_page (job_id, page, start_byte, text) VALUES (?s, ?i, ?i, ?s)", job_id,
                       (int64_t)pages[i].page, pages[i].start_byte, pages[i].text);
    }
    for (int i = 0; !e && i < chunk_count; i++) {
        const struct staged_chunk *k = &chunks[i];
        const struct staged_vector *v = k->vectors;
        e = db_run(c, w,
                   "INSERT INTO staged_chunk (job_id, idx, id, text, heading, page, start_byte, end_byte, language, "
                   "dim, model, vector, text_hash, next_dim, next_model, next_vector) "
                   "VALUES (?s, ?i, ?s, ?s, ?s, ?i, ?i, ?i, ?s, ?i, ?s, ?b, ?b, ?i, ?s, ?b)",
                   job_id, (int64_t)k->idx, k->id, k->text, k->heading, (int64_t)k->page, k->start_byte, k->end_byte,
                   k->language, (int64_t)v[0].dim, v[0].model ? v[0].model : "", (const void *)v[0].v,
                   (size_t)v[0].dim * sizeof(float), (const void *)k->text_hash, k->text_hash ? (size_t)TEXT_HASH_BYTES : (size_t)0,
                   (int64_t)v[1].dim, v[1].model ? v[1].model : "", (const void *)v[1].v, (size_t)v[1].dim * sizeof(float));
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

static enum err drop_staged(struct call *c, struct conn *w, const char *job_id)
{
    enum err e = db_run(c, w, "DELETE FROM staged_chunk WHERE job_id = ?s", job_id);
    return e ? e : db_run(c, w, "DELETE FROM staged_page WHERE job_id = ?s", job_id);
}

static enum err put_vector(struct call *c, struct conn *w, struct rows *r, int at)
{
    size_t n = 0, hash_bytes = 0;
    const void *hash = rows_blob(r, 1, &hash_bytes), *v = rows_blob(r, at + 2, &n);
    int dim = (int)rows_int(r, at + 1);
    if (dim == 0) return OK;
    if (n != (size_t)dim * sizeof(float))
        return fail(c, ERR_CORRUPT, "a staged vector has %zu bytes instead of %zu", n, (size_t)dim * sizeof(float));
    return search_vector_put_of(c, w, rows_text(r, 0), rows_text(r, at), dim, v, hash, hash_bytes);
}

static enum err put_vectors(struct call *c, struct conn *w, const char *job_id)
{
    struct rows *r = NULL;
    enum err e = db_select(c, w, &r,
                           "SELECT id, text_hash, model, dim, vector, next_model, next_dim, next_vector FROM staged_chunk WHERE "
                           "job_id = ?s AND (dim > 0 OR next_dim > 0) ORDER BY idx", job_id);
    while (!e && rows_next(r)) {
        e = put_vector(c, w, r, 2);
        if (!e) e = put_vector(c, w, r, 5);
    }
    return rows_close(c, &r, e);
}

/* The row as it stood: what is to be replaced. */
static enum err expected(struct call *c, struct conn *conn, const struct ingest_task *t, bool *there_out,
                         const char **old_sha_out)
{
    const char *next = NULL;
    enum err e = db_get_text(c, conn, &next, "SELECT next_sha256 FROM document WHERE id = ?s", t->document_id);
    if (!e) e = db_get_text(c, conn, old_sha_out, "SELECT sha256 FROM document WHERE id = ?s", t->document_id);
    if (!e) *there_out = next && strcmp(next, t->sha256) == 0;
    return e;
}

static enum err move_staged(struct call *c, struct conn *w, const char *job_id, const struct ingest_task *t,
                            const struct staged_result *r)
{
    enum err e = search_index_drop(c, w, t->document_id);
    if (!e) e = db_run(c, w, "DELETE FROM chunk WHERE document_id = ?s", t->document_id);
    if (!e) e = db_run(c, w, "DELETE FROM document_page WHERE document_id = ?s", t->document_id);
    if (!e)
        e = db_run(c, w,
                   "UPDATE document SET title = ?s, filename = ?s, media_type = ?s, language = ?s, content_type = ?s, "
                   "user_id = ?s, sha256 = ?s, "
                   "next_sha256 = '', split = ?s, metadata = ?s, state = 'ready', job_id = ?s, error = NULL, "
                   "size_bytes = ?i, text_bytes = ?i, pages = ?i, "
                   "chunks = ?i, version = version + 1, updated_at = ?i WHERE id = ?s",
                   r->title, t->filename, t->media_type, r->language, t->content_type, t->user_id, t->sha256,
                   arena_printf(&c->mem, "%s:%d:%d", t->unit, t->size, t->overlap), r->metadata, job_id, t->size_bytes,
                   r->text_bytes, (int64_t)r->pages, (int64_t)r->chunks, clock_unix_ms(), t->document_id);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO document_page (document_id, page, start_byte, text) SELECT ?s, page, start_byte, text "
                   "FROM staged_page WHERE job_id = ?s",
                   t->document_id, job_id);
    if (!e)
        e = db_run(c, w,
                   "INSERT INTO chunk (id, document_id, idx, text, heading, page, start_byte, end_byte, user_id, "
                   "content_type, language) "
                   "SELECT id, ?s, idx, text, heading, page, start_byte, end_byte, ?s, ?s, CASE language WHEN '' THEN "
                   "?s ELSE language END "
                   "FROM staged_chunk WHERE job_id = ?s ORDER BY idx",
                   t->document_id, t->user_id, t->content_type, r->language, job_id);
    if (!e) e = put_vectors(c, w, job_id);
    for (int i = 0; !e && i < r->model_count; i++) e = model_store_note(c, w, &r->models[i]);
    if (!e) e = search_index_put(c, w, t->document_id);
    if (!e) e = model_store_look(c, w, t->document_id);
    return e ? e : drop_staged(c, w, job_id);
}

static enum err check_counts(struct call *c, struct conn *w, const char *job_id, const struct staged_result *r)
{
    int64_t chunks = 0;
    enum err e = db_get_int(c, w, 0, &chunks, "SELECT count(*) FROM staged_chunk WHERE job_id = ?s", job_id);
    if (!e && chunks != r->chunks)
        e = fail(c, ERR_INTERNAL, "%lld chunks are staged where %d were made", (long long)chunks, r->chunks);
    return e;
}

enum err staging_store_finish(struct call *c, const char *job_id, const struct ingest_task *t,
                              const struct staged_result *r)
{
    struct conn *w = NULL;
    const char *old = NULL;
    bool there = false;
    collection_catch_up(c);
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = expected(c, w, t, &there, &old);
    if (!e && !there) e = fail(c, ERR_NOT_FOUND, "the document was removed or replaced while it was read in");
    if (!e) e = check_counts(c, w, job_id, r);
    if (!e) e = move_staged(c, w, job_id, t, r);
    if (!e && strcmp(old, t->sha256) != 0) e = document_store_drop_file(c, w, old, "");
    if (!e && !r->keep_file) e = document_store_drop_file(c, w, t->sha256, t->document_id);
    struct collection_coming *coming = e ? NULL : collection_prepare(c, w);
    if (!e) e = db_commit(c, &w);
    collection_settle(coming, !e);
    db_release(&w);
    return e;
}

enum err staging_store_state(struct call *c, const char *job_id, const struct ingest_task *t, bool *done_out,
                             bool *wanted_out)
{
    struct conn *conn = NULL;
    const char *old = NULL, *job = NULL, *state = NULL;
    bool there = false;
    enum err e = db_read(c, tenant_db(c->tenant), &conn);
    if (!e) e = expected(c, conn, t, &there, &old);
    if (!e) e = db_get_text(c, conn, &job, "SELECT job_id FROM document WHERE id = ?s", t->document_id);
    if (!e) e = db_get_text(c, conn, &state, "SELECT state FROM document WHERE id = ?s", t->document_id);
    db_release(&conn);
    if (e) return e;
    *wanted_out = there;
    *done_out =
        !there && old && strcmp(old, t->sha256) == 0 && job && strcmp(job, job_id) == 0 && strcmp(state, "ready") == 0;
    return OK;
}

enum err staging_store_drop(struct call *c, const char *job_id, const struct ingest_task *t, const char *words)
{
    struct conn *w = NULL;
    const char *old = NULL;
    bool there = false;
    int64_t version = 0;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = drop_staged(c, w, job_id);
    if (!e) e = expected(c, w, t, &there, &old);
    if (!e) e = db_get_int(c, w, 0, &version, "SELECT version FROM document WHERE id = ?s", t->document_id);
    if (!e && there && version > 0) {
        e = db_run(c, w, "UPDATE document SET next_sha256 = '' WHERE id = ?s", t->document_id);
        if (!e) e = document_store_drop_file(c, w, t->sha256, "");
    } else if (!e && there && words) {
        e = db_run(c, w,
                   "UPDATE document SET state = 'failed', error = ?s, next_sha256 = '', updated_at = ?i WHERE id = ?s",
                   words, clock_unix_ms(), t->document_id);
        if (!e) e = document_store_drop_file(c, w, t->sha256, "");
    } else if (!e && there) {
        e = db_run(c, w, "DELETE FROM document WHERE id = ?s", t->document_id);
        if (!e) e = document_store_drop_file(c, w, t->sha256, "");
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

static enum err sweep_files(struct call *c, struct conn *w)
{
    const char *folder = arena_printf(&c->mem, "%s/files", tenant_dir(c->tenant));
    DIR *d = opendir(folder);
    enum err e = OK;
    if (!d) return OK;
    for (struct dirent *f; !e && (f = readdir(d));) {
        struct stat st;
        int64_t used = 0;
        if (f->d_name[0] == '.' && (!f->d_name[1] || f->d_name[1] == '.')) continue;
        if (fstatat(dirfd(d), f->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode)) continue;
        if (clock_unix_ms() - (int64_t)st.st_ctim.tv_sec * 1000 < SWEEP_AGE_MS) continue;
        e = db_get_int(c, w, 0, &used, "SELECT count(*) FROM document WHERE sha256 = ?s OR next_sha256 = ?s", f->d_name,
                       f->d_name);
        if (!e && !used) (void)unlinkat(dirfd(d), f->d_name, 0);
    }
    closedir(d);
    return e;
}

enum err document_store_sweep(struct call *c)
{
    struct conn *w = NULL;
    int64_t before = clock_unix_ms() - SWEEP_AGE_MS;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    /* A row without a job was written just before a kill and never acknowledged. */
    if (!e) e = db_run(c, w, "DELETE FROM document WHERE state = 'queued' AND job_id = '' AND created_at < ?i", before);
    if (!e)
        e = db_run(
            c, w,
            "DELETE FROM staged_chunk WHERE job_id NOT IN (SELECT id FROM job WHERE state IN ('queued', 'running'))");
    if (!e)
        e = db_run(
            c, w,
            "DELETE FROM staged_page WHERE job_id NOT IN (SELECT id FROM job WHERE state IN ('queued', 'running'))");
    if (!e) e = sweep_files(c, w);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
