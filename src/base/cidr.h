/* base/cidr.h — networks as settings name them ("10.0.0.0/8,2001:db8::/32,127.0.0.1") and whether an address is in one.
 * IPv4 addresses written as IPv6 (::ffff:192.0.2.1) are IPv4. Any thread.
 *     e = cidr_list(&c, "TRUSTED_PROXIES", conf_text("TRUSTED_PROXIES"), nets, &n);
 *     if (cidr_address(text, &a) && cidr_has(nets, n, &a)) …                                                          */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_CIDR_H
#define CHIRON_BASE_CIDR_H
#include "base/call.h"

#define CIDR_MAX 64
struct cidr_address {
    unsigned char bytes[16];     /* IPv4 as ::ffff:a.b.c.d */
    bool          v4;
};
struct cidr {
    struct cidr_address net;
    int                 bits;    /* of 128 */
};
/* At most CIDR_MAX networks, separated by commas; NULL and "" are none. ERR_INVALID names the setting. */
MUST_CHECK enum err cidr_list(struct call *c, const char *setting, const char *text, struct cidr out[CIDR_MAX], int *n_out);
bool cidr_address(const char *text, struct cidr_address *out);   /* false: it is none */
bool cidr_has(const struct cidr *nets, int n, const struct cidr_address *a);
#endif
