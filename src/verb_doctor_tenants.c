/* `chiron doctor --tenants`: proof, on the real server and a data folder of its own, that no creator sees another's and no user another
 * user's. It says which route, which role and whose id for every leak, and what was answered where there is none. Nothing of
 * the installation's own data is opened. */
/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/accounts.h"
#include "base/clock.h"
#include "base/json.h"
#include "http/http.h"
#include "store/fingerprint.h"
#include "store/store.h"
#include "verb_child.h"
#include "verb_doctor_tenants.h"
#include "verbs.h"

enum { SAID_OF_ROW = 4, SETTLE_TRIES = 10, SETTLE_US = 700000 };

/* The stores it can be run on; a production store joins here with the settings that make a server use it. */
#define QUIET                                                                                                                             \
    "LLM_CHAIN", "extractive", "COHERE_API_KEY", "", "DEMO", "0", "OWNER_CREATOR", "", "SIGNUP", "open", "TRUSTED_ISSUERS", "",              \
        "RATE_LIMIT_ENABLED", "false", "LIMIT_AUTH", "0", "LIMIT_GUESS", "0", "LIMIT_OFFENCES", "0"
static const struct driver {
    const char        *name;
    const char *const *making;
    const char *const *walking;   /* made without a mail server, so that links are handed over; walked with one, so that it may tell whom it writes to */
} drivers[] = {
    { "sqlite", (const char *const[]){ QUIET, "MAIL_URL", "", NULL },
      (const char *const[]){ QUIET, "MAIL_URL", "smtp://127.0.0.1:9", "MAIL_FROM", "coach@example.org", "PUBLIC_URL", "http://127.0.0.1", NULL } },
};

/* Tables that an outsider may make grow, and why that tells nobody anything. */
static const char *const growing[] = {
    "login_guard",   /* counts of wrong passwords, by keyed hash */
    "audit",         /* what was tried is written down */
    "person_ref",    /* names in the log */
    "mail_link",     /* anybody may ask for a link to any address */
    "access_change", /* a counter */
    "retention_run", /* the server's own, once a day */
    NULL,
};

enum { ACCOUNTS, ALL, THEIRS, PRINTS };
struct before {
    struct fingerprint *tables[PRINTS];   /* of the accounts, of all of the creator's database, of what is named there */
    int                 count[PRINTS];
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st, (void)kind, (void)at;
    return remove(path);
}

/* ---- what the victim has ---- */

/* A creator: all of their own database, and of the accounts' what names it or things of it. A user: what names them in both. What
 * people choose, others may choose too: in the accounts only the creator's own name counts. */
static enum err take_all(struct call *c, const struct tenants_side *side, bool user, struct before *out)
{
    const char **words = arena_array(&c->mem, (size_t)side->count + 1, sizeof *words);
    for (int i = 0, n = 0; i < side->count; i++)
        if (!side->ids[i].chosen ? strcmp(side->ids[i].kind, "conversation") != 0 : !strcmp(side->ids[i].kind, user ? "user" : "creator"))
            words[n++] = side->ids[i].id;
    enum err e = fingerprint_take(c, store_accounts(), words, &out->tables[ACCOUNTS], &out->count[ACCOUNTS]);
    if (!e) e = tenant_open(c, side->creator);
    if (!e) e = fingerprint_take(c, tenant_db(c->tenant), user ? words : NULL, &out->tables[ALL], &out->count[ALL]);
    if (!e) e = fingerprint_take(c, tenant_db(c->tenant), words, &out->tables[THEIRS], &out->count[THEIRS]);
    tenant_release(c);
    c->creator_id[0] = 0;
    return e;
}

static bool may_grow(const char *table)
{
    for (int i = 0; growing[i]; i++)
        if (!strcmp(growing[i], table)) return true;
    return false;
}

/* The server has jobs of its own in every creator's database: of those only the ones that were there count. */
static bool counts(int print, const char *table)
{
    return !may_grow(table) && (print == ACCOUNTS || (print == THEIRS) == !strcmp(table, "job"));
}

