/* Model folders at the command line: what is installed and what is known, fetch one, verify, remove. The work is
 * encoder/install.h's; here are words, tables and the line that shows how far a download is. It refuses to remove the model
 * that is in use. */
/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "encoder/card.h"
#include "encoder/install.h"
#include "encoder/precision.h"
#include "verbs.h"

enum { MODELS_MAX = 256 };

struct model {
    const char *name, *folder;
    int64_t     size_bytes;
    bool        is_default, readable;
    struct card card;
    const char *wrong;              /* why it is not readable, or does not verify */
    int         files;              /* verified; 0: none, or no sums */
};

static int by_name(const void *a, const void *b) { return strcmp(((const struct model *)a)->name, ((const struct model *)b)->name); }

static const char *words_of(struct call *c)
{
    const char *words = arena_strdup(&c->mem, c->err_text);
    call_forgive(c);
    return words;
}

static int models_find(struct call *c, struct model *out)
{
    int            n = 0;
    const char    *root = verb_models_dir(c);
    DIR           *d = opendir(root);
    struct dirent *entry;
    while (d && n < MODELS_MAX && (entry = readdir(d))) {
        struct stat st;
        if (entry->d_name[0] == '.') continue;
        const char *folder = arena_printf(&c->mem, "%s/%s", root, entry->d_name);
        if (stat(arena_printf(&c->mem, "%s/" INSTALL_WEIGHTS, folder), &st)) continue;
        struct model *m = &out[n++];
        *m = (struct model){ .name = arena_strdup(&c->mem, entry->d_name), .folder = folder, .size_bytes = (int64_t)st.st_size,
                             .is_default = !strcmp(entry->d_name, conf_text("ENCODER_MODEL")) };
        m->readable = card_read(c, folder, &m->card) == OK;
        if (!m->readable) m->wrong = words_of(c);
    }
    if (d) closedir(d);
    qsort(out, (size_t)n, sizeof *out, by_name);
    return n;
}

static const char *kind_of(const struct model *m) { return !m->readable ? "unreadable" : m->card.cross_encoder ? "cross-encoder" : "embedder"; }

/* What a model would run in on this machine with the settings as they are. */
static const char *precision_used(struct call *c)
{
    struct precision       p;
    enum encoder_precision asked;
    if (encoder_precision_parse(c, conf_text("ENCODER_PRECISION"), &asked) || precision_choose(c, asked, &p)) {
        call_forgive(c);
        return "?";
    }
    return precision_name(&p);
}

static int reach_of(const struct card *k) { return k->max_tokens < LIMIT_TOKENS ? k->max_tokens : LIMIT_TOKENS; }

static void show(const struct model *m, const char *precision)
{
    char shape[64] = "";
    if (m->readable && !m->card.cross_encoder)
        snprintf(shape, sizeof shape, "%d, %s%s%s", m->card.hidden, card_pooling_name(m->card.pooling), *m->card.prefix[ENCODER_QUERY] ? ", q" : "",
                 *m->card.prefix[ENCODER_PASSAGE] ? ", p" : "");
    printf("%-38s %-13s %-14s %5d tokens %7.1f MB  %-5s %s%s\n", m->name, kind_of(m), shape, m->readable ? reach_of(&m->card) : 0,
           (double)m->size_bytes / 1e6, precision, m->files ? "verified" : "not verified", m->is_default ? "  (default)" : "");
    if (m->wrong) printf("    %s\n", m->wrong);
}

