/* The rules of a creator's own roles. Nobody hands on what they do not have: a role's rights are compared with the caller's both
 * as they would be and as they were, because taking rights from somebody stronger is a way up too. It refuses to make the
 * owner's own right part of any role: a creator is handed over by making somebody its owner. */
/* SPDX-License-Identifier: MIT */
#include "accounts/custom_role.h"

#include <string.h>

#include "accounts/audit.h"
#include "accounts/custom_role_store.h"
#include "accounts/role.h"
#include "accounts/session.h"
#include "base/json.h"

enum err rights_grantable(struct call *c, unsigned rights)
{
    /* What everybody has of themselves is nobody's to withhold. */
    unsigned lacking = rights & ~c->rights & ~(unsigned)(RIGHT_PUBLIC | RIGHT_SELF);
    if (!lacking) return OK;
    return fail(c, ERR_FORBIDDEN, "you may not decide about %s, which you do not have", right_word(lacking & -lacking));
}

static enum err name_check(struct call *c, const char *name)
{
    size_t n = strlen(name);
    if (!n || n > LIMIT_ROLE_BYTES || strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != n || name[0] < 'a')
        return fail_field(c, "name", "a role's name has 1 to %d of a-z 0-9 - and begins with a letter", LIMIT_ROLE_BYTES);
    if (role_built_in(name)) return fail(c, ERR_CONFLICT, "the role %s is built in", name);
    return OK;
}

static const char *words_of(struct call *c, unsigned rights)
{
    struct buf b;
    buf_init(&b, 4096);
    struct json_out j;
    json_out_init(&j, &b);
    rights_put(&j, NULL, rights);
    const char *text = arena_strdup(&c->mem, b.data ? b.data : "[]");
    buf_dispose(&b);
    return text;
}

enum err custom_role_list(struct call *c, struct custom_role **out, int *n_out)
{
    return custom_role_load_list(c, out, n_out);
}

enum err custom_role_put(struct call *c, const char *name, unsigned rights, bool *made_out)
{
    struct custom_role was = { 0 };
    bool               found = false, done = false;
    enum err           e = name_check(c, name);
    if (!e && (rights & RIGHT_OWN)) e = fail_field(c, "permissions", "%s belongs to owners only", right_word(RIGHT_OWN));
    if (!e && (rights & RIGHT_PUBLIC)) e = fail_field(c, "permissions", "%s is nobody's to give", right_word(RIGHT_PUBLIC));
    if (!e) e = custom_role_load(c, name, &was, &found);
    if (!e) e = rights_grantable(c, rights | was.rights);
    if (e) return e;
    const char *words = words_of(c, rights | RIGHT_SELF);
    e = custom_role_save(c, name, words, found ? was.words : NULL, &done);
    if (!e && !done) e = fail(c, ERR_CONFLICT, "this role was changed meanwhile");
    if (!e) e = access_changed(c);
    if (!e) e = audit_put(c, &(struct audit_entry){ "role.put", name, "done", (const char *[]){ "permissions", words, NULL } });
    if (!e && made_out) *made_out = !found;
    return e;
}

enum err custom_role_drop(struct call *c, const char *name)
{
    struct custom_role was;
    bool               found = false, used = false;
    if (role_built_in(name)) return fail(c, ERR_CONFLICT, "the role %s is built in", name);
    enum err e = custom_role_load(c, name, &was, &found);
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such role");
    if (!e) e = rights_grantable(c, was.rights);
    if (!e) e = custom_role_delete(c, name, &used);
    if (!e && used) e = fail(c, ERR_CONFLICT, "somebody has this role, or is invited to it");
    if (!e) e = access_changed(c);
    if (!e) e = audit_put(c, &(struct audit_entry){ "role.delete", name, "done", NULL });
    return e;
}
