/* Our Argon2id is libsodium's to the bit, in every kernel this processor has (CRE-013). */
/* SPDX-License-Identifier: MIT */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/argon2.h"
#include "accounts/password.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

static int begin(void **state)
{
    (void)state;
    return sodium_init() < 0;
}

static void *memory_of(uint32_t blocks)
{
    void *p = NULL;
    assert_int_equal(posix_memalign(&p, 64, (size_t)blocks * ARGON2_BLOCK_BYTES), 0);
    memset(p, 0xa5, (size_t)blocks * ARGON2_BLOCK_BYTES);   /* what a hash before left there */
    return p;
}

static void tags_are_libsodiums_for_every_size_and_number_of_passes_CRE_013(void **state)
{
    (void)state;
    static const struct { uint32_t blocks, passes; size_t password; } cases[] = {
        { 8, 1, 0 }, { 8, 3, 1 }, { 12, 1, 64 }, { 16, 2, 8 }, { 508, 1, 13 }, { 512, 2, 100 }, { 516, 4, 127 }, { 1024, 1, 128 }, { 2052, 2, 129 },
        { 4096, 3, 256 }, { PASSWORD_MEMORY_BYTES / ARGON2_BLOCK_BYTES, PASSWORD_PASSES, 13 } };
    if (argon2_best() == ARGON2_NONE) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned char salt[ARGON2_SALT_BYTES], want[ARGON2_TAG_BYTES], got[ARGON2_TAG_BYTES];
        char          password[256];
        randombytes_buf(salt, sizeof salt);
        randombytes_buf(password, sizeof password);
        assert_int_equal(crypto_pwhash(want, sizeof want, password, cases[i].password, salt, cases[i].passes,
                                       (size_t)cases[i].blocks * ARGON2_BLOCK_BYTES, crypto_pwhash_ALG_ARGON2ID13), 0);
        void *memory = memory_of(cases[i].blocks);
        for (enum argon2_kernel k = ARGON2_AVX2; k <= argon2_best(); k++) {
            memset(got, 0, sizeof got);
            argon2_tag(k, memory, cases[i].blocks, cases[i].passes, password, cases[i].password, salt, got);
            if (memcmp(got, want, sizeof got)) fail_msg("kernel %d, %u blocks, %u passes: another tag", k, cases[i].blocks, cases[i].passes);
        }
        free(memory);
    }
}

static void a_change_of_one_bit_changes_the_tag(void **state)
{
    (void)state;
    unsigned char salt[ARGON2_SALT_BYTES] = { 0 }, one[ARGON2_TAG_BYTES], two[ARGON2_TAG_BYTES];
    if (argon2_best() == ARGON2_NONE) skip();
    void *memory = memory_of(64);
    argon2_tag(argon2_best(), memory, 64, 1, "horse", 5, salt, one);
    argon2_tag(argon2_best(), memory, 64, 1, "horsd", 5, salt, two);
    assert_memory_not_equal(one, two, sizeof one);
    salt[15] = 1;
    argon2_tag(argon2_best(), memory, 64, 1, "horse", 5, salt, two);
    assert_memory_not_equal(one, two, sizeof one);
    free(memory);
}

static void what_we_store_libsodium_reads_and_the_other_way_round(void **state)
{
    (void)state;
    struct call c;
    const char *ours = NULL;
    char        theirs[crypto_pwhash_STRBYTES];
    bool        right = false, old = true;
    call_init(&c);
    assert_int_equal(password_hash(&c, "correct horse", &ours), OK);
    assert_int_equal(crypto_pwhash_str_verify(ours, "correct horse", 13), 0);
    assert_int_equal(crypto_pwhash_str_verify(ours, "correct hors", 12), -1);
    assert_int_equal(crypto_pwhash_str(theirs, "correct horse", 13, PASSWORD_PASSES, PASSWORD_MEMORY_BYTES), 0);
    assert_int_equal(password_check(&c, "correct horse", theirs, &right, &old), OK);
    assert_true(right && !old);
    assert_int_equal(password_check(&c, "correct hors", theirs, &right, &old), OK);
    assert_false(right);
    password_close();
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tags_are_libsodiums_for_every_size_and_number_of_passes_CRE_013),
        cmocka_unit_test(a_change_of_one_bit_changes_the_tag),
        cmocka_unit_test(what_we_store_libsodium_reads_and_the_other_way_round),
    };
    return cmocka_run_group_tests(tests, begin, NULL);
}
