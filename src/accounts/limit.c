/* The limiter: which policies a request falls under, one atomic count for all of them, and the state the reply tells.
 * Before the credential is looked at only the address is known: a request without one is counted there and then, one with
 * a credential is only stopped when too many wrong ones came from there, so that an office or a backend behind one
 * address is measured by its callers. Once the caller is known they are counted by surface, by themselves and by
 * their creator; a refused request is counted in none. Who is refused often has half, then a quarter of the adaptive limits
 * until they are calm (CRE-061). FIT's and TEN's own limits never adapt: their numbers are promised. */
/* SPDX-License-Identifier: MIT */
#include "accounts/limit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/limit_policy.h"
#include "accounts/person.h"
#include "base/clock.h"
#include "base/metric.h"
#include "store/store.h"

#define LEVEL_MAX 2              /* a quarter */
#define OFFENCE_WINDOW_MS 60000
#define HOUR_MS 3600000
#define PREMIUM_TIMES 10

/* Rights that a person being coached does not have. */
#define STAFF_RIGHTS (~(unsigned)(RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF))

/* What one request is counted by. */
struct counts {
    int                n;
    int                caller_end;   /* counters before this are about the caller alone */
    struct kv_counter  k[KV_COUNT_MAX];
    enum policy_id     policy[KV_COUNT_MAX];
    int64_t            hour_left_ms; /* FIT's window ends with the hour */
    char               keys[5][LIMIT_KEY_BYTES];
    char               level_key[LIMIT_KEY_BYTES];
};

static const char *policy_name(enum policy_id p)
{
    return p == POLICY_ROUTE ? "route" : limit_policies[p].name;
}

/* Who is asking, as part of a key: a slash keeps accounts and keys apart from users' ids. */
static const char *caller_of(const struct call *c, char out[2 * LIMIT_ID_BYTES])
{
    if (c->user_id[0]) return c->user_id;
    if (c->account_id[0]) snprintf(out, 2 * LIMIT_ID_BYTES, "account/%s", c->account_id);
    else if (c->key_id[0]) snprintf(out, 2 * LIMIT_ID_BYTES, "key/%s", c->key_id);
    else snprintf(out, 2 * LIMIT_ID_BYTES, "role/%s", c->role);
    return out;
}

/* A service is counted as itself whoever it speaks for. */
static const char *service_of(const struct call *c, char out[2 * LIMIT_ID_BYTES])
{
    if (!c->key_id[0]) return caller_of(c, out);
    snprintf(out, 2 * LIMIT_ID_BYTES, "key/%s", c->key_id);
    return out;
}

static bool is_staff(const struct call *c)
{
    return (c->rights & STAFF_RIGHTS) != 0;
}

static struct rate rate_of(enum policy_id p, const struct own_rates *own)
{
    struct rate r = limit_setup.rates[p];
    /* What the instance has switched off stays off. */
    return r.limit && own && own->rates[p].limit ? own->rates[p] : r;
}

static void add(struct counts *s, enum policy_id p, const struct rate *rate, const struct key_parts *parts, bool peek)
{
    if (!rate->limit) return;
    const struct policy *is = p == POLICY_ROUTE ? NULL : &limit_policies[p];
    char                *key = s->keys[s->n];
    size_t               used = 0;
    if (is && is->house && parts->creator_id[0] && strcmp(parts->creator_id, is->house))
        used = (size_t)snprintf(key, LIMIT_KEY_BYTES / 4, "%s/", parts->creator_id);
    char rest[LIMIT_KEY_BYTES];
    limit_key(is ? is->key : "limit:route:{endpoint}:{creator_id}/{user_id}{address}", parts, used ? rest : key);
    if (used) snprintf(key + used, LIMIT_KEY_BYTES - used, "%s", rest);
    s->k[s->n] = (struct kv_counter){ .key = key, .window_ms = rate->window_ms, .limit = rate->limit, .peek = peek };
    if (is && is->adaptive && limit_setup.offences) s->k[s->n].level_key = s->level_key;
    s->policy[s->n++] = p;
}

/* The hour of FIT's key: of the present one, or of the start of a window that is longer (FIT-097). */
static int fit_hour(int64_t unix_ms, const struct rate *r, int64_t *left_ms)
{
    int64_t span = r->window_ms > HOUR_MS ? r->window_ms : HOUR_MS;
    *left_ms = span - unix_ms % span;
    return (int)((unix_ms - unix_ms % span) / HOUR_MS % 24);
}

