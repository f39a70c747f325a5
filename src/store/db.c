/* store/db.c — connections, transactions and prepared statements over the driver. One writer per database, in the
 * order of asking, because SQLite would let them starve each other; readers from a small stack, so that the warmest
 * caches are used first. Statements are found by the address of their literal and kept, since preparing costs more than
 * most of them take to run. There is no nesting: a thread that asks for the writer it holds is a bug and ends here. */
/* SPDX-License-Identifier: MIT */
#include "store/db.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/metric.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"
#include "store/migrate.h"

enum { HASH_ROWS = 512 };

/* A prepared statement and, while it runs, its result. */
struct rows {
    struct statement *native;
    struct conn      *conn;
    const char       *key;       /* the literal's address */
    char             *sql;       /* its text, as a guard against a reused address */
    char              types[LIMIT_SQL_PLACEHOLDERS + 1];
    struct rows      *next;      /* in its hash row */
    uint64_t          used;      /* when, in statements run on the connection */
    struct call      *c;         /* of the open result */
    enum err          err;       /* what ended the result early */
    bool              open, kept, ended;
};

struct conn {
    struct db   *db;
    struct link *link;
    struct rows *table[HASH_ROWS];
    int          kept;
    uint64_t     clock;
    int          open_results;
    bool         writer;
    struct conn *next;           /* in the stack of idle readers */
};

struct waiter {
    pthread_cond_t turn;
    bool           called;
    struct waiter *next;
};
struct line {                    /* of threads that wait for a connection, first come first served */
    struct waiter *first, **last;
};

struct db {
    char           *path;
    pthread_mutex_t lock;
    struct conn    *writer;      /* NULL until first used */
    bool            writer_out;
    bool            writer_known; /* writer_thread has it; not while it is handed over */
    pthread_t       writer_thread;
    struct conn    *idle;
    int             idle_count, readers_out;
    struct line     for_writer, for_reader;
};

static struct db *db_new(const char *path)
{
    struct db *db = calloc(1, sizeof *db);
    if (!db || !(db->path = strdup(path))) abort();
    pthread_mutex_init(&db->lock, NULL);
    db->for_writer.last = &db->for_writer.first;
    db->for_reader.last = &db->for_reader.first;
    return db;
}

static struct conn *conn_new(struct db *db, struct link *l, bool writer)
{
    struct conn *k = calloc(1, sizeof *k);
    if (!k) abort();
    *k = (struct conn){ .db = db, .link = l, .writer = writer };
    return k;
}

/* A creator's first request waits for every connection that is opened, and each reads the whole schema: one that finds nothing
 * to migrate is kept as the first reader, one that migrated as the writer, and the other is opened when it is asked for. */
enum err db_open(struct call *c, const char *path, const char *schema, struct db **out)
{
    struct link *reader = NULL, *writer = NULL;
    bool         current = false;
    enum err     e = OK;
    if (schema && !access(path, F_OK)) e = migrate_read(c, path, schema, &reader, &current);
    if (!e && !current) e = schema ? migrate(c, path, schema, &writer) : link_open(c, path, LINK_WRITE, &writer);
    if (e) return e;
    struct db *db = db_new(path);
    if (writer) db->writer = conn_new(db, writer, true);
    if (reader) {
        db->idle = conn_new(db, reader, false);
        db->idle_count = 1;
    }
    *out = db;
    return OK;
}

static void statement_free(struct rows *s)
{
    statement_close(s->native);
    free(s->sql);
    free(s);
}

static void conn_close(struct conn *k)
{
    if (!k) return;
    for (int i = 0; i < HASH_ROWS; i++) {
        while (k->table[i]) {
            struct rows *s = k->table[i];
            k->table[i] = s->next;
            statement_free(s);
        }
    }
    link_close(k->link);
    free(k);
}

void db_close(struct db *db)
{
    if (!db) return;
    assert(!db->writer_out && !db->readers_out);
    while (db->idle) {
        struct conn *k = db->idle;
        db->idle = k->next;
        conn_close(k);
    }
    conn_close(db->writer);
    pthread_mutex_destroy(&db->lock);
    free(db->path);
    free(db);
}

const char *db_path(struct db *db)
{
    return db->path;
}

struct link *conn_link(struct conn *conn)
{
    return conn->link;
}

