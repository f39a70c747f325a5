/* Reads a creator's own roles; writing them is the members' part. */
/* SPDX-License-Identifier: MIT */
#include "accounts/role_store.h"

#include "store/db.h"
#include "store/store.h"

enum err role_store_words(struct call *c, const char *creator_id, const char *name, const char **out)
{
    struct conn *r = NULL;
    const char  *words = NULL;
    enum err     e = db_read(c, store_accounts(), &r);
    if (!e) e = db_get_text(c, r, &words, "SELECT permissions FROM role WHERE creator_id = ?s AND name = ?s", creator_id, name);
    db_release(&r);
    if (e) return e;
    *out = words;
    return OK;
}
