/* Erasing a user, an account, a whole creator. The order is what makes it sure: first the mark that turns new requests away, then
 * whatever works for them is ended, then their rows go in one transaction that leaves the second mark, so that a write on its
 * way is either before it and removed, or after it and refused; then what is in memory; last the bytes. A step that fails
 * leaves the marks standing: asked again, it goes on. It refuses to call bytes gone that are not: then a job says so. */
/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "accounts/account.h"
#include "accounts/privacy_parts.h"
#include "accounts/session.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/erased.h"
#include "store/folder.h"
#include "store/jobs.h"
#include "store/owner.h"
#include "store/store.h"

#define AT_ONCE_BYTES (256LL << 20)   /* a larger database is scrubbed by a job */
#define JOBS_END_MS   20000
#define GO_ON_MS      600000
#define LOOK_AGAIN_US 300000

void erasure_begin(struct call *c, struct erasure *er, const struct person_who *who)
{
    int n = 0;
    *er = (struct erasure){ .who = *who, .begun_ms = clock_unix_ms() };
    for (int i = 0; all_person_tables[i]; i++)
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) n++;
    er->tables = arena_array(&c->mem, (size_t)n + 1, sizeof *er->tables);
    for (int i = 0; all_person_tables[i]; i++)
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) er->tables[er->table_count++].table = t;
}

static enum err wait_end(struct call *c, const char *id, int64_t until_ms)
{
    for (;;) {
        struct job j;
        int64_t    seen = 0, left = until_ms - clock_mono_ms();
        enum err   e = jobs_get(c, id, &j);
        if (e == ERR_NOT_FOUND) {
            call_forgive(c);
            return OK;
        }
        if (e || (j.state != JOB_QUEUED && j.state != JOB_RUNNING)) return e;
        if (left <= 0) {
            c->retry_after_s = 5;
            return fail(c, ERR_BUSY, "a job of theirs has not ended yet: again in a moment");
        }
        e = jobs_wait(c, id, &seen, left < 200 ? left : 200, &j);
        if (e == ERR_NOT_FOUND) call_forgive(c);
        else if (e) return e;
    }
}

/* user NULL: everybody's. */
static enum err end_jobs(struct call *c, const char *user, int *n_out)
{
    const char **ids = NULL;
    int          n = 0;
    int64_t      until = clock_mono_ms() + JOBS_END_MS;
    enum err     e = privacy_open_jobs(c, user, &ids, &n);
    for (int i = 0; !e && i < n; i++) {
        e = jobs_cancel(c, ids[i]);
        if (e == ERR_CONFLICT || e == ERR_NOT_FOUND) {
            call_forgive(c);
            e = OK;
        }
    }
    for (int i = 0; !e && i < n; i++) e = wait_end(c, ids[i], until);
    if (!e) *n_out += n;
    return e;
}

static void forget(struct call *c, struct erasure *er)
{
    for (int i = 0; all_person_places[i]; i++)
        for (const struct person_place *pl = all_person_places[i]; pl->name; pl++)
            if (pl->forget) (void)pl->forget(c, &er->who);
    if (er->who.user_id) er->keys += kv_drop_named(er->who.user_id);
    if (er->who.account_id) er->keys += kv_drop_named(er->who.account_id);
    if (!er->who.user_id && !er->who.account_id) er->keys += kv_drop_named(er->who.creator_id);
}

static enum err count_file(struct call *c, void *arg, const char *path, const char *name)
{
    (void)c;
    (void)path;
    (void)name;
    ++*(int64_t *)arg;
    return OK;
}

static enum err count_files(struct call *c, struct erasure *er)
{
    enum err e = OK;
    for (int i = 0; !e && all_person_places[i]; i++)
        for (const struct person_place *pl = all_person_places[i]; !e && pl->name; pl++)
            if (pl->files) e = pl->files(c, &er->who, count_file, &er->files);
    return e;
}

/* A reader that stays, or a database too large to hold up a request for: the job that was queued with the rows does it. */
static enum err bytes(struct call *c, struct erasure *er, const char *job)
{
    if (privacy_scrub_bytes(c) <= AT_ONCE_BYTES || !c->remote[0]) {
        enum err e = privacy_scrub(c, true, &er->copies);
        if (!e) er->bytes_done = true;
        else if (e != ERR_BUSY && e != ERR_TIMEOUT) return e;
        else call_forgive(c);
    }
    if (!er->bytes_done) er->scrub_job = job;
    jobs_announce(c, scrub_kind.kind);
    return OK;
}

/* Should this process die half way, the next one goes on: the job's row names the user and so goes with the rows. Until then a worker
 * that takes it up waits, because by says who is at it. */
