/* store/tenant.c — creators and their databases. A creator exists when accounts.db has its row; the row is written last,
 * after its database, so a row without a file means loss and is said instead of papered over with an empty file.
 * Open databases are kept in order of use; the one nobody uses goes when the table is full. While one thread opens a
 * creator the others wait for it. Ids are folder names: lower-cased for the disk, checked against its alphabet first. */
/* SPDX-License-Identifier: MIT */
#include "store/tenant.h"

#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/db_open.h"
#include "store/folder.h"
#include "store/store.h"

enum { ROWS = 1024 };
#define ASIDE ".erased-"   /* and an id, and the name of the folder that it was */

struct tenant {
    struct tenant *next;                /* in its hash row */
    struct tenant *newer, *older;       /* in order of use */
    char           id[LIMIT_ID_BYTES + 1];
    char          *dir;
    struct db     *db;                  /* NULL while it is being opened */
    int            users;
    int64_t        used_ms;             /* when the last user left; clock_mono_ms */
    bool           going;               /* is being removed: not found */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  opened = PTHREAD_COND_INITIALIZER;
static struct tenant  *rows[ROWS], *newest, *oldest;
static int             count, most;

bool tenant_id_valid(const char *creator_id)
{
    return id_valid(creator_id);
}

const char *tenant_folder(struct call *c, const char *creator_id)
{
    char *path = arena_printf(&c->mem, "%s/creators/%s", store_dir(), creator_id);
    for (char *p = path + strlen(path) - strlen(creator_id); *p; p++) *p = (char)tolower((unsigned char)*p);
    return path;
}

static struct tenant **row_of(const char *id)
{
    unsigned h = 2166136261u;
    for (; *id; id++) h = (h ^ (unsigned char)*id) * 16777619u;
    return &rows[h % ROWS];
}

static void unlink_use(struct tenant *t)
{
    *(t->newer ? &t->newer->older : &newest) = t->older;
    *(t->older ? &t->older->newer : &oldest) = t->newer;
}

static void link_newest(struct tenant *t)
{
    t->newer = NULL;
    t->older = newest;
    *(newest ? &newest->newer : &oldest) = t;
    newest = t;
}

static void take_out(struct tenant *t)
{
    struct tenant **at = row_of(t->id);
    while (*at != t) at = &(*at)->next;
    *at = t->next;
    unlink_use(t);
    count--;
}

static void tenant_free(struct tenant *t)
{
    db_close(t->db);
    free(t->dir);
    free(t);
}

static enum err registered(struct call *c, const char *id, bool *out)
{
    struct conn *r = NULL;
    int64_t n = 0;
    enum err e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &n, "SELECT 1 FROM creator WHERE id = ?s", id);
    db_release(&r);
    if (!e) *out = n == 1;
    return e;
}

/* The file says whose it is, so that one that was moved or swapped is never served as another's. */
static enum err check_owner(struct call *c, struct db *db, const char *id, bool may_set)
{
    struct conn *k = NULL;
    const char *owner = NULL;
    enum err e = may_set ? db_write(c, db, &k) : db_read(c, db, &k);
    if (!e) e = db_get_text(c, k, &owner, "SELECT value FROM meta WHERE name = 'creator_id'");
    /* While it is made: of two spellings at once the other was faster. */
    if (!e && owner && strcmp(owner, id)) e = fail(c, may_set ? ERR_CONFLICT : ERR_CORRUPT, "the database of %s belongs to %s", id, owner);
    if (!e && !owner && !may_set) e = fail(c, ERR_CORRUPT, "the database of %s does not say whose it is", id);
    if (!e && !owner) e = db_run(c, k, "INSERT INTO meta(name, value) VALUES ('creator_id', ?s)", id);
    if (!e && may_set) e = db_commit(c, &k);
    db_release(&k);
    return e;
}

