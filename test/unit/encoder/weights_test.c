/* SPDX-License-Identifier: MIT */
/* The installed model in int8 from its file of packed weights: the same vectors to the bit, whatever happened to the
 * file. The model's files are linked into a folder of the test's own, where the packed one is then written. */
#include "unit/encoder/model.h"

#include <sys/stat.h>
#include <unistd.h>

#include "encoder/packed.h"
#include "encoder/weights.h"

enum { TEXTS = 4 };
static const char *const texts[TEXTS] = { "a", "How do I sleep better?", "Progressive overload means adding weight or repetitions.",
                                          "M\xc3\xbcsli, 3 \xc3\x97 12 squats" };
static const char *const files[] = { "model.safetensors", "config.json", "vocab.txt", "tokenizer_config.json", "modules.json" };

static struct call c;
static char        folder[] = "/tmp/chiron-weights-XXXXXX", packed[64];
static float       expected[TEXTS * DIM];

static void path_in(char *out, size_t size, const char *name) { snprintf(out, size, "%s/%s", folder, name); }

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    if (!mkdtemp(folder)) return 1;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[1200], to[128];
        snprintf(from, sizeof from, "%s/%s", model_folder(), files[i]);
        path_in(to, sizeof to, files[i]);
        if (access(from, R_OK) == 0 && symlink(from, to)) return 1;
    }
    path_in(packed, sizeof packed, "int8.packed");
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    char path[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        path_in(path, sizeof path, files[i]);
        unlink(path);
    }
    unlink(packed);
    call_dispose(&c);
    return rmdir(folder);
}

static void settings(const char *cache)
{
    conf_free();
    conf_set("ENCODER_CACHE", cache);
    model_settings(&c, "1");
}

static bool from_file(void)
{
    struct weights w;
    assert_int_equal(weights_load(&c, folder, FORM_INT8, &w), OK);
    bool yes = w.packed.file.size > 0;
    assert_true(yes == !w.packed.room);
    weights_dispose(&w);
    return yes;
}

static void embed(float *out)
{
    struct encoder *e = NULL;
    enum err        r = encoder_load(&c, folder, ENCODER_INT8, &e);
    if (r) print_error("%s\n", c.err_text);
    assert_int_equal(r, OK);
    assert_string_equal(encoder_precision_used(e), "int8");
    assert_int_equal(encoder_embed(&c, e, texts, NULL, TEXTS, out), OK);
    encoder_free(e);
}

static void without_the_setting_nothing_is_kept(void **s)
{
    (void)s;
    settings("off");
    embed(expected);
    assert_int_equal(access(packed, F_OK), -1);
    settings("on");
}

static void kept_weights_give_the_same_vectors_to_the_bit(void **s)
{
    (void)s;
    float v[TEXTS * DIM];
    embed(v);
    assert_memory_equal(v, expected, sizeof v);
    assert_int_equal(access(packed, R_OK), 0);
    assert_true(from_file());
    embed(v);
    assert_memory_equal(v, expected, sizeof v);
}

static void damaged_ones_give_them_too(void **s)
{
    (void)s;
    struct stat st;
    float       v[TEXTS * DIM];
    assert_int_equal(stat(packed, &st), 0);
    const long places[] = { 9, 60, 130, 400, 5000, (long)st.st_size / 2, (long)st.st_size - 70 };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        FILE *f = fopen(packed, "r+b");
        assert_non_null(f);
        fseek(f, places[i], SEEK_SET);
        int byte = fgetc(f);
        fseek(f, places[i], SEEK_SET);
        fputc(byte ^ 4, f);
        fclose(f);
        embed(v);    /* not used, made anew */
        assert_memory_equal(v, expected, sizeof v);
        assert_true(from_file());
    }
    assert_int_equal(truncate(packed, st.st_size - 4096), 0);
    assert_false(from_file());
    assert_true(from_file());
}

/* The same shapes, other numbers: nothing but the file's content tells the two apart. */
static void another_model_s_file_under_this_name_is_refused(void **s)
{
    (void)s;
    char   model[128], kept[128], line[65536];
    float  v[TEXTS * DIM], other[TEXTS * DIM];
    path_in(model, sizeof model, files[0]);
    path_in(kept, sizeof kept, "kept");
    assert_true(from_file());
    assert_int_equal(rename(packed, kept), 0);
    FILE *from = fopen(model, "rb");
    assert_int_equal(unlink(model), 0);
    FILE  *to = fopen(model, "wb");
    size_t n;
    assert_non_null(from);
    assert_non_null(to);
    while ((n = fread(line, 1, sizeof line, from)) > 0) assert_int_equal(fwrite(line, 1, n, to), n);
    /* The sign of some numbers near the end, where a layer's matrices are. */
    fseek(to, -2000001, SEEK_END);
    for (int i = 0; i < 400000; i++) {
        fseek(from, -2000001 + 4 * i, SEEK_END);
        int byte = fgetc(from);
        fseek(to, -2000001 + 4 * i, SEEK_END);
        fputc(byte ^ 0x80, to);
    }
    fclose(from);
    fclose(to);
    embed(other);
    assert_true(cosine(other + DIM, expected + DIM) < 0.9999);
    assert_int_equal(rename(kept, packed), 0);
    embed(v);
    assert_memory_equal(v, other, sizeof v);
    assert_int_equal(unlink(model), 0);
    char whole[1200];
    snprintf(whole, sizeof whole, "%s/%s", model_folder(), files[0]);
    assert_int_equal(symlink(whole, model), 0);
    embed(v);
    assert_memory_equal(v, expected, sizeof v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_setting_nothing_is_kept),
        cmocka_unit_test(kept_weights_give_the_same_vectors_to_the_bit),
        cmocka_unit_test(damaged_ones_give_them_too),
        cmocka_unit_test(another_model_s_file_under_this_name_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
