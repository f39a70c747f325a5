/* SPDX-License-Identifier: MIT */
/* What a model's folder says, and what it may not say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#undef fail
#include "encoder/card.h"
#include "store/folder.h"

static struct call c;
static char        place[] = "/tmp/chiron-card-XXXXXX";

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    return mkdtemp(place) ? 0 : 1;
}

static int teardown(void **s)
{
    (void)s;
    folder_drop(place);
    call_dispose(&c);
    return 0;
}

static void put(const char *name, const char *text)
{
    const char *path = arena_printf(&c.mem, "%s/%s", place, name);
    assert_int_equal(folder_make_for(&c, path), OK);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

#define SIZES(more) "{\"hidden_size\":64,\"num_hidden_layers\":2,\"num_attention_heads\":2,\"intermediate_size\":128," \
                    "\"max_position_embeddings\":512,\"vocab_size\":100" more "}"

/* A folder with config.json only. */
static void anew(void)
{
    call_forgive(&c);
    folder_drop(place);
    assert_int_equal(mkdir(place, 0700), 0);
    put("config.json", SIZES(""));
}

static struct card good(void)
{
    struct card k = { 0 };
    enum err    e = card_read(&c, place, &k);
    if (e) print_error("%s\n", c.err_text);
    assert_int_equal(e, OK);
    return k;
}

static void config_alone_means_the_libraries_defaults(void **s)
{
    (void)s;
    anew();
    struct card k = good();
    assert_int_equal(k.hidden, 64);
    assert_int_equal(k.head_dim, 32);
    assert_int_equal(k.token_types, 2);
    assert_int_equal(k.pooling, CARD_MEAN);
    assert_int_equal(k.max_tokens, 512);
    assert_true(k.lower_case && k.strip_accents && k.split_chinese && !k.cross_encoder);
    for (int i = 0; i < ENCODER_KINDS; i++) assert_string_equal(k.prefix[i], "");
}

static void a_sequence_classifier_is_a_cross_encoder(void **s)
{
    (void)s;
    anew();
    put("config.json", SIZES(",\"architectures\":[\"BertForSequenceClassification\"]"));
    assert_true(good().cross_encoder);
}

static void the_pooling_is_found_under_either_way_of_saying_it(void **s)
{
    (void)s;
    anew();
    put("1_Pooling/config.json", "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":false}");
    assert_int_equal(good().pooling, CARD_FIRST);
    put("1_Pooling/config.json", "{\"pooling_mode\":\"cls\"}");
    assert_int_equal(good().pooling, CARD_FIRST);
    put("modules.json", "[{\"type\":\"sentence_transformers.models.Transformer\",\"path\":\"\"},{\"type\":\"x.Pooling\",\"path\":\"2_Here\"},"
                        "{\"type\":\"x.Normalize\",\"path\":\"3\"}]");
    assert_int_equal(good().pooling, CARD_MEAN);
    put("2_Here/config.json", "{\"pooling_mode_cls_token\":true}");
    struct card k = good();
    assert_int_equal(k.pooling, CARD_FIRST);
    assert_true(k.normalised);
    put("chiron.json", "{\"pooling\":\"mean\"}");
    assert_int_equal(good().pooling, CARD_MEAN);
    assert_string_equal(card_pooling_name(CARD_MEAN), "mean");
    assert_string_equal(card_pooling_name(CARD_FIRST), "cls");
}

static void the_shortest_of_what_is_said_of_length_holds(void **s)
{
    (void)s;
    anew();
    put("tokenizer_config.json", "{\"model_max_length\":1000000000000000019884624838656}");
    assert_int_equal(good().max_tokens, 512);
    put("tokenizer_config.json", "{\"model_max_length\":300}");
    assert_int_equal(good().max_tokens, 300);
    put("sentence_bert_config.json", "{\"max_seq_length\":null}");
    assert_int_equal(good().max_tokens, 300);
    put("sentence_bert_config.json", "{\"max_seq_length\":400}");
    assert_int_equal(good().max_tokens, 400);
    put("sentence_bert_config.json", "{\"max_seq_length\":4000}");
    assert_int_equal(good().max_tokens, 512);
    put("chiron.json", "{\"max_tokens\":20}");
    assert_int_equal(good().max_tokens, 20);
}

