/* Ids, random bytes, SHA-256 and base64. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/call.h"
#include "base/id.h"

static void ids_have_their_form_and_sort_by_time(void **state)
{
    (void)state;
    char a[ID_BYTES], b[ID_BYTES];
    id_new("doc", a);
    assert_int_equal(strlen(a), 30);
    assert_int_equal(strncmp(a, "doc_0", 5), 0);
    assert_int_equal(strspn(a + 4, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
    assert_true(id_valid(a));
    nanosleep(&(struct timespec){ .tv_nsec = 3000000 }, NULL);
    id_new("doc", b);
    assert_true(strcmp(a, b) < 0);
    assert_int_equal(strlen(id_new("abcd", a)), 31);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void ids_do_not_repeat(void **state)
{
    (void)state;
    enum { MANY = 20000 };
    char (*ids)[ID_BYTES] = calloc(MANY, ID_BYTES);
    for (int i = 0; i < MANY; i++) id_new("x", ids[i]);
    qsort(ids, MANY, ID_BYTES, by_text);
    for (int i = 1; i < MANY; i++) assert_string_not_equal(ids[i], ids[i - 1]);
    free(ids);
}

static void ids_from_outside_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = { "a", "demo", "A.b_c:d@e-f", "9", "_x", "user@example.org" };
    static const char *const bad[] = { "", ".", ".a", "-a", "a b", "a/b", "a\\b", "\xc3\xa9", "a\n", "a%", "a'b" };
    char longer[LIMIT_ID_BYTES + 2];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(id_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(id_valid(bad[i]));
    assert_false(id_valid(NULL));
    memset(longer, 'a', sizeof longer);
    longer[LIMIT_ID_BYTES + 1] = '\0';
    assert_false(id_valid(longer));
    longer[LIMIT_ID_BYTES] = '\0';
    assert_true(id_valid(longer));
}

/* FIPS 180-2, appendix B */
static void sha256_gives_the_published_values(void **state)
{
    (void)state;
    char out[65], path[] = "/tmp/chiron-id-XXXXXX";
    assert_string_equal(id_sha256_hex("abc", 3, out), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(id_sha256_hex(NULL, 0, out), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    int fd = mkstemp(path);
    FILE *f = fdopen(fd, "wb");
    for (int i = 0; i < 1000000; i++) fputc('a', f);
    fclose(f);
    assert_true(id_sha256_file(path, out));
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    unlink(path);
    assert_false(id_sha256_file(path, out));
}

/* RFC 4648, part 10 */
static void base64_gives_the_published_values_and_back(void **state)
{
    (void)state;
    static const char *const pairs[][2] = { { "", "" },         { "f", "Zg==" },         { "fo", "Zm8=" },        { "foo", "Zm9v" },
                                            { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" } };
    struct arena a;
    size_t n;
    arena_init(&a, 1 << 24);
    for (size_t i = 0; i < 7; i++) {
        assert_string_equal(base64_encode(&a, pairs[i][0], strlen(pairs[i][0])), pairs[i][1]);
        unsigned char *back = base64_decode(&a, pairs[i][1], strlen(pairs[i][1]), &n);
        assert_int_equal(n, strlen(pairs[i][0]));
        assert_string_equal(back, pairs[i][0]);
    }
    for (size_t len = 0; len < 300; len++) {
        unsigned char raw[300];
        id_random(raw, len);
        char *text = base64_encode(&a, raw, len);
        unsigned char *back = base64_decode(&a, text, strlen(text), &n);
        assert_int_equal(n, len);
        assert_memory_equal(back, raw, len);
    }
    assert_memory_equal(base64_decode(&a, "-_8", 3, &n), "\xfb\xff", 2);
    arena_dispose(&a);
}

static void base64_refuses_what_is_not(void **state)
{
    (void)state;
    static const char *const bad[] = { "A", "AAAAA", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 9v", "Zm9v\n", "Zg==Zg==", "é" };
    struct arena a;
    size_t n;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_null(base64_decode(&a, bad[i], strlen(bad[i]), &n));
    arena_dispose(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_have_their_form_and_sort_by_time),
        cmocka_unit_test(ids_do_not_repeat),
        cmocka_unit_test(ids_from_outside_are_checked),
        cmocka_unit_test(sha256_gives_the_published_values),
        cmocka_unit_test(base64_gives_the_published_values_and_back),
        cmocka_unit_test(base64_refuses_what_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
