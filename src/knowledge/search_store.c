/* knowledge/search_store.c — terms, vectors and items of a creator. Text is analysed here on its way in, in the
 * writer's transaction, so that a chunk is findable exactly when it is there. Every change counts the generation up:
 * that number alone tells caches and in-memory indexes, in any process, that they are old.
 * It refuses to rank: terms and vectors are handed over as they are. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/search_store.h"

#include <string.h>

#include "knowledge/analyse.h"
#include "knowledge/index_file.h"
#include "knowledge/model_store.h"
#include "knowledge/search_index.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/store.h"

#define GONE_KEPT 20000   /* removals remembered for followers */

static enum err touch(struct call *c, struct conn *w)
{
    return db_run(c, w, "UPDATE search_state SET generation = generation + 1 WHERE id = 1");
}

enum err search_vector_put_of(struct call *c, struct conn *w, const char *chunk_id, const char *model, int dim, const float *v,
                              const void *hash, size_t hash_bytes)
{
    enum err e = db_run(c, w, "DELETE FROM chunk_vector WHERE chunk_id = ?s AND model = ?s", chunk_id, model);
    if (!e)
        e = db_run(c, w, "INSERT INTO chunk_vector (chunk_id, model, dim, vector, text_hash) VALUES (?s, ?s, ?i, ?b, ?b)", chunk_id,
                   model, (int64_t)dim, (const void *)v, (size_t)dim * sizeof *v, hash, hash_bytes);
    return e ? e : touch(c, w);
}

enum err search_vector_put(struct call *c, struct conn *w, const char *chunk_id, const char *model, int dim, const float *v)
{
    return search_vector_put_of(c, w, chunk_id, model, dim, v, NULL, 0);
}

static enum err put_terms(struct call *c, struct conn *w, int64_t item, const char *title, const char *heading,
                          const char *body, const char *language)
{
    struct buf t, h, b;
    const char *texts[3] = { title ? title : "", heading ? heading : "", body ? body : "" };
    struct buf *to[3] = { &t, &h, &b };
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(texts[i]);
        buf_init(to[i], n * 16 + 256);
        analyse_terms(texts[i], n, language, i < 2, to[i]);
    }
    enum err e = db_run(c, w, "INSERT INTO search_term (item, title, heading, body) VALUES (?i, ?s, ?s, ?s)", item,
                        t.data ? t.data : "", h.data ? h.data : "", b.data ? b.data : "");
    for (int i = 0; i < 3; i++) buf_dispose(to[i]);
    return e;
}

static enum err drop_items(struct call *c, struct conn *w, int kind, const char *source)
{
    enum err e = db_run(c, w, "DELETE FROM search_term WHERE item IN (SELECT item FROM search_item WHERE kind = ?i AND "
                              "source = ?s)", (int64_t)kind, source);
    if (!e)
        e = db_run(c, w, "INSERT INTO search_gone (item) SELECT item FROM search_item WHERE kind = ?i AND source = ?s",
                   (int64_t)kind, source);
    if (!e) e = db_run(c, w, "DELETE FROM search_item WHERE kind = ?i AND source = ?s", (int64_t)kind, source);
    /* The index file holds their words and vectors. When this is rolled back it is missed, and made again. */
    if (!e && db_changes(w) > 0) {
        e = db_run(c, w, "DELETE FROM meta WHERE name = 'search_index'");
        index_file_drop(c);
    }
    if (!e)
        e = db_run(c, w, "DELETE FROM search_gone WHERE seq <= (SELECT max(seq) FROM search_gone) - ?i", (int64_t)GONE_KEPT);
    return e;
}

struct new_item {
    const char *chunk_id, *title, *heading, *text, *user_id, *content_type, *language;
};

static enum err put_item(struct call *c, struct conn *w, int kind, const char *source, const struct new_item *n)
{
    int64_t item = 0;
    enum err e = db_run(c, w, "INSERT INTO search_item (kind, ref, source, user_id, content_type) VALUES (?i, ?s, ?s, ?s, ?s)",
                        (int64_t)kind, n->chunk_id, source, n->user_id, n->content_type);
    if (!e)
        e = db_get_int(c, w, 0, &item, "SELECT item FROM search_item WHERE kind = ?i AND ref = ?s", (int64_t)kind, n->chunk_id);
    return e ? e : put_terms(c, w, item, n->title, n->heading, n->text, n->language);
}

