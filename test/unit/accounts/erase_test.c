/* Erasure: what holds it up is said and made good later, what was cut short goes on, what comes late is refused (CRE-062). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/privacy.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/db.h"
#include "store/erased.h"
#include "store/jobs.h"
#include "store/store.h"
#include "verbs.h"

static char        dir[64];
static struct call c;
static const struct job_kind *const kinds[] = { &scrub_kind, &erase_kind, NULL };

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
    assert_ok(&c, tenant_open(&c, "t"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    call_forgive(&c);
    c.deadline_ms = 0;
    tenant_release(&c);
    store_close();
    folder_remove(dir);
    arena_reset(&c.mem);
    return 0;
}

static enum err say(const char *id, const char *user)
{
    struct conn *w = NULL;
    enum err     e = db_write(&c, tenant_db(c.tenant), &w);
    if (!e) e = erased_check(&c, w, user);
    if (!e)
        e = db_run(&c, w,
                   "INSERT INTO turn(id, conversation_id, user_id, coach_id, question, answer, covered, step, confidence, took_ms, created_ms, trace) "
                   "VALUES (?s, 'c', ?s, 'k', 'q', 'a', 1, 's', 1, 1, 1, '{}')",
                   id, user);
    if (!e) e = db_commit(&c, &w);
    db_release(&w);
    return e;
}

static int64_t number(const char *which, const char *user)
{
    struct conn *r = NULL;
    int64_t      n = -1;
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    if (!strcmp(which, "turns")) assert_ok(&c, db_get_int(&c, r, -1, &n, "SELECT count(*) FROM turn WHERE user_id = ?s", user));
    else assert_ok(&c, db_get_int(&c, r, -1, &n, "SELECT count(*) FROM job WHERE kind = ?s AND state = 'queued'", which));
    db_release(&r);
    return n;
}

static void the_certificate_is_this_instances_and_cannot_be_changed(void **state)
{
    (void)state;
    const char *certificate = NULL;
    bool        right = false;
    assert_ok(&c, say("t1", "ann"));
    assert_ok(&c, person_erase(&c, "ann", &certificate));
    assert_non_null(strstr(certificate, "\"table\":\"turn\",\"holds\":\"questions, answers and how each answer came about\",\"removed\":1"));
    assert_ok(&c, certificate_check(&c, certificate, &right));
    assert_true(right);
    char *changed = arena_strdup(&c.mem, certificate);
    *strchr(strstr(changed, "\"removed\":1"), '1') = '7';
    assert_ok(&c, certificate_check(&c, changed, &right));
    assert_false(right);
    assert_ok(&c, certificate_check(&c, "{}", &right));
    assert_false(right);
    assert_ok(&c, certificate_check(&c, arena_printf(&c.mem, "%s ", certificate), &right));
    assert_false(right);
}

static void late_writes_are_refused_until_the_creator_makes_them_anew(void **state)
{
    (void)state;
    const char *certificate = NULL;
    bool        erased = false;
    assert_ok(&c, say("t1", "ann"));
    assert_ok(&c, say("t2", "bob"));
    assert_ok(&c, person_erase(&c, "ann", &certificate));
    assert_int_equal(number("turns", "ann"), 0);
    assert_int_equal(number("turns", "bob"), 1);
    assert_int_equal(say("t3", "ann"), ERR_CONFLICT);
    call_forgive(&c);
    assert_ok(&c, erased_is(&c, "t", "ann", &erased));
    assert_true(erased);
    assert_ok(&c, erased_is(&c, "u", "ann", &erased));      /* another creator's */
    assert_false(erased);
    assert_ok(&c, say("t4", "bob"));
    assert_ok(&c, person_erase(&c, "ann", &certificate));   /* again is no error */
    assert_ok(&c, person_welcome(&c, "ann"));
    assert_ok(&c, say("t5", "ann"));
}

static void bytes_that_a_reader_holds_are_left_to_a_job_that_says_so(void **state)
{
    (void)state;
    struct conn *r = NULL;
    struct job   j;
    const char  *certificate = NULL, *id;
    int64_t      n = 0;
    assert_ok(&c, say("t1", "ann"));
    assert_ok(&c, db_read(&c, tenant_db(c.tenant), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &n, "SELECT count(*) FROM turn"));
    c.deadline_ms = clock_mono_ms() + 1500;
    assert_ok(&c, person_erase(&c, "ann", &certificate));
    c.deadline_ms = 0;
    db_release(&r);
    assert_int_equal(number("turns", "ann"), 0);
    assert_non_null(id = strstr(certificate, "\"state\":\"queued\""));
    assert_non_null(id = strstr(id, "\"job_id\":\""));
    id = arena_strndup(&c.mem, id + strlen("\"job_id\":\""), strcspn(id + strlen("\"job_id\":\""), "\""));
    assert_ok(&c, jobs_run_here(&c, kinds, id));
    assert_ok(&c, jobs_get(&c, id, &j));
    assert_int_equal(j.state, JOB_DONE);
}

static void an_erasure_that_was_cut_short_is_ended_by_its_job(void **state)
{
    (void)state;
    const char *id = NULL;
    struct job  j;
    assert_ok(&c, say("t1", "ann"));
    /* As it stands when the process dies right after the first mark. */
    assert_ok(&c, jobs_add(&c, "erase", "{\"user_id\":\"ann\"}", &id));
    assert_ok(&c, erased_put(&c, "t", "ann"));
    enum err e = jobs_run_here(&c, kinds, id);
    assert_true(e == OK || e == ERR_NOT_FOUND);             /* its own row names the user, and goes with the rest */
    call_forgive(&c);
    assert_int_equal(number("turns", "ann"), 0);
    assert_int_equal(jobs_get(&c, id, &j), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(number("erase", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_certificate_is_this_instances_and_cannot_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(late_writes_are_refused_until_the_creator_makes_them_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_a_reader_holds_are_left_to_a_job_that_says_so, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_erasure_that_was_cut_short_is_ended_by_its_job, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, open_settings, close_settings);
}
