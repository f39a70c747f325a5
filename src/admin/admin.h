/* admin/admin.h — what an operator and a browser see: the embedded page, /health, /metrics, and the demo.        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ADMIN_ADMIN_H
#define CHIRON_ADMIN_ADMIN_H
#include "base/call.h"
#include "base/conf.h"

extern const struct setting admin_settings[];

/* The creator "demo" and its coach, before anybody asks for them; at once done. */
MUST_CHECK enum err demo_prepare(struct call *c);
/* Queues its documents (embedded handbook, exercise library when found): those whose bytes were not queued before. Durable
 * writes, some tens of milliseconds each, so serve does it after it is ready; c->stop is asked between them. */
MUST_CHECK enum err demo_load(struct call *c);
#endif
