/* Versioned migrations (CRE-053): in order, once, all or nothing, after a copy, by one of many. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <dirent.h>
#include <string.h>
#include <sys/wait.h>

#include "base/log.h"
#include "store/db.h"
#include "store/db_open.h"
#include "store/db_sqlite.h"
#include "store/migrate.h"

static char        dir[64];
static struct call c;
static const char *path;

static const struct migration steps[] = {
    { 1, "0001_a.sql", "CREATE TABLE a(x INTEGER PRIMARY KEY);\nINSERT INTO a VALUES (1);\n" },
    { 5, "0005_b.sql", "-- a comment\n-- pg: CREATE TABLE only_pg(x INTEGER);\n-- sqlite: CREATE TABLE only_sqlite(x INTEGER);\n"
                       "INSERT INTO a VALUES (2);" },
    { 20, "0020_c.sql", "CREATE TABLE b(x INTEGER REFERENCES a(x)); INSERT INTO b VALUES (2);" },
};

static int set_up(void **state)
{
    (void)state;
    folder_new(dir);
    call_init(&c);
    link_setup();
    path = arena_printf(&c.mem, "%s/t.db", dir);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

static int64_t number(const char *sql_literal)
{
    struct db *db = NULL;
    struct conn *r = NULL;
    int64_t n = -1;
    assert_ok(&c, db_open(&c, path, NULL, &db));
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, sql_literal));
    db_release(&r);
    db_close(db);
    return n;
}

static int copies(void)
{
    int n = 0;
    DIR *d = opendir(arena_printf(&c.mem, "%s/backups", dir));
    if (!d) return 0;
    for (struct dirent *f; (f = readdir(d));) n += *f->d_name != '.';
    closedir(d);
    return n;
}

static void an_empty_database_reaches_the_newest_version(void **state)
{
    (void)state;
    assert_ok(&c, migrate_with(&c, path, steps, 3, NULL));
    assert_int_equal(number("SELECT max(number) FROM schema_version"), 20);
    assert_int_equal(number("SELECT count(*) FROM a"), 2);
    assert_int_equal(number("SELECT count(*) FROM sqlite_master WHERE name = 'only_sqlite'"), 1);
    assert_int_equal(number("SELECT count(*) FROM sqlite_master WHERE name = 'only_pg'"), 0);
    assert_int_equal(copies(), 0); /* there was nothing to keep */
    assert_ok(&c, migrate_with(&c, path, steps, 3, NULL));
    assert_int_equal(number("SELECT count(*) FROM schema_version"), 3);
}

static void the_schemas_of_the_product_apply(void **state)
{
    (void)state;
    assert_ok(&c, migrate(&c, path, "creator", NULL));
    assert_true(number("SELECT count(*) FROM schema_version") >= 2);
    path = arena_printf(&c.mem, "%s/accounts.db", dir);
    assert_ok(&c, migrate(&c, path, "accounts", NULL));
    assert_int_equal(number("SELECT count(*) FROM creator"), 0);
}

static void a_copy_is_made_first_and_three_are_kept(void **state)
{
    (void)state;
    struct migration many[7];
    static char sql[7][64];
    for (int i = 0; i < 7; i++) {
        snprintf(sql[i], sizeof sql[i], "CREATE TABLE t%d(x INTEGER);", i);
        many[i] = (struct migration){ i + 1, "000x_t.sql", sql[i] };
    }
    for (int i = 1; i <= 7; i++) assert_ok(&c, migrate_with(&c, path, many, i, NULL));
    assert_int_equal(number("SELECT count(*) FROM schema_version"), 7);
    assert_int_equal(copies(), LIMIT_SCHEMA_BACKUPS);
    DIR *d = opendir(arena_printf(&c.mem, "%s/backups", dir));
    struct dirent *f;
    char newest[300] = "";
    while ((f = readdir(d)))
        if (*f->d_name != '.' && strcmp(f->d_name, newest) > 0) snprintf(newest, sizeof newest, "%s", f->d_name);
    closedir(d);
    assert_int_equal(strncmp(newest, "t-v0006-", 8), 0);
    path = arena_printf(&c.mem, "%s/backups/%s", dir, newest);
    assert_int_equal(number("SELECT max(number) FROM schema_version"), 6);
}

static void a_failing_migration_changes_nothing(void **state)
{
    (void)state;
    struct migration bad[] = { steps[0], { 2, "0002_x.sql", "CREATE TABLE good(x); INSERT INTO nothing VALUES (1);" } };
    assert_ok(&c, migrate_with(&c, path, bad, 1, NULL));
    assert_int_equal(migrate_with(&c, path, bad, 2, NULL), ERR_INTERNAL);
    assert_non_null(strstr(c.err_text, "nothing"));
    call_forgive(&c);
    assert_int_equal(number("SELECT count(*) FROM sqlite_master WHERE name = 'good'"), 0);
    assert_int_equal(number("SELECT max(number) FROM schema_version"), 1);
    struct migration dangling[] = { steps[0], { 3, "0003_x.sql", "CREATE TABLE z(x REFERENCES a(x)); INSERT INTO z VALUES (99);" } };
    assert_int_equal(migrate_with(&c, path, dangling, 2, NULL), ERR_CORRUPT);
    call_forgive(&c);
    assert_int_equal(number("SELECT max(number) FROM schema_version"), 1);
}

static void a_newer_schema_is_refused_with_both_numbers(void **state)
{
    (void)state;
    assert_ok(&c, migrate_with(&c, path, steps, 3, NULL));
    assert_int_equal(migrate_with(&c, path, steps, 2, NULL), ERR_CONFLICT);
    assert_non_null(strstr(c.err_text, "20"));
    assert_non_null(strstr(c.err_text, "5"));
    call_forgive(&c);
    const struct migration without[] = { steps[0], steps[2] };
    assert_int_equal(migrate_with(&c, path, without, 2, NULL), ERR_CONFLICT);
    assert_non_null(strstr(c.err_text, "migration 5"));
    call_forgive(&c);
}

static void a_number_that_arrives_late_is_applied(void **state)
{
    (void)state;
    const struct migration early[] = { steps[0], { 20, "0020_d.sql", "CREATE TABLE d(x);" } };
    const struct migration all[] = { steps[0], steps[1], early[1] };
    assert_ok(&c, migrate_with(&c, path, early, 2, NULL));
    assert_ok(&c, migrate_with(&c, path, all, 3, NULL));
    assert_int_equal(number("SELECT count(*) FROM schema_version"), 3);
}

static void many_processes_migrate_at_once(void **state)
{
    (void)state;
    enum { PROCESSES = 6 };
    pid_t pids[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        pids[i] = fork();
        if (pids[i]) continue;
        struct call own;
        call_init(&own);
        enum err e = migrate_with(&own, path, steps, 3, NULL);
        if (e) fprintf(stderr, "%s\n", own.err_text);
        _exit(e ? 1 : 0);
    }
    for (int i = 0; i < PROCESSES; i++) {
        int status = -1;
        waitpid(pids[i], &status, 0);
        assert_int_equal(status, 0);
    }
    assert_int_equal(number("SELECT count(*) FROM a"), 2);
    assert_int_equal(number("SELECT count(*) FROM schema_version"), 3);
}

int main(void)
{
    log_open(LOG_ERROR + 1, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_database_reaches_the_newest_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_schemas_of_the_product_apply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_copy_is_made_first_and_three_are_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failing_migration_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_newer_schema_is_refused_with_both_numbers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_number_that_arrives_late_is_applied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_processes_migrate_at_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
