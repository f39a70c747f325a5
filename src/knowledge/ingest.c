/* The ingest job: extract → clean → mask → split → embed → stage, batch by batch, then everything at once into place.
 * Every step before embedding is cheap and gives the same result each time, so after a kill the document is simply read
 * again and only what is not staged yet is embedded: there is no other state that could be wrong. A job never leaves a
 * document half changed; the version that answers answers until the new one is whole. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/ingest.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/conf.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mask.h"
#include "encoder/encoder.h"
#include "knowledge/extract.h"
#include "knowledge/passages.h"
#include "knowledge/reindex.h"
#include "knowledge/split.h"
#include "store/jobs.h"
#include "store/store.h"

#define BATCH_CHUNKS  64
#define USED_MAX      4           /* models of one document's vectors */
#define BATCH_PAGES   64
#define SAMPLE_BYTES  (64 * 1024) /* of text to tell the document's language from */

enum { STAGE_EXTRACT, STAGE_SPLIT, STAGE_EMBED, STAGE_STORE, STAGES };
static const char *const STAGE_NAMES[STAGES] = { "extract", "split", "embed", "store" };

struct ingest {
    struct call *c;
    const struct job *job;
    struct ingest_task t;
    struct extract_info info; /* as far as it is known */
    struct passages models;   /* none: words only */
    struct model_row used[USED_MAX];
    int used_count;
    struct split_opts split;
    bool mask;
    struct staged_span *staged; /* from an earlier try */
    int staged_count;
    /* what waits for the next batch; in mem, which is emptied with it */
    struct arena mem;
    struct staged_chunk chunks[BATCH_CHUNKS];
    struct staged_page pages[BATCH_PAGES];
    int chunk_count, page_count;
    int idx;        /* of the next chunk */
    int64_t offset; /* of the next page in the document's text */
    int pages_done;
    char language[24]; /* of the document: given, named, or found in the first of its text */
    int64_t done_bytes;
    int masked;
    const char *stage;
    int64_t took_us[STAGES]; /* the path of ARC-004, summed over batches */
};

/* ---- payload ---- */

const char *ingest_payload(struct call *c, const struct ingest_task *t)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 8 * LIMIT_METADATA_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "document_id", t->document_id);
    json_put_text(&j, "sha256", t->sha256);
    json_put_text(&j, "kind", t->kind);
    json_put_text(&j, "media_type", t->media_type);
    json_put_text(&j, "filename", t->filename);
    json_put_text(&j, "title", t->title);
    json_put_text(&j, "language", t->language);
    json_put_text(&j, "content_type", t->content_type);
    json_put_text(&j, "user_id", t->user_id);
    json_put_text(&j, "metadata", t->metadata);
    json_put_text(&j, "unit", t->unit);
    json_put_int(&j, "size", t->size);
    json_put_int(&j, "overlap", t->overlap);
    json_put_int(&j, "size_bytes", t->size_bytes);
    json_end(&j);
    assert(!b.failed);
    const char *s = arena_strdup(&c->mem, b.data);
    buf_dispose(&b);
    return s;
}

static const char *member(struct call *c, const json_t *o, const char *name)
{
    return arena_strdup(&c->mem, json_get_text(o, name, ""));
}

enum err ingest_task_read(struct call *c, const char *payload, struct ingest_task *out)
{
    json_t *o = NULL;
    enum err e = json_parse(c, payload, strlen(payload), &o);
    if (e) return e;
    *out = (struct ingest_task){
        .document_id = member(c, o, "document_id"),
        .sha256 = member(c, o, "sha256"),
        .kind = member(c, o, "kind"),
        .media_type = member(c, o, "media_type"),
        .filename = member(c, o, "filename"),
        .title = member(c, o, "title"),
        .language = member(c, o, "language"),
        .content_type = member(c, o, "content_type"),
        .user_id = member(c, o, "user_id"),
        .metadata = member(c, o, "metadata"),
        .unit = member(c, o, "unit"),
        .size = (int)json_get_int(o, "size", LIMIT_CHUNK_CHARS),
        .overlap = (int)json_get_int(o, "overlap", LIMIT_CHUNK_OVERLAP_CHARS),
        .size_bytes = json_get_int(o, "size_bytes", 0),
    };
    json_decref(o);
    if (!*out->document_id || strlen(out->sha256) != 64 || out->size < 1 || out->overlap < 0 ||
        out->overlap >= out->size)
        return fail(c, ERR_CORRUPT, "the job's payload is not an ingest task");
    return OK;
}

