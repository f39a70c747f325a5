/* Worker threads: order, bound, closing. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/pool.h"

static atomic_int done, gate;
static int        order[64];

static void run_in_order(void *arg)
{
    order[atomic_fetch_add(&done, 1)] = (int)(intptr_t)arg;
}

static void run_behind_gate(void *arg)
{
    (void)arg;
    while (!atomic_load(&gate)) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    atomic_fetch_add(&done, 1);
}

static void tasks_run_in_order_and_the_queue_is_bounded(void **state)
{
    (void)state;
    atomic_store(&done, 0);
    atomic_store(&gate, 0);
    struct pool *p = pool_open("test", 1, 3);
    assert_true(pool_submit(p, run_behind_gate, NULL));
    while (!pool_running(p)) nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
    for (intptr_t i = 0; i < 3; i++) assert_true(pool_submit(p, run_in_order, (void *)i));
    assert_false(pool_submit(p, run_in_order, NULL));
    assert_int_equal(pool_waiting(p), 3);
    atomic_store(&gate, 1);
    pool_close(p); /* runs what is queued */
    assert_int_equal(atomic_load(&done), 4);
    assert_true(order[1] == 0 && order[2] == 1 && order[3] == 2);
    pool_close(NULL);
}

static void *submit_many(void *arg)
{
    for (int i = 0; i < 2000;)
        if (pool_submit(arg, run_behind_gate, NULL)) i++;
    return NULL;
}

static void many_threads_share_a_pool(void **state)
{
    (void)state;
    pthread_t t[3];
    atomic_store(&done, 0);
    atomic_store(&gate, 1);
    struct pool *p = pool_open("a-very-long-name", 4, 16);
    for (int i = 0; i < 3; i++) pthread_create(&t[i], NULL, submit_many, p);
    for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
    pool_close(p);
    assert_int_equal(atomic_load(&done), 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_run_in_order_and_the_queue_is_bounded),
        cmocka_unit_test(many_threads_share_a_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
