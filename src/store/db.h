/* store/db.h — the one SQL door. A database is accounts.db or one creator's file (SQLite), later a PostgreSQL schema;
 * callers see no difference: one dialect, typed placeholders, strings and numbers in, strings and numbers out.
 * Any thread takes a connection; a connection belongs to one thread until it is given back. Readers see the last
 * commit and never wait for the writer; there is one writer per database, others queue (LIMIT_SQL_WAIT_MS, then ERR_BUSY).
 *     struct conn *w = NULL;
 *     e = db_write(c, db, &w);                                         // BEGIN
 *     if (!e) e = db_run(c, w, "INSERT INTO doc(id, size_bytes) VALUES (?s, ?i)", id, (int64_t)n);
 *     if (!e) e = db_commit(c, &w);                                    // durable when it returns OK
 *     db_release(&w);                                                  // rolls back what was not committed
 * Placeholders: ?s const char* (NULL is SQL NULL), ?i int64_t, ?d double, ?b const void*, size_t.
 * Statements are prepared once per connection and kept; SQL must be a string literal.                            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_DB_H
#define CHIRON_STORE_DB_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

struct db;     /* an open database; owned by store (accounts) or store/tenant (creators) */
struct conn;   /* a connection inside a read or write transaction */
struct rows;   /* an open result */

MUST_CHECK enum err db_read(struct call *c, struct db *db, struct conn **out);   /* a consistent snapshot */
MUST_CHECK enum err db_write(struct call *c, struct db *db, struct conn **out);
MUST_CHECK enum err db_commit(struct call *c, struct conn **conn);               /* commits and releases; *conn becomes NULL */
void                db_release(struct conn **conn);                              /* NULL allowed; open rows must be closed */

/* A statement without a result. ERR_CONFLICT: a unique or foreign key; ERR_IO: disk; ERR_CORRUPT; ERR_BUSY. */
MUST_CHECK enum err db_run(struct call *c, struct conn *conn, const char *sql, ...);
int64_t             db_changes(struct conn *conn);       /* rows the last db_run touched */

/* A result, row by row. Columns count from 0. Pointers live until the next rows_next or rows_close: copy to keep.
 *     e = db_select(c, r, &rows, "SELECT id FROM doc WHERE size_bytes > ?i", (int64_t)9);
 *     while (!e && rows_next(rows)) use(rows_text(rows, 0));
 *     e = rows_close(c, &rows, e);                     // gives e back, or the error the result ended with         */
MUST_CHECK enum err db_select(struct call *c, struct conn *conn, struct rows **out, const char *sql, ...);
bool        rows_next(struct rows *r);                   /* false: the end, or an error that rows_close reports */
const char *rows_text(struct rows *r, int col);          /* NULL for SQL NULL */
int64_t     rows_int(struct rows *r, int col);
double      rows_real(struct rows *r, int col);
const void *rows_blob(struct rows *r, int col, size_t *len_out);
bool        rows_null(struct rows *r, int col);
MUST_CHECK enum err rows_close(struct call *c, struct rows **r, enum err sofar); /* NULL allowed */

/* One value of the first row: dflt when there is no row or it is NULL. */
MUST_CHECK enum err db_get_int(struct call *c, struct conn *conn, int64_t dflt, int64_t *out, const char *sql, ...);
MUST_CHECK enum err db_get_text(struct call *c, struct conn *conn, const char **out /* in c->mem, or NULL */, const char *sql, ...);
#endif
