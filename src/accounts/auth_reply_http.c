/* The reply of a sign-in and its cookie. The cookie holds only the refresh token, for one path, so no other request carries it; a
 * request that uses it must look like one from our own page: JSON, which a form cannot send, and an origin that is this
 * server's or a listed one. It refuses to give a refresh token that came by cookie back in a body, where a script would see it. */
/* SPDX-License-Identifier: MIT */
#include "accounts/auth_reply_http.h"

#include <string.h>
#include <strings.h>

#include "accounts/mail.h"
#include "base/clock.h"

#define COOKIE      "chiron_refresh"
#define COOKIE_PATH "/api/v1/auth"

enum err auth_step_aside(struct req *r)
{
    if (req_step_aside(r)) return OK;
    r->call.retry_after_s = 2;
    return fail(&r->call, ERR_BUSY, "too much is being done just now; try again in a moment");
}

bool auth_wants_cookie(struct req *r)
{
    return json_get_bool(r->json, "cookie", false);
}

const char *auth_agent(struct req *r)
{
    return req_header(r, "user-agent");
}

static bool secure(struct req *r)
{
    const char *set = conf_text("COOKIE_SECURE");
    return !strcmp(set, "1") || !strcasecmp(set, "true") || !strncmp(public_url(), "https://", 8) || req_secure(r);
}

static void cookie_put(struct req *r, const char *value, int max_age_s)
{
    reply_header(r, "Set-Cookie", arena_printf(&r->call.mem, COOKIE "=%s; HttpOnly; SameSite=Strict; Path=" COOKIE_PATH "; Max-Age=%d%s", value,
                                               max_age_s, secure(r) ? "; Secure" : ""));
}

void auth_cookie_set(struct req *r, const struct session_tokens *t)
{
    if (t->refresh) cookie_put(r, t->refresh, t->refresh_expires_in_s);
}

/* The value of our cookie among "a=1; chiron_refresh=…; b=2", in the arena. */
static const char *cookie_find(struct req *r)
{
    const char *p = req_header(r, "cookie");
    size_t      name = strlen(COOKIE);
    while (p && *p) {
        p += strspn(p, " ;");
        size_t n = strcspn(p, ";");
        if (n > name && !strncmp(p, COOKIE, name) && p[name] == '=') return arena_strndup(&r->call.mem, p + name + 1, n - name - 1);
        p += n;
    }
    return NULL;
}

void auth_cookie_clear(struct req *r)
{
    if (cookie_find(r)) cookie_put(r, "", 0);
}

static bool listed(const char *origin)
{
    size_t n = strlen(origin);
    for (const char *p = conf_text("CORS_ORIGINS"); p && *p;) {
        p += strspn(p, ", ");
        size_t len = strcspn(p, ", ");
        if (len == n && !strncmp(p, origin, n)) return true;
        p += len;
    }
    return false;
}

/* "http://host:port" is this server when the request was sent to "host:port". */
static bool own_origin(struct req *r, const char *origin)
{
    const char *host = req_header(r, "host"), *at = strstr(origin, "://");
    return host && at && !strcasecmp(at + 3, host);
}

enum err auth_cookie(struct req *r, const char **out)
{
    const char *token = cookie_find(r);
    *out = NULL;
    if (!token || !*token) return OK;
    const char *type = req_header(r, "content-type"), *site = req_header(r, "sec-fetch-site"), *origin = req_header(r, "origin");
    bool        ours = !origin || own_origin(r, origin) || listed(origin);
    if (!type || strncasecmp(type, "application/json", 16)) ours = false;
    if (site && strcasecmp(site, "same-origin") && strcasecmp(site, "none") && !(origin && listed(origin))) ours = false;
    if (!ours) return fail(&r->call, ERR_FORBIDDEN, "the sign-in cookie is taken from our own pages only, with a JSON body");
    *out = token;
    return OK;
}

void auth_put_account(struct json_out *j, const struct account *a)
{
    char at[25];
    json_put_text(j, "id", a->id);
    json_put_text(j, "email", a->email);
    json_put_bool(j, "email_verified", a->email_verified);
    json_put_text(j, "full_name", a->full_name);
    json_put_bool(j, "totp", a->totp);
    json_put_text(j, "created_at", clock_iso(a->created_ms, at));
}

void auth_put_memberships(struct json_out *j, const struct membership *m, int n)
{
    json_begin_array(j, "creators");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "creator_id", m[i].creator_id);
        json_put_text(j, "name", m[i].name);
        json_put_text(j, "role", m[i].role);
        json_end(j);
    }
    json_end(j);
}

static enum err put(struct req *r, int status, const struct session_tokens *t, bool cookie, bool registered)
{
    struct call       *c = &r->call;
    struct account     a;
    struct membership *m = NULL;
    int                n = 0;
    const char        *id = t->who.account_id;
    enum err           e = id ? account_get(c, id, &a) : OK;
    if (!e && id) e = account_memberships(c, id, &m, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, status);
    reply_header(r, "Cache-Control", "no-store");
    json_begin_object(j, NULL);
    if (registered && id) {
        json_put_text(j, "id", a.id);
        json_put_text(j, "email", a.email);
        json_put_text(j, "full_name", a.full_name);
    }
    json_put_text(j, "access_token", t->access);
    if (t->refresh && !cookie) json_put_text(j, "refresh_token", t->refresh);
    json_put_text(j, "token_type", "bearer");
    json_put_int(j, "expires_in", t->expires_in_s);
    if (t->refresh) json_put_int(j, "refresh_expires_in", t->refresh_expires_in_s);
    json_put_text(j, "session_id", t->session_id);
    if (id) {
        json_begin_object(j, "account");
        auth_put_account(j, &a);
        json_end(j);
    }
    json_put_text(j, "creator_id", t->who.creator_id);
    if (t->who.user_id) json_put_text(j, "user_id", t->who.user_id);
    json_put_text(j, "role", t->who.role ? t->who.role : "");
    if (id) auth_put_memberships(j, m, n);
    json_end(j);
    if (cookie) auth_cookie_set(r, t);
    return OK;
}

enum err auth_put_session(struct req *r, int status, const struct session_tokens *t, bool cookie)
{
    return put(r, status, t, cookie, false);
}

enum err auth_put_registered(struct req *r, const struct session_tokens *t, bool cookie)
{
    return put(r, 201, t, cookie, true);
}
