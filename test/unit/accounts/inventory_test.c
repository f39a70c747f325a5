/* The inventory of what is kept about people knows every table of every database (CRE-062, FIT-114). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/person_table.h"
#include "store/db.h"
#include "store/store.h"

static char        dir[64];
static struct call c;

static int set_up(void **state)
{
    (void)state;
    call_init(&c);
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "t", NULL, NULL));
    assert_ok(&c, tenant_open(&c, "t"));
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

static int times_listed(const char *database, const char *table)
{
    int n = 0;
    for (int i = 0; all_person_tables[i]; i++)
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) n += !strcmp(t->database, database) && !strcmp(t->table, table);
    return n;
}

static void every_table_of(const char *name, struct db *db)
{
    struct conn *r = NULL;
    struct rows *rs = NULL;
    int          wrong = 0;
    assert_ok(&c, db_read(&c, db, &r));
    assert_ok(&c, db_select(&c, r, &rs, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"));
    while (rows_next(rs)) {
        int n = times_listed(name, rows_text(rs, 0));
        if (n != 1) print_message("%s.%s stands %d times in the inventory\n", name, rows_text(rs, 0), n);
        wrong += n != 1;
    }
    assert_ok(&c, rows_close(&c, &rs, OK));
    for (int i = 0; all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) {
            int64_t there = 0;
            if (strcmp(t->database, name) != 0) continue;
            assert_ok(&c, db_get_int(&c, r, 0, &there, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?s", t->table));
            if (there != 1) print_message("%s.%s of the inventory is not in the schema\n", name, t->table);
            wrong += there != 1;
        }
    }
    db_release(&r);
    assert_int_equal(wrong, 0);
}

static void every_table_of_the_schema_stands_in_it_once(void **state)
{
    (void)state;
    every_table_of("accounts", store_accounts());
    every_table_of("creator", tenant_db(c.tenant));
}

static void every_row_of_it_says_what_is_held_or_why_nothing(void **state)
{
    (void)state;
    for (int i = 0; all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) {
            assert_true(!strcmp(t->database, "accounts") || !strcmp(t->database, "creator"));
            assert_true(t->holds || t->why);
            /* What holds something of a person is taken out, or says why it stays. */
            if (t->holds) assert_true(t->erase || t->why);
            else assert_null(t->move);
        }
    }
}

/* A column that names somebody, and the table says it holds nothing of anybody. */
static void no_table_with_a_user_id_holds_nothing(void **state)
{
    (void)state;
    struct db *const db[] = { store_accounts(), tenant_db(c.tenant) };
    for (int i = 0; all_person_tables[i]; i++) {
        for (const struct person_table *t = all_person_tables[i]; t->table; t++) {
            struct conn *r = NULL;
            int64_t      n = 0;
            if (t->holds) continue;
            assert_ok(&c, db_read(&c, db[!strcmp(t->database, "creator")], &r));
            assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM pragma_table_info(?s) WHERE name IN ('user_id', 'account_id', 'email', 'address')",
                                     t->table));
            db_release(&r);
            if (n) print_message("%s.%s names people\n", t->database, t->table);
            assert_int_equal(n, 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_table_of_the_schema_stands_in_it_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_row_of_it_says_what_is_held_or_why_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_table_with_a_user_id_holds_nothing, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
