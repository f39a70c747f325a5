/* Threads that run handlers, and step aside when they stream. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "http/workers.h"

#include <cmocka.h>

static struct workers *w;
static atomic_int done, streaming, refused, go;

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&done, 1);
}

static void hold(void *arg)
{
    (void)arg;
    while (!atomic_load(&go)) usleep(1000);
    atomic_fetch_add(&done, 1);
}

static void stream(void *arg)
{
    (void)arg;
    if (!workers_stream(w) || !workers_stream(w)) {   /* asked twice counts once */
        atomic_fetch_add(&refused, 1);
        return;
    }
    atomic_fetch_add(&streaming, 1);
    while (!atomic_load(&go)) usleep(1000);
    atomic_fetch_sub(&streaming, 1);
}

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 5000 && atomic_load(n) != want; i++) usleep(1000);
    assert_int_equal(atomic_load(n), want);
}

static int reset(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    atomic_store(&refused, 0);
    atomic_store(&go, 0);
    return 0;
}

static void streams_do_not_take_the_place_of_requests(void **state)
{
    (void)state;
    w = workers_open(2, 20, 100);
    for (int i = 0; i < 20; i++) assert_true(workers_submit(w, stream, NULL));
    wait_for(&streaming, 20);
    assert_int_equal(workers_threads(w), 22);
    for (int i = 0; i < 50; i++) assert_true(workers_submit(w, count, NULL));
    wait_for(&done, 50);
    assert_true(workers_submit(w, stream, NULL));
    wait_for(&refused, 1);
    atomic_store(&go, 1);
    wait_for(&streaming, 0);
    for (int i = 0; i < 5000 && workers_threads(w) > 2; i++) usleep(1000);
    assert_int_equal(workers_threads(w), 2);
    assert_true(workers_submit(w, count, NULL));
    wait_for(&done, 51);
    workers_close(w);
}

static void the_queue_is_bounded_and_emptied_at_the_end(void **state)
{
    (void)state;
    w = workers_open(1, 1, 5);
    assert_true(workers_submit(w, hold, NULL));
    for (int i = 0; i < 1000 && workers_waiting(w) > 0; i++) usleep(1000);
    for (int i = 0; i < 5; i++) assert_true(workers_submit(w, count, NULL));
    assert_int_equal(workers_waiting(w), 5);
    assert_false(workers_submit(w, count, NULL));
    atomic_store(&go, 1);
    workers_close(w);
    assert_int_equal(atomic_load(&done), 6);
    workers_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(streams_do_not_take_the_place_of_requests, reset),
        cmocka_unit_test_setup(the_queue_is_bounded_and_emptied_at_the_end, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