/* Waits in line until called or time is up; with db->lock held. The called one owns what it waited for. */
static bool wait_turn(struct call *c, struct db *db, struct line *line, int64_t wait_ms)
{
    enum { LOOK_MS = 100 }; /* the stop flag has no condition of its own */
    pthread_condattr_t monotonic;
    struct waiter me = { .called = false };
    int64_t end_ms = clock_mono_ms() + wait_ms;
    if (wait_ms <= 0) return false;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&me.turn, &monotonic);
    pthread_condattr_destroy(&monotonic);
    *line->last = &me;
    line->last = &me.next;
    while (!me.called) {
        int64_t now = clock_mono_ms(), until = now + LOOK_MS < end_ms ? now + LOOK_MS : end_ms;
        if (now >= end_ms || (c->stop && atomic_load(c->stop))) break;
        struct timespec t = { until / 1000, until % 1000 * 1000000 };
        pthread_cond_timedwait(&me.turn, &db->lock, &t);
    }
    if (!me.called) {
        struct waiter **at = &line->first;
        while (*at != &me) at = &(*at)->next;
        *at = me.next;
        if (line->last == &me.next) line->last = at;
    }
    pthread_cond_destroy(&me.turn);
    return me.called;
}

/* Hands what was just given back to the first in line; false when nobody waits. */
static bool call_next(struct line *line)
{
    struct waiter *w = line->first;
    if (!w) return false;
    line->first = w->next;
    if (!line->first) line->last = &line->first;
    w->called = true;
    pthread_cond_signal(&w->turn);
    return true;
}

static enum err too_long(struct call *c, struct db *db, const char *what)
{
    enum err e = call_check(c);
    if (e) return e;
    if (!c->err) c->retry_after_s = 1;
    const char *slash = strrchr(db->path, '/');
    return fail(c, ERR_BUSY, "too many are waiting to %s %s", what, slash ? slash + 1 : db->path);
}

static void writer_back(struct db *db)
{
    pthread_mutex_lock(&db->lock);
    db->writer_known = false;
    if (!call_next(&db->for_writer)) db->writer_out = false;
    pthread_mutex_unlock(&db->lock);
}

static void give_back(struct conn *k)
{
    struct db *db = k->db;
    struct conn *surplus = NULL;
    if (k->writer) {
        writer_back(db);
        return;
    }
    pthread_mutex_lock(&db->lock);
    if (db->idle_count < LIMIT_TENANT_READERS) {
        k->next = db->idle;
        db->idle = k;
        db->idle_count++;
    } else {
        surplus = k;
    }
    if (!call_next(&db->for_reader)) db->readers_out--;
    pthread_mutex_unlock(&db->lock);
    conn_close(surplus);
}

enum err db_read(struct call *c, struct db *db, struct conn **out)
{
    enum err e = call_check(c);
    if (e) return e;
    pthread_mutex_lock(&db->lock);
    if (db->readers_out < LIMIT_TENANT_READS) {
        db->readers_out++;
    } else if (!wait_turn(c, db, &db->for_reader, call_left_ms(c, LIMIT_SQL_WAIT_MS))) {
        pthread_mutex_unlock(&db->lock);
        return too_long(c, db, "read");
    }
    struct conn *k = db->idle;
    struct link *l = NULL;
    if (k) {
        db->idle = k->next;
        db->idle_count--;
    }
    pthread_mutex_unlock(&db->lock);
    if (!k && !(e = link_open(c, db->path, LINK_READ, &l))) k = conn_new(db, l, false);
    if (!e) e = link_begin(c, k->link, false, LIMIT_SQL_WAIT_MS);
    if (!e) {
        *out = k;
        return OK;
    }
    conn_close(k);
    pthread_mutex_lock(&db->lock);
    if (!call_next(&db->for_reader)) db->readers_out--;
    pthread_mutex_unlock(&db->lock);
    return e;
}

enum err db_write_within(struct call *c, struct db *db, int64_t wait_ms, struct conn **out)
{
    enum err e = call_check(c);
    if (e) return e;
    int64_t began_us = clock_mono_us(), end_ms = clock_mono_ms() + wait_ms;
    pthread_mutex_lock(&db->lock);
    if (db->writer_out) {
        /* Waiting for oneself never ends; who does not wait at all may ask. */
        assert(wait_ms <= 0 || !db->writer_known || !pthread_equal(db->writer_thread, pthread_self()));
        if (!wait_turn(c, db, &db->for_writer, wait_ms)) {
            pthread_mutex_unlock(&db->lock);
            return too_long(c, db, "write to");
        }
    }
    db->writer_out = db->writer_known = true;
    db->writer_thread = pthread_self();
    pthread_mutex_unlock(&db->lock);
    /* Who has the writer's turn has db->writer to themselves. */
    struct link *l = NULL;
    if (!db->writer && !(e = link_open(c, db->path, LINK_WRITE, &l))) db->writer = conn_new(db, l, true);
    int64_t left = end_ms - clock_mono_ms();
    if (!e) e = link_begin(c, db->writer->link, true, left > 0 ? left : 0);
    metric_observe("chiron_sql_wait_seconds", NULL, (double)(clock_mono_us() - began_us) / 1e6);
    if (e) {
        writer_back(db);
        return e;
    }
    *out = db->writer;
    return OK;
}

