/* Creators: their ids, their isolation, opening by many threads, and the bound on open ones; the data folder itself. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "folder.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/metric.h"
#include "store/db.h"
#include "store/store.h"

static char        dir[64];
static struct call c;

static int set_up(void **state)
{
    (void)state;
    folder_new(dir);
    call_init(&c);
    assert_ok(&c, store_open(&c, dir));
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

static void ids_that_could_leave_the_folder_are_refused(void **state)
{
    (void)state;
    char longer[LIMIT_ID_BYTES + 2];
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    const char *const bad[] = { "", "..", ".", "../x", "a/b", "/etc", "-rf", ".hidden", "a b", "a\nb", "é", longer };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(tenant_create(&c, bad[i], NULL, NULL), ERR_INVALID);
        assert_string_equal(c.err_field, "creator_id");
        call_forgive(&c);
        assert_int_equal(tenant_open(&c, bad[i]), ERR_NOT_FOUND);
        call_forgive(&c);
    }
    longer[LIMIT_ID_BYTES] = '\0';
    assert_ok(&c, tenant_create(&c, longer, NULL, NULL));
    assert_ok(&c, tenant_open(&c, longer));
}

static void a_creator_is_made_once_and_found_again(void **state)
{
    (void)state;
    bool made = false;
    const char **ids;
    int n;
    assert_int_equal(tenant_open(&c, "ben"), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, tenant_create(&c, "ben", "Ben", &made));
    assert_true(made);
    assert_ok(&c, tenant_create(&c, "ben", "Ben", &made));
    assert_false(made);
    assert_ok(&c, tenant_create(&c, "Anna@x.org", "Anna", &made));
    assert_ok(&c, tenant_list(&c, &ids, &n));
    assert_int_equal(n, 2);
    assert_string_equal(ids[0], "Anna@x.org");
    assert_ok(&c, tenant_open(&c, "Anna@x.org"));
    assert_string_equal(c.creator_id, "Anna@x.org");
    assert_non_null(strstr(tenant_dir(c.tenant), "/creators/anna@x.org"));
    struct stat st;
    assert_int_equal(stat(tenant_dir(c.tenant), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void ids_that_differ_only_in_case_cannot_share_a_folder(void **state)
{
    (void)state;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    assert_int_equal(tenant_create(&c, "Ben", NULL, NULL), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(tenant_open(&c, "BEN"), ERR_NOT_FOUND);
    call_forgive(&c);
}

static void put(const char *creator, const char *name)
{
    struct conn *w = NULL;
    assert_ok(&c, tenant_open(&c, creator));
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO meta(name, value) VALUES (?s, '')", name));
    assert_ok(&c, db_commit(&c, &w));
}

static int64_t count(const char *creator, const char *name)
{
    struct conn *r = NULL;
    int64_t n = -1;
    assert_ok(&c, tenant_open(&c, creator));
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM meta WHERE name = ?s", name));
    db_release(&r);
    return n;
}

static void one_creator_does_not_see_anothers_rows(void **state)
{
    (void)state;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    assert_ok(&c, tenant_create(&c, "anna", NULL, NULL));
    put("ben", "mine");
    assert_int_equal(count("ben", "mine"), 1);
    assert_int_equal(count("anna", "mine"), 0);
}

static void a_lost_or_swapped_file_is_said_and_not_replaced(void **state)
{
    (void)state;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    assert_ok(&c, tenant_create(&c, "anna", NULL, NULL));
    const char *ben = arena_printf(&c.mem, "%s/creators/ben/creator.db", dir);
    const char *anna = arena_printf(&c.mem, "%s/creators/anna/creator.db", dir);
    assert_int_equal(rename(ben, anna), 0);
    assert_int_equal(tenant_open(&c, "ben"), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "missing"));
    call_forgive(&c);
    assert_int_equal(tenant_open(&c, "anna"), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "belongs to ben"));
    call_forgive(&c);
}

static void *open_same(void *arg)
{
    struct call own;
    call_init(&own);
    for (int i = 0; i < 50; i++) {
        if (tenant_open(&own, (const char *)arg)) abort();
        if (strcmp(tenant_id(own.tenant), (const char *)arg)) abort();
        struct conn *r = NULL;
        if (db_read(&own, tenant_db(own.tenant), &r)) abort();
        db_release(&r);
        tenant_release(&own);
    }
    call_dispose(&own);
    return NULL;
}

static void many_threads_open_one_creator(void **state)
{
    (void)state;
    pthread_t t[8];
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    store_close();
    assert_ok(&c, store_open(&c, dir));
    for (int i = 0; i < 8; i++) pthread_create(&t[i], NULL, open_same, "ben");
    for (int i = 0; i < 8; i++) pthread_join(t[i], NULL);
    assert_true(metric_read("chiron_tenants_open", NULL) == 1);
}

static void the_store_says_how_it_is(void **state)
{
    (void)state;
    int n = 0;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    assert_string_equal(store_state(), "connected");
    assert_ok(&c, store_check(&c, &n));
    assert_int_equal(n, 2);
    store_close();
    assert_string_equal(store_state(), "closed");
    FILE *f = fopen(arena_printf(&c.mem, "%s/creators/ben/creator.db", dir), "r+b");
    fseek(f, 3 * 4096 + 100, SEEK_SET);
    for (int i = 0; i < 8000; i++) fputc(i & 0xff, f);
    fclose(f);
    assert_ok(&c, store_open(&c, dir));
    assert_int_equal(store_check(&c, &n), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "ben"));
    call_forgive(&c);
}

static void a_folder_that_cannot_be_used_is_refused(void **state)
{
    (void)state;
    store_close();
    assert_int_equal(store_open(&c, "/proc/nowhere"), ERR_IO);
    call_forgive(&c);
    assert_int_equal(store_open(&c, ""), ERR_INVALID);
    call_forgive(&c);
}

static void *use_until_told(void *arg)
{
    struct call mine;
    call_init(&mine);
    assert_ok(&mine, tenant_open(&mine, "ben"));
    atomic_store((atomic_int *)arg, 1);
    while (atomic_load((atomic_int *)arg) != 2) usleep(1000);
    tenant_release(&mine);
    call_dispose(&mine);
    return NULL;
}

static void *remove_it(void *arg)
{
    struct call mine;
    call_init(&mine);
    *(enum err *)arg = tenant_remove(&mine, "ben", NULL, NULL);
    call_dispose(&mine);
    return NULL;
}

static void a_removed_creator_leaves_nothing_and_waits_for_its_users(void **state) /* CRE-062 */
{
    (void)state;
    atomic_int user_state = 0;
    enum err   first = ERR_INTERNAL, second = ERR_INTERNAL;
    pthread_t  user, a, b;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    assert_ok(&c, tenant_create(&c, "anna", NULL, NULL));
    const char *folder = arena_printf(&c.mem, "%s/creators/ben", dir);
    pthread_create(&user, NULL, use_until_told, &user_state);
    while (atomic_load(&user_state) != 1) usleep(1000);
    pthread_create(&a, NULL, remove_it, &first);
    pthread_create(&b, NULL, remove_it, &second);
    usleep(150000);
    assert_int_equal(access(folder, F_OK), 0);
    assert_int_equal(tenant_open(&c, "ben"), ERR_NOT_FOUND);   /* nobody comes in while it waits */
    call_forgive(&c);
    atomic_store(&user_state, 2);
    pthread_join(user, NULL);
    pthread_join(a, NULL);
    pthread_join(b, NULL);
    assert_true((first == OK && second == ERR_NOT_FOUND) || (first == ERR_NOT_FOUND && second == OK));
    assert_int_not_equal(access(folder, F_OK), 0);
    assert_int_equal(tenant_open(&c, "ben"), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, tenant_open(&c, "anna"));
    /* Another of that name begins with nothing. */
    bool made = false;
    assert_ok(&c, tenant_create(&c, "ben", NULL, &made));
    assert_true(made);
    assert_ok(&c, tenant_open(&c, "ben"));
}

static void a_removal_that_was_cut_short_is_ended_at_the_next_start(void **state)
{
    (void)state;
    assert_ok(&c, tenant_create(&c, "ben", NULL, NULL));
    const char *folder = arena_printf(&c.mem, "%s/creators/ben", dir), *aside = arena_printf(&c.mem, "%s/creators/.erased-gone_1-ben", dir);
    assert_int_equal(rename(folder, aside), 0);
    store_close();
    assert_ok(&c, store_open(&c, dir));
    assert_int_not_equal(access(aside, F_OK), 0);
    assert_int_equal(tenant_open(&c, "ben"), ERR_NOT_FOUND);
    call_forgive(&c);
    bool made = false;
    assert_ok(&c, tenant_create(&c, "ben", NULL, &made));
    assert_true(made);
}

int main(void)
{
    log_open(LOG_ERROR, 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_that_could_leave_the_folder_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_creator_is_made_once_and_found_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removed_creator_leaves_nothing_and_waits_for_its_users, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_removal_that_was_cut_short_is_ended_at_the_next_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_that_differ_only_in_case_cannot_share_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_creator_does_not_see_anothers_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_lost_or_swapped_file_is_said_and_not_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_threads_open_one_creator, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_store_says_how_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_used_is_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
