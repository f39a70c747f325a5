/* knowledge/eval_store.c — rows as ingest would leave them, then ingest's own door to the index. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/eval_store.h"

#include <string.h>

#include "base/clock.h"
#include "knowledge/knowledge.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/store.h"

static enum err put_document(struct call *c, struct conn *w, const struct eval_chunk *r)
{
    int64_t now = clock_unix_ms();
    return db_run(c, w,
                  "INSERT INTO document (id, title, media_type, language, sha256, split, state, size_bytes, version, created_at, "
                  "updated_at) VALUES (?s, ?s, 'text/plain', ?s, '', 'characters:1000:200', 'ready', ?i, 1, ?i, ?i)",
                  r->document_id, r->title, text_language(r->text, strlen(r->text)), (int64_t)strlen(r->text), now, now);
}

static enum err put_chunk(struct call *c, struct conn *w, const struct eval_chunk *r, const char *model, int dim)
{
    const char *id = arena_printf(&c->mem, "%s_%d", r->document_id, r->index);
    size_t n = strlen(r->text);
    enum err e = db_run(c, w,
                        "INSERT INTO chunk (id, document_id, idx, text, start_byte, end_byte, content_type, language) VALUES "
                        "(?s, ?s, ?i, ?s, 0, ?i, 'document', ?s)",
                        id, r->document_id, (int64_t)r->index, r->text, (int64_t)n, text_language(r->text, n));
    return e || !r->vector ? e : search_vector_put(c, w, id, model, dim, r->vector);
}

enum err eval_store_put(struct call *c, const struct eval_chunk *rows, int n, const char *model, int dim)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; !e && i < n; i++) {
        if (rows[i].index == 0) e = put_document(c, w, &rows[i]);
        if (!e) e = put_chunk(c, w, &rows[i], model, dim);
        if (!e && (i + 1 == n || rows[i + 1].index == 0)) e = search_index_put(c, w, rows[i].document_id);
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