/* ---- progress ---- */

static void report(struct ingest *g)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 4096);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "stage", g->stage);
    json_put_int(&j, "bytes_done", g->done_bytes);
    json_put_int(&j, "bytes_total", g->t.size_bytes);
    json_put_int(&j, "pages_done", g->pages_done);
    json_put_int(&j, "pages_total", g->info.pages);
    json_put_int(&j, "chunks_done", g->idx - g->chunk_count);
    json_begin_array(&j, "stages");
    for (int i = 0; i < STAGES && g->took_us[i]; i++) {
        json_begin_object(&j, NULL);
        json_put_text(&j, "name", STAGE_NAMES[i]);
        json_put_int(&j, "took_ms", g->took_us[i] / 1000);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    jobs_progress(g->c, g->job, b.data);
    buf_dispose(&b);
}

/* ---- embedding ---- */

const char *ingest_embed_text(struct arena *mem, const char *text, size_t n, const char *heading)
{
    const char *last = heading;
    for (const char *p = heading; (p = strstr(p, " > ")); p += 3) last = p + 3;
    size_t head = strlen(last);
    size_t skip = 0;
    while (skip < n && strchr("# ", text[skip])) skip++;
    if (head == 0 || (n - skip >= head && memcmp(text + skip, last, head) == 0)) return arena_strndup(mem, text, n);
    return arena_printf(mem, "%s\n%.*s", last, (int)n, text);
}

static enum err embed(struct ingest *g)
{
    const char *texts[BATCH_CHUNKS];
    unsigned char(*hash)[TEXT_HASH_BYTES] = arena_array(&g->mem, BATCH_CHUNKS, sizeof *hash);
    struct passage_set *sets = arena_array(&g->mem, PASSAGES_SETS, sizeof *sets);
    int n = g->chunk_count, set_count = 0;
    for (int i = 0; i < n; i++) {
        const struct staged_chunk *k = &g->chunks[i];
        texts[i] = ingest_embed_text(&g->mem, k->text, strlen(k->text), k->heading);
    }
    enum err e = passages_embed(g->c, &g->models, &g->mem, texts, n, hash, sets, &set_count);
    for (int i = 0; !e && i < n; i++) {
        struct staged_chunk *k = &g->chunks[i];
        k->text_hash = hash[i];
        for (int m = 0; m < set_count; m++)
            k->vectors[m] = (struct staged_vector){ sets[m].model.label, sets[m].model.dim, sets[m].v[i] };
    }
    /* What they are of, for the row of the model; kept as long as the job. */
    for (int m = 0; !e && m < set_count; m++) {
        const struct model_row *from = &sets[m].model;
        int at = 0;
        while (at < g->used_count && strcmp(g->used[at].label, from->label) != 0) at++;
        if (at < g->used_count || at == USED_MAX) continue;
        g->used[g->used_count++] = (struct model_row){ .label = arena_strdup(&g->c->mem, from->label), .dim = from->dim,
                                                       .name = arena_strdup(&g->c->mem, from->name), .remote = from->remote,
                                                       .print = arena_strdup(&g->c->mem, from->print),
                                                       .stamp = arena_strdup(&g->c->mem, from->stamp) };
    }
    return e;
}

static enum err flush(struct ingest *g)
{
    if (!g->chunk_count && !g->page_count) return OK;
    g->stage = "embed";
    int64_t began = clock_mono_us();
    enum err e = g->models.count && g->chunk_count ? embed(g) : OK;
    int64_t embedded = clock_mono_us();
    g->took_us[STAGE_EMBED] += embedded - began + 1;
    if (!e) e = staging_store_add(g->c, g->job->id, g->pages, g->page_count, g->chunks, g->chunk_count);
    g->took_us[STAGE_STORE] += clock_mono_us() - embedded + 1;
    if (e) return e;
    g->chunk_count = g->page_count = 0;
    arena_reset(&g->mem);
    report(g);
    return call_check(g->c);
}

