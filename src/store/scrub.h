/* store/scrub.h — taking the bytes of removed rows out of a database's files. Deleting overwrites a row where it stands
 * (secure_delete), but not where pages were split or joined before, nor in the write-ahead log; this writes the file anew and
 * empties the log. Any thread.                                                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_SCRUB_H
#define CHIRON_STORE_SCRUB_H
#include "base/call.h"

struct db;
/* Nothing of removed rows is left in the file or its log when OK, and the copies made before migrations are gone. Writers wait
 * meanwhile, about a second per 150 MB; readers do not. ERR_BUSY: a reader kept the log from being emptied for LIMIT_SQL_WAIT_MS:
 * again later. copies_out: how many copies went, may be NULL. */
MUST_CHECK enum err store_scrub(struct call *c, struct db *db, int *copies_out);
/* Bytes of the file and its log: what scrubbing would write. */
int64_t store_scrub_bytes(struct db *db);
/* Empties the log alone: cheap, for after the daily removal of what is old. */
MUST_CHECK enum err store_empty_log(struct call *c, struct db *db);
#endif
