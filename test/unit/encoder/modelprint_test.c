/* When is a model folder another model? */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <string.h>
#include <sys/stat.h>

#include "encoder/modelprint.h"

static char dir[64];

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static void only_what_decides_a_vector_makes_another_model(void **s)
{
    (void)s;
    char first[65], print[65], stamp[MODELPRINT_STAMP_BYTES], other[MODELPRINT_STAMP_BYTES];
    folder_new(dir);
    assert_false(modelprint_stamp(dir, stamp));
    assert_false(modelprint_of(dir, first));
    write_file("config.json", "{}");
    assert_false(modelprint_of(dir, first));                 /* no weights, no model */
    write_file("model.safetensors", "weights");
    assert_true(modelprint_stamp(dir, stamp) && modelprint_of(dir, first));
    assert_int_equal(strlen(first), 64);
    assert_int_equal(strlen(stamp), MODELPRINT_STAMP_BYTES - 1);
    /* Caches and texts beside it are not looked at. */
    write_file("int8.packed", "packed");
    write_file("README.md", "words");
    assert_true(modelprint_stamp(dir, other) && modelprint_of(dir, print));
    assert_string_equal(print, first);
    assert_string_equal(other, stamp);
    /* Written anew with the same bytes: another stamp, the same model. */
    usleep(20000);
    write_file("model.safetensors", "weights");
    assert_true(modelprint_stamp(dir, other) && modelprint_of(dir, print));
    assert_string_equal(print, first);
    assert_string_not_equal(other, stamp);
    /* A prefix, a pooling, a vocabulary make another. */
    static const char *const files[] = { "chiron.json", "vocab.txt", "config_sentence_transformers.json", "model.safetensors" };
    char last[65];
    memcpy(last, first, sizeof last);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        write_file(files[i], "something else");
        assert_true(modelprint_of(dir, print));
        assert_string_not_equal(print, last);
        memcpy(last, print, sizeof last);
    }
    folder_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(only_what_decides_a_vector_makes_another_model) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
