/* SPDX-License-Identifier: MIT */
/* The steps of int8, on every kind of kernels this CPU can run, against the plain ones; and those against the formula. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef fail
#include "encoder/kernels_int8.h"

static uint32_t seed = 7;
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

static float widened(const void *p, enum form form, size_t i)
{
    uint32_t bits;
    float    f;
    if (form == FORM_F32) return ((const float *)p)[i];
    bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    memcpy(&f, &bits, sizeof f);
    return f;
}

struct step {
    struct kernels_matrix m;
    uint8_t              *act, *out;
    struct kernels_row    row[KERNELS_INT8_ROWS], out_row[KERNELS_INT8_ROWS];
    float                *x, *gain, *shift, *between;
    void                 *scratch;
};

enum { MOST = 1600 };

static void step_make(struct step *t, int depth, int width)
{
    float column[MOST];
    t->m = kernels_matrix_at(room(kernels_matrix_bytes(depth, width)), depth, width);
    for (int n = 0; n < width; n++) {
        for (int k = 0; k < depth; k++) column[k] = noise(n % 5 == 0 ? 0.5f : 0.05f);
        kernels_matrix_column(&t->m, n, column, depth);
        t->m.bias[n] = noise(0.3f);
    }
    const size_t rows = KERNELS_INT8_ROWS + KERNELS_SPARE_ROWS;
    t->act = room(rows * (size_t)t->m.depth);
    for (size_t i = 0; i < rows * (size_t)t->m.depth; i++) t->act[i] = (uint8_t)(seed = seed * 1664525u + 1013904223u, seed >> 24);
    /* The far corner, where 16 bits would not do. */
    for (int i = 0; i < t->m.depth; i++) t->act[i] = 255;
    for (int i = 0; i < KERNELS_INT8_ROWS; i++) t->row[i] = (struct kernels_row){ .scale = 0.01f + 0.001f * (float)(i % 7), .zero = -1.3f + 0.01f * (float)i };
    t->out = room(rows * (size_t)kernels_int8_pitch(width));
    t->x = room(rows * (size_t)width * 4);
    t->between = room(rows * (size_t)width * 4);
    t->gain = room((size_t)width * 4);
    t->shift = room((size_t)width * 4);
    for (int i = 0; i < width; i++) {
        t->gain[i] = 1 + noise(0.4f);
        t->shift[i] = noise(0.4f);
    }
    t->scratch = room(kernels_int8_scratch(depth > width ? depth : width));
}

static void step_free(struct step *t)
{
    free(t->m.packed);
    free(t->act);
    free(t->out);
    free(t->x);
    free(t->between);
    free(t->gain);
    free(t->shift);
    free(t->scratch);
}

static void fill_x(struct step *t, int rows)
{
    uint32_t kept = seed;
    for (int i = 0; i < rows * t->m.width; i++) t->x[i] = noise(2);
    seed = kept;
}

static void close_to(const char *name, const char *what, int rows, double got, double expected, double bound)
{
    if (!(fabs(got - expected) <= bound)) print_error("%s %s of %d rows: %.7f is not %.7f\n", name, what, rows, got, expected);
    assert_true(fabs(got - expected) <= bound);
}

/* Rows of bytes against those of the plain kernels: a step of the scale is what rounding may differ by. */
static void same_rows(const char *name, const char *what, const struct step *t, const uint8_t *expected,
                      const struct kernels_row *expected_row, int rows, double slack)
{
    const int pitch = kernels_int8_pitch(t->m.width);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < t->m.width; i++) {
            double a = (double)t->out_row[r].scale * t->out[r * pitch + i] + t->out_row[r].zero;
            double b = (double)expected_row[r].scale * expected[r * pitch + i] + expected_row[r].zero;
            close_to(name, what, rows, a, b, 1.02 * expected_row[r].scale + slack);
        }
}