/* Whoever pays has ten times as much (FIT-097). A credential that names no creator is of the surface's own. */
static enum err fit_premium(struct call *c, const char *user_id, bool *out)
{
    bool none = !c->creator_id[0];
    if (none) snprintf(c->creator_id, sizeof c->creator_id, "%s", limit_policies[POLICY_FIT].house);
    enum err e = person_plan(c, user_id, out);
    if (none) c->creator_id[0] = '\0';
    return e;
}

/* The policy of a row: by LIMIT_ROUTES, else its own, else its surface's. */
static enum policy_id surface_policy(const struct limit_ask *ask, const struct route_rate *set)
{
    if (set && set->policy != POLICY_ROUTE) return set->policy;
    enum policy_id p = limit_policy_named(ask->rate ? ask->rate : ask->surface);
    return p == POLICY_FIT || p == POLICY_TEN || p == POLICY_RAG ? p : POLICY_USER;
}

static void level_key_of(struct counts *s, const char *creator_id, const char *who)
{
    snprintf(s->level_key, sizeof s->level_key, "limit:level:%s/%s", creator_id, who);
}

static enum err known_counts(struct call *c, const struct limit_ask *ask, int64_t unix_ms, bool peek, struct counts *s)
{
    char                     self[2 * LIMIT_ID_BYTES], service[2 * LIMIT_ID_BYTES];
    const struct route_rate *set = limit_route_rate(ask->method, ask->path);
    enum policy_id           p = surface_policy(ask, set);
    struct own_rates         own;
    struct key_parts         parts = { .user_id = caller_of(c, self), .endpoint = ask->path, .creator_id = c->creator_id, .address = "" };
    bool                     staff = is_staff(c);
    enum err                 e = c->creator_id[0] ? limit_own_get(c, c->creator_id, &own) : OK;
    if (e) return e;
    const struct own_rates *of = c->creator_id[0] ? &own : NULL;
    level_key_of(s, c->creator_id, staff ? service_of(c, service) : parts.user_id);
    /* Staff is counted as itself; on fit and ten, and when a key speaks for a user, as that user too. */
    bool as_user = c->user_id[0] && (!staff || p == POLICY_FIT || p == POLICY_TEN || (c->key_id[0] && p != POLICY_USER));
    if (as_user || !staff) {
        struct rate r = rate_of(p, of);
        if (p == POLICY_FIT) {
            bool premium = false;
            e = fit_premium(c, parts.user_id, &premium);
            if (e) return e;
            if (premium) r.limit *= PREMIUM_TIMES;
            parts.hour = fit_hour(unix_ms, &r, &s->hour_left_ms);
        }
        add(s, p, &r, &parts, peek);
    }
    if (set && set->policy == POLICY_ROUTE) add(s, POLICY_ROUTE, &set->rate, &parts, peek);
    if (staff) {
        struct rate r = rate_of(POLICY_SERVICE, of);
        parts.user_id = service_of(c, service);
        add(s, POLICY_SERVICE, &r, &parts, peek);
    }
    /* Anybody gets as many visitors' names as they like, but few addresses. */
    char network[64];
    if (!strcmp(c->role, "visitor") && c->remote[0] && (limit_network(c->remote, network) || ask->forwarded)) {
        parts.address = network;
        add(s, POLICY_ADDRESS, &limit_setup.rates[POLICY_ADDRESS], &parts, peek);
    }
    s->caller_end = s->n;
    if (c->creator_id[0]) add(s, POLICY_CREATOR, &limit_setup.rates[POLICY_CREATOR], &parts, peek);
    return OK;
}

/* The counters of an address; false when it is not counted. */
static bool address_counts(const struct call *c, const struct limit_ask *ask, enum policy_id p, bool peek, struct counts *s)
{
    char network[64];
    if (!c->remote[0] || (!limit_network(c->remote, network) && !ask->forwarded)) return false;
    struct key_parts parts = { .user_id = "", .endpoint = ask->path, .creator_id = "", .address = network };
    level_key_of(s, "address", network);
    add(s, p, &limit_setup.rates[p], &parts, peek);
    s->caller_end = s->n;
    return s->n > 0;
}

static int64_t left_of(const struct counts *s, int i)
{
    bool hour = s->policy[i] == POLICY_FIT && s->hour_left_ms < s->k[i].left_ms;
    return hour ? s->hour_left_ms : s->k[i].left_ms;
}

static int seconds_up(int64_t ms)
{
    return (int)((ms + 999) / 1000) > 0 ? (int)((ms + 999) / 1000) : 1;
}

