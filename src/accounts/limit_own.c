/* A creator's own limits where every request can see them: a small table of what was read lately, by creator, four to a
 * hash place, the stalest makes room. A limit is asked about before the creator's database is open, and a request must not wait for a
 * query it does not need, so other processes learn of a change a few seconds late. A creator whose numbers cannot be
 * read has the instance's: a broken file must not lift a limit or end a conversation. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "accounts/limit_policy.h"
#include "accounts/limit_store.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

enum { SETS = 1024, WAYS = 4, LOCKS = 16, FRESH_MS = 5000, SERVICE_LEAST = 60, SERVICE_WINDOW_S = 3600 };

static struct place {
    char             creator_id[LIMIT_ID_BYTES + 1];
    int64_t          until_ms;   /* 0: empty */
    struct own_rates own;
} places[SETS][WAYS];
static pthread_mutex_t locks[LOCKS] = { [0 ... LOCKS - 1] = PTHREAD_MUTEX_INITIALIZER };

static unsigned set_of(const char *creator_id)
{
    unsigned h = 2166136261u;
    for (; *creator_id; creator_id++) h = (h ^ (unsigned char)*creator_id) * 16777619u;
    return (h ^ h >> 16) % SETS;
}

static struct place *find(struct place *set, const char *creator_id)
{
    for (int k = 0; k < WAYS; k++)
        if (set[k].until_ms && !strcmp(set[k].creator_id, creator_id)) return &set[k];
    return NULL;
}

static void put(const char *creator_id, const struct own_rates *own)
{
    unsigned i = set_of(creator_id);
    pthread_mutex_lock(&locks[i % LOCKS]);
    struct place *at = find(places[i], creator_id);
    if (!at) {
        at = places[i];
        for (int k = 1; k < WAYS; k++)
            if (places[i][k].until_ms < at->until_ms) at = &places[i][k];
    }
    snprintf(at->creator_id, sizeof at->creator_id, "%s", creator_id);
    at->own = *own;
    at->until_ms = clock_mono_ms() + FRESH_MS;
    pthread_mutex_unlock(&locks[i % LOCKS]);
}

static void rates_of(const struct limit_own *own, int n, struct own_rates *out)
{
    memset(out, 0, sizeof *out);
    for (int i = 0; i < n; i++) {
        enum policy_id p = limit_policy_named(own[i].policy);
        if (p != POLICY_NONE && limit_policies[p].overridable) out->rates[p] = (struct rate){ own[i].limit, (int64_t)own[i].window_s * 1000 };
    }
}

enum err limit_own_get(struct call *c, const char *creator_id, struct own_rates *out)
{
    unsigned i = set_of(creator_id);
    pthread_mutex_lock(&locks[i % LOCKS]);
    const struct place *at = find(places[i], creator_id);
    bool                known = at && at->until_ms > clock_mono_ms();
    if (known) *out = at->own;
    pthread_mutex_unlock(&locks[i % LOCKS]);
    if (known) return OK;

    /* A call of its own: the caller's has no open creator yet, and its first error must stay its own. */
    struct call       t;
    struct limit_own *own = NULL;
    int               n = 0;
    call_init(&t);
    snprintf(t.log_id, sizeof t.log_id, "%s", c->log_id);
    enum err e = tenant_open(&t, creator_id);
    if (!e) e = limit_own_load(&t, &own, &n);
    rates_of(own, n, out);
    if (e && e != ERR_NOT_FOUND) log_warn(&t, "a creator's own limits cannot be read", "error", t.err_text, NULL);
    if (t.tenant) tenant_release(&t);
    call_dispose(&t);
    if (e != ERR_NOT_FOUND) put(creator_id, out);
    return OK;
}

enum err limit_own_set(struct call *c, const struct limit_own *own, int n)
{
    struct limit_row *rows;
    int               count;
    enum err          e = limit_rows(c, &rows, &count);
    for (int i = 0; !e && i < n; i++) {
        const struct limit_row *r = NULL;
        for (int k = 0; k < count; k++)
            if (!strcmp(rows[k].policy, own[i].policy)) r = &rows[k];
        const char *field = arena_printf(&c->mem, "policies.%.40s", own[i].policy);
        if (!r) e = fail_field(c, field, "there is no policy \"%.40s\"", own[i].policy);
        else if (!r->overridable) e = fail_field(c, field, "%s is the instance's to set", own[i].policy);
        else if (own[i].limit < 1 || own[i].limit > r->most) e = fail_field(c, field, "%s may be 1 to %lld requests", own[i].policy, (long long)r->most);
        else if (own[i].window_s < 1 || own[i].window_s > 86400) e = fail_field(c, field, "%s: a window has 1 to 86400 seconds", own[i].policy);
        /* Those who could change it back are counted by it. */
        else if (!strcmp(own[i].policy, "service") && (own[i].limit < SERVICE_LEAST || own[i].window_s > SERVICE_WINDOW_S) && own[i].limit < r->most)
            e = fail_field(c, field, "%s counts members too: at least %d requests, in at most %d seconds", own[i].policy, SERVICE_LEAST, SERVICE_WINDOW_S);
    }
    if (!e) e = limit_own_save(c, own, n);
    if (e) return e;
    struct own_rates rates;
    rates_of(own, n, &rates);
    put(c->creator_id, &rates);
    return OK;
}
