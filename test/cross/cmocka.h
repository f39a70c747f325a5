/* As much of cmocka as the kernels' tests use, for machines it is not installed for: tools/arm64.sh. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_TEST_CROSS_CMOCKA_H
#define CHIRON_TEST_CROSS_CMOCKA_H
#include <stdio.h>
#include <stdlib.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **);
};

#define print_message(...) printf(__VA_ARGS__)
#define print_error(...)   fprintf(stderr, __VA_ARGS__)
#define assert_true(x)                                                               \
    do                                                                               \
        if (!(x)) {                                                                  \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #x);    \
            exit(1);                                                                 \
        }                                                                            \
    while (0)
#define assert_non_null(p)       assert_true((p) != NULL)
#define assert_int_equal(a, b)   assert_true((a) == (b))
#define cmocka_unit_test(f)      { #f, f }

static inline int run_all(const struct CMUnitTest *t, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        void *state = NULL;
        t[i].run(&state);
        printf("ok   %s\n", t[i].name);
    }
    return 0;
}
#define cmocka_run_group_tests(tests, setup, teardown) run_all(tests, sizeof(tests) / sizeof *(tests))
#endif
