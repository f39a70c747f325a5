/* What is older than it may be goes, what is not stays, and both are counted (CRE-064, FIT-113). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../store/folder.h"
#undef fail
#include "accounts/audit.h"
#include "accounts/export.h"
#include "accounts/privacy.h"
#include "accounts/retention.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

#define DAY 86400000LL

static char        dir[64];
static struct call c;

static int open_settings(void **state)
{
    (void)state;
    call_init(&c);
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    return 0;
}

static int close_settings(void **state)
{
    (void)state;
    conf_free();
    call_dispose(&c);
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "t", NULL, NULL));
    assert_ok(&c, tenant_create(&c, "fit", NULL, NULL));
    assert_ok(&c, tenant_open(&c, "t"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    call_forgive(&c);
    tenant_release(&c);
    store_close();
    folder_remove(dir);
    arena_reset(&c.mem);
    return 0;
}

static int64_t count(const char *user)
{
    struct conn *r = NULL;
    int64_t      n = -1;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, -1, &n, "SELECT count(*) FROM turn WHERE user_id = ?s", user));
    db_release(&r);
    return n;
}

static void turn_at(const char *id, const char *user, int64_t at_ms)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w,
                         "INSERT INTO turn(id, conversation_id, user_id, coach_id, question, answer, covered, step, confidence, took_ms, created_ms, trace) "
                         "VALUES (?s, 'c', ?s, 'k', ?s, 'a', 1, 's', 1, 1, ?i, '{}')",
                         id, user, arena_printf(&c.mem, "said-in-%s", id), at_ms));
    assert_ok(&c, db_commit(&c, &w));
}

static int64_t removed(int64_t now_ms, bool dry, const char *table)
{
    struct retained *list = NULL;
    int              n = 0;
    assert_ok(&c, retention_run(&c, now_ms, dry, &list, &n));
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].table, table)) return list[i].rows;
    return -1;
}

static void set_days(const char *json)
{
    json_t *v = NULL;
    assert_ok(&c, json_parse(&c, json, strlen(json), &v));
    enum err e = retention_set(&c, v);
    json_decref(v);
    assert_ok(&c, e);
}

static void a_day_later_what_is_kept_a_day_is_gone_and_counted(void **state) /* CRE-064 */
{
    (void)state;
    int64_t           now = clock_unix_ms(), next = 0;
    struct audit_row *rows = NULL;
    int               n = 0;
    turn_at("t1", "ann", now - 2 * DAY);
    turn_at("t2", "ann", now - DAY / 2);
    assert_int_equal(removed(now, false, "turn"), 0);       /* 90 days unless decided */
    set_days("{\"turns_days\": 1}");
    assert_int_equal(removed(now, true, "turn"), 1);
    assert_int_equal(count("ann"), 2);                      /* only counted */
    assert_int_equal(removed(now, false, "turn"), 1);
    assert_int_equal(count("ann"), 1);
    assert_int_equal(removed(now + DAY, false, "turn"), 1); /* the clock moved on */
    assert_int_equal(count("ann"), 0);
    assert_ok(&c, audit_list(&c, false, &(struct audit_filter){ .action = "retention.run" }, &rows, &n, &next));
    assert_int_equal(n, 2);
    assert_string_equal(rows[0].details, "{\"turn\":\"1\"}");
}

static void for_ever_is_for_ever(void **state)
{
    (void)state;
    set_days("{\"turns_days\": null}");
    turn_at("t1", "ann", 1000);
    assert_int_equal(removed(clock_unix_ms(), false, "turn"), 0);
    assert_int_equal(count("ann"), 1);
}

static bool in_files(const char *what)
{
    static const char *const files[] = { "creator.db", "creator.db-wal" };
    static char              all[4 << 20];
    bool                     found = false;
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(arena_printf(&c.mem, "%s/%s", tenant_dir(c.tenant), files[i]), "rbe");
        if (!f) continue;
        size_t n = fread(all, 1, sizeof all, f);
        fclose(f);
        assert_true(n < sizeof all);
        found |= memmem(all, n, what, strlen(what)) != NULL;
    }
    return found;
}

static void the_house_of_fit_keeps_texts_for_an_hour(void **state) /* FIT-113 */
{
    (void)state;
    int64_t now = clock_unix_ms();
    assert_ok(&c, tenant_open(&c, "fit"));
    set_days("{\"turns_days\": 30}");
    turn_at("t1", "ann", now - 3700 * 1000);
    turn_at("t2", "ann", now - 3500 * 1000);
    assert_true(in_files("said-in-t1"));
    assert_int_equal(removed(now, false, "turn"), 1);
    assert_int_equal(count("ann"), 1);
    assert_false(in_files("said-in-t1"));
    assert_true(in_files("said-in-t2"));
}

