/* SPDX-License-Identifier: MIT */
/* The whole encoder on the installed model: agreement with the published one, and that company, threads and length
 * change nothing. */
#include "unit/encoder/model.h"

#include <pthread.h>

#include "base/clock.h"

static struct call     c;
static struct encoder *f32, *bf16;
static struct row      rows[ROWS_MAX];

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    model_settings(&c, "3");
    f32 = model_load(&c, ENCODER_F32);
    bf16 = model_load(&c, ENCODER_BF16);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    encoder_free(f32);
    encoder_free(bf16);
    call_dispose(&c);
    return 0;
}

static float *embed(struct encoder *e, const char *const *texts, const size_t *lens, int n)
{
    float   *v = malloc((size_t)n * DIM * sizeof *v);
    enum err r = encoder_embed(&c, e, texts, lens, n, v);
    assert_non_null(v);
    if (r) print_error("%s\n", c.err_text);
    assert_int_equal(r, OK);
    return v;
}

static double length(const float *v)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += (double)v[i] * v[i];
    return __builtin_sqrt(sum);
}

static int compare(const char *path, struct encoder *e, double least)
{
    json_t     *keep;
    const char *texts[ROWS_MAX];
    size_t      lens[ROWS_MAX];
    int         n = read_rows(path, rows, &keep);
    double      worst = 1;
    if (!n) {
        json_decref(keep);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        texts[i] = rows[i].text;
        lens[i] = rows[i].len;
    }
    float *v = embed(e, texts, lens, n);
    for (int i = 0; i < n; i++) {
        double near = cosine(v + i * DIM, rows[i].embedding);
        if (near < worst) worst = near;
        if (near < least) print_error("%s row %d: cosine %.6f: %.60s\n", path, i, near, rows[i].text);
        assert_true(near >= least);
        assert_true(length(v + i * DIM) > 0.99999 && length(v + i * DIM) < 1.00001);
    }
    print_message("%s %s: %d rows, least cosine %.7f\n", path, encoder_precision_used(e), n, worst);
    free(v);
    json_decref(keep);
    return n;
}

/* RAG-015 */
static void embeddings_are_those_of_the_published_all_minilm_l6_v2_RAG_015(void **s)
{
    (void)s;
    assert_int_equal(encoder_dim(f32), 384);
    assert_string_equal(encoder_name(f32), "all-MiniLM-L6-v2");
    assert_string_equal(encoder_precision_used(f32), "f32");
    assert_true(compare("test/fixtures/minilm_rows.jsonl", f32, 0.9999) >= 10);
    assert_true(compare("test/fixtures/minilm_rows.jsonl", bf16, 0.999) >= 10);
}

static void every_row_of_the_shared_reference_agrees(void **s)
{
    (void)s;
    if (!compare(shared_reference(), f32, 0.9999)) {
        print_message("skipped: %s is not there\n", shared_reference());
        skip();
    }
    assert_int_equal(compare(shared_reference(), bf16, 0.999), 61);
}

enum { MANY = 64 };
static char        made[MANY][1400];
static const char *made_texts[MANY];

/* Texts of 1 to 150 words, no two alike. */
static void make_texts(void)
{
    static const char *const words[] = { "squat", "deadlift", "sleep", "protein", "recovery", "how", "often", "should", "I",
                                         "train", "knees", "hurt", "the", "week", "progressive", "overload", "M\xc3\xbcsli" };
    for (int i = 0; i < MANY; i++) {
        size_t n = 0, count = 1 + (size_t)(i * 37 % 150);
        for (size_t k = 0; k < count; k++)
            n += (size_t)snprintf(made[i] + n, sizeof made[i] - n, "%s ", words[(k * k + (size_t)i * 5 + k / 3) % 17]);
        snprintf(made[i] + n, sizeof made[i] - n, "%d", i);
        made_texts[i] = made[i];
    }
}

static void a_text_has_the_same_vector_whatever_it_is_batched_with(void **s)
{
    (void)s;
    struct encoder *both[] = { f32, bf16 };
    make_texts();
    for (int k = 0; k < 2; k++) {
        float *together = embed(both[k], made_texts, NULL, MANY);
        for (int i = 0; i < MANY; i += 11) {
            float *alone = embed(both[k], made_texts + i, NULL, 1);
            assert_true(cosine(alone, together + i * DIM) > (k ? 0.9999 : 0.999999));
            free(alone);
        }
        free(together);
    }
}

static void token_counts_include_the_frame_and_stop_at_256(void **s)
{
    (void)s;
    const char *texts[] = { "", "run", made[4] };
    int         counts[3];
    float       v[3 * DIM];
    make_texts();
    assert_int_equal(encoder_embed_counted(&c, bf16, texts, NULL, 3, v, counts), OK);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 3);
    assert_true(counts[2] > 140 && counts[2] <= MODEL_TOKENS);
}

