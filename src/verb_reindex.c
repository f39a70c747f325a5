/* chiron reindex: makes ENCODER_MODEL the model of what is stored, now and here, with the job the server runs; or shows how
 * far that is. A server on the same folder may be up: whoever takes a job first runs it, the other waits for its end.
 * Interrupted, it goes on at the next start, here or in the server. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accounts/audit.h"
#include "base/json.h"
#include "encoder/encoder.h"
#include "knowledge/knowledge.h"
#include "knowledge/reindex.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

/* ---- the line that counts ---- */

struct line {
    const char *creator, *job_id;
    atomic_bool over;
};

static void *show(void *arg)
{
    struct line *l = arg;
    int64_t seen = 0;
    while (!atomic_load(&l->over)) {
        struct call c;
        struct job k;
        json_t *p = NULL;
        call_init(&c);
        if (tenant_open(&c, l->creator) == OK && jobs_wait(&c, l->job_id, &seen, 200, &k) == OK &&
            json_parse(&c, k.progress, strlen(k.progress), &p) == OK) {
            int64_t done = json_get_int(p, "done", 0), total = json_get_int(p, "total", 0);
            if (total)
                fprintf(stderr, "\r\033[K%.40s: %lld of %lld", l->creator, (long long)done, (long long)total);
            fflush(stderr);
            json_decref(p);
        }
        tenant_release(&c);
        call_dispose(&c);
    }
    fputs("\r\033[K", stderr);
    return NULL;
}

static enum err run_job(struct call *c, const char *job_id)
{
    struct line l = { .creator = c->creator_id, .job_id = job_id };
    pthread_t t;
    bool drawn = isatty(2) && pthread_create(&t, NULL, show, &l) == 0;
    enum err e = jobs_run_here(c, all_jobs, job_id);
    if (drawn) {
        atomic_store(&l.over, true);
        pthread_join(t, NULL);
    }
    return e;
}

/* ---- creators ---- */

static void put_model(struct json_out *j, const char *name, const struct model_row *m)
{
    if (!m->label) {
        json_put_text(j, name, NULL);
        return;
    }
    json_begin_object(j, name);
    json_put_text(j, "name", m->name);
    json_put_int(j, "dimension", m->dim);
    json_put_text(j, "sha256", *m->print ? m->print : NULL);
    json_put_bool(j, "remote", m->remote);
    json_end(j);
}

static enum err one_creator(struct verb_env *v, const char *creator, bool only_look, struct json_out *j)
{
    struct call *c = &v->call;
    struct reindex_status s;
    const char *job = NULL;
    enum err e = tenant_open(c, creator);
    if (!e && !only_look) e = reindex_begin(c, true, &job);
    if (!e && job) e = audit_put(c, &(struct audit_entry){ "knowledge.reindex", job, "done", NULL });
    if (!e && job) e = run_job(c, job);
    if (!e) e = reindex_look(c, &s);
    if (!e && !v->json) printf("%-24s %s\n", creator, reindex_words(c, &s));
    if (!e && v->json) {
        json_begin_object(j, NULL);
        json_put_text(j, "creator", creator);
        put_model(j, "model", &s.models.active);
        put_model(j, "changing_to", &s.models.next);
        put_model(j, "cancelled", &s.models.declined);
        json_put_int(j, "done", s.done);
        json_put_int(j, "total", s.all);
        json_put_bool(j, "answers_by_meaning", s.answers);
        json_put_text(j, "job_id", *s.job_id ? s.job_id : NULL);
        json_end(j);
    }
    tenant_release(c);
    return e;
}

enum err verb_reindex_run(struct verb_env *v, const char *creator, bool only_look)
{
    struct call *c = &v->call;
    const char **ids = &creator;
    int n = 1;
    struct buf b;
    struct json_out j;
    enum err e = creator ? OK : tenant_list(c, &ids, &n);
    buf_init(&b, 16 * 1024 * 1024);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "creators");
    for (int i = 0; !e && i < n; i++) e = one_creator(v, ids[i], only_look, &j);
    json_end(&j);
    json_end(&j);
    if (!e && v->json) puts(b.data);
    if (!e && !v->json && n == 0) fputs("there is no creator yet\n", stderr);
    buf_dispose(&b);
    return e;
}

int verb_reindex(int argc, char **argv)
{
    const char *creator = NULL, *model = NULL;
    bool only_look = false;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "this creator alone (all)" },
        { "--model", NULL, "NAME", &model, NULL, "the model to change to (ENCODER_MODEL)" },
        { "--status", NULL, NULL, NULL, &only_look, "only show which model answers and how far a change is" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "[--creator C] [--model NAME] [--status]",
                         "chiron reindex --status\n"
                         "ENCODER_MODEL=bge-small-en-v1.5 chiron reindex --data /var/lib/chiron\n"
                         "chiron reindex --creator demo --model all-MiniLM-L6-v2 -o json\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    if (model) conf_set("ENCODER_MODEL", model);
    struct verb_env v;
    enum err e = verb_open(&v, &a, only_look ? VERB_STORE | VERB_STAND_IN : VERB_KNOWLEDGE | VERB_STAND_IN, NULL);
    if (!e && only_look) knowledge_models(verb_models_dir(&v.call));
    if (!e) e = verb_reindex_run(&v, creator, only_look);
    return verb_close(&v, e);
}
