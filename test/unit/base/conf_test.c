/* Settings: where they come from, what is refused, what is shown. */
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
#include <unistd.h>

#include "base/buf.h"
#include "base/conf.h"
#include "base/envfile.h"

static const struct setting rows[] = {
    { "TEST_MODE", "hybrid", "which", 0, 0, 0 },
    { "TEST_COUNT", "5", "how many, 1 to 10", SETTING_INT, 1, 10 },
    { "TEST_ON", "no", "whether", SETTING_BOOL, 0, 0 },
    { "TEST_KEY", NULL, "a key", SETTING_SECRET, 0, 0 },
    { 0 },
};
static const struct setting *const tables[] = { rows, NULL };
static struct call c;
static char        path[64];

static int set_up(void **state)
{
    (void)state;
    call_init(&c);
    strcpy(path, "/tmp/chiron-conf-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    conf_free();
    unlink(path);
    call_dispose(&c);
    static const char *const names[] = { "TEST_MODE", "test_mode", "TEST_COUNT", "TEST_ON", "TEST_KEY", "TEST_KEY_FILE" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) unsetenv(names[i]);
    return 0;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "wb");
    fputs(text, f);
    fclose(f);
}

static enum err load(void)
{
    return conf_load(&c, tables, path);
}

static void the_order_is_flag_environment_file_default(void **state)
{
    (void)state;
    write_file("test_mode=from-file\nTEST_COUNT=3\n");
    assert_int_equal(load(), OK);
    assert_string_equal(conf_text("TEST_MODE"), "from-file");
    assert_string_equal(conf_source("test_mode"), "file");
    assert_int_equal(conf_int("TEST_COUNT"), 3);
    assert_false(conf_bool("TEST_ON"));
    assert_string_equal(conf_source("TEST_ON"), "default");
    assert_null(conf_text("TEST_KEY"));
    conf_free();
    setenv("test_mode", "from-environment", 1);
    setenv("TEST_COUNT", "", 1); /* empty: not given */
    assert_int_equal(load(), OK);
    assert_string_equal(conf_text("TEST_MODE"), "from-environment");
    assert_int_equal(conf_int("TEST_COUNT"), 3);
    conf_free();
    conf_set("TEST_mode", "x");
    conf_set("TEST_MODE", "from-flag");
    conf_set("TEST_ON", "TRUE");
    assert_int_equal(load(), OK);
    assert_string_equal(conf_text("TEST_MODE"), "from-flag");
    assert_string_equal(conf_source("TEST_MODE"), "flag");
    assert_true(conf_bool("TEST_ON"));
}

static void a_wrong_value_names_the_setting_and_its_range(void **state)
{
    (void)state;
    static const char *const bad[] = { "0", "11", "x", "5x", "99999999999999999999", " " };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        setenv("TEST_COUNT", bad[i], 1);
        assert_int_equal(load(), ERR_INVALID);
        assert_string_equal(c.err_field, "TEST_COUNT");
        assert_non_null(strstr(c.err_text, "from 1 to 10"));
        call_forgive(&c);
    }
    unsetenv("TEST_COUNT");
    setenv("TEST_ON", "maybe", 1);
    assert_int_equal(load(), ERR_INVALID);
    call_forgive(&c);
    unsetenv("TEST_ON");
    conf_set("TEST_NOTHING", "1");
    assert_int_equal(load(), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "TEST_NOTHING"));
    call_forgive(&c);
}

static void a_secret_can_come_from_a_file(void **state)
{
    (void)state;
    write_file("the key\r\n");
    setenv("TEST_KEY_FILE", path, 1);
    assert_int_equal(conf_load(&c, tables, NULL), OK);
    assert_string_equal(conf_text("TEST_KEY"), "the key");
    conf_free();
    setenv("TEST_KEY_FILE", "/nowhere/at/all", 1);
    assert_int_equal(conf_load(&c, tables, NULL), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "TEST_KEY_FILE"));
    call_forgive(&c);
    setenv("TEST_KEY", "direct", 1);
    assert_int_equal(conf_load(&c, tables, NULL), OK);
    assert_string_equal(conf_text("TEST_KEY"), "direct");
}

