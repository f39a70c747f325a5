/* The demo: creator "demo", its coach, its handbook from the binary and the exercise library from the cache. What was loaded
 * is remembered by hash in the creator's folder: a restart adds nothing, a new version replaces only what changed, and a
 * document the owner deleted or a coach they rewrote stays as they left it. A missing exercise file is a log line, not an error. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "accounts/creator_settings.h"
#include "admin/admin.h"
#include "base/assets.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "coaching/coaching.h"
#include "knowledge/knowledge.h"
#include "store/store.h"

#define DEMO_CREATOR        "demo"
#define EXERCISES_FILE      "exercises.jsonl"
#define EXERCISES_MAX_BYTES (16 * 1024 * 1024)
#define RECORD_MAX_BYTES    (256 * 1024)

/* The whole file in c->mem; ERR_NOT_FOUND without words when it is not there. */
static enum err file_read(struct call *c, const char *path, size_t max, const char **out, size_t *n_out)
{
    FILE *f = fopen(path, "rbe");
    if (!f) return ERR_NOT_FOUND;
    struct stat st;
    enum err    e = OK;
    char       *text = NULL;
    if (fstat(fileno(f), &st) || st.st_size < 0 || (uintmax_t)st.st_size > max) {
        e = fail(c, ERR_TOO_LARGE, "%s is over %zu bytes", path, max);
    } else {
        text = arena_alloc(&c->mem, (size_t)st.st_size + 1);
        if (fread(text, 1, (size_t)st.st_size, f) != (size_t)st.st_size) e = fail(c, ERR_IO, "cannot read %s", path);
    }
    fclose(f);
    if (e) return e;
    *out = text;
    *n_out = (size_t)st.st_size;
    return OK;
}

static enum err file_write(struct call *c, const char *path, const void *p, size_t n)
{
    int  fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd >= 0;
    for (size_t done = 0; ok && done < n;) {
        ssize_t w = write(fd, (const char *)p + done, n - done);
        if (w < 0 && errno == EINTR) continue;
        ok = w > 0;
        if (ok) done += (size_t)w;
    }
    if (fd >= 0 && close(fd)) ok = false;
    return ok ? OK : fail(c, ERR_IO, "cannot write %s: %s", path, strerror(errno));
}

/* ---- what was loaded before ---- */

static const char *record_path(struct call *c)
{
    return arena_printf(&c->mem, "%s/demo-loaded.json", tenant_dir(c->tenant));
}

static json_t *record_load(struct call *c)
{
    const char *text = NULL;
    size_t      n = 0;
    json_t     *record = NULL;
    if (file_read(c, record_path(c), RECORD_MAX_BYTES, &text, &n) || json_parse(c, text, n, &record)) call_forgive(c);
    if (json_is_object(record)) return record;
    json_decref(record);
    return json_object();
}

static enum err record_save(struct call *c, const json_t *record)
{
    char       *text = json_dumps(record, JSON_INDENT(1) | JSON_SORT_KEYS);
    const char *path = record_path(c), *fresh = arena_printf(&c->mem, "%s.new", path);
    enum err    e = text ? file_write(c, fresh, text, strlen(text)) : fail(c, ERR_INTERNAL, "cannot write the demo's record");
    if (!e && rename(fresh, path)) e = fail(c, ERR_IO, "cannot keep %s: %s", path, strerror(errno));
    free(text);
    return e;
}

static bool record_has(const json_t *record, const char *name, const char *sha256)
{
    return !strcmp(json_get_text(record, name, ""), sha256);
}

/* ---- the exercise library: one JSON array becomes one JSON object per line, as documents come ---- */

static void words_put(struct buf *b, const char *label, const json_t *v)
{
    if (json_is_string(v)) {
        buf_printf(b, " %s: %s.", label, json_string_value(v));
    } else if (json_array_size(v)) {
        buf_printf(b, " %s:", label);
        for (size_t i = 0; i < json_array_size(v); i++)
            buf_printf(b, "%s %s", i ? "," : "", json_is_string(json_array_get(v, i)) ? json_string_value(json_array_get(v, i)) : "");
        buf_adds(b, ".");
    }
}

