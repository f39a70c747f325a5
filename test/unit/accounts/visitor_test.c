/* Visitors: let in only where a creator opened its door, and claimed by one user, however many come at once (CRE-018). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/accounts.h"
#include "accounts/creator_settings.h"
#include "accounts/visitor.h"
#include "base/log.h"
#include "coaching/coaching_store.h"
#include "store/db.h"
#include "store/kv_memory.h"
#include "store/store.h"
#include "store/tenant.h"

enum { USERS = 6 };
static const struct setting *const tables[] = { accounts_settings, store_settings, NULL };
static char        dir[64];
static struct call c;

static int setup(void **s)
{
    (void)s;
    bool created;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    setenv("JWT_SECRET_KEY", "a secret for tests, long enough for it", 1);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "one", "One", &created));
    assert_ok(&c, tenant_create(&c, "two", "Two", &created));
    assert_ok(&c, accounts_open(&c));
    assert_ok(&c, tenant_open(&c, "one"));
    assert_ok(&c, creator_anonymous_default(&c, true));
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    tenant_release(&c);
    accounts_close();
    kv_close();
    store_close();
    folder_remove(dir);
    conf_free();
    call_dispose(&c);
    unsetenv("JWT_SECRET_KEY");
    return 0;
}

static struct session_tokens begin(const char *creator)
{
    struct session_tokens t;
    assert_ok(&c, visitor_begin(&c, &(struct visitor_ask){ .creator_id = creator }, &t));
    return t;
}

static void no_creator_and_a_shut_one_are_told_apart_by_nobody(void **s)
{
    (void)s;
    struct session_tokens t;
    char                  words[400];
    assert_int_equal(visitor_begin(&c, &(struct visitor_ask){ .creator_id = "two" }, &t), ERR_NOT_FOUND);
    snprintf(words, sizeof words, "%s", c.err_text);
    call_forgive(&c);
    static const char *const none[] = { "nobody", "", "../one", "two'; --", "TWO" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_int_equal(visitor_begin(&c, &(struct visitor_ask){ .creator_id = none[i] }, &t), ERR_NOT_FOUND);
        assert_string_equal(c.err_text, words);
        call_forgive(&c);
    }
    assert_string_equal(begin("one").who.role, "visitor");
}

static void two_visitors_are_two(void **s)
{
    (void)s;
    assert_string_not_equal(begin("one").who.user_id, begin("one").who.user_id);
}

static void turn_of(const char *user, const char *id)
{
    assert_ok(&c, turn_save(&c, &(struct turn_row){ .id = id, .conversation_id = "conv", .user_id = user, .coach_id = "coach", .question = "q",
                                                    .answer = "a", .step = "full", .trace = "{}", .created_ms = 1 }));
}

static int64_t turns_of(const char *user)
{
    struct conn *r = NULL;
    int64_t      n = -1;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM turn WHERE user_id = ?s", user));
    db_release(&r);
    return n;
}

struct claimer {
    char        user[32];
    const char *token;
    enum err    e;
};

static void *claim(void *arg)
{
    struct claimer *k = arg;
    struct call     own;
    struct buf      b;
    struct json_out j;
    call_init(&own);
    buf_init(&b, 65536);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    k->e = tenant_open(&own, "one");
    snprintf(own.user_id, sizeof own.user_id, "%s", k->user);
    snprintf(own.role, sizeof own.role, "user");
    if (!k->e) k->e = visitor_claim(&own, k->token, &j);
    tenant_release(&own);
    buf_dispose(&b);
    call_dispose(&own);
    return NULL;
}

static void of_many_who_claim_a_visitor_at_once_one_gets_all(void **s)
{
    (void)s;
    for (int round = 0; round < 5; round++) {
        struct session_tokens t = begin("one");
        pthread_t             threads[USERS];
        struct claimer        k[USERS];
        int                   won = 0;
        int64_t               moved = 0;
        for (int i = 0; i < 3; i++) turn_of(t.who.user_id, arena_printf(&c.mem, "turn_%d_%d", round, i));
        for (int i = 0; i < USERS; i++) {
            k[i] = (struct claimer){ .token = t.access };
            snprintf(k[i].user, sizeof k[i].user, "u%d-%d", round, i);
            assert_int_equal(pthread_create(&threads[i], NULL, claim, &k[i]), 0);
        }
        for (int i = 0; i < USERS; i++) {
            pthread_join(threads[i], NULL);
            won += k[i].e == OK;
            assert_true(k[i].e == OK || k[i].e == ERR_CONFLICT);
            int64_t n = turns_of(k[i].user);
            assert_int_equal(n, k[i].e ? 0 : 3);
            moved += n;
        }
        assert_int_equal(won, 1);
        assert_int_equal(moved, 3);
        assert_int_equal(turns_of(t.who.user_id), 0);
        /* Its sign-in has ended, and the next claim hears so. */
        struct claimer late = { .user = "late", .token = t.access };
        claim(&late);
        assert_int_equal(late.e, ERR_CONFLICT);
    }
}

static void only_a_user_claims_and_only_a_visitor_is_claimed(void **s)
{
    (void)s;
    struct session_tokens v = begin("one"), u;
    struct buf            b;
    struct json_out       j;
    assert_ok(&c, session_begin(&c, &(struct session_who){ .kind = "user", .creator_id = "one", .user_id = "ann", .role = "user" }, &u));
    buf_init(&b, 65536);
    json_out_init(&j, &b);
    static const struct {
        const char *user, *role, *account, *key;
    } bad[] = { { "", "owner", "acc_1", "" }, { "ann", "user", "", "key_1" }, { "", "user", "", "" }, { "visitor_x", "visitor", "", "" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        snprintf(c.user_id, sizeof c.user_id, "%s", bad[i].user);
        snprintf(c.role, sizeof c.role, "%s", bad[i].role);
        snprintf(c.account_id, sizeof c.account_id, "%s", bad[i].account);
        snprintf(c.key_id, sizeof c.key_id, "%s", bad[i].key);
        assert_int_equal(visitor_claim(&c, v.access, &j), ERR_FORBIDDEN);
        call_forgive(&c);
    }
    snprintf(c.user_id, sizeof c.user_id, "bob");
    snprintf(c.role, sizeof c.role, "user");
    c.account_id[0] = c.key_id[0] = '\0';
    assert_int_equal(visitor_claim(&c, u.access, &j), ERR_INVALID);
    assert_string_equal(c.err_field, "visitor_token");
    call_forgive(&c);
    /* A refresh token is no access token, and cut ones are none. */
    assert_int_equal(visitor_claim(&c, v.refresh, &j), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(visitor_claim(&c, arena_strndup(&c.mem, v.access, strlen(v.access) - 3), &j), ERR_CONFLICT);
    call_forgive(&c);
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "two"));
    assert_int_equal(visitor_claim(&c, v.access, &j), ERR_NOT_FOUND);
    call_forgive(&c);
    buf_dispose(&b);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_creator_and_a_shut_one_are_told_apart_by_nobody),
        TEST(two_visitors_are_two),
        TEST(of_many_who_claim_a_visitor_at_once_one_gets_all),
        TEST(only_a_user_claims_and_only_a_visitor_is_claimed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
