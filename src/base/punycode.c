/* RFC 3492, encoding only. libcurl would do it too, but through the locale, and a server has none. */
/* SPDX-License-Identifier: MIT */
#include "base/punycode.h"

#include <string.h>
#include <utf8proc.h>

#include "base/buf.h"

enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, BIAS = 72, FIRST = 128 };   /* part 5 */
enum { LABEL_BYTES = 63, HOST_BYTES = 253 };

static char digit(int d)
{
    return (char)(d < 26 ? 'a' + d : '0' + d - 26);
}

static int adapt(int delta, int points, bool first)
{
    int k = 0;
    delta = first ? delta / DAMP : delta / 2;
    for (delta += delta / points; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE) delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* A variable-length number: part 3.3. */
static void put_number(struct buf *b, int q, int bias)
{
    for (int k = BASE;; k += BASE) {
        int t = k <= bias ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        if (q < t) break;
        buf_addc(b, digit(t + (q - t) % (BASE - t)));
        q = (q - t) / (BASE - t);
    }
    buf_addc(b, digit(q));
}

/* Part 6.3. A label has at most LABEL_BYTES points, so the counts stay far from overflow: 0x10ffff times 64. */
static void put_label(struct buf *b, const int32_t *point, int n)
{
    int basic = 0;
    buf_adds(b, "xn--");
    for (int i = 0; i < n; i++)
        if (point[i] < FIRST) {
            buf_addc(b, (char)point[i]);
            basic++;
        }
    if (basic) buf_addc(b, '-');
    int32_t from = FIRST;
    int     delta = 0, bias = BIAS;
    for (int done = basic; done < n; delta++, from++) {
        int32_t next = INT32_MAX;
        for (int i = 0; i < n; i++)
            if (point[i] >= from && point[i] < next) next = point[i];
        delta += (next - from) * (done + 1);
        from = next;
        for (int i = 0; i < n; i++) {
            if (point[i] < from) delta++;
            if (point[i] != from) continue;
            put_number(b, delta, bias);
            bias = adapt(delta, done + 1, done == basic);
            delta = 0;
            done++;
        }
    }
}

/* The points of one label; -1: not UTF-8, or too many. */
static int points(const char *p, size_t n, int32_t out[LABEL_BYTES])
{
    int count = 0;
    while (n) {
        utf8proc_int32_t point;
        utf8proc_ssize_t took = utf8proc_iterate((const utf8proc_uint8_t *)p, (utf8proc_ssize_t)n, &point);
        if (took <= 0 || count == LABEL_BYTES) return -1;
        out[count++] = point;
        p += took;
        n -= (size_t)took;
    }
    return count;
}

enum err punycode_host(struct call *c, const char *host, const char **out)
{
    struct buf b;
    bool       ok = *host;
    buf_init(&b, HOST_BYTES);
    for (const char *p = host; ok;) {
        size_t  n = strcspn(p, "."), before = b.len, plain = 0;
        int32_t point[LABEL_BYTES];
        while (plain < n && (unsigned char)p[plain] < 0x80) plain++;
        int count = plain == n ? 0 : points(p, n, point);
        if (plain == n) buf_add(&b, p, n);
        else if (count > 0) put_label(&b, point, count);
        ok = n && count >= 0 && !b.failed && b.len - before <= LABEL_BYTES;
        if (!ok || !p[n]) break;
        buf_addc(&b, '.');
        p += n + 1;
    }
    ok = ok && !b.failed;
    if (ok) *out = arena_strndup(&c->mem, b.data, b.len);
    buf_dispose(&b);
    return ok ? OK : fail(c, ERR_INVALID, "there cannot be a host of this name");
}
