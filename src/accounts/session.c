/* Sessions. A refresh token is good once: using it makes the next pair, and one that was used before is a copy in other hands, so
 * the whole family ends, the honest bearer's part too, and is written to the audit log. Nothing is acknowledged before it is
 * stored. What a member may do is not in the session: every check asks the membership. It refuses to say why a refresh token
 * is not good: unknown, ended, used and expired sound the same but for an honest expiry. */
/* SPDX-License-Identifier: MIT */
#include "accounts/session.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "accounts/access_change.h"
#include "accounts/agent.h"
#include "accounts/key_used.h"
#include "accounts/session_store.h"
#include "accounts/token.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"

static enum err refuse(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "the refresh token is not valid: sign in again");
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

/* Both tokens of the row's number, the access token for access_s; hash[65] is what is stored of the refresh token. A row of number
 * 0 has no refresh token. */
static enum err sign_pair(struct call *c, const struct session_row *s, int64_t now_ms, int access_s, struct session_tokens *t, char hash[65])
{
    const char        *sub = *s->account_id ? s->account_id : s->user_id;
    struct token_facts f = { .sub = sub, .creator = s->creator_id, .role = s->role, .sid = s->id, .number = s->refresh_number, .iat = now_ms / 1000 };
    f.exp = f.iat + access_s;
    enum err e = token_sign(c, TOKEN_ACCESS, &f, &t->access);
    f.exp = f.iat + SESSION_REFRESH_SECONDS;
    if (!e && s->refresh_number) e = token_sign(c, TOKEN_REFRESH, &f, &t->refresh);
    if (e) return e;
    hash[0] = '\0';
    if (t->refresh) id_sha256_hex(t->refresh, strlen(t->refresh), hash);
    t->session_id = s->id;
    t->expires_in_s = access_s;
    t->refresh_expires_in_s = t->refresh ? SESSION_REFRESH_SECONDS : 0;
    t->who = (struct session_who){ .kind = s->kind, .creator_id = or_null(s->creator_id), .account_id = or_null(s->account_id),
        .user_id = or_null(s->user_id), .role = s->role };
    return OK;
}

enum err session_begin(struct call *c, const struct session_who *who, struct session_tokens *out)
{
    bool member = !strcmp(who->kind, "member");
    assert(member ? who->account_id != NULL : who->user_id && who->creator_id);
    char                  id[ID_BYTES], hash[65];
    int                   access_s = who->access_s ? who->access_s : SESSION_ACCESS_SECONDS;
    int64_t               now = clock_unix_ms();
    struct session_tokens t = { 0 };
    assert(access_s > 0 && access_s <= SESSION_ACCESS_MAX);
    struct session_row    s = { .kind = who->kind, .creator_id = who->creator_id ? who->creator_id : "",
           .account_id = member ? who->account_id : "", .user_id = member ? "" : who->user_id, .role = who->role ? who->role : "",
           .refresh_number = who->once ? 0 : 1, .created_ms = now, .expires_ms = now + (who->once ? access_s : SESSION_REFRESH_SECONDS) * 1000LL };
    s.id = arena_strdup(&c->mem, id_new("ses", id));
    s.address = agent_network(c, c->remote);
    s.agent = agent_kind(c, who->agent);
    s.key_id = !strcmp(who->kind, "user") ? c->key_id : NULL;
    enum err e = sign_pair(c, &s, now, access_s, &t, hash);
    s.refresh_hash = hash;
    if (!e) e = session_store_add(c, &s);
    if (e) return e;
    t.who.agent = s.agent;
    *out = t;
    return OK;
}

/* A copy is about: whoever holds a token of this family is shut out, and its owner can read why. */
static enum err reused(struct call *c, const struct session_row *s)
{
    int64_t  seq = 0;
    int      n = 0;
    const struct audit_entry audit = { "session.reused", s->id, "refused", (const char *[]){ "kind", s->kind, NULL } };
    enum err e = session_store_end(c, &(struct session_which){ .id = s->id }, "reused", &audit, &n, &seq);
    if (e) return e;
    if (n) {
        access_change_saw(seq);
        log_warn(c, "a refresh token was used twice: its session has ended", "session", s->id, NULL);
    }
    return refuse(c);
}

