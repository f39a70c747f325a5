/* Signing up and in. Whoever asks learns one thing: right or not. The try is counted before the password is looked at; an address
 * that nobody has is hashed as well; and a wrong code sounds like a wrong password, but for the one answer that asks for the
 * code, which only the right password gets. A new account takes the ids that the product itself uses from nobody. */
/* SPDX-License-Identifier: MIT */
#include "accounts/account.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "accounts/account_store.h"
#include "accounts/accounts.h"
#include "accounts/audit.h"
#include "accounts/email.h"
#include "accounts/issuer.h"
#include "accounts/label.h"
#include "accounts/lockout.h"
#include "accounts/oidc_issuers.h"
#include "accounts/password.h"
#include "accounts/strength.h"
#include "accounts/totp.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/erased.h"
#include "store/store.h"

#define SLUG_BYTES     40
#define SUFFIX_LETTERS 6
#define SLUG_TRIES     5

const struct setting account_settings[] = {
    { "SIGNUP", "open", "open: anybody may make an account and a creator of their own; closed: by invitation only", 0, 0, 0 },
    { "COOKIE_SECURE", "auto", "1: the sign-in cookie is sent over https only; auto: when it was asked for over https", 0, 0, 0 },
    { NULL, NULL, NULL, 0, 0, 0 },
};

bool account_signup_open(void)
{
    return strcasecmp(conf_text("SIGNUP"), "closed") != 0;
}

/* ---- who they are ---- */

enum err account_get(struct call *c, const char *id, struct account *out)
{
    enum err e = account_row_get(c, id, NULL, out, NULL);
    return e == ERR_NOT_FOUND ? fail(c, ERR_NOT_FOUND, "there is no such account") : e;
}

enum err account_of_email(struct call *c, const char *email, struct account *out)
{
    return account_row_get(c, NULL, email, out, NULL);
}

enum err account_memberships(struct call *c, const char *id, struct membership **out, int *n_out)
{
    return account_rows_member(c, id, out, n_out);
}

enum err account_rename(struct call *c, const char *id, const char *full_name)
{
    const char *name = NULL;
    enum err    e = label_check(c, "full_name", full_name, LIMIT_NAME_BYTES, &name);
    if (!e && !*name) e = fail_field(c, "full_name", "full_name is empty");
    return e ? e : account_row_name(c, id, name, clock_unix_ms());
}

/* ---- new accounts ---- */

/* "Ann's Gym" → "ann-s-gym"; "" when no letter of it can be written in a-z and 0-9. */
static const char *slug_of(struct call *c, const char *name)
{
    char  *slug = arena_alloc(&c->mem, SLUG_BYTES + 1);
    size_t n = 0;
    utf8proc_uint8_t *plain = NULL;
    if (utf8proc_map((const utf8proc_uint8_t *)name, 0, &plain,
                     UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_STRIPMARK | UTF8PROC_CASEFOLD) < 0)
        return slug;
    for (const utf8proc_uint8_t *p = plain; *p && n < SLUG_BYTES; p++) {
        if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9')) slug[n++] = (char)*p;
        else if (n && slug[n - 1] != '-' && *p < 0x80) slug[n++] = '-';
    }
    free(plain);
    while (n && slug[n - 1] == '-') n--;
    slug[n] = '\0';
    return slug;
}

/* Whose people outside issuers send: whoever made it first would have them. */
static bool of_an_issuer(const char *creator_id)
{
    for (int i = 0; issuer_at(i); i++)
        if (issuer_at(i)->creator && !strcasecmp(issuer_at(i)->creator, creator_id)) return true;
    for (int i = 0; i < oidc_issuer_count(); i++)
        if (oidc_issuer_at(i)->creator && !strcasecmp(oidc_issuer_at(i)->creator, creator_id)) return true;
    return false;
}

