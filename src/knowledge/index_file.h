/* knowledge/index_file.h — a creator's index as a file beside their database, so that opening maps it and reads only what
 * changed since, instead of reading every vector and term out of rows. The rows stay the truth; the file is made from them
 * and thrown away whenever in doubt.
 *     col = index_file_read(c, r, generation);            // NULL: none that fits; read all anew
 *     index_file_write(c, col);                           // nothing of col may be dead
 *
 * Which: the file and the database hold the same random mark, set in one transaction with the renaming. A database that was
 * restored, moved or replaced holds another, or none. Checked as a whole by a checksum, and every number by its bounds.
 *
 * What was deleted: the transaction that takes an item out removes mark and file, so no file stands that holds words or
 * vectors of what is gone; it is written again, without them, some seconds after the last change. Backups leave it out.
 * Readers that have it mapped go on. Any thread; two writers at once leave one file and one mark, or no fitting pair. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_INDEX_FILE_H
#define CHIRON_KNOWLEDGE_INDEX_FILE_H
#include "base/call.h"

struct collection;
struct conn;
struct index_file;

#define INDEX_MARK_BYTES 40

/* The collection as it was written, with one reference; of a generation not above this one. */
struct collection *index_file_read(struct call *c, struct conn *r, int64_t generation);
/* false, and nothing stands: it could not be written (the log says why), or something was taken out meanwhile. */
bool index_file_write(struct call *c, const struct collection *col);
void index_file_drop(struct call *c);
void index_file_close(struct index_file *f);     /* NULL allowed */
/* Of a file's bytes: a collection over them that does not own them, and the file's mark; NULL: *why_out says what is wrong. */
struct collection *index_file_parse(const void *data, size_t n, char mark_out[INDEX_MARK_BYTES], const char **why_out);
/* Puts length and checksum of a file's bytes in their places; too few bytes stay as they are. */
void index_file_seal(void *data, size_t n);
#endif
