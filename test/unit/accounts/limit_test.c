/* The limiter without a server: keys, windows and numbers to the letter, the turn of the hour, 50 callers at once, networks,
 * a creator's own numbers, and what one check costs. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "unit/store/folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "accounts/limit.h"
#include "accounts/limit_policy.h"
#include "accounts/person.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "store/kv_memory.h"
#include "store/store.h"

#define NOON 1763726400000LL     /* 2025-11-21T12:00:00Z */

static struct call c;
static char        dir[64];

static void settings(const char *const *pairs)
{
    static const struct setting *const tables[] = { limit_settings, store_settings, NULL };
    conf_free();
    for (; pairs && pairs[0]; pairs += 2) conf_set(pairs[0], pairs[1]);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
}
#define SETTINGS(...) settings((const char *const[]){ __VA_ARGS__, NULL })

static int set_up(void **state)
{
    (void)state;
    call_init(&c);
    log_open((enum log_level)(LOG_ERROR + 1), 1);
    settings(NULL);
    bool created;
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "c1", "One", &created));
    assert_ok(&c, tenant_create(&c, "c2", "Two", &created));
    assert_ok(&c, limits_open(&c));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    kv_close();
    store_close();
    folder_remove(dir);
    conf_free();
    call_dispose(&c);
    return 0;
}

struct who {
    const char *creator, *user, *key, *remote;
    unsigned    rights;
};

static enum err ask_at(const struct who *w, const struct limit_ask *ask, int64_t now, struct limit_state *out)
{
    struct call a;
    call_init(&a);
    if (w->creator) snprintf(a.creator_id, sizeof a.creator_id, "%s", w->creator);
    if (w->user) snprintf(a.user_id, sizeof a.user_id, "%s", w->user);
    if (w->key) snprintf(a.key_id, sizeof a.key_id, "%s", w->key);
    if (w->remote) snprintf(a.remote, sizeof a.remote, "%s", w->remote);
    a.rights = w->rights ? w->rights : RIGHT_PUBLIC | RIGHT_ASK;
    memset(out, 0, sizeof *out);
    enum err e = limit_check_at(&a, ask, now, out);
    assert_int_equal(e == ERR_RATE_LIMITED, a.retry_after_s > 0);
    call_dispose(&a);
    return e;
}

static const struct limit_ask fit = { "POST", "/api/v1/ai/chat", "fit", NULL, true, true, false };
static const struct limit_ask ten = { "POST", "/chat", "ten", NULL, true, true, false };
static const struct limit_ask rag = { "POST", "/api/v1/rag/query", "rag", NULL, true, true, false };
static const struct limit_ask page = { "GET", "/", "admin", NULL, false, false, false };
static const struct limit_ask guess = { "GET", "/api/v1/me", "accounts", NULL, false, true, false };
static const struct limit_ask login = { "POST", "/api/v1/auth/login", "accounts", "auth", false, false, false };

static int64_t counted(const char *key)
{
    struct kv_counter k = { .key = key, .limit = 1, .window_ms = 3600000, .peek = true };
    int               refused;
    assert_ok(&c, kv_count(&c, KV_KNOWN, &k, 1, &refused));
    return k.count;
}

/* FIT-097 */
static void fit_lets_100_through_in_an_hour_under_its_own_key_and_the_next_hour_begins_anew(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         u = { .creator = "fit", .user = "u1" };
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ask_at(&u, &fit, NOON + 60000, &s), OK);
        assert_int_equal(s.remaining, 99 - i);
    }
    assert_string_equal(s.policy, "fit");
    assert_int_equal(s.limit, 100);
    assert_int_equal(counted("rate_limit:u1:12"), 100);
    assert_int_equal(ask_at(&u, &fit, NOON + 60000, &s), ERR_RATE_LIMITED);
    assert_int_equal(s.remaining, 0);
    assert_int_equal(s.reset_s, 3540); /* until the hour is over, not an hour from the first request */
    assert_int_equal(ask_at(&u, &fit, NOON + 3599999, &s), ERR_RATE_LIMITED);
    assert_int_equal(ask_at(&u, &fit, NOON + 3600000, &s), OK);
    assert_int_equal(counted("rate_limit:u1:13"), 1);
    assert_int_equal(ask_at(&u, &fit, NOON - 1, &s), OK);
    assert_int_equal(counted("rate_limit:u1:11"), 1);
    /* Another creator's user of the same name is somebody else. */
    struct who other = { .creator = "c1", .user = "u1" };
    assert_int_equal(ask_at(&other, &fit, NOON + 60000, &s), OK);
    assert_int_equal(counted("c1/rate_limit:u1:12"), 1);
}

