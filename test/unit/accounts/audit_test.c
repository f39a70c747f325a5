/* The log of sensitive actions: rows follow each other, what is changed or cut shows, people stand in it by reference (CRE-062). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/audit.h"
#include "store/erased.h"
#include "base/log.h"
#include "base/mask.h"
#include "store/db.h"
#include "store/store.h"

static char        dir[64];
static struct call c;

static int setup(void **s)
{
    (void)s;
    bool created;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "t", "t", &created));
    assert_ok(&c, tenant_open(&c, "t"));
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    tenant_release(&c);
    store_close();
    folder_remove(dir);
    call_dispose(&c);
    return 0;
}

static void put(const char *action, const char *target, const char *name, const char *value)
{
    assert_ok(&c, audit_put(&c, &(struct audit_entry){ action, target, "done", (const char *[]){ name, value, NULL } }));
}

static void some_rows(int n)
{
    for (int i = 0; i < n; i++) put("document.delete", "doc_1", "chunks", "12");
}

#define change(db, sql)                                   \
    do {                                                  \
        struct conn *w_ = NULL;                           \
        assert_ok(&c, db_write(&c, db, &w_));             \
        assert_ok(&c, db_run(&c, w_, sql));               \
        assert_ok(&c, db_commit(&c, &w_));                \
    } while (0)

static struct audit_state verify(bool instance)
{
    struct audit_state st;
    assert_ok(&c, audit_verify(&c, instance, &st));
    return st;
}

static void rows_follow_each_other_without_gaps_and_verify(void **s) /* CRE-062 */
{
    (void)s;
    assert_true(verify(false).whole);
    assert_int_equal(verify(false).entries, 0);
    some_rows(5);
    struct audit_state st = verify(false);
    assert_true(st.whole);
    assert_int_equal(st.entries, 5);
    assert_int_equal(st.seq, 5);
    assert_int_equal(strlen(st.head), 64);
    /* The instance's log is another. */
    assert_int_equal(verify(true).entries, 0);
    assert_ok(&c, audit_put_instance(&c, &(struct audit_entry){ "account.login", "", "refused", NULL }));
    assert_true(verify(true).whole);
    assert_int_equal(verify(true).entries, 1);
    assert_int_equal(verify(false).entries, 5);
}

static void a_changed_row_shows(void **s)
{
    (void)s;
    some_rows(5);
    change(tenant_db(c.tenant), "UPDATE audit SET outcome = 'refused' WHERE seq = 3");
    struct audit_state st = verify(false);
    assert_false(st.whole);
    assert_int_equal(st.first_broken, 3);
}

static void a_row_taken_out_of_the_middle_shows(void **s)
{
    (void)s;
    some_rows(5);
    change(tenant_db(c.tenant), "DELETE FROM audit WHERE seq = 2");
    struct audit_state st = verify(false);
    assert_false(st.whole);
    assert_int_equal(st.first_broken, 2);
}

static void rows_cut_off_the_end_show_and_stay_shown(void **s)
{
    (void)s;
    some_rows(5);
    change(tenant_db(c.tenant), "DELETE FROM audit WHERE seq > 3");
    assert_int_equal(verify(false).first_broken, 4);
    /* Going on does not heal it. */
    some_rows(2);
    struct audit_state st = verify(false);
    assert_false(st.whole);
    assert_int_equal(st.first_broken, 4);
    assert_int_equal(st.entries, 5);
}

static void a_log_written_anew_without_the_key_shows(void **s)
{
    (void)s;
    some_rows(3);
    change(tenant_db(c.tenant), "DELETE FROM audit WHERE seq = 3");
    change(tenant_db(c.tenant), "UPDATE audit_head SET seq = 2, hash = (SELECT hash FROM audit WHERE seq = 2)");
    assert_false(verify(false).whole);
    change(tenant_db(c.tenant), "DELETE FROM audit_head");
    assert_false(verify(false).whole);
    some_rows(1);
    assert_false(verify(false).whole);
}

