/* SPDX-License-Identifier: MIT */
/* Every kernel this CPU can run against plain double arithmetic. */
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

static uint32_t seed = 1;
static float    noise(float scale)
{
    seed = seed * 1664525u + 1013904223u;
    return ((float)(seed >> 8) / 8388608.0f - 1.0f) * scale;
}

static float widened(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float    f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint16_t narrowed(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float element(const void *p, enum form form, size_t i)
{
    return form == FORM_BF16 ? widened(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

static void *room(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, (bytes + 63) / 64 * 64);
    return p;
}

static int all_kernels(const struct kernels **out)
{
    int n = kernels_list(FORM_F32, out, 4);
    assert_true(n >= 1);
    return n + kernels_list(FORM_BF16, out + n, 4);
}

/* Attention in 16 bits belongs to tables of int8, whose other steps are tested with those. */
static int all_attentions(const struct kernels **out)
{
    int n = all_kernels(out);
#if defined __x86_64__
    static const struct kernels wide = { "int16-f32", FORM_F32, NULL, NULL, kernels_int16_attention_f32 };
    static const struct kernels half = { "int16-bf16", FORM_BF16, NULL, NULL, kernels_int16_attention_bf16 };
    if (kernels_int8_choose("avx512")) {
        out[n++] = &wide;
        out[n++] = &half;
    }
#endif
    return n;
}

static void near(const struct kernels *k, const char *what, double got, double expected, double bound)
{
    if (!(fabs(got - expected) <= bound)) print_error("%s %s: %.8f is not %.8f\n", k->name, what, got, expected);
    assert_true(fabs(got - expected) <= bound);
}

static void gelu_is_the_exact_form_within_its_bound(void **s)
{
    (void)s;
    enum { ROWS = 64, WIDTH = 1536 };
    const struct kernels *list[8];
    float                *in = room(ROWS * WIDTH * 4), *bias = room(WIDTH * 4), *act = room(ROWS * WIDTH * 4);
    for (int i = 0; i < ROWS * WIDTH; i++) in[i] = (float)i / (ROWS * WIDTH) * 24 - 12;
    for (int i = 0; i < WIDTH; i++) bias[i] = noise(0.5f);
    int n = all_kernels(list);
    for (int k = 0; k < n; k++) {
        list[k]->gelu(in, bias, act, ROWS, WIDTH);
        for (int i = 0; i < ROWS * WIDTH; i++) {
            double x = (double)in[i] + bias[i % WIDTH], expected = x * 0.5 * (1 + erf(x / sqrt(2)));
            double bound = list[k]->form == FORM_F32 ? 5e-6 + 1e-6 * fabs(x) : 5e-5 + fabs(expected) / 256;
            near(list[k], "gelu", element(act, list[k]->form, (size_t)i), expected, bound);
        }
    }
    free(in);
    free(bias);
    free(act);
}

static void layer_norm_has_mean_and_variance_of_the_formula(void **s)
{
    (void)s;
    enum { ROWS = 5, WIDTH = 384 };
    const struct kernels *list[8];
    float *x = room(ROWS * WIDTH * 4), *add = room(ROWS * WIDTH * 4), *act = room(ROWS * WIDTH * 4), *kept = room(ROWS * WIDTH * 4);
    float *bias = room(WIDTH * 4), *gain = room(WIDTH * 4), *shift = room(WIDTH * 4);
    for (int i = 0; i < ROWS * WIDTH; i++) {
        kept[i] = noise(2);
        add[i] = noise(3);
    }
    for (int i = 0; i < WIDTH; i++) {
        bias[i] = noise(1);
        gain[i] = 1 + noise(0.5f);
        shift[i] = noise(0.5f);
    }
    int n = all_kernels(list);
    for (int k = 0; k < n; k++) {
        memcpy(x, kept, ROWS * WIDTH * 4);
        list[k]->layer_norm(x, add, bias, gain, shift, 1e-12f, act, ROWS, WIDTH);
        for (int r = 0; r < ROWS; r++) {
            double sum = 0, squares = 0;
            for (int i = 0; i < WIDTH; i++) sum += (double)kept[r * WIDTH + i] + add[r * WIDTH + i] + bias[i];
            for (int i = 0; i < WIDTH; i++) {
                double d = (double)kept[r * WIDTH + i] + add[r * WIDTH + i] + bias[i] - sum / WIDTH;
                squares += d * d;
            }
            for (int i = 0; i < WIDTH; i++) {
                double d = (double)kept[r * WIDTH + i] + add[r * WIDTH + i] + bias[i] - sum / WIDTH;
                double expected = d / sqrt(squares / WIDTH + 1e-12) * gain[i] + shift[i];
                near(list[k], "norm", x[r * WIDTH + i], expected, 1e-5);
                if (list[k]->form == FORM_BF16)
                    near(list[k], "narrowed norm", element(act, FORM_BF16, (size_t)(r * WIDTH + i)), expected, 1e-5 + fabs(expected) / 256);
            }
        }
    }
    free(x);
    free(add);
    free(act);
    free(kept);
    free(bias);
    free(gain);
    free(shift);
}

static void attend(const struct kernels *k, int len, int wanted, int heads, int dim)
{
    const size_t hidden = (size_t)heads * (size_t)dim, rows = (size_t)len + KERNELS_SPARE_ROWS;
    float       *wide = room(rows * 3 * hidden * 4), *ctx = room((size_t)len * hidden * 4);
    uint16_t    *half = room(rows * 3 * hidden * 2);
    void        *scratch = room(KERNELS_SCRATCH_BYTES);
    double      *weight = calloc((size_t)len, sizeof *weight);
    memset(scratch, 0x7f, KERNELS_SCRATCH_BYTES);
    for (size_t i = 0; i < rows * 3 * hidden; i++) {
        half[i] = narrowed(noise(i / hidden % 3 == 0 ? 0.8f : 2));
        wide[i] = widened(half[i]);
    }
    k->attention(k->form == FORM_BF16 ? (const void *)half : wide, ctx, len, wanted, heads, dim, scratch);
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < wanted; i += len > 40 ? 7 : 1) {
            const float *q = wide + (size_t)i * 3 * hidden + (size_t)h * (size_t)dim;
            double       sum = 0;
            for (int j = 0; j < len; j++) {
                const float *key = wide + (size_t)j * 3 * hidden + hidden + (size_t)h * (size_t)dim;
                double       score = 0;
                for (int d = 0; d < dim; d++) score += (double)q[d] * key[d];
                weight[j] = exp2(score);
                sum += weight[j];
            }
            for (int d = 0; d < dim; d++) {
                double expected = 0;
                for (int j = 0; j < len; j++)
                    expected += weight[j] / sum * wide[(size_t)j * 3 * hidden + 2 * hidden + (size_t)h * (size_t)dim + (size_t)d];
                double got = element(ctx, k->form, (size_t)i * hidden + (size_t)h * (size_t)dim + (size_t)d);
                near(k, "attention", got, expected, k->form == FORM_BF16 ? 2e-2 : k->gelu ? 2e-5 : 5e-3);
            }
        }
    for (size_t i = (size_t)wanted * hidden; i < (size_t)len * hidden; i++) assert_true(element(ctx, k->form, i) == 0);
    free(wide);
    free(ctx);
    free(half);
    free(scratch);
    free(weight);
}

static void attention_is_softmax_of_the_scores_for_every_length(void **s)
{
    (void)s;
    const struct kernels *list[10];
    int                   n = all_attentions(list);
    for (int k = 0; k < n; k++) {
        static const int lens[] = { 1, 2, 11, 12, 13, 15, 16, 17, 31, 32, 33, 47, 64, 100, 255, LIMIT_TOKENS };
        print_message("%s\n", list[k]->name);
        for (size_t i = 0; i < sizeof lens / sizeof *lens; i++) attend(list[k], lens[i], lens[i], 3, 32);
        attend(list[k], 45, 45, 2, 64);
        attend(list[k], LIMIT_TOKENS, LIMIT_TOKENS, 1, KERNELS_HEAD_DIM_MAX);
    }
}

static void attention_of_the_first_queries_alone_leaves_the_other_rows(void **s)
{
    (void)s;
    const struct kernels *list[10];
    int                   n = all_attentions(list);
    for (int k = 0; k < n; k++) {
        static const int cases[][2] = { { 1, 1 }, { 2, 1 }, { 12, 1 }, { 17, 1 }, { 33, 16 }, { 100, 13 }, { LIMIT_TOKENS, 1 } };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) attend(list[k], cases[i][0], cases[i][1], 3, 32);
        attend(list[k], LIMIT_TOKENS, 1, 2, KERNELS_HEAD_DIM_MAX);
    }
}

static void far_scores_neither_overflow_nor_vanish(void **s)
{
    (void)s;
    enum { LEN = 20, DIM = 32 };
    const struct kernels *list[10];
    float                *wide = room((LEN + KERNELS_SPARE_ROWS) * 3 * DIM * 4), *ctx = room(LEN * DIM * 4);
    uint16_t             *half = room((LEN + KERNELS_SPARE_ROWS) * 3 * DIM * 2);
    void                 *scratch = room(KERNELS_SCRATCH_BYTES);
    for (int r = 0; r < LEN; r++)
        for (int d = 0; d < DIM; d++) {
            wide[r * 3 * DIM + d] = 32;
            wide[r * 3 * DIM + DIM + d] = r == 7 ? 32 : -32;
            wide[r * 3 * DIM + 2 * DIM + d] = (float)r;
        }
    for (int i = 0; i < LEN * 3 * DIM; i++) half[i] = narrowed(wide[i]);
    int n = all_attentions(list);
    for (int k = 0; k < n; k++) {
        list[k]->attention(list[k]->form == FORM_BF16 ? (const void *)half : wide, ctx, LEN, LEN, 1, DIM, scratch);
        for (int i = 0; i < LEN * DIM; i++) near(list[k], "one-hot attention", element(ctx, list[k]->form, (size_t)i), 7, list[k]->gelu ? 1e-5 : 1e-3);
    }
    free(wide);
    free(ctx);
    free(half);
    free(scratch);
}

static void unit_and_mean_keep_zero_and_length(void **s)
{
    (void)s;
    float zero[4] = { 0 }, v[4] = { 3, 0, 4, 0 }, x[8] = { 1, 2, 3, 4, 3, 2, 1, 0 }, mean[4];
    kernels_unit(zero, 4);
    kernels_unit(v, 4);
    kernels_mean(x, 2, 4, mean);
    for (int i = 0; i < 4; i++) {
        assert_true(zero[i] == 0);
        assert_true(mean[i] == 2);
    }
    assert_true(fabsf(v[0] - 0.6f) < 1e-6f && fabsf(v[2] - 0.8f) < 1e-6f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gelu_is_the_exact_form_within_its_bound),
        cmocka_unit_test(layer_norm_has_mean_and_variance_of_the_formula),
        cmocka_unit_test(attention_is_softmax_of_the_scores_for_every_length),
        cmocka_unit_test(attention_of_the_first_queries_alone_leaves_the_other_rows),
        cmocka_unit_test(far_scores_neither_overflow_nor_vanish),
        cmocka_unit_test(unit_and_mean_keep_zero_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
