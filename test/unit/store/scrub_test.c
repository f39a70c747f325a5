/* Removed rows leave no bytes behind, in the file, its log or the copies beside it (CRE-062). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail
#include "store/db.h"
#include "store/scrub.h"
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

/* How often a text stands in a file. */
static int count_in(const char *path, const char *what)
{
    struct stat st;
    FILE       *f = fopen(path, "rbe");
    int         n = 0;
    if (!f) return 0;
    assert_int_equal(fstat(fileno(f), &st), 0);
    char *all = malloc((size_t)st.st_size + 1);
    assert_int_equal(fread(all, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    for (char *p = all, *end = all + st.st_size; (p = memmem(p, (size_t)(end - p), what, strlen(what))); p++) n++;
    free(all);
    return n;
}

static void turns(const char *user, int from, int n)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    for (int i = from; i < from + n; i++) {
        const char *text = arena_printf(&c.mem, "%0*d said SECRET-OF-%s", 20 + i * 37 % 900, i, user);
        assert_ok(&c, db_run(&c, w,
                             "INSERT INTO turn(id, conversation_id, user_id, coach_id, question, answer, covered, step, confidence, took_ms, "
                             "created_ms, trace) VALUES (?s, 'c', ?s, 'k', ?s, 'a', 1, 's', 1, 1, ?i, '{}')",
                             arena_printf(&c.mem, "%05d%s", (i * 7919) % 10007, user), user, text, (int64_t)i));
    }
    assert_ok(&c, db_commit(&c, &w));
}

static void removed_rows_leave_no_bytes(void **state)
{
    (void)state;
    const char *file = arena_printf(&c.mem, "%s/creator.db", tenant_dir(c.tenant)), *log = arena_printf(&c.mem, "%s-wal", file);
    struct conn *w = NULL, *r = NULL;
    int64_t      left = 0;
    int          copies = -1;
    /* Rows of two people between each other, so that pages are split and joined. */
    for (int i = 0; i < 20; i++) {
        turns("ann", i * 100, 50);
        turns("bob", i * 100 + 50, 50);
    }
    const char *folder = arena_printf(&c.mem, "%s/backups", tenant_dir(c.tenant)), *copy = arena_printf(&c.mem, "%s/creator-v0001-x.db", folder);
    mkdir(folder, 0700);
    FILE *f = fopen(copy, "we");
    fputs("SECRET-OF-ann", f);
    fclose(f);
    assert_true(count_in(file, "SECRET-OF-ann") + count_in(log, "SECRET-OF-ann") >= 1000);
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "DELETE FROM turn WHERE user_id = 'ann'"));
    assert_ok(&c, db_commit(&c, &w));
    assert_true(count_in(log, "SECRET-OF-ann") > 0);          /* why deleting is not enough */
    assert_ok(&c, store_scrub(&c, tenant_db(c.tenant), &copies));
    assert_int_equal(copies, 1);
    assert_int_equal(count_in(file, "SECRET-OF-ann"), 0);
    assert_int_equal(count_in(log, "SECRET-OF-ann"), 0);
    assert_int_not_equal(access(copy, F_OK), 0);
    assert_true(count_in(file, "SECRET-OF-bob") >= 1000);
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &left, "SELECT count(*) FROM turn"));
    db_release(&r);
    assert_int_equal(left, 1000);
    turns("cat", 0, 10);                                      /* and it goes on */
}

static void a_reader_that_stays_is_said_instead_of_ignored(void **state)
{
    (void)state;
    struct conn *r = NULL;
    int64_t      n = 0;
    turns("ann", 0, 10);
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM turn"));
    turns("ann", 10, 10);
    assert_int_equal(store_empty_log(&c, tenant_db(c.tenant)), ERR_BUSY);
    call_forgive(&c);
    db_release(&r);
    assert_ok(&c, store_empty_log(&c, tenant_db(c.tenant)));
}

static void keys_that_name_somebody_go_and_no_others(void **state)
{
    (void)state;
    const void *p;
    size_t      n;
    const char *const keys[] = { "ratelimit:ann:search", "ann", "x:ann", "limit:t/ann", "ratelimit:anna:search", "banns", "x:an:n" };
    for (int i = 0; i < 7; i++) assert_ok(&c, kv_put(&c, keys[i], "1", 1, 60000));
    assert_int_equal(kv_drop_named("ann"), 4);
    for (int i = 0; i < 7; i++) assert_int_equal(kv_get(&c, keys[i], &p, &n), i < 4 ? ERR_NOT_FOUND : OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(removed_rows_leave_no_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_reader_that_stays_is_said_instead_of_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_that_name_somebody_go_and_no_others, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