static void put_model(struct json_out *j, const struct model *m, const char *precision)
{
    json_begin_object(j, NULL);
    json_put_text(j, "name", m->name);
    json_put_text(j, "folder", m->folder);
    json_put_text(j, "kind", kind_of(m));
    json_put_int(j, "weights_bytes", m->size_bytes);
    json_put_bool(j, "default", m->is_default);
    if (m->readable) {
        if (!m->card.cross_encoder) {
            json_put_int(j, "dim", m->card.hidden);
            json_put_text(j, "pooling", card_pooling_name(m->card.pooling));
            json_put_text(j, "query_prefix", m->card.prefix[ENCODER_QUERY]);
            json_put_text(j, "passage_prefix", m->card.prefix[ENCODER_PASSAGE]);
        }
        json_put_int(j, "max_tokens", reach_of(&m->card));
        json_put_text(j, "precision", precision);
    }
    json_put_bool(j, "verified", m->files > 0);
    if (m->files) json_put_int(j, "files_verified", m->files);
    if (m->wrong) json_put_text(j, "problem", m->wrong);
    json_end(j);
}

static int64_t bytes_of(const struct catalogue_model *m)
{
    int64_t sum = 0;
    for (int i = 0; i < m->file_count; i++) sum += m->files[i].bytes > 0 ? m->files[i].bytes : 0;
    return sum;
}

static void put_available(struct json_out *j, const struct catalogue_model *m)
{
    json_begin_object(j, NULL);
    json_put_text(j, "name", m->name);
    json_put_text(j, "kind", m->kind);
    if (m->dim) json_put_int(j, "dim", m->dim);
    if (*m->pooling) json_put_text(j, "pooling", m->pooling);
    json_put_int(j, "max_tokens", m->max_tokens);
    json_put_int(j, "bytes", bytes_of(m));
    json_put_text(j, "license", m->license);
    json_put_text(j, "about", m->about);
    json_end(j);
}

static bool installed(const struct model *all, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].name, name)) return true;
    return false;
}

static enum err list(struct verb_env *v)
{
    struct call     *c = &v->call;
    static struct model found[MODELS_MAX];
    struct catalogue known;
    enum err         e = catalogue_read(c, &known);
    if (e) return e;
    int         n = models_find(c, found);
    const char *precision = precision_used(c);
    struct buf  b;
    buf_init(&b, 1024 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "models");
    for (int i = 0; i < n && !e; i++) {
        enum err bad = install_verify(c, found[i].folder, &found[i].files);
        if (bad == ERR_CANCELLED) e = bad;
        else if (bad) {
            const char *words = words_of(c);
            if (!found[i].wrong) found[i].wrong = words;
        }
        if (v->json) put_model(&j, &found[i], precision);
        else show(&found[i], precision);
    }
    json_end(&j);
    json_begin_array(&j, "available");
    for (int i = 0; i < known.count && !e; i++) {
        const struct catalogue_model *m = &known.models[i];
        if (installed(found, n, m->name)) continue;
        if (v->json) put_available(&j, m);
        else printf("%-38s %-13s not installed, %.1f MB; %s. chiron models pull %s\n", m->name, m->kind, (double)bytes_of(m) / 1e6, m->about, m->name);
    }
    json_end(&j);
    json_end(&j);
    if (!e && v->json) puts(b.data);
    buf_dispose(&b);
    if (!e && !n) fprintf(stderr, "no model in %s; run: make setup\n", verb_models_dir(c));
    return e;
}

static enum err verify(struct verb_env *v, const char *only)
{
    struct call *c = &v->call;
    static struct model found[MODELS_MAX];
    int          n = models_find(c, found), shown = 0;
    const char  *precision = precision_used(c);
    enum err     e = OK;
    struct buf   b;
    buf_init(&b, 1024 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "models");
    for (int i = 0; i < n && !e; i++) {
        if (only && strcmp(only, found[i].name)) continue;
        e = install_verify(c, found[i].folder, &found[i].files);
        if (e) break;
        shown++;
        if (v->json) put_model(&j, &found[i], precision);
        else show(&found[i], precision);
    }
    json_end(&j);
    json_end(&j);
    if (!e && v->json) puts(b.data);
    buf_dispose(&b);
    if (!e && only && !shown) e = fail(c, ERR_NOT_FOUND, "there is no model \"%s\" in %s", only, verb_models_dir(c));
    if (!e && !shown) fprintf(stderr, "no model in %s; run: make setup\n", verb_models_dir(c));
    return e;
}

