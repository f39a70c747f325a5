/* knowledge/sample_store.c — rows of search at scale without the work of making them: no files, no extraction, no model,
 * terms written as they are. Words follow the law of Zipf with its head cut off, as content words do; the most frequent
 * is in about half of the chunks. It refuses to be realistic in what it says: nobody reads it. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/sample.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "knowledge/search_index.h"
#include "knowledge/search_store.h"
#include "store/db.h"
#include "store/store.h"

#define VOCABULARY 60000
#define HEAD       25          /* as many of the most frequent words are missing */
#define CLUSTERS   997
#define BATCH      4000

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t next(uint64_t *state)
{
    return mix((*state)++);
}

static double uniform(uint64_t *state)
{
    return (double)(next(state) >> 11) / 9007199254740992.0;
}

static int word_number(uint64_t *state)
{
    return (int)(HEAD * (pow(1 + (double)VOCABULARY / HEAD, uniform(state)) - 1));
}

/* Syllables that no stemmer and no stop list knows; "o" at the end is no suffix. */
static void put_word(struct buf *b, int number)
{
    static const char consonants[] = "bdfgkmpz", vowels[] = "aiu";
    for (unsigned n = (unsigned)number + 24 * 24; n; n /= 24) {
        buf_addc(b, consonants[n % 24 / 3]);
        buf_addc(b, vowels[n % 3]);
    }
    buf_adds(b, "ko ");
}

static void put_words(struct buf *b, uint64_t *state, int n)
{
    for (int i = 0; i < n; i++) put_word(b, word_number(state));
}

/* Near one of the centres, at a distance that leaves neighbours about a right angle's half away. */
static void make_vector(const struct sample *s, uint64_t *state, float *v)
{
    uint64_t centre = mix(s->seed ^ mix(next(state) % CLUSTERS));
    double sum = 0;
    for (int i = 0; i < s->dim; i++) {
        double a = 0, b = 0;
        for (int k = 0; k < 3; k++) {
            uint64_t x = next(&centre), y = next(state);
            a += (double)(x >> 40) - 8388608.0;
            b += (double)(y >> 40) - 8388608.0;
        }
        v[i] = (float)(a + b);
        sum += (a + b) * (a + b);
    }
    for (int i = 0; i < s->dim; i++) v[i] = (float)(v[i] / sqrt(sum));
}

static enum err put_document(struct call *c, struct conn *w, int64_t number, const char **user_out)
{
    const char *id = arena_printf(&c->mem, "sample_%lld", (long long)number);
    const char *user = number % 10 == 9 ? arena_printf(&c->mem, "u%lld", (long long)(number / 10 % 10)) : "";
    const char *metadata = arena_printf(&c->mem, "{\"group\":%lld,\"name\":\"document %lld\"}", (long long)(number % 100), (long long)number);
    *user_out = user;
    return db_run(c, w, "INSERT INTO document (id, title, media_type, sha256, split, state, size_bytes, created_at, updated_at, "
                        "metadata, content_type, user_id) VALUES (?s, ?s, 'text/plain', '', '', 'ready', 1, 1, 1, ?s, 'document', ?s)",
                  id, id, metadata, user);
}

static enum err put_chunk(struct call *c, struct conn *w, const struct sample *s, int64_t number, const char *user)
{
    uint64_t state = mix(s->seed * 1000003u + (uint64_t)number);
    const char *document = arena_printf(&c->mem, "sample_%lld", (long long)(number / SAMPLE_DOCUMENT));
    const char *id = arena_printf(&c->mem, "sample_%lld_%lld", (long long)(number / SAMPLE_DOCUMENT), (long long)(number % SAMPLE_DOCUMENT));
    struct buf b;
    buf_init(&b, LIMIT_QUERY_BYTES);
    put_words(&b, &state, s->words ? s->words : 120);
    float *v = arena_array(&c->mem, (size_t)s->dim, sizeof *v);
    make_vector(s, &state, v);
    int64_t item = 0;
    enum err e = db_run(c, w, "INSERT INTO chunk (id, document_id, idx, text, page, start_byte, end_byte, user_id, content_type, "
                              "language) VALUES (?s, ?s, ?i, ?s, 1, 0, ?i, ?s, 'document', 'en')",
                        id, document, number % SAMPLE_DOCUMENT, b.data, (int64_t)b.len, user);
    if (!e) e = db_run(c, w, "INSERT INTO search_item (kind, ref, source, user_id, content_type) VALUES (0, ?s, ?s, ?s, 'document')", id,
                       document, user);
    if (!e) e = db_get_int(c, w, 0, &item, "SELECT item FROM search_item WHERE kind = 0 AND ref = ?s", id);
    if (!e) e = db_run(c, w, "INSERT INTO search_term (item, title, heading, body) VALUES (?i, ?s, '', ?s)", item, document, b.data);
    if (!e)
        e = db_run(c, w, "INSERT INTO chunk_vector (chunk_id, model, dim, vector) VALUES (?s, ?s, ?i, ?b)", id, s->model, (int64_t)s->dim,
                   (const void *)v, (size_t)s->dim * sizeof *v);
    buf_dispose(&b);
    return e;
}

static enum err put_batch(struct call *c, const struct sample *s, int64_t from, int64_t to)
{
    struct conn *w = NULL;
    const char *user = "";
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    for (int64_t i = from; !e && i < to; i++) {
        if (i % SAMPLE_DOCUMENT == 0) e = put_document(c, w, i / SAMPLE_DOCUMENT, &user);
        if (!e) e = put_chunk(c, w, s, i, user);
    }
    if (!e) e = db_run(c, w, "UPDATE search_state SET generation = generation + 1 WHERE id = 1");
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err sample_fill(struct call *c, const struct sample *s)
{
    enum err e = OK;
    struct arena mem = c->mem, batch;
    for (int64_t at = 0; !e && at < s->chunks; at += BATCH) {
        arena_init(&batch, LIMIT_ARENA_BYTES);
        c->mem = batch;
        e = put_batch(c, s, s->first + at, s->first + (s->chunks - at < BATCH ? s->chunks : at + BATCH));
        arena_dispose(&c->mem);
        c->mem = mem;
    }
    return e;
}

enum err sample_drop(struct call *c, int64_t document)
{
    struct conn *w = NULL;
    const char *id = arena_printf(&c->mem, "sample_%lld", (long long)document);
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = search_index_drop(c, w, id);
    if (!e) e = db_run(c, w, "DELETE FROM chunk WHERE document_id = ?s", id);
    if (!e) e = db_run(c, w, "DELETE FROM document WHERE id = ?s", id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

const char *sample_question(struct call *c, const struct sample *s, int64_t number, int n, bool rare)
{
    uint64_t state = mix(s->seed ^ mix((uint64_t)number));
    struct buf b;
    buf_init(&b, LIMIT_QUERY_BYTES);
    for (int i = 0; i < n; i++)
        put_word(&b, rare ? 100 + (int)(next(&state) % (VOCABULARY / 4)) : (int)(next(&state) % 40));
    const char *text = arena_strdup(&c->mem, b.data ? b.data : "");
    buf_dispose(&b);
    return text;
}