/* ---- pages ---- */

/* Two small letters of "es-MX", "Spanish" stays unknown. */
static void set_language(struct ingest *g, const char *name)
{
    size_t n = strcspn(name, "-_");
    if (n == 2 && !g->language[0])
        for (int i = 0; i < 2; i++) g->language[i] = (char)(name[i] | 0x20);
}

/* The same page with personal data masked, its marks moved along. */
static struct extract_page mask_page(struct ingest *g, const struct extract_page *p, struct arena *mem)
{
    struct extract_mark *marks = arena_array(mem, (size_t)p->mark_count, sizeof(*marks));
    struct buf b;
    size_t from = 0;
    int masked = 0;
    buf_init(&b, p->len * 3 + 64);
    for (int i = 0; i <= 2 * p->mark_count; i++) {
        size_t to = i == 2 * p->mark_count ? p->len : i % 2 ? p->marks[i / 2].body_at : p->marks[i / 2].at;
        const char *s = mask_pii(g->c, p->text + from, to - from, &masked);
        g->masked += masked;
        buf_adds(&b, s);
        from = to;
        if (i == 2 * p->mark_count) break;
        struct extract_mark *m = &marks[i / 2];
        if (i % 2) {
            m->body_at = b.len;
            m->heading = mask_pii(g->c, p->marks[i / 2].heading, strlen(p->marks[i / 2].heading), NULL);
            m->record = p->marks[i / 2].record;
        } else {
            m->at = b.len;
        }
    }
    struct extract_page out = *p;
    out.len = b.len;
    out.text = arena_strndup(mem, b.data ? b.data : "", b.len);
    out.marks = marks;
    out.heading = mask_pii(g->c, p->heading, strlen(p->heading), NULL);
    buf_dispose(&b);
    return out;
}

/* "Handbook > Sleep" in the document "Handbook" is "Sleep". */
static const char *without_title(const char *heading, const char *title)
{
    size_t n = strlen(title);
    if (n == 0 || strncmp(heading, title, n) != 0) return heading;
    return heading[n] == 0 ? "" : strncmp(heading + n, " > ", 3) == 0 ? heading + n + 3 : heading;
}

static enum err add_piece(struct ingest *g, const struct extract_page *p, const struct split_piece *s)
{
    int64_t start = g->offset + (int64_t)s->start, end = g->offset + (int64_t)s->end;
    if (g->idx < g->staged_count) {
        const struct staged_span *old = &g->staged[g->idx];
        if (old->start_byte == start && old->end_byte == end &&
            old->text_hash == staging_hash(p->text + s->start, s->end - s->start)) {
            g->idx++;
            return OK;
        }
        /* Another binary read it then: what it made from here on is not what we make. */
        g->staged_count = g->idx;
        enum err e = staging_store_cut(g->c, g->job->id, g->idx);
        if (e) return e;
    }
    if (g->chunk_count == BATCH_CHUNKS) {
        enum err e = flush(g);
        if (e) return e;
    }
    char id[ID_BYTES];
    const char *text = arena_strndup(&g->mem, p->text + s->start, s->end - s->start);
    const char *language = *g->t.language ? g->t.language : text_language(text, s->end - s->start);
    g->chunks[g->chunk_count++] = (struct staged_chunk){
        .id = arena_strdup(&g->mem, id_new("chk", id)),
        .text = text,
        .heading = arena_strdup(&g->mem, without_title(s->heading, *g->t.title ? g->t.title : g->info.title)),
        .language = arena_strdup(&g->mem, language),
        .idx = g->idx,
        .page = p->page,
        .start_byte = start,
        .end_byte = end,
    };
    g->idx++;
    return OK;
}

