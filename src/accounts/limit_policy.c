/* Limits as a table: what is counted, by which key, how much by default, and the settings that say otherwise. FIT's and
 * TEN's keys, windows and numbers are theirs to the letter (FIT-097, FIT-037, TEN-034); a setting that two systems named is
 * read with the surface's prefix first, then plain, then the surface's own default. The other defaults are meant never to be
 * met by a person, a page or a server that behaves. A wrong setting stops the start: a limit that silently is not there is
 * found by the wrong person. */
/* SPDX-License-Identifier: MIT */
#include "accounts/limit_policy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "accounts/limit.h"
#include "base/cidr.h"
#include "base/metric.h"

#define WINDOW_SECONDS_MAX 86400
#define REQUESTS_MAX 1000000000

const struct setting limit_settings[] = {
    { "RATE_LIMIT_ENABLED", "true", "false: nothing is limited but attempts to sign in", SETTING_BOOL, 0, 0 },
    { "RATE_LIMIT_REQUESTS", NULL, "requests in a window, for the surfaces that name it: fit (100), ten (60)", SETTING_INT, 1, REQUESTS_MAX },
    { "RATE_LIMIT_WINDOW", NULL, "seconds of fit's window (3600)", SETTING_INT, 1, WINDOW_SECONDS_MAX },
    { "RATE_LIMIT_TTL", NULL, "seconds of ten's window (60)", SETTING_INT, 1, WINDOW_SECONDS_MAX },
    { "FIT_RATE_LIMIT_REQUESTS", NULL, "as RATE_LIMIT_REQUESTS, for fit alone; a premium user has ten times as many", SETTING_INT, 1, REQUESTS_MAX },
    { "FIT_RATE_LIMIT_WINDOW", NULL, "as RATE_LIMIT_WINDOW, for fit alone", SETTING_INT, 1, WINDOW_SECONDS_MAX },
    { "TEN_RATE_LIMIT_ENABLED", NULL, "as RATE_LIMIT_ENABLED, for ten alone", SETTING_BOOL, 0, 0 },
    { "TEN_RATE_LIMIT_REQUESTS", NULL, "as RATE_LIMIT_REQUESTS, for ten alone", SETTING_INT, 1, REQUESTS_MAX },
    { "TEN_RATE_LIMIT_TTL", NULL, "as RATE_LIMIT_TTL, for ten alone", SETTING_INT, 1, WINDOW_SECONDS_MAX },
    { "LIMIT_RAG", "1200/60", "requests/seconds of one user on the rag surface; 0: no limit, as in all that follow", 0, 0, 0 },
    { "LIMIT_USER", "1200/60", "… of one user elsewhere", 0, 0, 0 },
    { "LIMIT_SERVICE", "60000/60", "… of one member, API key or service", 0, 0, 0 },
    { "LIMIT_CREATOR", "300000/60", "… of all callers of one creator", 0, 0, 0 },
    { "LIMIT_ADDRESS", "3000/60", "… without a credential from one address (IPv6: /64)", 0, 0, 0 },
    { "LIMIT_AUTH", "120/60", "… that sign in, register or redeem a link, from one address", 0, 0, 0 },
    { "LIMIT_GUESS", "300/60", "wrong credentials from one address before its credentials are looked at no more", 0, 0, 0 },
    { "LIMIT_ROUTES", NULL, "policy or requests/seconds of single routes: POST /api/v1/rag/query=fit;GET /api/v1/me=5/60", 0, 0, 0 },
    { "LIMIT_OFFENCES", "100", "401, 403, 404 and 429 in a minute that halve a caller's limits, and again; 0: never", SETTING_INT, 0, REQUESTS_MAX },
    { "LIMIT_PENALTY_SECONDS", "600", "seconds of calm after which they are whole again", SETTING_INT, 1, WINDOW_SECONDS_MAX },
    { "LIMIT_EXEMPT", "127.0.0.0/8,::1", "networks whose addresses are not counted by, unless a proxy speaks from there; none: every one is", 0, 0, 0 },
    { 0 },
};

