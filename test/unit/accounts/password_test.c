/* Passwords' hashes (CRE-013): what they look like, that the right one is known, and that a flood of them has a bound. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/password.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

static struct call c;

static int begin(void **state)
{
    (void)state;
    call_init(&c);
    return 0;
}

static int end(void **state)
{
    (void)state;
    password_close();
    call_dispose(&c);
    return 0;
}

static bool right(const char *password, const char *hash)
{
    bool is = false, old = false;
    assert_int_equal(password_check(&c, password, hash, &is, &old), OK);
    assert_true(is || !old);
    return is;
}

static void a_hash_is_argon2id_with_19_MiB_and_two_passes_CRE_013(void **state)
{
    (void)state;
    const char *a = NULL, *b = NULL;
    assert_int_equal(password_hash(&c, "correct horse", &a), OK);
    assert_int_equal(password_hash(&c, "correct horse", &b), OK);
    assert_memory_equal(a, "$argon2id$v=19$m=19456,t=2,p=1$", 31);
    assert_string_not_equal(a, b);   /* salted */
    assert_null(strstr(a, "horse"));
    assert_true(right("correct horse", a));
    assert_true(right("correct horse", b));
    assert_false(right("correct Horse", a));
    assert_false(right("", a));
}

static void the_same_keys_are_the_same_password_on_every_device(void **state)
{
    (void)state;
    const char *hash = NULL;
    assert_int_equal(password_hash(&c, "Zoë und die Fische", &hash), OK);
    assert_true(right("Zoe\xcc\x88 und die Fische", hash));   /* e and a combining mark */
    assert_false(right("Zoe und die Fische", hash));
}

static void no_hash_is_never_right_and_takes_as_long(void **state)
{
    (void)state;
    const char *hash = NULL;
    assert_int_equal(password_hash(&c, "correct horse", &hash), OK);
    assert_false(right("", NULL));
    assert_false(right("correct horse", NULL));
    assert_false(right("correct horse", "not a hash"));
    int64_t best[2] = { INT64_MAX, INT64_MAX };
    for (int i = 0; i < 16; i++) {
        int64_t from = clock_mono_us();
        (void)right("wrong horse", i & 1 ? hash : NULL);
        int64_t took = clock_mono_us() - from;
        if (took < best[i & 1]) best[i & 1] = took;
    }
    /* The quickest of eight: what else the machine did is out of it. */
    assert_true(best[0] > best[1] * 2 / 3 && best[0] < best[1] * 3 / 2);
}

static void a_hash_of_other_parameters_is_right_and_old(void **state)
{
    (void)state;
    char weaker[crypto_pwhash_STRBYTES];
    bool is = false, old = false;
    assert_int_equal(crypto_pwhash_str(weaker, "correct horse", 13, 1, 8192 * 1024), 0);
    assert_int_equal(password_check(&c, "correct horse", weaker, &is, &old), OK);
    assert_true(is);
    assert_true(old);
    assert_int_equal(password_check(&c, "wrong", weaker, &is, &old), OK);
    assert_false(is);
    assert_false(old);
}

static void a_password_over_the_limit_is_wrong_and_cannot_be_set(void **state)
{
    (void)state;
    const char *hash = NULL, *other = NULL;
    char        text[LIMIT_PASSWORD_BYTES + 2];
    memset(text, 'p', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(password_hash(&c, text, &other), ERR_INVALID);
    assert_null(other);
    call_forgive(&c);
    text[LIMIT_PASSWORD_BYTES] = '\0';
    assert_int_equal(password_hash(&c, text, &hash), OK);
    assert_true(right(text, hash));
    text[LIMIT_PASSWORD_BYTES] = 'p';
    assert_false(right(text, hash));
}

static struct {
    const char *hash;
    atomic_int  known, busy, other;
    int64_t     slowest_ms;
    pthread_mutex_t lock;
} flood = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void *one_of_many(void *arg)
{
    (void)arg;
    struct call mine;
    bool        is = false, old = false;
    call_init(&mine);
    int64_t  from = clock_mono_ms();
    enum err e = password_check(&mine, "correct horse", flood.hash, &is, &old);
    int64_t  took = clock_mono_ms() - from;
    if (!e && is) atomic_fetch_add(&flood.known, 1);
    else if (e == ERR_BUSY && mine.retry_after_s > 0) atomic_fetch_add(&flood.busy, 1);
    else atomic_fetch_add(&flood.other, 1);
    pthread_mutex_lock(&flood.lock);
    if (took > flood.slowest_ms) flood.slowest_ms = took;
    pthread_mutex_unlock(&flood.lock);
    call_dispose(&mine);
    return NULL;
}

static void a_flood_is_told_to_come_back_and_nobody_waits_over_two_seconds(void **state)
{
    (void)state;
    enum { MANY = 120 };
    pthread_t threads[MANY];
    assert_int_equal(password_hash(&c, "correct horse", &flood.hash), OK);
    for (int i = 0; i < MANY; i++) assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, NULL), 0);
    for (int i = 0; i < MANY; i++) pthread_join(threads[i], NULL);
    assert_int_equal(flood.other, 0);
    assert_int_equal(flood.known + flood.busy, MANY);
    assert_true(flood.known > 0);
    assert_true(flood.busy > 0);
    assert_true(flood.slowest_ms < LIMIT_PASSWORD_WAIT_MS + 3000);
}

static void who_has_no_time_left_does_not_wait(void **state)
{
    (void)state;
    bool is = false, old = false;
    c.deadline_ms = clock_mono_ms() + 1;
    assert_int_equal(password_check(&c, "correct horse", flood.hash, &is, &old), ERR_BUSY);
    assert_true(c.retry_after_s > 0);
    c.deadline_ms = 0;
    call_forgive(&c);
    assert_true(right("correct horse", flood.hash));   /* and what was left behind harms nobody */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hash_is_argon2id_with_19_MiB_and_two_passes_CRE_013),
        cmocka_unit_test(the_same_keys_are_the_same_password_on_every_device),
        cmocka_unit_test(no_hash_is_never_right_and_takes_as_long),
        cmocka_unit_test(a_hash_of_other_parameters_is_right_and_old),
        cmocka_unit_test(a_password_over_the_limit_is_wrong_and_cannot_be_set),
        cmocka_unit_test(a_flood_is_told_to_come_back_and_nobody_waits_over_two_seconds),
        cmocka_unit_test(who_has_no_time_left_does_not_wait),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
