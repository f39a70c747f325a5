/* knowledge/model_store.c — the state of a change is rows and nothing else: what still lacks a vector of the new model is
 * asked of the tables each time, so a killed change goes on where it was, and whatever came in or went meanwhile counts.
 * Batches are short transactions of the one writer; uploads wait for one batch at most. It refuses to embed. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/model_store.h"

#include <string.h>

#include "base/conf.h"
#include "base/id.h"
#include "knowledge/knowledge.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"

#define CLEAN_BATCH 200

#define LACKS_CHUNK     "NOT EXISTS (SELECT 1 FROM chunk_vector v WHERE v.chunk_id = k.id AND v.model = ?s)"
#define LACKS_EMBEDDING "e.model_name <> ?s AND NOT EXISTS (SELECT 1 FROM chunk_vector v WHERE v.chunk_id = e.id AND v.model = ?s)"

static struct model_row row_of(struct call *c, struct rows *r, int at)
{
    return (struct model_row){ .label = arena_strdup(&c->mem, rows_text(r, at)),
                               .name = arena_strdup(&c->mem, rows_text(r, at + 1)),
                               .print = arena_strdup(&c->mem, rows_text(r, at + 2)),
                               .stamp = arena_strdup(&c->mem, rows_text(r, at + 3)),
                               .dim = (int)rows_int(r, at + 4),
                               .remote = rows_int(r, at + 5) != 0 };
}

enum err model_store_read(struct call *c, struct conn *r, struct model_state *out)
{
    struct rows *rows = NULL;
    *out = (struct model_state){ 0 };
    enum err e = db_select(c, r, &rows, "SELECT state, label, name, print, stamp, dim, remote FROM search_model WHERE state <> 'aside'");
    while (!e && rows_next(rows)) {
        const char *state = rows_text(rows, 0);
        struct model_row *to = !strcmp(state, "active") ? &out->active : !strcmp(state, "next") ? &out->next : &out->declined;
        *to = row_of(c, rows, 1);
    }
    return rows_close(c, &rows, e);
}

enum err model_store_state(struct call *c, struct model_state *out)
{
    struct conn *r = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = model_store_read(c, r, out);
    db_release(&r);
    return e;
}

/* ---- while something is stored ---- */

static enum err put_row(struct call *c, struct conn *w, const struct model_row *m, const char *state)
{
    return db_run(c, w,
                  "INSERT INTO search_model (label, name, print, stamp, dim, remote, state) VALUES (?s, ?s, ?s, ?s, ?i, ?i, ?s) "
                  "ON CONFLICT (label) DO UPDATE SET state = excluded.state, "
                  "print = CASE excluded.print WHEN '' THEN search_model.print ELSE excluded.print END, "
                  "stamp = CASE excluded.print WHEN '' THEN search_model.stamp ELSE excluded.stamp END",
                  m->label, m->name, m->print ? m->print : "", m->stamp ? m->stamp : "", (int64_t)m->dim, (int64_t)m->remote, state);
}

enum err model_store_note(struct call *c, struct conn *w, const struct model_row *m)
{
    int64_t there = 0, active = 0;
    enum err e = db_get_int(c, w, 0, &there, "SELECT count(*) FROM search_model WHERE label = ?s", m->label);
    if (!e && !there) e = db_get_int(c, w, 0, &active, "SELECT count(*) FROM search_model WHERE state = 'active'");
    if (e || there) return e;
    return put_row(c, w, m, active ? "aside" : "active");
}

enum err model_store_lacking(struct call *c, struct conn *w)
{
    return db_run(c, w, "UPDATE search_state SET lacking = 1 WHERE id = 1");
}

enum err model_store_look(struct call *c, struct conn *w, const char *document_id)
{
    int64_t lack = 0;
    enum err e = db_get_int(c, w, 0, &lack,
                            "SELECT count(*) FROM chunk k WHERE k.document_id = ?s AND NOT EXISTS (SELECT 1 FROM chunk_vector v "
                            "JOIN search_model m ON m.label = v.model AND m.state = 'active' WHERE v.chunk_id = k.id)",
                            document_id);
    return e || !lack ? e : model_store_lacking(c, w);
}

/* ---- texts that have a vector already ---- */