enum err verb_model_verify(struct call *c, const char *folder, int *files_out) { return install_verify(c, folder, files_out); }

/* ---- pull ---- */

/* Where a download is, on one line of a terminal; the rate is of this file in this run. */
struct shown {
    const char *file;
    int64_t     began_ms, began_bytes;
    bool        on_terminal, drawn;
};

static void progress(void *arg, const char *file, int64_t have, int64_t total)
{
    struct shown *s = arg;
    int64_t       now = clock_mono_ms();
    if (!s->on_terminal) return;
    if (!s->file || strcmp(s->file, file)) *s = (struct shown){ file, now, have, true, s->drawn };
    double seconds = (double)(now - s->began_ms) / 1000, rate = seconds > 0 ? (double)(have - s->began_bytes) / seconds / 1e6 : 0;
    if (total > 0)
        fprintf(stderr, "\r\033[K%s %3d%%  %.1f of %.1f MB  %.1f MB/s", file, (int)(100 * have / total), (double)have / 1e6, (double)total / 1e6, rate);
    else
        fprintf(stderr, "\r\033[K%s %.1f MB  %.1f MB/s", file, (double)have / 1e6, rate);
    s->drawn = true;
}

static bool is_url(const char *s) { return !strncasecmp(s, "https://", 8) || !strncasecmp(s, "http://", 7); }

static bool is_archive(const char *url)
{
    size_t n = strcspn(url, "?#");
    return n > 4 && (!strncasecmp(url + n - 4, ".zip", 4) || !strncasecmp(url + n - 4, ".whl", 4));
}

static enum err pull(struct verb_env *v, const char *what, const char *sha256, const char *as)
{
    struct call           *c = &v->call;
    const char            *root = verb_models_dir(c);
    struct catalogue       known;
    struct catalogue_model from_url;
    struct install_result  r = { 0 };
    struct shown           shown = { .on_terminal = !v->json && isatty(STDERR_FILENO) };
    struct install_opts    o = { progress, &shown };
    enum err               e = catalogue_read(c, &known);
    if (e) return e;
    const struct catalogue_model *m = catalogue_find(&known, what);
    if (is_url(what) && is_archive(what)) {
        e = install_archive(c, root, what, sha256, as, &o, &r);
    } else {
        if (is_url(what)) {
            e = catalogue_of_url(c, what, as, sha256, &from_url);
            m = &from_url;
        } else if (!m) {
            e = fail(c, ERR_NOT_FOUND, "no model \"%s\" is known; chiron models list shows those that are, or give its address", what);
        }
        if (!e) e = install_pull(c, root, m, &o, &r);
        if (!e) as = m->name;
    }
    if (shown.drawn) fputs("\r\033[K", stderr);
    if (e == ERR_CANCELLED || e == ERR_TIMEOUT || e == ERR_UPSTREAM) fprintf(stderr, "what came is kept; the same command goes on with it\n");
    if (e) return e;
    if (r.not_pinned)
        fprintf(stderr, "%d of %d files are not pinned by the catalogue: their SHA-256 as they came is in %s/%s/" INSTALL_SUMS "\n", r.not_pinned, r.files, root, as);
    if (r.resumed_bytes) fprintf(stderr, "%.1f MB were there from an earlier try\n", (double)r.resumed_bytes / 1e6);
    return verify(v, as);
}

static enum err remove_model(struct verb_env *v, const char *name)
{
    struct call *c = &v->call;
    if (!strcmp(name, conf_text("ENCODER_MODEL")))
        return fail(c, ERR_CONFLICT, "%s is the model in use (ENCODER_MODEL); choose another first", name);
    enum err e = install_remove(c, verb_models_dir(c), name);
    if (!e && v->json) printf("{\"removed\":\"%s\"}\n", name);
    else if (!e) printf("%s is removed\n", name);
    return e;
}

