/* accounts/limit_policy.h — the table of policies and who they are about; private to limit*.c. Read-only after limits_open. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LIMIT_POLICY_H
#define CHIRON_ACCOUNTS_LIMIT_POLICY_H
#include "base/access.h"
#include "base/call.h"

enum policy_id { POLICY_FIT, POLICY_TEN, POLICY_RAG, POLICY_USER, POLICY_SERVICE, POLICY_CREATOR, POLICY_ADDRESS, POLICY_AUTH,
                 POLICY_GUESS, POLICY_COUNT,
                 POLICY_ROUTE = POLICY_COUNT,   /* numbers of LIMIT_ROUTES: per caller and route */
                 POLICY_NONE = -1 };
#define LIMIT_KEY_BYTES 640
#define LIMIT_ROUTE_ROWS 64

struct policy {
    const char *name;
    const char *key;             /* {user_id} {endpoint} {creator_id} {address} {hour} are filled in */
    const char *house;           /* the creator whose keys stand without its id; NULL: the pattern names the creator */
    const char *about;
    bool        adaptive;        /* CRE-061 */
    bool        overridable;     /* by a creator, for its own callers */
};
struct rate {
    int64_t limit;               /* 0: not limited */
    int64_t window_ms;
};
struct key_parts {
    const char *user_id, *endpoint, *creator_id, *address;
    int         hour;
};
struct route_rate {
    const char    *method, *path;
    enum policy_id policy;       /* POLICY_ROUTE: rate holds */
    struct rate    rate;
};

extern const struct policy limit_policies[POLICY_COUNT];
struct limit_setup {
    struct rate       rates[POLICY_COUNT];
    struct route_rate routes[LIMIT_ROUTE_ROWS];
    int               route_count;
    int64_t           offences, penalty_ms;
};
extern struct limit_setup limit_setup;

enum policy_id limit_policy_named(const char *name);                   /* POLICY_NONE: there is none */
const struct route_rate *limit_route_rate(const char *method, const char *path);
void limit_key(const char *pattern, const struct key_parts *p, char out[LIMIT_KEY_BYTES]);
/* The network an address is counted by: IPv4 as it is, IPv6 by /64. out[64]. false: not counted (LIMIT_EXEMPT). */
bool limit_network(const char *address, char out[64]);

/* limit_own.c: a creator's own numbers. rates[p].limit 0: the instance's hold. */
struct own_rates {
    struct rate rates[POLICY_COUNT];
};
MUST_CHECK enum err limit_own_get(struct call *c, const char *creator_id, struct own_rates *out);
#endif