static void a_visitor_nobody_has_seen_goes_with_everything(void **state)
{
    (void)state;
    struct conn *w = NULL;
    int64_t      now = clock_unix_ms(), left = -1;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO person(id, kind, created_ms, updated_ms, seen_ms) VALUES ('v1', 'visitor', ?i, ?i, ?i)", now - 100 * DAY,
                         now - 100 * DAY, now - 95 * DAY));
    assert_ok(&c, db_run(&c, w, "INSERT INTO person(id, kind, created_ms, updated_ms, seen_ms) VALUES ('v2', 'visitor', ?i, ?i, ?i)", now - 100 * DAY,
                         now - 100 * DAY, now - DAY));
    assert_ok(&c, db_run(&c, w, "INSERT INTO person(id, kind, created_ms, updated_ms) VALUES ('ann', 'external', ?i, ?i)", now - 900 * DAY, now - 900 * DAY));
    assert_ok(&c, db_commit(&c, &w));
    turn_at("t1", "v1", now - DAY);
    turn_at("t2", "v2", now - DAY);
    assert_int_equal(removed(now, true, "person"), 1);
    assert_int_equal(count("v1"), 1);
    assert_int_equal(removed(now, false, "person"), 1);
    assert_int_equal(count("v1"), 0);
    assert_int_equal(count("v2"), 1);
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, db_get_int(&c, w, -1, &left, "SELECT count(*) FROM person"));
    assert_int_equal(left, 2);
    assert_ok(&c, db_get_int(&c, w, -1, &left, "SELECT count(*) FROM erased"));
    db_release(&w);
    assert_int_equal(left, 0);      /* nobody asked for it: no mark is kept for ever */
}

static void days_that_are_none_are_refused(void **state)
{
    (void)state;
    const char *const bad[] = { "{\"turns_days\": 0}", "{\"turns_days\": -1}", "{\"turns_days\": 40000}", "{\"audit_days\": 364}", "{\"soup_days\": 1}" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        json_t *v = NULL;
        assert_ok(&c, json_parse(&c, bad[i], strlen(bad[i]), &v));
        assert_int_equal(retention_set(&c, v), ERR_INVALID);
        json_decref(v);
        call_forgive(&c);
    }
}

static void each_creator_has_its_turn_once_a_day(void **state)
{
    (void)state;
    struct job *jobs = NULL;
    int         n = 0;
    retention_due(&c);
    retention_due(&c);
    assert_ok(&c, tenant_open(&c, "t"));
    assert_ok(&c, jobs_list(&c, 10, &jobs, &n));
    assert_int_equal(n, 1);
    assert_string_equal(jobs[0].kind, "retention");
    assert_ok(&c, jobs_run_here(&c, (const struct job_kind *const[]){ &retention_kind, NULL }, jobs[0].id));
    assert_ok(&c, jobs_list(&c, 10, &jobs, &n));
    assert_int_equal(jobs[0].state, JOB_DONE);
}

static void exports_that_a_dead_process_left_go_after_hours(void **state)
{
    (void)state;
    const char *tmp = arena_printf(&c.mem, "%s/tmp", dir), *old = arena_printf(&c.mem, "%s/exp_1", tmp), *fresh = arena_printf(&c.mem, "%s/exp_2", tmp);
    const char *other = arena_printf(&c.mem, "%s/upload_1", tmp);
    struct timespec long_ago[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
    mkdir(tmp, 0700);
    assert_int_equal(mkdir(old, 0700) | mkdir(fresh, 0700) | mkdir(other, 0700), 0);
    FILE *f = fopen(arena_printf(&c.mem, "%s/export", old), "we");
    fclose(f);
    assert_int_equal(utimensat(AT_FDCWD, old, long_ago, 0) | utimensat(AT_FDCWD, other, long_ago, 0), 0);
    export_sweep(&c);
    assert_int_not_equal(access(old, F_OK), 0);
    assert_int_equal(access(fresh, F_OK), 0);
    assert_int_equal(access(other, F_OK), 0);   /* not ours */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_day_later_what_is_kept_a_day_is_gone_and_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(for_ever_is_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_house_of_fit_keeps_texts_for_an_hour, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_visitor_nobody_has_seen_goes_with_everything, set_up, tear_down),
        cmocka_unit_test_setup_teardown(days_that_are_none_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_creator_has_its_turn_once_a_day, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exports_that_a_dead_process_left_go_after_hours, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, open_settings, close_settings);
}