/* How many chunks are read before they are written back: their texts stay in memory meanwhile. */
#define PUT_BATCH 64

static enum err read_chunks(struct call *c, struct conn *w, const char *document_id, int64_t after, struct arena *mem,
                            struct new_item out[PUT_BATCH], int64_t *last_out, int *n_out)
{
    struct rows *r = NULL;
    int n = 0;
    enum err e = db_select(c, w, &r,
                           "SELECT k.rowid, k.id, d.title, k.heading, k.text, k.user_id, k.content_type, k.language FROM chunk k "
                           "JOIN document d ON d.id = k.document_id WHERE k.document_id = ?s AND k.rowid > ?i ORDER BY k.rowid LIMIT 64",
                           document_id, after);
    while (!e && n < PUT_BATCH && rows_next(r)) {
        struct new_item *i = &out[n++];
        *last_out = rows_int(r, 0);
        i->chunk_id = arena_strdup(mem, rows_text(r, 1));
        i->title = arena_strdup(mem, rows_text(r, 2));
        i->heading = arena_strdup(mem, rows_text(r, 3));
        i->text = arena_strdup(mem, rows_text(r, 4));
        i->user_id = rows_text(r, 5) ? arena_strdup(mem, rows_text(r, 5)) : "";
        i->content_type = rows_text(r, 6) ? arena_strdup(mem, rows_text(r, 6)) : "document";
        i->language = rows_text(r, 7) ? arena_strdup(mem, rows_text(r, 7)) : "";
    }
    e = rows_close(c, &r, e);
    *n_out = n;
    return e;
}

enum err search_index_put(struct call *c, struct conn *w, const char *document_id)
{
    enum err e = drop_items(c, w, SEARCH_CHUNK, document_id);
    struct arena mem;
    arena_init(&mem, LIMIT_ARENA_BYTES);
    int64_t last = -1;
    for (int n = PUT_BATCH; !e && n == PUT_BATCH;) {
        struct new_item items[PUT_BATCH];
        arena_reset(&mem);
        e = read_chunks(c, w, document_id, last, &mem, items, &last, &n);
        for (int i = 0; !e && i < n; i++) e = put_item(c, w, SEARCH_CHUNK, document_id, &items[i]);
    }
    arena_dispose(&mem);
    return e ? e : touch(c, w);
}

enum err search_index_drop(struct call *c, struct conn *w, const char *document_id)
{
    enum err e = db_run(c, w, "DELETE FROM chunk_vector WHERE chunk_id IN (SELECT ref FROM search_item WHERE kind = 0 AND "
                              "source = ?s)", document_id);
    if (!e)
        e = db_run(c, w, "DELETE FROM chunk_vector WHERE chunk_id IN (SELECT id FROM chunk WHERE document_id = ?s)", document_id);
    if (!e) e = drop_items(c, w, SEARCH_CHUNK, document_id);
    return e ? e : touch(c, w);
}

enum err search_index_drop_embedding(struct call *c, struct conn *w, const char *id)
{
    enum err e = db_run(c, w, "DELETE FROM chunk_vector WHERE chunk_id = ?s", id);
    if (!e) e = drop_items(c, w, SEARCH_EMBEDDING, id);
    return e ? e : touch(c, w);
}

struct moved_item {
    int64_t     item, kind;
    const char *ref, *source, *type, *title, *heading, *body;   /* title NULL: no terms */
};

