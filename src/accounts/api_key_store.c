/* All SQL of managing API keys. Each statement names the creator beside the id: another creator's key is not there. Counting
 * and inserting share one transaction, so that the bound holds when two come at once. */
/* SPDX-License-Identifier: MIT */
#include "accounts/api_key_store.h"

#include <stdlib.h>
#include <string.h>

#include "accounts/role.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/db.h"
#include "store/store.h"

static unsigned scopes_read(struct call *c, const char *text)
{
    json_t  *list = NULL;
    unsigned bits = 0;
    if (!text || json_parse(c, text, strlen(text), &list)) {
        call_forgive(c);
        return 0;
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *word = json_string_value(json_array_get(list, i));
        if (word) bits |= right_of(word);
    }
    json_decref(list);
    return bits;
}

static const char *scopes_text(struct call *c, unsigned scopes)
{
    struct buf b;
    buf_init(&b, 4096);
    struct json_out j;
    json_out_init(&j, &b);
    rights_put(&j, NULL, scopes);
    const char *text = arena_strdup(&c->mem, b.data ? b.data : "[]");
    buf_dispose(&b);
    return text;
}

static struct api_key key_row(struct call *c, struct rows *r)
{
    return (struct api_key){ .id = arena_strdup(&c->mem, rows_text(r, 0)), .name = arena_strdup(&c->mem, rows_text(r, 1)),
                             .prefix = arena_strdup(&c->mem, rows_text(r, 2)), .hash = arena_strdup(&c->mem, rows_text(r, 3)),
                             .scopes = scopes_read(c, rows_text(r, 4)), .created_by = arena_strdup(&c->mem, rows_text(r, 5)),
                             .created_ms = rows_int(r, 6), .expires_ms = rows_int(r, 7), .used_ms = rows_int(r, 8),
                             .ended_ms = rows_int(r, 9), .ended_why = arena_strdup(&c->mem, rows_text(r, 10)),
                             .replaced_by = arena_strdup(&c->mem, rows_text(r, 11)) };
}

enum err api_key_load(struct call *c, const char *id, struct api_key *out, bool *found_out)
{
    struct conn   *r = NULL;
    struct rows   *rows = NULL;
    struct api_key k = { 0 };
    bool           found = false;
    enum err       e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT id, name, prefix, hash, scopes, created_by, created_ms, expires_ms, used_ms, ended_ms, "
                                   "ended_why, replaced_by FROM api_key WHERE creator_id = ?s AND id = ?s", c->creator_id, id);
    if (!e && rows_next(rows)) {
        k = key_row(c, rows);
        found = true;
    }
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    if (found) *out = k;
    *found_out = found;
    return OK;
}

enum err api_key_load_list(struct call *c, int64_t now_ms, struct api_key **out, int *n_out)
{
    const int       max = API_KEY_LIVE_MAX + API_KEY_ENDED_MAX;
    struct conn    *r = NULL;
    struct rows    *rows = NULL;
    struct api_key *list = arena_array(&c->mem, (size_t)max, sizeof *list);
    int             n = 0;
    enum err        e = db_read(c, store_accounts(), &r);
    if (!e)
        e = db_select(c, r, &rows, "SELECT id, name, prefix, hash, scopes, created_by, created_ms, expires_ms, used_ms, ended_ms, "
                                   "ended_why, replaced_by FROM api_key WHERE creator_id = ?s "
                                   "ORDER BY (ended_ms IS NOT NULL OR COALESCE(expires_ms <= ?i, 0)), created_ms DESC, id DESC LIMIT ?i",
                      c->creator_id, now_ms, (int64_t)max);
    while (!e && n < max && rows_next(rows)) list[n++] = key_row(c, rows);
    e = rows_close(c, &rows, e);
    db_release(&r);
    if (e) return e;
    *out = list;
    *n_out = n;
    return OK;
}

static enum err insert(struct call *c, struct conn *w, const struct api_key *k)
{
    if (k->expires_ms)
        return db_run(c, w, "INSERT INTO api_key(id, creator_id, name, prefix, hash, scopes, created_by, created_ms, expires_ms) "
                            "VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?i, ?i)",
                      k->id, c->creator_id, k->name, k->prefix, k->hash, scopes_text(c, k->scopes), k->created_by, k->created_ms,
                      k->expires_ms);
    return db_run(c, w, "INSERT INTO api_key(id, creator_id, name, prefix, hash, scopes, created_by, created_ms) "
                        "VALUES (?s, ?s, ?s, ?s, ?s, ?s, ?s, ?i)",
                  k->id, c->creator_id, k->name, k->prefix, k->hash, scopes_text(c, k->scopes), k->created_by, k->created_ms);
}

