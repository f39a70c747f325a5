/* accounts/audit.h — the log of sensitive actions: only added to, each row holding the hash of the one before. What is done inside a
 * creator goes to the creator's log, the rest to the instance's. It holds ids and counts, never texts: e-mail addresses, phone
 * numbers and the like in a value are masked before they are written (FIT-115), people stand in it by a reference that is
 * dropped when they are erased. Any thread.
 *     e = audit_put(c, &(struct audit_entry){ "document.delete", document_id, "done", (const char *[]){ "chunks", "12", NULL } });  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_AUDIT_H
#define CHIRON_ACCOUNTS_AUDIT_H
#include "base/call.h"

struct conn;
struct audit_entry {
    const char        *action;   /* "account.login", "document.delete": noun.verb, static */
    const char        *target;   /* an id; "" when there is none. A user's id is given as "user:ID" and stored as a reference */
    const char        *outcome;  /* "done", "refused", "failed" */
    const char *const *details;  /* name, value, …, NULL; may be NULL */
};
/* Writes one row: into the creator's log when c->tenant is open, else the instance's. Actor, address and request come from c. */
MUST_CHECK enum err audit_put(struct call *c, const struct audit_entry *a);
/* The instance's log, whatever tenant is open: sign-ins and accounts. */
MUST_CHECK enum err audit_put_instance(struct call *c, const struct audit_entry *a);
/* Within the caller's transaction on the creator's database, so that the action and its row are one. For *_store.c. */
MUST_CHECK enum err audit_put_in(struct call *c, struct conn *w, const struct audit_entry *a);
#endif
