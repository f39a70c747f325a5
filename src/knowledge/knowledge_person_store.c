/* What knowledge keeps about people: documents and embeddings that belong to one user, with their texts, terms, vectors and
 * files. Rows of the index go only through the index's own door, so that indexes in memory and on disk follow in every
 * process. What is shared by all users of a creator is the creator's and stays when a user goes. */
/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <string.h>

#include "accounts/export.h"
#include "knowledge/collection.h"
#include "knowledge/document_store.h"
#include "knowledge/embed.h"
#include "knowledge/index_file.h"
#include "knowledge/rerank.h"
#include "knowledge/search.h"
#include "knowledge/search_index.h"
#include "knowledge/search_store.h"
#include "knowledge/tokens.h"
#include "store/db.h"
#include "store/store.h"

extern const struct person_table knowledge_person_tables[];
extern const struct person_place knowledge_person_places[];

/* ---- export ---- */

static enum err documents_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, title, filename, media_type, language, content_type, user_id, sha256, metadata, state, error, size_bytes, "
                               "text_bytes, pages, chunks, version, created_at, updated_at FROM document WHERE (?s IS NULL OR user_id = ?s) "
                               "ORDER BY created_at, id",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x,
                       "id title filename media_type language content_type user_id sha256 metadata{} state error size_bytes# text_bytes# "
                       "pages# chunks# version# created_at@ updated_at@");
}

static enum err pages_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT k.document_id, k.page, k.start_byte, k.text FROM document_page k JOIN document d ON d.id = k.document_id "
                               "WHERE (?s IS NULL OR d.user_id = ?s) ORDER BY k.document_id, k.page",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x, "document_id page# start_byte# text");
}

static enum err chunks_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, document_id, idx, text, heading, page, start_byte, end_byte, user_id, content_type, language FROM chunk "
                               "WHERE (?s IS NULL OR user_id = ?s) ORDER BY document_id, idx",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x, "id document_id index# text heading page# start_byte# end_byte# user_id content_type language");
}

static enum err embeddings_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    enum err     e = db_select(c, r, &rs,
                               "SELECT id, user_id, content, content_type, model_name, dimension, metadata, created_at, language, embedding_vector "
                               "FROM embedding WHERE (?s IS NULL OR user_id = ?s) ORDER BY created_at, id",
                               EXPORT_USER(p));
    return export_rows(c, &rs, e, x, "id user_id content content_type model_name dimension# metadata{} created_at@ language embedding*");
}

static enum err feedback_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    (void)p;
    enum err e = db_select(c, r, &rs, "SELECT event, total FROM search_feedback ORDER BY event");
    return export_rows(c, &rs, e, x, "event total#");
}

static enum err models_export(struct call *c, struct conn *r, const struct person_who *p, struct export_to *x)
{
    struct rows *rs = NULL;
    (void)p;
    enum err e = db_select(c, r, &rs, "SELECT label, name, dim, remote, state FROM search_model ORDER BY label");
    return export_rows(c, &rs, e, x, "label name dimension# remote? state");
}

/* ---- erasure ---- */

static enum err staged_chunks_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM staged_chunk WHERE job_id IN (SELECT job_id FROM document WHERE user_id = ?s)", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err staged_pages_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM staged_page WHERE job_id IN (SELECT job_id FROM document WHERE user_id = ?s)", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err terms_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM search_term WHERE item IN (SELECT item FROM search_item WHERE user_id = ?s)", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err vectors_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w,
                        "DELETE FROM chunk_vector WHERE chunk_id IN (SELECT ref FROM search_item WHERE user_id = ?s) "
                        "OR chunk_id IN (SELECT id FROM chunk WHERE user_id = ?s)",
                        p->user_id, p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

struct sources {
    const char **id;
    int64_t     *kind;
    int          n;
};

static enum err sources_of(struct call *c, struct conn *k, const char *user, struct sources *out)
{
    struct rows   *rs = NULL;
    struct sources s = { 0 };
    int64_t        count = 0;
    enum err e = db_get_int(c, k, 0, &count, "SELECT count(*) FROM (SELECT DISTINCT kind, source FROM search_item WHERE user_id = ?s)", user);
    if (e) return e;
    s.id = arena_array(&c->mem, (size_t)count + 1, sizeof *s.id);
    s.kind = arena_array(&c->mem, (size_t)count + 1, sizeof *s.kind);
    e = db_select(c, k, &rs, "SELECT DISTINCT kind, source FROM search_item WHERE user_id = ?s", user);
    while (!e && s.n < count && rows_next(rs)) {
        s.kind[s.n] = rows_int(rs, 0);
        s.id[s.n++] = arena_strdup(&c->mem, rows_text(rs, 1));
    }
    e = rows_close(c, &rs, e);
    if (!e) *out = s;
    return e;
}

static enum err items_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    struct sources s = { 0 };
    int64_t        n = 0;
    enum err       e = db_get_int(c, w, 0, &n, "SELECT count(*) FROM search_item WHERE user_id = ?s", p->user_id);
    if (!e) e = sources_of(c, w, p->user_id, &s);
    for (int i = 0; !e && i < s.n; i++)
        e = s.kind[i] == SEARCH_EMBEDDING ? search_index_drop_embedding(c, w, s.id[i]) : search_index_drop(c, w, s.id[i]);
    if (!e) *rows_out = n;
    return e;
}