enum err api_key_insert(struct call *c, const struct api_key *k, bool *full_out)
{
    struct conn *w = NULL;
    int64_t      live = 0;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_get_int(c, w, 0, &live, "SELECT count(*) FROM api_key WHERE creator_id = ?s AND ended_ms IS NULL "
                                       "AND (expires_ms IS NULL OR expires_ms > ?i)", c->creator_id, k->created_ms);
    bool full = live >= API_KEY_LIVE_MAX;
    if (!e && !full) e = insert(c, w, k);
    if (!e && !full)
        e = db_run(c, w, "DELETE FROM api_key WHERE id IN (SELECT id FROM api_key WHERE creator_id = ?s AND (ended_ms IS NOT NULL OR "
                         "expires_ms <= ?i) ORDER BY created_ms DESC, id DESC LIMIT 1000000 OFFSET ?i) AND id NOT IN "
                         /* The way from a maker's end to what it made. */
                         "(SELECT created_by FROM api_key WHERE creator_id = ?s AND created_by IS NOT NULL AND ended_ms IS NULL)",
                   c->creator_id, k->created_ms, (int64_t)API_KEY_ENDED_MAX, c->creator_id);
    if (!e && !full) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *full_out = full;
    return e;
}

enum err api_key_replace(struct call *c, const char *old_id, int64_t old_ends_ms, const struct api_key *next, bool *replaced_out)
{
    struct conn *w = NULL;
    bool         replaced = false;
    int64_t      now = next->created_ms;
    enum err     e = db_write(c, store_accounts(), &w);
    /* While it still has its grace, only its expiry moves: what is checked at a request knows no third state. */
    if (!e && old_ends_ms > now)
        e = db_run(c, w, "UPDATE api_key SET replaced_by = ?s, expires_ms = CASE WHEN expires_ms IS NULL OR expires_ms > ?i THEN ?i "
                         "ELSE expires_ms END WHERE id = ?s AND creator_id = ?s AND ended_ms IS NULL AND replaced_by IS NULL AND "
                         "(expires_ms IS NULL OR expires_ms > ?i)",
                   next->id, old_ends_ms, old_ends_ms, old_id, c->creator_id, now);
    else if (!e)
        e = db_run(c, w, "UPDATE api_key SET replaced_by = ?s, ended_ms = ?i, ended_why = 'rotated' WHERE id = ?s AND creator_id = ?s AND "
                         "ended_ms IS NULL AND replaced_by IS NULL AND (expires_ms IS NULL OR expires_ms > ?i)",
                   next->id, now, old_id, c->creator_id, now);
    if (!e) replaced = db_changes(w) == 1;
    if (!e && replaced) e = insert(c, w, next);
    if (!e && replaced)
        e = db_run(c, w, "UPDATE api_key SET created_by = ?s WHERE creator_id = ?s AND created_by = ?s AND id <> ?s", next->id,
                   c->creator_id, old_id, next->id);
    if (!e && replaced) e = db_commit(c, &w);
    db_release(&w);
    if (!e) *replaced_out = replaced;
    return e;
}

enum err api_key_end(struct call *c, const char *id, const char *why)
{
    struct conn *w = NULL;
    enum err     e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND id = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id WHERE k.creator_id = ?s) "
                         "UPDATE api_key SET ended_ms = ?i, ended_why = ?s WHERE ended_ms IS NULL AND id IN (SELECT id FROM made)",
                   c->creator_id, id, c->creator_id, clock_unix_ms(), why);
    /* So is a user's sign-in, which renews itself: of this key, of those it made, and of those it came after. */
    if (!e)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND id = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON (k.created_by = m.id OR k.replaced_by = m.id) WHERE k.creator_id = ?s) "
                         "UPDATE session SET ended_ms = ?i, ended_why = 'key ended' WHERE ended_ms IS NULL AND key_id IN "
                         "(SELECT id FROM made)", c->creator_id, id, c->creator_id, clock_unix_ms());
    /* An invitation is a door as well: who made it through a stolen key must not come in by it afterwards. */
    if (!e)
        e = db_run(c, w, "WITH RECURSIVE made(id) AS (SELECT id FROM api_key WHERE creator_id = ?s AND id = ?s UNION "
                         "SELECT k.id FROM api_key k JOIN made m ON k.created_by = m.id WHERE k.creator_id = ?s) "
                         "DELETE FROM mail_link WHERE purpose = 'invite' AND creator_id = ?s AND used_ms IS NULL AND created_by IN "
                         "(SELECT id FROM made)", c->creator_id, id, c->creator_id, c->creator_id);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
