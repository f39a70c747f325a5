/* SPDX-License-Identifier: MIT */
/* A small random cross-encoder: pairs in batches against pairs alone, what a deadline leaves, and folders that are wrong.
 * That its numbers are those of the architecture is shown against another implementation in test/quality/cross_encoder.py. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <pthread.h>

#undef fail
#include "base/clock.h"
#include "base/conf.h"
#include "encoder/pair.h"
#include "encoder/reranker.h"
#include "unit/encoder/random_bert.h"

enum { TEXTS = 100, THREADS = 8 };

static char         folder[96], base[64];
static const char  *text[TEXTS];
static struct call  setting_call;

static void make_texts(void)
{
    bert_seed = 3;
    for (int i = 0; i < TEXTS; i++) {
        struct buf b;
        buf_init(&b, 16 * 1024);
        int words = i % 10 == 9 ? 400 : 3 + i % 60;
        for (int k = 0; k < words; k++) buf_printf(&b, "w%d ", (int)fabsf(bert_noise(BERT_WORDS)));
        text[i] = buf_take(&b, NULL);
    }
}

static int set_up(void **s)
{
    (void)s;
    static const struct setting *const tables[] = { encoder_settings, NULL };
    call_init(&setting_call);
    conf_set("ENCODER_THREADS", "2");
    if (conf_load(&setting_call, tables, "/dev/null")) return 1;
    snprintf(base, sizeof base, "/tmp/chiron-bert-XXXXXX");
    if (!mkdtemp(base)) return 1;
    snprintf(folder, sizeof folder, "%s/tiny-cross", base);
    random_bert_write(&(struct random_bert){ .folder = folder });
    make_texts();
    return 0;
}

static int tear_down(void **s)
{
    (void)s;
    for (int i = 0; i < TEXTS; i++) free((void *)(uintptr_t)text[i]);
    random_bert_remove(folder);
    rmdir(base);
    conf_free();
    call_dispose(&setting_call);
    return 0;
}

static struct reranker *loaded(struct call *c, enum encoder_precision p)
{
    struct reranker *r = NULL;
    enum err         e = reranker_load(c, folder, p, &r);
    if (e) print_error("%s\n", c->err_text);
    assert_int_equal(e, OK);
    assert_string_equal(reranker_name(r), "tiny-cross");
    return r;
}

static const char query[] = "w1 w17 w33 how w50";

struct place {
    float score;
    int   at;
};
static int by_score(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->score > y->score ? -1 : x->score < y->score ? 1 : x->at - y->at;
}

static void batches_give_what_pairs_give_alone(enum encoder_precision p, float bound)
{
    struct call         c;
    struct reranker_run run, one;
    float               together[TEXTS], alone[TEXTS], least = INFINITY, most = -INFINITY;
    struct place        first[TEXTS], second[TEXTS];
    call_init(&c);
    struct reranker *r = loaded(&c, p);
    assert_int_equal(reranker_score(&c, r, query, text, NULL, TEXTS, together, &run), OK);
    assert_int_equal(run.scored, TEXTS);
    assert_in_range(run.batches, 2, TEXTS / 2);
    for (int i = 0; i < TEXTS; i++) {
        assert_int_equal(reranker_score(&c, r, query, &text[i], NULL, 1, &alone[i], &one), OK);
        assert_int_equal(one.batches, 1);
        if (!(fabsf(together[i] - alone[i]) <= bound)) print_error("%d: %f alone %f\n", i, (double)together[i], (double)alone[i]);
        assert_true(fabsf(together[i] - alone[i]) <= bound);
        least = fminf(least, alone[i]);
        most = fmaxf(most, alone[i]);
        first[i] = (struct place){ together[i], i };
        second[i] = (struct place){ alone[i], i };
    }
    qsort(first, TEXTS, sizeof *first, by_score);
    qsort(second, TEXTS, sizeof *second, by_score);
    /* Neighbours may change places only where rounding could not tell them apart. */
    for (int i = 0; i < TEXTS; i++)
        assert_true(first[i].at == second[i].at || fabsf(alone[first[i].at] - alone[second[i].at]) <= 2 * bound);
    print_message("%s: %d pairs of %d tokens in %d batches, logits %.3f to %.3f\n", reranker_precision_used(r), run.scored,
                  run.tokens, run.batches, (double)least, (double)most);
    assert_true(most - least > 0.2f);
    reranker_free(r);
    call_dispose(&c);
}

