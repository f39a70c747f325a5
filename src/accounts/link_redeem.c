/* Opening a mail link. All that can be wrong is looked at before the link is used, so that a weak password or a missing code does
 * not cost the link; then it is used, so that two who come with it are one; then it does what it is for, and is given back
 * when that fails. A link that reached a mailbox proves the mailbox and nothing more: it does not stand in for a second
 * factor, and one that was handed over by hand signs nobody in to an account that is there already. */
/* SPDX-License-Identifier: MIT */
#include "accounts/link_redeem.h"

#include <string.h>

#include "accounts/account_store.h"
#include "accounts/audit.h"
#include "accounts/creator_settings.h"
#include "accounts/label.h"
#include "accounts/link.h"
#include "accounts/lockout.h"
#include "accounts/mail.h"
#include "accounts/person.h"
#include "accounts/proof_store.h"
#include "accounts/role.h"
#include "accounts/strength.h"
#include "accounts/totp.h"
#include "base/id.h"
#include "base/log.h"
#include "store/store.h"

#define SIGN_IN_WHY "the address was confirmed by its owner"

static enum err refuse(struct call *c)
{
    return fail(c, ERR_UNAUTHENTICATED, "this link is wrong, was used already or is too old");
}

/* The account of a link, if it may still come in. */
static enum err active(struct call *c, const char *id, struct account *a, struct account_proof *proof)
{
    enum err e = id ? account_row_get(c, id, NULL, a, proof) : ERR_NOT_FOUND;
    if (e == ERR_NOT_FOUND || (!e && !a->active)) return refuse(c);
    return e;
}

static enum err second_factor(struct call *c, const struct account *a, const struct account_proof *p, const struct link_redeem *r)
{
    struct lockout l;
    bool           right = false, closed = false;
    if (!a->totp) return OK;
    if (!r->totp && !r->recovery_code) {
        c->err_code = "totp_required";
        return fail(c, ERR_UNAUTHENTICATED, "this account wants the code of its second factor");
    }
    enum err e = lockout_claim(c, a->email, &l);
    if (e) return e;
    e = totp_check(c, a, p, r->totp, r->recovery_code, &right);
    if (e) return e;
    if (right) return lockout_right(c, &l);
    e = lockout_wrong(c, &l, &closed);
    return e ? e : fail(c, ERR_UNAUTHENTICATED, "the code is wrong or was used already");
}

/* The mailbox is theirs. Whoever signed up with it without showing that loses what they could come back with (take_over): not so
 * when the account's second factor came with the link, because then both are one person. */
static enum err prove_mailbox(struct call *c, const struct link *l, const struct account *a, bool take_over)
{
    bool first = false;
    int  ended = 0;
    if (!l->mailed || strcmp(l->email, a->email)) return OK;
    enum err e = proof_email(c, a->id, take_over, &first);
    if (!e && first && take_over) e = session_end_account(c, a->id, NULL, SIGN_IN_WHY, &ended);
    if (!e && first && take_over) e = access_changed(c);
    return e;
}

static enum err note(struct call *c, const char *action, const char *account_id, const struct link *l)
{
    return audit_put_instance(c, &(struct audit_entry){ action, account_id, "done", (const char *[]){ "by", "link", "purpose", link_word(l->purpose), NULL } });
}

static enum err enter(struct call *c, const struct account *a, const char *creator_id, const struct link_redeem *r, struct link_redeemed *out)
{
    struct session_tokens t;
    enum err              e = account_session(c, a, creator_id, r->agent, &t);
    if (!e) *out = (struct link_redeemed){ .signed_in = true, .tokens = t };
    return e;
}

static enum err redeem_account(struct call *c, struct link *l, const struct link_redeem *r, struct link_redeemed *out)
{
    struct account       a;
    struct account_proof proof;
    enum err             e = active(c, l->account_id, &a, &proof);
    if (!e) e = second_factor(c, &a, &proof, r);
    if (!e) e = link_spend(c, l);
    if (e) return e;
    e = prove_mailbox(c, l, &a, !a.totp);
    if (!e) e = enter(c, &a, NULL, r, out);
    return e ? e : note(c, "account.login", a.id, l);
}

/* Somebody who is coached: known by the address, or new. */
static enum err redeem_person(struct call *c, struct link *l, const struct link_redeem *r, struct link_redeemed *out)
{
    struct creator_settings s;
    struct person           p;
    char                    id[ID_BYTES];
    const char             *name = NULL;
    enum err                e = tenant_open(c, l->creator_id);
    if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        return refuse(c);
    }
    if (!e) e = creator_settings_get(c, &s);
    if (!e && !s.email_users) return refuse(c);
    if (!e && r->full_name) e = label_check(c, "full_name", r->full_name, LIMIT_NAME_BYTES, &name);
    if (!e) e = link_spend(c, l);
    if (e) return e;
    e = person_of_email(c, l->email, &p);
    if (e == ERR_NOT_FOUND)
        e = person_put(c, arena_strdup(&c->mem, id_new("usr", id)), &(struct person){ .kind = "email", .email = l->email, .name = name ? name : "" },
                       PERSON_EMAIL | PERSON_NAME, &p, NULL);
    struct session_tokens t;
    if (!e) e = session_begin(c, &(struct session_who){ .kind = "user", .creator_id = l->creator_id, .user_id = p.id, .role = "user", .agent = r->agent }, &t);
    if (!e) e = audit_put(c, &(struct audit_entry){ "user.login", arena_printf(&c->mem, AUDIT_USER "%s", p.id), "done", (const char *[]){ "by", "link", NULL } });
    if (!e) *out = (struct link_redeemed){ .signed_in = true, .tokens = t };
    return e;
}

