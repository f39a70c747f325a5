/* chiron ingest: files and folders into a creator's knowledge, one after the other, with the same jobs the server runs.
 * A file is copied in, never moved. What cannot be read is said and the rest goes on; inside a folder, files of other
 * kinds are passed over with a line. An interrupted file leaves nothing behind; what was finished before it stays. */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "knowledge/ingest.h"
#include "knowledge/knowledge.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

#define FILES_MAX 100000
#define DEPTH_MAX 32
#define BAR_CELLS 24

struct file {
    char *path;
    bool from_folder;
};
struct files {
    struct file *list;
    int count;
};
struct outcome {
    const char *path, *document_id, *title, *error;
    enum err err;
    int pages, chunks;
    bool known, passed_over;
};

/* ---- which files ---- */

static enum err add_path(struct call *c, struct files *f, const char *path, int depth);

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err add_folder(struct call *c, struct files *f, const char *path, int depth)
{
    if (depth > DEPTH_MAX) return fail(c, ERR_TOO_LARGE, "%s: folders nested deeper than %d", path, DEPTH_MAX);
    DIR *d = opendir(path);
    if (!d) return fail(c, ERR_IO, "cannot read the folder %s: %s", path, strerror(errno));
    char **names = NULL;
    size_t n = 0, room = 0;
    for (struct dirent *x; (x = readdir(d)) && n < FILES_MAX;) {
        if (x->d_name[0] == '.') continue;
        if (n == room) {
            room = room ? room * 2 : 64;
            char **more = arena_array(&c->mem, room, sizeof(*more));
            if (n) memcpy(more, names, n * sizeof(*more));
            names = more;
        }
        names[n++] = arena_printf(&c->mem, "%s/%s", path, x->d_name);
    }
    closedir(d);
    if (n) qsort(names, n, sizeof(*names), by_name);
    enum err e = OK;
    for (size_t i = 0; !e && i < n; i++) e = add_path(c, f, names[i], depth);
    return e;
}

