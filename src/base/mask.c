/* Personal data that has a form: addresses, numbers and codes that can be recognised by shape and, where they carry
 * one, by check digit. A training plan is full of numbers, so a rule here must be sure: "3 x 10-12", "2024-01-31" and
 * "1000 kcal" stay. Names and places have no form and are left to those who can read. */
/* SPDX-License-Identifier: MIT */
#include "base/mask.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

struct cursor {
    const char *p; /* what is left */
    size_t n;
    const char *text; /* the whole, for what stands before */
};

static bool digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool wordy(char ch)
{
    return isalnum((unsigned char)ch) || (unsigned char)ch >= 0x80 || ch == '_';
}

static bool at_word_start(const struct cursor *s)
{
    return s->p == s->text || !wordy(s->p[-1]);
}

static bool ends(const struct cursor *s, size_t used)
{
    return used >= s->n || !wordy(s->p[used]);
}

/* local@host.tld; the local part begins here. */
static size_t email(const struct cursor *s)
{
    size_t i = 0, dot = 0;
    while (i < s->n && i < 64 && (wordy(s->p[i]) || strchr(".%+-'", s->p[i])) && s->p[i]) i++;
    if (i == 0 || i >= s->n || s->p[i] != '@' || strchr(".'", s->p[0])) return 0;
    size_t host = ++i;
    while (i < s->n && i - host < 255 && (isalnum((unsigned char)s->p[i]) || s->p[i] == '.' || s->p[i] == '-')) {
        if (s->p[i] == '.') dot = i;
        i++;
    }
    while (i > host && (s->p[i - 1] == '.' || s->p[i - 1] == '-')) i--;
    if (dot >= i)
        for (dot = i - 1; dot > host && s->p[dot] != '.';) dot--;
    return dot > host && i > dot + 2 && isalpha((unsigned char)s->p[dot + 1]) ? i : 0;
}

/* Digits with single separators between them. Returns the length used, the digits in out, and the sizes of the groups.
 */
static size_t digits(const struct cursor *s, const char *separators, char *out, int max, int groups[12],
                     int *group_count)
{
    size_t i = 0, end = 0;
    int n = 0, g = 0, run = 0;
    while (i < s->n && n < max) {
        if (digit(s->p[i])) {
            out[n++] = s->p[i++];
            run++;
            end = i;
        } else if (run && i + 1 < s->n && s->p[i] && strchr(separators, s->p[i]) && digit(s->p[i + 1]) && g < 10) {
            groups[g++] = run;
            run = 0;
            i++;
        } else {
            break;
        }
    }
    if (run) groups[g++] = run;
    out[n] = 0;
    *group_count = g;
    return end;
}

static bool luhn(const char *d)
{
    int sum = 0, n = (int)strlen(d);
    for (int i = 0; i < n; i++) {
        int v = d[n - 1 - i] - '0';
        if (i & 1) v = v * 2 > 9 ? v * 2 - 9 : v * 2;
        sum += v;
    }
    return sum % 10 == 0;
}

static size_t card(const struct cursor *s)
{
    char d[24];
    int g[12], gn;
    size_t used = digits(s, " -", d, 20, g, &gn);
    size_t n = strlen(d);
    if (n < 13 || n > 19 || !ends(s, used) || !strchr("3456", d[0]) || !luhn(d)) return 0;
    return gn == 1 || (g[0] == 4 && gn >= 3) ? used : 0;
}

static size_t ssn(const struct cursor *s)
{
    static const char form[] = "ddd-dd-dddd";
    if (s->n < sizeof(form) - 1) return 0;
    for (size_t i = 0; i < sizeof(form) - 1; i++)
        if (form[i] == 'd' ? !digit(s->p[i]) : s->p[i] != form[i]) return 0;
    return ends(s, sizeof(form) - 1) && s->p[sizeof(form) - 1] != '-' ? sizeof(form) - 1 : 0;
}

/* Spanish DNI (8 digits and a letter that checks them) and NIE (X, Y or Z, 7 digits and the letter). */
static size_t dni(const struct cursor *s)
{
    static const char letters[] = "TRWAGMYFPDXBNJZSQVHLCKE";
    size_t i = 0;
    int n = 0;
    long v = 0;
    char first = (char)toupper((unsigned char)s->p[0]);
    if (s->n && strchr("XYZ", first) && first) {
        v = first - 'X';
        i = n = 1;
        if (i < s->n && s->p[i] == '-') i++;
    }
    while (i < s->n && n < 8 && digit(s->p[i])) v = v * 10 + (s->p[i++] - '0'), n++;
    if (n != 8) return 0;
    if (i < s->n && (s->p[i] == '-' || s->p[i] == ' ')) i++;
    if (i >= s->n || toupper((unsigned char)s->p[i]) != letters[v % 23]) return 0;
    return ends(s, i + 1) ? i + 1 : 0;
}

static size_t iban(const struct cursor *s)
{
    char b[40];
    size_t i = 0;
    int n = 0;
    if (s->n < 15 || !isupper((unsigned char)s->p[0]) || !isupper((unsigned char)s->p[1]) || !digit(s->p[2]) ||
        !digit(s->p[3]))
        return 0;
    size_t end = 0;
    while (i < s->n && n < 34) {
        if (isupper((unsigned char)s->p[i]) || digit(s->p[i])) {
            b[n++] = s->p[i++];
            end = i;
        } else if (s->p[i] == ' ' && n % 4 == 0 && i + 1 < s->n &&
                   (digit(s->p[i + 1]) || isupper((unsigned char)s->p[i + 1]))) {
            i++;
        } else {
            break;
        }
    }
    if (n < 15) return 0;
    int rest = 0;
    for (int k = 0; k < n; k++) {
        char ch = b[(k + 4) % n];
        rest = digit(ch) ? (rest * 10 + (ch - '0')) % 97 : (rest * 100 + (ch - 'A' + 10)) % 97;
    }
    return rest == 1 && ends(s, end) ? end : 0;
}