static void accents_follow_the_case_unless_they_are_named(void **s)
{
    (void)s;
    anew();
    put("tokenizer_config.json", "{\"do_lower_case\":false,\"tokenize_chinese_chars\":false}");
    struct card k = good();
    assert_true(!k.lower_case && !k.strip_accents && !k.split_chinese);
    put("tokenizer_config.json", "{\"do_lower_case\":true,\"strip_accents\":false}");
    k = good();
    assert_true(k.lower_case && !k.strip_accents);
    put("tokenizer_config.json", "{\"do_lower_case\":false,\"strip_accents\":null}");
    put("sentence_bert_config.json", "{\"do_lower_case\":true}");
    k = good();
    assert_true(k.lower_case && !k.strip_accents);
}

static void prefixes_come_from_prompts_and_the_folders_own_file_is_stronger(void **s)
{
    (void)s;
    anew();
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"q: \",\"document\":\"d: \",\"other\":\"o: \"},\"default_prompt_name\":null}");
    struct card k = good();
    assert_string_equal(k.prefix[ENCODER_PLAIN], "");
    assert_string_equal(k.prefix[ENCODER_QUERY], "q: ");
    assert_string_equal(k.prefix[ENCODER_PASSAGE], "d: ");
    put("config_sentence_transformers.json", "{\"prompts\":{\"query\":\"q: \",\"other\":\"o: \"},\"default_prompt_name\":\"other\"}");
    k = good();
    assert_string_equal(k.prefix[ENCODER_PLAIN], "o: ");
    assert_string_equal(k.prefix[ENCODER_QUERY], "q: ");
    assert_string_equal(k.prefix[ENCODER_PASSAGE], "o: ");
    put("chiron.json", "{\"query_prefix\":\"\",\"passage_prefix\":\"p: \"}");
    k = good();
    assert_string_equal(k.prefix[ENCODER_QUERY], "");
    assert_string_equal(k.prefix[ENCODER_PASSAGE], "p: ");
}