static enum err add_path(struct call *c, struct files *f, const char *path, int depth)
{
    struct stat st;
    /* Inside a folder a link is not followed: it may lead out of it, or round in it. */
    if ((depth ? lstat(path, &st) : stat(path, &st)) != 0)
        return fail(c, ERR_NOT_FOUND, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return add_folder(c, f, path, depth + 1);
    if (depth && !S_ISREG(st.st_mode)) return OK;
    if (f->count == FILES_MAX) return fail(c, ERR_TOO_LARGE, "more than %d files", FILES_MAX);
    f->list[f->count++] = (struct file){ .path = arena_strdup(&c->mem, path), .from_folder = depth > 0 };
    return OK;
}

/* ---- the bar ---- */

struct bar {
    const char *creator, *name, *job_id;
    atomic_bool over;
};

static void draw(const struct bar *b, const struct job *k, struct call *c)
{
    json_t *p = NULL;
    if (json_parse(c, k->progress, strlen(k->progress), &p) != OK) {
        call_forgive(c);
        return;
    }
    int64_t done = json_get_int(p, "bytes_done", 0), total = json_get_int(p, "bytes_total", 0);
    int64_t pages = json_get_int(p, "pages_total", 0);
    int percent = total > 0 ? (int)(100 * done / total) : 0;
    char cells[BAR_CELLS + 1];
    for (int i = 0; i < BAR_CELLS; i++) cells[i] = i * 100 < percent * BAR_CELLS ? '#' : '.';
    cells[BAR_CELLS] = 0;
    fprintf(stderr, "\r\033[K%.40s [%s] %3d%%", b->name, cells, percent);
    if (pages) fprintf(stderr, "  page %lld of %lld", (long long)json_get_int(p, "pages_done", 0), (long long)pages);
    fprintf(stderr, "  %lld chunks", (long long)json_get_int(p, "chunks_done", 0));
    fflush(stderr);
    json_decref(p);
}

static void *show(void *arg)
{
    struct bar *b = arg;
    int64_t seen = 0;
    while (!atomic_load(&b->over)) {
        struct call c;
        struct job k;
        call_init(&c);
        if (tenant_open(&c, b->creator) == OK && jobs_wait(&c, b->job_id, &seen, 200, &k) == OK) draw(b, &k, &c);
        tenant_release(&c);
        call_dispose(&c);
    }
    fputs("\r\033[K", stderr);
    return NULL;
}

static enum err run_job(struct call *c, const char *name, const char *job_id)
{
    struct bar b = { .creator = c->creator_id, .name = name, .job_id = job_id };
    pthread_t t;
    bool drawn = isatty(2) && pthread_create(&t, NULL, show, &b) == 0;
    enum err e = jobs_run_here(c, all_jobs, job_id);
    if (drawn) {
        atomic_store(&b.over, true);
        pthread_join(t, NULL);
    }
    return e;
}

/* ---- one file ---- */

static void undo(const char *creator, const char *document_id, const char *job_id, bool replace)
{
    struct call c;
    call_init(&c);
    c.rights = ~0u;
    enum err e = tenant_open(&c, creator);
    if (!e) e = replace ? jobs_cancel(&c, job_id) : document_remove(&c, document_id);
    if (e && e != ERR_NOT_FOUND && e != ERR_CONFLICT) fprintf(stderr, "chiron ingest: cannot undo: %s\n", c.err_text);
    tenant_release(&c);
    call_dispose(&c);
}

/* The document is in, but the run that read it in was killed before its job could say so: the job ends here. */
static enum err left_over(struct call *c, const char *document_id, const char **job_out)
{
    struct document d;
    struct job j;
    enum err e = document_get(c, document_id, &d);
    if (e || !d.job_id || !*d.job_id) return e;
    e = jobs_get(c, d.job_id, &j);
    if (e == ERR_NOT_FOUND) {           /* so long ago that its row is gone */
        call_forgive(c);
        return OK;
    }
    if (!e && (j.state == JOB_QUEUED || j.state == JOB_RUNNING)) *job_out = d.job_id;
    return e;
}

static enum err ingest_one(struct call *c, const struct file *f, struct ingest_opts o, struct outcome *out)
{
    const char *copy = NULL, *job = NULL, *name = strrchr(f->path, '/');
    struct document d;
    o.filename = name ? name + 1 : f->path;
    enum err e = document_import(c, f->path, &copy);
    if (!e) e = document_add_file(c, copy, &o, &out->document_id, &job, &out->known);
    if (copy) (void)unlink(copy);
    if (e) return e;
    if (!e && !job) e = left_over(c, out->document_id, &job);
    if (e) return e;
    /* Known but not read in yet: an earlier run was killed. */
    if (job) {
        e = run_job(c, o.filename, job);
        if (e == ERR_CANCELLED) undo(c->creator_id, out->document_id, job, o.replace_id != NULL);
    }
    if (!e) e = document_get(c, out->document_id, &d);
    if (e) return e;
    out->title = d.title;
    out->pages = d.pages;
    out->chunks = d.chunks;
    return OK;
}

/* Its own call: a file's memory goes with it, and its error is not the next one's. */
static void ingest_file(struct verb_env *v, const struct file *f, const struct ingest_opts *o, struct outcome *out)
{
    struct call c;
    struct arena *mem = &v->call.mem;
    call_init(&c);
    c.stop = v->call.stop;
    c.rights = v->call.rights;
    *out = (struct outcome){ .path = f->path };
    out->err = tenant_open(&c, v->call.creator_id);
    if (!out->err) out->err = ingest_one(&c, f, *o, out);
    if (out->err) out->error = arena_strdup(mem, c.err_text);
    out->passed_over = f->from_folder && out->err == ERR_UNSUPPORTED_TYPE;
    out->document_id = arena_strdup(mem, out->document_id);
    out->title = arena_strdup(mem, out->title);
    tenant_release(&c);
    call_dispose(&c);
}

static void print_line(const struct outcome *o)
{
    if (o->passed_over)
        fprintf(stderr, "%s: passed over: %s\n", o->path, o->error);
    else if (o->err && o->err != ERR_CANCELLED)
        fprintf(stderr, "chiron ingest: %s: %s\n", o->path, o->error);
    else if (!o->err && o->known)
        printf("%s\t%s\talready known\t%d chunks\n", o->document_id, o->path, o->chunks);
    else if (!o->err && o->pages)
        printf("%s\t%s\t%d pages\t%d chunks\n", o->document_id, o->path, o->pages, o->chunks);
    else if (!o->err)
        printf("%s\t%s\t%d chunks\n", o->document_id, o->path, o->chunks);
    fflush(stdout);
}

static void print_json(const struct outcome *list, int n)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_REPLY_BYTES);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "documents");
    for (int i = 0; i < n; i++) {
        const struct outcome *o = &list[i];
        json_begin_object(&j, NULL);
        json_put_text(&j, "path", o->path);
        json_put_text(&j, "document_id", o->err ? NULL : o->document_id);
        json_put_text(&j, "title", o->title);
        json_put_bool(&j, "known", o->known);
        json_put_int(&j, "pages", o->pages);
        json_put_int(&j, "chunks", o->chunks);
        json_put_text(&j, "error", o->error);
        json_put_text(&j, "code", o->err ? err_word(o->err) : NULL);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    puts(b.data ? b.data : "{}");
    buf_dispose(&b);
}