/* Creators that the product makes by itself, or that a stranger could pass for the house with. */
static bool reserved(const char *creator_id)
{
    static const char *const ours[] = { "rag", "fit", "ten", "arc", "cre", "hub", "demo", "home", "chiron", "admin", "system", "instance", "default" };
    const char *owner = conf_text("OWNER_CREATOR");
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (!strcasecmp(ours[i], creator_id)) return true;
    return (owner && !strcasecmp(owner, creator_id)) || of_an_issuer(creator_id);
}

static const char *with_suffix(struct call *c, const char *slug)
{
    char id[ID_BYTES];
    id_new("c", id);
    char *tail = id + strlen(id) - SUFFIX_LETTERS;
    for (char *p = tail; *p; p++) *p = (char)tolower((unsigned char)*p);
    return arena_printf(&c->mem, "%s-%s", *slug ? slug : "c", tail);
}

static enum err taken(struct call *c)
{
    memcpy(c->err_field, "creator_id", sizeof "creator_id");
    return fail(c, ERR_CONFLICT, "this creator_id is taken");
}

/* The row and its creator, under the id that was asked for or the first free one made of the name. */
static enum err add_with_creator(struct call *c, const struct account_row *row, const char *wanted, const char *name, const char **creator_out)
{
    const char *slug = wanted ? wanted : slug_of(c, name), *id = slug;
    for (int i = 0; i < SLUG_TRIES; i++) {
        bool made = false, gone = false;
        if (i > 0 || (!wanted && !*slug)) id = with_suffix(c, slug);
        /* What was erased comes back by the operator's hand only: tokens made for it may still be about. */
        enum err e = erased_creator_is(c, id, &gone);
        bool     free_id = !gone && !reserved(id);
        if (!e && wanted && !free_id) e = taken(c);
        if (!e && free_id) e = account_row_add_owner(c, row, id, name, &made);
        if (e == ERR_CONFLICT && strcmp(c->err_field, "email") && !wanted) {
            /* Another creator's id differs from it only in case. */
            call_forgive(c);
            e = OK;
        }
        if (e) return e;
        if (made) {
            *creator_out = id;
            return OK;
        }
        if (wanted) return taken(c);
    }
    return fail(c, ERR_BUSY, "no free creator id was found; give one as creator_id");
}

/* Everything of it that can be wrong without asking the database. */
static enum err read_new(struct call *c, const struct account_new *a, struct account_row *row)
{
    const char *email = NULL, *name = NULL;
    char        id[ID_BYTES];
    enum err    e = email_check(c, "email", a->email, &email);
    if (!e) e = label_check(c, "full_name", a->full_name ? a->full_name : "", LIMIT_NAME_BYTES, &name);
    if (!e && !*name && a->password) e = fail_field(c, "full_name", "full_name is empty");
    if (e) return e;
    *row = (struct account_row){ .id = arena_strdup(&c->mem, id_new("acc", id)), .email = email, .full_name = name,
                                 .email_verified = a->email_verified, .created_ms = clock_unix_ms() };
    return OK;
}

static enum err hash_new(struct call *c, const struct account_new *a, struct account_row *row)
{
    if (!a->password) return OK;
    enum err e = strength_check(c, "password", a->password, (const char *const[]){ row->email, row->full_name, a->creator_name, NULL });
    return e ? e : password_hash(c, a->password, &row->password_hash);
}

static void account_from(struct account *out, const struct account_row *row)
{
    *out = (struct account){ .id = row->id, .email = row->email, .full_name = row->full_name, .email_verified = row->email_verified,
                             .active = true, .password = row->password_hash != NULL, .created_ms = row->created_ms };
}

