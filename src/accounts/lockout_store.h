/* accounts/lockout_store.h — the rows of login_guard. A change reads, decides and writes within one transaction.   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LOCKOUT_STORE_H
#define CHIRON_ACCOUNTS_LOCKOUT_STORE_H
#include "accounts/lockout.h"

#define LOCKOUT_ROWS_MAX 100000

/* A missing row is all zero. key NULL: the same. */
MUST_CHECK enum err lockout_rows_read(struct call *c, const struct lockout *l, struct lockout_row *name, struct lockout_row *address);
/* Calls decide with both rows, then keeps what it left; a row without tries goes. false: nothing is written. */
typedef bool (*lockout_decide_fn)(void *arg, struct lockout_row *name, struct lockout_row *address);
MUST_CHECK enum err lockout_rows_change(struct call *c, const struct lockout *l, lockout_decide_fn decide, void *arg);
/* Removes what is forgotten by now_ms, and the oldest past LOCKOUT_ROWS_MAX. */
MUST_CHECK enum err lockout_sweep(struct call *c, int64_t now_ms);
#endif
