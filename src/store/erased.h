/* store/erased.h — who was erased, without saying who they were: a keyed hash of creator and user id, in accounts.db, where
 * credentials are checked, and in the creator's database, where a write that was on its way meets it. Any thread.     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_ERASED_H
#define CHIRON_STORE_ERASED_H
#include "base/call.h"

struct conn;
/* Is this user of this creator erased? One look into accounts.db. For authentication: what is known of a credential is to be
 * looked at again after access_changed. */
MUST_CHECK enum err erased_is(struct call *c, const char *creator_id, const char *user_id, bool *out);
/* Before a row of this user is added, within that transaction on the creator's database: ERR_CONFLICT when they were erased.
 * user_id "" or NULL: nobody's row, OK. For *_store.c. */
MUST_CHECK enum err erased_check(struct call *c, struct conn *w, const char *user_id);
/* Marks them on the way to their erasure: credentials are refused from here on. */
MUST_CHECK enum err erased_put(struct call *c, const char *creator_id, const char *user_id);
/* The creator's half, within the transaction that removes their rows. */
MUST_CHECK enum err erased_put_in(struct call *c, struct conn *w, const char *user_id);
/* A creator that was erased: strangers may not take its name, which tokens and addresses out there still mean. Within the
 * transaction on accounts.db that removes it; and the question, for creators of any spelling of the id. */
MUST_CHECK enum err erased_creator_put_in(struct call *c, struct conn *w, const char *creator_id);
MUST_CHECK enum err erased_creator_is(struct call *c, const char *creator_id, bool *out);
/* Takes both back: the creator makes a user of this id anew. None is no error. c->tenant is that creator's. */
MUST_CHECK enum err erased_drop(struct call *c, const char *user_id);
#endif
