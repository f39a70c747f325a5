/* SPDX-License-Identifier: MIT */
/* Every table of int8 kernels that this CPU can run, against double arithmetic on the same rounded weights and rows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/kernels_int8.h"

enum { TABLES = 8, ROWS = KERNELS_INT8_ROWS, SPARE = KERNELS_SPARE_ROWS };

static uint32_t seed = 1;
static float    noise(float scale)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8) / 8388608.0f - 1.0f) * scale;
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (bytes + 63) / 64 * 64);
    return p;
}

static float widened(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float    f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static float element(const void *p, enum form form, size_t i)
{
    return form == FORM_BF16 ? widened(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

/* A product's two sides and what it is in double. */
struct sample {
    int                   depth, width, rows;
    struct kernels_matrix m;
    uint8_t              *act;
    struct kernels_row   *row;
    double               *product;
    float                *x, *gain, *shift;
    void                 *place, *scratch;
};

static struct sample sample_new(int depth, int width, int rows, bool pivots)
{
    struct sample s = { .depth = depth, .width = width, .rows = rows };
    float        *column = room((size_t)depth * 4);
    s.place = room(kernels_matrix_bytes(depth, width));
    s.m = kernels_matrix_at(s.place, depth, width);
    for (int n = 0; n < width; n++) {
        for (int k = 0; k < depth; k++) column[k] = noise(0.1f);
        kernels_matrix_column(&s.m, n, column, depth);
        s.m.bias[n] = noise(0.5f);
        for (int i = 0; i < KERNELS_INT8_PIVOTS && pivots; i++)
            s.m.pivot_weight[(size_t)i * (size_t)kernels_int8_pitch(width) + (size_t)n] = noise(0.1f);
    }
    if (pivots) s.m.pivots->count = KERNELS_INT8_PIVOTS;
    for (int i = 0; i < KERNELS_INT8_PIVOTS; i++) s.m.pivots->at[i] = (uint16_t)(i * 3);
    const size_t pitch = (size_t)s.m.depth;
    s.act = room((ROWS + SPARE) * pitch);
    s.row = room(ROWS * sizeof *s.row);
    s.product = calloc((size_t)(rows * width), sizeof *s.product);
    s.x = room((size_t)(rows * width) * 4);
    s.gain = room((size_t)width * 4);
    s.shift = room((size_t)width * 4);
    s.scratch = room(kernels_int8_scratch(width > 1536 ? width : 1536));
    memset(s.scratch, 0x7f, kernels_int8_scratch(width));
    /* Beyond the real depth and the last row stands what must not matter. */
    memset(s.act, 0xee, (ROWS + SPARE) * pitch);
    for (int r = 0; r < rows; r++) {
        s.row[r] = (struct kernels_row){ .scale = 0.01f + fabsf(noise(0.02f)), .zero = noise(2) };
        for (int i = 0; i < KERNELS_INT8_PIVOTS && pivots; i++) s.row[r].pivot[i] = noise(5);
        for (int k = 0; k < depth; k++) s.act[(size_t)r * pitch + (size_t)k] = (uint8_t)(r == 0 ? 255 : (int)(noise(127.5f) + 127.5f));
    }
    for (int r = 0; r < rows; r++)
        for (int n = 0; n < width; n++) {
            double sum = 0;
            for (int k = 0; k < depth; k++) {
                const int8_t *block = s.m.packed + ((size_t)(n / 64) * (pitch / 64) + (size_t)(k / 64)) * 4096;
                sum += s.act[(size_t)r * pitch + (size_t)k] * block[k % 64 / 4 * 256 + n % 64 * 4 + k % 4];
            }
            double v = (double)s.row[r].scale * sum * s.m.scale[n] + (double)s.row[r].zero * s.m.sum[n] + s.m.bias[n];
            for (int i = 0; i < KERNELS_INT8_PIVOTS && pivots; i++)
                v += (double)s.row[r].pivot[i] * s.m.pivot_weight[(size_t)i * (size_t)kernels_int8_pitch(width) + (size_t)n];
            s.product[r * width + n] = v;
        }
    for (int i = 0; i < rows * width; i++) s.x[i] = noise(2);
    for (int i = 0; i < width; i++) {
        s.gain[i] = 1 + noise(0.5f);
        s.shift[i] = noise(0.5f);
    }
    free(column);
    return s;
}

static void sample_free(struct sample *s)
{
    free(s->place);
    free(s->act);
    free(s->row);
    free(s->product);
    free(s->x);
    free(s->gain);
    free(s->shift);
    free(s->scratch);
}