static void tell(const struct counts *s, int i, struct limit_state *out)
{
    const struct kv_counter *k = &s->k[i];
    *out = (struct limit_state){ .policy = policy_name(s->policy[i]), .limit = k->allowed,
                                 .remaining = k->count < k->allowed ? k->allowed - k->count : 0, .reset_s = seconds_up(left_of(s, i)) };
}

static enum err refuse(struct call *c, const struct counts *s, int i)
{
    char labels[64];
    snprintf(labels, sizeof labels, "policy=\"%s\"", policy_name(s->policy[i]));
    metric_add("chiron_limited_total", labels, 1);
    c->retry_after_s = seconds_up(left_of(s, i));
    return fail(c, ERR_RATE_LIMITED, "more than %lld requests in %lld s (%s); try again in %d s", (long long)s->k[i].allowed,
                (long long)s->k[i].window_ms / 1000, policy_name(s->policy[i]), c->retry_after_s);
}

static enum err count(struct call *c, enum kv_pool pool, struct counts *s, bool show, struct limit_state *out)
{
    if (!s->n) return OK;
    int      refused;
    enum err e = kv_count(c, pool, s->k, s->n, &refused);
    if (e) return e;
    if (refused >= 0) {
        tell(s, refused, out);
        return refuse(c, s, refused);
    }
    /* What the creator's other callers use is not this one's business. */
    int tightest = 0;
    for (int i = 1; i < s->caller_end; i++)
        if (s->k[i].allowed - s->k[i].count < s->k[tightest].allowed - s->k[tightest].count) tightest = i;
    if (show && s->caller_end > 0) tell(s, tightest, out);
    return OK;
}

enum err limit_check_at(struct call *c, const struct limit_ask *ask, int64_t unix_ms, struct limit_state *out)
{
    struct counts s;
    s.n = s.caller_end = 0;
    s.hour_left_ms = INT64_MAX;
    bool none = ask->rate && !strcmp(ask->rate, "none");
    if (none) return OK;
    if (!ask->known) {
        bool auth = ask->rate && !strcmp(ask->rate, "auth");
        bool look = ask->given && !auth;
        enum policy_id p = auth ? POLICY_AUTH : look ? POLICY_GUESS : POLICY_ADDRESS;
        if (!address_counts(c, ask, p, look, &s)) return OK;
        return count(c, KV_STRANGERS, &s, !look, out);
    }
    if (!c->user_id[0] && !c->account_id[0] && !c->key_id[0] && !c->creator_id[0]) {
        /* Nobody: the address was counted already, what is left is a number for this route. */
        const struct route_rate *set = limit_route_rate(ask->method, ask->path);
        if (!set || set->policy != POLICY_ROUTE || !set->rate.limit) return OK;
        char network[64];
        limit_network(c->remote, network);
        struct key_parts parts = { .user_id = "", .endpoint = ask->path, .creator_id = "", .address = network };
        add(&s, POLICY_ROUTE, &set->rate, &parts, false);
        s.caller_end = s.n;
        return count(c, KV_STRANGERS, &s, true, out);
    }
    enum err e = known_counts(c, ask, unix_ms, false, &s);
    return e ? e : count(c, KV_KNOWN, &s, true, out);
}

enum err limit_check(struct call *c, const struct limit_ask *ask, struct limit_state *out)
{
    return limit_check_at(c, ask, clock_unix_ms(), out);
}

void limit_outcome(struct call *c, const struct limit_ask *ask, int status)
{
    struct counts s;
    char          network[64], who[2 * LIMIT_ID_BYTES], key[LIMIT_KEY_BYTES + 16];
    bool          known = c->user_id[0] || c->account_id[0] || c->key_id[0];
    int           refused, level;
    s.n = 0;
    s.level_key[0] = '\0';
    /* A wrong credential: nobody was let in, whatever it claimed. */
    if (status == 401 && ask->given && !known && address_counts(c, ask, POLICY_GUESS, false, &s))
        if (kv_count(c, KV_STRANGERS, s.k, s.n, &refused)) call_forgive(c);
    if (!limit_setup.offences) return;
    if (known) level_key_of(&s, c->creator_id, is_staff(c) ? service_of(c, who) : caller_of(c, who));
    else if (c->remote[0] && (limit_network(c->remote, network) || ask->forwarded)) level_key_of(&s, "address", network);
    else return;
    snprintf(key, sizeof key, "limit:offence:%s", s.level_key + strlen("limit:level:"));
    struct kv_strike strike = { .key = key, .window_ms = OFFENCE_WINDOW_MS, .limit = limit_setup.offences, .level_key = s.level_key,
                                .level_ms = limit_setup.penalty_ms, .level_max = LEVEL_MAX };
    /* The request is over: there is nobody to tell that it could not be noted. */
    if (kv_strike(c, known ? KV_KNOWN : KV_STRANGERS, &strike, &level)) call_forgive(c);
}

