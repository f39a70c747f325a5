/* From a credential to rights. What was checked before costs a hash: the signature is not checked again, and accounts.db is asked
 * again only when something changed there since. What a token says of its bearer is never taken for what they may do now: a
 * session must still be open, an account not disabled, a membership still there, and the role means what it means today.
 * It refuses two credentials at once, keys of people's own things (RIGHT_SELF, RIGHT_OWN), and says the same of every bad one. */
/* SPDX-License-Identifier: MIT */
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "accounts/access_change.h"
#include "accounts/accounts.h"
#include "accounts/credential_store.h"
#include "accounts/key_used.h"
#include "accounts/role.h"
#include "accounts/token_cache.h"
#include "base/clock.h"
#include "base/id.h"
#include "store/erased.h"

#define OUTSIDE_MS     (5 * 60 * 1000)
#define KEY_PREFIX     "chk_"
#define KEY_TEXT_BYTES 47          /* the prefix, and 32 random bytes as base64url */

static void copy(char *to, size_t room, const char *from)
{
    size_t n = from ? strlen(from) : 0;
    if (n >= room) n = 0;          /* every id here was checked against its room; a longer one is nobody's */
    if (n) memcpy(to, from, n);
    to[n] = '\0';
}
#define COPY(field, from) copy(field, sizeof field, from)

static enum err key_refuse(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "the API key is not valid");
}

static enum err key_look(struct call *c, const char *text, size_t n, int64_t now_ms, struct token_known *k)
{
    struct credential_key row;
    char                  hash[65];
    if (n != KEY_TEXT_BYTES) return key_refuse(c);
    enum err e = credential_store_key(c, id_sha256_hex(text, n, hash), &row);
    if (e == ERR_NOT_FOUND) return key_refuse(c);
    if (e) return e;
    if (row.until_ms <= now_ms) return key_refuse(c);
    COPY(k->creator_id, row.creator_id);
    COPY(k->key_id, row.id);
    k->rights = RIGHT_PUBLIC | (role_words(c, row.scopes) & ~(unsigned)(RIGHT_SELF | RIGHT_OWN));
    k->until_ms = row.until_ms;
    return OK;
}

/* Rights of a member: those of the role in this creator; without a membership only what concerns their own account. */
static enum err member_look(struct call *c, const struct credential_session *s, struct token_known *k)
{
    if (!s->account_state || strcmp(s->account_state, "active")) return token_refuse(c);
    COPY(k->account_id, s->account_id);
    k->user_id[0] = '\0';
    k->rights = RIGHT_PUBLIC | RIGHT_SELF;
    k->role[0] = '\0';
    if (!s->member_role) {
        k->creator_id[0] = '\0';
        return OK;
    }
    unsigned rights = 0;
    enum err e = role_rights(c, k->creator_id, s->member_role, &rights);
    if (e && e != ERR_NOT_FOUND) return e;
    if (!e) k->rights = rights | RIGHT_SELF;
    COPY(k->role, s->member_role);
    return OK;
}

/* sub and creator are as the token says them. */
static enum err session_look(struct call *c, const char *sub, int64_t now_ms, struct token_known *k)
{
    struct credential_session s;
    enum err                  e = credential_store_session(c, k->session_id, k->creator_id, &s);
    if (e == ERR_NOT_FOUND) return token_refuse(c);
    if (e) return e;
    if (s.ended || s.expires_ms <= now_ms) return fail(c, ERR_UNAUTHENTICATED, "this session has ended: sign in again");
    if (!strcmp(s.kind, "member")) return strcmp(s.account_id, sub) ? token_refuse(c) : member_look(c, &s, k);
    if (strcmp(s.user_id, sub) || strcmp(s.creator_id, k->creator_id) || !s.creator_there) return token_refuse(c);
    COPY(k->user_id, sub);
    COPY(k->role, s.role);
    e = role_rights(c, k->creator_id, s.role, &k->rights);
    return e == ERR_NOT_FOUND ? token_refuse(c) : e;
}

/* A token without a session has nothing else that could have ended. */
static enum err not_erased(struct call *c, const struct token_known *k)
{
    bool     erased = false;
    enum err e = k->user_id[0] ? erased_is(c, k->creator_id, k->user_id, &erased) : OK;
    return !e && erased ? token_refuse(c) : e;
}

/* Who a verified token is of, as of now. */
static enum err facts_look(struct call *c, const struct token_facts *f, int64_t now_ms, struct token_known *k)
{
    COPY(k->creator_id, f->creator);
    COPY(k->user_id, f->sub);
    COPY(k->role, f->role);
    COPY(k->session_id, f->sid);
    COPY(k->kid, f->kid);
    k->ours = f->ours;
    k->from_session = f->sid != NULL;
    k->until_ms = (f->exp + TOKEN_SKEW_SECONDS) * 1000;
    /* An issuer may take a key back; what it signed is then not remembered for the token's whole life. */
    if (!f->ours && k->until_ms > now_ms + OUTSIDE_MS) k->until_ms = now_ms + OUTSIDE_MS;
    if (f->sid) return f->sub ? session_look(c, f->sub, now_ms, k) : token_refuse(c);
    if (!f->role) return token_refuse(c);
    enum err e = not_erased(c, k);
    if (!e) e = role_rights(c, k->creator_id, k->role, &k->rights);
    return e == ERR_NOT_FOUND ? token_refuse(c) : e;
}

