/* knowledge/reindex.c — the job and who starts it. All that a change knows is in the store, so the job can end anywhere: a
 * killed one goes on where it was, and one that others wait for steps back and is queued again. It runs on a thread of low
 * priority, because questions come first. It refuses to change over while anything lacks the new vector, and to fall back
 * to another model than it was asked for: then it fails and says why, and what answered answers on. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/reindex.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/embedder.h"
#include "knowledge/ingest.h"
#include "knowledge/knowledge.h"
#include "knowledge/passages.h"
#include "store/jobs.h"
#include "store/store.h"

enum { BATCH = 32, ROUNDS_MAX = 1000, SLICE_MS = 1000, TOUCH_MS = 1000, NICE = 10, WATCH_SECONDS = 60, WATCH_SECONDS_MAX = 3600, CLOSE_EVERY = 32, CLOSE_IDLE_MS = 5000 };

static atomic_int running;      /* jobs, here */
static atomic_bool again;       /* something could not be queued or failed: look at all creators once more */

/* ---- one job ---- */

struct work {
    struct call *c;
    const struct job *job;
    struct model_row target;
    struct passages models;
    int64_t chunk_at, embedding_at, done, all, known, began_ms, touched_ms;
    const char *stage;
};

static void report(struct work *w)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, 4096);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_text(&j, "stage", w->stage);
    json_put_text(&j, "model", w->target.name);
    json_put_text(&j, "label", w->target.label);
    json_put_int(&j, "done", w->done);
    json_put_int(&j, "total", w->all);
    json_put_int(&j, "chunk_at", w->chunk_at);
    json_put_int(&j, "embedding_at", w->embedding_at);
    json_end(&j);
    jobs_progress(w->c, w->job, b.data);
    buf_dispose(&b);
    metric_set("chiron_reindex_remaining", NULL, (double)(w->all - w->done));
}

/* Where an earlier slice of the same job was. What it missed is found in the end. */
static bool go_on(struct work *w)
{
    json_t *p = NULL;
    if (json_parse(w->c, w->job->progress, strlen(w->job->progress), &p) != OK) {
        call_forgive(w->c);
        return false;
    }
    bool same = !strcmp(json_get_text(p, "label", ""), w->target.label) && json_get_int(p, "total", 0) > 0;
    if (same) {
        w->chunk_at = json_get_int(p, "chunk_at", 0);
        w->embedding_at = json_get_int(p, "embedding_at", 0);
        w->done = json_get_int(p, "done", 0);
        w->all = json_get_int(p, "total", 0);
    }
    json_decref(p);
    return same;
}

/* A call of its own for each batch: its memory goes with it. */
static void batch_call(struct work *w, struct call *b)
{
    call_init(b);
    b->tenant = w->c->tenant;
    memcpy(b->creator_id, w->c->creator_id, sizeof b->creator_id);
    b->stop = w->c->stop;
}

static enum err batch(struct work *w, struct call *b, int *n_out)
{
    struct model_text texts[BATCH];
    const char *all[BATCH];
    unsigned char(*hash)[TEXT_HASH_BYTES] = arena_array(&b->mem, BATCH, sizeof *hash);
    struct passage_set *sets = arena_array(&b->mem, PASSAGES_SETS, sizeof *sets);
    int n = 0, count = 0;
    enum err e = model_store_pending(b, w->target.label, &w->chunk_at, &w->embedding_at, BATCH, texts, &n);
    *n_out = n;
    if (e || n == 0) return e;
    for (int i = 0; i < n; i++)
        all[i] = texts[i].embedding ? texts[i].text : ingest_embed_text(&b->mem, texts[i].text, strlen(texts[i].text), texts[i].heading);
    e = passages_embed(b, &w->models, &b->mem, all, n, hash, sets, &count);
    if (!e && count == 0) e = fail(b, ERR_UPSTREAM, "the embedding provider does not answer");
    if (!e && strcmp(sets->model.label, w->target.label))
        e = fail(b, ERR_UPSTREAM, "%s answered instead of %s", sets->model.name, w->target.name);
    if (e) return e;
    int64_t now = clock_mono_ms();
    bool touch = now - w->touched_ms >= TOUCH_MS;
    if (touch) w->touched_ms = now;
    e = model_store_put(b, w->target.label, sets->model.dim, texts, (const unsigned char(*)[TEXT_HASH_BYTES])hash, sets->v, n, touch);
    if (!e) metric_add("chiron_reindex_vectors_total", NULL, n);
    return e;
}

