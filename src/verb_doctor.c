/* Is this installation sound? One row per thing that can be wrong, each with what to do about it. It changes nothing: a
 * data folder that is not there yet is not made, and a broken one is reported, not repaired. --tenants is another check, on
 * data of its own. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/id.h"
#include "base/json.h"
#include "encoder/encoder.h"
#include "encoder/reranker.h"
#include "knowledge/embedder.h"
#include "knowledge/reindex.h"
#include "models/models.h"
#include "store/store.h"
#include "verbs.h"

#define MEMORY_LEAST_KB (512 * 1024)
#define DISK_LEAST_MB   512

enum health { GOOD, WARNING, BROKEN };
static const char *const health_words[] = { "ok", "warning", "broken" };

struct finding {
    enum health health;
    const char *words; /* in c->mem */
};

static struct finding data_folder(struct call *c)
{
    const char *dir = verb_data_dir(c);
    struct stat st;
    if (stat(dir, &st)) {
        if (errno == ENOENT)
            return (struct finding){ GOOD, arena_printf(&c->mem, "%s is not made yet; the first start makes it", dir) };
        return (struct finding){ BROKEN, arena_printf(&c->mem, "%s: %s", dir, strerror(errno)) };
    }
    if (!S_ISDIR(st.st_mode)) return (struct finding){ BROKEN, arena_printf(&c->mem, "%s is not a folder", dir) };
    if (access(dir, R_OK | W_OK | X_OK))
        return (struct finding){ BROKEN, arena_printf(&c->mem, "%s cannot be written by this user", dir) };
    if (st.st_mode & 077)
        return (struct finding){
            WARNING, arena_printf(&c->mem, "%s is open to other users of this machine; chmod 700 it", dir)
        };
    return (struct finding){ GOOD, dir };
}

static struct finding databases(struct call *c)
{
    const char *dir = verb_data_dir(c);
    int n = 0;
    if (access(arena_printf(&c->mem, "%s/accounts.db", dir), F_OK)) return (struct finding){ GOOD, "none yet" };
    enum err e = store_open(c, dir);
    if (!e) {
        e = store_check(c, &n);
        store_close();
    }
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, words };
    }
    return (struct finding){ GOOD, arena_printf(&c->mem, "%d checked, all whole", n) };
}

static struct finding model_files(struct call *c)
{
    int files = 0;
    enum err e = verb_model_verify(c, verb_model_dir(c), &files);
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, arena_printf(&c->mem, "%s; run: make setup", words) };
    }
    return (struct finding){ GOOD, arena_printf(&c->mem, "%s: %d files match their SHA-256", conf_text("ENCODER_MODEL"),
                                                files) };
}

static struct finding model_runs(struct call *c)
{
    enum err e = verb_encoder(c);
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, words };
    }
    struct encoder *enc = encoder_default();
    int dim = encoder_dim(enc);
    const char *text = "ready", *name = arena_strdup(&c->mem, encoder_name(enc));
    const char *precision = arena_strdup(&c->mem, encoder_precision_used(enc)), *kernels = arena_strdup(&c->mem, encoder_kernels_used(enc));
    float *v = arena_array(&c->mem, (size_t)dim, sizeof *v);
    e = encoder_embed(c, enc, &text, NULL, 1, v);
    encoder_set_default(NULL);
    encoder_free(enc);
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, words };
    }
    return (struct finding){ GOOD, arena_printf(&c->mem, "%s, %d dimensions, %s on %s", name, dim, precision, kernels) };
}

static struct finding reranks(struct call *c)
{
    const char *how = conf_text("RERANK"), *name = conf_text("RERANK_MODEL"), *key = conf_text("COHERE_API_KEY");
    bool        only = how && !strcasecmp(how, "cross-encoder"), other = how && *how && !only && strcasecmp(how, "auto");
    if (other) return (struct finding){ GOOD, arena_printf(&c->mem, "RERANK is %s", how) };
    verb_reranker(c);
    struct reranker *r = reranker_default();
    reranker_set_default(NULL);
    if (r) {
        struct finding good = { GOOD, arena_printf(&c->mem, "%s, %d tokens a pair, %s", reranker_name(r), reranker_max_tokens(r),
                                                   reranker_precision_used(r)) };
        reranker_free(r);
        return good;
    }
    bool there = name && *name && !access(*name == '/' ? name : arena_printf(&c->mem, "%s/%s", verb_models_dir(c), name), F_OK);
    if (there || only) return (struct finding){ BROKEN, arena_printf(&c->mem, "the cross-encoder %s cannot be used; the log says why", name) };
    return (struct finding){ GOOD, key && *key ? "by Cohere: no cross-encoder is installed" : "none: no cross-encoder is installed" };
}

/* Which model answers, and what of a change is left to do; one line for all creators. */
static struct finding vectors(struct call *c)
{
    const char *dir = verb_data_dir(c), *words = "none yet", **ids = NULL;
    int n = 0, changing = 0, silent = 0;
    if (access(arena_printf(&c->mem, "%s/accounts.db", dir), F_OK)) return (struct finding){ GOOD, words };
    enum err e = store_open(c, dir);
    if (e) {
        call_forgive(c);
        return (struct finding){ WARNING, "the data cannot be opened" };
    }
    if (models_open(c)) call_forgive(c);      /* what is wrong with it has a line of its own */
    embedders_open(verb_models_dir(c));
    e = tenant_list(c, &ids, &n);
    for (int i = 0; !e && i < n; i++) {
        struct reindex_status s;
        e = tenant_open(c, ids[i]);
        if (!e) e = reindex_look(c, &s);
        if (!e && s.models.active.label) {
            bool whole = !s.models.next.label && s.done == s.all;
            changing += !whole;
            silent += !s.answers;
            /* The first that is not as it should be is shown, else the first. */
            if (!strcmp(words, "none yet") || ((!whole || !s.answers) && changing + silent <= 1))
                words = arena_printf(&c->mem, "%s: %s", ids[i], reindex_words(c, &s));
        }
        tenant_release(c);
    }
    embedders_close();
    models_close();
    store_close();
    if (e) {
        words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, words };
    }
    if (n > 1) words = arena_printf(&c->mem, "%s; %d creators, %d changing, %d by words alone", words, n, changing, silent);
    return (struct finding){ silent ? WARNING : GOOD, words };
}