static enum err move_item(struct call *c, struct conn *w, const struct moved_item *m, const char *to_user)
{
    int64_t  item = 0;
    enum err e = db_run(c, w, "DELETE FROM search_term WHERE item = ?i", m->item);
    if (!e) e = db_run(c, w, "INSERT INTO search_gone (item) VALUES (?i)", m->item);
    if (!e) e = db_run(c, w, "DELETE FROM search_item WHERE item = ?i", m->item);
    if (!e)
        e = db_run(c, w, "INSERT INTO search_item (kind, ref, source, user_id, content_type) VALUES (?i, ?s, ?s, ?s, ?s)", m->kind, m->ref,
                   m->source, to_user, m->type);
    if (!e) e = db_get_int(c, w, 0, &item, "SELECT item FROM search_item WHERE kind = ?i AND ref = ?s", m->kind, m->ref);
    if (!e && m->title)
        e = db_run(c, w, "INSERT INTO search_term (item, title, heading, body) VALUES (?i, ?s, ?s, ?s)", item, m->title, m->heading, m->body);
    return e;
}

static const char *copied(struct call *c, struct rows *r, int col)
{
    const char *s = rows_text(r, col);
    return s ? arena_strdup(&c->mem, s) : NULL;
}

enum err search_index_move(struct call *c, struct conn *w, const char *from_user, const char *to_user, int64_t *items_out)
{
    struct rows *r = NULL;
    int64_t count = 0, n = 0;
    enum err e = db_get_int(c, w, 0, &count, "SELECT count(*) FROM search_item WHERE user_id = ?s", from_user);
    if (e) return e;
    struct moved_item *list = arena_array(&c->mem, (size_t)count + 1, sizeof *list);
    e = db_select(c, w, &r, "SELECT i.item, i.kind, i.ref, i.source, i.content_type, t.title, t.heading, t.body FROM search_item i "
                            "LEFT JOIN search_term t ON t.item = i.item WHERE i.user_id = ?s ORDER BY i.item", from_user);
    while (!e && n < count && rows_next(r))
        list[n++] = (struct moved_item){ rows_int(r, 0), rows_int(r, 1), copied(c, r, 2), copied(c, r, 3),
                                         copied(c, r, 4), copied(c, r, 5), copied(c, r, 6), copied(c, r, 7) };
    e = rows_close(c, &r, e);
    for (int64_t i = 0; !e && i < n; i++) e = move_item(c, w, &list[i], to_user);
    if (!e && n) {
        e = db_run(c, w, "DELETE FROM meta WHERE name = 'search_index'");
        index_file_drop(c);
        if (!e) e = touch(c, w);
    }
    if (!e) *items_out = n;
    return e;
}

enum err search_store_generation(struct call *c, struct conn *conn, int64_t *out)
{
    return db_get_int(c, conn, 0, out, "SELECT generation FROM search_state WHERE id = 1");
}

enum err search_store_begin(struct call *c, struct conn **out, int64_t *generation_out)
{
    enum err e = db_read(c, tenant_db(c->tenant), out);
    return e ? e : search_store_generation(c, *out, generation_out);
}

void search_store_end(struct conn **r)
{
    db_release(r);
}

static const char *text_or_empty(struct rows *r, int col)
{
    const char *s = rows_text(r, col);
    return s ? s : "";
}

static enum err each_item(struct call *c, struct rows *r, enum err e, stored_item_fn f, void *arg)
{
    while (!e && rows_next(r)) {
        size_t len = 0;
        const void *v = rows_blob(r, 8, &len);
        struct stored_item i = {
            .item = rows_int(r, 0), .kind = (int)rows_int(r, 1), .source = rows_text(r, 2), .user_id = rows_text(r, 3),
            .content_type = rows_text(r, 4), .seq = rows_int(r, 5), .model = rows_text(r, 6), .dim = (int)rows_int(r, 7),
            .vector = v, .metadata = rows_text(r, 9), .title = text_or_empty(r, 10), .heading = text_or_empty(r, 11),
            .body = text_or_empty(r, 12),
        };
        /* A row whose bytes and dimension disagree is found by its words only. */
        if (!v || i.dim <= 0 || len != (size_t)i.dim * sizeof(float)) i.model = NULL;
        f(arg, &i);
    }
    return rows_close(c, &r, e);
}

