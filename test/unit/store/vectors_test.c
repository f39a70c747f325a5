/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/vectors.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

enum { DIM = 384 };
static uint64_t seed = 88172645463325252u;

static float gauss(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        sum += (float)(seed >> 40) / (float)(1 << 24) - 0.5f;
    }
    return sum;
}

static void unit(float *v, int dim)
{
    float sum = 0;
    for (int i = 0; i < dim; i++) {
        v[i] = gauss();
        sum += v[i] * v[i];
    }
    for (int i = 0; i < dim; i++) v[i] /= sqrtf(sum);
}

static int best_first(const void *pa, const void *pb)
{
    const struct vector_hit *a = pa, *b = pb;
    if (a->cosine != b->cosine) return a->cosine > b->cosine ? -1 : 1;
    return a->slot < b->slot ? -1 : a->slot > b->slot;
}

static void exact(const struct vectors *v, const float *q, uint32_t n, struct vector_hit *out)
{
    for (uint32_t i = 0; i < n; i++) out[i] = (struct vector_hit){ i, vectors_cosine(q, vectors_row(v, i), vectors_dim(v)) };
    qsort(out, n, sizeof *out, best_first);
}

static void recall_at_10_over_10000_vectors_is_at_least_95_percent_RAG_018(void **s)
{
    (void)s;
    enum { N = 10000, QUERIES = 50 };
    struct vectors *v = vectors_new(DIM);
    float row[DIM];
    for (int i = 0; i < N; i++) {
        unit(row, DIM);
        assert_int_equal(vectors_add(v, row), i);
    }
    struct vector_hit *all = malloc(N * sizeof *all), near[10];
    int found = 0;
    for (int k = 0; k < QUERIES; k++) {
        unit(row, DIM);
        exact(v, row, N, all);
        assert_int_equal(vectors_scan(v, row, N, NULL, 10, near), 10);
        for (int i = 0; i < 10; i++)
            for (int j = 0; j < 10; j++) found += near[i].slot == all[j].slot;
        for (int i = 1; i < 10; i++) assert_true(near[i - 1].cosine >= near[i].cosine);
    }
    assert_true(found >= QUERIES * 10 * 95 / 100);
    free(all);
    vectors_free(v);
}

static void the_scores_are_exact_cosines(void **s)
{
    (void)s;
    struct vectors *v = vectors_new(DIM);
    float rows[3][DIM];
    for (int i = 0; i < 3; i++) {
        unit(rows[i], DIM);
        vectors_add(v, rows[i]);
    }
    struct vector_hit near[3];
    assert_int_equal(vectors_scan(v, rows[1], 3, NULL, 3, near), 3);
    assert_int_equal(near[0].slot, 1);
    assert_float_equal(near[0].cosine, 1.0f, 1e-5);
    for (int i = 1; i < 3; i++)
        assert_float_equal(near[i].cosine, vectors_cosine(rows[1], rows[near[i].slot], DIM), 0);
    vectors_free(v);
}

static void only_allowed_rows_are_found_dense_or_sparse(void **s)
{
    (void)s;
    enum { N = 1000 };
    struct vectors *v = vectors_new(100);
    float row[100], q[100];
    for (int i = 0; i < N; i++) {
        unit(row, 100);
        vectors_add(v, row);
    }
    unit(q, 100);
    const int keep_every[] = { 1, 2, 3, 17, 64, 333 };
    for (size_t k = 0; k < sizeof keep_every / sizeof *keep_every; k++) {
        uint64_t bits[N / 64 + 1] = { 0 };
        int n = 0;
        for (int i = 0; i < N; i += keep_every[k], n++) bits[i / 64] |= (uint64_t)1 << (i % 64);
        struct vector_hit near[1000];
        int found = vectors_scan(v, q, N, bits, 1000, near);
        assert_int_equal(found, n);
        for (int i = 0; i < found; i++) assert_int_equal(near[i].slot % (unsigned)keep_every[k], 0);
    }
    uint64_t none[N / 64 + 1] = { 0 };
    struct vector_hit near[5];
    assert_int_equal(vectors_scan(v, q, N, none, 5, near), 0);
    assert_int_equal(vectors_scan(v, q, 0, NULL, 5, near), 0);
    vectors_free(v);
}

