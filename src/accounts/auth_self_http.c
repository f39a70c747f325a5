/* What somebody who is signed in may do about themselves: who they are, their password, their second factor, their sign-ins. What
 * changes the way in asks for the password again: a token left on a desk must not be enough to keep its owner out. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/account.h"
#include "accounts/auth_reply_http.h"
#include "accounts/mail.h"
#include "accounts/person.h"
#include "accounts/totp.h"
#include "base/clock.h"
#include "base/right.h"

extern const struct route auth_self_routes[];

enum { BODY_BYTES = 16 * 1024 };

/* The caller's account; ERR_FORBIDDEN for the people being coached, who have none. */
static enum err own_account(struct req *r, struct account *out)
{
    struct call *c = &r->call;
    if (!c->account_id[0]) return fail(c, ERR_FORBIDDEN, "this is for accounts; the credential is not of one");
    return account_get(c, c->account_id, out);
}

static void put_where(struct call *c, struct json_out *j)
{
    json_put_text(j, "creator_id", c->creator_id[0] ? c->creator_id : NULL);
    json_put_text(j, "role", c->role);
    rights_put(j, "rights", c->rights);
    json_put_text(j, "session_id", c->session_id[0] ? c->session_id : NULL);
}

static enum err put_account_me(struct req *r)
{
    struct call       *c = &r->call;
    struct account     a;
    struct membership *m = NULL;
    int                n = 0;
    enum err           e = own_account(r, &a);
    if (!e) e = account_memberships(c, a.id, &m, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    auth_put_account(j, &a);
    auth_put_memberships(j, m, n);
    put_where(c, j);
    json_end(j);
    return OK;
}

static enum err put_user_me(struct req *r)
{
    struct call  *c = &r->call;
    struct person p = { .id = c->user_id, .kind = strcmp(c->role, "visitor") ? "external" : "visitor", .name = "" };
    enum err      e = c->tenant && c->user_id[0] ? person_get(c, c->user_id, &p) : OK;
    if (e == ERR_NOT_FOUND) {
        /* Known by a token only: nobody has said more about them. */
        call_forgive(c);
        e = OK;
    }
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_object(j, "user");
    json_put_text(j, "id", p.id);
    json_put_text(j, "kind", p.kind);
    json_put_text(j, "email", p.email);
    json_put_text(j, "name", p.name);
    json_end(j);
    put_where(c, j);
    json_end(j);
    return OK;
}

static enum err get_me(struct req *r)
{
    return r->call.account_id[0] ? put_account_me(r) : put_user_me(r);
}

static enum err patch_me(struct req *r)
{
    struct call  *c = &r->call;
    struct person p;
    const char   *name = json_get_text(r->json, "full_name", NULL);
    enum err      e = OK;
    if (name && c->account_id[0]) e = account_rename(c, c->account_id, name);
    else if (name && !c->tenant) e = fail(c, ERR_FORBIDDEN, "this credential is of nobody with a name");
    else if (name) e = person_put(c, c->user_id, &(struct person){ .name = name }, PERSON_NAME | PERSON_BY_SELF, &p, NULL);
    return e ? e : get_me(r);
}

static enum err post_password(struct req *r)
{
    struct call   *c = &r->call;
    struct account a;
    int            n = 0;
    enum err       e = own_account(r, &a);
    if (!e) e = auth_step_aside(r);
    if (!e) e = account_prove(c, &a, &(struct proof){ .password = json_get_text(r->json, "current_password", "") });
    if (!e) e = account_password_set(c, &a, json_get_text(r->json, "password", ""));
    /* Whoever else knew the old one is out. */
    if (!e) e = session_end_account(c, a.id, c->session_id, "password", &n);
    if (e) return e;
    mail_notice(c, a.email, "password", NULL, req_header(r, "accept-language"));
    reply_empty(r, 204);
    return OK;
}

static enum err post_totp(struct req *r)
{
    struct call   *c = &r->call;
    struct account a;
    const char    *secret = NULL, *uri = NULL;
    enum err       e = own_account(r, &a);
    if (!e) e = auth_step_aside(r);
    if (!e) e = account_prove(c, &a, &(struct proof){ .password = json_get_text(r->json, "password", "") });
    if (!e) e = totp_begin(c, &a, &secret, &uri);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "secret", secret);
    json_put_text(j, "uri", uri);
    json_end(j);
    return OK;
}

static enum err post_totp_confirm(struct req *r)
{
    struct account a;
    const char    *codes[TOTP_RECOVERY_CODES];
    enum err       e = own_account(r, &a);
    if (!e) e = totp_confirm(&r->call, &a, json_get_text(r->json, "code", ""), codes);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "recovery_codes");
    for (int i = 0; i < TOTP_RECOVERY_CODES; i++) json_put_text(j, NULL, codes[i]);
    json_end(j);
    json_end(j);
    return OK;
}