/* Does a word for telephone stand just before? */
static bool called_phone(const struct cursor *s)
{
    static const char *const words[] = { "tel",
                                         "phone",
                                         "telefono",
                                         ("tel\xc3\xa9"
                                          "fono"),
                                         "call",
                                         "whatsapp",
                                         "mobile",
                                         "movil",
                                         "m\xc3\xb3vil",
                                         "cell",
                                         "sms",
                                         "llama" };
    size_t before = (size_t)(s->p - s->text), from = before > 24 ? before - 24 : 0;
    for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++)
        for (size_t i = from; i + strlen(words[w]) <= before; i++)
            if (strncasecmp(s->text + i, words[w], strlen(words[w])) == 0) return true;
    return false;
}

static size_t phone(const struct cursor *s)
{
    char d[24];
    int g[12], gn;
    struct cursor t = *s;
    size_t lead = 0;
    bool plus = s->p[0] == '+', bracket = s->p[0] == '(';
    if (plus || bracket) lead = 1;
    if (lead >= s->n || (s->p != s->text && (digit(s->p[-1]) || strchr(".,-/", s->p[-1])))) return 0;
    t.p += lead;
    t.n -= lead;
    size_t used = digits(&t, plus ? " -.()" : " -.", d, 16, g, &gn);
    size_t n = strlen(d);
    if (bracket) {
        /* (555) 123-4567 */
        struct cursor u = t;
        if (gn < 1 || used >= t.n || t.p[used] != ')' || n < 2 || n > 5) return 0;
        size_t skip = used + 1 + (used + 1 < t.n && t.p[used + 1] == ' ');
        u.p += skip;
        u.n -= skip < u.n ? skip : u.n;
        size_t more = digits(&u, " -.", d, 12, g, &gn);
        return strlen(d) >= 6 && strlen(d) + n >= 9 && ends(&u, more) ? lead + skip + more : 0;
    }
    if (!ends(&t, used)) return 0;
    if (plus) {
        /* +1 (555) 123-4567: go on past the brackets. */
        while (n < 15 && used < t.n && strchr(" ()-", t.p[used]) && used + 3 < t.n &&
               (digit(t.p[used + 1]) || t.p[used + 1] == '(' || digit(t.p[used + 2]))) {
            struct cursor u = { t.p + used, t.n - used, s->text };
            size_t skip = strspn(u.p, " ()-") < u.n ? strspn(u.p, " ()-") : u.n;
            char more[24];
            u.p += skip;
            u.n -= skip;
            size_t got = digits(&u, " -.", more, 15 - (int)n, g, &gn);
            if (!got) break;
            n += strlen(more);
            used += skip + got;
        }
        return n >= 8 && n <= 15 ? lead + used : 0;
    }
    bool us = gn == 3 && g[0] == 3 && g[1] == 3 && g[2] == 4;
    bool es = gn == 3 && g[0] == 3 && g[1] == 3 && g[2] == 3 && strchr("6789", d[0]);
    bool es4 = gn == 4 && g[0] == 3 && g[1] == 2 && g[2] == 2 && g[3] == 2 && strchr("6789", d[0]);
    if (us || es || es4) return used;
    return n >= 7 && n <= 13 && called_phone(s) ? used : 0;
}

static const struct {
    const char *mask;
    size_t (*find)(const struct cursor *s);
} RULES[] = { { "[email]", email },       { "[id number]", ssn },    { "[id number]", dni },
              { "[bank account]", iban }, { "[card number]", card }, { "[phone]", phone } };

const char *mask_pii(struct call *c, const char *text, size_t n, int *masked_out)
{
    struct buf out;
    int masked = 0;
    /* A mask is at most three times as long as the shortest it stands for. */
    buf_init(&out, n * 3 + 64);
    for (size_t i = 0; i < n;) {
        struct cursor s = { text + i, n - i, text };
        size_t used = 0, rule = 0;
        bool start = at_word_start(&s) && (isalnum((unsigned char)text[i]) || text[i] == '+' || text[i] == '(' ||
                                           (unsigned char)text[i] >= 0x80 || text[i] == '_');
        for (; start && rule < sizeof(RULES) / sizeof(*RULES); rule++) {
            used = RULES[rule].find(&s);
            if (used) break;
        }
        if (used) {
            buf_adds(&out, RULES[rule].mask);
            masked++;
            i += used;
        } else {
            buf_addc(&out, text[i++]);
        }
    }
    const char *result = arena_strndup(&c->mem, out.data ? out.data : "", out.len);
    buf_dispose(&out);
    if (masked_out) *masked_out = masked;
    return result;
}

const char *mask_address(struct call *c, const char *address)
{
    struct in_addr  four;
    struct in6_addr six;
    char            text[INET6_ADDRSTRLEN];
    char           *bare = arena_strdup(&c->mem, address);
    bare[strcspn(bare, "%")] = '\0'; /* an interface's name behind a link-local one */
    if (inet_pton(AF_INET6, bare, &six) == 1) {
        if (!IN6_IS_ADDR_V4MAPPED(&six)) {
            memset(six.s6_addr + 6, 0, 10);
            return arena_printf(&c->mem, "%s/48", inet_ntop(AF_INET6, &six, text, sizeof text));
        }
        memcpy(&four, six.s6_addr + 12, 4);
    } else if (inet_pton(AF_INET, bare, &four) != 1) {
        return "";
    }
    four.s_addr &= htonl(0xffffff00u);
    return arena_printf(&c->mem, "%s/24", inet_ntop(AF_INET, &four, text, sizeof text));
}