/* Usage words, or VERB_GO. */
static int check_pull(const struct verb_args *a, const char *sha256, const char *as)
{
    if (a->count != 2) return verb_usage(a, "pull needs a NAME of the catalogue or a URL");
    if (sha256 && (strlen(sha256) != 64 || strspn(sha256, "0123456789abcdef") != 64))
        return verb_usage(a, "--sha256 has 64 lower-case hex digits");
    if (as && (!id_valid(as) || strlen(as) >= CATALOGUE_NAME_BYTES)) return verb_usage(a, "--name has letters, digits, . _ : @ -");
    if (!is_url(a->words[1])) {
        if (sha256 || as) return verb_usage(a, "--sha256 and --name are for a URL; the catalogue has them");
        if (!id_valid(a->words[1])) return verb_usage(a, "\"%.60s\" is no name and no http or https address", a->words[1]);
    } else if (is_archive(a->words[1]) && (!sha256 || !as)) {
        return verb_usage(a, "an archive needs --sha256 and --name");
    }
    return VERB_GO;
}

/* What is stored gets this model's vectors; a server goes by its own setting, so it has to be told as well. */
static enum err use(struct verb_env *v, const char *name)
{
    enum err e = verb_reindex_run(v, NULL, false);
    if (!e) fprintf(stderr, "chiron models: a server on this folder needs ENCODER_MODEL=%s, or it changes back\n", name);
    return e;
}

int verb_models(int argc, char **argv)
{
    const char            *sha256 = NULL, *as = NULL;
    const struct verb_flag flags[] = {
        { "--sha256", NULL, "HEX", &sha256, NULL, "pull URL: what the weights, or the archive, must hash to" },
        { "--name", NULL, "NAME", &as, NULL, "pull URL: the folder's name" },
        { 0 },
    };
    struct verb_args a;
    int              code = verb_read(argc, argv, "list | verify [NAME] | pull NAME|URL | use NAME | remove NAME",
                                      "chiron models list\n"
                                      "chiron models pull snowflake-arctic-embed-xs\n"
                                      "chiron models verify all-MiniLM-L6-v2\n"
                                      "chiron models use snowflake-arctic-embed-xs\n"
                                      "chiron models pull https://example.org/my-model --sha256 6a1f...\n"
                                      "chiron models pull https://example.org/my-model.zip --sha256 6a1f... --name my-model\n"
                                      "chiron models remove my-model\n",
                                      flags, &a);
    if (code != VERB_GO) return code;
    const char *what = a.count ? a.words[0] : "";
    bool listing = !strcmp(what, "list"), verifying = !strcmp(what, "verify"), fetching = !strcmp(what, "pull"), removing = !strcmp(what, "remove"),
         using = !strcmp(what, "use");
    if (!listing && !verifying && !fetching && !removing && !using) return verb_usage(&a, "list, verify, pull, use or remove is needed");
    if (a.count > (listing ? 1 : 2)) return verb_usage(&a, "it takes no \"%.60s\"", a.words[a.count - 1]);
    if (fetching) code = check_pull(&a, sha256, as);
    else if (sha256 || as) code = verb_usage(&a, "--sha256 and --name are for pull");
    if ((removing || using) && (a.count != 2 || !id_valid(a.words[1]))) code = verb_usage(&a, "%s needs the NAME of a model", what);
    if (code != VERB_GO) return code;
    struct verb_env v;
    if (using) conf_set("ENCODER_MODEL", a.words[1]);
    enum err        e = verb_open(&v, &a, using ? VERB_KNOWLEDGE : VERB_CONF, NULL);
    if (!e && using) e = use(&v, a.words[1]);
    else if (!e && listing) e = list(&v);
    else if (!e && verifying) e = verify(&v, a.count > 1 ? a.words[1] : NULL);
    else if (!e && fetching) e = pull(&v, a.words[1], sha256, as);
    else if (!e) e = remove_model(&v, a.words[1]);
    return verb_close(&v, e);
}