static enum err ingest_all(struct verb_env *v, const struct verb_args *a, const struct ingest_opts *o)
{
    struct call *c = &v->call;
    struct files f = { .list = arena_array(&c->mem, FILES_MAX, sizeof(struct file)) };
    enum err e = OK;
    for (int i = 0; !e && i < a->count; i++) e = add_path(c, &f, a->words[i], 0);
    if (e) return e;
    if (f.count == 0) return fail(c, ERR_NOT_FOUND, "there is no file in %s", a->words[0]);
    if (f.count > 1 && o->replace_id) return fail(c, ERR_INVALID, "--replace takes one file, not %d", f.count);
    struct outcome *done = arena_array(&c->mem, (size_t)f.count, sizeof(*done));
    int n = 0, failed = 0, read = 0;
    for (; n < f.count && call_check(c) == OK; n++) {
        ingest_file(v, &f.list[n], o, &done[n]);
        if (!v->json || done[n].err) print_line(&done[n]);
        if (done[n].err && !done[n].passed_over) failed++;
        read += !done[n].err;
    }
    if (v->json) print_json(done, n);
    e = call_check(c);
    if (e) return e;
    if (failed) return fail(c, ERR_INVALID, "%d of %d files could not be read in", failed, f.count);
    return read ? OK : fail(c, ERR_UNSUPPORTED_TYPE, "none of the files is of a kind that is read");
}

int verb_ingest(int argc, char **argv)
{
    const char *creator = NULL, *title = NULL, *type = NULL, *user = NULL, *language = NULL, *unit = NULL,
               *replace = NULL;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose knowledge; made when it is missing" },
        { "--title", NULL, "T", &title, NULL, "the document's title (else found in it)" },
        { "--type", NULL, "T", &type, NULL, "content type (document)" },
        { "--user", NULL, "U", &user, NULL, "only for this user (else shared by all)" },
        { "--language", NULL, "L", &language, NULL, "language code, en or es (else detected)" },
        { "--unit", NULL, "UNIT", &unit, NULL, "chunk sizes in characters (default) or tokens" },
        { "--replace", NULL, "ID", &replace, NULL, "a new version of this document" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "--creator C PATH...",
                         "chiron ingest --creator demo handbook.pdf notes.md\n"
                         "chiron ingest --creator demo ./material -o json\n"
                         "chiron ingest --creator demo --replace doc_01J... handbook.pdf\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (!creator || a.count == 0) return verb_usage(&a, "--creator and at least one PATH are needed");
    struct ingest_opts o = {
        .title = title, .content_type = type, .user_id = user, .language = language, .unit = unit, .replace_id = replace
    };
    struct verb_env v;
    enum err e = verb_open(&v, &a, VERB_KNOWLEDGE | VERB_STAND_IN | VERB_CREATE, creator);
    if (!e) e = ingest_all(&v, &a, &o);
    return verb_close(&v, e);
}
