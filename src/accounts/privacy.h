/* accounts/privacy.h — what a person may ask of the data about them: a copy of all of it (accounts/export.h), its removal with a
 * certificate, and, for a visitor who turns out to be somebody, its move to them. The inventory in accounts/person_table.h says
 * what "all" is. Any thread.
 *     e = person_erase(c, "ann", &certificate);                       // c->tenant is their creator's                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PRIVACY_H
#define CHIRON_ACCOUNTS_PRIVACY_H
#include "accounts/person_table.h"
#include "base/conf.h"
#include "base/json.h"

struct job_kind;

/* Who a user of c->tenant is, with their address as far as one is known. Nobody known is no error: rows may carry the id alone. */
MUST_CHECK enum err person_find(struct call *c, const char *user_id, struct person_who *out);
/* Does c->tenant hold anything of this user? */
MUST_CHECK enum err person_known(struct call *c, const char *user_id, bool *out);
/* The same of an account. ERR_NOT_FOUND. */
MUST_CHECK enum err account_find(struct call *c, const char *account_id, struct person_who *out);

/* Removes everything of one user of c->tenant and gives the certificate: a JSON object that lists every table and place, what went,
 * what stays and why, and what cannot be reached; signed. Their tokens are refused and requests of theirs that were on their
 * way fail from here on, until person_welcome. Again is allowed. ERR_BUSY: a job of theirs will not end. */
MUST_CHECK enum err person_erase(struct call *c, const char *user_id, const char **certificate_out);
/* The same for a visitor whose time is over: no mark, no certificate, and the bytes are left to the next scrubbing. */
MUST_CHECK enum err person_forget(struct call *c, const char *user_id);
/* An account with what it left in any creator. ERR_CONFLICT: it is the last owner of a creator, which the words name. */
MUST_CHECK enum err account_erase(struct call *c, const char *account_id, const char **certificate_out);
/* Before a member erases: is it really them? password is needed where the account has one. Callers without an account pass: their
 * credential was made on this machine. ERR_UNAUTHENTICATED: no. */
MUST_CHECK enum err account_prove_erasure(struct call *c, const char *password);
/* A whole creator: every table, file, session, key and member. c->tenant is that creator's and is released here. */
MUST_CHECK enum err creator_erase(struct call *c, const char *creator_id, const char **certificate_out);
/* An erased id may be used again: its creator makes that user anew. */
MUST_CHECK enum err person_welcome(struct call *c, const char *user_id);

/* Makes everything of one user of c->tenant another's, in one transaction, and puts "moved": {table: rows} into an open object.
 * ERR_INVALID: they are the same; ERR_CONFLICT: one was erased, or a document of from_user is being read in. The caller ends
 * from_user's sessions. */
MUST_CHECK enum err person_move(struct call *c, const char *from_user, const char *to_user, struct json_out *j);

/* Is a certificate one of this instance, as it was given? */
MUST_CHECK enum err certificate_check(struct call *c, const char *text, bool *right_out);
/* Whether a job's payload names this user. */
bool person_in_payload(struct call *c, const char *payload, const char *user_id);
extern const struct job_kind scrub_kind;     /* what could not be scrubbed at once */
extern const struct job_kind erase_kind;     /* what a process that died had begun */
#endif