static void exercise_text(struct buf *b, const json_t *x)
{
    static const char *const fields[][2] = { { "category", "Category" },
                                             { "level", "Level" },
                                             { "equipment", "Equipment" },
                                             { "primaryMuscles", "Primary muscles" },
                                             { "secondaryMuscles", "Secondary muscles" },
                                             { "mechanic", "Mechanic" },
                                             { "force", "Force" } };
    buf_clear(b);
    buf_printf(b, "%s.", json_get_text(x, "name", ""));
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) words_put(b, fields[i][1], json_object_get(x, fields[i][0]));
    const json_t *steps = json_object_get(x, "instructions");
    for (size_t i = 0; i < json_array_size(steps); i++)
        if (json_is_string(json_array_get(steps, i))) buf_printf(b, "\n%s", json_string_value(json_array_get(steps, i)));
}

static enum err exercises_lines(struct call *c, const json_t *all, struct buf *out)
{
    struct buf text;
    buf_init(&text, 64 * 1024);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *x = json_array_get(all, i);
        if (!json_is_object(x) || !*json_get_text(x, "name", "")) continue;
        exercise_text(&text, x);
        struct json_out j;
        json_out_init(&j, out);
        json_begin_object(&j, NULL);
        json_put_text(&j, "id", json_get_text(x, "id", NULL));
        json_put_text(&j, "title", json_get_text(x, "name", NULL));
        json_put_textn(&j, "text", text.data, text.len);
        json_end(&j);
        buf_addc(out, '\n');
    }
    bool whole = !out->failed && !text.failed;
    buf_dispose(&text);
    return whole ? OK : fail(c, ERR_TOO_LARGE, "the exercise library is over %d bytes", EXERCISES_MAX_BYTES);
}

static const char *exercises_path(struct call *c)
{
    const char *given = conf_text("DEMO_EXERCISES"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (given && *given) return given;
    if (cache && cache[0] == '/') return arena_printf(&c->mem, "%s/chiron/data/exercises.json", cache);
    return arena_printf(&c->mem, "%s/.cache/chiron/data/exercises.json", home ? home : "");
}

/* ---- loading ---- */

/* The document that came from this file before, or NULL. */
static const char *document_before(struct call *c, const char *file)
{
    struct document *d = NULL;
    int              n = 0;
    int64_t          total = 0;
    if (document_list(c, 0, 1000, &d, &n, &total)) {
        call_forgive(c);
        return NULL;
    }
    for (int i = 0; i < n; i++)
        if (!strcmp(d[i].filename, file)) return d[i].id;
    return NULL;
}

/* Queues one document unless these bytes were loaded before; *record learns of it. */
static enum err document_put(struct call *c, json_t *record, const void *p, size_t n, const char *file, struct ingest_opts *o)
{
    char sha256[65];
    id_sha256_hex(p, n, sha256);
    if (record_has(record, file, sha256)) return OK;
    enum err e = call_check(c);
    if (e) return e;
    o->filename = file;
    if (*json_get_text(record, file, "")) o->replace_id = document_before(c, file);
    const char *path = arena_printf(&c->mem, "%s/demo-%s", tenant_dir(c->tenant), file);
    const char *id = NULL, *job = NULL;
    bool        known = false;
    e = file_write(c, path, p, n);
    if (!e) e = document_add_file(c, path, o, &id, &job, &known);
    unlink(path);
    if (e) return e;
    json_object_set_new(record, file, json_string(sha256));
    log_info(c, known ? "demo document is known" : "demo document queued", "file", file, "document", id, NULL);
    return OK;
}

static enum err handbook_put(struct call *c, json_t *record, const json_t *manifest)
{
    const json_t *list = json_object_get(manifest, "documents");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t       *d = json_array_get(list, i);
        const char         *file = json_get_text(d, "file", "");
        const struct asset *a = asset_find(arena_printf(&c->mem, "demo/%s", file));
        if (!a || strchr(file, '/')) return fail(c, ERR_CORRUPT, "the demo's manifest names \"%.60s\", which is not built in", file);
        char              *metadata = json_dumps(json_object_get(d, "metadata"), JSON_COMPACT);
        struct ingest_opts o = {
            .title = json_get_text(d, "title", NULL),
            .content_type = json_get_text(d, "content_type", NULL),
            .language = json_get_text(d, "language", NULL),
            .metadata = metadata ? arena_strdup(&c->mem, metadata) : NULL,
        };
        free(metadata);
        enum err e = document_put(c, record, a->data, a->len, file, &o);
        if (e) return e;
    }
    return OK;
}

