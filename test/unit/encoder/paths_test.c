/* SPDX-License-Identifier: MIT */
/* Every way this CPU can take through the encoder, each forced by its setting: vectors of the reference's texts against
 * f32 and against each other. */
#include "unit/encoder/model.h"

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
            assert_true(least_scrap >= (p == ENCODER_INT8 ? 0.9975 : p == ENCODER_BF16 ? 0.999 : 0.9999));
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
        cmocka_unit_test(each_forced_path_agrees_with_f32_and_with_the_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
