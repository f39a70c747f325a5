/* The writer is held for the whole of it, so that no commit comes between writing the file anew and emptying the log. Up to
 * MEMORY_BYTES the new file is put together in memory, above in an unnamed file of the data folder: never in /tmp, which
 * may be another disk with other readers. It refuses to call itself done while a reader still holds the log. */
/* SPDX-License-Identifier: MIT */
#include "store/scrub.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"

#define MEMORY_BYTES (256LL << 20)

static int64_t size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_size;
}

int64_t store_scrub_bytes(struct db *db)
{
    char path[4096];
    int  n = snprintf(path, sizeof path, "%s-wal", db_path(db));
    return size_of(db_path(db)) + (n > 0 && (size_t)n < sizeof path ? size_of(path) : 0);
}

/* A row of three numbers: was it kept from finishing, pages in the log, pages put back. */
static enum err empty_log(struct call *c, struct link *l)
{
    int64_t end_ms = clock_mono_ms() + LIMIT_SQL_WAIT_MS;
    for (;;) {
        struct statement *s = NULL;
        bool              row = false, held = true;
        enum err          e = link_prepare(c, l, "PRAGMA wal_checkpoint(TRUNCATE)", false, &s);
        if (!e) e = statement_step(c, l, s, &row);
        if (!e && row) held = column_int(s, 0) != 0;
        statement_close(s);
        if (!e && !held) return OK;
        if (e && e != ERR_BUSY) return e;
        if (e) call_forgive(c);
        e = call_check(c);
        if (e) return e;
        if (clock_mono_ms() >= end_ms) {
            c->retry_after_s = 5;
            return fail(c, ERR_BUSY, "somebody has been reading for too long: the write-ahead log cannot be emptied yet");
        }
        usleep(20000);
    }
}

/* Each of them is a whole database of before. */
static int drop_copies(struct call *c, const char *db)
{
    const char *slash = strrchr(db, '/');
    const char *folder = arena_printf(&c->mem, "%.*s/backups", slash ? (int)(slash - db) : 1, slash ? db : ".");
    const char *base = slash ? slash + 1 : db;
    size_t      stem = strcspn(base, ".");
    DIR        *d = opendir(folder);
    int         n = 0;
    if (!d) return 0;
    for (struct dirent *f; (f = readdir(d));)
        if (!strncmp(f->d_name, base, stem) && !strncmp(f->d_name + stem, "-v", 2) && !unlinkat(dirfd(d), f->d_name, 0)) n++;
    closedir(d);
    return n;
}

static enum err with_writer(struct call *c, struct db *db, bool anew)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, db, &w);
    if (e) return e;
    struct link *l = conn_link(w);
    link_rollback(l); /* neither of the two runs inside a transaction */
    if (anew) e = link_vacuum(c, l, store_scrub_bytes(db) <= MEMORY_BYTES);
    if (!e) e = empty_log(c, l);
    db_release(&w);
    return e;
}

enum err store_scrub(struct call *c, struct db *db, int *copies_out)
{
    enum err e = with_writer(c, db, true);
    int      n = e ? 0 : drop_copies(c, db_path(db));
    if (!e && copies_out) *copies_out = n;
    return e;
}

enum err store_empty_log(struct call *c, struct db *db)
{
    return with_writer(c, db, false);
}