/* FIT-097: 1000 for premium, by the setting's number times ten (FIT-037). */
static void a_premium_user_has_ten_times_as_much_of_fit(void **state)
{
    (void)state;
    struct limit_state s;
    bool               created;
    assert_ok(&c, tenant_create(&c, "fit", "Fit", &created));
    assert_ok(&c, tenant_open(&c, "fit"));
    struct person p = { .plan = "premium" }, got;
    assert_ok(&c, person_put(&c, "rich", &p, PERSON_PLAN, &got, NULL));
    tenant_release(&c);
    c.creator_id[0] = '\0';
    struct who u = { .creator = "fit", .user = "rich" }, outside = { .user = "rich" };
    for (int i = 0; i < 999; i++) assert_int_equal(ask_at(&u, &fit, NOON, &s), OK);
    assert_int_equal(ask_at(&outside, &fit, NOON, &s), OK);
    assert_int_equal(s.limit, 1000);
    assert_int_equal(s.remaining, 0);
    assert_int_equal(ask_at(&u, &fit, NOON, &s), ERR_RATE_LIMITED);
}

/* FIT-037, TEN-034: the surface's own name, then the plain one, then its default. */
static void a_prefixed_setting_wins_over_the_plain_one(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         u = { .creator = "fit", .user = "u1" }, t = { .creator = "ten", .user = "u1" };
    SETTINGS("RATE_LIMIT_REQUESTS", "3", "RATE_LIMIT_WINDOW", "60");
    assert_ok(&c, limits_open(&c));
    for (int i = 0; i < 3; i++) assert_int_equal(ask_at(&u, &fit, NOON, &s), OK);
    assert_int_equal(ask_at(&u, &fit, NOON, &s), ERR_RATE_LIMITED);
    assert_true(s.reset_s <= 60);
    assert_int_equal(ask_at(&t, &ten, NOON, &s), OK);
    assert_int_equal(s.limit, 3);
    SETTINGS("RATE_LIMIT_REQUESTS", "3", "FIT_RATE_LIMIT_REQUESTS", "5", "FIT_RATE_LIMIT_WINDOW", "7200", "TEN_RATE_LIMIT_TTL", "30");
    assert_ok(&c, limits_open(&c));
    assert_int_equal(limit_setup.rates[POLICY_FIT].limit, 5);
    assert_int_equal(limit_setup.rates[POLICY_FIT].window_ms, 7200000);
    assert_int_equal(limit_setup.rates[POLICY_TEN].limit, 3);
    assert_int_equal(limit_setup.rates[POLICY_TEN].window_ms, 30000);
}

/* TEN-034, TEN-035 */
static void ten_counts_60_a_minute_on_each_endpoint_and_can_be_switched_off(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         u = { .creator = "ten", .user = "u1" };
    bool               allowed;
    int64_t            left;
    snprintf(c.creator_id, sizeof c.creator_id, "ten");
    for (int i = 0; i < 60; i++) {
        assert_ok(&c, limit_endpoint(&c, "u9", "chat", &allowed, &left));
        assert_true(allowed);
        assert_int_equal(left, 59 - i);
    }
    assert_int_equal(counted("ratelimit:u9:chat"), 60);
    assert_ok(&c, limit_endpoint(&c, "u9", "chat", &allowed, &left));
    assert_false(allowed);
    assert_int_equal(left, 0);
    assert_ok(&c, limit_endpoint(&c, "u9", "other", &allowed, &left));
    assert_true(allowed);
    for (int i = 0; i < 60; i++) assert_int_equal(ask_at(&u, &ten, NOON, &s), OK);
    assert_int_equal(ask_at(&u, &ten, NOON, &s), ERR_RATE_LIMITED);
    SETTINGS("RATE_LIMIT_ENABLED", "false");
    assert_ok(&c, limits_open(&c));
    assert_int_equal(ask_at(&u, &ten, NOON, &s), OK);
    assert_int_equal(s.limit, 0);
    assert_ok(&c, limit_endpoint(&c, "u9", "chat", &allowed, &left));
    assert_true(allowed);
    c.creator_id[0] = '\0';
}