static const int shapes[][3] = { { 384, 1152, 64 }, { 384, 1536, 9 }, { 1536, 384, 33 }, { 64, 96, 1 }, { 96, 32, 17 },
                                 { 32, 128, 13 },   { 384, 384, 49 }, { 384, 384, 16 }, { 128, 64, 12 }, { 384, 96, 25 } };
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void near(const struct kernels_int8 *k, const char *what, double got, double expected, double bound)
{
    if (!(fabs(got - expected) <= bound)) print_error("%s %s: %.7f is not %.7f\n", k->name, what, got, expected);
    assert_true(fabs(got - expected) <= bound);
}

static void weights_are_rounded_to_the_nearest_of_255_steps(void **state)
{
    (void)state;
    enum { DEPTH = 100, WIDTH = 96 };
    float                 column[DEPTH];
    void                 *place = room(kernels_matrix_bytes(DEPTH, WIDTH));
    struct kernels_matrix m = kernels_matrix_at(place, DEPTH, WIDTH);
    assert_int_equal(m.depth, 128);
    for (int n = 0; n < WIDTH; n++) {
        float most = 0;
        for (int k = 0; k < DEPTH; k++) {
            column[k] = n == 5 ? 0 : noise(0.3f);
            most = fmaxf(most, fabsf(column[k]));
        }
        kernels_matrix_column(&m, n, column, DEPTH);
        double sum = 0;
        for (int k = 0; k < m.depth; k++) {
            const int8_t *block = m.packed + ((size_t)(n / 64) * 2 + (size_t)(k / 64)) * 4096;
            double        w = (double)m.scale[n] * block[k % 64 / 4 * 256 + n % 64 * 4 + k % 4];
            sum += w;
            assert_true(fabs(w - (k < DEPTH ? column[k] : 0)) <= most / 254 * 1.0001);
        }
        assert_true(fabs(sum - m.sum[n]) < 1e-4);
    }
    free(place);
}

static void project_is_the_product(void **state)
{
    (void)state;
    const struct kernels_int8 *list[TABLES];
    int                        n = kernels_int8_list(list, TABLES);
    assert_true(n >= 1);
    for (int i = 0; i < 2 * SHAPES; i++) {
        struct sample s = sample_new(shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], i % 2);
        void         *out = room((size_t)(s.rows * s.width + 64) * 4);
        for (int k = 0; k < n; k++) {
            memset(out, 0, (size_t)(s.rows * s.width + 64) * 4);
            list[k]->project(&s.m, s.act, s.row, out, s.rows, s.scratch);
            for (int j = 0; j < s.rows * s.width; j++)
                near(list[k], "project", element(out, list[k]->between, (size_t)j), s.product[j],
                     1e-4 + fabs(s.product[j]) * (list[k]->between == FORM_BF16 ? 1.0 / 256 : 1e-5));
            for (int j = s.rows * s.width; j < s.rows * s.width + 32; j++) assert_true(element(out, list[k]->between, (size_t)j) == 0);
        }
        free(out);
        sample_free(&s);
    }
}

static void expand_is_gelu_of_the_product_within_half_a_step(void **state)
{
    (void)state;
    const struct kernels_int8 *list[TABLES];
    int                        n = kernels_int8_list(list, TABLES);
    for (int i = 0; i < 2 * SHAPES; i++) {
        struct sample         s = sample_new(shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], i % 2);
        const size_t          pitch = (size_t)kernels_int8_pitch(s.width);
        uint8_t              *out = room((ROWS + SPARE) * pitch);
        struct kernels_row    row[ROWS];
        struct kernels_pivots pivots = { .count = KERNELS_INT8_PIVOTS, .at = { 1, 0, 31, 17, 5, 8, 9, 30 } };
        for (int k = 0; k < n; k++) {
            for (int r = 0; r < s.rows; r++) row[r] = (struct kernels_row){ .pivots = i % 2 ? &pivots : NULL };
            list[k]->expand(&s.m, s.act, s.row, out, row, s.rows, s.scratch);
            for (int r = 0; r < s.rows; r++) {
                assert_true(row[r].zero == KERNELS_INT8_GELU_ZERO);
                for (int j = 0; j < s.width; j++) {
                    double x = s.product[r * s.width + j], expected = x * 0.5 * (1 + erf(x / sqrt(2)));
                    double got = row[r].scale * out[(size_t)r * pitch + (size_t)j] + row[r].zero;
                    for (int p = 0; p < KERNELS_INT8_PIVOTS && row[r].pivots; p++) got += pivots.at[p] == j ? row[r].pivot[p] : 0;
                    near(list[k], "expand", got, expected, row[r].scale * 0.501 + 3e-4 + fabs(expected) * 3e-4);
                }
            }
        }
        free(out);
        sample_free(&s);
    }
}