static enum err target_now(struct call *c, struct model_row *out)
{
    struct model_state s;
    enum err e = model_store_state(c, &s);
    if (!e) *out = s.next.label ? s.next : s.active;
    return e;
}

/* All that lacks the target's vector; or OK earlier when another target was set. */
static enum err fill(struct work *w)
{
    int n = BATCH;
    int64_t looked = clock_mono_ms();
    enum err e = OK;
    w->stage = "embed";
    while (!e && n > 0) {
        struct call b;
        struct model_row now = { .label = w->target.label };
        batch_call(w, &b);
        e = batch(w, &b, &n);
        if (!e && clock_mono_ms() - looked > TOUCH_MS) {
            looked = clock_mono_ms();
            e = target_now(&b, &now);
        }
        bool other = !e && strcmp(now.label, w->target.label);
        if (e) e = fail(w->c, e, "%s", b.err_text);
        call_dispose(&b);
        if (e || other) return e;
        w->done += n;
        if (w->done > w->all) w->all = w->done;
        report(w);
        e = call_check(w->c);
        if (!e && n > 0 && jobs_waiting() > 0 && clock_mono_ms() - w->began_ms > SLICE_MS)
            e = fail(w->c, ERR_CANCELLED, "another job comes first");
    }
    return e;
}

static enum err clean(struct work *w)
{
    struct model_clean at = { 0 };
    bool more = true;
    enum err e = OK;
    w->stage = "clean";
    w->done = w->all;
    report(w);
    while (!e && more) {
        struct call b;
        batch_call(w, &b);
        e = model_store_clean(&b, &at, &more);
        if (e) e = fail(w->c, e, "%s", b.err_text);
        call_dispose(&b);
        if (!e) e = call_check(w->c);
    }
    return e;
}

static enum err round_of(struct work *w, bool *switched_out)
{
    bool wanted = true;
    enum err e = passages_begin_one(w->c, &w->target, &w->models);
    if (e) return e;
    if (!go_on(w)) {
        w->chunk_at = w->embedding_at = 0;
        e = model_store_count(w->c, w->target.label, &w->done, &w->all);
    }
    if (!e) e = fill(w);
    if (!e) e = model_store_switch(w->c, w->target.label, switched_out, &wanted);
    passages_end(&w->models);
    return e;
}

static enum err change(struct work *w)
{
    bool switched = false;
    struct job fresh = *w->job;
    enum err e = OK;
    w->began_ms = w->touched_ms = clock_mono_ms();
    for (int i = 0; !e && !switched; i++) {
        e = target_now(w->c, &w->target);
        if (e || !w->target.label) return e;
        if (i == ROUNDS_MAX) return fail(w->c, ERR_BUSY, "content comes in faster than it is embedded");
        e = round_of(w, &switched);
        /* What came in behind the place it had read to is looked for from the beginning. */
        fresh.progress = "{}";
        w->job = &fresh;
    }
    if (e) return e;
    metric_add("chiron_reindex_switches_total", NULL, 1);
    log_info(w->c, "vectors are of this model now", "creator", w->c->creator_id, "model", w->target.name, "vectors",
             log_int(w->c, w->all), NULL);
    e = clean(w);
    if (!e) collection_renew(w->c);
    return e;
}

struct thread { struct work w; enum err e; };

static void *run_low(void *arg)
{
    struct thread *t = arg;
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    t->e = change(&t->w);
    return NULL;
}