static void show(void *arg, const struct setting *s, const char *shown, const char *source)
{
    buf_printf(arg, "%s=%s(%s) ", s->name, shown, source);
}

static void secrets_are_not_shown(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    setenv("TEST_KEY", "hunter2", 1);
    assert_int_equal(load(), OK);
    conf_each(show, &b);
    assert_string_equal(b.data, "TEST_MODE=hybrid(default) TEST_COUNT=5(default) TEST_ON=no(default) TEST_KEY=set(environment) ");
    buf_dispose(&b);
}

static void a_setting_declared_twice_is_a_bug_that_is_said(void **state)
{
    (void)state;
    static const struct setting *const twice[] = { rows, rows, NULL };
    assert_int_equal(conf_load(&c, twice, path), ERR_INTERNAL);
    call_forgive(&c);
    assert_int_equal(conf_load(&c, tables, "/nowhere/.env"), ERR_IO);
    call_forgive(&c);
}

static struct envfile parsed(const char *text)
{
    struct envfile f = { 0 };
    char *copy = arena_strdup(&c.mem, text);
    enum err e = envfile_parse(&c, "x.env", copy, strlen(copy), &f);
    if (e) print_error("%s\n", c.err_text);
    assert_int_equal(e, OK);
    return f;
}

static void the_dialect_of_env_files_is_understood(void **state)
{
    (void)state;
    struct envfile f = parsed("\xef\xbb\xbf# a comment\r\n\r\n"
                              "PLAIN=a b c   # tail\r\n"
                              "export EXPORTED=1\n"
                              "  SPACED = x \n"
                              "HASH=a#b\n"
                              "EMPTY=\n"
                              "URL=http://x/?a=b&c=d\n"
                              "SINGLE='a \\n \"b\" # c' # d\n"
                              "DOUBLE=\"a\\n\\\"b\\\" \\$x \\q # c\"\n"
                              "LINES=\"one\ntwo\"\n"
                              "UNICODE=caf\xc3\xa9\n"
                              "TWICE=1\nTWICE=2\n"
                              "LAST=end");
    static const char *const wanted[][2] = {
        { "PLAIN", "a b c" }, { "exported", "1" }, { "SPACED", "x" }, { "HASH", "a#b" }, { "EMPTY", "" },
        { "URL", "http://x/?a=b&c=d" }, { "SINGLE", "a \\n \"b\" # c" }, { "DOUBLE", "a\n\"b\" $x \\q # c" },
        { "LINES", "one\ntwo" }, { "UNICODE", "caf\xc3\xa9" }, { "TWICE", "2" }, { "LAST", "end" },
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) assert_string_equal(envfile_get(&f, wanted[i][0]), wanted[i][1]);
    assert_null(envfile_get(&f, "export"));
}

static void a_line_that_is_not_understood_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = { "A=1\nB=2\nnonsense\n", "\n\n=x\n", "A=1\nB=2\nC=\"open\n", "A=1\n\nB='x' y\n", "\n\nA B=1" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct envfile f = { 0 };
        char *copy = arena_strdup(&c.mem, bad[i]);
        assert_int_equal(envfile_parse(&c, "x.env", copy, strlen(copy), &f), ERR_INVALID);
        assert_non_null(strstr(c.err_text, "x.env line 3:"));
        call_forgive(&c);
    }
    struct envfile f = { 0 };
    char nul[] = "A=1\0B";
    assert_int_equal(envfile_parse(&c, "x.env", nul, sizeof nul - 1, &f), ERR_INVALID);
    call_forgive(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_order_is_flag_environment_file_default, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wrong_value_names_the_setting_and_its_range, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_secret_can_come_from_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(secrets_are_not_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_setting_declared_twice_is_a_bug_that_is_said, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_dialect_of_env_files_is_understood, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_line_that_is_not_understood_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