static enum err make_folder(struct call *c, const char *path)
{
    if (mkdir(path, 0700) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", path, strerror(errno));
    return OK;
}

static enum err open_file(struct call *c, const char *id, const char *dir, bool creating, struct db **out)
{
    struct db *db = NULL;
    const char *path = arena_printf(&c->mem, "%s/creator.db", dir);
    if (!creating && access(path, F_OK)) return fail(c, ERR_CORRUPT, "the database of creator %s is missing", id);
    enum err e = db_open(c, path, "creator", &db);
    if (!e) e = check_owner(c, db, id, creating);
    if (e) {
        db_close(db);
        return e;
    }
    *out = db;
    return OK;
}

static enum err open_registered(struct call *c, struct tenant *t)
{
    bool known = false;
    enum err e = registered(c, t->id, &known);
    if (!e && !known) e = fail(c, ERR_NOT_FOUND, "no creator %s", t->id);
    struct db *db = NULL;
    if (!e) e = open_file(c, t->id, t->dir, false, &db);
    if (e) return e;
    t->db = db;
    return OK;
}

/* An open creator holds three descriptors for each of its connections, of which it rarely has more than two. Where the system
 * gives few, fewer are kept open. */
static int places(void)
{
    enum { EACH = 8, LEFT = 512, LEAST = 16 };
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY || r.rlim_cur >= (rlim_t)LIMIT_OPEN_TENANTS * EACH + LEFT) return LIMIT_OPEN_TENANTS;
    int n = ((int)r.rlim_cur - LEFT) / EACH;
    return n < LEAST ? LEAST : n;
}

/* With the lock held. NULL: every place is in use. */
static struct tenant *place_for(struct call *c, const char *id, struct tenant **evicted)
{
    if (!most) most = places();
    if (count >= most) {
        struct tenant *t = oldest;
        while (t && (t->users || !t->db || t->going)) t = t->newer;
        if (!t) return NULL;
        take_out(t);
        *evicted = t;
    }
    struct tenant *t = calloc(1, sizeof *t);
    if (!t || !(t->dir = strdup(tenant_folder(c, id)))) abort();
    memcpy(t->id, id, strlen(id) + 1);
    struct tenant **row = row_of(id);
    t->next = *row;
    *row = t;
    link_newest(t);
    count++;
    return t;
}

static enum err wait_opened(struct call *c)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&opened, &lock, &until);
    return call_check(c);
}

/* The tenant with one more user, opened by this thread when no other is at it. */
static enum err take(struct call *c, const char *id, struct tenant **out)
{
    struct tenant *t, *evicted = NULL;
    enum err e = OK;
    pthread_mutex_lock(&lock);
    for (;;) {
        for (t = *row_of(id); t && strcmp(t->id, id); t = t->next) {
        }
        if (t && t->going) e = fail(c, ERR_NOT_FOUND, "no creator %s", id);
        if (!e && (!t || t->db)) break;
        if (!e) e = wait_opened(c);
        if (e) {
            pthread_mutex_unlock(&lock);
            return e;
        }
    }
    bool mine = !t;
    if (mine) t = place_for(c, id, &evicted);
    if (t) {
        t->users++;
        unlink_use(t);
        link_newest(t);
    }
    pthread_mutex_unlock(&lock);
    if (evicted) tenant_free(evicted);
    if (!t) {
        c->retry_after_s = 1;
        return fail(c, ERR_BUSY, "%d creators are in use at once", most);
    }
    if (mine) {
        struct tenant opening = { .dir = t->dir };
        memcpy(opening.id, t->id, sizeof t->id);
        e = open_registered(c, &opening);
        pthread_mutex_lock(&lock);
        if (e)
            take_out(t);
        else
            t->db = opening.db;
        metric_set("chiron_tenants_open", NULL, count);
        pthread_cond_broadcast(&opened);
        pthread_mutex_unlock(&lock);
        if (e) tenant_free(t);
    }
    if (!e) *out = t;
    return e;
}

enum err tenant_open(struct call *c, const char *creator_id)
{
    struct tenant *t = NULL;
    if (!tenant_id_valid(creator_id)) return fail(c, ERR_NOT_FOUND, "no such creator");
    enum err e = take(c, creator_id, &t);
    if (e) return e;
    tenant_release(c);
    c->tenant = t;
    memcpy(c->creator_id, t->id, sizeof c->creator_id);
    return OK;
}

void tenant_release(struct call *c)
{
    struct tenant *t = c->tenant;
    if (!t) return;
    c->tenant = NULL;
    pthread_mutex_lock(&lock);
    assert(t->users > 0);
    t->users--;
    t->used_ms = clock_mono_ms();
    pthread_mutex_unlock(&lock);
}