static void check_steps(const struct kernels_int8 *k, int depth, int width, int rows)
{
    const struct kernels_int8 *plain = &kernels_int8_portable;
    struct step                t = { 0 };
    step_make(&t, depth, width);
    const size_t       bytes = (size_t)rows * (size_t)kernels_int8_pitch(width), floats = (size_t)rows * (size_t)width;
    uint8_t           *bytes_kept = malloc(bytes);
    float             *kept = malloc(floats * 4);
    struct kernels_row kept_row[KERNELS_INT8_ROWS];
    /* bf16 keeps 8 bits of what lies between. */
    const double part = k->between == FORM_BF16 ? 1.0 / 250 : 1e-5;

    plain->project(&t.m, t.act, t.row, t.between, rows, t.scratch);
    memcpy(kept, t.between, floats * 4);
    k->project(&t.m, t.act, t.row, t.between, rows, t.scratch);
    for (size_t i = 0; i < floats; i++)
        close_to(k->name, "product", rows, widened(t.between, k->between, i), kept[i], 1e-4 + part * fabs((double)kept[i]));

    plain->expand(&t.m, t.act, t.row, t.out, t.out_row, rows, t.scratch);
    memcpy(bytes_kept, t.out, bytes);
    memcpy(kept_row, t.out_row, sizeof kept_row);
    k->expand(&t.m, t.act, t.row, t.out, t.out_row, rows, t.scratch);
    for (int r = 0; r < rows; r++) assert_true(t.out_row[r].zero == KERNELS_INT8_GELU_ZERO);
    same_rows(k->name, "gelu", &t, bytes_kept, kept_row, rows, 1e-3);

    fill_x(&t, rows);
    plain->merge(&t.m, t.act, t.row, t.x, t.gain, t.shift, 1e-12f, t.out, t.out_row, rows, t.scratch);
    memcpy(kept, t.x, floats * 4);
    memcpy(bytes_kept, t.out, bytes);
    memcpy(kept_row, t.out_row, sizeof kept_row);
    fill_x(&t, rows);
    k->merge(&t.m, t.act, t.row, t.x, t.gain, t.shift, 1e-12f, t.out, t.out_row, rows, t.scratch);
    for (size_t i = 0; i < floats; i++) close_to(k->name, "merged row", rows, t.x[i], kept[i], 2e-4);
    same_rows(k->name, "merged bytes", &t, bytes_kept, kept_row, rows, 1e-3);
    free(bytes_kept);
    free(kept);
    step_free(&t);
}

static void every_step_of_int8_is_that_of_the_plain_kernels(void **s)
{
    (void)s;
    const struct kernels_int8 *list[8];
    int                        n = kernels_int8_list(list, 8);
    assert_true(list[0] == &kernels_int8_portable);
    for (int i = 1; i < n; i++) {
        print_message("%s\n", list[i]->name);
        static const int rows[] = { 1, 2, 5, 6, 7, 9, 13, 16, 31, 33, 64 };
                for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) check_steps(list[i], 384, 416, rows[r]);
        check_steps(list[i], 96, 384, 11);
        check_steps(list[i], 1536, 96, 10);
        check_steps(list[i], 384, 1536, 3);
    }
}

static void a_row_of_equal_numbers_and_one_of_zeros_survive(void **s)
{
    (void)s;
    const struct kernels_int8 *list[8];
    int                        n = kernels_int8_list(list, 8);
    for (int i = 0; i < n; i++) {
        enum { WIDTH = 64 };
        _Alignas(64) static float    f[2 * WIDTH];
        _Alignas(64) static uint16_t h[2 * WIDTH];
        _Alignas(64) uint8_t         out[2 * WIDTH];
        struct kernels_row           row[2];
        for (int k = 0; k < WIDTH; k++) {
            f[k] = 0;
            f[WIDTH + k] = 2.5f;
            h[WIDTH + k] = 0x4020;
        }
        list[i]->narrow(list[i]->between == FORM_BF16 ? (const void *)h : f, out, row, 2, WIDTH);
        for (int k = 0; k < 2 * WIDTH; k++)
            close_to(list[i]->name, "equal numbers", 2, (double)row[k / WIDTH].scale * out[k] + row[k / WIDTH].zero, k < WIDTH ? 0 : 2.5, 1e-6);
    }
}

/* The packed weights read back by the layout's description, times activations as real numbers. */
static void the_plain_product_is_the_formula(void **s)
{
    (void)s;
    enum { DEPTH = 96, WIDTH = 96, ROWS = 3 };
    struct step t = { 0 };
    step_make(&t, DEPTH, WIDTH);
    kernels_int8_portable.project(&t.m, t.act, t.row, t.between, ROWS, t.scratch);
    for (int r = 0; r < ROWS; r++)
        for (int n = 0; n < WIDTH; n++) {
            double sum = t.m.bias[n];
            for (int k = 0; k < DEPTH; k++) {
                const int8_t *block = t.m.packed + ((size_t)(n / 64) * (size_t)(t.m.depth / 64) + (size_t)(k / 64)) * 4096;
                double        w = (double)t.m.scale[n] * block[k % 64 / 4 * 256 + n % 64 * 4 + k % 4];
                sum += w * ((double)t.row[r].scale * t.act[r * t.m.depth + k] + t.row[r].zero);
            }
            close_to("plain", "product", ROWS, t.between[r * WIDTH + n], sum, 1e-3);
        }
    step_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_plain_product_is_the_formula),
        cmocka_unit_test(every_step_of_int8_is_that_of_the_plain_kernels),
        cmocka_unit_test(a_row_of_equal_numbers_and_one_of_zeros_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