void model_store_hash(const char *text, size_t n, unsigned char out[TEXT_HASH_BYTES])
{
    char hex[65];
    id_sha256_hex(text, n, hex);
    for (int i = 0; i < TEXT_HASH_BYTES; i++) {
        int v = 0;
        for (int k = 0; k < 2; k++) v = v * 16 + (hex[2 * i + k] <= '9' ? hex[2 * i + k] - '0' : hex[2 * i + k] - 'a' + 10);
        out[i] = (unsigned char)v;
    }
}

static enum err known_in(struct call *c, struct rows *r, enum err e, struct arena *mem, int dim, const float **out)
{
    if (!e && rows_next(r)) {
        size_t len = 0;
        const void *v = rows_blob(r, 0, &len);
        if (v && len == (size_t)dim * sizeof(float)) {
            float *copy = arena_array(mem, (size_t)dim, sizeof *copy);
            memcpy(copy, v, len);
            *out = copy;
        }
    }
    return rows_close(c, &r, e);
}

enum err model_store_known(struct call *c, struct arena *mem, const char *label, int dim,
                           const unsigned char (*hash)[TEXT_HASH_BYTES], int n, const float **out, int *found_out)
{
    struct conn *r = NULL;
    int found = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    for (int i = 0; !e && i < n; i++) {
        struct rows *rows = NULL;
        if (out[i]) continue;
        e = db_select(c, r, &rows, "SELECT vector FROM chunk_vector WHERE text_hash = ?b AND model = ?s LIMIT 1",
                      (const void *)hash[i], (size_t)TEXT_HASH_BYTES, label);
        e = known_in(c, rows, e, mem, dim, &out[i]);
        if (!e && !out[i]) {
            e = db_select(c, r, &rows, "SELECT embedding_vector FROM embedding WHERE text_hash = ?b AND model_name = ?s LIMIT 1",
                          (const void *)hash[i], (size_t)TEXT_HASH_BYTES, label);
            e = known_in(c, rows, e, mem, dim, &out[i]);
        }
        found += out[i] != NULL;
    }
    db_release(&r);
    if (!e) *found_out = found;
    return e;
}

/* ---- the change ---- */

/* The model most vectors are of, where they are older than the table. */
static enum err adopt(struct call *c, struct conn *w, const struct model_row *m, struct model_state *s)
{
    struct rows *r = NULL;
    const char *remote = conf_text("OPENAI_EMBEDDING_MODEL");
    struct model_row old = { .label = NULL };
    enum err e = db_select(c, w, &r,
                           "SELECT model, dim FROM (SELECT model, dim FROM chunk_vector UNION ALL SELECT model_name, dimension FROM "
                           "embedding) AS v GROUP BY model, dim ORDER BY count(*) DESC LIMIT 1");
    if (!e && rows_next(r)) {
        old = (struct model_row){ .label = arena_strdup(&c->mem, rows_text(r, 0)), .print = "", .stamp = "", .dim = (int)rows_int(r, 1) };
        old.name = old.label;
        old.remote = remote && !strcmp(remote, old.name);
    }
    e = rows_close(c, &r, e);
    if (e) return e;
    bool same = old.label && !strcmp(old.name, m->name) && old.dim == m->dim;
    if (!old.label || same) {
        old = *m;
        old.label = m->name;
    }
    s->active = old;
    return put_row(c, w, &old, "active");
}

static enum err find_label(struct call *c, struct conn *w, struct model_row *m)
{
    int64_t taken = 0;
    enum err e = db_get_text(c, w, &m->label,
                             "SELECT label FROM search_model WHERE name = ?s AND dim = ?i AND remote = ?i AND (print = ?s OR print = '' "
                             "OR ?s = '') ORDER BY CASE state WHEN 'active' THEN 0 WHEN 'next' THEN 1 ELSE 2 END LIMIT 1",
                             m->name, (int64_t)m->dim, (int64_t)m->remote, m->print, m->print);
    if (e || m->label) return e;
    e = db_get_int(c, w, 0, &taken, "SELECT count(*) FROM search_model WHERE label = ?s", m->name);
    if (e) return e;
    m->label = taken ? arena_printf(&c->mem, "%s#%.12s", m->name, *m->print ? m->print : m->remote ? "remote" : "other") : m->name;
    return OK;
}

static enum err pending_any(struct call *c, struct conn *r, const char *label, bool *any_out)
{
    int64_t chunk = 0, embedding = 0;
    enum err e = db_get_int(c, r, 0, &chunk, "SELECT 1 FROM chunk k WHERE " LACKS_CHUNK " LIMIT 1", label);
    if (!e && !chunk)
        e = db_get_int(c, r, 0, &embedding, "SELECT 1 FROM embedding e WHERE " LACKS_EMBEDDING " LIMIT 1", label, label);
    if (!e) *any_out = chunk || embedding;
    return e;
}