/* A thread of its own: a priority once lowered cannot be raised again, and the job worker needs its own back. */
static enum err run(struct call *c, const struct job *j)
{
    pthread_t id;
    struct thread *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->w.c = c;
    t->w.job = j;
    metric_set("chiron_reindex_running", NULL, atomic_fetch_add(&running, 1) + 1);
    if (pthread_create(&id, NULL, run_low, t)) run_low(t);
    else pthread_join(id, NULL);
    metric_set("chiron_reindex_running", NULL, atomic_fetch_sub(&running, 1) - 1);
    enum err e = t->e;
    if (e && e != ERR_CANCELLED) {
        log_warn(c, "the change of the embedding model stopped", "creator", c->creator_id, "why", c->err_text, NULL);
        atomic_store(&again, true);
    }
    free(t);
    return e;
}

/* Cancelled: what was made goes, and nobody begins it again unasked. Failed: what was made is kept for the next try. */
static void dropped(struct call *c, const struct job *j)
{
    struct model_state s;
    struct work w = { .c = c, .job = j };
    if (j->state != JOB_CANCELLED) return;
    enum err e = model_store_state(c, &s);
    if (!e && s.next.label) e = model_store_decline(c, s.next.label);
    bool more = true;
    for (struct model_clean at = { 0 }; !e && more;) {
        struct call b;
        batch_call(&w, &b);
        e = model_store_clean(&b, &at, &more);
        if (e) e = fail(c, e, "%s", b.err_text);
        call_dispose(&b);
    }
    if (e) {
        log_error(c, "cannot take out what a cancelled change left", "job", j->id, "why", c->err_text, NULL);
        call_forgive(c);
    }
}

const struct job_kind reindex_kind = { .kind = "reindex", .tries = 1000, .run = run, .dropped = dropped, .gives_way = true };

/* ---- who starts it ---- */

enum err reindex_begin(struct call *c, bool asked, const char **job_out)
{
    struct model_row m;
    const char *job = NULL;
    if (!embedder_default(c, &m)) {
        /* To change to a provider costs money, so nobody is moved there; what it answers for already is made whole. */
        struct model_state s;
        enum err e = model_store_state(c, &s);
        if (e) return e;
        if (!s.active.label || !s.active.remote || !embed_remote_ready()) return fail(c, ERR_UPSTREAM, "no encoder is loaded");
        m = s.active;
    }
    enum err e = model_store_begin(c, &m, asked, reindex_kind.kind, &job);
    if (e) return e;
    if (job) jobs_announce(c, reindex_kind.kind);
    *job_out = job;
    return OK;
}

static bool runs_here(struct call *c, const struct model_row *m)
{
    struct embedder *local = NULL;
    if (!m->label) return false;
    if (m->remote) return embed_remote_ready();
    if (embedder_take(c, m, &local) != OK) {
        call_forgive(c);
        return false;
    }
    embedder_give(local);
    return true;
}

void reindex_ensure(struct call *c)
{
    struct model_state s;
    struct model_row m;
    bool lacking = false;
    const char *job = NULL;
    enum err e = model_store_flags(c, &lacking, &job);
    if (!e && !lacking) return;
    if (!e) e = model_store_state(c, &s);
    if (e) {
        call_forgive(c);
        return;
    }
    /* While a change is under way its job makes up for everything. */
    if (s.next.label) m = s.next;
    else if (runs_here(c, &s.active)) m = s.active;
    else if (!embedder_default(c, &m)) return;
    e = model_store_begin(c, &m, false, reindex_kind.kind, &job);
    if (!e && job) jobs_announce(c, reindex_kind.kind);
    if (!e) return;
    log_warn(c, "missing vectors could not be ordered", "why", c->err_text, NULL);
    call_forgive(c);
    atomic_store(&again, true);
}

/* ---- how it stands ---- */

enum err reindex_look(struct call *c, struct reindex_status *out)
{
    bool lacking;
    struct reindex_status s = { .job_id = "" };
    enum err e = model_store_state(c, &s.models);
    if (!e) e = model_store_flags(c, &lacking, &s.job_id);
    const struct model_row *m = s.models.next.label ? &s.models.next : &s.models.active;
    if (!e) e = model_store_count(c, m->label ? m->label : "", &s.done, &s.all);
    if (e) return e;
    s.answers = runs_here(c, &s.models.active);
    *out = s;
    return OK;
}

