/* Documents and jobs over HTTP. Uploads are on disk and hashed before a handler runs, so a handler checks form fields,
 * hands the files on and answers; waiting for a job and streaming its progress are the only handlers that stay. Users
 * may read pages, so that a citation can be opened; the store shows them shared documents and their own only. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/accounts.h"
#include "base/clock.h"
#include "base/json.h"
#include "http/http.h"
#include "knowledge/document_store.h"
#include "knowledge/ingest.h"
#include "store/jobs.h"

#define LIST_MAX        200
#define PROCESS_WAIT_MS 120000
#define STEP_MS         1000
#define FILES_MAX       32

static const char *state_word(enum document_state s)
{
    return s == DOCUMENT_READY ? "ready" : s == DOCUMENT_FAILED ? "failed" : "queued";
}

static void put_time(struct json_out *j, const char *name, int64_t ms)
{
    char iso[25];
    json_put_text(j, name, clock_iso(ms, iso));
}

static void put_document(struct json_out *j, const struct document *d)
{
    json_put_text(j, "id", d->id);
    json_put_text(j, "title", d->title);
    json_put_text(j, "filename", d->filename);
    json_put_text(j, "media_type", d->media_type);
    json_put_text(j, "language", d->language);
    json_put_text(j, "content_type", d->content_type);
    json_put_text(j, "user_id", d->user_id);
    json_put_text(j, "sha256", d->sha256);
    json_put_raw(j, "metadata", d->metadata, strlen(d->metadata));
    json_put_text(j, "state", state_word(d->state));
    json_put_text(j, "job_id", *d->job_id ? d->job_id : NULL);
    json_put_text(j, "error", d->error);
    json_put_int(j, "size_bytes", d->size_bytes);
    json_put_int(j, "text_bytes", d->text_bytes);
    json_put_int(j, "pages", d->pages);
    json_put_int(j, "chunks", d->chunks);
    json_put_int(j, "version", d->version);
    put_time(j, "created_at", d->created_ms);
    put_time(j, "updated_at", d->updated_ms);
}

static enum err list_documents(struct req *r)
{
    struct call *c = &r->call;
    struct document *list;
    int64_t offset, limit, total;
    int n;
    enum err e = req_query_int(r, "offset", 0, 0, 1000000000, &offset);
    if (!e) e = req_query_int(r, "limit", 50, 1, LIST_MAX, &limit);
    if (!e) e = document_list(c, (int)offset, (int)limit, &list, &n, &total);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "documents");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        put_document(j, &list[i]);
        json_end(j);
    }
    json_end(j);
    json_put_int(j, "total", total);
    json_end(j);
    return OK;
}

static enum err get_document(struct req *r)
{
    struct call *c = &r->call;
    struct document d;
    struct document_page *pages;
    int n;
    enum err e = document_get(c, req_path(r, "id"), &d);
    if (!e) e = document_store_pages(c, d.id, &pages, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    put_document(j, &d);
    json_begin_array(j, "pages_list");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_int(j, "page", pages[i].page);
        json_put_int(j, "start_byte", pages[i].start_byte);
        json_put_int(j, "end_byte", pages[i].end_byte);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static enum err delete_document(struct req *r)
{
    enum err e = document_remove(&r->call, req_path(r, "id"));
    if (!e) reply_empty(r, 204);
    return e;
}

static enum err get_page(struct req *r)
{
    struct call *c = &r->call;
    struct document d;
    const char *text, *given = req_path(r, "page");
    int64_t start, total;
    char *end;
    long page = strtol(given, &end, 10);
    if (end == given || *end || page < 0 || page > LIMIT_DOCUMENT_PAGES)
        return fail(c, ERR_NOT_FOUND, "no page %.40s", given);
    enum err e = document_get(c, req_path(r, "id"), &d);
    if (!e) e = document_text(c, d.id, (int)page, &text, &start, &total);
    if (e) return e;
    size_t n = strlen(text);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "document_id", d.id);
    json_put_text(j, "title", d.title);
    json_put_int(j, "page", page);
    json_put_int(j, "pages", d.pages);
    json_put_int(j, "start_byte", start);
    json_put_textn(j, "text", text, n);
    if (page == 0 && (int64_t)n < total) json_put_bool(j, "truncated", true);
    json_end(j);
    return OK;
}

static enum err get_chunks(struct req *r)
{
    struct chunk *k;
    int n;
    enum err e = document_chunks(&r->call, req_path(r, "id"), &k, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "chunks");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "id", k[i].id);
        json_put_int(j, "index", k[i].index);
        json_put_text(j, "text", k[i].text);
        json_put_text(j, "heading", k[i].heading);
        json_put_int(j, "page", k[i].page);
        json_put_int(j, "start_byte", k[i].start_byte);
        json_put_int(j, "end_byte", k[i].end_byte);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

/* ---- uploads ---- */