static void rows_past_the_readers_count_are_not_seen(void **s)
{
    (void)s;
    struct vectors *v = vectors_new(64);
    float row[64];
    for (int i = 0; i < 700; i++) {
        unit(row, 64);
        vectors_add(v, row);
    }
    struct vector_hit near[64];
    int n = vectors_scan(v, row, 65, NULL, 64, near);
    for (int i = 0; i < n; i++) assert_true(near[i].slot < 65);
    assert_int_equal(vectors_scan(v, row, 700, NULL, 1, near), 1);
    assert_int_equal(near[0].slot, 699);
    vectors_free(v);
}

static void every_kernel_gives_the_same_sums(void **s)
{
    (void)s;
    static const char *const names[] = { "avx512-vnni", "avx2", "portable" };
    enum { ROWS = 67, STRIDE = 448 };
    uint8_t *rows = NULL;
    assert_int_equal(posix_memalign((void **)&rows, 64, ROWS * STRIDE), 0);
    int8_t q[2 * STRIDE];
    for (int i = 0; i < ROWS * STRIDE; i++) rows[i] = (uint8_t)(i % 5 == 0 ? 255 : i * 7919);
    for (int i = 0; i < 2 * STRIDE; i++) q[i] = (int8_t)(i % 3 == 0 ? -127 : i % 3 == 1 ? 127 : i * 31);
    int32_t want[ROWS], got[ROWS];
    float scale[64], slack[64];
    for (int i = 0; i < 64; i++) scale[i] = 1e-3f * (float)(i % 7 + 1), slack[i] = 0.01f * (float)(i % 5);
    for (int i = 0; i < ROWS; i++) {
        want[i] = 0;
        for (int j = 0; j < STRIDE; j++) {
            const int8_t *group = q + j / 64 * 128;
            want[i] += (rows[i * STRIDE + j] & 15) * group[j % 64] + (rows[i * STRIDE + j] >> 4) * group[64 + j % 64];
        }
    }
    for (int k = 0; k < 3; k++) {
        const struct vectors_kernel *f = vectors_kernel_named(names[k]);
        if (!f) continue;
        assert_string_equal(f->name, names[k]);
        memset(got, 0, sizeof got);
        f->dot(rows, STRIDE, ROWS, q, got);
        assert_memory_equal(got, want, sizeof want);
        for (float bar = -2000; bar < 2000; bar += 61.5f) {
            struct vectors_bar b = { -1234.5f, 900, bar };
            assert_int_equal(f->over(want, scale, slack, &b), vectors_kernel_named("portable")->over(want, scale, slack, &b));
        }
    }
    free(rows);
}

/* Rows as models give them: in clusters, a few dimensions larger than the rest; questions near a cluster and far from all. */
static void every_kernel_finds_what_f32_finds_RAG_018(void **s)
{
    (void)s;
    enum { N = 6000, CLUSTERS = 30, QUERIES = 30, K = 10 };
    static const char *const names[] = { "avx512-vnni", "avx2", "portable" };
    const float near_by[] = { 0.3f, 1.0f, 3.0f }, outlier[] = { 1, 3, 8 };
    struct vector_hit *all = malloc(N * sizeof *all), got[K], other[K];
    float (*centre)[DIM] = malloc(CLUSTERS * sizeof *centre);
    for (int shape = 0; shape < 3; shape++) {
        struct vectors *v = vectors_new(DIM);
        float row[DIM], noise[DIM];
        for (int i = 0; i < CLUSTERS; i++) unit(centre[i], DIM);
        for (int i = 0; i < N + QUERIES; i++) {
            unit(noise, DIM);
            float sum = 0;
            for (int j = 0; j < DIM; j++) {
                row[j] = centre[i * 7919 % CLUSTERS][j] + near_by[shape] * noise[j];
                if (j % 97 == 0) row[j] *= outlier[shape];
                sum += row[j] * row[j];
            }
            for (int j = 0; j < DIM; j++) row[j] /= sqrtf(sum);
            if (i < N) {
                vectors_add(v, row);
                continue;
            }
            exact(v, row, N, all);
            int found = 0;
            for (int k = 0; k < 3; k++) {
                if (!vectors_kernel_named(names[k])) continue;
                vectors_use_kernel(v, vectors_kernel_named(names[k]));
                assert_int_equal(vectors_scan(v, row, N, NULL, K, k ? other : got), K);
                if (k) assert_memory_equal(got, other, sizeof got);
            }
            for (int a = 0; a < K; a++)
                for (int b = 0; b < K; b++) found += got[a].slot == all[b].slot;
            assert_int_equal(found, K);
        }
        vectors_free(v);
    }
    free(centre);
    free(all);
}

