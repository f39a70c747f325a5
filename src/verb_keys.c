/* The keys our tokens are signed with: what they are, and a new one. Rotating is safe at any time: the key before goes on verifying
 * until its last token has ended, and servers on the same data folder sign with the new one within a second. It never shows a
 * private half. API keys are another thing and are managed over the API. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "accounts/accounts.h"
#include "accounts/signing.h"
#include "base/clock.h"
#include "base/json.h"
#include "verbs.h"

static const char *state_of(const struct signing_state *k)
{
    return k->from_setting ? "signs (JWT_PRIVATE_KEY)" : k->signs ? "signs" : "verifies";
}

static void put_time(struct json_out *j, const char *name, int64_t ms)
{
    char text[25];
    json_put_text(j, name, ms ? clock_iso(ms, text) : NULL);
}

static void show(const struct verb_env *v, const struct signing_state *keys, int n)
{
    char from[25], until[25];
    if (!v->json) {
        for (int i = 0; i < n; i++)
            printf("%s  %-8s  made %s%s%s\n", keys[i].kid, state_of(&keys[i]), keys[i].created_ms ? clock_iso(keys[i].created_ms, from) : "elsewhere",
                   keys[i].gone_ms ? "  until " : "", keys[i].gone_ms ? clock_iso(keys[i].gone_ms, until) : "");
        return;
    }
    struct buf      b;
    struct json_out j;
    buf_init(&b, 64 * 1024);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_begin_array(&j, "keys");
    for (int i = 0; i < n; i++) {
        json_begin_object(&j, NULL);
        json_put_text(&j, "kid", keys[i].kid);
        json_put_text(&j, "algorithm", "RS256");
        json_put_bool(&j, "signs", keys[i].signs);
        put_time(&j, "created_at", keys[i].created_ms);
        put_time(&j, "retired_at", keys[i].retired_ms);
        put_time(&j, "verifies_until", keys[i].gone_ms);
        json_end(&j);
    }
    json_end(&j);
    json_end(&j);
    puts(b.data);
    buf_dispose(&b);
}

int verb_keys(int argc, char **argv)
{
    const struct verb_flag flags[] = { { 0 } };
    struct verb_args a;
    int code = verb_read(argc, argv, "list|rotate", "chiron keys list\nchiron keys rotate\n", flags, &a);
    if (code != VERB_GO) return code;
    bool rotate = a.count == 1 && !strcmp(a.words[0], "rotate");
    if (a.count != 1 || (!rotate && strcmp(a.words[0], "list"))) return verb_usage(&a, "it takes list or rotate");

    struct verb_env       v;
    struct signing_state *keys = NULL;
    int                   n = 0;
    char                  kid[SIGNING_KID_BYTES + 1];
    enum err              e = verb_open(&v, &a, VERB_STORE, NULL);
    if (!e) e = accounts_open(&v.call);
    if (!e && rotate) e = signing_rotate(&v.call, kid);
    if (!e && rotate) fprintf(stderr, "chiron keys: %s signs from now on\n", kid);
    if (!e) e = signing_list(&v.call, &keys, &n);
    if (!e) show(&v, keys, n);
    accounts_close();
    return verb_close(&v, e);
}