/* Ids may hold a colon but no slash, so no two callers of different creators can meet in one key. */
const struct policy limit_policies[POLICY_COUNT] = {
    [POLICY_FIT] = { "fit", "rate_limit:{user_id}:{hour}", "fit", "a user on the fit surface, by the UTC hour", false, true },
    [POLICY_TEN] = { "ten", "ratelimit:{user_id}:{endpoint}", "ten", "a user on one endpoint of the ten surface", false, true },
    [POLICY_RAG] = { "rag", "limit:rag:{creator_id}/{user_id}", NULL, "a user on the rag surface", true, true },
    [POLICY_USER] = { "user", "limit:user:{creator_id}/{user_id}", NULL, "a user", true, true },
    [POLICY_SERVICE] = { "service", "limit:service:{creator_id}/{user_id}", NULL, "a member, an API key or a service", true, true },
    [POLICY_CREATOR] = { "creator", "limit:creator:{creator_id}", NULL, "all callers of the creator together", false, false },
    [POLICY_ADDRESS] = { "address", "limit:address:{address}", NULL, "requests without a credential from one address", true, false },
    [POLICY_AUTH] = { "auth", "limit:auth:{address}", NULL, "attempts to sign in from one address", true, false },
    [POLICY_GUESS] = { "guess", "limit:guess:{address}", NULL, "wrong credentials from one address", true, false },
};

struct limit_setup limit_setup;
static char       *routes_text;
static struct cidr exempt[CIDR_MAX];
static int         exempt_count;

enum policy_id limit_policy_named(const char *name)
{
    for (int i = 0; name && i < POLICY_COUNT; i++)
        if (!strcmp(limit_policies[i].name, name)) return i;
    return POLICY_NONE;
}

/* "60/30": 60 requests in 30 seconds; "0": no limit. */
static bool read_rate(const char *s, struct rate *out)
{
    char *end;
    if (*s < '0' || *s > '9') return false;
    long long n = strtoll(s, &end, 10);
    if (n == 0 && !*end) {
        *out = (struct rate){ 0, 60000 };
        return true;
    }
    if (n < 1 || n > REQUESTS_MAX || *end != '/' || end[1] < '0' || end[1] > '9') return false;
    long long w = strtoll(end + 1, &end, 10);
    if (*end || w < 1 || w > WINDOW_SECONDS_MAX) return false;
    *out = (struct rate){ n, w * 1000 };
    return true;
}

static int64_t first_int(const char *const *names, int64_t dflt)
{
    for (; *names; names++)
        if (conf_text(*names)) return conf_int(*names);
    return dflt;
}
#define FIRST(dflt, ...) first_int((const char *const[]){ __VA_ARGS__, NULL }, dflt)

static enum err read_routes(struct call *c)
{
    const char *text = conf_text("LIMIT_ROUTES");
    free(routes_text);
    routes_text = NULL;
    limit_setup.route_count = 0;
    if (!text) return OK;
    routes_text = strdup(text);
    if (!routes_text) abort();
    char *save = NULL;
    for (char *row = strtok_r(routes_text, ";", &save); row; row = strtok_r(NULL, ";", &save)) {
        row += strspn(row, " \t");
        if (!*row) continue;
        char *space = strchr(row, ' '), *equals = strrchr(row, '=');
        if (!space || !equals || equals < space) return fail_field(c, "LIMIT_ROUTES", "LIMIT_ROUTES: \"%.80s\" is not METHOD /path=policy or =requests/seconds", row);
        if (limit_setup.route_count == LIMIT_ROUTE_ROWS) return fail_field(c, "LIMIT_ROUTES", "LIMIT_ROUTES: more than %d routes", LIMIT_ROUTE_ROWS);
        *space = *equals = '\0';
        char *path = space + 1, *value = equals + 1;
        path += strspn(path, " ");
        path[strcspn(path, " ")] = '\0';
        value += strspn(value, " ");
        value[strcspn(value, " ")] = '\0';
        struct route_rate *r = &limit_setup.routes[limit_setup.route_count++];
        *r = (struct route_rate){ row, path, limit_policy_named(value), { 0, 0 } };
        if (r->policy != POLICY_NONE) continue;
        r->policy = POLICY_ROUTE;
        if (!read_rate(value, &r->rate)) return fail_field(c, "LIMIT_ROUTES", "LIMIT_ROUTES: \"%.40s\" is no policy and not requests/seconds", value);
    }
    return OK;
}

