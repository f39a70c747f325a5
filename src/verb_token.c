/* An access token on stdout, signed as all of ours are, that belongs to no session. Whoever can read the data folder's key may make
 * one: the file system is the guard here, so the verb asks for no credential. It makes the creator when it is missing, and says
 * so. */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "accounts/accounts.h"
#include "accounts/audit.h"
#include "base/clock.h"
#include "base/json.h"
#include "verbs.h"

#define HOURS_MAX 8760

int verb_token(int argc, char **argv)
{
    const char *creator = NULL, *user = NULL, *role = NULL, *hours_text = NULL;
    const struct verb_flag flags[] = {
        { "--creator", NULL, "C", &creator, NULL, "whose coach it opens" },
        { "--user", NULL, "U", &user, NULL, "who carries it" },
        { "--role", NULL, "R", &role, NULL, "a built-in role or one of the creator's (user with --user, else owner)" },
        { "--hours", NULL, "N", &hours_text, NULL, "how long it lives, 1 to 8760 (JWT_EXPIRATION_HOURS)" },
        { 0 },
    };
    struct verb_args a;
    int code = verb_read(argc, argv, "--creator C [--user U] [--role ROLE] [--hours N]",
                         "chiron token --creator demo --user ann\n"
                         "chiron token --creator demo --role service --hours 720\n"
                         "curl -H \"Authorization: Bearer $(chiron token --creator demo)\" http://127.0.0.1:8000/api/v1/me\n",
                         flags, &a);
    if (code != VERB_GO) return code;
    int64_t hours = 0;
    if (!verb_number(&a, "--hours", hours_text, 0, 1, HOURS_MAX, &hours)) return EXIT_USAGE;
    if (!creator) return verb_usage(&a, "--creator is needed");
    if (a.count) return verb_usage(&a, "it takes no \"%.60s\"", a.words[0]);
    if (!role) role = user ? "user" : "owner";
    if (!user && !strcmp(role, "user")) return verb_usage(&a, "a token of role user needs --user");

    struct verb_env v;
    const char     *token = NULL;
    enum err        e = verb_open(&v, &a, VERB_STORE | VERB_CREATE, creator);
    if (!e) e = accounts_open(&v.call);
    if (!e) e = token_make(&v.call, creator, user, role, (int)hours, &token);
    if (!e)
        e = audit_put(&v.call, &(struct audit_entry){ "token.make", user ? arena_printf(&v.call.mem, AUDIT_USER "%s", user) : creator, "done",
                                                      (const char *[]){ "role", role, NULL } });
    if (!e && v.json) {
        struct buf b;
        buf_init(&b, 64 * 1024);
        struct json_out j;
        json_out_init(&j, &b);
        char until[25];
        if (!hours) hours = conf_int("JWT_EXPIRATION_HOURS");
        json_begin_object(&j, NULL);
        json_put_text(&j, "token", token);
        json_put_text(&j, "creator", creator);
        json_put_text(&j, "user", user);
        json_put_text(&j, "role", role);
        json_put_text(&j, "expires_at", clock_iso(clock_unix_ms() + hours * 3600 * 1000, until));
        json_end(&j);
        puts(b.data);
        buf_dispose(&b);
    } else if (!e) {
        puts(token);
    }
    accounts_close();
    return verb_close(&v, e);
}