/* The least recently used stand first, so the look ends at the first that is still wanted. */
static struct tenant *idle_since(int64_t before_ms)
{
    struct tenant *t = oldest;
    while (t && (t->users || !t->db || t->going)) t = t->newer;
    return t && t->used_ms <= before_ms ? t : NULL;
}

void tenants_close_idle(int64_t idle_ms)
{
    int64_t before_ms = clock_mono_ms() - idle_ms;
    for (;;) {
        /* One at a time: closing writes to the disk, and nobody waits for the lock meanwhile. */
        pthread_mutex_lock(&lock);
        struct tenant *t = idle_since(before_ms);
        if (t) take_out(t);
        metric_set("chiron_tenants_open", NULL, count);
        pthread_mutex_unlock(&lock);
        if (!t) return;
        tenant_free(t);
    }
}

struct db *tenant_db(struct tenant *t)
{
    return t->db;
}

const char *tenant_id(struct tenant *t)
{
    return t->id;
}

const char *tenant_dir(struct tenant *t)
{
    return t->dir;
}

static enum err register_row(struct call *c, const char *id, const char *folder, const char *name, tenant_also_fn also, void *arg,
                             bool *created)
{
    struct conn *w = NULL;
    const char *holder = NULL;
    enum err e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "INSERT INTO creator(id, folder, name, created_ms) VALUES (?s, ?s, ?s, ?i) ON CONFLICT DO NOTHING",
                   id, folder, name && *name ? name : id, clock_unix_ms());
    bool fresh = !e && db_changes(w) == 1;
    if (!e) e = db_get_text(c, w, &holder, "SELECT id FROM creator WHERE folder = ?s", folder);
    if (!e && strcmp(holder ? holder : "", id))
        e = fail(c, ERR_CONFLICT, "creator %s differs from %s only in case", id, holder ? holder : "");
    if (!e && fresh && also) e = also(c, w, arg);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *created = fresh;
    return e;
}

enum err tenant_create(struct call *c, const char *creator_id, const char *name, bool *created_out)
{
    return tenant_create_with(c, creator_id, name, NULL, NULL, created_out);
}

enum err tenant_create_with(struct call *c, const char *creator_id, const char *name, tenant_also_fn also, void *arg,
                            bool *created_out)
{
    bool known = false, created = false;
    struct db *db = NULL;
    const char *clash = NULL;
    struct conn *r = NULL;
    if (!tenant_id_valid(creator_id))
        return fail_field(c, "creator_id", "a creator id has 1 to %d of A-Z a-z 0-9 . _ : @ -, and begins with none of . -",
                          LIMIT_ID_BYTES);
    enum err e = registered(c, creator_id, &known);
    if (e) return e;
    if (known) {
        if (created_out) *created_out = false;
        return OK;
    }
    const char *dir = tenant_folder(c, creator_id), *folder = strrchr(dir, '/') + 1;
    e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &clash, "SELECT id FROM creator WHERE folder = ?s", folder);
    db_release(&r);
    if (!e && clash && strcmp(clash, creator_id))
        e = fail(c, ERR_CONFLICT, "creator %s differs from %s only in case", creator_id, clash);
    if (!e) e = make_folder(c, dir);
    if (!e) e = open_file(c, creator_id, dir, true, &db);
    db_close(db);
    if (!e) e = register_row(c, creator_id, folder, name, also, arg, &created);
    if (!e && created_out) *created_out = created;
    return e;
}

/* Nobody has it open and nobody can open it: its place in the table is kept until the creator is gone. */
static enum err shut(struct call *c, const char *id, struct tenant **out)
{
    int64_t        end_ms = clock_mono_ms() + LIMIT_STOP_SECONDS * 1000;
    struct tenant *t, *evicted = NULL;
    enum err       e = OK;
    pthread_mutex_lock(&lock);
    for (t = *row_of(id); t && strcmp(t->id, id); t = t->next) {
    }
    if (t && t->going) e = fail(c, ERR_NOT_FOUND, "no creator %s", id);
    if (!e && !t) t = place_for(c, id, &evicted);
    if (!e && !t) e = fail(c, ERR_BUSY, "%d creators are in use at once", most);
    if (!e) t->going = true;
    while (!e && t->users) {
        e = wait_opened(c);
        if (!e && clock_mono_ms() > end_ms) e = fail(c, ERR_BUSY, "creator %s is in use", id);
        if (e) t->going = false;
    }
    struct db *db = e ? NULL : t->db;
    if (!e) t->db = NULL;
    pthread_mutex_unlock(&lock);
    if (evicted) tenant_free(evicted);
    db_close(db);
    if (e && !c->retry_after_s) c->retry_after_s = 5;
    if (!e) *out = t;
    return e;
}