static atomic_int fit_passed, ten_passed, rag_passed;
static void *fifty(void *arg)
{
    (void)arg;
    struct limit_state s;
    struct who         f = { .creator = "fit", .user = "many" }, t = { .creator = "ten", .user = "many" }, r = { .creator = "c1", .user = "many" };
    for (int i = 0; i < 30; i++) {
        if (!ask_at(&f, &fit, NOON, &s)) atomic_fetch_add(&fit_passed, 1);
        if (!ask_at(&t, &ten, NOON, &s)) atomic_fetch_add(&ten_passed, 1);
        if (!ask_at(&r, &rag, NOON, &s)) atomic_fetch_add(&rag_passed, 1);
    }
    return NULL;
}

static void under_fifty_callers_at_once_exactly_the_limit_passes(void **state)
{
    (void)state;
    pthread_t t[50];
    for (int i = 0; i < 50; i++) assert_int_equal(pthread_create(&t[i], NULL, fifty, NULL), 0);
    for (int i = 0; i < 50; i++) pthread_join(t[i], NULL);
    assert_int_equal(atomic_load(&fit_passed), 100);
    assert_int_equal(atomic_load(&ten_passed), 60);
    assert_int_equal(atomic_load(&rag_passed), 1200);
}

static void an_address_is_counted_whole_in_ipv4_and_by_64_bits_in_ipv6(void **state)
{
    (void)state;
    struct limit_state s;
    SETTINGS("LIMIT_ADDRESS", "2/60", "LIMIT_AUTH", "3/60");
    assert_ok(&c, limits_open(&c));
    struct who a = { .remote = "2001:db8:1:2::1" }, b = { .remote = "2001:db8:1:2:ffff::9" }, other = { .remote = "2001:db8:1:3::1" };
    assert_int_equal(ask_at(&a, &page, NOON, &s), OK);
    assert_int_equal(ask_at(&b, &page, NOON, &s), OK);
    assert_int_equal(ask_at(&b, &page, NOON, &s), ERR_RATE_LIMITED);
    assert_int_equal(ask_at(&other, &page, NOON, &s), OK);
    struct who x = { .remote = "192.0.2.1" }, y = { .remote = "192.0.2.2" }, mapped = { .remote = "::ffff:192.0.2.1" };
    assert_int_equal(ask_at(&x, &page, NOON, &s), OK);
    assert_int_equal(ask_at(&mapped, &page, NOON, &s), OK);
    assert_int_equal(ask_at(&x, &page, NOON, &s), ERR_RATE_LIMITED);
    assert_int_equal(ask_at(&y, &page, NOON, &s), OK);
    /* Signing in is counted apart from looking at pages. */
    for (int i = 0; i < 3; i++) assert_int_equal(ask_at(&x, &login, NOON, &s), OK);
    assert_int_equal(ask_at(&x, &login, NOON, &s), ERR_RATE_LIMITED);
    assert_string_equal(s.policy, "auth");
    /* The machine itself is not counted, a proxy on it that says it speaks for others is. */
    struct who       self = { .remote = "127.0.0.1" };
    struct limit_ask proxied = page;
    proxied.forwarded = true;
    for (int i = 0; i < 9; i++) assert_int_equal(ask_at(&self, &page, NOON, &s), OK);
    for (int i = 0; i < 2; i++) assert_int_equal(ask_at(&self, &proxied, NOON, &s), OK);
    assert_int_equal(ask_at(&self, &proxied, NOON, &s), ERR_RATE_LIMITED);
}

/* CRE-014, CRE-061 */
static void wrong_credentials_end_the_looking_and_right_ones_do_not(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         a = { .remote = "192.0.2.9" };
    SETTINGS("LIMIT_GUESS", "5/60", "LIMIT_OFFENCES", "0");
    assert_ok(&c, limits_open(&c));
    for (int i = 0; i < 50; i++) assert_int_equal(ask_at(&a, &guess, NOON, &s), OK);
    struct call bad;
    call_init(&bad);
    snprintf(bad.remote, sizeof bad.remote, "192.0.2.9");
    for (int i = 0; i < 5; i++) limit_outcome(&bad, &guess, 401);
    assert_int_equal(ask_at(&a, &guess, NOON, &s), ERR_RATE_LIMITED);
    assert_string_equal(s.policy, "guess");
    assert_int_equal(ask_at(&a, &page, NOON, &s), OK);
    call_dispose(&bad);
}