enum err search_store_items(struct call *c, struct conn *conn, int64_t last_item, int64_t last_seq, stored_item_fn f, void *arg)
{
    struct rows *r = NULL;
    enum err e = db_select(c, conn, &r,
                           "SELECT i.item, i.kind, i.source, i.user_id, i.content_type, coalesce(v.seq, 0), "
                           "coalesce(v.model, e.model_name), coalesce(v.dim, e.dimension), coalesce(v.vector, e.embedding_vector), "
                           "coalesce(d.metadata, e.metadata, '{}'), t.title, t.heading, t.body FROM search_item i "
                           "LEFT JOIN search_term t ON t.item = i.item "
                           "LEFT JOIN chunk_vector v ON i.kind = 0 AND v.chunk_id = i.ref "
                           "LEFT JOIN document d ON i.kind = 0 AND d.id = i.source "
                           "LEFT JOIN embedding e ON i.kind = 1 AND e.id = i.ref WHERE i.item > ?i ORDER BY i.item", last_item);
    e = each_item(c, r, e, f, arg);
    if (e) return e;
    /* While a model takes another's place a stored embedding has its second vector beside it. */
    if (last_item == 0)
        e = db_select(c, conn, &r,
                      "SELECT i.item, i.kind, i.source, i.user_id, i.content_type, v.seq, v.model, v.dim, v.vector, '{}', '', '', '' "
                      "FROM embedding e JOIN chunk_vector v ON v.chunk_id = e.id JOIN search_item i ON i.kind = 1 AND i.ref = e.id "
                      "ORDER BY v.seq");
    else
        e = db_select(c, conn, &r,
                      "SELECT i.item, i.kind, i.source, i.user_id, i.content_type, v.seq, v.model, v.dim, v.vector, '{}', '', '', '' "
                      /* CROSS: the vectors are few, and the planner, not knowing it, would begin with all items. */
                      "FROM chunk_vector v CROSS JOIN search_item i WHERE i.kind IN (0, 1) AND i.ref = v.chunk_id "
                      "AND v.seq > ?i AND (i.item <= ?i OR i.kind = 1) ORDER BY v.seq", last_seq, last_item);
    return each_item(c, r, e, f, arg);
}

enum err search_store_gone(struct call *c, struct conn *conn, int64_t last_gone, void (*f)(void *arg, int64_t item), void *arg,
                           int64_t *last_out, bool *missed_out)
{
    struct rows *r = NULL;
    int64_t oldest = 0, last = last_gone;
    enum err e = db_get_int(c, conn, 0, &oldest, "SELECT min(seq) FROM search_gone");
    if (e) return e;
    *missed_out = oldest > last_gone + 1;
    e = db_select(c, conn, &r, "SELECT seq, item FROM search_gone WHERE seq > ?i ORDER BY seq", last_gone);
    while (!e && rows_next(r)) {
        last = rows_int(r, 0);
        f(arg, rows_int(r, 1));
    }
    e = rows_close(c, &r, e);
    if (!e) *last_out = last;
    return e;
}

enum err search_store_marked(struct call *c, struct conn *r, const char **mark_out)
{
    return db_get_text(c, r, mark_out, "SELECT value FROM meta WHERE name = 'search_index'");
}

enum err search_store_mark(struct call *c, const char *mark, int64_t last_gone, enum err (*place)(struct call *c, void *arg),
                           void *arg, bool *kept_out)
{
    struct conn *w = NULL;
    int64_t gone = 0;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_get_int(c, w, 0, &gone, "SELECT max(seq) FROM search_gone");
    bool fits = !e && gone <= last_gone;
    if (fits) e = place(c, arg);
    if (!e && fits)
        e = db_run(c, w, "INSERT INTO meta (name, value) VALUES ('search_index', ?s) ON CONFLICT (name) DO UPDATE SET value = "
                         "excluded.value", mark);
    if (!e && fits) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *kept_out = fits;
    return e;
}

enum err search_store_item(struct call *c, struct conn *conn, const char *id, int64_t *item_out)
{
    return db_get_int(c, conn, 0, item_out, "SELECT item FROM search_item WHERE kind IN (0, 1) AND ref = ?s", id);
}

