/* store/db_sqlite.c — SQLite, set up for data that must neither be lost nor linger: WAL with a sync per commit, erased
 * content overwritten, the schema not trusted. No mutex inside SQLite: a link has one user at a time by contract.
 * It never retries a failed statement; it only waits for a lock, and only as long as the caller may. */
/* SPDX-License-Identifier: MIT */
#include "store/db_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { PROGRESS_OPS = 4000, COPY_PAGES = 2048 };
#define MMAP_BYTES "67108864"
#define MMAP_FROM_BYTES (4 << 20)     /* smaller files are read into the cache */
#define WAL_KEPT_BYTES "16777216"
#define READ_CACHE_KIB "512"

enum { BEGIN_READ, BEGIN_WRITE, COMMIT, ROLLBACK, KEPT };

struct link {
    sqlite3      *h;
    sqlite3_stmt *kept[KEPT];  /* prepared when first used */
    struct call  *c;           /* whose stop flag and deadline count now; NULL: nobody's */
    int64_t       wait_until_ms;
    char          name[64];    /* for words: the end of the path */
};

static void setup_once(void)
{
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (sqlite3_initialize() != SQLITE_OK) abort();
}

void link_setup(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, setup_once);
}

/* Text of a constraint names tables and columns only; no value of anybody's data gets into the words. */
static enum err sql_error(struct call *c, struct link *l, int rc, const char *doing)
{
    const char *why = l->h ? sqlite3_errmsg(l->h) : sqlite3_errstr(rc);
    int extended = l->h ? sqlite3_extended_errcode(l->h) : rc;
    switch (rc & 0xff) {
    case SQLITE_NOMEM: abort();
    case SQLITE_CONSTRAINT:
        if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
            extended == SQLITE_CONSTRAINT_FOREIGNKEY || extended == SQLITE_CONSTRAINT_ROWID)
            return fail(c, ERR_CONFLICT, "%s", why);
        return fail(c, ERR_INTERNAL, "%s (%s)", why, l->name);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        if (!c->err) c->retry_after_s = 1;
        return fail(c, ERR_BUSY, "%s is busy with another write", l->name);
    case SQLITE_INTERRUPT: {
        enum err e = call_check(c);
        return e ? e : fail(c, ERR_INTERNAL, "%s: interrupted", l->name);
    }
    case SQLITE_FULL: return fail(c, ERR_IO, "the disk is full, %s cannot grow", l->name);
    case SQLITE_IOERR:
        return fail(c, ERR_IO, "%s %s: %s: %s", doing, l->name, why, strerror(l->h ? sqlite3_system_errno(l->h) : EIO));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_READONLY: return fail(c, ERR_IO, "%s %s: %s", doing, l->name, why);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return fail(c, ERR_CORRUPT, "%s is damaged: %s", l->name, why);
    case SQLITE_TOOBIG: return fail(c, ERR_TOO_LARGE, "a value is too large for %s", l->name);
    default: return fail(c, ERR_INTERNAL, "%s %s: %s", doing, l->name, why);
    }
}

/* Called while another connection holds the lock: sleep a little longer each time, with a jitter that keeps several
 * waiting processes from meeting again and again. */
static int on_busy(void *arg, int times)
{
    struct link *l = arg;
    if (l->c && l->c->stop && atomic_load(l->c->stop)) return 0;
    int64_t now = clock_mono_us(), left_us = l->wait_until_ms * 1000 - now;
    if (left_us <= 0) return 0;
    int64_t us = times < 8 ? 200LL << times : 50000;
    us += now % (us / 2 + 1);
    if (us > left_us) us = left_us;
    nanosleep(&(struct timespec){ .tv_nsec = us * 1000 }, NULL);
    return 1;
}

static int on_progress(void *arg)
{
    struct call *c = ((struct link *)arg)->c;
    if (!c) return 0;
    if (c->stop && atomic_load_explicit(c->stop, memory_order_relaxed)) return 1;
    return c->deadline_ms && clock_mono_ms() >= c->deadline_ms;
}

static void set_name(struct link *l, const char *path)
{
    /* "creators/demo/creator.db" says more than the file alone. */
    const char *from = path + strlen(path);
    for (int slashes = 0; from > path; from--)
        if (from[-1] == '/' && ++slashes == 3) break;
    snprintf(l->name, sizeof l->name, "%s", from);
}

