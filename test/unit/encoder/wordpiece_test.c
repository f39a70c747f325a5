/* SPDX-License-Identifier: MIT */
/* The tokenizer against ids that the published one gave. */
#include "unit/encoder/model.h"

#include <sys/mman.h>
#include <unistd.h>

#include "encoder/mapped.h"
#include "encoder/wordpiece.h"

static struct call       c;
static struct wordpiece *w;
static struct row        rows[ROWS_MAX];

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    char path[1100];
    struct mapped vocab;
    snprintf(path, sizeof path, "%s/vocab.txt", model_folder());
    if (mapped_open(&c, path, &vocab) || wordpiece_parse(&c, vocab.data, vocab.size, &w)) {
        print_error("%s\n", c.err_text);
        return 1;
    }
    mapped_close(&vocab);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    wordpiece_free(w);
    call_dispose(&c);
    return 0;
}

static int compare(const char *path)
{
    json_t *keep;
    int     n = read_rows(path, rows, &keep);
    for (int i = 0; i < n; i++) {
        int32_t ids[LIMIT_TOKENS];
        int     count = wordpiece_encode(w, rows[i].text, rows[i].len, ids, MODEL_TOKENS);
        if (count != rows[i].count || memcmp(ids, rows[i].ids, (size_t)count * sizeof *ids))
            print_error("%s: row %d differs: %.80s\n", path, i, rows[i].text);
        assert_int_equal(count, rows[i].count);
        assert_memory_equal(ids, rows[i].ids, (size_t)count * sizeof *ids);
    }
    json_decref(keep);
    return n;
}

static void every_kept_case_has_the_reference_ids(void **s)
{
    (void)s;
    assert_true(compare("test/fixtures/wordpiece_cases.jsonl") > 150);
    assert_true(compare("test/fixtures/minilm_rows.jsonl") >= 10);
}

static void every_row_of_the_shared_reference_has_equal_ids(void **s)
{
    (void)s;
    if (compare(shared_reference()) == 0) {
        print_message("skipped: %s is not there\n", shared_reference());
        skip();
    }
}

static int encode(const char *text, int32_t *ids, int max) { return wordpiece_encode(w, text, strlen(text), ids, max); }

static void the_limit_counts_the_frame_and_cuts_the_text(void **s)
{
    (void)s;
    int32_t ids[8];
    assert_int_equal(encode("one two three four", ids, 2), 2);
    assert_int_equal(ids[0], 101);
    assert_int_equal(ids[1], 102);
    assert_int_equal(encode("one two three four", ids, 4), 4);
    assert_int_equal(ids[1], 2028);
    assert_int_equal(ids[3], 102);
}

static void a_word_cut_by_the_limit_is_unknown_when_its_rest_is(void **s)
{
    (void)s;
    int32_t ids[4];
    /* "embedding" begins with a known piece, but the whole word holds a character no piece has. */
    assert_int_equal(encode("embeddings\xe2\x98\xbb", ids, 3), 3);
    assert_int_equal(ids[1], 100);
}

static void bytes_that_are_not_utf8_disappear(void **s)
{
    (void)s;
    int32_t a[16], b[16];
    int     n = wordpiece_encode(w, "sq\xff" "uat \xc3(\xed\xa0\x80\xf8 end\xe2\x82", 18, a, 16);
    int     m = encode("squat ( end", b, 16);
    assert_int_equal(n, m);
    assert_memory_equal(a, b, (size_t)n * sizeof *a);
}