/* Hidden, so that no backup takes it, and not to be found again by a creator of the same name. */
static enum err set_aside(struct call *c, const char *dir, const char **aside_out)
{
    char        id[ID_BYTES];
    const char *aside = arena_printf(&c->mem, "%s/creators/" ASIDE "%s-%s", store_dir(), id_new("gone", id), strrchr(dir, '/') + 1);
    if (!rename(dir, aside)) *aside_out = aside;
    else if (errno != ENOENT) return fail(c, ERR_IO, "cannot remove %s: %s", dir, strerror(errno));
    return OK;
}

enum err tenant_remove(struct call *c, const char *creator_id, tenant_also_fn in, void *arg)
{
    bool           known = false;
    struct tenant *t = NULL;
    struct conn   *w = NULL;
    const char    *aside = NULL;
    assert(!c->tenant || strcmp(c->tenant->id, creator_id) != 0);
    if (!tenant_id_valid(creator_id)) return fail(c, ERR_NOT_FOUND, "no such creator");
    enum err e = registered(c, creator_id, &known);
    if (!e && !known) e = fail(c, ERR_NOT_FOUND, "no creator %s", creator_id);
    if (!e) e = shut(c, creator_id, &t);
    if (e) return e;
    e = set_aside(c, t->dir, &aside);
    if (!e) e = db_write(c, store_accounts(), &w);
    if (!e && in) e = in(c, w, arg);
    if (!e) e = db_run(c, w, "DELETE FROM creator WHERE id = ?s", creator_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    /* The rows stay: so does the data. */
    if (e && aside && rename(aside, t->dir)) log_error(c, "a creator's folder could not be put back", "creator", creator_id, NULL);
    if (!e && aside) folder_drop(aside);
    pthread_mutex_lock(&lock);
    take_out(t);
    pthread_cond_broadcast(&opened);
    pthread_mutex_unlock(&lock);
    tenant_free(t);
    return e;
}

/* The row of a creator whose folder was set aside, unless there is another folder of that name. */
static enum err drop_row(struct call *c, const char *folder)
{
    struct conn *w = NULL;
    if (!access(arena_printf(&c->mem, "%s/creators/%s", store_dir(), folder), F_OK)) return OK;
    enum err e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "DELETE FROM creator WHERE folder = ?s", folder);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err tenants_sweep(struct call *c)
{
    const char *creators = arena_printf(&c->mem, "%s/creators", store_dir());
    DIR        *d = opendir(creators);
    enum err    e = OK;
    if (!d) return fail(c, ERR_IO, "cannot read %s: %s", creators, strerror(errno));
    for (struct dirent *f; !e && (f = readdir(d));) {
        if (strncmp(f->d_name, ASIDE, strlen(ASIDE))) continue;
        const char *folder = strchr(f->d_name + strlen(ASIDE), '-');
        if (folder) e = drop_row(c, folder + 1);
        if (!e) folder_drop(arena_printf(&c->mem, "%s/%s", creators, f->d_name));
    }
    closedir(d);
    return e;
}

enum err tenant_list(struct call *c, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    const char **ids = NULL;
    int64_t total = 0;
    int n = 0;
    enum err e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &total, "SELECT count(*) FROM creator");
    if (!e) {
        ids = arena_array(&c->mem, (size_t)total + 1, sizeof *ids);
        e = db_select(c, r, &rs, "SELECT id FROM creator ORDER BY id");
    }
    while (!e && n < total && rows_next(rs)) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    db_release(&r);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

void tenants_close(void)
{
    pthread_mutex_lock(&lock);
    while (oldest) {
        struct tenant *t = oldest;
        assert(!t->users);
        take_out(t);
        tenant_free(t);
    }
    pthread_mutex_unlock(&lock);
}