static enum err exercises_put(struct call *c, json_t *record)
{
    const char *path = exercises_path(c), *text = NULL;
    size_t      n = 0;
    json_t     *all = NULL;
    struct buf  lines;
    buf_init(&lines, EXERCISES_MAX_BYTES);
    enum err e = file_read(c, path, EXERCISES_MAX_BYTES, &text, &n);
    if (!e) e = json_parse(c, text, n, &all);
    if (!e) e = exercises_lines(c, all, &lines);
    if (e || !lines.len) {
        log_warn(c, "the demo goes without its exercise library", "file", path, "do", "make setup", NULL);
        call_forgive(c);
        e = OK;
    } else {
        e = document_put(c, record, lines.data, lines.len, EXERCISES_FILE,
                         &(struct ingest_opts){ .title = "Exercise library",
                                                .content_type = "workout",
                                                .language = "en",
                                                .metadata = "{\"topic\":\"exercises\",\"source\":\"exercise library\"}" });
    }
    json_decref(all);
    buf_dispose(&lines);
    return e;
}

static enum err coach_load(struct call *c, json_t *record, const json_t *manifest)
{
    const json_t *m = json_object_get(manifest, "coach");
    if (!json_is_object(m)) return fail(c, ERR_CORRUPT, "the demo's manifest has no coach");
    char *text = json_dumps(m, JSON_COMPACT | JSON_SORT_KEYS);
    char  sha256[65];
    id_sha256_hex(text ? text : "", text ? strlen(text) : 0, sha256);
    free(text);
    if (record_has(record, "coach", sha256)) return OK;
    struct coach coach = {
        .id = json_get_text(m, "id", "coach"),
        .name = json_get_text(m, "name", "Coach"),
        .description = json_get_text(m, "description", ""),
        .language = json_get_text(m, "language", "en"),
        .expertise = json_get_text(m, "expertise", ""),
        .method = json_get_text(m, "method", ""),
        .style = json_get_text(m, "style", ""),
    };
    enum err e = coach_put(c, &coach);
    if (!e) json_object_set_new(record, "coach", json_string(sha256));
    return e;
}

/* Opens the creator, runs one step on its record and keeps what the step changed. */
static enum err with_record(struct call *c, enum err (*step)(struct call *c, json_t *record, const json_t *manifest))
{
    const struct asset *a = asset_find("demo/manifest.json");
    if (!a) return fail(c, ERR_NOT_FOUND, "this binary was built without the demo");
    json_t  *manifest = NULL, *record = NULL;
    bool     created = false;
    enum err e = json_parse(c, (const char *)a->data, a->len, &manifest);
    if (!e) e = tenant_create(c, DEMO_CREATOR, "Demo", &created);
    if (!e) e = tenant_open(c, DEMO_CREATOR);
    if (!e) {
        record = record_load(c);
        json_t *before = json_deep_copy(record);
        e = step(c, record, manifest);
        /* Also after an error: what was queued before it must not be queued again. */
        if (!json_equal(before, record)) {
            enum err saved = record_save(c, record);
            if (!e) e = saved;
        }
        json_decref(before);
    }
    tenant_release(c);
    json_decref(record);
    json_decref(manifest);
    return e;
}

static enum err documents_load(struct call *c, json_t *record, const json_t *manifest)
{
    enum err e = handbook_put(c, record, manifest);
    if (!e) e = exercises_put(c, record);
    if (!e) log_info(c, "demo documents queued", NULL);
    return e;
}

static enum err demo_begin(struct call *c, json_t *record, const json_t *manifest)
{
    enum err e = coach_load(c, record, manifest);
    return e ? e : creator_anonymous_default(c, true);
}

enum err demo_prepare(struct call *c)
{
    return with_record(c, demo_begin);
}

enum err demo_load(struct call *c)
{
    return with_record(c, documents_load);
}