/* The role in the creator asked for. A member who was removed keeps the session, without a creator. */
static enum err member_now(struct call *c, const char *creator_id, struct session_row *s)
{
    bool        active = false, other = creator_id && strcmp(creator_id, s->creator_id);
    const char *role = NULL, *want = other ? creator_id : s->creator_id;
    enum err    e = session_store_member(c, s->account_id, want, &active, &role);
    if (e) return e;
    if (!active) return refuse(c);
    if (!role && other) return fail(c, ERR_NOT_FOUND, "no such creator");
    s->creator_id = role ? want : "";
    s->role = role ? role : "";
    return OK;
}

enum err session_refresh(struct call *c, const char *refresh, const char *creator_id, struct session_tokens *out)
{
    struct token_facts    f;
    struct session_row    s;
    struct session_tokens t = { 0 };
    char                  hash[65], given[65];
    int64_t               now = clock_unix_ms();
    int64_t               seq = 0;
    enum err              e = access_change_seq(c, &seq);
    if (!e) e = token_verify(c, refresh, TOKEN_REFRESH, now / 1000, &f);
    if (!e) e = session_store_get(c, f.sid, &s);
    if (e == ERR_NOT_FOUND) return refuse(c);
    if (e) return e;
    if (s.ended || s.expires_ms <= now) return refuse(c);
    id_sha256_hex(refresh, strlen(refresh), given);
    if (f.number != s.refresh_number || sodium_memcmp(given, s.refresh_hash, sizeof given)) return reused(c, &s);
    struct session_row next = s;
    if (!strcmp(s.kind, "member")) e = member_now(c, creator_id, &next);
    else if (creator_id && strcmp(creator_id, s.creator_id)) e = fail(c, ERR_NOT_FOUND, "no such creator");
    if (e) return e;
    next.refresh_number = s.refresh_number + 1;
    next.expires_ms = now + SESSION_REFRESH_SECONDS * 1000LL;
    bool won = false;
    e = sign_pair(c, &next, now, SESSION_ACCESS_SECONDS, &t, hash);
    next.refresh_hash = hash;
    if (!e) e = session_store_turn(c, &s, &next, &won);
    if (e) return e;
    if (!won) return reused(c, &s);
    *out = t;
    return OK;
}

static enum err end(struct call *c, const struct session_which *which, const char *why, int *n_out)
{
    int      n = 0;
    int64_t  seq = 0;
    enum err e = session_store_end(c, which, why, NULL, &n, &seq);
    if (e) return e;
    if (n) access_change_saw(seq);
    if (n_out) *n_out = n;
    return OK;
}

enum err session_end(struct call *c, const char *session_id, const char *why)
{
    return end(c, &(struct session_which){ .id = session_id }, why, NULL);
}

enum err session_end_account(struct call *c, const char *account_id, const char *keep, const char *why, int *n_out)
{
    return end(c, &(struct session_which){ .account_id = account_id, .keep = keep }, why, n_out);
}

enum err session_end_user(struct call *c, const char *creator_id, const char *user_id, const char *why, int *n_out)
{
    return end(c, &(struct session_which){ .creator_id = creator_id, .user_id = user_id }, why, n_out);
}

enum err session_end_creator(struct call *c, const char *creator_id, const char *why, int *n_out)
{
    return end(c, &(struct session_which){ .creator_id = creator_id }, why, n_out);
}

/* Whose sessions the caller may see and end. */
static struct session_which own(const struct call *c)
{
    if (c->account_id[0]) return (struct session_which){ .account_id = c->account_id };
    return (struct session_which){ .creator_id = c->creator_id, .user_id = c->user_id };
}

enum err session_end_own(struct call *c, const char *session_id, const char *why)
{
    struct session_which which = own(c);
    int                  n = 0;
    if (!c->account_id[0] && !c->user_id[0]) return fail(c, ERR_NOT_FOUND, "no such session");
    which.id = session_id;
    enum err e = end(c, &which, why, &n);
    if (!e && !n) e = fail(c, ERR_NOT_FOUND, "no such session");
    return e;
}

enum err session_list(struct call *c, const char *account_id, const char *creator_id, const char *user_id, struct session_seen **out,
                      int *n_out)
{
    struct session_which which = { .account_id = account_id };
    if (!account_id) which = (struct session_which){ .creator_id = creator_id, .user_id = user_id };
    return session_store_list(c, &which, out, n_out);
}

void session_sweep(struct call *c)
{
    enum err e = key_used_write(c);
    if (!e) e = session_store_sweep(c, clock_unix_ms() - SESSION_KEPT_SECONDS * 1000LL);
    if (!e) return;
    log_warn(c, "ended sessions could not be removed", "error", c->err_text, NULL);
    call_forgive(c);
}