enum err db_write(struct call *c, struct db *db, struct conn **out)
{
    return db_write_within(c, db, call_left_ms(c, LIMIT_SQL_WAIT_MS), out);
}

enum err db_commit(struct call *c, struct conn **conn)
{
    struct conn *k = *conn;
    assert(k && !k->open_results);
    enum err e = link_commit(c, k->link);
    if (e) return e;
    *conn = NULL;
    give_back(k);
    return OK;
}

void db_release(struct conn **conn)
{
    struct conn *k = *conn;
    if (!k) return;
    assert(!k->open_results);
    link_rollback(k->link);
    *conn = NULL;
    give_back(k);
}

/* "?s" becomes "? " and its letter goes to types. Literals, quoted names and comments are passed over. */
static bool rewrite(char *sql, char types[LIMIT_SQL_PLACEHOLDERS + 1])
{
    int n = 0;
    for (char *p = sql; *p; p++) {
        if (*p == '\'' || *p == '"') {
            p = strchr(p + 1, *p);
            if (!p) return false;
        } else if (p[0] == '-' && p[1] == '-') {
            p += strcspn(p, "\n");
            if (!*p) break;
        } else if (*p == '?') {
            if (!p[1] || !strchr("sidb", p[1]) || n == LIMIT_SQL_PLACEHOLDERS) return false;
            types[n++] = p[1];
            *++p = ' ';
        }
    }
    types[n] = '\0';
    return true;
}

static enum err statement_new(struct call *c, struct conn *k, const char *sql, bool keep, struct rows **out)
{
    struct rows *s = calloc(1, sizeof *s);
    char *text = arena_strdup(&c->mem, sql);
    if (!s || !(s->sql = strdup(sql))) abort();
    enum err e = OK;
    if (!rewrite(text, s->types)) e = fail(c, ERR_INTERNAL, "a placeholder that is not ?s ?i ?d ?b: %.80s", sql);
    if (!e) e = link_prepare(c, k->link, text, keep, &s->native);
    if (!e && statement_parameters(s->native) != (int)strlen(s->types)) {
        statement_close(s->native);
        e = fail(c, ERR_INTERNAL, "parameters beside ?s ?i ?d ?b: %.80s", sql);
    }
    if (e) {
        free(s->sql);
        free(s);
        return e;
    }
    s->conn = k;
    s->key = sql;
    s->kept = keep;
    *out = s;
    return OK;
}

static struct rows **hash_row(struct conn *k, const char *key)
{
    return &k->table[((uintptr_t)key * 0x9e3779b97f4a7c15u >> 32) % HASH_ROWS];
}

static void forget(struct conn *k, struct rows *s)
{
    struct rows **at = hash_row(k, s->key);
    while (*at != s) at = &(*at)->next;
    *at = s->next;
    k->kept--;
    statement_free(s);
}

static void forget_oldest(struct conn *k)
{
    struct rows *oldest = NULL;
    for (int i = 0; i < HASH_ROWS; i++)
        for (struct rows *s = k->table[i]; s; s = s->next)
            if (!s->open && (!oldest || s->used < oldest->used)) oldest = s;
    if (oldest) forget(k, oldest);
}

/* A statement ready to be bound: a kept one, or a passing one while the kept one's result is still being read. */
static enum err statement_get(struct call *c, struct conn *k, const char *sql, struct rows **out)
{
    struct rows *s = *hash_row(k, sql);
    while (s && s->key != sql) s = s->next;
    if (s && !s->open && strcmp(s->sql, sql)) {
        forget(k, s);
        s = NULL;
    }
    if (!s || s->open) {
        bool     keep = !s;
        enum err e = statement_new(c, k, sql, keep, &s);
        if (e) return e;
        if (keep) {
            if (k->kept == LIMIT_SQL_STATEMENTS) forget_oldest(k);
            struct rows **at = hash_row(k, sql);
            s->next = *at;
            *at = s;
            k->kept++;
        }
    }
    s->used = ++k->clock;
    s->err = OK;
    s->ended = false;
    *out = s;
    return OK;
}