/* A number in a form; 0 when absent. */
static enum err form_int(struct req *r, const char *name, int *out)
{
    const char *s = req_form(r, name);
    char *end;
    if (!s || !*s) return OK;
    long v = strtol(s, &end, 10);
    if (*end || v < 0 || v > 1000000) return fail_field(&r->call, name, "%s must be a whole number", name);
    *out = (int)v;
    return OK;
}

static enum err form_options(struct req *r, struct ingest_opts *o)
{
    struct call *c = &r->call;
    const char *creator = req_form(r, "creator_id"), *user = req_form(r, "user_id");
    if (creator && *creator && strcmp(creator, c->creator_id) != 0)
        return fail(c, ERR_NOT_FOUND, "no creator %.128s", creator);
    *o = (struct ingest_opts){ .title = req_form(r, "title"),
                               .content_type = req_form(r, "content_type"),
                               .language = req_form(r, "language"),
                               .metadata = req_form(r, "metadata"),
                               .replace_id = req_form(r, "replace"),
                               .unit = req_form(r, "unit") };
    enum err e = form_int(r, "chunk_size", &o->chunk_size);
    if (!e) e = form_int(r, "chunk_overlap", &o->chunk_overlap);
    if (!e && user && *user) e = user_check(c, "user_id", user, &o->user_id);
    if (e) return e;
    if (r->upload_count == 0)
        return fail_field(c, "file", "a file is needed: multipart/form-data with a part named file");
    if (r->upload_count > FILES_MAX)
        return fail(c, ERR_TOO_LARGE, "%d files at once; at most %d are taken", r->upload_count, FILES_MAX);
    if (r->upload_count > 1 && o->replace_id && *o->replace_id)
        return fail_field(c, "replace", "one file replaces one document");
    return OK;
}

struct added {
    const char *document_id, *job_id;
    bool known;
};

static enum err add_upload(struct req *r, int i, struct ingest_opts *o, struct added *out)
{
    o->filename = r->uploads[i].filename;
    enum err e = document_add_file(&r->call, r->uploads[i].path, o, &out->document_id, &out->job_id, &out->known);
    /* With several files the words must say which. */
    if (e && r->upload_count > 1) {
        const char *words = arena_strdup(&r->call.mem, r->call.err_text);
        r->call.err = OK;
        return fail(&r->call, e, "%.120s: %s", o->filename, words);
    }
    return e;
}