enum err search_store_headings(struct call *c, struct conn *conn, const int64_t *items, int n,
                               void (*f)(void *arg, int64_t item, const char *heading), void *arg)
{
    struct rows *r = NULL;
    struct buf list;
    buf_init(&list, (size_t)n * 24 + 16);
    for (int i = 0; i < n; i++) buf_printf(&list, "%c%lld", i ? ',' : '[', (long long)items[i]);
    buf_addc(&list, ']');
    enum err e = db_select(c, conn, &r,
                           "SELECT i.item, k.heading FROM json_each(?s) j CROSS JOIN search_item i CROSS JOIN chunk k "
                           "WHERE i.item = j.value AND i.kind = 0 AND k.id = i.ref AND k.heading <> ''", n ? list.data : "[]");
    while (!e && rows_next(r)) f(arg, rows_int(r, 0), rows_text(r, 1));
    e = rows_close(c, &r, e);
    buf_dispose(&list);
    return e;
}

enum err search_store_passage(struct call *c, struct conn *conn, int64_t item, struct passage *p, bool *found_out)
{
    struct rows *r = NULL;
    *found_out = false;
    enum err e = db_select(c, conn, &r,
                           "SELECT i.ref, coalesce(d.id, ''), coalesce(d.title, ''), coalesce(k.heading, ''), i.content_type, "
                           "coalesce(k.language, e.language, ''), coalesce(k.text, e.content, ''), "
                           "coalesce(d.metadata, e.metadata, '{}'), coalesce(k.page, 0), coalesce(k.start_byte, 0), "
                           "coalesce(k.end_byte, 0), coalesce(d.created_at, e.created_at, 0) FROM search_item i "
                           "LEFT JOIN chunk k ON i.kind = 0 AND k.id = i.ref LEFT JOIN document d ON d.id = k.document_id "
                           "LEFT JOIN embedding e ON i.kind = 1 AND e.id = i.ref WHERE i.item = ?i", item);
    if (!e && rows_next(r)) {
        const char **texts[] = { &p->chunk_id, &p->document_id, &p->title, &p->heading, &p->content_type, &p->language, &p->text,
                                 &p->metadata };
        for (int i = 0; i < 8; i++) *texts[i] = arena_strdup(&c->mem, rows_text(r, i));
        p->page = (int)rows_int(r, 8);
        p->start_byte = rows_int(r, 9);
        p->end_byte = rows_int(r, 10);
        p->created_ms = rows_int(r, 11);
        *found_out = true;
    }
    return rows_close(c, &r, e);
}

enum err search_store_embeddings(struct call *c, const struct stored_embedding *rows, int n)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; !e && i < n; i++) {
        const struct stored_embedding *s = &rows[i];
        e = erased_check(c, w, s->user_id);
        if (!e)
            e = db_run(c, w,
                   "INSERT INTO embedding (id, user_id, content, content_type, embedding_vector, model_name, dimension, metadata, "
                   "created_at, language, text_hash) VALUES (?s, ?s, ?s, ?s, ?b, ?s, ?i, ?s, ?i, ?s, ?b)",
                   s->id, s->user_id, s->content, s->content_type, (const void *)s->vector, (size_t)s->dim * sizeof *s->vector,
                   s->model, (int64_t)s->dim, s->metadata, s->created_ms, s->language, (const void *)s->text_hash,
                   s->text_hash ? (size_t)TEXT_HASH_BYTES : (size_t)0);
        if (!e && s->of) e = model_store_note(c, w, s->of);
        if (!e && s->next) e = model_store_note(c, w, s->next);
        if (!e && s->next)
            e = search_vector_put_of(c, w, s->id, s->next->label, s->next->dim, s->next_vector, s->text_hash, TEXT_HASH_BYTES);
        if (!e && s->lacking) e = model_store_lacking(c, w);
        struct new_item item = { .chunk_id = s->id, .text = s->content, .user_id = s->user_id, .content_type = s->content_type,
                                 .language = s->language };
        if (!e) e = put_item(c, w, SEARCH_EMBEDDING, s->id, &item);
    }
    if (!e) e = touch(c, w);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err search_store_feedback(struct call *c, const char *event, int by)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e)
        e = db_run(c, w, "INSERT INTO search_feedback (event, total) VALUES (?s, ?i) ON CONFLICT (event) DO UPDATE SET "
                         "total = total + excluded.total", event, (int64_t)by);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
