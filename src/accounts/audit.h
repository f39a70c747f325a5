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
#define AUDIT_USER "user:"       /* before a user's id in a target or a detail's value */

struct audit_entry {
    const char        *action;   /* "account.login", "document.delete": noun.verb, static */
    const char        *target;   /* an id; "" when there is none. A user's id is given as "user:ID" and stored as a reference */
    const char        *outcome;  /* "done", "refused", "failed" */
    const char *const *details;  /* name, value, …, NULL; at most LIMIT_AUDIT_DETAILS pairs; may be NULL. "user:ID" as above */
};
/* Writes one row: into the creator's log when c->tenant is open, else the instance's. Actor, address and request come from c.
 * Not while this thread holds the writer of that database: then audit_put_in. */
MUST_CHECK enum err audit_put(struct call *c, const struct audit_entry *a);
/* The instance's log, whatever tenant is open: sign-ins and accounts. */
MUST_CHECK enum err audit_put_instance(struct call *c, const struct audit_entry *a);
/* Within the caller's transaction on the creator's database, so that the action and its row are one. For *_store.c. */
MUST_CHECK enum err audit_put_in(struct call *c, struct conn *w, const struct audit_entry *a);
/* The same within a transaction on accounts.db. */
MUST_CHECK enum err audit_put_instance_in(struct call *c, struct conn *w, const struct audit_entry *a);

/* ---- reading ---- */
struct audit_row {               /* texts in c->mem, never NULL but where said */
    int64_t     seq, at_ms;
    const char *actor_kind;      /* account user key system nobody */
    const char *actor, *action, *target, *outcome, *address, *request_id;
    const char *details;         /* a JSON object */
    const char *previous, *hash;
    const char *actor_name, *target_name;   /* who that is, as far as it is known still; NULL */
};
struct audit_filter {            /* NULL, 0: any */
    const char *actor;           /* an account, key or user id, or a reference */
    const char *action;          /* whole, or what it begins with before a dot: "account" */
    const char *target;          /* an id, or a user's */
    const char *outcome;
    const char *q;               /* in action, target or details */
    int64_t     from_ms, to_ms;  /* to_ms is not in it */
    int64_t     before;          /* seq */
    int         limit;           /* 1 to 200, 0: 50 */
};
/* Newest first; *next_out is the seq to give as before for what follows, 0 at the end. instance: that log, else c->tenant's. */
MUST_CHECK enum err audit_list(struct call *c, bool instance, const struct audit_filter *f, struct audit_row **out, int *n_out,
                               int64_t *next_out);
struct audit_state {
    int64_t entries, first_seq, seq;
    bool    whole;
    int64_t first_broken;        /* seq of the first row that is not as it was written; 0 when whole */
    const char *head;            /* hash of the newest row, "" when there is none */
    const char *why;             /* what is wrong with it; NULL when whole */
};
/* Goes through every row. What it finds wrong is no error. */
MUST_CHECK enum err audit_verify(struct call *c, bool instance, struct audit_state *out);
/* Takes rows older than before_ms out at the beginning, for retention; the newest always stays. */
MUST_CHECK enum err audit_cut(struct call *c, struct conn *w, bool instance, int64_t before_ms, int64_t *rows_out);
#endif
