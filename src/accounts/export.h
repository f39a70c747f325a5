/* accounts/export.h — all that is kept about somebody, as one file in open formats: a zip with a manifest, one JSON object a line for
 * each table, and the documents they gave; or everything but those files as one JSON object. Nothing is held in memory but a row.
 *     const char *path;  struct export_sum sum;
 *     e = export_make(c, &who, EXPORT_ZIP, &path, &sum);   …send or move it…   export_drop(path);                      */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_EXPORT_H
#define CHIRON_ACCOUNTS_EXPORT_H
#include "accounts/person_table.h"
#include "base/json.h"

enum export_form { EXPORT_ZIP, EXPORT_JSON };
struct export_sum { int64_t rows, files, bytes; };
/* The file lies in the data folder's tmp/, readable by this process alone. c->tenant: the creator's, for users and creators.
 * ERR_TOO_LARGE: over most_bytes (0: LIMIT_EXPORT_BYTES). */
MUST_CHECK enum err export_make(struct call *c, const struct person_who *p, enum export_form form, int64_t most_bytes,
                                const char **path_out, struct export_sum *sum_out);
/* Is there a row of this person in c->tenant's database? The first one found ends the search. */
MUST_CHECK enum err export_any(struct call *c, const struct person_who *p, bool *out);
void export_drop(const char *path);      /* the file and the folder it lies in; NULL allowed */

/* What processes left that died over it. */
void export_sweep(struct call *c);

/* ---- for the tables ---- */
struct rows;
/* One row after the other: an object is begun already, write its members, then end it. */
struct json_out *export_row(struct export_to *x);
MUST_CHECK enum err export_row_end(struct call *c, struct export_to *x);
/* All rows of a result, which it closes; e is what came so far. columns: a name for each, separated by blanks, ended by # whole
 * number, % number, ? yes or no, @ time (unix ms, shown as ISO 8601), {} JSON, * little-endian floats; else text. */
MUST_CHECK enum err export_rows(struct call *c, struct rows **rs, enum err e, struct export_to *x, const char *columns);
/* Wherever a whole creator is asked for, these are NULL and match everybody: "(?s IS NULL OR user_id = ?s)". */
#define EXPORT_USER(p) (p)->user_id, (p)->user_id
#endif
