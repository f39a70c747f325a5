/* One-time codes (CRE-015): the codes of RFC 6238, its window, and that a code or a recovery code counts once. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accounts/account_store.h"
#include "accounts/lockout.h"
#include "accounts/password.h"
#include "accounts/token.h"
#include "accounts/totp.h"
#include "base/clock.h"
#include "base/metric.h"
#include "store/store.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

#define KEY "a secret of exactly the right size"
static const unsigned char rfc[] = "12345678901234567890";   /* RFC 6238, appendix B */
static const struct setting owner_settings[] = { { "OWNER_CREATOR", NULL, "of the test", 0, 0, 0 }, { 0 } };
static const struct setting *const all[] = { account_settings, store_settings, owner_settings, NULL };

static struct call c;
static char        dir[] = "/tmp/chiron-totp-XXXXXX";

static int begin(void **state)
{
    (void)state;
    call_init(&c);
    assert_non_null(mkdtemp(dir));
    assert_true(sodium_init() >= 0);
    assert_int_equal(conf_load(&c, all, "/dev/null"), OK);
    assert_int_equal(token_key_set(&c, KEY, strlen(KEY)), OK);
    if (store_open(&c, dir)) fail_msg("%s", c.err_text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    char rm[80];
    password_close();
    store_close();
    token_key_wipe();
    conf_free();
    call_dispose(&c);
    snprintf(rm, sizeof rm, "rm -rf '%s'", dir);
    return system(rm);
}

static void codes_are_those_of_rfc_6238_CRE_015(void **state)
{
    (void)state;
    static const struct { int64_t at; int code; } want[] = {   /* the last six of the eight digits given there */
        { 59, 287082 }, { 1111111109, 81804 }, { 1111111111, 50471 }, { 1234567890, 5924 }, { 2000000000, 279037 }, { 20000000000, 353130 } };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) assert_int_equal(totp_code(rfc, 20, want[i].at / 30), want[i].code);
}

static void a_code_is_taken_one_step_early_and_late_and_no_more_CRE_015(void **state)
{
    (void)state;
    char    text[12];
    int64_t now = 1234567890, step = 0;
    for (int off = -3; off <= 3; off++) {
        snprintf(text, sizeof text, "%06d", totp_code(rfc, 20, now / 30 + off));
        bool want = off >= -1 && off <= 1;
        assert_int_equal(totp_match(rfc, 20, text, now, &step), want);
        if (want) assert_int_equal(step, now / 30 + off);
    }
}