static void bind_all(struct rows *s, bool copy, va_list ap)
{
    for (int i = 0; s->types[i]; i++) {
        switch (s->types[i]) {
        case 's': bind_text(s->native, i + 1, va_arg(ap, const char *), copy); break;
        case 'i': bind_int(s->native, i + 1, va_arg(ap, int64_t)); break;
        case 'd': bind_real(s->native, i + 1, va_arg(ap, double)); break;
        case 'b': {
            const void *p = va_arg(ap, const void *);
            bind_blob(s->native, i + 1, p, va_arg(ap, size_t), copy);
            break;
        }
        }
    }
}

static enum err start(struct call *c, struct conn *k, const char *sql, bool copy, va_list ap, struct rows **out)
{
    if (!link_in_transaction(k->link)) return fail(c, ERR_INTERNAL, "the transaction has ended with an earlier error");
    struct rows *s = NULL;
    enum err e = statement_get(c, k, sql, &s);
    if (e) return e;
    bind_all(s, copy, ap);
    s->open = true;
    s->c = c;
    k->open_results++;
    *out = s;
    return OK;
}

static void finish(struct rows *s)
{
    statement_reset(s->native);
    s->open = false;
    s->conn->open_results--;
    if (!s->kept) statement_free(s);
}

enum err db_run(struct call *c, struct conn *conn, const char *sql, ...)
{
    struct rows *s = NULL;
    va_list ap;
    va_start(ap, sql);
    enum err e = start(c, conn, sql, false, ap, &s);
    va_end(ap);
    if (e) return e;
    for (bool row = true; !e && row;) e = statement_step(c, conn->link, s->native, &row);
    finish(s);
    return e;
}

int64_t db_changes(struct conn *conn)
{
    return link_changes(conn->link);
}

/* Values are copied here, unlike in db_run: the result is stepped after this returns and reads them again. */
enum err db_select(struct call *c, struct conn *conn, struct rows **out, const char *sql, ...)
{
    struct rows *s = NULL;
    va_list ap;
    va_start(ap, sql);
    enum err e = start(c, conn, sql, true, ap, &s);
    va_end(ap);
    if (e) return e;
    *out = s;
    return OK;
}

bool rows_next(struct rows *r)
{
    bool row = false;
    if (r->ended) return false; /* one step more would run the statement again */
    r->err = statement_step(r->c, r->conn->link, r->native, &row);
    r->ended = r->err || !row;
    return !r->ended;
}

const char *rows_text(struct rows *r, int col)
{
    return column_text(r->native, col);
}

int64_t rows_int(struct rows *r, int col)
{
    return column_int(r->native, col);
}

double rows_real(struct rows *r, int col)
{
    return column_real(r->native, col);
}

const void *rows_blob(struct rows *r, int col, size_t *len_out)
{
    return column_blob(r->native, col, len_out);
}

bool rows_null(struct rows *r, int col)
{
    return column_null(r->native, col);
}

enum err rows_close(struct call *c, struct rows **r, enum err sofar)
{
    struct rows *s = *r;
    (void)c;
    if (!s) return sofar;
    enum err ended = s->err;
    *r = NULL;
    finish(s);
    return sofar ? sofar : ended;
}

enum err db_get_int(struct call *c, struct conn *conn, int64_t dflt, int64_t *out, const char *sql, ...)
{
    struct rows *s = NULL;
    bool row = false;
    va_list ap;
    va_start(ap, sql);
    enum err e = start(c, conn, sql, false, ap, &s);
    va_end(ap);
    if (e) return e;
    e = statement_step(c, conn->link, s->native, &row);
    if (!e) *out = row && !column_null(s->native, 0) ? column_int(s->native, 0) : dflt;
    finish(s);
    return e;
}

enum err db_get_text(struct call *c, struct conn *conn, const char **out, const char *sql, ...)
{
    struct rows *s = NULL;
    bool row = false;
    va_list ap;
    va_start(ap, sql);
    enum err e = start(c, conn, sql, false, ap, &s);
    va_end(ap);
    if (e) return e;
    e = statement_step(c, conn->link, s->native, &row);
    if (!e) *out = row ? arena_strdup(&c->mem, column_text(s->native, 0)) : NULL;
    finish(s);
    return e;
}
