/* Memory with one end: alignment, zeroing, resets, maxima. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/arena.h"

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    unsigned char *before = NULL;
    for (size_t n = 0; n < 400; n++) {
        unsigned char *p = arena_alloc(&a, n);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_ptr_not_equal(p, before);
        for (size_t i = 0; i < n; i++) assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
        before = p;
    }
    arena_dispose(&a);
}

static void a_reset_keeps_one_small_block_and_gives_zeroes_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 64 << 20);
    for (int round = 0; round < 3; round++) {
        memset(arena_alloc(&a, 100), 0xff, 100);
        memset(arena_alloc(&a, 3 << 20), 0xff, 3 << 20);
        for (int i = 0; i < 2000; i++) memset(arena_alloc(&a, 700), 0xff, 700);
        arena_reset(&a);
        assert_true(a.used_bytes > 0 && a.used_bytes <= 64 << 10);
        char *p = arena_alloc(&a, 5000);
        for (int i = 0; i < 5000; i++) assert_int_equal(p[i], 0);
    }
    arena_dispose(&a);
    assert_int_equal(a.used_bytes, 0);
    arena_dispose(&a);
    struct arena zero = { 0 };
    arena_dispose(&zero);
    arena_reset(&zero);
}

static void a_large_first_piece_is_served(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 8 << 20);
    memset(arena_alloc(&a, 4 << 20), 1, 4 << 20);
    memset(arena_alloc(&a, 3 << 20), 1, 3 << 20);
    arena_dispose(&a);
}

static void texts_are_copied(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    assert_null(arena_strdup(&a, NULL));
    assert_string_equal(arena_strdup(&a, ""), "");
    assert_memory_equal(arena_strndup(&a, "a\0b", 3), "a\0b", 4);
    assert_string_equal(arena_printf(&a, "%s-%d", "x", 7), "x-7");
    char *longer = arena_printf(&a, "%0500d", 7);
    assert_int_equal(strlen(longer), 500);
    arena_dispose(&a);
}

static int signal_of(void (*f)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (!pid) {
        if (!freopen("/dev/null", "w", stderr)) _exit(9);
        f();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void over_maximum(void)
{
    struct arena a;
    arena_init(&a, 100000);
    for (int i = 0; i < 300; i++) arena_alloc(&a, 1000);
}

static void overflowing(void)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    arena_array(&a, SIZE_MAX / 2, 3);
}

static void past_the_maximum_it_aborts(void **state)
{
    (void)state;
    signal(SIGABRT, SIG_DFL);
    assert_int_equal(signal_of(over_maximum), SIGABRT);
    assert_int_equal(signal_of(overflowing), SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
        cmocka_unit_test(a_reset_keeps_one_small_block_and_gives_zeroes_again),
        cmocka_unit_test(a_large_first_piece_is_served),
        cmocka_unit_test(texts_are_copied),
        cmocka_unit_test(past_the_maximum_it_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