static enum err sync_folder_of(struct call *c, const char *path)
{
    char *slash = strrchr(path, '/');
    char *dir = slash ? arena_strndup(&c->mem, path, (size_t)(slash - path)) : arena_strdup(&c->mem, ".");
    int   fd = open(*dir ? dir : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = OK;
    if (fd < 0 || fsync(fd)) e = fail(c, ERR_IO, "cannot sync %s: %s", dir, strerror(errno));
    if (fd >= 0) close(fd);
    return e;
}

/* Two processes that meet at a new file may find it locked here without the busy handler being asked. */
static enum err to_wal(struct call *c, struct link *l)
{
    int rc;
    while ((rc = sqlite3_exec(l->h, "PRAGMA journal_mode=WAL", NULL, NULL, NULL)) != SQLITE_OK) {
        if ((rc & 0xff) != SQLITE_BUSY || clock_mono_ms() > l->wait_until_ms) return sql_error(c, l, rc, "cannot set up");
        nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    }
    return OK;
}

/* A mapped file is resident as a whole once a little of it was read: a thousand small ones would be a quarter of a gigabyte. A
 * large one is read from the mapping and needs next to no cache. */
static enum err memory(struct call *c, struct link *l, const char *path, enum link_use use)
{
    struct stat st;
    if (!stat(path, &st) && st.st_size >= MMAP_FROM_BYTES) return link_script(c, l, "PRAGMA mmap_size=" MMAP_BYTES);
    return use == LINK_READ ? link_script(c, l, "PRAGMA cache_size=-" READ_CACHE_KIB) : OK;
}

static enum err pragmas(struct call *c, struct link *l, enum link_use use)
{
    static const char always[] = "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA temp_store=MEMORY;"
                                 "PRAGMA journal_size_limit=" WAL_KEPT_BYTES ";";
    static const char writing[] = "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON;"
                                  "PRAGMA wal_autocheckpoint=1000;";
    enum err e = link_script(c, l, always);
    if (!e && (use == LINK_WRITE || use == LINK_MIGRATE)) e = to_wal(c, l);
    if (!e && (use == LINK_WRITE || use == LINK_MIGRATE)) e = link_script(c, l, writing);
    if (!e && use != LINK_MIGRATE) e = link_script(c, l, "PRAGMA foreign_keys=ON;");
    if (!e && (use == LINK_READ || use == LINK_SNAPSHOT)) e = link_script(c, l, "PRAGMA query_only=ON;");
    return e;
}

enum err link_open(struct call *c, const char *path, enum link_use use, struct link **out)
{
    struct link *l = calloc(1, sizeof *l);
    if (!l) abort();
    set_name(l, path);
    bool fresh = false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    enum err e = OK;
    if (use == LINK_SNAPSHOT) {
        flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    } else if (use != LINK_READ) {
        /* Created here rather than by SQLite: readable by nobody else from its first moment. */
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        fresh = fd >= 0;
        if (fd >= 0) close(fd);
    }
    int rc = sqlite3_open_v2(path, &l->h, flags, NULL);
    if (rc) {
        e = sql_error(c, l, rc, "cannot open");
        goto out;
    }
    sqlite3_db_config(l->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(l->h, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_limit(l->h, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_busy_handler(l->h, on_busy, l);
    sqlite3_progress_handler(l->h, PROGRESS_OPS, on_progress, l);
    l->wait_until_ms = clock_mono_ms() + LIMIT_SQL_WAIT_MS;
    int keep_log = 1;
    /* Making and removing the log's two files is a quarter of what it costs to open a creator. They stay, the log emptied by
     * whoever closes last, which takes every link's journal_size_limit. */
    if (use != LINK_SNAPSHOT) sqlite3_file_control(l->h, "main", SQLITE_FCNTL_PERSIST_WAL, &keep_log);
    e = pragmas(c, l, use);
    if (!e) e = memory(c, l, path, use);
    if (!e && fresh) e = sync_folder_of(c, path);
out:
    if (e) {
        link_close(l);
        return e;
    }
    *out = l;
    return OK;
}

void link_close(struct link *l)
{
    if (!l) return;
    l->c = NULL;
    for (int i = 0; i < KEPT; i++) sqlite3_finalize(l->kept[i]);
    if (l->h && sqlite3_close(l->h) != SQLITE_OK) {
        fprintf(stderr, "db: %s closed with an open statement\n", l->name);
        abort();
    }
    free(l);
}

bool link_in_transaction(struct link *l)
{
    return !sqlite3_get_autocommit(l->h);
}

static enum err run(struct call *c, struct link *l, const char *sql, const char *doing)
{
    int rc = sqlite3_exec(l->h, sql, NULL, NULL, NULL);
    return rc ? sql_error(c, l, rc, doing) : OK;
}

/* Every read transaction pays for two of these; prepared once they cost a tenth. */
static int run_kept(struct link *l, int which)
{
    static const char *const sql[KEPT] = { "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK" };
    sqlite3_stmt **s = &l->kept[which];
    int rc = *s ? SQLITE_OK : sqlite3_prepare_v3(l->h, sql[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
    if (rc) return rc;
    rc = sqlite3_step(*s);
    int reset = sqlite3_reset(*s);
    return rc == SQLITE_DONE ? reset : reset ? reset : rc;
}

enum err link_begin(struct call *c, struct link *l, bool write, int64_t wait_ms)
{
    l->c = c;
    l->wait_until_ms = clock_mono_ms() + wait_ms;
    int rc = run_kept(l, write ? BEGIN_WRITE : BEGIN_READ);
    enum err e = rc ? sql_error(c, l, rc, "cannot begin in") : OK;
    l->wait_until_ms = clock_mono_ms() + LIMIT_SQL_WAIT_MS;
    if (e) l->c = NULL;
    return e;
}

enum err link_commit(struct call *c, struct link *l)
{
    l->c = NULL; /* a commit that began is not called off */
    int rc = run_kept(l, COMMIT);
    return rc ? sql_error(c, l, rc, "cannot commit to") : OK;
}

void link_rollback(struct link *l)
{
    l->c = NULL;
    if (!sqlite3_get_autocommit(l->h)) run_kept(l, ROLLBACK);
}

int64_t link_changes(struct link *l)
{
    return sqlite3_changes64(l->h);
}

enum err link_prepare(struct call *c, struct link *l, const char *sql, bool keep, struct statement **out)
{
    sqlite3_stmt *s = NULL;
    const char   *rest = NULL;
    int rc = sqlite3_prepare_v3(l->h, sql, -1, keep ? SQLITE_PREPARE_PERSISTENT : 0, &s, &rest);
    if (rc) return sql_error(c, l, rc, "cannot prepare for");
    if (!s || (rest && rest[strspn(rest, " \t\r\n;")])) {
        sqlite3_finalize(s);
        return fail(c, ERR_INTERNAL, "not exactly one SQL statement");
    }
    *out = (struct statement *)s;
    return OK;
}

static sqlite3_stmt *native(struct statement *s)
{
    return (sqlite3_stmt *)s;
}

int statement_parameters(struct statement *s)
{
    return sqlite3_bind_parameter_count(native(s));
}

int statement_columns(struct statement *s)
{
    return sqlite3_column_count(native(s));
}

const char *statement_column(struct statement *s, int col)
{
    const char *name = sqlite3_column_name(native(s), col);
    if (!name) abort();
    return name;
}

void statement_close(struct statement *s)
{
    sqlite3_finalize(native(s));
}

void statement_reset(struct statement *s)
{
    sqlite3_reset(native(s));
    sqlite3_clear_bindings(native(s));
}

void bind_text(struct statement *s, int at, const char *v, bool copy)
{
    if (v)
        sqlite3_bind_text64(native(s), at, v, strlen(v), copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null(native(s), at);
}

void bind_int(struct statement *s, int at, int64_t v)
{
    sqlite3_bind_int64(native(s), at, v);
}

void bind_real(struct statement *s, int at, double v)
{
    sqlite3_bind_double(native(s), at, v);
}

void bind_blob(struct statement *s, int at, const void *p, size_t n, bool copy)
{
    if (p)
        sqlite3_bind_blob64(native(s), at, p, n, copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
    else
        sqlite3_bind_null(native(s), at);
}

enum err statement_step(struct call *c, struct link *l, struct statement *s, bool *row_out)
{
    l->c = c;
    int rc = sqlite3_step(native(s));
    if (rc != SQLITE_ROW && rc != SQLITE_DONE) return sql_error(c, l, rc, "cannot use");
    *row_out = rc == SQLITE_ROW;
    return OK;
}

const char *column_text(struct statement *s, int col)
{
    return (const char *)sqlite3_column_text(native(s), col);
}

int64_t column_int(struct statement *s, int col)
{
    return sqlite3_column_int64(native(s), col);
}

double column_real(struct statement *s, int col)
{
    return sqlite3_column_double(native(s), col);
}

const void *column_blob(struct statement *s, int col, size_t *len_out)
{
    const void *p = sqlite3_column_blob(native(s), col);
    *len_out = (size_t)sqlite3_column_bytes(native(s), col);
    return p;
}

bool column_null(struct statement *s, int col)
{
    return sqlite3_column_type(native(s), col) == SQLITE_NULL;
}

enum err link_script(struct call *c, struct link *l, const char *sql)
{
    return run(c, l, sql, "cannot set up");
}

/* It attaches the new file for itself, which nobody else may. */
enum err link_vacuum(struct call *c, struct link *l, bool in_memory)
{
    sqlite3_limit(l->h, SQLITE_LIMIT_ATTACHED, 1);
    l->wait_until_ms = clock_mono_ms() + LIMIT_SQL_WAIT_MS;
    enum err e = in_memory ? OK : run(c, l, "PRAGMA temp_store=FILE", "cannot set up");
    if (!e) e = run(c, l, "VACUUM", "cannot write anew");
    if (!in_memory) {
        enum err back = run(c, l, "PRAGMA temp_store=MEMORY", "cannot set up");
        if (!e) e = back;
    }
    sqlite3_limit(l->h, SQLITE_LIMIT_ATTACHED, 0);
    return e;
}

enum err link_copy(struct call *c, struct link *from, const char *to_path)
{
    struct link to = { 0 };
    set_name(&to, to_path);
    enum err e = OK;
    sqlite3_backup *b = NULL;
    int rc, fd = open(to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return fail(c, ERR_IO, "cannot create %s: %s", to_path, strerror(errno));
    close(fd);
    rc = sqlite3_open_v2(to_path, &to.h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc) e = sql_error(c, &to, rc, "cannot write");
    /* A rollback journal instead of WAL: the copy is one file. It is synced when the copy is complete. */
    if (!e) b = sqlite3_backup_init(to.h, "main", from->h, "main");
    if (!e && !b) e = sql_error(c, &to, sqlite3_errcode(to.h), "cannot copy to");
    from->wait_until_ms = clock_mono_ms() + LIMIT_SQL_WAIT_MS;
    while (!e && (rc = sqlite3_backup_step(b, COPY_PAGES)) != SQLITE_DONE) {
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
            if (clock_mono_ms() > from->wait_until_ms) e = fail(c, ERR_BUSY, "%s is busy", from->name);
            nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
        } else if (rc != SQLITE_OK) {
            e = sql_error(c, from, rc, "cannot copy");
        }
        if (!e) e = call_check(c);
    }
    if (b && (rc = sqlite3_backup_finish(b)) != SQLITE_OK && !e) e = sql_error(c, &to, rc, "cannot write");
    if (!e) e = run(c, &to, "PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL", "cannot finish");
    if (to.h) sqlite3_close(to.h);
    if (!e) {
        fd = open(to_path, O_RDWR | O_CLOEXEC);
        if (fd < 0 || fsync(fd)) e = fail(c, ERR_IO, "cannot sync %s: %s", to_path, strerror(errno));
        if (fd >= 0) close(fd);
    }
    if (e) unlink(to_path);
    return e;
}

/* The first row of a check that gives none, or "ok", when all is well. */
static enum err verdict(struct call *c, struct link *l, const char *sql, bool keys)
{
    sqlite3_stmt *s = NULL;
    l->c = c;
    int rc = sqlite3_prepare_v2(l->h, sql, -1, &s, NULL);
    if (!rc) rc = sqlite3_step(s);
    enum err e = OK;
    const char *words = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : NULL;
    if (rc == SQLITE_ROW && keys)
        e = fail(c, ERR_CORRUPT, "%s: a row of table %s points to a row that is not there", l->name, words ? words : "?");
    else if (rc == SQLITE_ROW && (!words || strcmp(words, "ok")))
        e = fail(c, ERR_CORRUPT, "%s: %s", l->name, words ? words : "damaged");
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        e = sql_error(c, l, rc, "cannot check");
    sqlite3_finalize(s);
    l->c = NULL;
    return e;
}

enum err link_verify(struct call *c, struct link *l, bool quick)
{
    return verdict(c, l, quick ? "PRAGMA quick_check(1)" : "PRAGMA integrity_check(1)", false);
}

enum err link_verify_keys(struct call *c, struct link *l)
{
    return verdict(c, l, "PRAGMA foreign_key_check", true);
}