enum err limit_endpoint(struct call *c, const char *user_id, const char *endpoint, bool *allowed, int64_t *remaining)
{
    struct counts s;
    s.n = 0;
    struct rate      r = limit_setup.rates[POLICY_TEN];
    struct key_parts parts = { .user_id = user_id, .endpoint = endpoint, .creator_id = c->creator_id, .address = "" };
    add(&s, POLICY_TEN, &r, &parts, false);
    if (!s.n) {
        *allowed = true;
        *remaining = INT64_MAX;
        return OK;
    }
    int      refused;
    enum err e = kv_count(c, KV_KNOWN, s.k, s.n, &refused);
    if (e) return e;
    if (refused >= 0) metric_add("chiron_limited_total", "policy=\"ten\"", 1);
    *allowed = refused < 0;
    *remaining = s.k[0].allowed - s.k[0].count;
    return OK;
}

static struct limit_use use_of(struct call *c, const struct kv_counter *k, enum policy_id p, int64_t left_ms)
{
    return (struct limit_use){ .policy = policy_name(p), .key = arena_strdup(&c->mem, k->key), .limit = k->allowed, .used = k->count,
                               .reset_s = k->count ? seconds_up(left_ms) : 0, .window_s = (int)(k->window_ms / 1000),
                               .factor = 1.0 / (double)(1 << k->level) };
}

/* What begins with a key's part before the user, so that all users of the creator are found. */
static void prefix_of(enum policy_id p, const char *creator_id, char out[LIMIT_KEY_BYTES])
{
    const char      *pattern = limit_policies[p].key;
    char             cut[64];
    struct key_parts parts = { .creator_id = creator_id };
    snprintf(cut, sizeof cut, "%.*s", (int)(strstr(pattern, "{user_id}") - pattern), pattern);
    char rest[LIMIT_KEY_BYTES];
    limit_key(cut, &parts, rest);
    const char *house = limit_policies[p].house;
    snprintf(out, LIMIT_KEY_BYTES, "%.130s%s%.300s", house && strcmp(house, creator_id) ? creator_id : "", house && strcmp(house, creator_id) ? "/" : "", rest);
}

/* Counters that live now under a prefix, with the numbers that hold for them. */
static enum err uses_under(struct call *c, enum policy_id p, const char *prefix, size_t prefix_skip, struct limit_use *out, int max, int *n)
{
    struct kv_counter *found = arena_alloc(&c->mem, (size_t)max * sizeof *found);
    struct own_rates   own;
    int                count = 0, refused;
    enum err           e = limit_own_get(c, c->creator_id, &own);
    if (!e) e = kv_counts(c, KV_KNOWN, prefix, found, max - *n, &count);
    for (int i = 0; !e && i < count; i++) {
        struct counts s;
        struct rate   r = rate_of(p, &own);
        if (!r.limit) continue;
        char   who[2 * LIMIT_ID_BYTES];
        size_t len = strcspn(found[i].key + prefix_skip, p == POLICY_FIT || p == POLICY_TEN ? ":" : "");
        snprintf(who, sizeof who, "%.*s", (int)(len < sizeof who ? len : sizeof who - 1), found[i].key + prefix_skip);
        level_key_of(&s, c->creator_id, who);
        struct kv_counter k = { .key = found[i].key, .window_ms = r.window_ms, .limit = r.limit, .peek = true,
                                .level_key = limit_policies[p].adaptive ? s.level_key : NULL };
        e = kv_count(c, KV_KNOWN, &k, 1, &refused);
        if (!e && k.count) out[(*n)++] = use_of(c, &k, p, k.left_ms);
    }
    return e;
}

