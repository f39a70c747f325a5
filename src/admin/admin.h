/* admin/admin.h — what an operator and a browser see: the embedded page, /health, /metrics, and the demo.        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ADMIN_ADMIN_H
#define CHIRON_ADMIN_ADMIN_H
#include "base/call.h"
#include "base/conf.h"

extern const struct setting admin_settings[];

/* Creates creator "demo" with its coach and queues its documents (embedded handbook, exercises file when found), once. */
MUST_CHECK enum err demo_prepare(struct call *c);
#endif