static float *expected;
static void  *one_of_eight(void *arg)
{
    struct call mine;
    intptr_t    bad = 0;
    int         at = (int)(intptr_t)arg;
    call_init(&mine);
    for (int i = 0; i < 4; i++) {
        int    first = (at * 31 + i * 47) % (MANY - 16), n = i % 3 ? 1 : 16;
        float *v = malloc((size_t)n * DIM * sizeof *v);
        if (encoder_embed(&mine, bf16, made_texts + first, NULL, n, v)) bad++;
        for (int k = 0; k < n && !bad; k++) bad += cosine(v + k * DIM, expected + (first + k) * DIM) < 0.9999;
        free(v);
    }
    call_dispose(&mine);
    return (void *)bad;
}

static void eight_threads_get_what_one_gets(void **s)
{
    (void)s;
    pthread_t t[8];
    make_texts();
    expected = embed(bf16, made_texts, NULL, MANY);
    for (intptr_t i = 0; i < 8; i++) assert_int_equal(pthread_create(&t[i], NULL, one_of_eight, (void *)i), 0);
    for (int i = 0; i < 8; i++) {
        void *bad;
        assert_int_equal(pthread_join(t[i], &bad), 0);
        assert_null(bad);
    }
    free(expected);
}

static void empty_blank_and_endless_texts_have_vectors(void **s)
{
    (void)s;
    char *endless = malloc(100001);
    for (int i = 0; i < 100000; i++) endless[i] = "press up and "[i % 13];
    endless[100000] = 0;
    const char *texts[] = { "", " \t\n ", endless, "\xff\xfe" };
    float      *v = embed(f32, texts, NULL, 4);
    assert_true(cosine(v, v + DIM) > 0.999999);
    assert_true(cosine(v, v + 3 * DIM) > 0.999999);
    for (int i = 0; i < 4; i++) assert_true(length(v + i * DIM) > 0.9999);
    free(v);
    assert_int_equal(encoder_embed(&c, f32, texts, NULL, 0, NULL), OK);
    free(endless);
}

/* Scraps go through the model as two copies, so that a pack of nothing else outgrows its buffers. */
static void a_crowd_of_scraps_gets_the_vectors_that_each_gets_alone(void **s)
{
    (void)s;
    enum { CROWD = 700, KINDS = 5 };
    static const char *const kinds[KINDS] = { "", "x", "sleep", "run far", "How many times a week should I run?" };
    const char     *texts[CROWD];
    struct encoder *e = model_load(&c, ENCODER_INT8);
    for (int i = 0; i < CROWD; i++) texts[i] = kinds[i % KINDS * (i % 7 > 0)];
    float *all = embed(e, texts, NULL, CROWD);
    for (int k = 0; k < KINDS; k++) {
        float *alone = embed(e, &kinds[k], NULL, 1);
        for (int i = 0; i < CROWD; i++)
            if (texts[i] == kinds[k]) assert_memory_equal(all + i * DIM, alone, DIM * sizeof *alone);
        free(alone);
    }
    free(all);
    encoder_free(e);
}

static void a_stopped_call_ends_early_and_leaves_its_output_alone(void **s)
{
    (void)s;
    atomic_bool stop = true;
    struct call stopped;
    float      *v = malloc(MANY * DIM * sizeof *v);
    make_texts();
    call_init(&stopped);
    stopped.stop = &stop;
    v[0] = 7;
    v[MANY * DIM - 1] = 8;
    assert_int_equal(encoder_embed(&stopped, bf16, made_texts, NULL, MANY, v), ERR_CANCELLED);
    assert_true(v[0] == 7 && v[MANY * DIM - 1] == 8);
    stopped.stop = NULL;
    call_forgive(&stopped);
    stopped.deadline_ms = clock_mono_ms() - 1;
    assert_int_equal(encoder_embed(&stopped, bf16, made_texts, NULL, 1, v), ERR_TIMEOUT);
    call_dispose(&stopped);
    free(v);
}

static void a_missing_folder_is_named(void **s)
{
    (void)s;
    struct encoder *none = NULL;
    assert_int_equal(encoder_load(&c, "test/no/such/model", ENCODER_BF16, &none), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "test/no/such/model"));
    assert_null(none);
    call_forgive(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embeddings_are_those_of_the_published_all_minilm_l6_v2_RAG_015),
        cmocka_unit_test(every_row_of_the_shared_reference_agrees),
        cmocka_unit_test(a_text_has_the_same_vector_whatever_it_is_batched_with),
        cmocka_unit_test(token_counts_include_the_frame_and_stop_at_256),
        cmocka_unit_test(eight_threads_get_what_one_gets),
        cmocka_unit_test(empty_blank_and_endless_texts_have_vectors),
        cmocka_unit_test(a_crowd_of_scraps_gets_the_vectors_that_each_gets_alone),
        cmocka_unit_test(a_stopped_call_ends_early_and_leaves_its_output_alone),
        cmocka_unit_test(a_missing_folder_is_named),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
