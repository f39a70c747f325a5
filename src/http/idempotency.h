/* http/idempotency.h — a request that says by Idempotency-Key that it is the same as before is done once: the second gets the
 * first one's reply. The record is durable before the handler runs and the reply before it is sent, so a crash in
 * between is told and nothing is done twice.
 *     bool replayed; e = idempotency_begin(x, &replayed);   // an error refuses, replayed: the reply is made
 *     …the handler…   reply_finish(x, e);   idempotency_end(x);                                              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_HTTP_IDEMPOTENCY_H
#define CHIRON_HTTP_IDEMPOTENCY_H
#include "base/call.h"

struct exchange;
/* After the tenant is open and the body is whole. Nothing happens without the header, for a method that changes nothing, and
 * without a credential. ERR_CONFLICT: still running, or begun by a process that died. ERR_INVALID: the key is none, or came
 * with another request. */
MUST_CHECK enum err idempotency_begin(struct exchange *x, bool *replayed_out);
/* After the reply was made, before it is sent. */
void idempotency_end(struct exchange *x);
/* What is over in accounts.db, once an hour, for the janitor; a creator's own goes with its next one or by retention. */
void idempotency_sweep(struct call *c);
#endif