enum err account_make(struct call *c, const struct account_new *a, struct account *out, const char **creator_out)
{
    struct account_row row;
    struct account     other;
    const char        *creator = NULL, *creator_name = NULL;
    enum err           e = read_new(c, a, &row);
    if (!e && !a->alone) e = label_check(c, "creator_name", a->creator_name ? a->creator_name : row.full_name, LIMIT_NAME_BYTES, &creator_name);
    if (!e && a->creator_id && !id_valid(a->creator_id))
        e = fail_field(c, "creator_id", "creator_id must be 1 to %d letters, digits or . _ : @ -, beginning with none of . -", LIMIT_ID_BYTES);
    if (!e) {
        /* Before the hash: it would be 20 ms for nothing. */
        e = account_row_get(c, NULL, row.email, &other, NULL);
        if (!e) {
            memcpy(c->err_field, "email", sizeof "email");
            e = fail(c, ERR_CONFLICT, "an account with this e-mail address exists already");
        } else if (e == ERR_NOT_FOUND) {
            e = OK;
        }
    }
    if (!e) e = hash_new(c, a, &row);
    if (!e && a->alone) e = account_row_add(c, &row);
    if (!e && !a->alone) e = add_with_creator(c, &row, a->creator_id, creator_name, &creator);
    if (!e) memcpy(c->account_id, row.id, strlen(row.id) + 1);
    if (!e) e = audit_put_instance(c, &(struct audit_entry){ "account.register", row.id, "done", (const char *const[]){ "creator", creator ? creator : "", NULL } });
    if (e) return e;
    account_from(out, &row);
    *creator_out = creator;
    return OK;
}

enum err account_setup(struct call *c, const char *secret, const char *creator, const struct account_new *a, struct account *out)
{
    const char          *nonce = NULL;
    struct account_row   row;
    struct account       known;
    struct account_proof proof;
    bool                 created = false, won = false, right = false, old = false;
    enum err             e = setup_check(c, secret, &nonce);
    if (!e) e = read_new(c, a, &row);
    if (e) return e;
    e = account_row_get(c, NULL, row.email, &known, &proof);
    bool new = e == ERR_NOT_FOUND;
    if (new) e = hash_new(c, a, &row);
    else if (!e) e = password_check(c, a->password, proof.password_hash, &right, &old);
    if (!e && !new && !right) {
        memcpy(c->err_field, "email", sizeof "email");
        e = fail(c, ERR_CONFLICT, "an account with this e-mail address exists already, with another password");
    }
    /* There is no place for its code here, and what is shut stays shut. */
    if (!e && !new && (proof.totp_on || !known.active)) {
        memcpy(c->err_field, "email", sizeof "email");
        e = fail(c, ERR_CONFLICT, "this account cannot come in by its password alone: use another address here, and invite it then");
    }
    if (!e && !new) row.id = known.id;
    if (!e) e = tenant_create(c, creator, creator, &created);
    if (!e) e = account_row_setup(c, nonce, &row, new, creator, &won);
    if (!e && !won) e = fail(c, ERR_UNAUTHENTICATED, "this set-up link is wrong or was used already");
    if (!e) e = access_changed(c);
    if (!e) memcpy(c->account_id, row.id, strlen(row.id) + 1);
    if (!e) e = audit_put_instance(c, &(struct audit_entry){ "instance.setup", row.id, "done", (const char *const[]){ "creator", creator, NULL } });
    if (e) return e;
    if (new) account_from(out, &row);
    else *out = known;
    return OK;
}

/* ---- signing in ---- */

enum err account_session(struct call *c, const struct account *a, const char *creator_id, const char *agent, struct session_tokens *out)
{
    struct membership *m = NULL;
    int                n = 0, at = 0;
    enum err           e = account_rows_member(c, a->id, &m, &n);
    if (e) return e;
    while (creator_id && at < n && strcmp(m[at].creator_id, creator_id)) at++;
    if (creator_id && at == n) return fail(c, ERR_NOT_FOUND, "this account is not a member of that creator");
    struct session_who who = { .kind = "member", .account_id = a->id, .agent = agent };
    if (n > 0) {
        who.creator_id = m[at].creator_id;
        who.role = m[at].role;
    }
    e = account_row_seen(c, a->id, clock_unix_ms());
    return e ? e : session_begin(c, &who, out);
}

static enum err refused(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "the e-mail address, the password or the code is wrong");
}