static void what_cannot_be_done_is_refused_by_name(void **s)
{
    (void)s;
    static const char transformer[] = "[{\"type\":\"Transformer\",\"path\":\"\"},{\"type\":\"Pooling\",\"path\":\"1_Pooling\"}]";
    static const struct {
        const char *file, *text, *words;
        const char *other, *other_text;
    } rows[] = {
        { "config.json", SIZES(",\"model_type\":\"xlm-roberta\""), "xlm-roberta; only bert", 0, 0 },
        { "config.json", SIZES(",\"model_type\":\"roberta\""), "roberta; only bert", 0, 0 },
        { "config.json", SIZES(",\"hidden_act\":\"relu\""), "relu", 0, 0 },
        { "config.json", SIZES(",\"position_embedding_type\":\"relative_key\""), "position_embedding_type", 0, 0 },
        { "config.json", SIZES(",\"is_decoder\":true"), "is_decoder", 0, 0 },
        { "config.json", SIZES(",\"layer_norm_eps\":1"), "layer_norm_eps", 0, 0 },
        { "config.json", SIZES(",\"type_vocab_size\":0"), "type_vocab_size", 0, 0 },
        { "config.json", SIZES(",\"hidden_size\":64"), "not JSON", 0, 0 },
        { "config.json", "{\"hidden_size\":1e300}", "hidden_size is not 1 to 4096", 0, 0 },
        { "config.json", "{\"hidden_size\":64.5}", "hidden_size", 0, 0 },
        { "config.json", "{\"hidden_size\":\"64\"}", "hidden_size", 0, 0 },
        { "config.json", "{\"hidden_size\":64,\"num_hidden_layers\":9999999999999999999999}", "num_hidden_layers is not 1 to 64", 0, 0 },
        { "config.json", "[]", "no object", 0, 0 },
        { "config.json", "{\"hidden_size\":", "not JSON, line 1", 0, 0 },
        { "modules.json", "{}", "no array", 0, 0 },
        { "modules.json", "[{\"type\":\"Transformer\",\"path\":\"0_Transformer\"}]", "0_Transformer", 0, 0 },
        { "modules.json", "[{\"type\":\"Transformer\",\"path\":\"\"},{\"type\":\"x.Dense\",\"path\":\"2_Dense\"}]", "the step Dense", 0, 0 },
        { "modules.json", "[{\"type\":\"x.Pooling\",\"path\":\"../up\"}]", "plain name", 0, 0 },
        { "modules.json", "[{\"type\":\"x.Pooling\",\"path\":\"a\"},{\"type\":\"x.Pooling\",\"path\":\"b\"}]", "the step Pooling", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode_max_tokens\":true}", "pooling is max", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode_weightedmean_tokens\":true}", "pooling is weightedmean", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode_lasttoken\":true}", "pooling is lasttoken", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}", "both mean and cls", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode_cls_token\":false}", "no pooling is on", 0, 0 },
        { "1_Pooling/config.json", "{\"pooling_mode\":\"max\"}", "pooling is max", 0, 0 },
        { "1_Pooling/config.json", "{\"include_prompt\":false}", "include_prompt", "chiron.json", "{\"query_prefix\":\"q: \"}" },
        { "config_sentence_transformers.json", "{\"default_prompt_name\":\"x\"}", "default_prompt_name is x", 0, 0 },
        { "config_sentence_transformers.json", "{\"prompts\":{\"query\":7}}", "no text", 0, 0 },
        { "config_sentence_transformers.json", "{\"prompts\":[]}", "no object", 0, 0 },
        { "config_sentence_transformers.json", "{\"similarity_fn_name\":\"dot\"}", "compared by dot", "modules.json", transformer },
        { "chiron.json", "{\"query_prefiks\":\"\"}", "query_prefiks is not known", 0, 0 },
        { "chiron.json", "{\"pooling\":\"max\"}", "pooling is max", 0, 0 },
        { "chiron.json", "{\"max_tokens\":513}", "not 2 to 512", 0, 0 },
        { "chiron.json", "{\"max_tokens\":1}", "not 2 to 512", 0, 0 },
        { "sentence_bert_config.json", "7", "sentence_bert_config.json: not JSON", 0, 0 },
        { "tokenizer_config.json", "{", "tokenizer_config.json: not JSON", 0, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct card k = { .hidden = 7 };
        anew();
        put(rows[i].file, rows[i].text);
        if (rows[i].other) put(rows[i].other, rows[i].other_text);
        enum err e = card_read(&c, place, &k);
        if (e != ERR_CORRUPT || !strstr(c.err_text, rows[i].words)) print_error("%s %s: %d \"%s\"\n", rows[i].file, rows[i].text, (int)e, c.err_text);
        assert_int_equal(e, ERR_CORRUPT);
        assert_non_null(strstr(c.err_text, rows[i].words));
        assert_int_equal(k.hidden, 7);
    }
}

static void a_long_prefix_and_a_large_file_are_refused_by_their_limits(void **s)
{
    (void)s;
    struct card k;
    char       *text = malloc(1100000);
    anew();
    snprintf(text, 700, "{\"query_prefix\":\"%0600d\"}", 1);
    put("chiron.json", text);
    assert_int_equal(card_read(&c, place, &k), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "over 511 bytes"));
    anew();
    memset(text, ' ', 1100000);
    text[0] = '{';
    text[1099998] = '}';
    text[1099999] = 0;
    put("modules.json", text);
    assert_int_equal(card_read(&c, place, &k), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "modules.json: over 1048576 bytes"));
    call_forgive(&c);
    free(text);
}

static void without_config_there_is_no_model(void **s)
{
    (void)s;
    struct card k;
    anew();
    unlink(arena_printf(&c.mem, "%s/config.json", place));
    assert_int_equal(card_read(&c, place, &k), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "config.json"));
    call_forgive(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_alone_means_the_libraries_defaults),
        cmocka_unit_test(a_sequence_classifier_is_a_cross_encoder),
        cmocka_unit_test(the_pooling_is_found_under_either_way_of_saying_it),
        cmocka_unit_test(the_shortest_of_what_is_said_of_length_holds),
        cmocka_unit_test(accents_follow_the_case_unless_they_are_named),
        cmocka_unit_test(prefixes_come_from_prompts_and_the_folders_own_file_is_stronger),
        cmocka_unit_test(what_cannot_be_done_is_refused_by_name),
        cmocka_unit_test(a_long_prefix_and_a_large_file_are_refused_by_their_limits),
        cmocka_unit_test(without_config_there_is_no_model),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