/* Is there anything to do so that m, which has its label, answers alone? Its row and the others' are as they should be then. */
static enum err arrange(struct call *c, struct conn *w, const struct model_row *m, struct model_state *s, bool asked, bool *work_out)
{
    int64_t lacking = 0, aside = 0, some = 0;
    bool pending = false;
    *work_out = false;
    if (!strcmp(m->label, s->active.label)) {
        enum err e = db_run(c, w, "UPDATE search_model SET state = 'aside' WHERE state = 'next'");
        if (!e) e = put_row(c, w, m, "active");
        if (!e) e = db_get_int(c, w, 0, &lacking, "SELECT lacking FROM search_state WHERE id = 1");
        if (!e && (lacking || asked)) e = pending_any(c, w, m->label, &pending);
        if (!e && lacking && !pending) e = db_run(c, w, "UPDATE search_state SET lacking = 0 WHERE id = 1");
        if (!e) e = db_get_int(c, w, 0, &aside, "SELECT count(*) FROM search_model WHERE state = 'aside'");
        *work_out = pending || aside;
        return e;
    }
    if (s->declined.label && !strcmp(m->label, s->declined.label) && !asked) return OK;
    enum err e = db_get_int(c, w, 0, &some, "SELECT 1 FROM search_item LIMIT 1");
    if (!e) e = db_run(c, w, "UPDATE search_model SET state = 'aside' WHERE state = ?s AND label <> ?s", some ? "next" : "active", m->label);
    if (!e) e = put_row(c, w, m, some ? "next" : "active");
    *work_out = some != 0;
    return e;
}

enum err model_store_begin(struct call *c, const struct model_row *model, bool asked, const char *job_kind, const char **job_out)
{
    struct conn *w = NULL;
    struct model_state s;
    struct model_row m = *model;
    const char *job = NULL, *state = NULL;
    bool work = false;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = model_store_read(c, w, &s);
    if (!e && !s.active.label) e = adopt(c, w, &m, &s);
    if (!e) e = find_label(c, w, &m);
    if (!e) e = arrange(c, w, &m, &s, asked, &work);
    if (!e && work) e = db_get_text(c, w, &job, "SELECT reindex_job FROM search_state WHERE id = 1");
    if (!e && work) e = db_get_text(c, w, &state, "SELECT state FROM job WHERE id = ?s", job);
    bool open = state && (!strcmp(state, "queued") || !strcmp(state, "running"));
    if (!e && work && !open) {
        e = jobs_put(c, w, job_kind, "{}", &job);
        if (!e) e = db_run(c, w, "UPDATE search_state SET reindex_job = ?s WHERE id = 1", job);
    }
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *job_out = work ? job : NULL;
    return e;
}

static bool same_model(const struct model_row *have, const struct model_row *m)
{
    return have->label && !strcmp(have->name, m->name) && have->dim == m->dim && have->remote == m->remote &&
           (!strcmp(have->print, m->print) || !*m->print);
}

enum err model_store_settled(struct call *c, const struct model_row *m, bool *settled_out)
{
    struct conn *r = NULL;
    struct model_state s;
    int64_t lacking = 0, some = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = model_store_read(c, r, &s);
    if (!e) e = db_get_int(c, r, 0, &lacking, "SELECT lacking FROM search_state WHERE id = 1");
    if (!e) e = db_get_int(c, r, 0, &some, "SELECT 1 FROM search_item LIMIT 1");
    db_release(&r);
    if (e) return e;
    bool same = same_model(&s.active, m) && (!strcmp(s.active.stamp, m->stamp) || !*m->print) && !s.next.label;
    *settled_out = (!s.active.label && !some) || (!lacking && (same || (same_model(&s.declined, m) && !s.next.label)));
    return OK;
}