static void rows_of_a_file_and_rows_of_memory_are_one_set(void **s)
{
    (void)s;
    enum { N = 1000, IN_FILE = 640 };
    struct vectors *v = vectors_new(100);
    float row[100], q[100];
    for (int i = 0; i < N; i++) {
        unit(row, 100);
        vectors_add(v, row);
    }
    size_t stride = vectors_stride(100);
    assert_int_equal(stride, 64);
    uint8_t *high = aligned_alloc(64, IN_FILE * stride), *low = aligned_alloc(64, IN_FILE * stride);
    float *scale = aligned_alloc(64, IN_FILE * 4), *slack = aligned_alloc(64, IN_FILE * 4), *full = aligned_alloc(64, IN_FILE * 400);
    struct vectors_part part;
    for (uint32_t at = 0, n; at < IN_FILE; at += n) {
        n = vectors_parts(v, at, &part);
        if (n > IN_FILE - at) n = IN_FILE - at;
        memcpy(high + at * stride, part.high, n * stride);
        memcpy(low + at * stride, part.low, n * stride);
        memcpy(scale + at, part.scale, n * sizeof *scale);
        memcpy(slack + at, part.slack, n * sizeof *slack);
        memcpy(full + at * 100, part.full, n * 400);
    }
    struct vectors *w = vectors_over(100, &(struct vectors_part){ high, low, scale, slack, full }, IN_FILE);
    for (uint32_t i = IN_FILE; i < N; i++) assert_int_equal(vectors_add(w, vectors_row(v, i)), i);
    assert_int_equal(vectors_count(w), N);
    assert_true(vectors_bytes(w) < vectors_bytes(v));
    for (int k = 0; k < 20; k++) {
        struct vector_hit a[20], b[20];
        unit(q, 100);
        assert_int_equal(vectors_scan(v, q, N, NULL, 20, a), 20);
        assert_int_equal(vectors_scan(w, q, N, NULL, 20, b), 20);
        assert_memory_equal(a, b, sizeof a);
    }
    vectors_free(v);
    vectors_free(w);
    free(high), free(low), free(scale), free(slack), free(full);
}

static void zeros_and_values_that_are_no_numbers_do_no_harm(void **s)
{
    (void)s;
    struct vectors *v = vectors_new(64);
    float zero[64] = { 0 }, bad[64], good[64];
    for (int i = 0; i < 64; i++) bad[i] = NAN;
    unit(good, 64);
    vectors_add(v, zero);
    vectors_add(v, good);
    struct vector_hit near[2];
    assert_int_equal(vectors_scan(v, good, 2, NULL, 2, near), 2);
    assert_int_equal(near[0].slot, 1);
    vectors_scan(v, bad, 2, NULL, 2, near);
    vectors_free(v);
    vectors_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recall_at_10_over_10000_vectors_is_at_least_95_percent_RAG_018),
        cmocka_unit_test(the_scores_are_exact_cosines),
        cmocka_unit_test(only_allowed_rows_are_found_dense_or_sparse),
        cmocka_unit_test(rows_past_the_readers_count_are_not_seen),
        cmocka_unit_test(every_kernel_gives_the_same_sums),
        cmocka_unit_test(every_kernel_finds_what_f32_finds_RAG_018),
        cmocka_unit_test(rows_of_a_file_and_rows_of_memory_are_one_set),
        cmocka_unit_test(zeros_and_values_that_are_no_numbers_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
