/* The server's life: settings, store, accounts, model, search, providers, jobs, listener, and back again in reverse order.
 * A missing model does not keep it down: search falls back to keywords, /health says "degraded" and the log says what to run.
 * It refuses to start on settings it does not understand, on a newer schema and on an address it cannot have. */
/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "accounts/accounts.h"
#include "accounts/password.h"
#include "accounts/limit.h"
#include "accounts/token.h"
#include "accounts/mail.h"
#include "accounts/oidc_issuers.h"
#include "accounts/person_seen.h"
#include "accounts/retention.h"
#include "accounts/session.h"
#include "admin/admin.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/json.h"
#include "encoder/encoder.h"
#include "encoder/reranker.h"
#include "http/http.h"
#include "http/idempotency.h"
#include "knowledge/knowledge.h"
#include "models/models.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

#define SWEEP_SECONDS    60
#define TENANT_IDLE_MS   300000   /* a creator whom nobody asked for so long is closed */
#define MALLOC_ARENAS    4
#define MALLOC_MAPPED (1 << 20)   /* bytes from which a buffer is mapped by itself */

enum stage { OPEN_NOTHING, OPEN_STORE, OPEN_ACCOUNTS, OPEN_KNOWLEDGE, OPEN_MODELS, OPEN_JOBS };

static atomic_bool stopping;

static void on_stop(int sig)
{
    (void)sig;
    atomic_store(&stopping, true);
    http_stop();
}

/* The demo's documents are queued beside the running server: their durable writes would delay its first answer. */
static struct {
    pthread_t thread;
    bool      running;
} demo;

static void *demo_run(void *arg)
{
    (void)arg;
    struct call c;
    call_init(&c);
    c.stop = &stopping;
    c.rights = ~0u;
    enum err e = demo_load(&c);
    if (e && e != ERR_CANCELLED) log_error(&c, "the demo's documents could not be queued", "error", c.err_text, NULL);
    call_dispose(&c);
    return NULL;
}

static void demo_begin(void)
{
    demo.running = !pthread_create(&demo.thread, NULL, demo_run, NULL);
    if (!demo.running) log_error(NULL, "no thread to queue the demo's documents", NULL);
}

static void demo_end(void)
{
    if (demo.running) pthread_join(demo.thread, NULL);
    demo.running = false;
}

struct ready {
    bool        json;
    const char *secret;      /* of the set-up link, NULL when it was used */
    int64_t     begun_ms;
};

static void say_ready(void *arg, const char *const *bound)
{
    const struct ready *r = arg;
    /* Stopped while starting: http_stop may have come before there was anything to stop. */
    if (atomic_load(&stopping)) http_stop();
    if (r->json) {
        struct buf b;
        buf_init(&b, 64 * 1024);
        struct json_out j;
        json_out_init(&j, &b);
        json_begin_object(&j, NULL);
        json_begin_array(&j, "ready");
        for (int i = 0; bound[i]; i++) json_put_text(&j, NULL, bound[i]);
        json_end(&j);
        json_put_int(&j, "start_ms", clock_mono_ms() - r->begun_ms);
        json_put_text(&j, "setup", r->secret);
        json_end(&j);
        puts(b.data);
        buf_dispose(&b);
    } else {
        for (int i = 0; bound[i]; i++) printf("Chiron is ready: http://%s/\n", bound[i]);
        if (r->secret && bound[0])
            printf("To own this instance, open this link once: http://%s/#/setup=%s\n", bound[0], r->secret);
    }
    fflush(stdout);
    if (conf_bool("DEMO")) demo_begin();
}

/* Expired keys go once a minute, so that a quiet server gives their memory back. */
static struct {
    pthread_t       thread;
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    bool            running, stop;
} janitor = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static void *janitor_run(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&janitor.lock);
    while (!janitor.stop) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += SWEEP_SECONDS;
        pthread_cond_timedwait(&janitor.wake, &janitor.lock, &until);
        if (janitor.stop) break;
        pthread_mutex_unlock(&janitor.lock);
        kv_sweep();
        tenants_close_idle(TENANT_IDLE_MS);
        struct call c;
        call_init(&c);
        session_sweep(&c);
        idempotency_sweep(&c);
        retention_due(&c);
        call_dispose(&c);
        malloc_trim(0);
        pthread_mutex_lock(&janitor.lock);
    }
    pthread_mutex_unlock(&janitor.lock);
    return NULL;
}

static void janitor_open(void)
{
    janitor.running = !pthread_create(&janitor.thread, NULL, janitor_run, NULL);
    if (!janitor.running) log_warn(NULL, "no janitor thread: expired keys stay until they are asked for", NULL);
}

static void janitor_close(void)
{
    if (!janitor.running) return;
    pthread_mutex_lock(&janitor.lock);
    janitor.stop = true;
    pthread_cond_signal(&janitor.wake);
    pthread_mutex_unlock(&janitor.lock);
    pthread_join(janitor.thread, NULL);
    janitor.running = false;
}