static enum err look(struct call *c, const char *text, size_t n, bool is_key, int64_t now_ms, struct token_known *k)
{
    if (is_key) return key_look(c, text, n, now_ms, k);
    struct token_facts f;
    enum err           e = signing_look(c, k->seq);
    if (!e) e = token_verify(c, text, TOKEN_ACCESS, now_ms / 1000, &f);
    return e ? e : facts_look(c, &f, now_ms, k);
}

/* Something changed since: everything but the signature is looked at again. */
static enum err look_again(struct call *c, const char *text, size_t n, bool is_key, int64_t now_ms, int64_t seq, struct token_known *k)
{
    struct token_known fresh = *k;
    enum err           e = OK;
    fresh.seq = seq;
    if (is_key) {
        e = key_look(c, text, n, now_ms, &fresh);
    } else {
        e = signing_look(c, seq);
        if (!e && fresh.ours && !signing_knows(fresh.kid)) e = token_refuse(c);
        if (!e && fresh.from_session) {
            const char *sub = arena_strdup(&c->mem, fresh.account_id[0] ? fresh.account_id : fresh.user_id);
            e = session_look(c, sub, now_ms, &fresh);
        } else if (!e) {
            e = not_erased(c, &fresh);
            if (!e) e = role_rights(c, fresh.creator_id, fresh.role, &fresh.rights);
            if (e == ERR_NOT_FOUND) e = token_refuse(c);
        }
    }
    if (!e) *k = fresh;
    return e;
}

/* A member without their membership is not kept: the claimed creator would be lost with it. */
static bool to_keep(const struct token_known *k)
{
    return !(k->account_id[0] && !k->role[0]);
}

static void fill(struct call *c, const struct token_known *k)
{
    COPY(c->creator_id, k->creator_id);
    COPY(c->user_id, k->user_id);
    COPY(c->account_id, k->account_id);
    COPY(c->session_id, k->session_id);
    COPY(c->key_id, k->key_id);
    COPY(c->role, k->role);
    c->rights = k->rights | RIGHT_PUBLIC;
}

static enum err check(struct call *c, const char *text, bool is_key, int64_t now_ms)
{
    struct token_print print;
    struct token_known k = { 0 };
    int64_t            seq = 0;
    size_t             n = strnlen(text, TOKEN_MAX_BYTES + 1);
    if (!n || n > TOKEN_MAX_BYTES) return is_key ? key_refuse(c) : token_refuse(c);
    enum err e = access_change_seq(c, &seq);
    if (e) return e;
    token_cache_print(text, n, &print);
    /* Remembered as what it is: a token is no key, whichever header it came in first. */
    bool known = token_cache_get(&print, &k) && now_ms < k.until_ms && is_key == (k.key_id[0] != '\0');
    if (!known || k.seq < seq) {
        if (known) {
            e = look_again(c, text, n, is_key, now_ms, seq, &k);
        } else {
            k = (struct token_known){ .seq = seq };
            e = look(c, text, n, is_key, now_ms, &k);
        }
        if (e || !to_keep(&k)) token_cache_drop(&print);
        else token_cache_put(&print, &k);
        if (e) return e;
    }
    if (is_key) key_used_note(k.key_id);
    fill(c, &k);
    return OK;
}

/* A service names the user it speaks for. What is the credential's own is not that user's. */
static enum err act_as(struct call *c, const char *user)
{
    if (!id_user_valid(user)) return fail_field(c, "X-Chiron-User", "X-Chiron-User is not a user's id");
    if (!strcmp(c->user_id, user)) return OK;
    if (!(c->rights & RIGHT_ACT_AS)) return fail(c, ERR_FORBIDDEN, "this credential may not speak for another user");
    COPY(c->user_id, user);
    c->rights &= ~(unsigned)RIGHT_SELF;
    return OK;
}

enum err authenticate_at(struct call *c, const struct credential *cred, int64_t now_ms)
{
    const char *text = cred->api_key;
    bool        is_key = text != NULL;
    c->rights = RIGHT_PUBLIC;
    if (!text && !cred->authorization) return OK;
    if (text && cred->authorization) return fail(c, ERR_UNAUTHENTICATED, "give one credential: Authorization or X-API-Key");
    if (!is_key) {
        if (strncasecmp(cred->authorization, "Bearer ", 7)) return fail(c, ERR_UNAUTHENTICATED, "Authorization must be \"Bearer TOKEN\"");
        text = cred->authorization + 7;
        text += strspn(text, " ");
        is_key = !strncmp(text, KEY_PREFIX, strlen(KEY_PREFIX));
    }
    enum err e = check(c, text, is_key, now_ms);
    if (!e && cred->as_user && *cred->as_user) e = act_as(c, cred->as_user);
    return e;
}

enum err authenticate(struct call *c, const struct credential *cred)
{
    return authenticate_at(c, cred, clock_unix_ms());
}
