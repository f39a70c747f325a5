/* base/mask.h — personal data that has a form, out of texts that are kept or sent on. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_MASK_H
#define CHIRON_BASE_MASK_H
#include <stddef.h>

#include "base/call.h"

/* E-mail addresses, phone numbers, card, account and id numbers replaced by masks like [email]; in c->mem (RAG-027, FIT-115).
 * masked_out: how many, may be NULL. */
const char *mask_pii(struct call *c, const char *text, size_t n, int *masked_out);
/* The network of an address as text: an IPv4's /24, an IPv6's /48, "" when it is no address; in c->mem. */
const char *mask_address(struct call *c, const char *address);
#endif
