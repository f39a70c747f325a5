/* accounts/visitor_store.h — whose a visitor is, and whose their sign-ins were.                                     */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_VISITOR_STORE_H
#define CHIRON_ACCOUNTS_VISITOR_STORE_H
#include "base/call.h"

/* Writes down, once and for good, that this visitor is that user, who is made known when they are not. *owner_out: whose the visitor
 * is now, user_id or somebody who was faster, in c->mem. ERR_CONFLICT: one of them was erased. */
MUST_CHECK enum err visitor_claim_save(struct call *c, const char *visitor_id, const char *user_id, const char **owner_out);
/* The visitor's sign-ins, all ended, become the user's: exported and erased with them. */
MUST_CHECK enum err visitor_sessions_move(struct call *c, const char *visitor_id, const char *user_id);
#endif
