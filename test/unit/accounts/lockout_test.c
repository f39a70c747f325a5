/* How often somebody may try to sign in (CRE-014): the rule at its edges, and that tries at one moment are all counted. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/lockout_store.h"
#include "accounts/token.h"
#include "base/clock.h"
#include "store/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

#define KEY    "a secret of exactly the right size"
#define MINUTE (60 * 1000)

static const struct setting *const tables[] = { store_settings, NULL };
static struct call c;
static char        dir[] = "/tmp/chiron-lockout-XXXXXX";

static int begin(void **state)
{
    (void)state;
    call_init(&c);
    assert_non_null(mkdtemp(dir));
    assert_true(sodium_init() >= 0);
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
    assert_int_equal(token_key_set(&c, KEY, strlen(KEY)), OK);
    if (store_open(&c, dir)) fail_msg("%s", c.err_text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    char rm[80];
    store_close();
    token_key_wipe();
    conf_free();
    call_dispose(&c);
    snprintf(rm, sizeof rm, "rm -rf '%s'", dir);
    return system(rm);
}

static void five_wrong_tries_close_for_a_minute_and_each_more_for_twice_as_long_CRE_014(void **state)
{
    (void)state;
    struct lockout_row r = { 0 };
    int64_t            now = 1000000000;
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(lockout_count(&r, 5, now), 0);
        assert_int_equal(lockout_fail(&r, 5, now), i == 5);
        now += 1000;
    }
    int64_t want = MINUTE;
    for (int i = 0; i < 9; i++) {
        now = r.closed_until_ms - 1;
        assert_int_equal(lockout_count(&r, 5, now), 1);              /* a millisecond to go */
        now = r.closed_until_ms;
        assert_int_equal(lockout_count(&r, 5, now), 0);
        want = want * 2 < LOCKOUT_MOST_MS ? want * 2 : LOCKOUT_MOST_MS;
        assert_int_equal(r.closed_until_ms, now + want);             /* closed before it is looked at */
        assert_true(lockout_count(&r, 5, now) > 0);
        assert_true(lockout_fail(&r, 5, now));
        assert_int_equal(r.closed_until_ms, now + want);
    }
    assert_int_equal(want, LOCKOUT_MOST_MS);
}

static void few_tries_are_forgotten_after_the_window_and_no_sooner_CRE_014(void **state)
{
    (void)state;
    struct lockout_row r = { 0 };
    int64_t            now = 1000000000;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(lockout_count(&r, 5, now), 0);
        assert_false(lockout_fail(&r, 5, now));
    }
    struct lockout_row early = r, late = r;
    assert_int_equal(lockout_count(&early, 5, now + LOCKOUT_WINDOW_MS), 0);
    assert_true(lockout_fail(&early, 5, now + LOCKOUT_WINDOW_MS));
    assert_int_equal(lockout_count(&late, 5, now + LOCKOUT_WINDOW_MS + 1), 0);
    assert_int_equal(late.tries, 1);
    assert_false(lockout_fail(&late, 5, now + LOCKOUT_WINDOW_MS + 1));
}

static void waiting_does_not_win_five_more_tries(void **state)
{
    (void)state;
    struct lockout_row r = { 5, 1000000000 + MINUTE, 1000000000 };
    int64_t            now = r.closed_until_ms + 30 * MINUTE;
    assert_int_equal(lockout_count(&r, 5, now), 0);
    assert_int_equal(r.tries, 6);
    assert_int_equal(r.closed_until_ms, now + 2 * MINUTE);
    now = r.closed_until_ms + LOCKOUT_MOST_MS + 1;
    assert_int_equal(lockout_count(&r, 5, now), 0);
    assert_int_equal(r.tries, 1);
}

static void tries_that_nobody_answered_hold_back_for_a_moment_only(void **state)
{
    (void)state;
    struct lockout_row r = { 0 };
    int64_t            now = 1000000000;
    for (int i = 0; i < 5; i++) assert_int_equal(lockout_count(&r, 5, now), 0);
    assert_int_equal(lockout_count(&r, 5, now), 1000);
    assert_int_equal(lockout_count(&r, 5, now + LOCKOUT_PENDING_MS), 0);
    assert_true(r.closed_until_ms > now);
}

static void a_try_that_was_not_looked_at_is_taken_back(void **state)
{
    (void)state;
    struct lockout_row r = { 0 };
    int64_t            now = 1000000000;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(lockout_count(&r, 5, now), 0);
        lockout_undo(&r, 5, now);
    }
    assert_int_equal(r.tries, 0);
    r = (struct lockout_row){ 6, now - 1, now - 1 };   /* closed before; now the right password, but the code is missing */
    assert_int_equal(lockout_count(&r, 5, now), 0);
    lockout_undo(&r, 5, now);
    assert_int_equal(lockout_count(&r, 5, now), 0);     /* may come back with the code at once */
}

static enum err claim(const char *name, const char *address, struct lockout *l)
{
    call_forgive(&c);
    snprintf(c.remote, sizeof c.remote, "%s", address);
    return lockout_claim(&c, name, l);
}

static void wrong(const char *name, const char *address)
{
    struct lockout l;
    bool           closed = false;
    if (claim(name, address, &l)) fail_msg("%s", c.err_text);
    assert_int_equal(lockout_wrong(&c, &l, &closed), OK);
}

static void a_closed_name_is_closed_from_everywhere_and_others_are_open_CRE_014(void **state)
{
    (void)state;
    struct lockout l;
    for (int i = 0; i < 5; i++) wrong("ann@example.com", "198.51.100.1");
    assert_int_equal(claim("ann@example.com", "203.0.113.9", &l), ERR_RATE_LIMITED);
    assert_true(c.retry_after_s >= 59 && c.retry_after_s <= 60);
    assert_int_equal(claim("bob@example.com", "198.51.100.1", &l), OK);
    assert_int_equal(lockout_right(&c, &l), OK);
}