/* The try stays counted. */
static enum err wrong(struct call *c, const struct lockout *l, const char *account_id, const char *what)
{
    bool     closed = false;
    enum err e = lockout_wrong(c, l, &closed);
    if (!e)
        e = audit_put_instance(c, &(struct audit_entry){ "account.login", account_id, "refused", (const char *const[]){ "wrong", what, NULL } });
    if (!e && closed) e = audit_put_instance(c, &(struct audit_entry){ "account.lock", account_id, "done", NULL });
    return e ? e : refused(c);
}

static void rehash(struct call *c, const char *id, const char *old, const char *password)
{
    const char *hash = NULL;
    enum err    e = password_hash(c, password, &hash);
    if (!e) e = account_row_rehash(c, id, old, hash);
    if (!e) return;
    log_warn(c, "a password keeps its older hash", "account", id, "error", c->err_text, NULL);
    call_forgive(c);
}

/* Password and, when second, code of whoever has this address. */
static enum err prove(struct call *c, const char *email, const struct proof *p, struct account *out)
{
    struct lockout       l;
    struct account       a = { .id = "" };
    struct account_proof proof = { 0 };
    bool                 right = false, old = false, second = false;
    enum err             e = lockout_claim(c, email, &l);
    if (e) return e;
    e = account_row_get(c, NULL, email, &a, &proof);
    if (e == ERR_NOT_FOUND) e = OK;
    if (!e) e = password_check(c, p->password, proof.password_hash, &right, &old);
    bool missing = !e && right && a.active && p->second && proof.totp_on && !p->totp && !p->recovery_code;
    if (e || missing) {
        enum err undone = lockout_undecided(c, &l);
        if (e || undone) return e ? e : undone;
        c->err_code = "totp_required";
        return fail(c, ERR_UNAUTHENTICATED, "the code of the second factor is needed");
    }
    if (!right || !a.active) return wrong(c, &l, a.id, "password");
    if (p->second && proof.totp_on) {
        e = totp_check(c, &a, &proof, p->totp, p->recovery_code, &second);
        if (!e && !second) return wrong(c, &l, a.id, "code");
    }
    /* A password alone forgives no wrong codes: else who knows it could guess codes without end. */
    if (!e) e = p->second || !proof.totp_on ? lockout_right(c, &l) : lockout_undecided(c, &l);
    if (e) return e;
    if (old) rehash(c, a.id, proof.password_hash, p->password);
    *out = a;
    return OK;
}

enum err account_login(struct call *c, const struct login *l, struct account *out, struct session_tokens *tokens_out)
{
    const char           *email = NULL;
    struct account        a;
    struct session_tokens t;
    enum err              e = email_check(c, "email", l->email, &email);
    if (!e) e = prove(c, email, &(struct proof){ l->password, l->totp, l->recovery_code, true }, &a);
    if (!e) e = account_session(c, &a, l->creator_id, l->agent, &t);
    if (e) return e;
    memcpy(c->account_id, a.id, strlen(a.id) + 1);
    e = audit_put_instance(c, &(struct audit_entry){ "account.login", a.id, "done",
                                                     (const char *const[]){ "session", t.session_id, "second", a.totp ? l->totp ? "code" : "recovery" : "none", NULL } });
    if (e) return e;
    *out = a;
    *tokens_out = t;
    return OK;
}

enum err account_prove(struct call *c, const struct account *a, const struct proof *p)
{
    struct account same;
    if (!a->password) return fail(c, ERR_CONFLICT, "this account has no password; ask for a link to set one");
    return prove(c, a->email, p, &same);
}

enum err account_password_set(struct call *c, const struct account *a, const char *password)
{
    const char *hash = NULL;
    enum err    e = strength_check(c, "password", password, (const char *const[]){ a->email, a->full_name, NULL });
    if (!e) e = password_hash(c, password, &hash);
    if (!e) e = account_row_password(c, a->id, hash, clock_unix_ms());
    if (!e) e = audit_put_instance(c, &(struct audit_entry){ "account.password", a->id, "done", NULL });
    return e;
}
