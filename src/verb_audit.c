/* The logs of sensitive actions from the command line: shown, and checked. Whoever can read the data folder may: the file system is
 * the guard here. A broken log is an exit code, so that a watch can be set on it. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "accounts/audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "store/store.h"
#include "verbs.h"

#define LIST_MAX 200

static void json_line(struct buf *b)
{
    puts(b->data ? b->data : "");
    buf_clear(b);
}

/* One log's state; *broken is set when it is not whole. */
static enum err verify_one(struct verb_env *v, const char *name, bool instance, struct buf *b, bool *broken)
{
    struct audit_state s;
    enum err           e = audit_verify(&v->call, instance, &s);
    if (e) return e;
    if (!s.whole) *broken = true;
    if (v->json) {
        struct json_out j;
        json_out_init(&j, b);
        json_begin_object(&j, NULL);
        json_put_text(&j, "log", name);
        json_put_int(&j, "entries", s.entries);
        json_put_bool(&j, "whole", s.whole);
        if (s.whole) json_put_null(&j, "first_broken");
        else json_put_int(&j, "first_broken", s.first_broken);
        json_put_text(&j, "why", s.why);
        json_put_text(&j, "head", s.head);
        json_end(&j);
        json_line(b);
    } else if (s.whole) {
        printf("ok      %-24s %6lld entries, head %s\n", name, (long long)s.entries, *s.head ? s.head : "none");
    } else {
        printf("BROKEN  %-24s at %lld: %s\n", name, (long long)s.first_broken, s.why);
    }
    return OK;
}

static enum err verify(struct verb_env *v, const char *creator, struct buf *b, bool *broken)
{
    struct call *c = &v->call;
    const char **ids = NULL;
    int          n = 0;
    enum err     e = OK;
    if (creator) return verify_one(v, creator, false, b, broken);
    e = verify_one(v, "instance", true, b, broken);
    if (!e) e = tenant_list(c, &ids, &n);
    for (int i = 0; !e && i < n; i++) {
        e = tenant_open(c, ids[i]);
        if (!e) e = verify_one(v, ids[i], false, b, broken);
        tenant_release(c);
    }
    return e;
}

static void print_row(const struct audit_row *r)
{
    char iso[25];
    printf("%6lld  %s  %-7s %-30s  %-20s %-32s %-7s %s\n", (long long)r->seq, clock_iso(r->at_ms, iso), r->actor_kind,
           r->actor_name ? r->actor_name : *r->actor ? r->actor : "-", r->action, r->target_name ? r->target_name : *r->target ? r->target : "-",
           r->outcome, strcmp(r->details, "{}") ? r->details : "");
}

static void json_row(struct buf *b, const struct audit_row *r)
{
    char            iso[25];
    struct json_out j;
    json_out_init(&j, b);
    json_begin_object(&j, NULL);
    json_put_int(&j, "seq", r->seq);
    json_put_text(&j, "at", clock_iso(r->at_ms, iso));
    json_put_text(&j, "actor_kind", r->actor_kind);
    json_put_text(&j, "actor", r->actor);
    json_put_text(&j, "actor_name", r->actor_name);
    json_put_text(&j, "action", r->action);
    json_put_text(&j, "target", r->target);
    json_put_text(&j, "target_name", r->target_name);
    json_put_text(&j, "outcome", r->outcome);
    json_put_text(&j, "address", r->address);
    json_put_text(&j, "request_id", r->request_id);
    json_put_raw(&j, "details", r->details, strlen(r->details));
    json_put_text(&j, "previous", r->previous);
    json_put_text(&j, "hash", r->hash);
    json_end(&j);
    json_line(b);
}

static enum err list(struct verb_env *v, bool instance, struct audit_filter *f, int64_t most, struct buf *b)
{
    enum err e = OK;
    for (int64_t shown = 0; !e && shown < most;) {
        struct audit_row *rows = NULL;
        int               n = 0;
        int64_t           next = 0;
        f->limit = most - shown < LIST_MAX ? (int)(most - shown) : LIST_MAX;
        e = audit_list(&v->call, instance, f, &rows, &n, &next);
        for (int i = 0; !e && i < n; i++) {
            if (v->json) json_row(b, &rows[i]);
            else print_row(&rows[i]);
        }
        shown += n;
        f->before = next;
        if (!next) break;
    }
    return e;
}

int verb_audit(int argc, char **argv)
{
    const char         *creator = NULL, *limit_text = NULL;
    struct audit_filter f = { 0 };
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose log (list: the instance's; verify: all)" },
        { "--action", NULL, "A", &f.action, NULL, "only this action, or all of a kind: account" },
        { "--actor", NULL, "ID", &f.actor, NULL, "only what this account, key or user did" },
        { "--limit", NULL, "N", &limit_text, NULL, "how many of the newest, 1 to 100000 (50)" },
        { 0 },
    };
    struct verb_args a;
    int64_t          limit = 50;
    int code = verb_read(argc, argv, "list|verify [--creator C] [--action A] [--actor ID] [--limit N]",
                         "chiron audit verify\n"
                         "chiron audit list --creator demo --action person\n"
                         "chiron audit list -o json --limit 1000\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    if (a.count != 1 || (strcmp(a.words[0], "list") && strcmp(a.words[0], "verify"))) return verb_usage(&a, "list or verify?");
    if (!verb_number(&a, "--limit", limit_text, 50, 1, 100000, &limit)) return EXIT_USAGE;
    struct verb_env v;
    struct buf      b;
    bool            broken = false;
    buf_init(&b, 1024 * 1024);
    enum err e = verb_open(&v, &a, VERB_STORE, creator);
    if (!e) e = !strcmp(a.words[0], "verify") ? verify(&v, creator, &b, &broken) : list(&v, !creator, &f, limit, &b);
    buf_dispose(&b);
    code = verb_close(&v, e);
    return code == EXIT_OK && broken ? EXIT_FAILED : code;
}
