/* What a credential costs: one that was checked before, one that was not, one whose rights have to be looked up again, making one, and
 * a refresh with its two signatures and its write. The targets are per core, so all rows but the last also run on every core at
 * once. A row's tokens are made before it is measured and each is used once where a check without memory is meant. */
/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "accounts/accounts.h"
#include "accounts/api_key.h"
#include "accounts/session.h"
#include "accounts/token_cache.h"
#include "base/clock.h"
#include "store/store.h"
#include "verb_bench.h"

enum { BATCH = 100, TOKENS = 64 };

struct work {
    const char *headers[TOKENS];       /* "Bearer …" */
    const char *bare[TOKENS];
    const char *key;
    char       *refresh;               /* the newest of its family; malloc */
};

static enum err check_known(struct call *c, int i, void *arg)
{
    const struct work *w = arg;
    enum err           e = OK;
    for (int k = 0; k < BATCH && !e; k++) e = authenticate(c, &(struct credential){ .authorization = w->headers[(i + k) % TOKENS] });
    return e;
}

static enum err check_key(struct call *c, int i, void *arg)
{
    const struct work *w = arg;
    enum err           e = OK;
    (void)i;
    for (int k = 0; k < BATCH && !e; k++) e = authenticate(c, &(struct credential){ .api_key = w->key });
    return e;
}

/* The signature and the claims, with nothing remembered. */
static enum err verify(struct call *c, int i, void *arg)
{
    const struct work *w = arg;
    struct token_facts f;
    enum err           e = OK;
    for (int k = 0; k < BATCH && !e; k++) e = token_verify(c, w->bare[(i + k) % TOKENS], TOKEN_ACCESS, clock_unix_ms() / 1000, &f);
    return e;
}

/* The whole of it for a token that was never seen: signature, session, account, membership, role. */
static enum err check_new(struct call *c, int i, void *arg)
{
    const struct work *w = arg;
    enum err           e = OK;
    for (int k = 0; k < BATCH && !e; k++) {
        struct token_print print;
        const char        *bare = w->bare[(i + k) % TOKENS];
        token_cache_print(bare, strlen(bare), &print);
        token_cache_drop(&print);
        e = authenticate(c, &(struct credential){ .authorization = w->headers[(i + k) % TOKENS] });
    }
    return e;
}

static enum err sign(struct call *c, int i, void *arg)
{
    const char *out = NULL;
    (void)i, (void)arg;
    return token_sign(c, TOKEN_ACCESS, &(struct token_facts){ .sub = "ann", .creator = "demo", .role = "user", .sid = "ses_bench" }, &out);
}

static enum err refresh(struct call *c, int i, void *arg)
{
    struct work          *w = arg;
    struct session_tokens t;
    (void)i;
    enum err e = session_refresh(c, w->refresh, NULL, &t);
    if (e) return e;
    free(w->refresh);
    w->refresh = strdup(t.refresh);
    return w->refresh ? OK : fail(c, ERR_INTERNAL, "no memory");
}

static enum err begin(struct call *c, int i, void *arg)
{
    struct session_tokens t;
    (void)i, (void)arg;
    return session_begin(c, &(struct session_who){ .kind = "user", .creator_id = "demo", .user_id = "ann", .role = "user" }, &t);
}

static enum err prepare(struct call *c, struct work *w)
{
    struct api_key k;
    enum err       e = tenant_open(c, "demo");
    if (!e) e = api_key_make(c, "bench", RIGHT_ASK, 0, &k, &w->key);
    tenant_release(c);
    for (int i = 0; i < TOKENS && !e; i++) {
        struct session_tokens t;
        const char           *user = arena_printf(&c->mem, "user%d", i);
        e = session_begin(c, &(struct session_who){ .kind = "user", .creator_id = "demo", .user_id = user, .role = "user" }, &t);
        if (e) return e;
        w->bare[i] = t.access;
        w->headers[i] = arena_printf(&c->mem, "Bearer %s", t.access);
        if (!i) w->refresh = strdup(t.refresh);
    }
    return e;
}

enum err bench_tokens(struct bench *b)
{
    struct call *c = &b->v->call;
    struct work  w = { 0 };
    bool         created = false;
    enum err     e = tenant_create(c, "demo", "demo", &created);
    if (!e) e = accounts_open(c);
    if (!e) e = prepare(c, &w);
    static const struct {
        const char *name, *per, *ids;
        bench_call  run;
        double      things;
        bool        one;
    } rows[] = {
        { "check", "checks", NULL, check_known, BATCH, false },
        { "check_key", "checks", "CRE-016", check_key, BATCH, false },
        { "verify", "signatures", "CRE-010", verify, BATCH, false },
        { "check_new", "checks", NULL, check_new, BATCH, false },
        { "sign", "tokens", "CRE-010", sign, 1, false },
        { "sign_in", "sessions", NULL, begin, 1, true },
        { "refresh", "refreshes", "CRE-011", refresh, 1, true },
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows && !e; r++)
        for (int clients = 1; clients <= (rows[r].one ? 1 : b->threads) && !e; clients = clients < b->threads ? b->threads : clients + 1) {
            struct bench_row row = { .group = "tokens", .name = rows[r].name, .clients = clients, .per = rows[r].per, .things = rows[r].things,
                                     .ids = rows[r].ids };
            if (bench_wants(b, row.name)) e = bench_measure(b, &row, rows[r].run, &w, NULL);
        }
    free(w.refresh);
    accounts_close();
    return e;
}
