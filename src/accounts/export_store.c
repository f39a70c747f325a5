/* From rows to the members of JSON objects, by a list of names. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/export_parts.h"
#include "base/clock.h"
#include "store/db.h"
#include "store/store.h"

enum { NAME_BYTES = 64 };

enum err export_begin(struct call *c, bool creator, struct conn **out)
{
    return db_read(c, creator ? tenant_db(c->tenant) : store_accounts(), out);
}

void export_end(struct conn **r)
{
    db_release(r);
}

enum err export_creators(struct call *c, const char *account_id, const char ***ids_out, int *n_out)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    const char **ids = NULL;
    int64_t      count = 0;
    int          n = 0;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &count, "SELECT count(*) FROM member WHERE account_id = ?s", account_id);
    if (!e) {
        ids = arena_array(&c->mem, (size_t)count + 1, sizeof *ids);
        e = db_select(c, r, &rs, "SELECT creator_id FROM member WHERE account_id = ?s ORDER BY creator_id", account_id);
    }
    while (!e && n < count && rows_next(rs)) ids[n++] = arena_strdup(&c->mem, rows_text(rs, 0));
    e = rows_close(c, &rs, e);
    db_release(&r);
    if (e) return e;
    *ids_out = ids;
    *n_out = n;
    return OK;
}

static void put_floats(struct json_out *j, const char *name, struct rows *rs, int col)
{
    size_t      n = 0;
    const char *p = rows_blob(rs, col, &n);
    json_begin_array(j, name);
    for (size_t i = 0; p && i + sizeof(float) <= n; i += sizeof(float)) {
        float v;
        memcpy(&v, p + i, sizeof v);
        json_put_float(j, NULL, v);
    }
    json_end(j);
}

static void put_column(struct json_out *j, const char *name, char kind, struct rows *rs, int col)
{
    char        iso[25];
    const char *text;
    if (rows_null(rs, col)) {
        json_put_null(j, name);
        return;
    }
    switch (kind) {
    case '#': json_put_int(j, name, rows_int(rs, col)); break;
    case '%': json_put_real(j, name, rows_real(rs, col)); break;
    case '?': json_put_bool(j, name, rows_int(rs, col) != 0); break;
    case '@': json_put_text(j, name, clock_iso(rows_int(rs, col), iso)); break;
    case '*': put_floats(j, name, rs, col); break;
    case '{':
        text = rows_text(rs, col);
        json_put_raw(j, name, text, strlen(text));
        break;
    default: json_put_text(j, name, rows_text(rs, col));
    }
}

enum err export_rows(struct call *c, struct rows **rs, enum err e, struct export_to *x, const char *columns)
{
    while (!e && rows_next(*rs)) {
        struct json_out *j = export_row(x);
        int              col = 0;
        for (const char *p = columns; *p; col++) {
            char   name[NAME_BYTES];
            size_t n = strcspn(p, " "), bare = strcspn(p, " #%?@*{");
            snprintf(name, sizeof name, "%.*s", (int)bare, p);
            put_column(j, name, bare < n ? p[bare] : 't', *rs, col);
            p += n;
            p += strspn(p, " ");
        }
        e = export_row_end(c, x);
    }
    return rows_close(c, rs, e);
}