static void limits_tighten_on_refusals_but_not_the_promised_ones(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         u = { .creator = "c1", .user = "bot" }, v = { .creator = "c1", .user = "calm" };
    struct call        bot;
    SETTINGS("LIMIT_OFFENCES", "10");
    assert_ok(&c, limits_open(&c));
    call_init(&bot);
    snprintf(bot.creator_id, sizeof bot.creator_id, "c1");
    snprintf(bot.user_id, sizeof bot.user_id, "bot");
    bot.rights = RIGHT_PUBLIC | RIGHT_ASK;
    for (int i = 0; i < 10; i++) limit_outcome(&bot, &rag, 404);
    assert_int_equal(ask_at(&u, &rag, NOON, &s), OK);
    assert_int_equal(s.limit, 600);
    for (int i = 0; i < 30; i++) limit_outcome(&bot, &rag, 403);
    assert_int_equal(ask_at(&u, &rag, NOON, &s), OK);
    assert_int_equal(s.limit, 300);
    assert_int_equal(ask_at(&v, &rag, NOON, &s), OK);
    assert_int_equal(s.limit, 1200);
    assert_int_equal(ask_at(&u, &fit, NOON, &s), OK);
    assert_int_equal(s.limit, 100);
    call_dispose(&bot);
}

static void a_creators_own_numbers_hold_for_its_callers_alone(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         u = { .creator = "c1", .user = "u1" }, v = { .creator = "c2", .user = "u1" };
    assert_ok(&c, tenant_open(&c, "c1"));
    assert_int_equal(limit_own_set(&c, &(struct limit_own){ "creator", 5, 60 }, 1), ERR_INVALID);
    call_forgive(&c);
    assert_int_equal(limit_own_set(&c, &(struct limit_own){ "nonsense", 5, 60 }, 1), ERR_INVALID);
    call_forgive(&c);
    assert_int_equal(limit_own_set(&c, &(struct limit_own){ "rag", 400000, 60 }, 1), ERR_INVALID);
    assert_string_equal(c.err_field, "policies.rag");
    call_forgive(&c);
    assert_ok(&c, limit_own_set(&c, &(struct limit_own){ "rag", 2, 30 }, 1));
    for (int i = 0; i < 2; i++) assert_int_equal(ask_at(&u, &rag, NOON, &s), OK);
    assert_int_equal(ask_at(&u, &rag, NOON, &s), ERR_RATE_LIMITED);
    assert_true(s.reset_s <= 30);
    assert_int_equal(ask_at(&v, &rag, NOON, &s), OK);
    assert_int_equal(s.limit, 1200);
    struct limit_use uses[20];
    int              n = 0;
    assert_ok(&c, limit_uses(&c, NULL, true, uses, 20, &n));
    assert_int_equal(n, 2);
    assert_string_equal(uses[0].key, "limit:rag:c1/u1");
    assert_int_equal(uses[0].used, 2);
    assert_int_equal(uses[0].limit, 2);
    assert_string_equal(uses[1].policy, "creator");
    assert_ok(&c, limit_own_set(&c, NULL, 0));
    assert_int_equal(ask_at(&u, &rag, NOON, &s), OK);
    tenant_release(&c);
}

/* However many names one takes. */
static void visitors_of_one_address_share_a_limit_beside_their_own(void **state)
{
    (void)state;
    struct limit_state s;
    SETTINGS("LIMIT_ADDRESS", "5/60");
    assert_ok(&c, limits_open(&c));
    for (int i = 0; i < 6; i++) {
        struct call v;
        call_init(&v);
        memset(&s, 0, sizeof s);
        snprintf(v.creator_id, sizeof v.creator_id, "c1");
        snprintf(v.user_id, sizeof v.user_id, "visitor_%d", i);
        snprintf(v.role, sizeof v.role, "visitor");
        snprintf(v.remote, sizeof v.remote, "198.51.100.%d", i == 5 ? 4 : 3);
        v.rights = RIGHT_PUBLIC | RIGHT_ASK;
        assert_int_equal(limit_check_at(&v, &rag, NOON, &s), OK);
        if (i == 4) {
            snprintf(v.user_id, sizeof v.user_id, "visitor_more");
            assert_int_equal(limit_check_at(&v, &rag, NOON, &s), ERR_RATE_LIMITED);
            assert_string_equal(s.policy, "address");
        }
        call_dispose(&v);
    }
}