static void what_is_not_six_digits_is_no_code(void **state)
{
    (void)state;
    int64_t step = 7;
    static const char *const bad[] = { "", "5924", "0059240", "00592a", "005 924 1", "-05924", "+05924", "５９２４００" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(totp_match(rfc, 20, bad[i], 1234567890, &step));
    assert_int_equal(step, 7);
    assert_true(totp_match(rfc, 20, "005 924", 1234567890, &step));
}

static void a_secret_is_written_in_base32(void **state)
{
    (void)state;
    static const char *const want[] = { "", "MY", "MZXQ", "MZXW6", "MZXW6YQ", "MZXW6YTB", "MZXW6YTBOI" };   /* RFC 4648, 10 */
    for (size_t n = 0; n <= 6; n++) assert_string_equal(totp_base32(&c, (const unsigned char *)"foobar", n), want[n]);
    assert_string_equal(totp_base32(&c, rfc, 20), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
}

static size_t from_base32(const char *text, unsigned char *out)
{
    uint32_t bits = 0;
    int      have = 0;
    size_t   n = 0;
    for (; *text; text++) {
        bits = bits << 5 | (uint32_t)(*text >= 'A' ? *text - 'A' : *text - '2' + 26);
        have += 5;
        if (have >= 8) out[n++] = (unsigned char)(bits >> (have -= 8));
    }
    return n;
}

static struct account account_with_password(const char *email)
{
    struct account a;
    const char    *creator = NULL;
    if (account_make(&c, &(struct account_new){ .email = email, .full_name = "Ann", .password = "slow rivers carry stones", .alone = true }, &a, &creator))
        fail_msg("%s", c.err_text);
    assert_null(creator);
    return a;
}

/* A code of the step that is `off` from now. */
static const char *code_now(const char *secret, int off)
{
    unsigned char raw[40];
    size_t        n = from_base32(secret, raw);
    /* Not where a step ends: what is a step early now would be two by the time it is looked at. */
    if (clock_unix_ms() % 30000 > 28000) usleep(2100 * 1000);
    return arena_printf(&c.mem, "%06d", totp_code(raw, n, clock_unix_ms() / 1000 / 30 + off));
}

static bool checks(const struct account *a, const char *code, const char *recovery)
{
    struct account       now;
    struct account_proof p;
    bool                 right = false;
    assert_int_equal(account_row_get(&c, a->id, NULL, &now, &p), OK);
    if (totp_check(&c, a, &p, code, recovery, &right)) fail_msg("%s", c.err_text);
    return right;
}

static void a_code_counts_once_and_recovery_codes_once_each_CRE_015(void **state)
{
    (void)state;
    struct account       a = account_with_password("once@example.com"), now;
    struct account_proof p;
    const char          *secret = NULL, *uri = NULL, *codes[TOTP_RECOVERY_CODES];
    assert_int_equal(totp_begin(&c, &a, &secret, &uri), OK);
    assert_non_null(strstr(uri, secret));
    assert_non_null(strstr(uri, "otpauth://totp/Chiron:once@example.com?"));
    assert_int_equal(totp_confirm(&c, &a, "000000", codes), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    const char *first = code_now(secret, -1);
    assert_int_equal(totp_confirm(&c, &a, first, codes), OK);
    assert_false(checks(&a, first, NULL));          /* it turned the factor on: it counts no more */
    const char *second = code_now(secret, 0);
    assert_true(checks(&a, second, NULL));
    assert_false(checks(&a, second, NULL));
    assert_false(checks(&a, first, NULL));          /* nor an older one */
    assert_true(checks(&a, NULL, codes[3]));
    assert_false(checks(&a, NULL, codes[3]));
    assert_true(checks(&a, NULL, codes[9]));
    assert_false(checks(&a, NULL, "AAAA-BBBB-CCCC-DDDD"));
    assert_false(checks(&a, NULL, ""));
    assert_false(checks(&a, NULL, NULL));
    /* Neither the secret nor a recovery code is in the database as it is. */
    assert_int_equal(account_row_get(&c, a.id, NULL, &now, &p), OK);
    unsigned char raw[40];
    size_t        n = from_base32(secret, raw);
    assert_null(memmem(p.totp_sealed, p.totp_sealed_len, raw, n));
    assert_true(now.totp);
}

static void a_secret_is_bound_to_its_account(void **state)
{
    (void)state;
    struct account       a = account_with_password("bound@example.com"), b = account_with_password("other@example.com"), now;
    struct account_proof p;
    const char          *secret = NULL, *uri = NULL;
    bool                 right = false;
    assert_int_equal(totp_begin(&c, &a, &secret, &uri), OK);
    assert_int_equal(account_row_get(&c, a.id, NULL, &now, &p), OK);
    assert_int_equal(totp_check(&c, &b, &p, code_now(secret, 0), NULL, &right), ERR_CORRUPT);
    assert_false(right);
    call_forgive(&c);
}

static void the_second_factor_goes_off_with_password_and_code_only(void **state)
{
    (void)state;
    struct account a = account_with_password("off@example.com"), now;
    const char    *secret = NULL, *uri = NULL, *codes[TOTP_RECOVERY_CODES];
    assert_int_equal(totp_off(&c, &a, &(struct proof){ .password = "slow rivers carry stones" }), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(totp_begin(&c, &a, &secret, &uri), OK);
    assert_int_equal(totp_confirm(&c, &a, code_now(secret, -1), codes), OK);
    assert_int_equal(totp_begin(&c, &a, &secret, &uri), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(account_get(&c, a.id, &a), OK);
    assert_int_equal(totp_off(&c, &a, &(struct proof){ .password = "slow rivers carry stones" }), ERR_UNAUTHENTICATED);
    assert_string_equal(c.err_code, "totp_required");
    call_forgive(&c);
    assert_int_equal(totp_off(&c, &a, &(struct proof){ .password = "wrong", .recovery_code = codes[0] }), ERR_UNAUTHENTICATED);
    assert_null(c.err_code);
    call_forgive(&c);
    if (totp_off(&c, &a, &(struct proof){ .password = "slow rivers carry stones", .recovery_code = codes[0] })) fail_msg("%s", c.err_text);
    assert_int_equal(account_get(&c, a.id, &now), OK);
    assert_false(now.totp);
    assert_false(checks(&a, NULL, codes[1]));
}

static struct {
    struct account       a;
    struct account_proof p;
    const char          *code;
    atomic_int           right;
} race;

static void *one_of_many(void *arg)
{
    (void)arg;
    struct call mine;
    bool        right = false;
    call_init(&mine);
    if (totp_check(&mine, &race.a, &race.p, race.code, NULL, &right)) fprintf(stderr, "%s\n", mine.err_text);
    if (right) atomic_fetch_add(&race.right, 1);
    call_dispose(&mine);
    return NULL;
}

static void of_many_with_one_code_at_once_one_is_right_CRE_015(void **state)
{
    (void)state;
    pthread_t   t[16];
    const char *secret = NULL, *uri = NULL, *codes[TOTP_RECOVERY_CODES];
    race.a = account_with_password("race@example.com");
    assert_int_equal(totp_begin(&c, &race.a, &secret, &uri), OK);
    assert_int_equal(totp_confirm(&c, &race.a, code_now(secret, -1), codes), OK);
    assert_int_equal(account_row_get(&c, race.a.id, NULL, &race.a, &race.p), OK);
    race.code = code_now(secret, 0);
    for (int i = 0; i < 16; i++) assert_int_equal(pthread_create(&t[i], NULL, one_of_many, NULL), 0);
    for (int i = 0; i < 16; i++) pthread_join(t[i], NULL);
    assert_int_equal(race.right, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_those_of_rfc_6238_CRE_015),
        cmocka_unit_test(a_code_is_taken_one_step_early_and_late_and_no_more_CRE_015),
        cmocka_unit_test(what_is_not_six_digits_is_no_code),
        cmocka_unit_test(a_secret_is_written_in_base32),
        cmocka_unit_test(a_code_counts_once_and_recovery_codes_once_each_CRE_015),
        cmocka_unit_test(a_secret_is_bound_to_its_account),
        cmocka_unit_test(the_second_factor_goes_off_with_password_and_code_only),
        cmocka_unit_test(of_many_with_one_code_at_once_one_is_right_CRE_015),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