static enum err chunks_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM chunk WHERE user_id = ?s OR document_id IN (SELECT id FROM document WHERE user_id = ?s)", p->user_id,
                        p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err pages_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM document_page WHERE document_id IN (SELECT id FROM document WHERE user_id = ?s)", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err embeddings_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    enum err e = db_run(c, w, "DELETE FROM embedding WHERE user_id = ?s", p->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err documents_erase(struct call *c, struct conn *w, const struct person_who *p, int64_t *rows_out)
{
    struct rows *rs = NULL;
    int64_t      count = 0, gone = 0;
    int          n = 0;
    enum err     e = db_get_int(c, w, 0, &count, "SELECT count(*) FROM document WHERE user_id = ?s", p->user_id);
    if (e) return e;
    const char **sums = arena_array(&c->mem, (size_t)count * 2 + 1, sizeof *sums);
    e = db_select(c, w, &rs, "SELECT sha256, next_sha256 FROM document WHERE user_id = ?s", p->user_id);
    while (!e && n + 1 < count * 2 && rows_next(rs)) {
        sums[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
        sums[n++] = arena_strdup(&c->mem, rows_text(rs, 1));
    }
    e = rows_close(c, &rs, e);
    if (!e) e = db_run(c, w, "DELETE FROM document WHERE user_id = ?s", p->user_id);
    if (!e) gone = db_changes(w);
    for (int i = 0; !e && i < n; i++) e = document_store_drop_file(c, w, sums[i], "");
    if (!e) *rows_out = gone;
    return e;
}

/* ---- claims ---- */

static enum err documents_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    enum err e = db_run(c, w, "UPDATE document SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err chunks_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    enum err e = db_run(c, w, "UPDATE chunk SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err embeddings_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    enum err e = db_run(c, w, "UPDATE embedding SET user_id = ?s WHERE user_id = ?s", to, from->user_id);
    if (!e) *rows_out = db_changes(w);
    return e;
}

static enum err items_move(struct call *c, struct conn *w, const struct person_who *from, const char *to, int64_t *rows_out)
{
    return search_index_move(c, w, from->user_id, to, rows_out);
}

const struct person_table knowledge_person_tables[] = {
    { "creator", "staged_chunk", "text and vectors of their documents that are being read in", NULL, NULL, staged_chunks_erase, NULL },
    { "creator", "staged_page", "text of their documents that are being read in", NULL, NULL, staged_pages_erase, NULL },
    { "creator", "search_term", "words of their content", NULL, NULL, terms_erase, NULL },
    { "creator", "chunk_vector", "vectors of their content", NULL, NULL, vectors_erase, NULL },
    { "creator", "search_item", "whose content is found by whom", NULL, NULL, items_erase, items_move },
    { "creator", "chunk", "passages of their documents", NULL, chunks_export, chunks_erase, chunks_move },
    { "creator", "document_page", "text of their documents", NULL, pages_export, pages_erase, NULL },
    { "creator", "embedding", "content that was stored for them, with its vector", NULL, embeddings_export, embeddings_erase, embeddings_move },
    { "creator", "document", "their documents", NULL, documents_export, documents_erase, documents_move },
    { "creator", "search_gone", NULL, "numbers of index entries that are no more", NULL, NULL, NULL },
    { "creator", "search_state", NULL, "how often the index has changed", NULL, NULL, NULL },
    { "creator", "search_feedback", NULL, "totals of clicks over everybody", feedback_export, NULL, NULL },
    { "creator", "search_model", NULL, "names of the models that vectors are of", models_export, NULL, NULL },
    { 0 },
};

/* ---- files and memory ---- */

/* A name that is one on every system, behind the document's id. */
static const char *file_name(struct call *c, const char *id, const char *filename)
{
    char *name = arena_printf(&c->mem, "files/%s/%s", id, *filename ? filename : "document");
    for (char *p = name + strlen("files/") + strlen(id) + 1; *p; p++)
        if (strchr("/\\:*?\"<>|", *p) || iscntrl((unsigned char)*p)) *p = '_';
    return name;
}

static enum err files_each(struct call *c, const struct person_who *p, enum err (*f)(struct call *c, void *arg, const char *path, const char *name),
                           void *arg)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    enum err     e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rs, "SELECT id, filename, sha256 FROM document WHERE (?s IS NULL OR user_id = ?s) AND sha256 <> '' ORDER BY id",
                      EXPORT_USER(p));
    while (!e && rows_next(rs)) {
        const char *id = arena_strdup(&c->mem, rows_text(rs, 0));
        e = f(c, arg, document_file(c, rows_text(rs, 2)), file_name(c, id, rows_text(rs, 1)));
    }
    e = rows_close(c, &rs, e);
    db_release(&r);
    return e;
}

static const char *index_forget(struct call *c, const struct person_who *p)
{
    if (!p->user_id && !p->account_id) {
        collection_forget(p->creator_id);
        return "the index in memory";
    }
    if (c->tenant) collection_renew(c);
    return "the index file; the index in memory was read anew";
}

static const char *caches_forget(struct call *c, const struct person_who *p)
{
    (void)c;
    (void)p;
    embed_forget();
    search_forget();
    rerank_forget();
    tokens_forget();
    return "all entries: they carry no names, so none could be told from another's";
}

const struct person_place knowledge_person_places[] = {
    { "files", "documents as they were given", files_each, NULL },
    { "search index", "words and vectors of their content, in a file and in memory", NULL, index_forget },
    { "caches", "questions as hashes, with their vectors and results", NULL, caches_forget },
    { 0 },
};
