/* The marks of erased people. Nobody can be found out by trying ids without the instance's key, and no row says more than that
 * somebody of this creator was erased and when. The order matters: the mark in accounts.db comes first and turns new
 * requests away; the one in the creator's database comes with the removal, so that every write of theirs is either before
 * it and removed, or after it and refused. */
/* SPDX-License-Identifier: MIT */
#include "store/erased.h"

#include <ctype.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "store/db.h"
#include "store/secret.h"
#include "store/store.h"

enum { MARK_HEX = 2 * SECRET_BYTES + 1 };

static enum err mark_of(struct call *c, const char *creator_id, const char *user_id, char out[MARK_HEX])
{
    unsigned char mac[SECRET_BYTES];
    /* Ids hold no slash. */
    const char *text = arena_printf(&c->mem, "%s/%s", creator_id, user_id);
    enum err    e = secret_mac(c, "erased person", text, strlen(text), mac);
    if (!e) sodium_bin2hex(out, MARK_HEX, mac, sizeof mac);
    return e;
}

enum err erased_is(struct call *c, const char *creator_id, const char *user_id, bool *out)
{
    struct conn *r = NULL;
    int64_t      n = 0;
    char         mark[MARK_HEX];
    enum err     e = mark_of(c, creator_id, user_id, mark);
    if (!e) e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_int(c, r, 0, &n, "SELECT count(*) FROM erased WHERE mark = ?s", mark);
    db_release(&r);
    if (!e) *out = n > 0;
    return e;
}

enum err erased_check(struct call *c, struct conn *w, const char *user_id)
{
    int64_t n = 0;
    char    mark[MARK_HEX];
    if (!user_id || !*user_id) return OK;
    enum err e = mark_of(c, tenant_id(c->tenant), user_id, mark);
    if (!e) e = db_get_int(c, w, 0, &n, "SELECT count(*) FROM erased WHERE mark = ?s", mark);
    if (!e && n) e = fail(c, ERR_CONFLICT, "this user was erased");
    return e;
}

enum err erased_put(struct call *c, const char *creator_id, const char *user_id)
{
    struct conn *w = NULL;
    char         mark[MARK_HEX];
    enum err     e = mark_of(c, creator_id, user_id, mark);
    if (!e) e = db_write(c, store_accounts(), &w);
    if (!e)
        e = db_run(c, w, "INSERT INTO erased(mark, creator_id, at_ms) VALUES (?s, ?s, ?i) ON CONFLICT(mark) DO NOTHING", mark,
                   creator_id, clock_unix_ms());
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}

enum err erased_put_in(struct call *c, struct conn *w, const char *user_id)
{
    char     mark[MARK_HEX];
    enum err e = mark_of(c, tenant_id(c->tenant), user_id, mark);
    if (!e)
        e = db_run(c, w, "INSERT INTO erased(mark, at_ms) VALUES (?s, ?i) ON CONFLICT(mark) DO NOTHING", mark, clock_unix_ms());
    return e;
}

/* Ids that differ only in case share a folder, so they share a name here too. No user has the id "". */
static const char *any_case(struct call *c, const char *creator_id)
{
    char *id = arena_strdup(&c->mem, creator_id);
    for (char *p = id; *p; p++) *p = (char)tolower((unsigned char)*p);
    return id;
}

enum err erased_creator_put_in(struct call *c, struct conn *w, const char *creator_id)
{
    char     mark[MARK_HEX];
    enum err e = mark_of(c, any_case(c, creator_id), "", mark);
    if (!e) e = db_run(c, w, "INSERT INTO erased(mark, creator_id, at_ms) VALUES (?s, '', ?i) ON CONFLICT(mark) DO NOTHING", mark, clock_unix_ms());
    return e;
}

enum err erased_creator_is(struct call *c, const char *creator_id, bool *out)
{
    return erased_is(c, any_case(c, creator_id), "", out);
}

enum err erased_drop(struct call *c, const char *user_id)
{
    struct conn *w = NULL;
    char         mark[MARK_HEX];
    bool         erased = false;
    enum err     e = erased_is(c, tenant_id(c->tenant), user_id, &erased);
    if (e || !erased) return e;
    e = mark_of(c, tenant_id(c->tenant), user_id, mark);
    if (!e) e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = db_run(c, w, "DELETE FROM erased WHERE mark = ?s", mark);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    if (!e) e = db_write(c, store_accounts(), &w);
    if (!e) e = db_run(c, w, "DELETE FROM erased WHERE mark = ?s", mark);
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