static enum err keep_in_mind(struct call *c, const char *user_id, const char **job_out)
{
    return privacy_put_job(c, erase_kind.kind, arena_printf(&c->mem, "{\"user_id\":\"%s\",\"by\":\"%s\"}", user_id, owner_mark()), job_out);
}

/* They cannot ask again themselves: the job does it. */
static void leave_to_job(struct call *c, const char *job, const char *user_id)
{
    struct call own;
    call_init(&own);
    own.tenant = c->tenant;
    if (privacy_change_job(&own, job, arena_printf(&own.mem, "{\"user_id\":\"%s\",\"by\":\"\"}", user_id)) == OK) jobs_announce(&own, erase_kind.kind);
    call_dispose(&own);
}

/* Sign-ins and late rows under the ids that a user had as a visitor. */
static enum err erase_was(struct call *c, struct erasure *er, const char *const *ids, int n)
{
    const char *user = er->who.user_id, *job = NULL;
    enum err    e = OK;
    for (int i = 0; !e && i < n; i++) {
        er->who.user_id = ids[i];
        e = privacy_erase_rows(c, er, true, &job);
        if (!e) e = privacy_erase_accounts(c, er);
        if (!e) er->keys += kv_drop_named(ids[i]);
    }
    er->who.user_id = user;
    return e;
}

enum err person_erase(struct call *c, const char *user_id, const char **certificate_out)
{
    struct person_who who;
    struct erasure    er;
    const char       *job = NULL, *pending = NULL, **was = NULL;
    int               was_count = 0;
    if (!id_valid(user_id)) return fail_field(c, "user_id", "this is no user id");
    enum err e = person_find(c, user_id, &who);
    if (!e) e = privacy_was(c, user_id, &was, &was_count);
    if (e) return e;
    erasure_begin(c, &er, &who);
    e = keep_in_mind(c, user_id, &pending);
    if (!e) e = erased_put(c, who.creator_id, user_id);
    if (!e) e = session_end_user(c, who.creator_id, user_id, "erased", &er.sessions);
    if (!e) e = access_changed(c);
    if (!e) e = end_jobs(c, user_id, &er.jobs);
    if (!e) e = count_files(c, &er);
    if (!e) e = erase_was(c, &er, was, was_count);
    if (!e) e = privacy_erase_rows(c, &er, false, &job);
    if (!e) e = privacy_erase_accounts(c, &er);
    if (e) {
        if (pending) leave_to_job(c, pending, user_id);
        return e;
    }
    forget(c, &er);
    e = bytes(c, &er, job);
    return e ? e : certificate_make(c, &er, certificate_out);
}

enum err person_forget(struct call *c, const char *user_id)
{
    struct person_who who;
    struct erasure    er;
    const char       *job = NULL;
    enum err          e = person_find(c, user_id, &who);
    if (e) return e;
    who.unmarked = true;
    erasure_begin(c, &er, &who);
    e = session_end_user(c, who.creator_id, user_id, "retention", &er.sessions);
    if (!e) e = end_jobs(c, user_id, &er.jobs);
    if (!e) e = privacy_erase_rows(c, &er, false, &job);
    return e ? e : privacy_erase_accounts(c, &er);
}

/* What an account said and stored as a user of a creator, wherever it ever was one. */
static enum err erase_in_creators(struct call *c, struct erasure *er)
{
    const char **ids = NULL;
    int          n = 0;
    struct call  work;
    enum err     e = tenant_list(c, &ids, &n);
    call_init(&work);
    work.stop = c->stop;
    memcpy(work.account_id, c->account_id, sizeof work.account_id);
    memcpy(work.remote, c->remote, sizeof work.remote);
    memcpy(work.log_id, c->log_id, sizeof work.log_id);
    for (int i = 0; !e && i < n; i++) {
        const char *job = NULL;
        int         copies = 0;
        e = tenant_open(&work, ids[i]);
        if (e == ERR_NOT_FOUND) {
            call_forgive(&work);
            e = OK;
            continue;
        }
        struct person_who account = er->who;
        er->who.creator_id = ids[i];
        er->who.user_id = account.account_id;
        er->who.account_id = NULL;
        if (!e) e = end_jobs(&work, er->who.user_id, &er->jobs);
        if (!e) e = count_files(&work, er);
        if (!e) e = privacy_erase_rows(&work, er, true, &job);
        if (!e && job) {
            er->creators++;
            forget(&work, er);
            e = privacy_scrub(&work, true, &copies);
            if (e == ERR_BUSY) {
                call_forgive(&work);
                er->scrub_job = arena_strdup(&c->mem, job);
                e = OK;
            }
            er->copies += copies;
            jobs_announce(&work, scrub_kind.kind);
        }
        er->who = account;
        tenant_release(&work);
        if (e) e = fail(c, e, "%s", work.err_text);
        arena_reset(&work.mem);
    }
    tenant_release(&work);
    call_dispose(&work);
    return e;
}