static void a_service_is_counted_as_itself_whoever_it_speaks_for(void **state)
{
    (void)state;
    struct limit_state s;
    struct who         k = { .creator = "c1", .key = "key_1", .user = "ann", .rights = RIGHT_ASK | RIGHT_ACT_AS };
    SETTINGS("LIMIT_SERVICE", "3/60");
    assert_ok(&c, limits_open(&c));
    assert_int_equal(ask_at(&k, &rag, NOON, &s), OK);
    k.user = "bob";
    assert_int_equal(ask_at(&k, &rag, NOON, &s), OK);
    k.user = NULL;
    assert_int_equal(ask_at(&k, &rag, NOON, &s), OK);
    assert_int_equal(ask_at(&k, &rag, NOON, &s), ERR_RATE_LIMITED);
    assert_string_equal(s.policy, "service");
    assert_int_equal(counted("limit:rag:c1/bob"), 1);
}

static void what_is_not_understood_stops_the_start(void **state)
{
    (void)state;
    static const char *const wrong[][2] = { { "LIMIT_RAG", "many" },    { "LIMIT_USER", "5" },           { "LIMIT_ADDRESS", "5/0" },
                                            { "LIMIT_AUTH", "-1/60" },  { "LIMIT_EXEMPT", "10.0.0.0/40" }, { "LIMIT_EXEMPT", "localhost" },
                                            { "LIMIT_ROUTES", "POST" }, { "LIMIT_ROUTES", "GET /x=quick" }, { "LIMIT_GUESS", "1/2/3" } };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        SETTINGS(wrong[i][0], wrong[i][1]);
        assert_int_equal(limits_open(&c), ERR_INVALID);
        assert_string_equal(c.err_field, wrong[i][0]);
        call_forgive(&c);
    }
}

static void what_one_check_costs(void **state)
{
    (void)state;
    struct limit_state s;
    struct call        a;
    call_init(&a);
    snprintf(a.creator_id, sizeof a.creator_id, "c1");
    snprintf(a.user_id, sizeof a.user_id, "somebody_with_an_ordinary_id");
    snprintf(a.remote, sizeof a.remote, "192.0.2.77");
    a.rights = RIGHT_PUBLIC | RIGHT_ASK;
    struct limit_ask before = rag;
    before.known = false;
    int64_t best = INT64_MAX;
    SETTINGS("LIMIT_RAG", "100000000/60", "LIMIT_CREATOR", "100000000/60");
    assert_ok(&c, limits_open(&c));
    for (int round = 0; round < 20; round++) {
        int64_t from = clock_mono_us();
        for (int i = 0; i < 10000; i++) {
            assert_int_equal(limit_check_at(&a, &before, NOON, &s), OK);
            assert_int_equal(limit_check_at(&a, &rag, NOON, &s), OK);
        }
        int64_t took = (clock_mono_us() - from) / 10;
        if (took < best) best = took;
    }
    print_message("both checks of a request: %lld ns\n", (long long)best);
    assert_true(best < 200000); /* also under a sanitizer, beside others; the figure is what is read */
    call_dispose(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fit_lets_100_through_in_an_hour_under_its_own_key_and_the_next_hour_begins_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_premium_user_has_ten_times_as_much_of_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_prefixed_setting_wins_over_the_plain_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ten_counts_60_a_minute_on_each_endpoint_and_can_be_switched_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(under_fifty_callers_at_once_exactly_the_limit_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_address_is_counted_whole_in_ipv4_and_by_64_bits_in_ipv6, set_up, tear_down),
        cmocka_unit_test_setup_teardown(wrong_credentials_end_the_looking_and_right_ones_do_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(limits_tighten_on_refusals_but_not_the_promised_ones, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_creators_own_numbers_hold_for_its_callers_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(visitors_of_one_address_share_a_limit_beside_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_service_is_counted_as_itself_whoever_it_speaks_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_understood_stops_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_one_check_costs, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
