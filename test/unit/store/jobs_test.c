/* The durable queue: order, ends, cancelling, progress, crashes, several processes. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "folder.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/db.h"
#include "store/jobs.h"
#include "store/store.h"

static char        dir[64];
static struct call c;
static atomic_int  runs, drops;
static atomic_int  last_drop_state;
static char        order[64];

static enum err run_quick(struct call *jc, const struct job *j)
{
    assert_non_null(jc->tenant);
    order[atomic_fetch_add(&runs, 1) % 60] = strlen(j->payload) > 6 ? j->payload[6] : '-';
    return OK;
}

static enum err run_failing(struct call *jc, const struct job *j)
{
    (void)j;
    atomic_fetch_add(&runs, 1);
    return fail(jc, ERR_UNSUPPORTED_TYPE, "no such format");
}

static enum err run_until_stopped(struct call *jc, const struct job *j)
{
    atomic_fetch_add(&runs, 1);
    for (int i = 0;; i++) {
        enum err e = call_check(jc);
        if (e) return e;
        char text[64];
        snprintf(text, sizeof text, "{\"stage\":\"embed\",\"step\":%d}", i);
        jobs_progress(jc, j, text);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
}

static void on_dropped(struct call *jc, const struct job *j)
{
    assert_non_null(jc->tenant);
    atomic_store(&last_drop_state, (int)j->state);
    atomic_fetch_add(&drops, 1);
}

/* Steps back as soon as another job waits. */
static enum err run_patient(struct call *jc, const struct job *j)
{
    (void)j;
    int before = atomic_fetch_add(&runs, 1), most = before == 3 ? 1000 : 5;   /* the first time it is there until somebody comes */
    order[before % 60] = 'p';
    for (int i = 0; i < most; i++) {
        if (jobs_waiting() > 0) return fail(jc, ERR_CANCELLED, "others come first");
        enum err e = call_check(jc);
        if (e) return e;
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return OK;
}

static const struct job_kind quick = { "quick", 3, run_quick, on_dropped, false };
static const struct job_kind failing = { "failing", 3, run_failing, on_dropped, false };
static const struct job_kind endless = { "endless", 2, run_until_stopped, on_dropped, false };
static const struct job_kind patient = { "patient", 2, run_patient, on_dropped, true };
static const struct job_kind *const kinds[] = { &quick, &failing, &endless, &patient, NULL };

static int set_up(void **state)
{
    (void)state;
    folder_new(dir);
    call_init(&c);
    atomic_store(&runs, 0);
    atomic_store(&drops, 0);
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, tenant_create(&c, "demo", "Demo", NULL));
    assert_ok(&c, tenant_open(&c, "demo"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    jobs_close();
    tenant_release(&c);
    store_close();
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

static struct job wait_for(const char *id, enum job_state wanted)
{
    struct job j = { 0 };
    int64_t seen = 0, end = clock_mono_ms() + 8000;
    do {
        assert_ok(&c, jobs_wait(&c, id, &seen, 500, &j));
    } while (j.state != wanted && clock_mono_ms() < end);
    assert_string_equal(job_state_word(j.state), job_state_word(wanted));
    return j;
}

static void jobs_run_in_the_order_they_were_added(void **state)
{
    (void)state;
    const char *id = NULL;
    for (int i = 0; i < 9; i++) {
        char payload[32];
        snprintf(payload, sizeof payload, "{\"n\":\"%d\"}", i);
        assert_ok(&c, jobs_add(&c, "quick", payload, &id));
    }
    assert_ok(&c, jobs_open(&c, kinds, 1));
    struct job j = wait_for(id, JOB_DONE);
    assert_int_equal(j.attempt, 1);
    assert_null(j.error);
    order[9] = '\0';
    assert_string_equal(order, "012345678");
    assert_int_equal(atomic_load(&drops), 0);
    /* The count may lag behind while the janitor looks at the same creator. */
    for (int i = 0; i < 300 && jobs_waiting(); i++) nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    assert_int_equal(jobs_waiting(), 0);
}

static void a_failed_job_keeps_its_words_and_is_not_tried_again(void **state)
{
    (void)state;
    const char *id = NULL;
    assert_ok(&c, jobs_open(&c, kinds, 2));
    assert_ok(&c, jobs_add(&c, "failing", "{}", &id));
    struct job j = wait_for(id, JOB_FAILED);
    assert_string_equal(j.error, "no such format");
    assert_string_equal(j.error_code, "unsupported_type");
    assert_int_equal(atomic_load(&runs), 1);
    assert_int_equal(atomic_load(&drops), 1);
    assert_int_equal(atomic_load(&last_drop_state), JOB_FAILED);
}

static void a_running_job_can_be_cancelled_and_shows_its_progress(void **state)
{
    (void)state;
    const char *id = NULL;
    struct job j = { 0 };
    int64_t seen = 0;
    assert_ok(&c, jobs_open(&c, kinds, 1));
    assert_ok(&c, jobs_add(&c, "endless", "{}", &id));
    while (j.state != JOB_RUNNING || !strcmp(j.progress, "{}")) assert_ok(&c, jobs_wait(&c, id, &seen, 2000, &j));
    assert_non_null(strstr(j.progress, "\"stage\":\"embed\""));
    assert_ok(&c, jobs_cancel(&c, id));
    wait_for(id, JOB_CANCELLED);
    assert_int_equal(atomic_load(&last_drop_state), JOB_CANCELLED);
    assert_int_equal(jobs_cancel(&c, id), ERR_CONFLICT);
    call_forgive(&c);
    assert_int_equal(jobs_cancel(&c, "job_nothing"), ERR_NOT_FOUND);
    call_forgive(&c);
}

static void a_queued_job_is_cancelled_at_once(void **state)
{
    (void)state;
    const char *blocking = NULL, *id = NULL;
    struct job j;
    assert_ok(&c, jobs_open(&c, kinds, 1));
    assert_ok(&c, jobs_add(&c, "endless", "{}", &blocking));
    wait_for(blocking, JOB_RUNNING);
    /* The row says running a moment before its handler begins. */
    for (int i = 0; i < 1000 && atomic_load(&runs) < 1; i++) usleep(5000);
    assert_ok(&c, jobs_add(&c, "quick", "{}", &id));
    assert_ok(&c, jobs_cancel(&c, id));
    assert_ok(&c, jobs_get(&c, id, &j));
    assert_int_equal(j.state, JOB_CANCELLED);
    assert_int_equal(atomic_load(&drops), 1);
    assert_int_equal(atomic_load(&runs), 1);
}

static void a_stopping_process_puts_its_jobs_back(void **state)
{
    (void)state;
    const char *id = NULL;
    struct job j;
    assert_ok(&c, jobs_open(&c, kinds, 1));
    assert_ok(&c, jobs_add(&c, "endless", "{}", &id));
    wait_for(id, JOB_RUNNING);
    jobs_close();
    assert_ok(&c, jobs_get(&c, id, &j));
    assert_int_equal(j.state, JOB_QUEUED);
    assert_int_equal(j.attempt, 0);
    assert_int_equal(atomic_load(&drops), 0);
    assert_ok(&c, jobs_open(&c, kinds, 1));
    wait_for(id, JOB_RUNNING);
}

static void a_job_that_gives_way_runs_after_the_others_and_steps_back_for_them(void **state)
{
    (void)state;
    const char *slow = NULL, *id = NULL;
    assert_ok(&c, jobs_add(&c, "patient", "{}", &slow));
    for (int i = 0; i < 3; i++) assert_ok(&c, jobs_add(&c, "quick", arena_printf(&c.mem, "{\"n\":\"%d\"}", i), &id));
    assert_ok(&c, jobs_open(&c, kinds, 1));
    wait_for(id, JOB_DONE);
    assert_memory_equal(order, "012", 3);
    while (atomic_load(&runs) < 4) usleep(1000);
    assert_ok(&c, jobs_add(&c, "quick", "{\"n\":\"3\"}", &id));
    wait_for(id, JOB_DONE);
    struct job j = wait_for(slow, JOB_DONE);
    assert_int_equal(j.attempt, 1);
    assert_memory_equal(order, "012p3p", 6);
    assert_int_equal(atomic_load(&drops), 0);
}

/* A child process that dies by kill -9 while it runs the job. */
static void die_running(const char *id)
{
    int pipes[2];
    char byte;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (!pid) {
        char path[256];
        snprintf(path, sizeof path, "%s", dir);
        execl("/proc/self/exe", "jobs_test", "child", path, id, (char *)NULL);
        _exit(3);
    }
    close(pipes[1]);
    struct job j = { 0 };
    for (int i = 0; i < 400 && j.state != JOB_RUNNING; i++) {
        nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
        assert_ok(&c, jobs_get(&c, id, &j));
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(j.state, JOB_RUNNING);
    assert_int_equal(read(pipes[0], &byte, 1), 0);
    close(pipes[0]);
}

static int child_main(const char *path, const char *id)
{
    struct call cc;
    call_init(&cc);
    enum err e = store_open(&cc, path);
    if (!e) e = tenant_open(&cc, "demo");
    if (!e) e = jobs_run_here(&cc, kinds, id);
    fprintf(stderr, "child ended: %s %s\n", err_word(e), cc.err_text);
    return 3;
}

static void a_job_of_a_killed_process_is_run_again_but_not_for_ever(void **state)
{
    (void)state;
    const char *id = NULL;
    assert_ok(&c, jobs_add(&c, "endless", "{}", &id));
    die_running(id);
    assert_ok(&c, jobs_open(&c, kinds, 1));
    struct job j = { 0 };
    for (int64_t seen = 0; j.attempt != 2;) assert_ok(&c, jobs_wait(&c, id, &seen, 2000, &j));
    jobs_close();
    die_running(id);
    assert_ok(&c, jobs_open(&c, kinds, 1));
    j = wait_for(id, JOB_FAILED);
    assert_non_null(strstr(j.error, "ended 2 times"));
    assert_int_equal(atomic_load(&drops), 1);
}

static void work_added_by_another_process_is_found_while_serving(void **state)
{
    (void)state;
    assert_ok(&c, jobs_open(&c, kinds, 1));
    pid_t pid = fork();
    if (!pid) {
        execl("/proc/self/exe", "jobs_test", "add", dir, (char *)NULL);
        _exit(3);
    }
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    struct job *list;
    int n;
    assert_ok(&c, jobs_list(&c, 10, &list, &n));
    assert_int_equal(n, 1);
    wait_for(list[0].id, JOB_DONE);
}

static int add_main(const char *path)
{
    struct call cc;
    const char *id;
    call_init(&cc);
    enum err e = store_open(&cc, path);
    if (!e) e = tenant_open(&cc, "demo");
    if (!e) e = jobs_add(&cc, "quick", "{}", &id);
    tenant_release(&cc);
    store_close();
    call_dispose(&cc);
    return e;
}

static void the_command_line_runs_a_job_itself_and_gets_its_error(void **state)
{
    (void)state;
    const char *id = NULL;
    struct job j;
    assert_ok(&c, jobs_add(&c, "quick", "{}", &id));
    assert_ok(&c, jobs_run_here(&c, kinds, id));
    assert_ok(&c, jobs_get(&c, id, &j));
    assert_int_equal(j.state, JOB_DONE);
    assert_ok(&c, jobs_add(&c, "failing", "{}", &id));
    assert_int_equal(jobs_run_here(&c, kinds, id), ERR_UNSUPPORTED_TYPE);
    assert_string_equal(c.err_text, "no such format");
    call_forgive(&c);
    assert_int_equal(jobs_run_here(&c, kinds, id), ERR_UNSUPPORTED_TYPE); /* as told by its row */
    call_forgive(&c);
}

static void every_job_runs_once_with_many_workers_and_creators(void **state)
{
    (void)state;
    enum { CREATORS = 5, EACH = 12 };
    const char *ids[CREATORS][EACH];
    struct job j;
    assert_ok(&c, jobs_open(&c, kinds, 4));
    for (int i = 0; i < CREATORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        assert_ok(&c, tenant_create(&c, name, NULL, NULL));
        assert_ok(&c, tenant_open(&c, name));
        for (int k = 0; k < EACH; k++) assert_ok(&c, jobs_add(&c, "quick", "{}", &ids[i][k]));
    }
    for (int i = 0; i < CREATORS; i++) {
        char name[16];
        snprintf(name, sizeof name, "c%d", i);
        assert_ok(&c, tenant_open(&c, name));
        for (int k = 0; k < EACH; k++) {
            j = wait_for(ids[i][k], JOB_DONE);
            assert_int_equal(j.attempt, 1);
        }
    }
    assert_int_equal(atomic_load(&runs), CREATORS * EACH);
}

static void a_wait_ends_with_the_watcher(void **state)
{
    (void)state;
    const char *id = NULL;
    struct job j;
    int64_t seen = 0;
    atomic_bool gone = true;
    assert_ok(&c, jobs_add(&c, "quick", "{}", &id));
    assert_ok(&c, jobs_wait(&c, id, &seen, 1000, &j));
    int64_t began = clock_mono_ms(), before = seen;
    assert_ok(&c, jobs_wait(&c, id, &seen, 50, &j));
    assert_true(clock_mono_ms() - began >= 50 && seen == before);
    c.stop = &gone;
    assert_int_equal(jobs_wait(&c, id, &seen, 5000, &j), ERR_CANCELLED);
    c.stop = NULL;
    call_forgive(&c);
}

int main(int argc, char **argv)
{
    log_open(LOG_ERROR, 0);
    if (argc > 3 && !strcmp(argv[1], "child")) return child_main(argv[2], argv[3]);
    if (argc > 2 && !strcmp(argv[1], "add")) return add_main(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_in_the_order_they_were_added, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_job_keeps_its_words_and_is_not_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_running_job_can_be_cancelled_and_shows_its_progress, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_queued_job_is_cancelled_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_stopping_process_puts_its_jobs_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_that_gives_way_runs_after_the_others_and_steps_back_for_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_job_of_a_killed_process_is_run_again_but_not_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_added_by_another_process_is_found_while_serving, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_command_line_runs_a_job_itself_and_gets_its_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_job_runs_once_with_many_workers_and_creators, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_wait_ends_with_the_watcher, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