enum err account_prove_erasure(struct call *c, const char *password)
{
    struct account a;
    if (!c->account_id[0]) return OK;
    enum err e = account_get(c, c->account_id, &a);
    if (e || !a.password) return e;
    if (!password) return fail_field(c, "password", "the account's password is needed");
    return account_prove(c, &a, &(struct proof){ .password = password });
}

enum err account_erase(struct call *c, const char *account_id, const char **certificate_out)
{
    struct person_who who;
    struct erasure    er;
    const char       *owned = NULL;
    int               copies = 0;
    enum err          e = account_find(c, account_id, &who);
    if (!e) e = privacy_last_owner(c, account_id, &owned);
    if (!e && owned) e = fail(c, ERR_CONFLICT, "this account is the only owner of %s: make somebody else owner, or erase that creator first", owned);
    if (e) return e;
    erasure_begin(c, &er, &who);
    e = session_end_account(c, account_id, NULL, "erased", &er.sessions);
    if (!e) e = erase_in_creators(c, &er);
    if (!e) e = privacy_erase_accounts(c, &er);
    if (!e) e = access_changed(c);
    if (e) return e;
    forget(c, &er);
    e = privacy_scrub_accounts(c, &copies);
    er.copies += copies;
    er.bytes_done = !e && !er.scrub_job;
    if (e == ERR_BUSY) {
        call_forgive(c);
        e = OK;
    }
    return e ? e : certificate_make(c, &er, certificate_out);
}

enum err creator_erase(struct call *c, const char *creator_id, const char **certificate_out)
{
    const struct person_who who = { .creator_id = arena_strdup(&c->mem, creator_id) };
    struct erasure          er;
    int64_t                 alone = 0;
    erasure_begin(c, &er, &who);
    enum err e = end_jobs(c, NULL, &er.jobs);
    if (!e) e = count_files(c, &er);
    if (!e) e = privacy_only_here(c, creator_id, &alone);
    if (!e) e = session_end_creator(c, creator_id, "erased", &er.sessions);
    if (e) return e;
    tenant_release(c);
    forget(c, &er);
    e = privacy_erase_creator(c, &er);
    if (!e) e = access_changed(c);
    if (e) return e;
    forget(c, &er); /* what was read between */
    e = privacy_scrub_accounts(c, &er.copies);
    er.bytes_done = !e;
    if (e == ERR_BUSY) {
        call_forgive(c);
        e = OK;
    }
    if (!e && alone)
        er.left_behind = arena_printf(&c->mem, "%lld accounts that were members of this creator alone: each may erase itself", (long long)alone);
    c->creator_id[0] = '\0';
    return e ? e : certificate_make(c, &er, certificate_out);
}

static enum err scrub(struct call *c, const struct job *j)
{
    int copies = 0;
    (void)j;
    return privacy_scrub(c, false, &copies);
}

const struct job_kind scrub_kind = { .kind = "scrub", .tries = 10, .run = scrub };

/* Is the one who began still at it? *gone_out: the job's row went with the others, all is done. */
static enum err others_work(struct call *c, const char *job, bool *gone_out, bool *busy_out, const char **user_out)
{
    struct job j;
    json_t    *v = NULL;
    enum err   e = jobs_get(c, job, &j);
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        *gone_out = true;
        return OK;
    }
    if (!e) e = json_parse(c, j.payload, strlen(j.payload), &v);
    if (e) return e;
    const char *by = json_get_text(v, "by", "");
    *busy_out = *by && owner_alive(by);
    *user_out = arena_strdup(&c->mem, json_get_text(v, "user_id", ""));
    json_decref(v);
    return OK;
}

static enum err go_on(struct call *c, const struct job *j)
{
    const char *user = "", *certificate = NULL;
    int64_t     until = clock_mono_ms() + GO_ON_MS;
    for (;;) {
        bool     gone = false, busy = false;
        enum err e = others_work(c, j->id, &gone, &busy, &user);
        if (!e && gone) return OK;
        if (!e && !busy) e = person_erase(c, user, &certificate);
        if (e != ERR_BUSY && !busy) return e;
        if (e && e != ERR_BUSY) return e;
        if (clock_mono_ms() > until) return e ? e : fail(c, ERR_BUSY, "the erasure that was begun does not end");
        if (e) call_forgive(c);
        usleep(LOOK_AGAIN_US);
        e = call_check(c);
        if (e) return e;
    }
}

const struct job_kind erase_kind = { .kind = "erase", .tries = 10, .run = go_on };
