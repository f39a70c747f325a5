/* http/remote.c — whose request this is, as an address. The peer of the connection is the truth unless TRUSTED_PROXIES names
 * it; then the proxy's word is taken, and that of the proxies before it as long as they are trusted too: the right-most
 * address that is not ours is the client's, whatever the client wrote to the left of it. Only the header that the
 * proxies are known to write is read (FORWARDED_HEADER): a proxy passes the other one on as a client made it up.
 * What is no address ends the walk at the proxy that passed it on. */
/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "http/exchange.h"

#define HOPS_MAX 32

enum err remote_open(struct call *c, struct server *s)
{
    const char *header = conf_text("FORWARDED_HEADER");
    s->forwarded_rfc = !strcasecmp(header, "Forwarded");
    if (!s->forwarded_rfc && strcasecmp(header, "X-Forwarded-For"))
        return fail_field(c, "FORWARDED_HEADER", "FORWARDED_HEADER is X-Forwarded-For or Forwarded, not \"%.40s\"", header);
    return cidr_list(c, "TRUSTED_PROXIES", conf_text("TRUSTED_PROXIES"), s->proxies, &s->proxy_count);
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]:80", each perhaps in quotes. */
static bool read_address(const char *p, size_t n, struct cidr_address *out)
{
    char text[64];
    if (n >= 2 && p[0] == '"' && p[n - 1] == '"') p++, n -= 2;
    if (n == 0 || n >= sizeof text) return false;
    memcpy(text, p, n);
    text[n] = '\0';
    char *address = text;
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (!end) return false;
        *end = '\0';
        address = text + 1;
    } else if (strchr(text, '.')) {
        char *colon = strchr(text, ':');
        if (colon && strchr(colon + 1, ':') == NULL) *colon = '\0';
    }
    return cidr_address(address, out);
}

struct hop {
    const char *p;
    size_t      n;
};

/* The last HOPS_MAX items of a list over all its header lines, in order. */
static int read_hops(const struct wire_head *h, const char *name, struct hop hops[HOPS_MAX])
{
    int n = 0;
    for (int i = 0; i < h->header_count; i++) {
        if (strcmp(h->headers[i].name, name)) continue;
        for (const char *p = h->headers[i].value; *p;) {
            p += strspn(p, " \t");
            const char *from = p;
            for (bool quoted = false; *p && (quoted || *p != ','); p++) {
                if (*p == '"') quoted = !quoted;
                else if (quoted && *p == '\\' && p[1]) p++;
            }
            size_t len = (size_t)(p - from);
            while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\t')) len--;
            if (n == HOPS_MAX) {
                memmove(hops, hops + 1, (HOPS_MAX - 1) * sizeof *hops);
                n--;
            }
            hops[n++] = (struct hop){ from, len };
            if (*p == ',') p++;
        }
    }
    return n;
}

/* The value of for= in one element of Forwarded (RFC 7239). */
static struct hop for_of(struct hop h)
{
    const char *end = h.p + h.n;
    for (const char *p = h.p; p < end;) {
        while (p < end && (*p == ' ' || *p == ';')) p++;
        const char *from = p;
        for (bool quoted = false; p < end && (quoted || *p != ';'); p++)
            if (*p == '"') quoted = !quoted;
        if (p - from > 4 && !strncasecmp(from, "for=", 4)) return (struct hop){ from + 4, (size_t)(p - from) - 4 };
    }
    return (struct hop){ h.p, 0 };
}

static void put(struct call *c, const struct cidr_address *a)
{
    inet_ntop(a->v4 ? AF_INET : AF_INET6, a->v4 ? a->bytes + 12 : a->bytes, c->remote, sizeof c->remote);
}

void remote_find(struct exchange *x, const char *peer)
{
    struct call         *c = &x->req.call;
    const struct server *s = x->server;
    struct cidr_address  a;
    snprintf(c->remote, sizeof c->remote, "%s", peer);
    bool says = wire_header(&x->head, "x-forwarded-for") || wire_header(&x->head, "forwarded") || wire_header(&x->head, "x-real-ip");
    if (strchr(peer, ':') && cidr_address(peer, &a)) put(c, &a);
    if (!says && !s->proxy_count) return;
    if (!cidr_address(peer, &a) || !cidr_has(s->proxies, s->proxy_count, &a)) {
        x->forwarded = says;
        return;
    }
    x->from_proxy = true;
    struct hop hops[HOPS_MAX];
    int        n = read_hops(&x->head, s->forwarded_rfc ? "forwarded" : "x-forwarded-for", hops);
    while (n-- > 0 && cidr_has(s->proxies, s->proxy_count, &a)) {
        struct hop          h = s->forwarded_rfc ? for_of(hops[n]) : hops[n];
        struct cidr_address before;
        if (!read_address(h.p, h.n, &before)) break;
        a = before;
    }
    put(c, &a);
}

bool req_secure(struct req *r)
{
    struct exchange *x = (struct exchange *)r;
    const char      *proto = x->from_proxy ? wire_header(&x->head, "x-forwarded-proto") : NULL;
    return proto && !strcasecmp(proto, "https");
}