enum err limits_open(struct call *c)
{
    static const struct {
        enum policy_id policy;
        const char    *setting;
    } plain[] = { { POLICY_RAG, "LIMIT_RAG" },         { POLICY_USER, "LIMIT_USER" },       { POLICY_SERVICE, "LIMIT_SERVICE" },
                  { POLICY_CREATOR, "LIMIT_CREATOR" }, { POLICY_ADDRESS, "LIMIT_ADDRESS" }, { POLICY_AUTH, "LIMIT_AUTH" },
                  { POLICY_GUESS, "LIMIT_GUESS" } };
    struct rate *r = limit_setup.rates;
    bool         on = conf_bool("RATE_LIMIT_ENABLED");
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (!read_rate(conf_text(plain[i].setting), &r[plain[i].policy]))
            return fail_field(c, plain[i].setting, "%s is \"%.40s\", not requests/seconds such as 600/60, or 0", plain[i].setting, conf_text(plain[i].setting));
    r[POLICY_FIT] = (struct rate){ FIRST(100, "FIT_RATE_LIMIT_REQUESTS", "RATE_LIMIT_REQUESTS"),
                                   FIRST(3600, "FIT_RATE_LIMIT_WINDOW", "RATE_LIMIT_WINDOW") * 1000 };
    r[POLICY_TEN] = (struct rate){ FIRST(60, "TEN_RATE_LIMIT_REQUESTS", "RATE_LIMIT_REQUESTS"),
                                   FIRST(60, "TEN_RATE_LIMIT_TTL", "RATE_LIMIT_TTL") * 1000 };
    for (int i = 0; i < POLICY_COUNT; i++)
        if (!on && i != POLICY_AUTH && i != POLICY_GUESS && !(i == POLICY_TEN && conf_text("TEN_RATE_LIMIT_ENABLED"))) r[i].limit = 0;
    if (conf_text("TEN_RATE_LIMIT_ENABLED") && !conf_bool("TEN_RATE_LIMIT_ENABLED")) r[POLICY_TEN].limit = 0;
    limit_setup.offences = conf_int("LIMIT_OFFENCES");
    limit_setup.penalty_ms = conf_int("LIMIT_PENALTY_SECONDS") * 1000;
    metric_describe("chiron_limited_total", 'c', "Requests refused by a limit, by policy.");
    enum err e = read_routes(c);
    for (int i = 0; i < limit_setup.route_count; i++)
        if (!on && limit_setup.routes[i].policy == POLICY_ROUTE) limit_setup.routes[i].rate.limit = 0;
    const char *networks = conf_text("LIMIT_EXEMPT");
    if (networks && !strcasecmp(networks, "none")) networks = "";
    return e ? e : cidr_list(c, "LIMIT_EXEMPT", networks, exempt, &exempt_count);
}

bool limit_route_row(int i, const char **method, const char **path)
{
    if (i >= limit_setup.route_count) return false;
    *method = limit_setup.routes[i].method;
    *path = limit_setup.routes[i].path;
    return true;
}

const struct route_rate *limit_route_rate(const char *method, const char *path)
{
    for (int i = 0; i < limit_setup.route_count; i++)
        if (!strcmp(limit_setup.routes[i].path, path) && !strcmp(limit_setup.routes[i].method, method)) return &limit_setup.routes[i];
    return NULL;
}

void limit_key(const char *pattern, const struct key_parts *p, char out[LIMIT_KEY_BYTES])
{
    char  hour[4];
    char *o = out, *end = out + LIMIT_KEY_BYTES - 1;
    while (*pattern && o < end) {
        if (*pattern != '{') {
            *o++ = *pattern++;
            continue;
        }
        const char *with = "";
        switch (pattern[1]) {
        case 'u': with = p->user_id; break;
        case 'e': with = p->endpoint; break;
        case 'c': with = p->creator_id; break;
        case 'a': with = p->address; break;
        case 'h':
            snprintf(hour, sizeof hour, "%d", p->hour % 24);
            with = hour;
            break;
        }
        size_t n = with ? strlen(with) : 0;
        if (n > (size_t)(end - o)) n = (size_t)(end - o);
        if (n) memcpy(o, with, n);
        o += n;
        pattern += strcspn(pattern, "}") + 1;
    }
    *o = '\0';
}

bool limit_network(const char *address, char out[64])
{
    struct cidr_address a;
    if (!cidr_address(address, &a)) {
        snprintf(out, 64, "%s", address);
        return true;
    }
    if (!a.v4) memset(a.bytes + 8, 0, 8);
    inet_ntop(a.v4 ? AF_INET : AF_INET6, a.v4 ? a.bytes + 12 : a.bytes, out, 64);
    return !cidr_has(exempt, exempt_count, &a);
}
