/* The two addresses that a browser passes through on its way to an outside issuer and back. Both answer with an address to go to:
 * whatever goes wrong ends on our own sign-in page with one word, and never at an address that came in a request. A
 * second factor is asked for here too: such an account comes back to a link of five minutes that wants the code. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "accounts/account.h"
#include "accounts/audit.h"
#include "accounts/auth_reply_http.h"
#include "accounts/link.h"
#include "accounts/mail.h"
#include "accounts/oidc.h"
#include "base/id.h"
#include "base/log.h"
#include "http/http.h"

#define COOKIE_BYTES 4096

extern const struct route oidc_routes[];

/* One cookie per sign-in, so that two windows do not take each other's. */
static const char *cookie_name(struct call *c, const char *state)
{
    char hash[65];
    return arena_printf(&c->mem, "chiron_oidc_%.8s", id_sha256_hex(state, strlen(state), hash));
}

/* Lax and not Strict: the way back begins at the issuer. value NULL takes it away. */
static void put_cookie(struct req *r, const char *state, const char *value)
{
    struct call *c = &r->call;
    reply_header(r, "Set-Cookie",
                 arena_printf(&c->mem, "%s=%s; HttpOnly; SameSite=Lax; Path=/api/v1/auth/oidc; Max-Age=%d%s", cookie_name(c, state), value ? value : "",
                              value ? OIDC_LOGIN_SECONDS : 0, !strncmp(public_url(), "https://", 8) ? "; Secure" : ""));
}

static const char *cookie(struct req *r, const char *name)
{
    const char *all = req_header(r, "cookie");
    size_t      n = strlen(name);
    for (const char *p = all && strlen(all) <= COOKIE_BYTES ? all : ""; *p;) {
        p += strspn(p, "; ");
        size_t len = strcspn(p, ";");
        if (len > n && !memcmp(p, name, n) && p[n] == '=') return arena_strndup(&r->call.mem, p + n + 1, len - n - 1);
        p += len;
    }
    return NULL;
}

static enum err go(struct req *r, const char *to)
{
    reply_empty(r, 302);
    reply_header(r, "Location", to);
    reply_header(r, "Cache-Control", "no-store");
    return OK;
}

static enum err go_ours(struct req *r, const char *path)
{
    return go(r, arena_printf(&r->call.mem, "%s%s", public_url(), path));
}

static enum err go_refused(struct req *r, const char *word)
{
    struct call *c = &r->call;
    log_info(c, "a sign-in at an outside issuer failed", "word", word, "why", c->err_text, NULL);
    call_forgive(c);
    return go_ours(r, arena_printf(&c->mem, "/#/sign-in?error=%s", word));
}

static const char *word_of(enum err e)
{
    switch (e) {
    case ERR_BAD_REQUEST: return "state";
    case ERR_FORBIDDEN: return "denied";
    case ERR_UNAUTHENTICATED:
    case ERR_UPSTREAM:
    case ERR_TIMEOUT: return "issuer";
    default: return "failed";
    }
}

static enum err get_start(struct req *r)
{
    struct call              *c = &r->call;
    const struct oidc_issuer *o = oidc_issuer_find(req_path(r, "id"));
    struct oidc_begun         to;
    if (!o) return fail(c, ERR_NOT_FOUND, "there is no such issuer");
    /* An issuer may be slow, and those who wait for it must not stand where others are answered. */
    enum err e = auth_step_aside(r);
    if (!e) e = oidc_begin(c, o, req_query(r, "back"), &to);
    if (e == ERR_CANCELLED) return e;
    if (e) return go_refused(r, word_of(e));
    put_cookie(r, to.state, to.state);
    return go(r, to.url);
}

/* The account's session, or a link that wants its second factor. */
static enum err enter(struct req *r, const struct oidc_person *p, const char *account_id)
{
    struct call          *c = &r->call;
    struct account        a;
    struct session_tokens t;
    struct membership    *m = NULL;
    int                   n = 0;
    const char           *link = NULL, *creator = NULL;
    enum err              e = account_get(c, account_id, &a);
    if (!e && a.totp) {
        e = link_for_account(c, a.id, a.email, &link);
        return e ? e : go_ours(r, arena_printf(&c->mem, "/#/link=%s", link));
    }
    if (!e) e = account_memberships(c, a.id, &m, &n);
    for (int i = 0; !e && i < n; i++)
        if (p->issuer->creator && !strcmp(m[i].creator_id, p->issuer->creator)) creator = m[i].creator_id;
    if (!e) e = account_session(c, &a, creator, auth_agent(r), &t);
    if (!e)
        e = audit_put_instance(c, &(struct audit_entry){ "account.login", a.id, "done", (const char *[]){ "by", "issuer", "issuer", p->issuer->id, NULL } });
    if (e) return e;
    auth_cookie_set(r, &t);
    return go_ours(r, p->back);
}

static enum err get_callback(struct req *r)
{
    static const char *const words[] = { [OIDC_NO_EMAIL] = "no_email", [OIDC_UNCONFIRMED] = "unconfirmed", [OIDC_CLOSED] = "closed",
                                         [OIDC_DISABLED] = "disabled", [OIDC_DOMAIN] = "domain" };
    struct call       *c = &r->call;
    struct oidc_person p;
    const char        *state = req_query(r, "state"), *account = NULL;
    enum oidc_door     door = OIDC_IN;
    struct oidc_answer a = { .state = state, .code = req_query(r, "code"), .iss = req_query(r, "iss"), .error = req_query(r, "error"),
                             .remembered = state ? cookie(r, cookie_name(c, state)) : NULL };
    enum err           e = a.remembered ? auth_step_aside(r) : OK;
    if (!e) e = oidc_end(c, &a, &p);
    if (a.remembered && e != ERR_BUSY) put_cookie(r, state, NULL);
    if (!e) {
        p.language = req_header(r, "accept-language");
        e = oidc_account(c, &p, &account, &door);
    }
    if (!e && account) e = enter(r, &p, account);
    if (!e && account) return OK;
    if (e == ERR_CANCELLED) return e;
    const char *word = e ? word_of(e) : words[door];
    if (e == ERR_UNAUTHENTICATED || !e) {
        const char *why = arena_strdup(&c->mem, c->err_text);
        if (audit_put_instance(c, &(struct audit_entry){ "account.login", "", "refused", (const char *[]){ "by", "issuer", "word", word, NULL } }))
            log_warn(c, "a refused sign-in was not written down", "why", why, NULL);
    }
    return go_refused(r, word);
}

const struct route oidc_routes[] = {
    { "GET", "/api/v1/auth/oidc/{id}/start", RIGHT_PUBLIC, 0, NULL, get_start, "Sign in at an outside issuer: on to it (302)", "accounts", 0, NULL, NULL, "auth" },
    { "GET", "/api/v1/auth/oidc/callback", RIGHT_PUBLIC, 0, NULL, get_callback, "Where an outside issuer sends the browser back to (302)", "accounts", 0, NULL,
      NULL, "auth" },
    { 0 },
};