static void merge_normalises_the_residual_with_the_product(void **state)
{
    (void)state;
    const struct kernels_int8 *list[TABLES];
    int                        n = kernels_int8_list(list, TABLES);
    for (int i = 0; i < 2 * SHAPES; i++) {
        struct sample         s = sample_new(shapes[i / 2][0], shapes[i / 2][1], shapes[i / 2][2], i % 2);
        const size_t          pitch = (size_t)kernels_int8_pitch(s.width);
        uint8_t              *out = room((ROWS + SPARE) * pitch);
        float                *x = room((size_t)(s.rows * s.width) * 4);
        struct kernels_row    row[ROWS];
        struct kernels_pivots pivots = { .count = KERNELS_INT8_PIVOTS, .at = { 1, 0, 31, 17, 5, 8, 9, 30 } };
        for (int k = 0; k < n; k++) {
            for (int r = 0; r < s.rows; r++) row[r] = (struct kernels_row){ .pivots = i % 2 ? &pivots : NULL };
            memcpy(x, s.x, (size_t)(s.rows * s.width) * 4);
            list[k]->merge(&s.m, s.act, s.row, x, s.gain, s.shift, 1e-12f, out, row, s.rows, s.scratch);
            for (int r = 0; r < s.rows; r++) {
                double sum = 0, squares = 0;
                for (int j = 0; j < s.width; j++) sum += s.x[r * s.width + j] + s.product[r * s.width + j];
                for (int j = 0; j < s.width; j++) squares += pow(s.x[r * s.width + j] + s.product[r * s.width + j] - sum / s.width, 2);
                for (int j = 0; j < s.width; j++) {
                    double expected = (s.x[r * s.width + j] + s.product[r * s.width + j] - sum / s.width) /
                                      sqrt(squares / s.width + 1e-12) * s.gain[j] + s.shift[j];
                    double got = row[r].scale * out[(size_t)r * pitch + (size_t)j] + row[r].zero;
                    for (int p = 0; p < KERNELS_INT8_PIVOTS && row[r].pivots; p++) got += pivots.at[p] == j ? row[r].pivot[p] : 0;
                    near(list[k], "merge", x[r * s.width + j], expected, 2e-4);
                    near(list[k], "merge in u8", got, expected, row[r].scale * 0.501 + 2e-4);
                }
            }
        }
        free(x);
        free(out);
        sample_free(&s);
    }
}

static void a_row_of_one_number_or_far_numbers_is_kept(void **state)
{
    (void)state;
    enum { WIDTH = 96 };
    const struct kernels_int8 *list[TABLES];
    int                        n = kernels_int8_list(list, TABLES);
    for (int k = 0; k < n; k++) {
        float               wide[3 * WIDTH] __attribute__((aligned(64)));
        uint16_t            half[3 * WIDTH] __attribute__((aligned(64)));
        uint8_t             out[3 * 128] __attribute__((aligned(64)));
        struct kernels_row  row[3] = { 0 };
        for (int i = 0; i < 3 * WIDTH; i++) {
            wide[i] = i < WIDTH ? 0.5f : i < 2 * WIDTH ? (float)(i % 7) * 1000 : -4;
            uint32_t bits;
            memcpy(&bits, &wide[i], sizeof bits);
            half[i] = (uint16_t)(bits >> 16);
            wide[i] = widened(half[i]);
        }
        list[k]->narrow(list[k]->between == FORM_BF16 ? (const void *)half : wide, out, row, 3, WIDTH);
        for (int r = 0; r < 3; r++)
            for (int i = 0; i < WIDTH; i++)
                near(list[k], "narrow", row[r].scale * out[r * 128 + i] + row[r].zero, wide[r * WIDTH + i], row[r].scale * 0.51);
    }
}

static void a_kind_is_found_by_its_name_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(strncmp(kernels_int8_choose("portable")->name, "portable", 8), 0);
    assert_null(kernels_int8_choose("avx"));
    assert_non_null(kernels_int8_choose(NULL));
    assert_null(kernels_choose(FORM_BF16, "portable"));
    assert_true(kernels_kind_known("amx") && !kernels_kind_known("avx512-f32"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_rounded_to_the_nearest_of_255_steps),
        cmocka_unit_test(project_is_the_product),
        cmocka_unit_test(expand_is_gelu_of_the_product_within_half_a_step),
        cmocka_unit_test(merge_normalises_the_residual_with_the_product),
        cmocka_unit_test(a_row_of_one_number_or_far_numbers_is_kept),
        cmocka_unit_test(a_kind_is_found_by_its_name_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
