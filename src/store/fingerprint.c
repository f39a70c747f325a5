/* store/fingerprint.c — a sum over the hashes of a table's rows, so that neither their order nor free pages count. Tables are taken
 * from the database and not from a list here: one that was forgotten would be one that is not watched. It refuses to leave a
 * table out; callers who expect a change in one say so themselves. */
/* SPDX-License-Identifier: MIT */
#include "store/fingerprint.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/id.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"

enum { TABLES_MAX = 256, ROW_BYTES = 64 << 20 };

/* In a text an id says nothing of whose the row is. */
static bool holds(struct statement *s, int columns, const char *const *words)
{
    if (!words) return true;
    for (int i = 0; i < columns; i++) {
        const char *name = statement_column(s, i), *v = NULL;
        size_t      n = strlen(name);
        if (n >= 2 && !strcmp(name + n - 2, "id")) v = column_null(s, i) ? NULL : column_text(s, i);
        for (int k = 0; v && words[k]; k++)
            if (!strcmp(v, words[k])) return true;
    }
    return false;
}

/* Lengths before the values, so that what one column ends with cannot stand for what the next begins with. */
static void row_hash(struct statement *s, int columns, struct buf *b, char out[65])
{
    buf_clear(b);
    for (int i = 0; i < columns; i++) {
        size_t      n = 0;
        bool        null = column_null(s, i);
        const void *p = null ? NULL : column_blob(s, i, &n);
        buf_printf(b, "%c%zu:", null ? 'n' : 'v', n);
        if (n) buf_add(b, p, n);
    }
    id_sha256_hex(b->data, b->len, out);
}

static unsigned nibble(char ch)
{
    return ch <= '9' ? (unsigned)(ch - '0') : (unsigned)(ch - 'a' + 10);
}

/* Adds the first 128 bits of a hash to a sum, both as hex. */
static void add(char sum[33], const char *hash)
{
    unsigned carry = 0;
    for (int i = 31; i >= 0; i--) {
        unsigned v = nibble(sum[i]) + nibble(hash[i]) + carry;
        sum[i] = "0123456789abcdef"[v % 16];
        carry = v / 16;
    }
}

/* A table's name cannot be a parameter. It comes from the schema itself and is quoted; no value of anybody's is near. */
static enum err every_row(struct call *c, struct link *l, const char *table, struct statement **out)
{
    static const char begin[] = "SELECT * FROM \"";
    struct buf        b;
    buf_init(&b, 1024);
    buf_adds(&b, begin);
    for (const char *p = table; *p; p++) buf_add(&b, *p == '"' ? "\"\"" : p, *p == '"' ? 2 : 1);
    buf_addc(&b, '"');
    enum err e = b.failed ? fail(c, ERR_INTERNAL, "a table's name is too long") : link_prepare(c, l, b.data, false, out);
    buf_dispose(&b);
    return e;
}

static enum err table_take(struct call *c, struct link *l, const char *const *words, struct buf *row, struct fingerprint *f)
{
    struct statement *s = NULL;
    bool              more = false;
    char              hash[65];
    enum err          e = every_row(c, l, f->table, &s);
    if (e) return e;
    memset(f->sum, '0', 32);
    f->sum[32] = 0;
    while (!(e = statement_step(c, l, s, &more)) && more) {
        int columns = statement_columns(s);
        if (!holds(s, columns, words)) continue;
        row_hash(s, columns, row, hash);
        if (row->failed) {
            e = fail(c, ERR_TOO_LARGE, "a row of %s is over %d bytes", f->table, ROW_BYTES);
            break;
        }
        add(f->sum, hash);
        f->rows++;
    }
    statement_close(s);
    return e;
}

static enum err tables_of(struct call *c, struct link *l, struct fingerprint *list, int *n_out)
{
    static const char all[] = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    struct statement *s = NULL;
    bool              more = false;
    int               n = 0;
    enum err          e = link_prepare(c, l, all, false, &s);
    if (e) return e;
    while (!(e = statement_step(c, l, s, &more)) && more) {
        if (n == TABLES_MAX) {
            e = fail(c, ERR_TOO_LARGE, "more than %d tables", TABLES_MAX);
            break;
        }
        list[n++].table = arena_strdup(&c->mem, column_text(s, 0));
    }
    statement_close(s);
    *n_out = n;
    return e;
}

enum err fingerprint_take(struct call *c, struct db *db, const char *const *words, struct fingerprint **out, int *n_out)
{
    struct fingerprint *list = arena_array(&c->mem, TABLES_MAX, sizeof *list);
    struct conn        *r = NULL;
    struct buf          row;
    int                 n = 0;
    buf_init(&row, ROW_BYTES);
    enum err e = db_read(c, db, &r);
    if (!e) e = tables_of(c, conn_link(r), list, &n);
    for (int i = 0; !e && i < n; i++) e = table_take(c, conn_link(r), words, &row, &list[i]);
    db_release(&r);
    buf_dispose(&row);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}
