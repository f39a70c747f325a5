/* store/store.c — the data folder: accounts.db, creators/ID/creator.db and each creator's files, run/ with a mark per
 * live process, wake/ with hints for the job workers. Several processes may have it open; nothing here assumes to be
 * alone. It refuses a folder it cannot write, and one whose restore did not finish. */
/* SPDX-License-Identifier: MIT */
#include "store/store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"
#include "store/kv_memory.h"
#include "store/owner.h"
#include "store/secret.h"
#include "store/tenant.h"

const struct setting store_settings[] = {
    { 0 },
};

enum { DESCRIPTORS = LIMIT_OPEN_TENANTS * (LIMIT_TENANT_READERS + 1) * 3 + 4096 };

static char       dir[PATH_MAX];
static struct db *accounts;

static enum err make_folders(struct call *c, const char *path)
{
    char *copy = arena_strdup(&c->mem, path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/') continue;
        *p = '\0';
        if (mkdir(copy, 0777) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", copy, strerror(errno));
        *p = '/';
    }
    if (mkdir(copy, 0700) && errno != EEXIST) return fail(c, ERR_IO, "cannot create %s: %s", copy, strerror(errno));
    if (!realpath(copy, dir)) return fail(c, ERR_IO, "cannot use %s: %s", copy, strerror(errno));
    if (access(dir, R_OK | W_OK | X_OK)) return fail(c, ERR_IO, "cannot write to %s: %s", dir, strerror(errno));
    const char *creators = arena_printf(&c->mem, "%s/creators", dir);
    if (mkdir(creators, 0700) && errno != EEXIST)
        return fail(c, ERR_IO, "cannot create %s: %s", creators, strerror(errno));
    return OK;
}

static enum err refuse_unfinished(struct call *c)
{
    DIR *d = opendir(dir);
    enum err e = OK;
    if (!d) return fail(c, ERR_IO, "cannot read %s: %s", dir, strerror(errno));
    for (struct dirent *f; !e && (f = readdir(d));)
        if (!strncmp(f->d_name, ".restore-", 9))
            e = fail(c, ERR_CORRUPT, "a restore into %s did not finish: empty the folder and restore again", dir);
    closedir(d);
    return e;
}

/* An open creator holds three descriptors per connection; the usual soft limit of 1024 would end it at a hundred. */
static void allow_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= DESCRIPTORS) return;
    r.rlim_cur = r.rlim_max < DESCRIPTORS ? r.rlim_max : DESCRIPTORS;
    setrlimit(RLIMIT_NOFILE, &r);
}

enum err store_open(struct call *c, const char *data_dir)
{
    assert(!accounts);
    link_setup();
    allow_descriptors();
    enum err e = *data_dir ? make_folders(c, data_dir) : fail(c, ERR_INVALID, "the data folder has no name");
    if (!e) e = refuse_unfinished(c);
    /* What SQLite must put aside is somebody's data: it stays on this disk. No thread runs yet. */
    if (!e && setenv("SQLITE_TMPDIR", dir, 1)) e = fail(c, ERR_INTERNAL, "no memory for the environment");
    const char *path = arena_printf(&c->mem, "%s/accounts.db", dir);
    if (!e) e = db_open(c, path, "accounts", &accounts);
    if (!e) e = owner_open(c);
    if (!e) e = tenants_sweep(c);
    if (e) store_close();
    return e;
}

void store_close(void)
{
    tenants_close();
    db_close(accounts);
    accounts = NULL;
    owner_close();
    kv_close();
    secret_close();
    dir[0] = '\0';
}

const char *store_dir(void)
{
    return dir;
}

struct db *store_accounts(void)
{
    return accounts;
}

static enum err check_one(struct call *c, struct db *db, int *n)
{
    struct conn *r = NULL;
    enum err e = db_read(c, db, &r);
    if (!e) e = link_verify(c, conn_link(r), false);
    if (!e) e = link_verify_keys(c, conn_link(r));
    db_release(&r);
    if (!e) ++*n;
    return e;
}

enum err store_check(struct call *c, int *databases_out)
{
    const char **ids = NULL;
    int n = 0, checked = 0;
    enum err e = check_one(c, accounts, &checked);
    if (!e) e = tenant_list(c, &ids, &n);
    for (int i = 0; !e && i < n; i++) {
        e = tenant_open(c, ids[i]);
        if (!e) e = check_one(c, tenant_db(c->tenant), &checked);
        tenant_release(c);
    }
    c->creator_id[0] = '\0';
    if (!e) *databases_out = checked;
    return e;
}

static const char *probe(void)
{
    struct call c;
    struct conn *r = NULL;
    int64_t n = 0;
    call_init(&c);
    c.deadline_ms = clock_mono_ms() + 2000;
    enum err e = db_read(&c, accounts, &r);
    if (!e) e = db_get_int(&c, r, 0, &n, "SELECT count(*) FROM schema_version");
    db_release(&r);
    call_dispose(&c);
    return e ? err_word(e) : n > 0 ? "connected" : "empty";
}

const char *store_state(void)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static const char *state;
    static int64_t at_ms;
    if (!accounts) return "closed";
    pthread_mutex_lock(&lock);
    int64_t now = clock_mono_ms();
    if (!state || now - at_ms >= 1000) {
        state = probe();
        at_ms = clock_mono_ms();
    }
    const char *out = state;
    pthread_mutex_unlock(&lock);
    return out;
}