static enum err uses_of_caller(struct call *c, struct call *as, struct limit_use *out, int max, int *n)
{
    static const struct {
        const char    *surface;
        enum policy_id policy;
        bool           always;
    } asks[] = { { "", POLICY_USER, true }, { "rag", POLICY_RAG, true }, { "fit", POLICY_FIT, false } };
    bool staff = is_staff(as);
    for (size_t i = 0; i < (staff ? 1 : sizeof asks / sizeof *asks) && *n < max; i++) {
        struct counts    s;
        struct limit_ask ask = { .method = "", .path = "", .surface = asks[i].surface, .known = true };
        int              refused;
        s.n = s.caller_end = 0;
        s.hour_left_ms = INT64_MAX;
        enum err e = known_counts(as, &ask, clock_unix_ms(), true, &s);
        if (!e && s.n) e = kv_count(c, KV_KNOWN, s.k, s.n, &refused);
        if (e) return e;
        for (int k = 0; k < s.caller_end && *n < max; k++)
            if (asks[i].always || s.k[k].count) out[(*n)++] = use_of(c, &s.k[k], s.policy[k], left_of(&s, k));
    }
    if (!as->user_id[0]) return OK;
    char prefix[LIMIT_KEY_BYTES], mine[LIMIT_KEY_BYTES + LIMIT_ID_BYTES + 8];
    prefix_of(POLICY_TEN, c->creator_id, prefix);
    snprintf(mine, sizeof mine, "%s%s:", prefix, as->user_id);
    return uses_under(c, POLICY_TEN, mine, strlen(prefix), out, max, n);
}

static int by_fullness(const void *a, const void *b)
{
    const struct limit_use *x = a, *y = b;
    double                  d = (double)y->used / (double)y->limit - (double)x->used / (double)x->limit;
    return d > 0 ? 1 : d < 0 ? -1 : strcmp(x->key, y->key);
}

enum err limit_uses(struct call *c, const char *user, bool all, struct limit_use *out, int max, int *n_out)
{
    int      n = 0;
    enum err e = OK;
    if (all) {
        static const enum policy_id listed[] = { POLICY_SERVICE, POLICY_USER, POLICY_RAG, POLICY_FIT, POLICY_TEN };
        struct counts    s;
        struct key_parts parts = { .creator_id = c->creator_id };
        int              refused;
        s.n = 0;
        add(&s, POLICY_CREATOR, &limit_setup.rates[POLICY_CREATOR], &parts, true);
        if (s.n) e = kv_count(c, KV_KNOWN, s.k, s.n, &refused);
        if (!e && s.n) out[n++] = use_of(c, &s.k[0], POLICY_CREATOR, s.k[0].left_ms);
        for (size_t i = 0; !e && i < sizeof listed / sizeof *listed && n < max; i++) {
            char prefix[LIMIT_KEY_BYTES];
            prefix_of(listed[i], c->creator_id, prefix);
            e = uses_under(c, listed[i], prefix, strlen(prefix), out, max, &n);
        }
        if (!e) qsort(out, (size_t)n, sizeof *out, by_fullness);
    } else {
        struct call as;
        call_init(&as);
        snprintf(as.creator_id, sizeof as.creator_id, "%s", c->creator_id);
        if (user) {
            snprintf(as.user_id, sizeof as.user_id, "%s", user);
            as.rights = RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF;
        } else {
            as.rights = c->rights;
            snprintf(as.user_id, sizeof as.user_id, "%s", c->user_id);
            snprintf(as.account_id, sizeof as.account_id, "%s", c->account_id);
            snprintf(as.key_id, sizeof as.key_id, "%s", c->key_id);
            snprintf(as.role, sizeof as.role, "%s", c->role);
        }
        e = uses_of_caller(c, &as, out, max, &n);
        call_dispose(&as);
    }
    if (!e) *n_out = n;
    return e;
}

enum err limit_rows(struct call *c, struct limit_row **out, int *n_out)
{
    struct own_rates own;
    enum err         e = limit_own_get(c, c->creator_id, &own);
    if (e) return e;
    struct limit_row *rows = arena_alloc(&c->mem, POLICY_COUNT * sizeof *rows);
    int64_t           creator = limit_setup.rates[POLICY_CREATOR].limit;
    for (int i = 0; i < POLICY_COUNT; i++) {
        const struct policy *p = &limit_policies[i];
        struct rate          r = rate_of(i, &own), whole = limit_setup.rates[i];
        /* Never past what the whole creator has, nor past the instance's own number for it. */
        int64_t most = creator && creator > whole.limit ? creator : whole.limit;
        rows[i] = (struct limit_row){ .policy = p->name, .about = p->about, .limit = r.limit, .most = most, .window_s = (int)(r.window_ms / 1000),
                                      .own = own.rates[i].limit > 0 && whole.limit > 0, .overridable = p->overridable && whole.limit > 0 };
    }
    *out = rows;
    *n_out = POLICY_COUNT;
    return OK;
}
