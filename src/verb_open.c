/* What verbs share at start and end: settings, log, store, encoder, search, providers and one creator, opened in this order
 * and closed in the reverse; the words and the exit code of a failure. Only what a verb asks for is opened, so that
 * `chiron token` does not load a model. */
/* SPDX-License-Identifier: MIT */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "base/fetch.h"
#include "base/json.h"
#include "base/log.h"
#include "encoder/encoder.h"
#include "encoder/reranker.h"
#include "knowledge/knowledge.h"
#include "models/models.h"
#include "store/store.h"
#include "verbs.h"

const struct setting verb_settings_rows[] = {
    { "CHIRON_DATA", NULL, "data folder; unset: XDG_DATA_HOME/chiron or ~/.local/share/chiron", 0, 0, 0 },
    { "JOB_WORKERS", "1", "threads for background jobs, 1 to 16", SETTING_INT, 1, 16 },
    { "LOG_LEVEL", NULL, "debug, info, warn or error; unset: info when serving, else warn", 0, 0, 0 },
    { "LOG_FORMAT", NULL, "text or json; unset: text on a terminal", 0, 0, 0 },
    { "OWNER_CREATOR", NULL, "creator whose owner the set-up link makes; unset: home, or demo with --demo", 0, 0, 0 },
    { "DEMO", "0", "1: the demo coach, and visitors may talk to it", SETTING_BOOL, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

enum { OPENED_CONF = 1, OPENED_STORE = 2, OPENED_ENCODER = 4, OPENED_KNOWLEDGE = 8, OPENED_MODELS = 16, OPENED_FETCH = 32 };

static atomic_bool interrupted;

static void on_signal(int sig)
{
    (void)sig;
    /* The second one means it: something that should have looked at the flag did not. */
    if (atomic_exchange(&interrupted, true)) _exit(EXIT_INTERRUPTED);
}

static const char *xdg_dir(struct call *c, const char *variable, const char *under_home)
{
    const char *x = getenv(variable), *home = getenv("HOME");
    if (x && x[0] == '/') return arena_printf(&c->mem, "%s/chiron", x);
    return arena_printf(&c->mem, "%s/%s/chiron", home && *home ? home : "/var/lib", under_home);
}

const char *verb_data_dir(struct call *c)
{
    const char *dir = conf_text("CHIRON_DATA");
    return dir && *dir ? arena_strdup(&c->mem, dir) : xdg_dir(c, "XDG_DATA_HOME", ".local/share");
}

const char *verb_cache_dir(struct call *c)
{
    return xdg_dir(c, "XDG_CACHE_HOME", ".cache");
}

const char *verb_models_dir(struct call *c)
{
    const char *dir = conf_text("ENCODER_MODEL_DIR");
    return dir && *dir ? arena_strdup(&c->mem, dir) : arena_printf(&c->mem, "%s/models", verb_cache_dir(c));
}

const char *verb_model_dir(struct call *c)
{
    return arena_printf(&c->mem, "%s/%s", verb_models_dir(c), conf_text("ENCODER_MODEL"));
}

enum err verb_settings(struct call *c, const char *data, enum log_level least)
{
    if (data) conf_set("CHIRON_DATA", data);
    enum err e = conf_load(c, all_settings, NULL);
    if (e) return e;
    const char *level = conf_text("LOG_LEVEL"), *form = conf_text("LOG_FORMAT");
    static const char *const levels[] = { "debug", "info", "warn", "error" };
    if (level && *level) {
        int found = -1;
        for (int i = 0; i < 4; i++)
            if (!strcasecmp(level, levels[i])) found = i;
        if (found < 0) return fail_field(c, "LOG_LEVEL", "LOG_LEVEL is debug, info, warn or error, not \"%.20s\"", level);
        least = (enum log_level)found;
    }
    if (form && *form && strcmp(form, "text") && strcmp(form, "json"))
        return fail_field(c, "LOG_FORMAT", "LOG_FORMAT is text or json, not \"%.20s\"", form);
    log_open(least, form && *form ? !strcmp(form, "json") : -1);
    return OK;
}

enum err verb_encoder(struct call *c)
{
    enum encoder_precision p;
    struct encoder        *enc = NULL;
    enum err               e = encoder_precision_parse(c, conf_text("ENCODER_PRECISION"), &p);
    if (!e) e = encoder_load(c, verb_model_dir(c), p, &enc);
    if (e) return e;
    encoder_set_default(enc);
    return OK;
}

void verb_reranker(struct call *c)
{
    const char *how = conf_text("RERANK"), *name = conf_text("RERANK_MODEL");
    bool        asked = how && !strcasecmp(how, "cross-encoder");
    if (!name || !*name || (how && *how && !asked && strcasecmp(how, "auto"))) return;
    const char      *folder = *name == '/' ? name : arena_printf(&c->mem, "%s/%s", verb_models_dir(c), name);
    struct reranker *r = NULL;
    enum encoder_precision p;
    if (access(folder, F_OK) != 0 && !asked) return;
    if (encoder_precision_parse(c, conf_text("ENCODER_PRECISION"), &p) || reranker_load(c, folder, p, &r)) {
        log_error(c, "the cross-encoder cannot be used: no re-ranking by it", "error", c->err_text, NULL);
        call_forgive(c);
        return;
    }
    reranker_set_default(r);
}

/* Opens the creator, making it first when the verb may. */
static enum err creator_open(struct verb_env *v, unsigned need, const char *creator)
{
    struct call *c = &v->call;
    if (need & VERB_CREATE) {
        bool     created = false;
        enum err e = tenant_create(c, creator, creator, &created);
        if (e) return e;
        if (created) fprintf(stderr, "chiron %s: made the creator \"%s\"\n", v->verb, creator);
    }
    enum err e = tenant_open(c, creator);
    return e;
}

enum err verb_open(struct verb_env *v, const struct verb_args *a, unsigned need, const char *creator)
{
    *v = (struct verb_env){ .json = a->json, .verb = a->verb };
    struct call *c = &v->call;
    call_init(c);
    c->stop = &interrupted;
    c->rights = ~0u;
    struct sigaction act = { .sa_handler = on_signal };
    sigaction(SIGINT, &act, NULL);
    sigaction(SIGTERM, &act, NULL);
    signal(SIGPIPE, SIG_IGN);

    enum err e = verb_settings(c, a->data, LOG_WARN);
    if (e) return e;
    v->opened |= OPENED_CONF | OPENED_FETCH;
    fetch_open();
    if (need & VERB_STORE) {
        e = store_open(c, verb_data_dir(c));
        if (e) return e;
        v->opened |= OPENED_STORE;
    }
    if (need & VERB_STAND_IN) {
        e = models_open(c);
        if (e) return e;
        v->opened |= OPENED_MODELS;
    }
    if (need & VERB_ENCODER) {
        e = verb_encoder(c);
        bool stand_in = e && (need & VERB_STAND_IN) == VERB_STAND_IN && models_can_embed();
        if (e && !stand_in) return e;
        if (stand_in) {
            fprintf(stderr, "chiron %s: %s; the provider embeds instead\n", v->verb, c->err_text);
            call_forgive(c);
        }
        v->opened |= OPENED_ENCODER;
    }
    if ((need & VERB_KNOWLEDGE) == VERB_KNOWLEDGE) {
        knowledge_models(verb_models_dir(c));
        verb_reranker(c);
        e = knowledge_open(c);
        if (e) return e;
        v->opened |= OPENED_KNOWLEDGE;
    }
    return creator ? creator_open(v, need, creator) : OK;
}

static void say_error(const struct verb_env *v, enum err e)
{
    const struct call *c = &v->call;
    const char        *words = c->err_text[0] ? c->err_text : err_word(e);
    if (!v->json) {
        fprintf(stderr, "chiron %s: %s\n", v->verb, words);
        return;
    }
    struct buf b;
    buf_init(&b, 16384);
    struct json_out j;
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "error", words);
    json_put_text(&j, "code", err_word(e));
    json_end(&j);
    fprintf(stderr, "%s\n", b.data);
    buf_dispose(&b);
}

int verb_close(struct verb_env *v, enum err e)
{
    struct call *c = &v->call;
    int          code = EXIT_OK;
    fflush(stdout);
    if (e) {
        code = EXIT_FAILED;
        if (e == ERR_UNAUTHENTICATED || e == ERR_FORBIDDEN) code = EXIT_AUTH;
        if (e == ERR_CANCELLED && atomic_load(&interrupted)) code = EXIT_INTERRUPTED;
        if (code == EXIT_INTERRUPTED) fprintf(stderr, "chiron %s: interrupted\n", v->verb);
        else say_error(v, e);
    }
    tenant_release(c);
    if (v->opened & OPENED_MODELS) models_close();
    if (v->opened & OPENED_KNOWLEDGE) knowledge_close();
    if (v->opened & OPENED_ENCODER) {
        struct encoder *enc = encoder_default();
        encoder_set_default(NULL);
        encoder_free(enc);
        struct reranker *r = reranker_default();
        reranker_set_default(NULL);
        reranker_free(r);
    }
    if (v->opened & OPENED_STORE) store_close();
    if (v->opened & OPENED_FETCH) fetch_close();
    if (v->opened & OPENED_CONF) conf_free();
    call_dispose(c);
    return code;
}
