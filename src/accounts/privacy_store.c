/* Walks the inventory inside one transaction, so that a person's rows move or go as one. */
/* SPDX-License-Identifier: MIT */
#include "accounts/privacy.h"

#include <string.h>

#include "accounts/audit.h"
#include "accounts/erased.h"
#include "accounts/person_table.h"
#include "store/db.h"
#include "store/store.h"

enum err person_move(struct call *c, const char *from_user, const char *to_user, struct json_out *j)
{
    struct conn            *w = NULL;
    const struct person_who from = { .creator_id = tenant_id(c->tenant), .user_id = from_user };
    if (!strcmp(from_user, to_user)) return fail_field(c, "visitor_token", "this is the same user");
    enum err e = db_write(c, tenant_db(c->tenant), &w);
    if (!e) e = erased_check(c, w, from_user);
    if (!e) e = erased_check(c, w, to_user);
    json_begin_object(j, "moved");
    for (int i = 0; !e && all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; !e && t->table; t++) {
            int64_t rows = 0;
            if (!t->move || strcmp(t->database, "creator") != 0) continue;
            e = t->move(c, w, &from, to_user, &rows);
            if (!e) json_put_int(j, t->table, rows);
        }
    }
    json_end(j);
    if (!e)
        e = audit_put_in(c, w,
                         &(struct audit_entry){ "person.move", arena_printf(&c->mem, AUDIT_USER "%s", from_user), "done",
                                                (const char *[]){ "to", arena_printf(&c->mem, AUDIT_USER "%s", to_user), NULL } });
    if (!e) e = db_commit(c, &w);
    db_release(&w);
    return e;
}
