/* base/cidr.c — one form for both families: an IPv4 address is compared as the IPv6 address that maps it, so a list may mix
 * them and a dual-stack socket's spelling cannot slip past a rule. Refuses host names: a name can change its address after
 * it was checked. */
/* SPDX-License-Identifier: MIT */
#include "base/cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

static const unsigned char mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

bool cidr_address(const char *text, struct cidr_address *out)
{
    struct cidr_address a = { .v4 = false };
    char                plain[64];
    size_t              n = strcspn(text, "%");   /* an interface of a link-local address */
    if (n >= sizeof plain) return false;
    memcpy(plain, text, n);
    plain[n] = '\0';
    if (inet_pton(AF_INET, plain, a.bytes + 12) == 1) {
        memcpy(a.bytes, mapped, sizeof mapped);
        a.v4 = true;
    } else if (inet_pton(AF_INET6, plain, a.bytes) == 1) {
        a.v4 = !memcmp(a.bytes, mapped, sizeof mapped);
    } else {
        return false;
    }
    *out = a;
    return true;
}

enum err cidr_list(struct call *c, const char *setting, const char *text, struct cidr out[CIDR_MAX], int *n_out)
{
    int count = 0;
    for (const char *p = text ? text : ""; *p;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ", \t");
        if (!n) break;
        const char *item = arena_strndup(&c->mem, p, n);
        const char *slash = strchr(item, '/');
        struct cidr net;
        char       *end = NULL;
        bool        ok = cidr_address(slash ? arena_strndup(&c->mem, item, (size_t)(slash - item)) : item, &net.net);
        long        all = ok && net.net.v4 && !strchr(item, ':') ? 32 : 128;
        long        bits = slash && slash[1] >= '0' && slash[1] <= '9' ? strtol(slash + 1, &end, 10) : slash ? -1 : all;
        if (!ok || bits < 0 || bits > all || (end && *end)) return fail_field(c, setting, "%s: \"%.60s\" is no network such as 10.0.0.0/8", setting, item);
        if (count == CIDR_MAX) return fail_field(c, setting, "%s: more than %d networks", setting, CIDR_MAX);
        net.bits = (int)(bits + 128 - all);
        out[count++] = net;
        p += n;
    }
    *n_out = count;
    return OK;
}

bool cidr_has(const struct cidr *nets, int n, const struct cidr_address *a)
{
    for (int i = 0; i < n; i++) {
        int whole = nets[i].bits / 8, rest = nets[i].bits % 8;
        if (memcmp(nets[i].net.bytes, a->bytes, (size_t)whole)) continue;
        if (!rest || !((nets[i].net.bytes[whole] ^ a->bytes[whole]) >> (8 - rest))) return true;
    }
    return false;
}
