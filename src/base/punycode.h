/* base/punycode.h — host names beyond ASCII in the form that goes over the wire (RFC 3492): "bücher.example" is
 * "xn--bcher-kva.example". Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_PUNYCODE_H
#define CHIRON_BASE_PUNYCODE_H
#include "base/call.h"

/* In c->mem. The name is folded and composed already (accounts/email.h); what is ASCII stays as it is. ERR_INVALID: not UTF-8, empty, or
 * a part of it gets longer than the 63 bytes that fit. */
MUST_CHECK enum err punycode_host(struct call *c, const char *host, const char **out);
#endif
