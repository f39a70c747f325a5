/* SPDX-License-Identifier: MIT */
/* Every way this CPU can take through the encoder, each forced by its setting: the steps of int8 against the plain
 * ones, and whole vectors of the reference's texts against f32 and against each other. */
#include "unit/encoder/model.h"

#include <math.h>

#include "encoder/precision.h"

static struct call c;

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_dispose(&c);
    return 0;
}

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
    for (int i = 0; i < KERNELS_INT8_ROWS; i++) t->row[i] = (struct kernels_row){ 0.01f + 0.001f * (float)(i % 7), -1.3f + 0.01f * (float)i };
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
    assert_ptr_equal(list[0], &kernels_int8_portable);
    for (int i = 1; i < n; i++) {
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

/* ---- whole vectors ---- */

/* Nothing, a blank, a letter: under five tokens, frame included, there is no mean over which errors cancel. */
enum { PATHS = 12, SCRAP = 5 };
static struct row rows[ROWS_MAX];

/* Loads with kernels of this kind; NULL where the CPU lacks it. */
static struct encoder *forced(const char *kind, enum encoder_precision p)
{
    struct encoder *e = NULL;
    conf_free();
    conf_set("ENCODER_KERNELS", kind);
    model_settings(&c, "2");
    enum err r = encoder_load(&c, model_folder(), p, &e);
    if (r) {
        if (r != ERR_INVALID) print_error("%s\n", c.err_text);
        assert_int_equal(r, ERR_INVALID);
        assert_string_equal(c.err_field, "ENCODER_KERNELS");
        call_forgive(&c);
        return NULL;
    }
    return e;
}

static void each_forced_path_agrees_with_f32_and_with_the_others(void **s)
{
    (void)s;
    static const char *const kinds[] = { "portable", "avx2", "avx512", "amx" };
    json_t     *keep;
    const char *texts[ROWS_MAX];
    size_t      lens[ROWS_MAX];
    int         n = read_rows(shared_reference(), rows, &keep);
    if (!n) {
        json_decref(keep);
        keep = NULL;
        n = read_rows("test/fixtures/minilm_rows.jsonl", rows, &keep);
    }
    assert_true(n >= 10);
    for (int i = 0; i < n; i++) {
        texts[i] = rows[i].text;
        lens[i] = rows[i].len;
    }
    float      *v[PATHS] = { 0 };
    const char *name[PATHS];
    int         paths = 0;
    for (int p = ENCODER_F32; p <= ENCODER_INT8; p++)
        for (int k = 0; k < 4; k++) {
            if (p == ENCODER_BF16 && k < 2) continue;
            struct encoder *e = forced(kinds[k], (enum encoder_precision)p);
            if (!e) continue;
            assert_true(!strncmp(encoder_kernels_used(e), kinds[k], strlen(kinds[k])));
            v[paths] = malloc((size_t)n * DIM * sizeof(float));
            assert_non_null(v[paths]);
            assert_int_equal(encoder_embed(&c, e, texts, lens, n, v[paths]), OK);
            double least = 1, least_scrap = 1, sum = 0;
            int    whole = 0;
            for (int i = 0; i < n; i++) {
                double near = cosine(v[paths] + i * DIM, rows[i].embedding);
                if (rows[i].count < SCRAP) {
                    if (near < least_scrap) least_scrap = near;
                    continue;
                }
                whole++;
                sum += near;
                if (near < least) least = near;
            }
            print_message("%s %s: least cosine %.6f, mean %.6f; of scraps of text %.6f\n", encoder_precision_used(e),
                          encoder_kernels_used(e), least, sum / whole, least_scrap);
            assert_true(least >= (p == ENCODER_INT8 ? 0.9975 : p == ENCODER_BF16 ? 0.999 : 0.9999));
            assert_true(least_scrap >= (p == ENCODER_INT8 ? 0.985 : p == ENCODER_BF16 ? 0.999 : 0.9999));
            name[paths] = p == ENCODER_INT8 ? kinds[k] : NULL;
            paths++;
            encoder_free(e);
        }
    /* Sums are the same integers; a last bit of a float before a rounding to 8 bits is not, and what then differs is as
     * large as what rounding activations costs each path. */
    for (int a = 0; a < paths; a++)
        for (int b = a + 1; b < paths; b++) {
            double least = 1, all = 0;
            if (!name[a] || !name[b]) continue;
            for (int i = 0; i < n; i++) {
                double near = cosine(v[a] + i * DIM, v[b] + i * DIM);
                all += near;
                if (rows[i].count >= SCRAP && near < least) least = near;
            }
            print_message("int8 %s and %s: least cosine %.6f, mean %.6f\n", name[a], name[b], least, all / n);
            assert_true(least >= 0.9965 && all / n >= 0.998);
        }
    for (int a = 0; a < paths; a++) free(v[a]);
    json_decref(keep);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_of_int8_is_that_of_the_plain_kernels),
        cmocka_unit_test(a_row_of_equal_numbers_and_one_of_zeros_survive),
        cmocka_unit_test(each_forced_path_agrees_with_f32_and_with_the_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
