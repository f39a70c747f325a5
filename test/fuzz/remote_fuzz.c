/* Whose request it is: headers of proxies as anybody may write them, and the settings' lists of networks. What comes out is
 * always an address, or the peer. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/exchange.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* First byte: which header the proxies write; then header values, one a line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct server   server;
    static struct exchange x;
    struct call            c;
    char                   lines[4096];
    if (size < 1 || size >= sizeof lines) return 0;
    call_init(&c);
    if (cidr_list(&c, "TRUSTED_PROXIES", "127.0.0.0/8,10.0.0.0/8,2001:db8::/32", server.proxies, &server.proxy_count)) abort();
    server.forwarded_rfc = data[0] & 1;
    memset(&x.head, 0, offsetof(struct wire_head, headers));
    x.head.header_count = 0;
    memcpy(lines, data + 1, size - 1);
    lines[size - 1] = '\0';
    for (char *line = lines, *end; line && x.head.header_count < WIRE_HEADERS_MAX; line = end) {
        end = strchr(line, '\n');
        if (end) *end++ = '\0';
        x.head.headers[x.head.header_count++] = (struct wire_header){ server.forwarded_rfc ? "forwarded" : "x-forwarded-for", line };
    }
    x.server = &server;
    remote_find(&x, data[0] & 2 ? "192.0.2.1" : "127.0.0.1");
    struct cidr_address a;
    if (!cidr_address(x.req.call.remote, &a)) abort();
    if ((data[0] & 2) && strcmp(x.req.call.remote, "192.0.2.1")) abort();
    struct cidr nets[CIDR_MAX];
    int         n;
    if (cidr_list(&c, "TRUSTED_PROXIES", lines, nets, &n)) call_forgive(&c);
    call_dispose(&c);
    return 0;
}