static const struct fingerprint *changed(const struct before *was, const struct before *is, int *print_at, int *at)
{
    for (; *print_at < PRINTS; ++*print_at, *at = 0)
        while (*at < was->count[*print_at] && *at < is->count[*print_at]) {
            const struct fingerprint *a = &was->tables[*print_at][*at], *b = &is->tables[*print_at][(*at)++];
            if (strcmp(a->sum, b->sum) && counts(*print_at, a->table)) return b;
        }
    return NULL;
}

static void compare(struct call *c, struct tenants_plan *p, const char *of, const struct before *was, const struct before *is)
{
    const struct fingerprint *f;
    for (int print = 0, at = 0; (f = changed(was, is, &print, &at));)
        tenants_find(c, p, NULL, "table %s of the %s database was changed for %s: %lld rows, %lld before", f->table, print == ACCOUNTS ? "accounts" : "creator", of,
                     (long long)f->rows, (long long)was->tables[print][at - 1].rows);
}

/* What the server notes beside its requests, such as who was here, is waited for. */
static enum err settled(struct call *c, const struct tenants_side *side, bool user, struct before *out)
{
    enum err e = take_all(c, side, user, out);
    for (int i = 0; !e && i < SETTLE_TRIES; i++) {
        struct before now;
        int           print = 0, at = 0;
        usleep(SETTLE_US);
        e = take_all(c, side, user, &now);
        if (!e && !changed(out, &now, &print, &at)) break;
        *out = now;
    }
    return e;
}

/* ---- showing ---- */

static void say_cell(const char *name, const struct tenants_cell *k)
{
    if (!k->kinds) return;
    printf("  %s", name);
    for (int i = 0; i < k->kinds; i++) printf("%s%d×%d", i ? "," : " ", k->status[i], k->times[i]);
}

static void say_rows(const struct tenants_plan *p)
{
    for (int i = 0; i < p->row_count; i++) {
        const struct tenants_row *r = &p->rows[i];
        printf("%-5s %-6s %-42s", r->findings ? "LEAK" : "ok", r->route->method, r->route->path);
        for (int k = 0; k < p->case_count; k++) {
            if (k) fputs("  |", stdout);
            for (int n = 0; n < p->cases[k].count; n++) say_cell(p->cases[k].callers[n].role, &r->cells[k][n]);
        }
        say_cell("| forged", &r->forged);
        say_cell("| own", &r->own);
        putchar('\n');
    }
}

/* Of one row the first few are enough to find what is wrong. */
static void say_findings(const struct tenants_plan *p, FILE *to)
{
    const struct route *of = NULL;
    int                 said = 0;
    for (int i = 0; i < p->finding_count && i < TENANTS_FINDINGS; i++) {
        const struct tenants_finding *f = &p->findings[i];
        said = f->route && f->route == of ? said + 1 : 0;
        of = f->route;
        if (said < SAID_OF_ROW) fprintf(to, "leak: %s\n", f->words);
    }
}

static void put_cell(struct json_out *j, const char *who, const char *role, const struct tenants_cell *k)
{
    if (!k->kinds) return;
    json_begin_object(j, NULL);
    json_put_text(j, "case", who);
    json_put_text(j, "role", role);
    json_begin_object(j, "replies");
    for (int i = 0; i < k->kinds; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", k->status[i]);
        json_put_int(j, name, k->times[i]);
    }
    json_end(j);
    json_end(j);
}

static void put_plan(struct json_out *j, const struct tenants_plan *p, const char *driver)
{
    json_begin_object(j, NULL);
    json_put_text(j, "store", driver);
    json_put_int(j, "requests", p->requests);
    json_put_int(j, "leaks", p->finding_count);
    json_begin_array(j, "routes");
    for (int i = 0; i < p->row_count; i++) {
        const struct tenants_row *r = &p->rows[i];
        json_begin_object(j, NULL);
        json_put_text(j, "method", r->route->method);
        json_put_text(j, "path", r->route->path);
        json_put_int(j, "requests", r->requests);
        json_put_int(j, "leaks", r->findings);
        json_begin_array(j, "asked");
        for (int k = 0; k < p->case_count; k++)
            for (int n = 0; n < p->cases[k].count; n++) put_cell(j, p->cases[k].name, p->cases[k].callers[n].role, &r->cells[k][n]);
        put_cell(j, "no credential", "forged", &r->forged);
        put_cell(j, "their own", "own", &r->own);
        json_end(j);
        json_end(j);
    }
    json_end(j);
    json_begin_array(j, "findings");
    for (int i = 0; i < p->finding_count && i < TENANTS_FINDINGS; i++) json_put_text(j, NULL, p->findings[i].words);
    json_end(j);
    json_end(j);
}

