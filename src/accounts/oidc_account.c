/* Whose account an outside issuer's person is. Issuer and subject are the name; an address only introduces the two to each other
 * the first time, and only when both sides know that it is theirs: an account that somebody opened with another's address
 * must not catch that other's sign-in, nor a careless issuer open our accounts. */
/* SPDX-License-Identifier: MIT */
#include "accounts/oidc.h"

#include <string.h>
#include <strings.h>

#include "accounts/account.h"
#include "accounts/audit.h"
#include "accounts/mail.h"
#include "accounts/proof_store.h"
#include "accounts/session.h"

#define AGAIN_MAX 3

static bool domain_ok(const struct oidc_issuer *o, const char *email)
{
    const char *at = strrchr(email, '@');
    if (!o->domains[0]) return true;
    for (int i = 0; at && o->domains[i]; i++)
        if (!strcasecmp(at + 1, o->domains[i])) return true;
    return false;
}

/* Known from now on, and a member of the creator that this issuer's people join. A membership that was taken away later does not
 * come back, because this happens once. */
static enum err introduce(struct call *c, const struct oidc_person *p, const char *account_id)
{
    enum err e = proof_issuer_add(c, p->issuer->issuer, p->subject, account_id);
    if (!e && p->issuer->creator) e = proof_member_add(c, p->issuer->creator, account_id, p->issuer->role, NULL);
    if (!e && p->issuer->creator) e = access_changed(c);
    if (!e)
        e = audit_put_instance(c, &(struct audit_entry){ "account.issuer", account_id, "done", (const char *[]){ "issuer", p->issuer->id, NULL } });
    return e;
}

static enum err make(struct call *c, const struct oidc_person *p, const char **account_out, enum oidc_door *door)
{
    const struct oidc_issuer *o = p->issuer;
    *door = !(o->signup_said ? o->signup : account_signup_open()) ? OIDC_CLOSED : !domain_ok(o, p->email) ? OIDC_DOMAIN : OIDC_IN;
    if (*door != OIDC_IN) return OK;
    struct account a;
    const char    *creator = NULL, *at = strrchr(p->email, '@');
    const char    *name = p->name ? p->name : arena_strndup(&c->mem, p->email, (size_t)(at - p->email));
    enum err e = account_make(c, &(struct account_new){ .email = p->email, .full_name = name, .email_verified = true, .alone = o->creator != NULL }, &a, &creator);
    if (!e) e = introduce(c, p, a.id);
    if (!e) *account_out = a.id;
    return e;
}

static enum err find(struct call *c, const struct oidc_person *p, const char **account_out, enum oidc_door *door)
{
    struct account a;
    const char    *id = NULL;
    enum err       e = proof_account_of_issuer(c, p->issuer->issuer, p->subject, &id);
    if (!e) e = account_get(c, id, &a);
    if (!e) {
        *door = a.active ? OIDC_IN : OIDC_DISABLED;
        *account_out = a.id;
        return OK;
    }
    if (e != ERR_NOT_FOUND) return e;
    call_forgive(c);
    *door = OIDC_NO_EMAIL;
    if (!p->email) return OK;
    e = account_of_email(c, p->email, &a);
    if (e == ERR_NOT_FOUND) return make(c, p, account_out, door);
    if (e) return e;
    *door = !a.active ? OIDC_DISABLED : !a.email_verified ? OIDC_UNCONFIRMED : OIDC_IN;
    if (*door != OIDC_IN) return OK;
    e = introduce(c, p, a.id);
    if (e) return e;
    mail_notice(c, a.email, "issuer", p->issuer->name, p->language);
    *account_out = a.id;
    return OK;
}

enum err oidc_account(struct call *c, const struct oidc_person *p, const char **account_out, enum oidc_door *door_out)
{
    const char    *account = NULL;
    enum oidc_door door = OIDC_IN;
    enum err       e = find(c, p, &account, &door);
    /* Windows signing in for the first time at once: the slower ones find what the faster one made, in up to three steps. */
    for (int again = 0; e == ERR_CONFLICT && again < AGAIN_MAX; again++) {
        call_forgive(c);
        account = NULL;
        e = find(c, p, &account, &door);
    }
    if (e) return e;
    *account_out = door == OIDC_IN ? account : NULL;
    *door_out = door;
    return OK;
}