static enum err take_page(struct ingest *g, const struct extract_page *p)
{
    struct split_piece *pieces;
    if (!g->language[0]) {
        set_language(g, g->info.language);
        if (!g->language[0]) set_language(g, text_language(p->text, p->len < SAMPLE_BYTES ? p->len : SAMPLE_BYTES));
    }
    int64_t began = clock_mono_us();
    int n = split_page(g->c, p, &g->split, &pieces);
    g->took_us[STAGE_SPLIT] += clock_mono_us() - began + 1;
    for (int i = 0; i < n; i++) {
        if (g->info.pages == 0 && p->len)
            g->done_bytes = (int64_t)((double)g->t.size_bytes * (double)pieces[i].start / (double)p->len);
        enum err e = add_piece(g, p, &pieces[i]);
        if (e) return e;
    }
    if (g->page_count == BATCH_PAGES) {
        enum err e = flush(g);
        if (e) return e;
    }
    g->pages[g->page_count++] = (struct staged_page){ .page = p->page,
                                                      .start_byte = g->offset,
                                                      .text = arena_strndup(&g->mem, p->text, p->len) };
    g->offset += (int64_t)p->len;
    if (p->page) g->pages_done = p->page;
    if (g->info.pages) g->done_bytes = g->t.size_bytes * g->pages_done / g->info.pages;
    return OK;
}

static enum err on_page(void *arg, const struct extract_page *p, const struct extract_info *info)
{
    struct ingest *g = arg;
    struct arena mem;
    g->info = *info;
    arena_init(&mem, LIMIT_ARENA_BYTES);
    struct extract_page masked = g->mask ? mask_page(g, p, &mem) : *p;
    enum err e = take_page(g, &masked);
    arena_dispose(&mem);
    return e ? e : call_check(g->c);
}

/* ---- the job ---- */

static const char *result_title(struct ingest *g)
{
    const char *title = *g->t.title ? g->t.title : g->info.title;
    if (!*title) {
        const char *dot = strrchr(g->t.filename, '.');
        size_t n = dot && dot != g->t.filename ? (size_t)(dot - g->t.filename) : strlen(g->t.filename);
        title = n ? arena_strndup(&g->c->mem, g->t.filename, n) : "Untitled";
    }
    return g->mask ? mask_pii(g->c, title, strlen(title), NULL) : title;
}

/* What was unusual about reading it stands in its metadata, where every reader of the document sees it. */
static enum err result_metadata(struct ingest *g, const char **out)
{
    json_t *o = NULL;
    const char *note = g->info.note;
    if (g->masked)
        note = arena_printf(&g->c->mem, "%s%s%d personal details masked", note, *note ? "; " : "", g->masked);
    *out = g->t.metadata;
    if (!*note) return OK;
    enum err e = json_parse(g->c, g->t.metadata, strlen(g->t.metadata), &o);
    if (e) return e;
    json_object_set_new(o, "reading_note", json_string(note));
    char *s = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    assert(s);
    *out = arena_strdup(&g->c->mem, s);
    free(s);
    return OK;
}

static enum err finish(struct ingest *g)
{
    struct staged_result r = { .title = result_title(g),
                               .language = *g->t.language ? g->t.language : g->language,
                               .text_bytes = g->offset,
                               .pages = g->info.pages,
                               .chunks = g->idx,
                               .keep_file = !g->mask };
    if (g->idx == 0) return fail(g->c, ERR_INVALID, "there is no text in the file");
    /* Chunks staged by an earlier try may be more than there are now. */
    enum err e = g->staged_count > g->idx ? staging_store_cut(g->c, g->job->id, g->idx) : OK;
    if (!e) e = result_metadata(g, &r.metadata);
    if (e) return e;
    g->stage = "store";
    g->done_bytes = g->t.size_bytes;
    report(g);
    int64_t began = clock_mono_us();
    r.models = g->used;
    r.model_count = g->used_count;
    e = staging_store_finish(g->c, g->job->id, &g->t, &r);
    g->took_us[STAGE_STORE] += clock_mono_us() - began + 1;
    if (!e) report(g);
    return e;
}

static bool masks(const struct ingest_task *t)
{
    const char *how = conf_text("KNOWLEDGE_MASK_PII");
    return strcmp(how, "all") == 0 || (strcmp(how, "none") != 0 && *t->user_id);
}

