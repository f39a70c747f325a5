/* Growing bytes: what does not fit whole is refused, and stays refused. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

static void it_grows_and_is_always_a_text(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 100000);
    assert_null(b.data);
    for (int i = 0; i < 10000; i++) assert_true(buf_printf(&b, "%d,", i % 10));
    assert_int_equal(b.len, 20000);
    assert_int_equal(strlen(b.data), 20000);
    assert_true(buf_adds(&b, ""));
    assert_true(buf_addc(&b, 'x'));
    assert_int_equal(b.data[20000], 'x');
    char longer[2000];
    memset(longer, 'y', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_true(buf_printf(&b, "<%s>", longer));
    assert_int_equal(b.len, 20001 + 2001);
    buf_dispose(&b);
}

static void an_addition_past_the_maximum_fails_and_so_do_later_ones(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_true(buf_adds(&b, "0123456789"));
    assert_false(buf_addc(&b, 'x'));
    assert_true(b.failed);
    assert_string_equal(b.data, "0123456789");
    buf_drop_front(&b, 5);
    assert_string_equal(b.data, "56789");
    assert_false(buf_addc(&b, 'x'));
    buf_clear(&b);
    assert_true(buf_adds(&b, "new"));
    assert_false(buf_printf(&b, "%s", "too long now"));
    assert_string_equal(b.data, "new");
    buf_dispose(&b);
}

static void bytes_can_be_taken_out(void **state)
{
    (void)state;
    struct buf b;
    size_t n = 9;
    buf_init(&b, 10);
    char *p = buf_take(&b, &n);
    assert_string_equal(p, "");
    assert_int_equal(n, 0);
    free(p);
    buf_add(&b, "a\0b", 3);
    p = buf_take(&b, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(p, "a\0b", 4);
    free(p);
    assert_null(b.data);
    assert_int_equal(b.max, 10);
    buf_drop_front(&b, 0);
    buf_dispose(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_grows_and_is_always_a_text),
        cmocka_unit_test(an_addition_past_the_maximum_fails_and_so_do_later_ones),
        cmocka_unit_test(bytes_can_be_taken_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
