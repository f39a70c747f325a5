/* knowledge/document_store.h — the SQL of documents, their pages and chunks, and of what is staged for a version that is
 * being read in. Every function is one transaction. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_DOCUMENT_STORE_H
#define CHIRON_KNOWLEDGE_DOCUMENT_STORE_H
#include "knowledge/knowledge.h"
#include "knowledge/model_store.h"

/* What an ingest job has to do; its payload, as a struct. No pointer is NULL. */
struct ingest_task {
    const char *document_id, *sha256, *kind /* media_type_word */, *media_type, *filename;
    const char *title;              /* given; "" to be found */
    const char *language;           /* given; "" to be found */
    const char *content_type, *user_id, *metadata /* JSON object */, *unit;
    int         size, overlap;
    int64_t     size_bytes;
};

/* Where files lie: <creator's folder>/files/<sha256>. In c->mem. */
const char *document_file(struct call *c, const char *sha256);

struct conn;
/* Inside the writer's transaction: the bytes go unless a document other than `except` still counts on them. */
MUST_CHECK enum err document_store_drop_file(struct call *c, struct conn *w, const char *sha256, const char *except);

/* ---- documents ---- */
/* One transaction: known already? else the file at path (already in the files folder under a temporary name) takes its
 * place, the row is written (t->document_id is new) or, with replace, marked, and its job of this kind is queued: no crash
 * leaves one without the other. *known_id_out: the document that has these bytes already, NULL when it was added.
 * *job_out: the job that reads it in, NULL when it is in. ERR_NOT_FOUND: no document to replace. */
MUST_CHECK enum err document_store_add(struct call *c, const struct ingest_task *t, bool replace, const char *path, const char *title,
                                       const char *job_kind, const char *payload, const char **known_id_out, const char **job_out);
MUST_CHECK enum err document_store_get(struct call *c, const char *id, struct document *out);
MUST_CHECK enum err document_store_list(struct call *c, int offset, int max, struct document **out, int *n_out, int64_t *total_out);
/* The row, everything that hangs on it, and its file when no other document has it; job_out: its last job. */
MUST_CHECK enum err document_store_remove(struct call *c, const char *id, const char **job_out);
MUST_CHECK enum err document_store_text(struct call *c, const char *id, int page, size_t max, const char **text_out,
                                        int64_t *start_out, int64_t *total_out);
struct document_page { int page; int64_t start_byte, end_byte; };
MUST_CHECK enum err document_store_pages(struct call *c, const char *id, struct document_page **out, int *n_out);
MUST_CHECK enum err document_store_chunks(struct call *c, const char *id, struct chunk **out, int *n_out);

/* ---- a version being read in ---- */
struct staged_vector { const char *model; int dim; const float *v; };   /* model NULL: none */
struct staged_chunk {
    const char  *id, *text, *heading, *language;
    int          idx, page;
    int64_t      start_byte, end_byte;
    const unsigned char *text_hash;      /* of what was embedded; NULL without vectors */
    struct staged_vector vectors[2];     /* the second is of the model that takes the first's place */
};
struct staged_page {
    int         page;
    int64_t     start_byte;
    const char *text;
};
/* Where each staged chunk lies, in order; stops at a gap or at another model's vector. */
struct staged_span { int64_t start_byte, end_byte; uint64_t text_hash; };
uint64_t staging_hash(const char *text, size_t n);
MUST_CHECK enum err staging_store_read(struct call *c, const char *job_id, const char *model, struct staged_span **out, int *n_out);
/* Drops staged chunks from idx on (0: all, and the pages). */
MUST_CHECK enum err staging_store_cut(struct call *c, const char *job_id, int idx);
MUST_CHECK enum err staging_store_add(struct call *c, const char *job_id, const struct staged_page *pages, int page_count,
                                      const struct staged_chunk *chunks, int chunk_count);
struct staged_result {
    const char *title, *language, *metadata;
    int64_t     text_bytes;
    int         pages, chunks;
    bool        keep_file;          /* false: the text was masked, the bytes go */
    const struct model_row *models; /* of the staged vectors, the first one first */
    int         model_count;
};
/* Everything staged takes the place of what was there, with its index; ERR_NOT_FOUND when the document was removed or
 * another version was sent after this one. */
MUST_CHECK enum err staging_store_finish(struct call *c, const char *job_id, const struct ingest_task *t, const struct staged_result *r);
/* Is this task's version the one that answers already (killed between commit and the job's end)? Or does nobody wait for it? */
MUST_CHECK enum err staging_store_state(struct call *c, const char *job_id, const struct ingest_task *t, bool *done_out, bool *wanted_out);
/* The task came to nothing. words NULL: cancelled. A document that never answered is marked failed or, cancelled, removed;
 * one that does keeps answering. */
MUST_CHECK enum err staging_store_drop(struct call *c, const char *job_id, const struct ingest_task *t, const char *words);
/* Rows and files that nothing refers to and that are older than an hour. */
MUST_CHECK enum err document_store_sweep(struct call *c);
#endif
