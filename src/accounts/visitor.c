/* Visitors. A creator's door to strangers is shut until it opens it, and nobody learns from here which creators there are. A claim
 * is first written down, once and for good, and only then carried out: of two users who come with one visitor's token one
 * is told no, and a crash in between leaves a claim that its owner can finish, never rows without one. */
/* SPDX-License-Identifier: MIT */
#include "accounts/visitor.h"

#include <string.h>

#include "accounts/accounts.h"
#include "accounts/creator_settings.h"
#include "accounts/person.h"
#include "accounts/privacy.h"
#include "accounts/visitor_store.h"
#include "base/id.h"
#include "store/store.h"

static enum err not_here(struct call *c)
{
    return fail(c, ERR_NOT_FOUND, "there is no coach here that talks to visitors");
}

enum err visitor_begin(struct call *c, const struct visitor_ask *ask, struct session_tokens *out)
{
    struct creator_settings s;
    char                    id[ID_BYTES];
    enum err                e = tenant_open(c, ask->creator_id);
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        return not_here(c);
    }
    if (!e) e = creator_settings_get(c, &s);
    if (e) return e;
    if (!s.anonymous) return not_here(c);
    return session_begin(c,
                         &(struct session_who){ .kind = "visitor", .creator_id = c->creator_id, .role = "visitor", .agent = ask->agent,
                                                .user_id = arena_printf(&c->mem, "visitor_%s", id_new("v", id) + 2),
                                                .access_s = ask->access_s, .once = ask->once },
                         out);
}

/* Who the token is of, found out by the same door as every request's. */
static enum err visitor_of(struct call *c, const char *token, const char **user_out)
{
    struct call v;
    call_init(&v);
    const char *header = arena_printf(&v.mem, "Bearer %s", token);
    enum err    e = authenticate(&v, &(struct credential){ .authorization = header });
    bool        visitor = !e && !strcmp(v.role, "visitor") && v.user_id[0];
    if (e == ERR_UNAUTHENTICATED) e = fail(c, ERR_CONFLICT, "the visitor's token is not good any more: it ended, or was claimed already");
    else if (e) e = fail(c, e, "%s", v.err_text);
    else if (!visitor) e = fail_field(c, "visitor_token", "visitor_token is not a visitor's");
    else if (strcmp(v.creator_id, c->creator_id)) e = fail(c, ERR_NOT_FOUND, "no such visitor");
    else *user_out = arena_strdup(&c->mem, v.user_id);
    call_dispose(&v);
    return e;
}

enum err visitor_claim(struct call *c, const char *token, struct json_out *j)
{
    const char *visitor = NULL, *owner = NULL;
    int         ended = 0;
    if (c->account_id[0] || c->key_id[0] || !c->user_id[0] || !strcmp(c->role, "visitor"))
        return fail(c, ERR_FORBIDDEN, "only a signed-in user may take over what a visitor did");
    enum err e = visitor_of(c, token, &visitor);
    if (!e) e = visitor_claim_save(c, visitor, c->user_id, &owner);
    if (!e && strcmp(owner, c->user_id)) e = fail(c, ERR_CONFLICT, "somebody has claimed this visitor already");
    if (!e) e = person_move(c, visitor, c->user_id, j);
    if (!e) e = session_end_user(c, c->creator_id, visitor, "claimed", &ended);
    if (!e) e = visitor_sessions_move(c, visitor, c->user_id);
    if (!e) person_plan_forget(c->creator_id, visitor);
    return e;
}
