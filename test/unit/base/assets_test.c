/* Files in the binary. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <string.h>

#include "base/assets.h"

static void embedded_files_are_found_by_path_and_prefix(void **state)
{
    (void)state;
    const struct asset *a = asset_find("schema/creator/0002_jobs.sql");
    assert_non_null(a);
    assert_int_equal(a->data[a->len], 0);
    assert_int_equal(strlen((const char *)a->data), a->len);
    assert_null(asset_find("schema/creator/0002_jobs"));
    assert_null(asset_find("schema/creator/"));
    assert_null(asset_find(""));
    int n = 0;
    for (const struct asset *at, *before = NULL; (at = asset_at("schema/creator/", n)); before = at, n++) {
        assert_int_equal(strncmp(at->path, "schema/creator/", 15), 0);
        if (before) assert_true(strcmp(before->path, at->path) < 0);
        assert_ptr_equal(asset_find(at->path), at);
    }
    assert_true(n >= 2);
    assert_null(asset_at("zzz", 0));
    assert_null(asset_at("schema/", -1));
    assert_non_null(asset_at("", 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embedded_files_are_found_by_path_and_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