enum err model_store_pending(struct call *c, const char *label, int64_t *chunk_at, int64_t *embedding_at, int max,
                             struct model_text *out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rows = NULL;
    int n = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e)
        e = db_select(c, r, &rows,
                      "SELECT k.rowid, k.id, k.text, k.heading FROM chunk k WHERE k.rowid > ?i AND " LACKS_CHUNK
                      " ORDER BY k.rowid LIMIT ?i",
                      *chunk_at, label, (int64_t)max);
    while (!e && n < max && rows_next(rows)) {
        *chunk_at = rows_int(rows, 0);
        out[n++] = (struct model_text){ arena_strdup(&c->mem, rows_text(rows, 1)), arena_strdup(&c->mem, rows_text(rows, 2)),
                                        arena_strdup(&c->mem, rows_text(rows, 3)), false };
    }
    e = rows_close(c, &rows, e);
    if (!e && n == 0)
        e = db_select(c, r, &rows,
                      "SELECT e.rowid, e.id, e.content FROM embedding e WHERE e.rowid > ?i AND " LACKS_EMBEDDING
                      " ORDER BY e.rowid LIMIT ?i",
                      *embedding_at, label, label, (int64_t)max);
    while (!e && rows && n < max && rows_next(rows)) {
        *embedding_at = rows_int(rows, 0);
        out[n++] = (struct model_text){ arena_strdup(&c->mem, rows_text(rows, 1)), arena_strdup(&c->mem, rows_text(rows, 2)), "", true };
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (!e) *n_out = n;
    return e;
}

enum err model_store_put(struct call *c, const char *label, int dim, const struct model_text *texts,
                         const unsigned char (*hash)[TEXT_HASH_BYTES], const float *const *v, int n, bool touch)
{
    struct conn *w = NULL;
    size_t bytes = (size_t)dim * sizeof(float), hash_bytes = TEXT_HASH_BYTES;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    for (int i = 0; !e && i < n; i++) {
        if (texts[i].embedding)
            e = db_run(c, w,
                       "INSERT INTO chunk_vector (chunk_id, model, dim, vector, text_hash) SELECT id, ?s, ?i, ?b, ?b FROM embedding "
                       "WHERE id = ?s AND model_name <> ?s ON CONFLICT (chunk_id, model) DO NOTHING",
                       label, (int64_t)dim, (const void *)v[i], bytes, (const void *)hash[i], hash_bytes, texts[i].id, label);
        else
            e = db_run(c, w,
                       "INSERT INTO chunk_vector (chunk_id, model, dim, vector, text_hash) SELECT id, ?s, ?i, ?b, ?b FROM chunk "
                       "WHERE id = ?s ON CONFLICT (chunk_id, model) DO NOTHING",
                       label, (int64_t)dim, (const void *)v[i], bytes, (const void *)hash[i], hash_bytes, texts[i].id);
    }
    if (!e && touch) e = db_run(c, w, "UPDATE search_state SET generation = generation + 1 WHERE id = 1");
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err model_store_count(struct call *c, const char *label, int64_t *done_out, int64_t *all_out)
{
    struct conn *r = NULL;
    int64_t chunks = 0, embeddings = 0, lack = 0, lack_too = 0;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &chunks, "SELECT count(*) FROM chunk");
    if (!e) e = db_get_int(c, r, 0, &embeddings, "SELECT count(*) FROM embedding");
    if (!e) e = db_get_int(c, r, 0, &lack, "SELECT count(*) FROM chunk k WHERE " LACKS_CHUNK, label);
    if (!e) e = db_get_int(c, r, 0, &lack_too, "SELECT count(*) FROM embedding e WHERE " LACKS_EMBEDDING, label, label);
    db_release(&r);
    if (e) return e;
    *all_out = chunks + embeddings;
    *done_out = *all_out - lack - lack_too;
    return OK;
}

enum err model_store_switch(struct call *c, const char *label, bool *done_out, bool *wanted_out)
{
    struct conn *w = NULL;
    struct model_state s;
    bool pending = true;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = model_store_read(c, w, &s);
    bool active = !e && s.active.label && !strcmp(s.active.label, label), next = !e && s.next.label && !strcmp(s.next.label, label);
    if (!e && (active || next)) e = pending_any(c, w, label, &pending);
    if (!e && !pending) {
        if (next) e = db_run(c, w, "UPDATE search_model SET state = CASE label WHEN ?s THEN 'active' ELSE 'aside' END WHERE state IN "
                                   "('active', 'next')", label);
        if (!e) e = db_run(c, w, "UPDATE search_state SET generation = generation + 1, lacking = 0 WHERE id = 1");
        if (!e) e = db_commit(c, &w);
    }
    db_release(&w);
    if (e) return e;
    *wanted_out = active || next;
    *done_out = !pending;
    return OK;
}