static void a_book_is_read_only_up_to_the_limit(void **s)
{
    (void)s;
    /* Behind the first pages lies memory that must not be touched: reading on would end the test with a signal. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 64 * page;
    char  *book = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(book, MAP_FAILED);
    for (size_t i = 0; i < 8 * page; i += 4) memcpy(book + i, "abs ", 4);
    assert_int_equal(mprotect(book + 8 * page, n - 8 * page, PROT_NONE), 0);
    int32_t ids[LIMIT_TOKENS];
    assert_int_equal(wordpiece_encode(w, book, n, ids, LIMIT_TOKENS), LIMIT_TOKENS);
    assert_int_equal(munmap(book, n), 0);
}

static void spans_name_the_byte_where_each_token_begins(void **s)
{
    (void)s;
    const char *text = "  Na\xc3\xafve squatting, [SEP] \xe6\xb7\xb1\xe8\xb9\xb2";
    uint32_t    at[16];
    int         n = wordpiece_spans(w, text, strlen(text), at, 16);
    const uint32_t expected[] = { 2, 9, 14, 18, 20, 26, 29 };
    assert_int_equal(n, 7);
    assert_memory_equal(at, expected, sizeof expected);
    assert_int_equal(wordpiece_spans(w, text, strlen(text), NULL, 1000), 7);
    assert_int_equal(wordpiece_spans(w, text, strlen(text), at, 3), 3);
}

static enum err parse(const char *vocab)
{
    struct wordpiece *other = NULL;
    enum err          e;
    call_forgive(&c);
    e = wordpiece_parse(&c, vocab, strlen(vocab), &other);
    wordpiece_free(other);
    return e;
}

static void a_broken_vocabulary_is_refused_with_words(void **s)
{
    (void)s;
    assert_int_equal(parse("[UNK]\n[CLS]\n[SEP]\nrun\n"), OK);
    assert_int_equal(parse("[UNK]\n[CLS]\nrun\n"), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "[SEP]"));
    assert_int_equal(parse("[UNK]\n[CLS]\n[SEP]\nrun\nrun\n"), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "twice"));
    assert_int_equal(parse(""), ERR_CORRUPT);
    char *line = malloc(400);
    memset(line, 'a', 399);
    line[399] = 0;
    assert_int_equal(parse(line), ERR_CORRUPT);
    free(line);
    struct tokenizer *none = NULL;
    call_forgive(&c);
    assert_int_equal(tokenizer_load(&c, "test/no/such/folder", &(struct card){ 0 }, &none), ERR_NOT_FOUND);
    assert_non_null(strstr(c.err_text, "vocab.txt"));
    call_forgive(&c);
}

static void a_cased_model_keeps_its_letters(void **s)
{
    (void)s;
    static const char vocab[] = "[UNK]\n[CLS]\n[SEP]\nRun\nrun\n\u00c9t\u00e9\nete\n\u00e9t\u00e9\n";
    static const char text[] = "Run run \u00c9t\u00e9";
    static const struct {
        bool    lower, strip;
        int32_t ids[3];
    } cases[] = { { false, false, { 3, 4, 5 } }, { true, true, { 4, 4, 6 } }, { true, false, { 4, 4, 7 } }, { false, true, { 3, 4, 0 } } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct wordpiece *cased = NULL;
        int32_t           ids[8];
        assert_int_equal(wordpiece_parse(&c, vocab, sizeof vocab - 1, &cased), OK);
        wordpiece_letters(cased, cases[i].lower, cases[i].strip, true);
        assert_int_equal(wordpiece_ids(cased, text, sizeof text - 1, ids, 8), 3);
        assert_memory_equal(ids, cases[i].ids, sizeof cases[i].ids);
        wordpiece_free(cased);
    }
}

static void ids_in_tokenizer_json_are_without_gaps_and_twins(void **s)
{
    (void)s;
    static const struct {
        const char *vocab, *words;
    } cases[] = {
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"run\":4}", "4 tokens have ids up to 4" },
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"run\":2}", "two tokens have the id 2" },
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"run\":-1}", "id is not 0 to" },
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"run\":\"3\"}", "id is not 0 to" },
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"run\":1000000}", "id is not 0 to" },
        { "{\"[CLS]\":0,\"[SEP]\":1}", "[UNK]" },
        { "{\"[UNK]\":0,\"[CLS]\":1,\"[CLS]\":2}", "duplicate" },
        { "[\"[UNK]\"]", "no WordPiece vocabulary" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char              text[300];
        struct tokenizer *t = NULL;
        call_forgive(&c);
        snprintf(text, sizeof text, "{\"model\":{\"type\":\"WordPiece\",\"vocab\":%s}}", cases[i].vocab);
        assert_int_equal(tokenizer_read(&c, text, strlen(text), &t), ERR_CORRUPT);
        if (!strstr(c.err_text, cases[i].words)) print_error("\"%s\" lacks \"%s\"\n", c.err_text, cases[i].words);
        assert_non_null(strstr(c.err_text, cases[i].words));
    }
    call_forgive(&c);
}

static void tokenizer_json_says_what_happens_to_letters(void **s)
{
    (void)s;
    static const char vocab[] = "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"[CLS]\":1,\"[SEP]\":2,\"Run\":3,\"run\":4}";
    static const struct {
        const char *before, *in_model, *words;   /* words: NULL when it is good */
        int32_t     id;
    } cases[] = {
        { "\"normalizer\":null,\"pre_tokenizer\":null,", "", NULL, 4 },
        { "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":false},", "", NULL, 3 },
        { "\"normalizer\":{\"type\":\"BertNormalizer\",\"lowercase\":true},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},", "", NULL, 4 },
        { "\"normalizer\":{\"type\":\"Lowercase\"},", "", "the normalizer Lowercase", 0 },
        { "\"pre_tokenizer\":{\"type\":\"Whitespace\"},", "", "the pre-tokenizer Whitespace", 0 },
        { "", ",\"continuing_subword_prefix\":\"@@\"", "begin with @@", 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char              text[500], model[300];
        int32_t           id = -1;
        struct tokenizer *t = NULL;
        snprintf(model, sizeof model, "%s%s}", vocab, cases[i].in_model);
        snprintf(text, sizeof text, "{%s%s}", cases[i].before, model);
        call_forgive(&c);
        assert_int_equal(tokenizer_read(&c, text, strlen(text), &t), cases[i].words ? ERR_CORRUPT : OK);
        if (cases[i].words) {
            assert_non_null(strstr(c.err_text, cases[i].words));
            continue;
        }
        assert_int_equal(tokenizer_ids(t, "Run", 3, &id, 1), 1);
        assert_int_equal(id, cases[i].id);
        tokenizer_free(t);
    }
    call_forgive(&c);
}

