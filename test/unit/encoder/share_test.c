/* SPDX-License-Identifier: MIT */
/* Callers that meet share packs: each gets its own rows back, packs stay inside their bound, a failure is everybody's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "encoder/share.h"

enum { THREADS = 16, ROUNDS = 150, TOKENS_EACH = 40 };

static atomic_int at_once, most_at_once, most_tokens, packs, begun;
static atomic_bool fails;

/* A text's "vector" is the sum of its ids, so a row that went to the wrong caller shows. */
static bool pack(void *arg, const int32_t *ids, const int *lens, int n, float *const *rows)
{
    (void)arg;
    const float number = (float)(atomic_fetch_add(&begun, 1) + 1);
    int now = atomic_fetch_add(&at_once, 1) + 1, seen = atomic_load(&most_at_once), tokens = 0;
    while (now > seen && !atomic_compare_exchange_weak(&most_at_once, &seen, now)) continue;
    for (int i = 0, at = 0; i < n; at += lens[i++]) {
        rows[i][0] = 0;
        rows[i][1] = number;
        for (int k = 0; k < lens[i]; k++) rows[i][0] += (float)ids[at + k];
        tokens += lens[i];
    }
    seen = atomic_load(&most_tokens);
    while (tokens > seen && !atomic_compare_exchange_weak(&most_tokens, &seen, tokens)) continue;
    atomic_fetch_add(&packs, 1);
    usleep(200);
    atomic_fetch_sub(&at_once, 1);
    return !atomic_load(&fails);
}

struct caller {
    struct share *s;
    int           number, wrong, failed, met, late;
};

/* Fifteen others of 40 tokens are three packs of at most SHARE_PACK_TOKENS; a fourth may be taking its tickets. */
enum { PACKS_BEFORE = (THREADS - 1 + SHARE_PACK_TOKENS / TOKENS_EACH - 1) / (SHARE_PACK_TOKENS / TOKENS_EACH) + 1 };

static void *call_often(void *arg)
{
    struct caller *me = arg;
    for (int r = 0; r < ROUNDS; r++) {
        int32_t ids[TOKENS_EACH];
        int     lens[2] = { 1 + r % 7, TOKENS_EACH - 1 - r % 7 }, together = 0;
        float   a[2] = { -1 }, b[2] = { -1 }, want_a = 0, want_b = 0;
        float  *rows[2] = { a, b };
        for (int i = 0; i < TOKENS_EACH; i++) {
            ids[i] = me->number * 100 + r % 50 + i;
            *(i < lens[0] ? &want_a : &want_b) += (float)ids[i];
        }
        const int before = atomic_load(&begun);
        bool      ok = share_run(me->s, ids, lens, 2, rows, pack, NULL, &together);
        me->failed += !ok;
        me->wrong += a[0] != want_a || b[0] != want_b;
        me->late += (int)a[1] - before - 1 > PACKS_BEFORE;
        me->met += together > 1;
    }
    return NULL;
}

static void run_all(struct share *s, struct caller *callers)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){ .s = s, .number = i + 1 };
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void callers_that_meet_each_get_their_own_rows(void **state)
{
    (void)state;
    struct caller callers[THREADS];
    struct share *s = share_new(2);
    int met = 0;
    atomic_store(&packs, 0);
    run_all(s, callers);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(callers[i].wrong, 0);
        assert_int_equal(callers[i].failed, 0);
        met += callers[i].met;
    }
    assert_true(met > 0);
    assert_true(atomic_load(&packs) < THREADS * ROUNDS);
    assert_true(atomic_load(&most_at_once) <= 2);
    assert_true(atomic_load(&most_tokens) > TOKENS_EACH);
    assert_true(atomic_load(&most_tokens) <= SHARE_PACK_TOKENS);
    share_free(s);
}

/* Counted in packs that began between a caller's coming and its own. A thread that loses the processor between the two
 * counts more, hence the odd one that is forgiven. */
static void nobody_waits_for_more_than_the_packs_of_those_before(void **state)
{
    (void)state;
    struct caller callers[THREADS];
    struct share *s = share_new(2);
    int late = 0;
    atomic_store(&begun, 0);
    run_all(s, callers);
    for (int i = 0; i < THREADS; i++) late += callers[i].late;
    print_message("%d of %d calls waited for more than %d packs\n", late, THREADS * ROUNDS, PACKS_BEFORE);
    assert_true(late <= THREADS * ROUNDS / 50);
    share_free(s);
}

static void a_lone_caller_goes_alone_at_once(void **state)
{
    (void)state;
    struct share *s = share_new(1);
    int32_t ids[3] = { 1, 2, 3 };
    int     lens[1] = { 3 }, together = 0;
    float   row[2] = { 0 }, *rows[1] = { row };
    assert_true(share_run(s, ids, lens, 1, rows, pack, NULL, &together));
    assert_int_equal(together, 1);
    assert_true(row[0] == 6);
    share_free(s);
}

static void a_failed_pack_fails_for_everybody_in_it_and_not_for_the_next(void **state)
{
    (void)state;
    struct caller callers[THREADS];
    struct share *s = share_new(1);
    atomic_store(&fails, true);
    run_all(s, callers);
    for (int i = 0; i < THREADS; i++) assert_int_equal(callers[i].failed, ROUNDS);
    atomic_store(&fails, false);
    run_all(s, callers);
    for (int i = 0; i < THREADS; i++) assert_int_equal(callers[i].failed, 0);
    share_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_that_meet_each_get_their_own_rows),
        cmocka_unit_test(nobody_waits_for_more_than_the_packs_of_those_before),
        cmocka_unit_test(a_lone_caller_goes_alone_at_once),
        cmocka_unit_test(a_failed_pack_fails_for_everybody_in_it_and_not_for_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
