/* What a database holds as one number per table, and a creator that is closed while nobody uses it. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "store/db.h"
#include "store/fingerprint.h"
#include "store/store.h"

static char        dir[64];
static struct call c;

static int set_up(void **state)
{
    (void)state;
    folder_new_on_disk(dir);
    call_init(&c);
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, tenant_create(&c, "ann", NULL, NULL));
    assert_ok(&c, tenant_open(&c, "ann"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tenant_release(&c);
    store_close();
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

static void put_person(const char *id, const char *name)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO person(id, kind, name, created_ms, updated_ms) VALUES (?s, 'external', ?s, 1, 1)", id, name));
    assert_ok(&c, db_commit(&c, &w));
}

static void drop_person(const char *id)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "DELETE FROM person WHERE id = ?s", id));
    assert_ok(&c, db_commit(&c, &w));
}

static struct fingerprint person(const char *const *words)
{
    struct fingerprint *all = NULL;
    int                 n = 0;
    assert_ok(&c, fingerprint_take(&c, tenant_db(c.tenant), words, &all, &n));
    for (int i = 0; i < n; i++)
        if (!strcmp(all[i].table, "person")) return all[i];
    print_error("there is no table person among %d\n", n);
    _fail(__FILE__, __LINE__);
    return all[0];
}

static void the_same_rows_give_the_same_number_in_whatever_order(void **state)
{
    (void)state;
    struct fingerprint none = person(NULL);
    assert_int_equal(none.rows, 0);
    assert_string_equal(none.sum, "00000000000000000000000000000000");
    put_person("u1", "Ann");
    put_person("u2", "Ben");
    struct fingerprint both = person(NULL);
    assert_int_equal(both.rows, 2);
    drop_person("u1");
    assert_string_not_equal(person(NULL).sum, both.sum);
    put_person("u1", "Ann");
    assert_string_equal(person(NULL).sum, both.sum);
}

static void a_value_that_moves_to_the_next_column_is_another_row(void **state)
{
    (void)state;
    put_person("u1", "x2");
    struct fingerprint one = person(NULL);
    drop_person("u1");
    put_person("u1x", "2");
    assert_int_equal(person(NULL).rows, one.rows);
    assert_string_not_equal(person(NULL).sum, one.sum);
}

static void only_rows_with_a_given_id_count_and_not_those_that_speak_of_it(void **state)
{
    (void)state;
    const char *const words[] = { "u1", NULL };
    put_person("u1", "Ann");
    struct fingerprint one = person(words);
    assert_int_equal(one.rows, 1);
    put_person("u2", "u1");
    assert_string_equal(person(words).sum, one.sum);
}

static int64_t size_of(const char *name)
{
    struct stat st;
    return stat(arena_printf(&c.mem, "%s/creators/ann/%s", dir, name), &st) ? -1 : st.st_size;
}

static int descriptors_to(const char *part)
{
    DIR *d = opendir("/proc/self/fd");
    char to[512];
    int  n = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        ssize_t got = readlink(arena_printf(&c.mem, "/proc/self/fd/%s", f->d_name), to, sizeof to - 1);
        if (got <= 0) continue;
        to[got] = 0;
        n += strstr(to, part) != NULL;
    }
    closedir(d);
    return n;
}

static void a_creator_nobody_uses_is_closed_and_its_log_is_empty_then(void **state)
{
    (void)state;
    put_person("u1", "Ann");
    assert_true(size_of("creator.db-wal") > 0);
    tenants_close_idle(0);
    assert_true(descriptors_to("/ann/creator.db") > 0);   /* in use */
    tenant_release(&c);
    tenants_close_idle(60000);
    assert_true(descriptors_to("/ann/creator.db") > 0);   /* used a moment ago */
    tenants_close_idle(0);
    assert_int_equal(descriptors_to("/ann/creator.db"), 0);
    assert_true(size_of("creator.db-wal") <= 0);
    assert_ok(&c, tenant_open(&c, "ann"));
    assert_int_equal(person(NULL).rows, 1);
    put_person("u2", "Ben");
    assert_int_equal(person(NULL).rows, 2);
}

/* One connection is enough to read, so that a thousand open creators are a thousand connections. */
static void a_creator_that_is_only_read_is_opened_once(void **state)
{
    (void)state;
    tenant_release(&c);
    tenants_close_idle(0);
    assert_ok(&c, tenant_open(&c, "ann"));
    assert_int_equal(person(NULL).rows, 0);
    assert_true(descriptors_to("/ann/creator.db") <= 3);  /* the file, its log, the log's index */
}

int main(void)
{
    log_open(LOG_ERROR, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_rows_give_the_same_number_in_whatever_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_value_that_moves_to_the_next_column_is_another_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_rows_with_a_given_id_count_and_not_those_that_speak_of_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_creator_nobody_uses_is_closed_and_its_log_is_empty_then, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_creator_that_is_only_read_is_opened_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