/* ---- one driver ---- */

static enum err walk(struct call *c, struct tenants_plan *p)
{
    struct before was = { 0 }, is = { 0 };
    enum err      e = tenants_forge(c, p);
    if (!e) e = tenants_walk_forged(c, p);
    for (int i = 0; !e && i < p->case_count; i++) {
        e = settled(c, p->cases[i].victim, i > 0, &was);
        if (!e) e = tenants_walk(c, p, i);
        if (!e) e = take_all(c, p->cases[i].victim, i > 0, &is);
        if (!e) compare(c, p, p->cases[i].name, &was, &is);
    }
    if (!e) e = tenants_walk_own(c, p);
    return e;
}

static enum err run(struct verb_env *v, const struct verb_args *a, const struct driver *d, const char *dir, struct tenants_plan *p)
{
    struct verb_child s = { .settings = d->making };
    struct verb_args  with = *a;
    struct call      *c = &v->call;
    with.data = dir;
    /* The folder's owner first, so that both find the same key in it. */
    enum err e = verb_open(v, &with, VERB_STORE, NULL);
    if (e) return e;
    s.data = arena_strdup(&c->mem, dir);
    s.log = arena_printf(&c->mem, "%s/server.log", dir);
    e = accounts_open(c);
    if (!e) e = verb_child_start(c, &s);
    if (e) return e;
    p->encoder = conf_text("ENCODER_MODEL");
    p->client = (struct tenants_client){ .host = "127.0.0.1", .port = s.port, .fd = -1 };
    e = tenants_world(c, p);
    tenants_client_close(&p->client);
    verb_child_stop(&s);
    s.settings = d->walking;
    if (!e) e = verb_child_start(c, &s);
    p->client.port = s.port;
    if (!e) e = walk(c, p);
    tenants_client_close(&p->client);
    verb_child_stop(&s);
    accounts_close();
    return e;
}

int verb_doctor_tenants(const struct verb_args *a)
{
    static struct tenants_plan p;
    const char *tmp = getenv("TMPDIR");
    char        dir[512];
    int         code = EXIT_OK, leaks = 0;
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers && code == EXIT_OK; i++) {
        struct verb_env v;
        int64_t         began = clock_mono_ms();
        if (snprintf(dir, sizeof dir, "%s/chiron-doctor-XXXXXX", tmp && *tmp ? tmp : "/tmp") >= (int)sizeof dir || !mkdtemp(dir)) {
            fprintf(stderr, "chiron doctor: cannot make a folder in %s: %s\n", tmp && *tmp ? tmp : "/tmp", strerror(errno));
            return EXIT_FAILED;
        }
        p = (struct tenants_plan){ .tables = all_routes, .client = { .fd = -1 } };   /* static: it is large */
        enum err e = run(&v, a, &drivers[i], dir, &p);
        leaks += p.finding_count;
        if (!e && v.json) {
            struct buf      b;
            struct json_out j;
            buf_init(&b, 16 << 20);
            json_out_init(&j, &b);
            put_plan(&j, &p, drivers[i].name);
            puts(b.data);
            buf_dispose(&b);
        } else if (!e) {
            say_rows(&p);
            say_findings(&p, stdout);
            printf("%s: %d routes, %d requests, %d leaks, %.1f s\n", drivers[i].name, p.row_count, p.requests, p.finding_count,
                   (double)(clock_mono_ms() - began) / 1000);
        } else {
            say_findings(&p, stderr);
        }
        tenants_plan_dispose(&p);
        code = verb_close(&v, e);
        nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    return code != EXIT_OK ? code : leaks ? EXIT_FAILED : EXIT_OK;
}