static enum err post_documents(struct req *r)
{
    struct ingest_opts o;
    struct added *a = arena_array(&r->call.mem, FILES_MAX, sizeof(*a));
    enum err e = form_options(r, &o);
    int done = 0;
    for (; !e && done < r->upload_count; done++) e = add_upload(r, done, &o, &a[done]);
    if (e) {
        /* All or none: what came before the bad file was not asked for alone. */
        const char *words = arena_strdup(&r->call.mem, r->call.err_text);
        char field[sizeof(r->call.err_field)];
        memcpy(field, r->call.err_field, sizeof(field));
        r->call.err = OK;
        for (int i = 0; i + 1 < done; i++) {
            if (a[i].known || (o.replace_id && *o.replace_id)) continue;
            if (document_remove(&r->call, a[i].document_id) != OK) call_forgive(&r->call);
        }
        e = fail(&r->call, e, "%s", words);
        memcpy(r->call.err_field, field, sizeof(field));
        return e;
    }
    struct json_out *j = reply_json(r, 202);
    json_begin_object(j, NULL);
    json_begin_array(j, "documents");
    for (int i = 0; i < done; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "document_id", a[i].document_id);
        json_put_text(j, "job_id", a[i].job_id);
        json_put_bool(j, "known", a[i].known);
        json_put_text(j, "filename", r->uploads[i].filename);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

/* ---- jobs ---- */

static bool ended(const struct job *j)
{
    return j->state == JOB_DONE || j->state == JOB_FAILED || j->state == JOB_CANCELLED;
}

static void put_job(struct json_out *j, struct call *c, const struct job *k)
{
    json_t *payload = NULL;
    const char *document = NULL;
    if (json_parse(c, k->payload, strlen(k->payload), &payload) != OK)
        call_forgive(c);
    else
        document = json_get_text(payload, "document_id", NULL);
    json_put_text(j, "id", k->id);
    json_put_text(j, "kind", k->kind);
    json_put_text(j, "state", job_state_word(k->state));
    json_put_raw(j, "progress", k->progress, strlen(k->progress));
    json_put_text(j, "document_id", document);
    json_put_text(j, "error", k->error);
    json_put_text(j, "code", k->error_code);
    put_time(j, "created_at", k->created_ms);
    put_time(j, "updated_at", k->updated_ms);
    json_decref(payload);
}

static enum err list_jobs(struct req *r)
{
    struct job *list;
    int64_t limit;
    int n;
    enum err e = req_query_int(r, "limit", 50, 1, LIST_MAX, &limit);
    if (!e) e = jobs_list(&r->call, (int)limit, &list, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "jobs");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        put_job(j, &r->call, &list[i]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static void reply_job(struct req *r, int status, const struct job *k)
{
    struct json_out *j = reply_json(r, status);
    json_begin_object(j, NULL);
    put_job(j, &r->call, k);
    json_end(j);
}

static enum err get_job(struct req *r)
{
    struct job k;
    enum err e = jobs_get(&r->call, req_path(r, "id"), &k);
    if (!e) reply_job(r, 200, &k);
    return e;
}

static enum err cancel_job(struct req *r)
{
    struct job k;
    enum err e = jobs_cancel(&r->call, req_path(r, "id"));
    if (!e) e = jobs_get(&r->call, req_path(r, "id"), &k);
    if (!e) reply_job(r, 202, &k);
    return e;
}

static enum err send_job(struct req *r, const char *event, const struct job *k)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_REQUEST_BODY_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    put_job(&j, &r->call, k);
    json_end(&j);
    enum err e = sse_send(r, event, NULL, b.data, b.len);
    buf_dispose(&b);
    return e;
}

static enum err stream_job(struct req *r)
{
    struct call *c = &r->call;
    struct job k;
    const char *id = req_path(r, "id");
    int64_t seen = 0, before = -1;
    enum err e = jobs_get(c, id, &k);
    if (!e) e = sse_begin(r);
    while (!e) {
        e = jobs_wait(c, id, &seen, STEP_MS, &k);
        if (!e) e = call_check(c);
        if (e || ended(&k)) break;
        if (seen != before) e = send_job(r, "progress", &k);
        before = seen;
    }
    return e ? e : send_job(r, "done", &k);
}

/* Until the job ends or the time is over (*ended_out false). */
static enum err wait_job(struct call *c, const char *id, bool *ended_out, struct job *k)
{
    int64_t seen = 0, until = clock_mono_ms() + call_left_ms(c, PROCESS_WAIT_MS);
    *ended_out = false;
    for (;;) {
        int64_t left = until - clock_mono_ms();
        if (left <= 0) return OK;
        enum err e = jobs_wait(c, id, &seen, left < STEP_MS ? left : STEP_MS, k);
        if (!e && ended(k)) {
            *ended_out = true;
            return OK;
        }
        if (!e) e = call_check(c);
        if (e) return e;
    }
}

/* A failed job's own error, as if the reading had been done here. */
static enum err job_error(struct call *c, const struct job *k)
{
    if (k->state == JOB_DONE) return OK;
    if (k->state == JOB_CANCELLED) return fail(c, ERR_CONFLICT, "the ingest was cancelled");
    for (int e = 1; e < ERR_COUNT; e++)
        if (k->error_code && strcmp(err_word((enum err)e), k->error_code) == 0)
            return fail(c, (enum err)e, "%s", k->error ? k->error : "failed");
    return fail(c, ERR_INTERNAL, "%s", k->error ? k->error : "the ingest failed");
}

static enum err await(struct req *r, const struct added *a, bool *ready_out)
{
    struct job k;
    *ready_out = true;
    if (!a->job_id) return OK;
    enum err e = wait_job(&r->call, a->job_id, ready_out, &k);
    return e || !*ready_out ? e : job_error(&r->call, &k);
}

static enum err process_document(struct req *r)
{
    struct call *c = &r->call;
    struct ingest_opts o;
    struct added a;
    struct document d;
    bool ready;
    enum err e = form_options(r, &o);
    if (!e && r->upload_count > 1) e = fail_field(c, "file", "one file at a time");
    if (!e && !(o.unit && *o.unit)) o.unit = "tokens"; /* CRE-025 */
    if (!e) e = add_upload(r, 0, &o, &a);
    if (!e) e = await(r, &a, &ready);
    if (!e) e = document_get(c, a.document_id, &d);
    if (e) return e;
    struct json_out *j = reply_json(r, ready ? 201 : 202);
    json_begin_object(j, NULL);
    json_put_text(j, "document_id", d.id);
    json_put_text(j, "filename", d.filename);
    json_put_int(j, "chunks", d.chunks);
    json_put_text(j, "status", state_word(d.state));
    if (!ready) json_put_text(j, "job_id", a.job_id);
    json_end(j);
    return OK;
}

static enum err post_text(struct req *r)
{
    struct call *c = &r->call;
    const char *text = json_get_text(r->json, "text", ""), *user = json_get_text(r->json, "user_id", NULL);
    const json_t *metadata = json_object_get(r->json, "metadata");
    struct ingest_opts o = { .title = json_get_text(r->json, "title", NULL),
                             .content_type = json_get_text(r->json, "content_type", NULL),
                             .unit = json_get_text(r->json, "unit", NULL),
                             .chunk_size = (int)json_get_int(r->json, "chunk_size", 0),
                             .chunk_overlap = (int)json_get_int(r->json, "chunk_overlap", 0) };
    char *meta = metadata ? json_dumps(metadata, JSON_COMPACT) : NULL;
    struct added a;
    struct document d;
    struct chunk *k;
    bool ready;
    int n;
    o.metadata = meta ? arena_strdup(&c->mem, meta) : NULL;
    free(meta);
    enum err e = user ? user_check(c, "user_id", user, &o.user_id) : OK;
    if (!e) e = document_add_text(c, text, strlen(text), &o, &a.document_id, &a.job_id, &a.known);
    if (!e) e = await(r, &a, &ready);
    if (!e && !ready)
        e = fail(c, ERR_TIMEOUT, "the text is still being read in as document %s, job %s", a.document_id, a.job_id);
    if (!e) e = document_get(c, a.document_id, &d);
    if (!e) e = document_chunks(c, a.document_id, &k, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 201);
    json_begin_object(j, NULL);
    json_put_text(j, "document_id", d.id);
    json_begin_array(j, "chunks");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "id", k[i].id);
        json_put_text(j, "text", k[i].text);
        json_put_int(j, "position", k[i].index);
        json_put_int(j, "start_byte", k[i].start_byte);
        json_put_int(j, "end_byte", k[i].end_byte);
        json_put_raw(j, "metadata", d.metadata, strlen(d.metadata));
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static const char TEXT_SCHEMA[] =
    "{\"type\":\"object\",\"required\":[\"text\"],\"additionalProperties\":false,\"properties\":{"
    "\"text\":{\"type\":\"string\",\"minLength\":1},\"title\":{\"type\":\"string\",\"maxLength\":500},"
    "\"metadata\":{\"type\":\"object\"},\"content_type\":{\"type\":\"string\",\"maxLength\":128},"
    "\"user_id\":{\"type\":\"string\",\"maxLength\":128},\"chunk_size\":{\"type\":\"integer\",\"minimum\":50,"
    "\"maximum\":8000},"
    "\"chunk_overlap\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":4000},\"unit\":{\"enum\":[\"characters\","
    "\"tokens\"]}}}";

const struct route knowledge_routes[] = {
    { "GET", "/api/v1/hub/documents", RIGHT_READ, 0, URL_QUERY(QUERY_OFFSET "," QUERY_LIMIT), list_documents, "The creator's documents, newest first",
      "hub", 0, NULL, NULL, NULL },
    { "POST", "/api/v1/hub/documents", RIGHT_WRITE, LIMIT_UPLOAD_BYTES, NULL, post_documents,
      "Upload documents; they are read in by a job", "hub", ROUTE_MULTIPART, NULL, NULL, NULL },
    { "GET", "/api/v1/hub/documents/{id}", RIGHT_READ, 0, NULL, get_document, "One document with its pages", "hub", 0,
      NULL, NULL, NULL },
    { "DELETE", "/api/v1/hub/documents/{id}", RIGHT_WRITE, 0, NULL, delete_document,
      "Remove a document and everything made from it", "hub", 0, NULL, NULL, NULL },
    { "GET", "/api/v1/hub/documents/{id}/pages/{page}", RIGHT_READ | RIGHT_ASK, 0, NULL, get_page,
      "The extracted text of one page (0: all)", "hub", 0, NULL, NULL, NULL },
    { "GET", "/api/v1/hub/documents/{id}/chunks", RIGHT_READ, 0, NULL, get_chunks, "The chunks of a document", "hub", 0,
      NULL, NULL, NULL },
    { "GET", "/api/v1/jobs", RIGHT_READ, 0, URL_QUERY(QUERY_LIMIT), list_jobs, "Background jobs, newest first", "hub", 0, NULL, NULL, NULL },
    { "GET", "/api/v1/jobs/{id}", RIGHT_READ, 0, NULL, get_job, "One job", "hub", 0, NULL, NULL, NULL },
    { "GET", "/api/v1/jobs/{id}/events", RIGHT_READ, 0, NULL, stream_job, "A job's progress as server-sent events",
      "hub", 0, NULL, NULL, NULL },
    { "DELETE", "/api/v1/jobs/{id}", RIGHT_WRITE, 0, NULL, cancel_job, "Cancel a job", "hub", 0, NULL, NULL, NULL },
    { "POST", "/api/v1/ai/documents/process", RIGHT_WRITE, LIMIT_UPLOAD_BYTES, NULL, process_document,
      "Read in one document and wait for it", "cre", ROUTE_MULTIPART, NULL, NULL, NULL },
    { "POST", "/api/v1/coaching/documents", RIGHT_WRITE, 8 * LIMIT_REQUEST_BODY_BYTES, TEXT_SCHEMA, post_text,
      "Read in a text; its chunks come back", "arc", 0, NULL, NULL, NULL },
    { 0 },
};
