/* Whose vector is it? Caches and loaded models of one process, with copies of the default model that differ in what their
 * folders say. Skipped where the default model is not installed. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/metric.h"
#include "encoder/encoder.h"
#include "encoder/modelprint.h"
#include "knowledge/embed.h"
#include "knowledge/embedder.h"
#include "knowledge/knowledge.h"
#include "knowledge/passages.h"
#include "store/store.h"
#include "verbs.h"

#define RUNS "model=\"encoder\""
static char dir[64], models[80];
static struct call c;
static bool installed;

/* A folder with the default model's files, linked, and a chiron.json of its own. */
static void copy_model(const char *root, const char *name, const char *card)
{
    static const char *const files[] = { "model.safetensors", "config.json", "vocab.txt", "tokenizer.json", "tokenizer_config.json" };
    const char *folder = arena_printf(&c.mem, "%s/%s", root, name), *from = verb_models_dir(&c);
    mkdir(root, 0700);
    assert_int_equal(mkdir(folder, 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        assert_int_equal(symlink(arena_printf(&c.mem, "%s/all-MiniLM-L6-v2/%s", from, files[i]), arena_printf(&c.mem, "%s/%s", folder, files[i])), 0);
    FILE *f = fopen(arena_printf(&c.mem, "%s/chiron.json", folder), "w");
    assert_non_null(f);
    fputs(card, f);
    fclose(f);
}

static struct encoder *load_default(const char *root, const char *name)
{
    struct encoder *e = NULL;
    embedders_open(root);
    assert_ok(&c, encoder_load(&c, arena_printf(&c.mem, "%s/%s", root, name), ENCODER_AUTO, &e));
    encoder_set_default(e);
    return e;
}

static int set_up(void **s)
{
    (void)s;
    bool made;
    folder_new(dir);
    call_init(&c);
    conf_set("LLM_CHAIN", "extractive");
    assert_ok(&c, verb_settings(&c, NULL, LOG_ERROR));
    char print[MODELPRINT_STAMP_BYTES];
    installed = modelprint_stamp(arena_printf(&c.mem, "%s/all-MiniLM-L6-v2", verb_models_dir(&c)), print);
    if (!installed) {
        print_message("skipped: the default model is not installed\n");
        return 0;
    }
    snprintf(models, sizeof models, "%s/models", dir);
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, tenant_create(&c, "coach", "Coach", &made));
    assert_ok(&c, tenant_open(&c, "coach"));
    assert_ok(&c, knowledge_open(&c));
    return 0;
}

static int tear_down(void **s)
{
    (void)s;
    if (installed) {
        struct encoder *e = encoder_default();
        encoder_set_default(NULL);
        tenant_release(&c);
        knowledge_close();
        encoder_free(e);
        store_close();
    }
    conf_free();
    call_dispose(&c);
    folder_remove(dir);
    return 0;
}

static const float *embed_one(enum encoder_kind kind, const char *text)
{
    const float *v = NULL;
    const char *name = NULL;
    int dim = 0;
    assert_ok(&c, embed_texts(&c, kind, &text, NULL, 1, &v, &dim, &name));
    return v;
}

static void a_cached_vector_is_of_this_model_and_this_kind_of_text_RAG_023_RAG_024(void **s)
{
    (void)s;
    if (!installed) skip();
    copy_model(models, "m", "{\"query_prefix\": \"query: \"}");
    struct encoder *first = load_default(models, "m");
    double runs = metric_read("chiron_model_inference_seconds", RUNS);
    const float *q = embed_one(ENCODER_QUERY, "sleep"), *p = embed_one(ENCODER_PASSAGE, "sleep");
    assert_memory_not_equal(q, p, 384 * sizeof *q);
    assert_memory_equal(embed_one(ENCODER_QUERY, "sleep"), q, 384 * sizeof *q);
    assert_memory_equal(embed_one(ENCODER_PASSAGE, "sleep"), p, 384 * sizeof *p);
    assert_float_equal(metric_read("chiron_model_inference_seconds", RUNS), runs + 2, 0);
    /* The same name, another content: nothing of the first answers for it. */
    char other[96];
    snprintf(other, sizeof other, "%s/other", dir);
    copy_model(other, "m", "{\"query_prefix\": \"ask: \"}");
    encoder_set_default(NULL);
    struct encoder *second = load_default(other, "m");
    assert_memory_not_equal(embed_one(ENCODER_QUERY, "sleep"), q, 384 * sizeof *q);
    assert_float_equal(metric_read("chiron_model_inference_seconds", RUNS), runs + 3, 0);
    encoder_set_default(first);
    assert_memory_equal(embed_one(ENCODER_QUERY, "sleep"), q, 384 * sizeof *q);
    assert_float_equal(metric_read("chiron_model_inference_seconds", RUNS), runs + 3, 0);
    encoder_free(second);
}

static struct model_row row_of(const char *root, const char *name)
{
    char *print = arena_alloc(&c.mem, 65), *stamp = arena_alloc(&c.mem, MODELPRINT_STAMP_BYTES);
    const char *folder = arena_printf(&c.mem, "%s/%s", root, name);
    assert_true(modelprint_of(folder, print) && modelprint_stamp(folder, stamp));
    return (struct model_row){ .label = name, .name = name, .print = print, .stamp = stamp, .dim = 384 };
}

static struct model_row wanted;

static void *take_and_embed(void *arg)
{
    struct call k;
    struct embedder *m = NULL;
    float v[384];
    const char *text = "sleep";
    (void)arg;
    call_init(&k);
    assert_ok(&k, embedder_take(&k, &wanted, &m));
    assert_string_equal(embedder_name(m), "earlier");
    assert_ok(&k, encoder_embed(&k, embedder_encoder(m), &text, NULL, 1, v));
    embedder_give(m);
    call_dispose(&k);
    return NULL;
}

static void a_question_goes_to_the_model_of_the_vectors_or_to_none_RAG_014(void **s)
{
    (void)s;
    enum { THREADS = 4 };
    if (!installed) skip();
    copy_model(models, "now", "{\"query_prefix\": \"now: \"}");
    copy_model(models, "earlier", "{\"query_prefix\": \"then: \"}");
    load_default(models, "now");
    struct model_state state = { .active = row_of(models, "earlier") };
    const float *v = NULL, *own = NULL;
    const char *label = NULL;
    int dim = 0;
    assert_false(embedder_is_default(&state.active));
    assert_ok(&c, embed_question(&c, &state, "sleep", 5, &v, &dim, &label));
    assert_string_equal(label, "earlier");
    own = embed_one(ENCODER_QUERY, "sleep");
    assert_memory_not_equal(v, own, 384 * sizeof *v);
    /* Many who need it load it once. */
    pthread_t t[THREADS];
    wanted = state.active;
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, take_and_embed, NULL), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
    /* The default by another label, and touched. */
    state.active = row_of(models, "now");
    state.active.label = "now#1";
    state.active.stamp = "another";
    assert_true(embedder_is_default(&state.active));
    assert_ok(&c, embed_question(&c, &state, "sleep", 5, &v, &dim, &label));
    assert_string_equal(label, "now#1");
    assert_memory_equal(v, own, 384 * sizeof *v);
    /* Its folder holds something else now, or is gone: no other model stands in. */
    state.active = row_of(models, "earlier");
    state.active.print = "0123";
    state.active.stamp = "another";
    assert_int_equal(embed_question(&c, &state, "sleep", 5, &v, &dim, &label), ERR_NOT_FOUND);
    call_forgive(&c);
    state.active.name = "nowhere";
    assert_int_equal(embed_question(&c, &state, "sleep", 5, &v, &dim, &label), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_string_equal(label, "now#1");
}

static void a_folder_that_cannot_be_loaded_is_left_alone_for_a_while(void **s)
{
    (void)s;
    if (!installed) skip();
    copy_model(models, "now", "{}");
    copy_model(models, "broken", "{}");
    load_default(models, "now");
    struct model_row m = row_of(models, "broken");
    FILE *f = fopen(arena_printf(&c.mem, "%s/broken/chiron.json", models), "w");
    fputs("{\"pooling\": \"none at all\"}", f);
    fclose(f);
    m.print = "";
    struct embedder *got = NULL;
    assert_int_not_equal(embedder_take(&c, &m, &got), OK);
    call_forgive(&c);
    assert_int_equal(embedder_take(&c, &m, &got), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "could not be loaded"));
    call_forgive(&c);
    /* Repaired, it is tried at once: its stamp is another. */
    f = fopen(arena_printf(&c.mem, "%s/broken/chiron.json", models), "w");
    fputs("{}", f);
    fclose(f);
    assert_ok(&c, embedder_take(&c, &m, &got));
    embedder_give(got);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_cached_vector_is_of_this_model_and_this_kind_of_text_RAG_023_RAG_024),
        T(a_question_goes_to_the_model_of_the_vectors_or_to_none_RAG_014),
        T(a_folder_that_cannot_be_loaded_is_left_alone_for_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

const struct verb verb_table[] = { { 0 } };