static struct finding pdf_reader(struct call *c)
{
    static const char *const places[] = { "/usr/bin/pdftotext", "/usr/local/bin/pdftotext", "/bin/pdftotext" };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (!access(places[i], X_OK)) return (struct finding){ GOOD, arena_strdup(&c->mem, places[i]) };
    return (struct finding){ BROKEN,
                             "pdftotext is not installed (Debian package poppler-utils); PDF files cannot be read" };
}

static struct finding memory(struct call *c)
{
    long kb = -1;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && kb < 0 && fgets(line, sizeof line, f))
        if (!strncmp(line, "MemAvailable:", 13)) kb = strtol(line + 13, NULL, 10);
    if (f) fclose(f);
    if (kb < 0) return (struct finding){ WARNING, "/proc/meminfo does not say" };
    const char *words = arena_printf(&c->mem, "%ld MB available", kb / 1024);
    return (struct finding){ kb < MEMORY_LEAST_KB ? WARNING : GOOD, words };
}

static struct finding disk(struct call *c)
{
    const char *dir = verb_data_dir(c);
    /* The folder may not be made yet: its nearest parent is where it will be. */
    char *at = arena_strdup(&c->mem, dir);
    struct statvfs s;
    while (statvfs(at, &s)) {
        char *slash = strrchr(at, '/');
        if (!slash || slash == at) return (struct finding){ WARNING, "the file system does not say" };
        *slash = 0;
    }
    int64_t mb = (int64_t)s.f_bavail * (int64_t)s.f_frsize / (1024 * 1024);
    return (struct finding){ mb < DISK_LEAST_MB ? WARNING : GOOD,
                             arena_printf(&c->mem, "%lld MB free", (long long)mb) };
}

static struct finding processor(struct call *c)
{
    const char *best = "no vector unit that is known";
    bool fast = true;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vnni"))
        best = "AVX-512 VNNI";
    else if (__builtin_cpu_supports("avx512f"))
        best = "AVX-512";
    else if (__builtin_cpu_supports("avx2"))
        best = "AVX2";
    else {
        best = "no AVX2: embedding will be slow";
        fast = false;
    }
#endif
    return (struct finding){ fast ? GOOD : WARNING,
                             arena_printf(&c->mem, "%s, %ld cores", best, sysconf(_SC_NPROCESSORS_ONLN)) };
}

static struct finding providers(struct call *c)
{
    enum err e = models_open(c);
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return (struct finding){ BROKEN, words };
    }
    const char *state = arena_strdup(&c->mem, models_state());
    models_close();
    return (struct finding){ GOOD, state };
}

static const struct {
    const char *name;
    struct finding (*look)(struct call *c);
} looks[] = {
    { "data folder", data_folder },
    { "databases", databases },
    { "model files", model_files },
    { "model", model_runs },
    { "re-ranking", reranks },
    { "vectors", vectors },
    { "pdf reader", pdf_reader },
    { "memory", memory },
    { "disk", disk },
    { "processor", processor },
    { "answers", providers },
};

int verb_doctor(int argc, char **argv)
{
    bool             tenants = false;
    struct verb_args a;
    const struct verb_flag flags[] = {
        { "--tenants", NULL, NULL, NULL, &tenants, "prove that no creator and no user sees another's; on a server and data of its own" },
        { 0 },
    };
    int code = verb_read(argc, argv, "[--tenants]", "chiron doctor\nchiron doctor --data /var/lib/chiron -o json\nchiron doctor --tenants\n", flags, &a);
    if (code != VERB_GO) return code;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    if (tenants) return verb_doctor_tenants(&a);
    struct verb_env v;
    enum err e = verb_open(&v, &a, VERB_CONF, NULL);
    if (e) return verb_close(&v, e);

    struct buf b;
    buf_init(&b, 256 * 1024);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "checks");
    int broken = 0;
    for (size_t i = 0; i < sizeof looks / sizeof *looks; i++) {
        struct finding f = looks[i].look(&v.call);
        broken += f.health == BROKEN;
        if (!v.json) {
            printf("%-8s %-12s %s\n", health_words[f.health], looks[i].name, f.words);
            fflush(stdout);
            continue;
        }
        json_begin_object(&j, NULL);
        json_put_text(&j, "name", looks[i].name);
        json_put_text(&j, "state", health_words[f.health]);
        json_put_text(&j, "words", f.words);
        json_end(&j);
    }
    json_end(&j);
    json_put_bool(&j, "ok", !broken);
    json_end(&j);
    if (v.json) puts(b.data);
    buf_dispose(&b);
    if (broken)
        e = fail(&v.call, ERR_CORRUPT, "%d of %zu checks found something broken", broken, sizeof looks / sizeof *looks);
    return verb_close(&v, e);
}