static void a_hundred_candidates_in_batches_have_the_order_of_single_pairs_RAG_021(void **s)
{
    (void)s;
    batches_give_what_pairs_give_alone(ENCODER_F32, 2e-5f);
    batches_give_what_pairs_give_alone(ENCODER_BF16, 2e-5f);
    batches_give_what_pairs_give_alone(ENCODER_INT8, 2e-5f);
}

static void both_parts_of_a_pair_count(void **s)
{
    (void)s;
    struct call         c;
    struct reranker_run run;
    float               v[5];
    const char         *swapped = query, *empty = "";
    call_init(&c);
    struct reranker *r = loaded(&c, ENCODER_F32);
    assert_int_equal(reranker_score(&c, r, query, text, NULL, 1, &v[0], &run), OK);
    assert_int_equal(reranker_score(&c, r, "w1 w17 w34 how w50", text, NULL, 1, &v[1], &run), OK);
    assert_int_equal(reranker_score(&c, r, text[0], &swapped, NULL, 1, &v[2], &run), OK);   /* same tokens, other types */
    assert_int_equal(reranker_score(&c, r, query, &empty, NULL, 1, &v[3], &run), OK);
    assert_int_equal(reranker_score(&c, r, query, text, (size_t[]){ 0 }, 1, &v[4], &run), OK);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++) assert_true(fabsf(v[i] - v[k]) > 1e-4f);
    assert_true(v[3] == v[4]);
    assert_int_equal(reranker_score(&c, r, query, text, NULL, 0, v, &run), OK);
    assert_int_equal(run.scored, 0);
    char *big = calloc(1, LIMIT_QUERY_BYTES + 2);
    memset(big, 'a', LIMIT_QUERY_BYTES + 1);
    assert_int_equal(reranker_score(&c, r, big, text, NULL, 1, v, &run), ERR_TOO_LARGE);
    free(big);
    reranker_free(r);
    call_dispose(&c);
}

struct asker {
    struct reranker *r;
    float            got[TEXTS];
};
static void *ask(void *arg)
{
    struct asker       *a = arg;
    struct reranker_run run;
    struct call         c;
    call_init(&c);
    for (int i = 0; i < 3; i++)
        if (reranker_score(&c, a->r, query, text, NULL, TEXTS, a->got, &run) || run.scored != TEXTS) abort();
    call_dispose(&c);
    return NULL;
}