static void people_stand_in_it_by_reference_until_they_are_erased(void **s) /* CRE-063 */
{
    (void)s;
    struct audit_row *rows;
    int               n;
    int64_t           next;
    snprintf(c.user_id, sizeof c.user_id, "ann");
    snprintf(c.remote, sizeof c.remote, "203.0.113.77");
    put("person.export", "user:ann", "for", "user:bob");
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .actor = "ann" }, &rows, &n, &next));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].actor_kind, "user");
    assert_int_equal(strncmp(rows[0].actor, "ref_", 4), 0);
    assert_string_equal(rows[0].actor, rows[0].target);
    assert_string_equal(rows[0].actor_name, "ann");
    assert_null(strstr(rows[0].details, "bob"));
    assert_string_equal(rows[0].address, "203.0.113.0/24");
    change(tenant_db(c.tenant), "DELETE FROM person_ref WHERE user_id = 'ann'");
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ 0 }, &rows, &n, &next));
    assert_int_equal(n, 1);
    assert_null(rows[0].actor_name);
    assert_true(verify(false).whole);
    /* Once erased nobody gets a new reference. */
    assert_ok(&c, erased_put(&c, "t", "ann"));
    put("person.export", "user:ann", "rows", "1");
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .limit = 1 }, &rows, &n, &next));
    assert_string_equal(rows[0].target, "erased");
    assert_int_equal(next, 2);
    c.user_id[0] = c.remote[0] = '\0';
}

static void personal_data_in_a_value_is_masked(void **s) /* FIT-115 */
{
    (void)s;
    struct audit_row *rows;
    int               n;
    int64_t           next;
    put("member.add", "ana.lopez@example.com", "who", "call +34 612 345 678\nor bob@example.org");
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .q = "[phone]" }, &rows, &n, &next));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].target, "[email]");
    assert_string_equal(rows[0].details, "{\"who\":\"call [phone] or [email]\"}");
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .q = "%" }, &rows, &n, &next));
    assert_int_equal(n, 0);
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .action = "member" }, &rows, &n, &next));
    assert_int_equal(n, 1);
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .action = "mem" }, &rows, &n, &next));
    assert_int_equal(n, 0);
}

static void old_rows_go_and_the_rest_still_verifies(void **s) /* CRE-064 */
{
    (void)s;
    struct conn *w = NULL;
    int64_t      gone = 0, at = 0;
    some_rows(3);
    /* As if the first two had been written long ago: the chain is made anew by cutting at a time between. */
    struct audit_row *rows;
    int               n;
    int64_t           next;
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .limit = 1 }, &rows, &n, &next));
    at = rows[0].at_ms;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, audit_cut(&c, w, false, at + 1, &gone));
    assert_ok(&c, db_commit(&c, &w));
    assert_int_equal(gone, 2);
    struct audit_state st = verify(false);
    assert_true(st.whole);
    assert_int_equal(st.first_seq, 3);
    some_rows(1);
    assert_true(verify(false).whole);
    /* What was cut by hand still shows. */
    change(tenant_db(c.tenant), "DELETE FROM audit WHERE seq = 3");
    assert_false(verify(false).whole);
}

static void *many(void *arg)
{
    struct call mine;
    call_init(&mine);
    assert_ok(&mine, tenant_open(&mine, "t"));
    for (int i = 0; i < 50; i++) assert_ok(&mine, audit_put(&mine, &(struct audit_entry){ "turn.read", arg, "done", NULL }));
    tenant_release(&mine);
    call_dispose(&mine);
    return NULL;
}

static void writers_at_once_make_one_chain(void **s)
{
    (void)s;
    static char target[] = "x";
    pthread_t   t[4];
    for (int i = 0; i < 4; i++) pthread_create(&t[i], NULL, many, target);
    for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
    struct audit_state st = verify(false);
    assert_true(st.whole);
    assert_int_equal(st.entries, 200);
    assert_int_equal(st.seq, 200);
}

static void an_address_is_cut_to_its_network(void **s)
{
    (void)s;
    assert_string_equal(mask_address(&c, "198.51.100.23"), "198.51.100.0/24");
    assert_string_equal(mask_address(&c, "::ffff:198.51.100.23"), "198.51.100.0/24");
    assert_string_equal(mask_address(&c, "2001:db8:1:2:3::4"), "2001:db8:1::/48");
    assert_string_equal(mask_address(&c, "fe80::1%eth0"), "fe80::/48");
    assert_string_equal(mask_address(&c, "nobody"), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_follow_each_other_without_gaps_and_verify, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_row_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(a_row_taken_out_of_the_middle_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_cut_off_the_end_show_and_stay_shown, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_written_anew_without_the_key_shows, setup, teardown),
        cmocka_unit_test_setup_teardown(people_stand_in_it_by_reference_until_they_are_erased, setup, teardown),
        cmocka_unit_test_setup_teardown(personal_data_in_a_value_is_masked, setup, teardown),
        cmocka_unit_test_setup_teardown(old_rows_go_and_the_rest_still_verifies, setup, teardown),
        cmocka_unit_test_setup_teardown(writers_at_once_make_one_chain, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_is_cut_to_its_network, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