static enum err read_in(struct ingest *g)
{
    struct call *c = g->c;
    enum media_kind kind;
    if (!media_type_of_word(g->t.kind, &kind)) return fail(c, ERR_CORRUPT, "the job names an unknown kind of document");
    g->mask = masks(&g->t);
    enum err e = passages_begin(c, &g->models);
    if (e) return e;
    if (strcmp(g->t.unit, "tokens") == 0) {
        if (!encoder_default()) return fail(c, ERR_INVALID, "unit tokens needs the encoder, which is not loaded");
        g->split.tokens = encoder_tokenizer(encoder_default());
    }
    g->split.size = g->t.size;
    g->split.overlap = g->t.overlap;
    e = staging_store_read(c, g->job->id, g->models.count ? g->models.want[0].row.label : "", &g->staged, &g->staged_count);
    if (!e) e = staging_store_cut(c, g->job->id, g->staged_count);
    if (e) return e;
    if (g->staged_count && g->models.want[0].row.dim) g->used[g->used_count++] = g->models.want[0].row;
    if (!g->models.count)
        log_warn(c, "no encoder: the document will be found by words only", "document", g->t.document_id, NULL);
    g->stage = "extract";
    report(g);
    struct extract_info info;
    int64_t began = clock_mono_us();
    e = extract_run(c, document_file(c, g->t.sha256), kind, on_page, g, &info);
    g->took_us[STAGE_EXTRACT] =
        clock_mono_us() - began - g->took_us[STAGE_SPLIT] - g->took_us[STAGE_EMBED] - g->took_us[STAGE_STORE] + 1;
    if (!e) e = flush(g);
    if (e) return e;
    g->info = info;
    return finish(g);
}

/* Once per creator and process: what a kill left lying about. A collision of hashes only puts it off. */
static void sweep_once(struct call *c)
{
    static atomic_uint seen[128];
    uint32_t h = 2166136261u;
    for (const char *p = c->creator_id; *p; p++) h = (h ^ (unsigned char)*p) * 16777619u;
    unsigned bit = 1u << (h & 31);
    if (atomic_fetch_or(&seen[h >> 5 & 127], bit) & bit) return;
    if (document_store_sweep(c) != OK) {
        log_warn(c, "cannot sweep what is left of earlier documents", "why", c->err_text, NULL);
        call_forgive(c);
    }
}

static enum err run(struct call *c, const struct job *j)
{
    bool done = false, wanted = false;
    struct ingest *g = calloc(1, sizeof(*g));
    assert(g);
    g->c = c;
    g->job = j;
    int64_t began = clock_mono_ms();
    sweep_once(c);
    arena_init(&g->mem, LIMIT_ARENA_BYTES);
    enum err e = ingest_task_read(c, j->payload, &g->t);
    if (!e) e = staging_store_state(c, j->id, &g->t, &done, &wanted);
    if (!e && !done)
        e = wanted ? read_in(g) : fail(c, ERR_NOT_FOUND, "the document was removed or replaced before it was read in");
    if (!e && !done)
        log_info(c, "document read in", "document", g->t.document_id, "chunks", log_int(c, g->idx), "pages",
                 log_int(c, g->info.pages), "took_ms", log_int(c, clock_mono_ms() - began), NULL);
    passages_end(&g->models);
    arena_dispose(&g->mem);
    free(g);
    if (!e && !done) reindex_ensure(c);
    return e;
}

static void dropped(struct call *c, const struct job *j)
{
    struct ingest_task t;
    const char *words = j->state == JOB_CANCELLED ? NULL : j->error ? j->error : "it could not be read in";
    enum err e = ingest_task_read(c, j->payload, &t);
    if (!e) e = staging_store_drop(c, j->id, &t, words);
    if (e) {
        log_error(c, "cannot remove what a failed ingest left", "job", j->id, "why", c->err_text, NULL);
        call_forgive(c);
    }
}

const struct job_kind ingest_kind = { .kind = "ingest", .tries = 50, .run = run, .dropped = dropped };