static enum err delete_totp(struct req *r)
{
    struct account a;
    enum err       e = own_account(r, &a);
    if (!e) e = auth_step_aside(r);
    if (!e)
        e = totp_off(&r->call, &a, &(struct proof){ .password = json_get_text(r->json, "password", ""),
                                                    .totp = json_get_text(r->json, "code", NULL),
                                                    .recovery_code = json_get_text(r->json, "recovery_code", NULL) });
    if (e) return e;
    mail_notice(&r->call, a.email, "totp_off", NULL, req_header(r, "accept-language"));
    reply_empty(r, 204);
    return OK;
}

static enum err get_sessions(struct req *r)
{
    struct call         *c = &r->call;
    struct session_seen *s = NULL;
    int                  n = 0;
    char                 at[25];
    enum err             e = session_list(c, c->account_id[0] ? c->account_id : NULL, c->creator_id, c->user_id, &s, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "sessions");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "id", s[i].id);
        json_put_text(j, "kind", s[i].kind);
        json_put_text(j, "creator_id", *s[i].creator_id ? s[i].creator_id : NULL);
        json_put_text(j, "address", s[i].address);
        json_put_text(j, "agent", s[i].agent);
        json_put_text(j, "created_at", clock_iso(s[i].created_ms, at));
        json_put_text(j, "used_at", clock_iso(s[i].used_ms, at));
        json_put_text(j, "expires_at", clock_iso(s[i].expires_ms, at));
        json_put_bool(j, "current", !strcmp(s[i].id, c->session_id));
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static enum err delete_session(struct req *r)
{
    enum err e = session_end_own(&r->call, req_path(r, "id"), "revoked");
    if (!e) reply_empty(r, 204);
    return e;
}

#define TEXT(name, max) "\"" name "\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":" max "}"
#define LOOSE(name) "\"" name "\":{\"type\":\"string\"}"
#define OBJECT(required, members) "{\"type\":\"object\",\"required\":[" required "],\"additionalProperties\":false,\"properties\":{" members "}}"
#define ME_REPLY "{\"type\":\"object\",\"required\":[\"creator_id\",\"role\",\"rights\"]}"

const struct route auth_self_routes[] = {
    { "GET", "/api/v1/auth/me", RIGHT_SELF, 0, NULL, get_me, "Who is signed in, where they work and what they may do there", "accounts", 0, NULL,
      ME_REPLY, NULL },
    { "PATCH", "/api/v1/auth/me", RIGHT_SELF, BODY_BYTES, OBJECT("", LOOSE("full_name")), patch_me, "Change one's own name", "accounts", 0, NULL, ME_REPLY,
      NULL },
    { "POST", "/api/v1/auth/password", RIGHT_SELF, BODY_BYTES, OBJECT("\"current_password\",\"password\"", LOOSE("current_password") "," LOOSE("password")),
      post_password, "A new password; other sessions end", "accounts", 0, NULL, NULL, "auth" },
    { "POST", "/api/v1/auth/totp", RIGHT_SELF, BODY_BYTES, OBJECT("\"password\"", LOOSE("password")), post_totp, "Begin a second factor: its secret",
      "accounts", 0, NULL, "{\"type\":\"object\",\"required\":[\"secret\",\"uri\"],\"properties\":{\"secret\":{\"type\":\"string\"},\"uri\":{\"type\":\"string\"}}}",
      "auth" },
    { "POST", "/api/v1/auth/totp/confirm", RIGHT_SELF, BODY_BYTES, OBJECT("\"code\"", TEXT("code", "12")), post_totp_confirm,
      "Turn the second factor on with its first code; gives recovery codes, once", "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"recovery_codes\"],\"properties\":{\"recovery_codes\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}}}", "auth" },
    { "DELETE", "/api/v1/auth/totp", RIGHT_SELF, BODY_BYTES,
      OBJECT("\"password\"", LOOSE("password") "," TEXT("code", "12") "," TEXT("recovery_code", "40")), delete_totp, "Turn the second factor off", "accounts", 0,
      NULL, NULL, "auth" },
    { "GET", "/api/v1/auth/sessions", RIGHT_SELF, 0, NULL, get_sessions, "Where one is signed in", "accounts", 0, NULL,
      "{\"type\":\"object\",\"required\":[\"sessions\"],\"properties\":{\"sessions\":{\"type\":\"array\"}}}", NULL },
    { "DELETE", "/api/v1/auth/sessions/{id}", RIGHT_SELF, 0, NULL, delete_session, "End one of one's sign-ins", "accounts", 0, NULL, NULL, NULL },
    { 0 },
};
