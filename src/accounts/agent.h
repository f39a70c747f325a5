/* accounts/agent.h — where a sign-in came from, shortened to what its owner needs to recognise it. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_AGENT_H
#define CHIRON_ACCOUNTS_AGENT_H
#include "base/call.h"

/* "Firefox on Linux" from a User-Agent header; "" for NULL, at most 60 bytes of what is not known. In c->mem. */
const char *agent_kind(struct call *c, const char *user_agent);
/* The network of an address: /24 of IPv4, /48 of IPv6; "" for what is no address. In c->mem. */
const char *agent_network(struct call *c, const char *address);
#endif
