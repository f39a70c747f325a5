/* SPDX-License-Identifier: MIT */
/* The built-in list of models, and folders that only their address is known of. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#undef fail
#include "base/json.h"
#include "encoder/install.h"

static struct call c;

static int setup(void **s)
{
    static const struct setting *const tables[] = { install_settings, NULL };
    (void)s;
    call_init(&c);
    return conf_load(&c, tables, "/dev/null");
}

static int teardown(void **s)
{
    (void)s;
    conf_free();
    call_dispose(&c);
    return 0;
}

static void every_model_of_the_list_is_whole_and_pinned(void **s)
{
    (void)s;
    struct catalogue k;
    assert_int_equal(catalogue_read(&c, &k), OK);
    assert_true(k.count >= 5);
    for (int i = 0; i < k.count; i++) {
        const struct catalogue_model *m = &k.models[i];
        bool config = false, weights = false, tokens = false;
        assert_true(!strcmp(m->kind, "embedder") || !strcmp(m->kind, "cross-encoder"));
        assert_true(!strncmp(m->url, "https://", 8));
        /* A branch moves; what is asked for is a revision. */
        const char *revision = strstr(m->url, "/resolve/");
        assert_non_null(revision);
        assert_int_equal(strspn(revision + 9, "0123456789abcdef"), 40);
        assert_int_equal(strlen(revision + 9), 40);
        for (int f = 0; f < m->file_count; f++) {
            assert_non_null(m->files[f].sha256);
            config |= !strcmp(m->files[f].name, "config.json");
            weights |= !strcmp(m->files[f].name, INSTALL_WEIGHTS) && m->files[f].bytes > 0;
            tokens |= !strcmp(m->files[f].name, "vocab.txt") || !strcmp(m->files[f].name, "tokenizer.json");
        }
        assert_true(config && weights && tokens);
        assert_ptr_equal(catalogue_find(&k, m->name), m);
    }
    assert_null(catalogue_find(&k, "gpt"));
}

static void models_with_a_prefix_get_it_in_their_settings(void **s)
{
    (void)s;
    static const char *const names[] = { "snowflake-arctic-embed-xs", "bge-small-en-v1.5" };
    struct catalogue k;
    assert_int_equal(catalogue_read(&c, &k), OK);
    for (int i = 0; i < 2; i++) {
        json_t *o = NULL;
        const char *text = catalogue_find(&k, names[i])->settings;
        assert_non_null(text);
        assert_int_equal(json_parse(&c, text, strlen(text), &o), OK);
        assert_string_equal(json_get_text(o, "query_prefix", ""), "Represent this sentence for searching relevant passages: ");
        assert_string_equal(json_get_text(o, "pooling", ""), "cls");
        json_decref(o);
    }
    assert_null(catalogue_find(&k, "all-MiniLM-L6-v2")->settings);
}

static void the_base_can_be_another(void **s)
{
    (void)s;
    static const struct setting *const tables[] = { install_settings, NULL };
    struct catalogue k;
    conf_free();
    conf_set("MODELS_BASE_URL", "http://127.0.0.1:9/mirror//");
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
    assert_int_equal(catalogue_read(&c, &k), OK);
    const char *url = catalogue_find(&k, "bge-small-en-v1.5")->url;
    assert_true(!strncmp(url, "http://127.0.0.1:9/mirror/BAAI/", 31));
    conf_free();
    conf_set("MODELS_BASE_URL", "");
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
}

static void a_name_is_made_of_an_address(void **s)
{
    (void)s;
    static const struct {
        const char *url, *name, *expected, *folder;
    } rows[] = {
        { "https://h.example/me/model-x/resolve/main", NULL, "model-x", "https://h.example/me/model-x/resolve/main" },
        { "https://h.example/me/model-x/resolve/main/", NULL, "model-x", "https://h.example/me/model-x/resolve/main" },
        { "https://h.example/model?x=1", NULL, "model", "https://h.example/model" },
        { "https://h.example/a/b", "own", "own", "https://h.example/a/b" },
        { "https://h.example", NULL, NULL, NULL },
        { "https://h.example/", NULL, NULL, NULL },
        { "https://h.example/..", NULL, NULL, NULL },
        { "https://h.example/%2e%2e", NULL, NULL, NULL },
        { "https://h.example/a/.hidden", NULL, NULL, NULL },
        { "no address", NULL, NULL, NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct catalogue_model m = { 0 };
        enum err e = catalogue_of_url(&c, rows[i].url, rows[i].name, NULL, &m);
        assert_int_equal(e, rows[i].expected ? OK : ERR_INVALID);
        call_forgive(&c);
        if (e) continue;
        assert_string_equal(m.name, rows[i].expected);
        assert_string_equal(m.url, rows[i].folder);
        assert_string_equal(m.files[m.file_count - 1].name, INSTALL_WEIGHTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_of_the_list_is_whole_and_pinned),
        cmocka_unit_test(models_with_a_prefix_get_it_in_their_settings),
        cmocka_unit_test(the_base_can_be_another),
        cmocka_unit_test(a_name_is_made_of_an_address),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