static void the_right_password_forgets_the_wrong_ones_before_it(void **state)
{
    (void)state;
    struct lockout l;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 4; i++) wrong("cleo@example.com", "198.51.100.2");
        assert_int_equal(claim("cleo@example.com", "198.51.100.2", &l), OK);
        assert_int_equal(lockout_right(&c, &l), OK);
    }
}

static void fifty_wrong_tries_close_an_address_for_every_name_but_no_other_address_CRE_014(void **state)
{
    (void)state;
    struct lockout l;
    for (int i = 0; i < 50; i++) {
        wrong(arena_printf(&c.mem, "somebody%d@example.com", i), "198.51.100.3");
        if (i % 10 == 0) {
            /* One's own account in between washes nothing away. */
            assert_int_equal(claim("mallory@example.com", "198.51.100.3", &l), OK);
            assert_int_equal(lockout_right(&c, &l), OK);
        }
    }
    assert_int_equal(claim("dora@example.com", "198.51.100.3", &l), ERR_RATE_LIMITED);
    assert_int_equal(claim("dora@example.com", "198.51.100.4", &l), OK);
    assert_int_equal(lockout_right(&c, &l), OK);
}

static void of_ipv6_the_network_counts(void **state)
{
    (void)state;
    struct lockout l;
    for (int i = 0; i < 50; i++) wrong(arena_printf(&c.mem, "six%d@example.com", i), arena_printf(&c.mem, "2001:db8:1:2::%x", i + 1));
    assert_int_equal(claim("eve@example.com", "2001:db8:1:2:ffff::1", &l), ERR_RATE_LIMITED);
    assert_int_equal(claim("eve@example.com", "2001:db8:1:3::1", &l), OK);
    assert_int_equal(lockout_right(&c, &l), OK);
}

static void what_is_closed_stays_closed_after_a_restart_CRE_014(void **state)
{
    (void)state;
    struct lockout l;
    for (int i = 0; i < 5; i++) wrong("finn@example.com", "198.51.100.5");
    store_close();
    if (store_open(&c, dir)) fail_msg("%s", c.err_text);
    assert_int_equal(claim("finn@example.com", "198.51.100.6", &l), ERR_RATE_LIMITED);
}

static void no_address_or_name_stands_in_the_database(void **state)
{
    (void)state;
    struct lockout l;
    assert_int_equal(claim("gus@example.com", "198.51.100.7", &l), OK);
    assert_null(strstr(l.name_key, "gus"));
    assert_null(strstr(l.address_key, "198"));
    assert_string_not_equal(l.name_key, l.address_key);
    assert_int_equal(lockout_right(&c, &l), OK);
}

static atomic_int let_in;

static void *one_of_many(void *arg)
{
    (void)arg;
    struct call    mine;
    struct lockout l;
    bool           closed = false;
    call_init(&mine);
    snprintf(mine.remote, sizeof mine.remote, "198.51.100.8");
    if (!lockout_claim(&mine, "hal@example.com", &l)) {
        atomic_fetch_add(&let_in, 1);
        (void)!lockout_wrong(&mine, &l, &closed);
    }
    call_dispose(&mine);
    return NULL;
}

static void of_fifty_tries_at_one_moment_five_are_looked_at_CRE_014(void **state)
{
    (void)state;
    pthread_t t[50];
    for (int i = 0; i < 50; i++) assert_int_equal(pthread_create(&t[i], NULL, one_of_many, NULL), 0);
    for (int i = 0; i < 50; i++) pthread_join(t[i], NULL);
    assert_int_equal(let_in, 5);
}

static void what_is_over_is_swept(void **state)
{
    (void)state;
    struct lockout_row name, address;
    struct lockout     l;
    assert_int_equal(claim("iris@example.com", "198.51.100.9", &l), OK);
    assert_int_equal(lockout_sweep(&c, clock_unix_ms()), OK);
    assert_int_equal(lockout_rows_read(&c, &l, &name, &address), OK);
    assert_int_equal(name.tries, 1);
    assert_int_equal(lockout_sweep(&c, clock_unix_ms() + 2 * LOCKOUT_MOST_MS), OK);
    assert_int_equal(lockout_rows_read(&c, &l, &name, &address), OK);
    assert_int_equal(name.tries, 0);
    assert_int_equal(address.tries, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_wrong_tries_close_for_a_minute_and_each_more_for_twice_as_long_CRE_014),
        cmocka_unit_test(few_tries_are_forgotten_after_the_window_and_no_sooner_CRE_014),
        cmocka_unit_test(waiting_does_not_win_five_more_tries),
        cmocka_unit_test(tries_that_nobody_answered_hold_back_for_a_moment_only),
        cmocka_unit_test(a_try_that_was_not_looked_at_is_taken_back),
        cmocka_unit_test(a_closed_name_is_closed_from_everywhere_and_others_are_open_CRE_014),
        cmocka_unit_test(the_right_password_forgets_the_wrong_ones_before_it),
        cmocka_unit_test(fifty_wrong_tries_close_an_address_for_every_name_but_no_other_address_CRE_014),
        cmocka_unit_test(of_ipv6_the_network_counts),
        cmocka_unit_test(what_is_closed_stays_closed_after_a_restart_CRE_014),
        cmocka_unit_test(no_address_or_name_stands_in_the_database),
        cmocka_unit_test(of_fifty_tries_at_one_moment_five_are_looked_at_CRE_014),
        cmocka_unit_test(what_is_over_is_swept),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