static void ten_million_lines_are_refused_by_their_number(void **s)
{
    (void)s;
    size_t n = 20 * 1000 * 1000;
    char  *vocab = malloc(n);
    for (size_t i = 0; i < n; i++) vocab[i] = i % 2 ? '\n' : 'a';
    struct wordpiece *none = NULL;
    call_forgive(&c);
    assert_int_equal(wordpiece_parse(&c, vocab, n, &none), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "over 8388608 bytes"));
    memset(vocab, '\n', n);
    call_forgive(&c);
    assert_int_equal(wordpiece_parse(&c, vocab, 8 * 1024 * 1024, &none), ERR_CORRUPT);
    assert_non_null(strstr(c.err_text, "more than 1000000 tokens"));
    call_forgive(&c);
    free(vocab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cased_model_keeps_its_letters),
        cmocka_unit_test(ids_in_tokenizer_json_are_without_gaps_and_twins),
        cmocka_unit_test(tokenizer_json_says_what_happens_to_letters),
        cmocka_unit_test(ten_million_lines_are_refused_by_their_number),
        cmocka_unit_test(every_kept_case_has_the_reference_ids),
        cmocka_unit_test(every_row_of_the_shared_reference_has_equal_ids),
        cmocka_unit_test(the_limit_counts_the_frame_and_cuts_the_text),
        cmocka_unit_test(a_word_cut_by_the_limit_is_unknown_when_its_rest_is),
        cmocka_unit_test(bytes_that_are_not_utf8_disappear),
        cmocka_unit_test(a_book_is_read_only_up_to_the_limit),
        cmocka_unit_test(spans_name_the_byte_where_each_token_begins),
        cmocka_unit_test(a_broken_vocabulary_is_refused_with_words),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
