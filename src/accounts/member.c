/* The rules of membership. Who decides about somebody must be able to do all that they can and all that they shall: so an admin
 * neither makes owners nor removes them, and nobody raises themselves. A creator never loses its last owner. Roles for
 * programs and for people being coached are not given to members. */
/* SPDX-License-Identifier: MIT */
#include "accounts/member.h"

#include <string.h>

#include "accounts/account.h"
#include "accounts/audit.h"
#include "accounts/custom_role.h"
#include "accounts/email.h"
#include "accounts/link.h"
#include "accounts/mail.h"
#include "accounts/creator_settings.h"
#include "accounts/member_store.h"
#include "accounts/role.h"
#include "accounts/session.h"

enum err member_list(struct call *c, struct member **out, int *n_out, struct invitation **waiting_out, int *waiting_n_out)
{
    struct member     *list = NULL;
    struct invitation *waiting = NULL;
    int                n = 0, waiting_n = 0;
    enum err           e = member_load_list(c, &list, &n);
    if (!e) e = invitation_load_list(c, &waiting, &waiting_n);
    if (e) return e;
    *out = list;
    *n_out = n;
    *waiting_out = waiting;
    *waiting_n_out = waiting_n;
    return OK;
}

/* May the caller give this role to a member? */
static enum err role_grantable(struct call *c, const char *role)
{
    unsigned rights = 0;
    bool     others = !strcmp(role, "service") || !strcmp(role, "user") || !strcmp(role, "visitor");
    enum err e = others ? ERR_NOT_FOUND : role_rights(c, c->creator_id, role, &rights);
    if (e == ERR_NOT_FOUND) return fail_field(c, "role", "there is no role \"%.40s\" for members", role);
    return e ? e : rights_grantable(c, rights);
}

static enum err get(struct call *c, const char *account_id, struct member *out)
{
    bool     found = false;
    enum err e = member_load(c, account_id, out, &found);
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such member");
    return e;
}

/* May the caller decide about somebody who has this role? One that was dropped behind their back has no rights. */
static enum err role_within(struct call *c, const char *role)
{
    unsigned rights = 0;
    enum err e = role_rights(c, c->creator_id, role, &rights);
    if (e == ERR_NOT_FOUND) return OK;
    return e ? e : rights_grantable(c, rights);
}

static enum err refused(struct call *c, enum member_done done)
{
    switch (done) {
    case MEMBER_DONE: return OK;
    case MEMBER_CHANGED: return fail(c, ERR_CONFLICT, "this member was changed meanwhile");
    case MEMBER_LAST_OWNER: return fail(c, ERR_CONFLICT, "a creator keeps at least one owner");
    case MEMBER_FULL: return fail(c, ERR_CONFLICT, "there are %d members already, which is the most", MEMBER_MAX);
    case MEMBER_NO_ROLE: return fail(c, ERR_CONFLICT, "this role was dropped");
    case MEMBER_ALREADY: return fail(c, ERR_CONFLICT, "they are a member already");
    }
    return fail(c, ERR_INTERNAL, "an unknown end of a change of members");
}

static enum err invite(struct call *c, const char *email, const char *role, const char *language, struct member_added *out)
{
    struct creator_settings s;
    struct invitation      *waiting = NULL;
    int                     n = 0;
    struct member_added     added = { .invited = true, .email = email, .role = role };
    enum err                e = creator_settings_get(c, &s);
    if (!e) e = invitation_load_list(c, &waiting, &n);
    if (!e && n >= INVITATION_MAX) e = fail(c, ERR_CONFLICT, "%d invitations wait already, which is the most", INVITATION_MAX);
    if (!e)
        e = link_invite(c,
                        &(struct link_invitation){ .creator_id = c->creator_id, .creator_name = s.name, .email = email, .role = role,
                                                   .created_by = c->account_id[0] ? c->account_id : c->key_id[0] ? c->key_id : NULL,
                                                   .language = language },
                        &added.invitation_id, &added.link, &added.expires_ms);
    if (!e)
        e = audit_put(c, &(struct audit_entry){ "invitation.make", added.invitation_id, "done", (const char *[]){ "role", role, NULL } });
    if (!e) *out = added;
    return e;
}

/* May somebody be made a member without being asked? Where anybody can make a creator of their own, trying addresses here would
 * tell who has an account, and people would find themselves in strangers' creators: only colleagues are taken then. */
static bool unasked(const struct member *m, bool colleague)
{
    if (!colleague && account_signup_open()) return false;
    return m->email_verified || !mail_ready();
}

enum err member_add(struct call *c, const char *email, const char *role, const char *language, struct member_added *out)
{
    const char         *compared = NULL;
    struct member_added added = { 0 };
    const char         *caller = c->account_id[0] ? c->account_id : NULL;
    bool                found = false, colleague = false;
    enum member_done    done = MEMBER_DONE;
    enum err            e = email_check(c, "email", email, &compared);
    if (!e) e = role_grantable(c, role);
    if (!e) e = member_load_email(c, compared, caller, &added.member, &found, &colleague);
    if (!e && found && added.member.role) e = refused(c, MEMBER_ALREADY);
    if (e) return e;
    if (!found || !unasked(&added.member, colleague)) return invite(c, compared, role, language, out);
    e = member_insert(c, added.member.account_id, role, role_built_in(role) != 0, caller, &done);
    if (!e) e = refused(c, done);
    if (!e) e = access_changed(c);
    if (!e)
        e = audit_put(c, &(struct audit_entry){ "member.add", added.member.account_id, "done", (const char *[]){ "role", role, NULL } });
    if (!e) e = get(c, added.member.account_id, &added.member);
    if (!e) *out = added;
    return e;
}

enum err member_role(struct call *c, const char *account_id, const char *role, struct member *out)
{
    struct member    m;
    enum member_done done = MEMBER_DONE;
    enum err         e = get(c, account_id, &m);
    if (!e) e = role_within(c, m.role);
    if (!e) e = role_grantable(c, role);
    if (!e) e = member_update(c, account_id, m.role, role, role_built_in(role) != 0, &done);
    if (!e) e = refused(c, done);
    if (!e) e = access_changed(c);
    if (!e)
        e = audit_put(c, &(struct audit_entry){ "member.role", account_id, "done", (const char *[]){ "from", m.role, "to", role, NULL } });
    if (!e) e = get(c, account_id, out);
    return e;
}

enum err member_remove(struct call *c, const char *account_id, bool end_keys)
{
    struct member    m;
    enum member_done done = MEMBER_DONE;
    bool             own = c->account_id[0] && !strcmp(c->account_id, account_id);
    /* Before anything is looked up: who may not decide learns nothing about who is here. */
    if (!own && !(c->rights & RIGHT_MEMBERS)) return fail(c, ERR_FORBIDDEN, "you may leave, but not remove others");
    enum err e = get(c, account_id, &m);
    if (!e && !own) e = role_within(c, m.role);
    if (!e) e = member_delete(c, account_id, m.role, end_keys, &done);
    if (!e) e = refused(c, done);
    if (!e) e = access_changed(c);
    if (!e)
        e = audit_put(c, &(struct audit_entry){ "member.remove", account_id, "done",
                                                (const char *[]){ "role", m.role, "keys", end_keys ? "ended" : "kept", NULL } });
    return e;
}

enum err invitation_remove(struct call *c, const char *id)
{
    bool     found = false;
    enum err e = invitation_delete(c, id, &found);
    if (!e && !found) e = fail(c, ERR_NOT_FOUND, "no such invitation");
    if (!e) e = audit_put(c, &(struct audit_entry){ "invitation.remove", id, "done", NULL });
    return e;
}
