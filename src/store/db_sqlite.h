/* store/db_sqlite.h — the one place that speaks to SQLite: a link is one connection to one file. One thread at a time.
 * Only db.c, migrate.c, backup.c, fingerprint.c and store.c use it; others go through store/db.h.                               */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_DB_SQLITE_H
#define CHIRON_STORE_DB_SQLITE_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"

struct link;
struct statement;   /* prepared; belongs to its link */

enum link_use {
    LINK_READ,      /* reading only; any change is refused */
    LINK_WRITE,     /* creates the file when there is none */
    LINK_MIGRATE,   /* as write, foreign keys are checked at the end instead of all the time */
    LINK_SNAPSHOT,  /* a finished copy: read without leaving a trace beside it */
};
void link_setup(void);                                     /* before the first link; again is allowed */
MUST_CHECK enum err link_open(struct call *c, const char *path, enum link_use use, struct link **out);
void link_close(struct link *l);                           /* NULL allowed; all statements must be gone */

/* Waits for other processes up to wait_ms. ERR_BUSY. */
MUST_CHECK enum err link_begin(struct call *c, struct link *l, bool write, int64_t wait_ms);
MUST_CHECK enum err link_commit(struct call *c, struct link *l);
void link_rollback(struct link *l);                        /* nothing to do is allowed */
bool link_in_transaction(struct link *l);                   /* some errors end it early */
int64_t link_changes(struct link *l);

/* Exactly one statement. Its parameters are numbered from 1. */
MUST_CHECK enum err link_prepare(struct call *c, struct link *l, const char *sql, bool keep, struct statement **out);
int  statement_parameters(struct statement *s);
int  statement_columns(struct statement *s);               /* of its result */
const char *statement_column(struct statement *s, int col); /* a column's name */
void statement_close(struct statement *s);
void statement_reset(struct statement *s);                 /* ends its result and forgets its values */
/* Without copy the value must live until the statement is reset. */
void bind_text(struct statement *s, int at, const char *v, bool copy);
void bind_int(struct statement *s, int at, int64_t v);
void bind_real(struct statement *s, int at, double v);
void bind_blob(struct statement *s, int at, const void *p, size_t n, bool copy);
/* *row_out: a row is there. The call's stop flag and deadline end a long statement. */
MUST_CHECK enum err statement_step(struct call *c, struct link *l, struct statement *s, bool *row_out);
const char *column_text(struct statement *s, int col);
int64_t     column_int(struct statement *s, int col);
double      column_real(struct statement *s, int col);
const void *column_blob(struct statement *s, int col, size_t *len_out);
bool        column_null(struct statement *s, int col);

MUST_CHECK enum err link_script(struct call *c, struct link *l, const char *sql);          /* several statements */
/* Writes the file anew without what was removed; outside of a transaction. in_memory: not through an unnamed file in SQLITE_TMPDIR. */
MUST_CHECK enum err link_vacuum(struct call *c, struct link *l, bool in_memory);
MUST_CHECK enum err link_copy(struct call *c, struct link *from, const char *to_path);     /* last commit → new file, on disk when OK */
MUST_CHECK enum err link_verify(struct call *c, struct link *l, bool quick);               /* ERR_CORRUPT with the first fault */
MUST_CHECK enum err link_verify_keys(struct call *c, struct link *l);                      /* dangling foreign keys */
#endif
