/* store/db_open.h — opening and closing what store/db.h reads and writes; for the other files of store/ only. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_DB_OPEN_H
#define CHIRON_STORE_DB_OPEN_H
#include "store/db.h"

struct link;
/* Opens, creating when needed, and brings it to a schema ("creator"); NULL: to none. Free with db_close, when every
 * connection has been released. */
MUST_CHECK enum err db_open(struct call *c, const char *path, const char *schema, struct db **out);
void                db_close(struct db *db);                /* NULL allowed */
const char         *db_path(struct db *db);
/* As db_write, but waits at most wait_ms; 0: only when it is free now. */
MUST_CHECK enum err db_write_within(struct call *c, struct db *db, int64_t wait_ms, struct conn **out);
struct link        *conn_link(struct conn *conn);
#endif