static void eight_threads_get_what_one_gets(void **s)
{
    (void)s;
    static struct asker asker[THREADS];
    pthread_t           thread[THREADS];
    struct call         c;
    call_init(&c);
    struct reranker *r = loaded(&c, ENCODER_BF16);
    for (int i = 0; i < THREADS; i++) {
        asker[i].r = r;
        assert_int_equal(pthread_create(&thread[i], NULL, ask, &asker[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) pthread_join(thread[i], NULL);
    for (int i = 1; i < THREADS; i++) assert_memory_equal(asker[0].got, asker[i].got, sizeof asker[0].got);
    reranker_free(r);
    call_dispose(&c);
}

static void a_deadline_leaves_the_first_ones_scored_and_is_no_error(void **s)
{
    (void)s;
    struct call         c;
    struct reranker_run run;
    float               all[TEXTS], some[TEXTS];
    int                 partial = 0;
    call_init(&c);
    struct reranker *r = loaded(&c, ENCODER_F32);
    assert_int_equal(reranker_score(&c, r, query, text, NULL, TEXTS, all, &run), OK);
    c.deadline_ms = clock_mono_ms() - 1;
    assert_int_equal(reranker_score(&c, r, query, text, NULL, TEXTS, some, &run), OK);
    assert_int_equal(run.scored, 0);
    assert_int_equal(run.batches, 0);
    assert_int_equal(c.err, OK);
    for (int ms = 1; ms <= 40; ms++) {
        c.deadline_ms = clock_mono_ms() + ms;
        memset(some, 0, sizeof some);
        assert_int_equal(reranker_score(&c, r, query, text, NULL, TEXTS, some, &run), OK);
        assert_in_range(run.scored, 0, TEXTS);
        partial += run.scored > 0 && run.scored < TEXTS;
        for (int i = 0; i < run.scored; i++) assert_true(fabsf(some[i] - all[i]) < 2e-5f);
        if (run.scored == TEXTS) break;
    }
    print_message("%d times a part of the texts was scored\n", partial);
    reranker_free(r);
    call_dispose(&c);
}

static void a_stopped_call_is_cancelled(void **s)
{
    (void)s;
    struct call         c;
    struct reranker_run run;
    float               v[TEXTS];
    atomic_bool         stop = true;
    call_init(&c);
    struct reranker *r = loaded(&c, ENCODER_F32);
    c.stop = &stop;
    assert_int_equal(reranker_score(&c, r, query, text, NULL, TEXTS, v, &run), ERR_CANCELLED);
    reranker_free(r);
    call_dispose(&c);
}

static void the_time_left_says_how_many_texts_it_is_enough_for(void **s)
{
    (void)s;
    struct call c;
    call_init(&c);
    struct reranker *r = loaded(&c, ENCODER_F32);
    assert_int_equal(reranker_texts_in(r, 0, 800), 1);
    assert_int_equal(reranker_texts_in(r, 1000000, 800), LIMIT_RERANK_TEXTS);
    int few = reranker_texts_in(r, 2, 800), more = reranker_texts_in(r, 2, 100);
    assert_true(few <= more);
    reranker_free(r);
    call_dispose(&c);
}

/* What the tokenizers library keeps with truncation "longest_first". */
static void long_pairs_are_cut_as_hugging_face_cuts_them(void **s)
{
    (void)s;
    static const int cases[][5] = {
        { 5, 5, 20, 5, 5 },       { 3, 40, 20, 3, 17 },     { 40, 3, 20, 17, 3 },     { 30, 30, 20, 10, 10 },
        { 30, 31, 21, 10, 11 },   { 31, 30, 21, 11, 10 },   { 30, 30, 21, 10, 11 },   { 10, 11, 21, 10, 11 },
        { 10, 12, 21, 10, 11 },   { 0, 50, 21, 0, 21 },     { 8, 200, 253, 8, 200 },  { 200, 8, 253, 200, 8 },
        { 300, 260, 253, 127, 126 }, { 260, 300, 253, 126, 127 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int keep1, keep2;
        pair_lengths(cases[i][0], cases[i][1], cases[i][2], &keep1, &keep2);
        assert_int_equal(keep1, cases[i][3]);
        assert_int_equal(keep2, cases[i][4]);
    }
}

static void a_pair_is_framed_and_both_its_ends_fit(void **s)
{
    (void)s;
    struct call       c;
    struct tokenizer *t = NULL;
    struct card       card;
    enum { MOST = 256 };
    struct pair       p;
    int32_t           ids[MOST];
    int               first, n;
    char              longer[4 * 400 + 1] = "", longest[4 * 500 + 1] = "";
    call_init(&c);
    assert_int_equal(card_read(&c, folder, &card), OK);
    assert_int_equal(tokenizer_load(&c, folder, &card, &t), OK);
    pair_query(&p, t, "w1 w2", 5, MOST);
    n = pair_encode(&p, "w3", 2, ids, &first);
    assert_int_equal(n, 6);
    assert_int_equal(first, 4);
    assert_true(ids[0] == 2 && ids[3] == 3 && ids[5] == 3);
    assert_true(ids[2] == ids[1] + 1 && ids[4] == ids[2] + 1);
    n = pair_encode(&p, "", 0, ids, &first);
    assert_int_equal(n, 5);
    for (int i = 0; i < 400; i++) memcpy(longer + 4 * i, "w10 ", 5);
    for (int i = 0; i < 500; i++) memcpy(longest + 4 * i, "w11 ", 5);
    n = pair_encode(&p, longest, strlen(longest), ids, &first);
    assert_int_equal(n, MOST);
    assert_int_equal(first, 4);
    pair_query(&p, t, longer, strlen(longer), MOST);
    n = pair_encode(&p, "w3", 2, ids, &first);
    assert_int_equal(n, MOST);
    assert_int_equal(first, MOST - 2);
    n = pair_encode(&p, longest, strlen(longest), ids, &first);   /* both too long: the odd token goes to the longer text */
    assert_int_equal(n, MOST);
    assert_int_equal(first, 2 + (MOST - 3) / 2);
    pair_query(&p, t, longest, strlen(longest), MOST);
    n = pair_encode(&p, longer, strlen(longer), ids, &first);
    assert_int_equal(first, 2 + (MOST - 3) / 2 + (MOST - 3) % 2);
    assert_int_equal(n, MOST);
    tokenizer_free(t);
    call_dispose(&c);
}

static void refused(struct random_bert bert, const char *words)
{
    struct call      c;
    struct reranker *r = NULL;
    char             path[100];
    call_init(&c);
    snprintf(path, sizeof path, "%s/wrong", base);
    bert.folder = path;
    random_bert_write(&bert);
    enum err e = reranker_load(&c, path, ENCODER_F32, &r);
    if (e != ERR_CORRUPT || !strstr(c.err_text, words)) print_error("%s: \"%s\" is not \"%s\"\n", err_word(e), c.err_text, words);
    assert_int_equal(e, ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, words));
    assert_null(r);
    random_bert_remove(path);
    call_dispose(&c);
}

static void a_folder_that_is_no_cross_encoder_is_refused_in_words(void **s)
{
    (void)s;
    refused((struct random_bert){ .without = "classifier.weight" }, "no tensor classifier.weight");
    refused((struct random_bert){ .without = "bert.pooler.dense.weight" }, "no tensor pooler.dense.weight");
    refused((struct random_bert){ .without = "bert.encoder.layer.1.output.dense.bias" }, "no tensor encoder.layer.1.output.dense.bias");
    refused((struct random_bert){ .narrow = "bert.pooler.dense.weight" }, "pooler.dense.weight: shape is not [64, 64]");
    refused((struct random_bert){ .narrow = "bert.pooler.dense.bias" }, "pooler.dense.bias: shape is not [64]");
    refused((struct random_bert){ .narrow = "bert.encoder.layer.0.intermediate.dense.weight" }, "shape is not [128, 64]");
    refused((struct random_bert){ .nan = "classifier.weight" }, "NaN");
    refused((struct random_bert){ .nan = "bert.pooler.dense.weight" }, "NaN");
    refused((struct random_bert){ .nan = "bert.pooler.dense.bias" }, "NaN");
    refused((struct random_bert){ .nan = "bert.embeddings.token_type_embeddings.weight" }, "NaN");
    refused((struct random_bert){ .labels = 3 }, "classifier.weight: shape is not [1, 64]");
    refused((struct random_bert){ .labels = 3, .config_more = ",\"num_labels\":3" }, "3 labels");
    refused((struct random_bert){ .config_more = ",\"id2label\":{\"0\":\"no\",\"1\":\"yes\"}" }, "2 labels");
    refused((struct random_bert){ .types = 1 }, "token_type_embeddings");
    refused((struct random_bert){ .architecture = "BertModel" }, "BertForSequenceClassification");
    refused((struct random_bert){ .config_more = ",\"sbert_ce_default_activation_function\":\"torch.nn.modules.activation.ReLU\"" }, "ReLU");
    refused((struct random_bert){ .file_of_nothing = true }, "offsets lie outside");
}

static void a_missing_folder_is_named(void **s)
{
    (void)s;
    struct call      c;
    struct reranker *r = NULL;
    call_init(&c);
    assert_int_equal(reranker_load(&c, "/nowhere/model", ENCODER_F32, &r), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "/nowhere/model"));
    call_dispose(&c);
}

static void the_last_step_is_what_the_model_names(void **s)
{
    (void)s;
    static const struct { const char *more; bool sigmoid; } cases[] = {
        { NULL, true },
        { ",\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"", false },
        { ",\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.linear.Identity\",\"version\":\"4.0.1\"}", false },
        { ",\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.activation.Sigmoid\"},\"id2label\":{\"0\":\"LABEL_0\"}", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call      c;
        struct reranker *r = NULL;
        char             path[100];
        call_init(&c);
        snprintf(path, sizeof path, "%s/last", base);
        random_bert_write(&(struct random_bert){ .folder = path, .config_more = cases[i].more });
        bert_write(path, "tokenizer_config.json", "{\"model_max_length\": 64}", 24);
        assert_int_equal(reranker_load(&c, path, ENCODER_F32, &r), OK);
        assert_int_equal(reranker_max_tokens(r), 64);
        assert_true(fabsf(reranker_output(r, 2) - (cases[i].sigmoid ? 0.880797f : 2)) < 1e-5f);
        assert_true(reranker_probability(0) == 0.5f && reranker_probability(-200) >= 0 && reranker_probability(200) <= 1);
        reranker_free(r);
        random_bert_remove(path);
        call_dispose(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_candidates_in_batches_have_the_order_of_single_pairs_RAG_021),
        cmocka_unit_test(both_parts_of_a_pair_count),
        cmocka_unit_test(eight_threads_get_what_one_gets),
        cmocka_unit_test(a_deadline_leaves_the_first_ones_scored_and_is_no_error),
        cmocka_unit_test(a_stopped_call_is_cancelled),
        cmocka_unit_test(the_time_left_says_how_many_texts_it_is_enough_for),
        cmocka_unit_test(long_pairs_are_cut_as_hugging_face_cuts_them),
        cmocka_unit_test(a_pair_is_framed_and_both_its_ends_fit),
        cmocka_unit_test(a_folder_that_is_no_cross_encoder_is_refused_in_words),
        cmocka_unit_test(a_missing_folder_is_named),
        cmocka_unit_test(the_last_step_is_what_the_model_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