const char *reindex_words(struct call *c, const struct reindex_status *s)
{
    const char *active = s->models.active.name, *next = s->models.next.name, *declined = s->models.declined.name;
    const char *how = s->answers ? "" : ", words alone answer";
    if (!active && s->all) return arena_printf(&c->mem, "%lld passages; a server or chiron reindex notes their model", (long long)s->all);
    if (!active) return "no vectors yet";
    if (next)
        return arena_printf(&c->mem, "%s, changing to %s: %lld of %lld made%s", active, next, (long long)s->done, (long long)s->all, how);
    if (s->done < s->all)
        return arena_printf(&c->mem, "%s, %lld of %lld made%s", active, (long long)s->done, (long long)s->all, how);
    return arena_printf(&c->mem, "%s, %lld vectors%s%s%s", active, (long long)s->all, how, declined ? "; cancelled: a change to " : "",
                        declined ? declined : "");
}

/* ---- the watch ---- */

static struct {
    pthread_t       thread;
    pthread_mutex_t lock;
    pthread_cond_t  wake;
    atomic_bool     stop;
    bool            running;
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };

static enum err look_at(struct call *c, const char *creator)
{
    struct model_row m;
    bool settled = true;
    const char *job = NULL;
    enum err e = tenant_open(c, creator);
    if (e) return e;
    if (!embedder_default(c, &m)) {
        reindex_ensure(c);
        return OK;
    }
    e = model_store_settled(c, &m, &settled);
    if (!e && !settled) e = reindex_begin(c, false, &job);
    return e;
}

static void look_at_all(void)
{
    struct call all;
    const char **ids = NULL;
    int n = 0;
    call_init(&all);
    enum err e = tenant_list(&all, &ids, &n);
    for (int i = 0; !e && i < n && !atomic_load(&watch.stop); i++) {
        struct call c;
        call_init(&c);
        c.stop = &watch.stop;
        if (look_at(&c, ids[i]) && c.err != ERR_NOT_FOUND && c.err != ERR_CANCELLED) {
            log_warn(&c, "cannot look at a creator's model", "creator", ids[i], "why", c.err_text, NULL);
            atomic_store(&again, true);
        }
        tenant_release(&c);
        call_dispose(&c);
        /* Having been looked at is no reason to stay open; having been asked is. */
        if (i % CLOSE_EVERY == CLOSE_EVERY - 1) tenants_close_idle(CLOSE_IDLE_MS);
    }
    if (n >= CLOSE_EVERY) tenants_close_idle(CLOSE_IDLE_MS);
    call_dispose(&all);
}

static void *watch_run(void *arg)
{
    (void)arg;
    int rounds = 0, wait = 1;       /* of WATCH_SECONDS; what fails is tried more and more seldom */
    atomic_store(&again, true);
    for (int left = 0; !atomic_load(&watch.stop); left--) {
        if (left <= 0 && atomic_exchange(&again, false)) {
            look_at_all();
            wait = rounds++ ? wait * 2 : 1;
            if (wait > WATCH_SECONDS_MAX / WATCH_SECONDS) wait = WATCH_SECONDS_MAX / WATCH_SECONDS;
            left = wait;
        } else if (left <= 0) {
            rounds = 0;
        }
        embedders_trim();
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += WATCH_SECONDS;
        pthread_mutex_lock(&watch.lock);
        if (!atomic_load(&watch.stop)) pthread_cond_timedwait(&watch.wake, &watch.lock, &until);
        pthread_mutex_unlock(&watch.lock);
    }
    return NULL;
}

void knowledge_watch_begin(void)
{
    atomic_store(&watch.stop, false);
    watch.running = !pthread_create(&watch.thread, NULL, watch_run, NULL);
    if (!watch.running) log_error(NULL, "no thread to look after the embedding model", NULL);
}

void knowledge_watch_end(void)
{
    if (!watch.running) return;
    pthread_mutex_lock(&watch.lock);
    atomic_store(&watch.stop, true);
    pthread_cond_signal(&watch.wake);
    pthread_mutex_unlock(&watch.lock);
    pthread_join(watch.thread, NULL);
    watch.running = false;
}