static enum err redeem_password(struct call *c, struct link *l, const struct link_redeem *r)
{
    struct account a;
    int            ended = 0;
    enum err       e = active(c, l->account_id, &a, NULL);
    if (e) return e;
    if (!r->password) return fail_field(c, "password", "choose a new password");
    e = strength_check(c, "password", r->password, (const char *[]){ a.email, a.full_name, NULL });
    if (!e) e = link_spend(c, l);
    if (e) return e;
    e = prove_mailbox(c, l, &a, true);
    if (!e) e = account_password_set(c, &a, r->password);
    if (!e) e = session_end_account(c, a.id, NULL, "a new password was set", &ended);
    if (!e) mail_notice(c, a.email, "password", NULL, r->language);
    return e ? e : note(c, "account.password", a.id, l);
}

static enum err redeem_verify(struct call *c, struct link *l)
{
    struct account a;
    enum err       e = active(c, l->account_id, &a, NULL);
    if (!e) e = link_spend(c, l);
    if (!e) e = prove_mailbox(c, l, &a, false);
    return e ? e : note(c, "account.verify", a.id, l);
}

static enum err join(struct call *c, const struct link *l, const struct account *a, const struct link_redeem *r, struct link_redeemed *out)
{
    enum err e = proof_member_add(c, l->creator_id, a->id, l->role, NULL);
    if (!e) e = access_changed(c);
    if (!e) e = enter(c, a, l->creator_id, r, out);
    return e ? e : note(c, "member.join", a->id, l);
}

/* There is an account already: made since, or by another creator. */
static enum err invite_known(struct call *c, struct link *l, const struct link_redeem *r, const struct account *a, const struct account_proof *proof,
                             struct link_redeemed *out)
{
    enum err e = OK;
    if (!a->active) return refuse(c);
    if (!l->mailed && !r->password) return fail_field(c, "password", "this address has an account here: its password is needed");
    if (l->mailed) e = second_factor(c, a, proof, r);
    else e = account_prove(c, a, &(struct proof){ r->password, r->totp, r->recovery_code, true });
    if (!e) e = link_spend(c, l);
    if (!e) e = prove_mailbox(c, l, a, !a->totp);
    return e ? e : join(c, l, a, r, out);
}

static enum err redeem_invite(struct call *c, struct link *l, const struct link_redeem *r, struct link_redeemed *out)
{
    struct account       a;
    struct account_proof proof;
    const char          *creator = NULL;
    unsigned             rights = 0;
    enum err             e = role_rights(c, l->creator_id, l->role, &rights);
    if (e == ERR_NOT_FOUND) return fail(c, ERR_CONFLICT, "the role of this invitation is gone; ask for a new one");
    if (!e) e = account_row_get(c, NULL, l->email, &a, &proof);
    if (!e) return invite_known(c, l, r, &a, &proof, out);
    if (e != ERR_NOT_FOUND) return e;
    if (!r->full_name) return fail_field(c, "full_name", "how shall we call you?");
    if (!r->password) return fail_field(c, "password", "choose a password");
    e = strength_check(c, "password", r->password, (const char *[]){ l->email, r->full_name, NULL });
    if (!e) e = link_spend(c, l);
    if (e) return e;
    e = account_make(c, &(struct account_new){ .email = l->email, .full_name = r->full_name, .password = r->password, .email_verified = l->mailed, .alone = true },
                     &a, &creator);
    return e ? e : join(c, l, &a, r, out);
}

enum err link_redeem(struct call *c, const struct link_redeem *r, struct link_redeemed *out)
{
    struct link          l;
    struct link_redeemed got = { 0 };
    enum err             e = link_read(c, r->token, &l);
    if (e) return e;
    switch (l.purpose) {
    case LINK_SIGN_IN: e = l.account_id ? redeem_account(c, &l, r, &got) : redeem_person(c, &l, r, &got); break;
    case LINK_PASSWORD: e = redeem_password(c, &l, r); break;
    case LINK_VERIFY: e = redeem_verify(c, &l); break;
    case LINK_INVITE: e = redeem_invite(c, &l, r, &got); break;
    case LINK_PURPOSES: e = refuse(c); break;
    }
    if (!e) *out = got;
    /* The first words stay; what giving it back has to say is only that the link is lost. */
    if (e && l.spent && link_unspend(c, &l)) log_warn(c, "a link was used and what it opens failed", "purpose", link_word(l.purpose), NULL);
    return e;
}