/* A limit on a route that is not there would be a limit that is not there. */
static enum err open_limits(struct call *c)
{
    const char *method, *path;
    enum err    e = limits_open(c);
    for (int i = 0; !e && limit_route_row(i, &method, &path); i++) {
        bool there = false;
        for (int t = 0; all_routes[t] && !there; t++)
            for (const struct route *r = all_routes[t]; r->method && !there; r++) there = !strcmp(r->method, method) && !strcmp(r->path, path);
        if (!there) e = fail_field(c, "LIMIT_ROUTES", "LIMIT_ROUTES: there is no route %.10s %.80s", method, path);
    }
    return e;
}

static enum err open_all(struct call *c, enum stage *stage)
{
    enum err e = store_open(c, verb_data_dir(c));
    if (e) return e;
    *stage = OPEN_STORE;
    e = accounts_open(c);
    if (e) return e;
    *stage = OPEN_ACCOUNTS;
    e = mail_open(c);
    if (!e) e = oidc_issuers_open(c);
    if (!e) e = person_seen_open(c);
    if (!e) e = open_limits(c);
    if (e) return e;
    if (verb_encoder(c)) {
        log_error(c, "no embedding model: searching by keyword only", "error", c->err_text, "do", "make setup", NULL);
        call_forgive(c);
    }
    knowledge_models(verb_models_dir(c));
    verb_reranker(c);
    e = knowledge_open(c);
    if (e) return e;
    *stage = OPEN_KNOWLEDGE;
    e = models_open(c);
    if (e) return e;
    *stage = OPEN_MODELS;
    e = jobs_open(c, all_jobs, (int)conf_int("JOB_WORKERS"));
    if (e) return e;
    *stage = OPEN_JOBS;
    return conf_bool("DEMO") ? demo_prepare(c) : OK;
}

static void close_all(enum stage stage)
{
    if (stage >= OPEN_JOBS) jobs_close();
    if (stage >= OPEN_MODELS) models_close();
    if (stage >= OPEN_KNOWLEDGE) knowledge_close();
    struct encoder *enc = encoder_default();
    encoder_set_default(NULL);
    encoder_free(enc);
    struct reranker *ranker = reranker_default();
    reranker_set_default(NULL);
    reranker_free(ranker);
    person_seen_close();
    mail_close();
    oidc_issuers_close();
    if (stage >= OPEN_ACCOUNTS) accounts_close();
    if (stage >= OPEN_STORE) store_close();
}

static enum err serve(struct call *c, const struct verb_args *a, int64_t begun_ms)
{
    struct ready ready = { .json = a->json, .begun_ms = begun_ms };
    enum stage   stage = OPEN_NOTHING;
    enum err     e = open_all(c, &stage);
    if (!e) e = setup_secret(c, &ready.secret);
    if (!e && !atomic_load(&stopping)) {
        /* Addresses and workers: from the settings. */
        struct http_conf conf = {
            .tables = all_routes,
            .authenticate = authenticate,
            .limit = limit_check,
            .limit_outcome = limit_outcome,
            .derive = token_derive,
            .seen = person_seen,
            .title = "Chiron",
            .version = CHIRON_VERSION,
        };
        janitor_open();
        knowledge_watch_begin();
        e = http_serve(c, &conf, say_ready, &ready);
        knowledge_watch_end();
        janitor_close();
        demo_end();
    }
    close_all(stage);
    return e;
}

int verb_serve(int argc, char **argv)
{
    int64_t     begun_ms = clock_mono_ms();
    const char *listen = NULL;
    bool        with_demo = false;
    const struct verb_flag flags[] = {
        { "--listen", NULL, "ADDR:PORT...", &listen, NULL, "where to listen (127.0.0.1:8000); may be repeated" },
        { "--demo", NULL, NULL, NULL, &with_demo, "a demo coach that visitors may talk to" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "[--data DIR] [--listen ADDR:PORT]... [--demo]",
                         "chiron serve --demo\n"
                         "chiron serve --data /var/lib/chiron --listen 127.0.0.1:8000\n"
                         "LOG_FORMAT=json chiron serve --listen 0.0.0.0:8000 --listen '[::]:8000'\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);

    /* Few arenas: with one per thread, each keeps its own free memory and idle memory grows with the threads. */
    mallopt(M_ARENA_MAX, MALLOC_ARENAS);
    /* Said, so that it does not grow with what was freed: large buffers go back to the system and not to an arena. */
    mallopt(M_MMAP_THRESHOLD, MALLOC_MAPPED);
    signal(SIGPIPE, SIG_IGN);
    struct sigaction act = { .sa_handler = on_stop, .sa_flags = SA_RESTART };
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);

    struct call c;
    call_init(&c);
    c.stop = &stopping;
    c.rights = ~0u;
    if (listen) conf_set("LISTEN", listen);
    if (with_demo) conf_set("DEMO", "1");
    enum err e = verb_settings(&c, a.data, LOG_INFO);
    bool     settings = !e;
    if (!e) {
        fetch_open();
        e = serve(&c, &a, begun_ms);
        fetch_close();
    }
    if (e == ERR_CANCELLED && atomic_load(&stopping)) e = OK;
    if (e) fprintf(stderr, "chiron serve: %s\n", c.err_text[0] ? c.err_text : err_word(e));
    if (settings) conf_free();
    call_dispose(&c);
    return e ? EXIT_FAILED : EXIT_OK;
}