static enum err clean_vectors(struct call *c, struct conn *w, struct model_clean *at, int *n_out)
{
    struct rows *r = NULL;
    int64_t seq[CLEAN_BATCH];
    int n = 0;
    enum err e = db_select(c, w, &r,
                           "SELECT v.seq FROM chunk_vector v WHERE v.seq > ?i AND v.model NOT IN (SELECT label FROM search_model WHERE "
                           "state IN ('active', 'next')) AND (EXISTS (SELECT 1 FROM chunk_vector a JOIN search_model m ON m.label = a.model "
                           "AND m.state = 'active' WHERE a.chunk_id = v.chunk_id) OR EXISTS (SELECT 1 FROM embedding e WHERE "
                           "e.id = v.chunk_id)) ORDER BY v.seq LIMIT ?i",
                           at->seq, (int64_t)CLEAN_BATCH);
    while (!e && n < CLEAN_BATCH && rows_next(r)) seq[n++] = rows_int(r, 0);
    e = rows_close(c, &r, e);
    for (int i = 0; !e && i < n; i++) e = db_run(c, w, "DELETE FROM chunk_vector WHERE seq = ?i", seq[i]);
    if (n) at->seq = seq[n - 1];
    *n_out = n;
    return e;
}

/* The active model's vector of a stored embedding moves from beside into its row. */
static enum err clean_embeddings(struct call *c, struct conn *w, int *n_out)
{
    struct rows *r = NULL;
    const char *id[CLEAN_BATCH];
    int64_t seq[CLEAN_BATCH];
    int n = 0;
    enum err e = db_select(c, w, &r,
                           "SELECT e.id, v.seq FROM search_model m JOIN embedding e ON e.model_name <> m.label JOIN chunk_vector v ON "
                           "v.chunk_id = e.id AND v.model = m.label WHERE m.state = 'active' LIMIT ?i",
                           (int64_t)CLEAN_BATCH);
    for (; !e && n < CLEAN_BATCH && rows_next(r); n++) {
        id[n] = arena_strdup(&c->mem, rows_text(r, 0));
        seq[n] = rows_int(r, 1);
    }
    e = rows_close(c, &r, e);
    for (int i = 0; !e && i < n; i++) {
        e = db_run(c, w,
                   "UPDATE embedding SET embedding_vector = (SELECT vector FROM chunk_vector WHERE seq = ?i), model_name = (SELECT model "
                   "FROM chunk_vector WHERE seq = ?i), dimension = (SELECT dim FROM chunk_vector WHERE seq = ?i), text_hash = (SELECT "
                   "text_hash FROM chunk_vector WHERE seq = ?i) WHERE id = ?s",
                   seq[i], seq[i], seq[i], seq[i], id[i]);
        if (!e) e = db_run(c, w, "DELETE FROM chunk_vector WHERE seq = ?i", seq[i]);
    }
    *n_out = n;
    return e;
}

enum err model_store_clean(struct call *c, struct model_clean *at, bool *more_out)
{
    struct conn *w = NULL;
    int n = 0;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e && at->phase == 0) e = clean_vectors(c, w, at, &n);
    else if (!e && at->phase == 1) e = clean_embeddings(c, w, &n);
    else if (!e)
        e = db_run(c, w,
                   "DELETE FROM search_model WHERE state = 'aside' AND label NOT IN (SELECT model FROM chunk_vector) AND label NOT IN "
                   "(SELECT model_name FROM embedding)");
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (e) return e;
    if (n < CLEAN_BATCH) at->phase++;
    *more_out = at->phase < 3;
    return OK;
}

enum err model_store_decline(struct call *c, const char *label)
{
    struct conn *w = NULL;
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "UPDATE search_model SET state = 'aside' WHERE state = 'declined'");
    if (!e) e = db_run(c, w, "UPDATE search_model SET state = 'declined' WHERE label = ?s AND state = 'next'", label);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err model_store_flags(struct call *c, bool *lacking_out, const char **job_out)
{
    struct conn *r = NULL;
    int64_t lacking = 0;
    const char *job = NULL;
    enum err e = db_read(c, tenant_db(c->tenant), &r);
    if (!e) e = db_get_int(c, r, 0, &lacking, "SELECT lacking FROM search_state WHERE id = 1");
    if (!e) e = db_get_text(c, r, &job, "SELECT reindex_job FROM search_state WHERE id = 1");
    db_release(&r);
    if (e) return e;
    *lacking_out = lacking != 0;
    *job_out = job ? job : "";
    return OK;
}
