/* store/migrate.h — brings a database to the schema this binary was built with. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_MIGRATE_H
#define CHIRON_STORE_MIGRATE_H
#include "base/call.h"

struct link;
struct migration {
    int         number;      /* "0010_documents.sql" is 10 */
    const char *name;        /* "0010_documents.sql" */
    const char *sql;         /* NUL-terminated */
};
/* Creates the file when there is none. All pending migrations run in one transaction, after a copy of what was there
 * went to backups/ beside the file. Any number of processes may do it at once: one migrates, the others find it done.
 * ERR_CONFLICT: the file was made by a newer binary; the words name both numbers.
 * out: the link that was used, fit for writing from then on; NULL: not wanted. */
MUST_CHECK enum err migrate(struct call *c, const char *db_path, const char *schema /* "accounts", "creator" */, struct link **out);
/* Whether a file that is there needs no migration; then *out is the reading link that found it out. ERR_CONFLICT as above. */
MUST_CHECK enum err migrate_read(struct call *c, const char *db_path, const char *schema, struct link **out, bool *current_out);
/* The same with the list given: ascending numbers. */
MUST_CHECK enum err migrate_with(struct call *c, const char *db_path, const struct migration *list, int count, struct link **out);
#endif
