/* accounts/access_change.h — the number that counts every change of who may do what. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ACCESS_CHANGE_H
#define CHIRON_ACCOUNTS_ACCESS_CHANGE_H
#include "base/call.h"

struct conn;
/* The newest number this process knows: its own changes at once, others' after 250 ms at most. Never goes back. */
MUST_CHECK enum err access_change_seq(struct call *c, int64_t *out);
/* Counts a change within the caller's transaction on accounts.db; after the commit access_change_saw(*seq_out). For *_store.c. */
MUST_CHECK enum err access_change_in(struct call *c, struct conn *w, int64_t *seq_out);
void access_change_saw(int64_t seq);
/* Forgets the number: the database is another one now. */
void access_change_forget(void);
#endif
