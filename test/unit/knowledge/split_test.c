/* The splitter: sizes, breaks, overlap, sections, tokens. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#undef fail
#include "base/buf.h"
#include "encoder/wordpiece.h"
#include "knowledge/split.h"

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

static size_t points(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)p[i] & 0xc0) != 0x80;
    return count;
}

static int split(const char *text, int size, int overlap, struct split_piece **out)
{
    struct extract_page p = { .text = text, .len = strlen(text), .heading = "" };
    return split_page(&c, &p, &(struct split_opts){ .size = size, .overlap = overlap }, out);
}

static void check_all(const char *text, const struct split_piece *p, int n, size_t size, size_t overlap)
{
    size_t reached = 0;
    for (int i = 0; i < n; i++) {
        assert_true(p[i].start < p[i].end);
        assert_true(points(text + p[i].start, p[i].end - p[i].start) <= size);
        if (i) {
            assert_true(p[i].start > p[i - 1].start);
            assert_true(p[i].end > p[i - 1].end);
            if (p[i].start < p[i - 1].end) assert_true(points(text + p[i].start, p[i - 1].end - p[i].start) <= overlap);
        }
        for (size_t k = reached; k < p[i].start; k++) assert_true(strchr(" \n\t", text[k]) != NULL);
        assert_int_not_equal((unsigned char)text[p[i].start] & 0xc0, 0x80);
        reached = p[i].end;
    }
    for (size_t k = reached; k < strlen(text); k++) assert_true(strchr(" \n\t", text[k]) != NULL);
}

static void a_short_text_is_one_chunk_and_a_blank_one_none(void **s)
{
    (void)s;
    struct split_piece *p;
    assert_int_equal(split("  Hello there.\n", 1000, 200, &p), 1);
    assert_int_equal(p[0].start, 2);
    assert_int_equal(p[0].end, 14);
    assert_int_equal(split(" \n\n \n", 1000, 200, &p), 0);
    assert_int_equal(split("", 1000, 200, &p), 0);
}

static void a_break_is_made_at_a_paragraph_before_a_line_before_a_word(void **s) /* ARC-006 */
{
    (void)s;
    struct split_piece *p;
    const char *text = "aaaa bbbb cccc\ndddd eeee\n\nffff gggg\nhhhh";
    int n = split(text, 30, 0, &p);
    assert_int_equal(n, 2);
    assert_int_equal(p[0].end, 24);              /* the paragraph, though a later line would fit */
    assert_memory_equal(text + p[1].start, "ffff", 4);
    n = split(text, 20, 0, &p);
    assert_memory_equal(text + p[0].end - 4, "cccc", 4);   /* the line */
    n = split(text, 12, 0, &p);
    assert_memory_equal(text + p[0].end - 4, "bbbb", 4);   /* the word */
    n = split("aaaaaaaaaaaaaaaaaaaaaaaaa", 10, 0, &p);
    assert_int_equal(n, 3);
    assert_int_equal(p[0].end, 10);              /* the character */
}

static void chunks_are_at_most_a_thousand_characters_and_share_at_most_two_hundred(void **s) /* ARC-006 */
{
    (void)s;
    unsigned seed = 7;
    for (int round = 0; round < 60; round++) {
        struct buf b;
        struct split_piece *p;
        buf_init(&b, 1 << 20);
        int words = 200 + rand_r(&seed) % 2000;
        for (int i = 0; i < words; i++) {
            int len = 1 + rand_r(&seed) % (round % 5 == 0 ? 300 : 12), what = rand_r(&seed) % 30;
            for (int k = 0; k < len; k++) buf_adds(&b, rand_r(&seed) % 8 ? "e" : "é");
            buf_adds(&b, what == 0 ? "\n\n" : what < 3 ? "\n" : what < 6 ? ". " : " ");
        }
        int n = split(b.data, 1000, 200, &p);
        assert_true(n > 0);
        check_all(b.data, p, n, 1000, 200);
        n = split(b.data, 50, 25, &p);
        check_all(b.data, p, n, 50, 25);
        buf_dispose(&b);
    }
}

static void neighbours_of_running_text_share_words(void **s)
{
    (void)s;
    struct buf b;
    struct split_piece *p;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 700; i++) buf_printf(&b, "w%03d ", i);
    int n = split(b.data, 1000, 200, &p);
    assert_int_equal(p[0].end - p[0].start, 999);
    assert_int_equal(p[0].end - p[1].start, 199);
    check_all(b.data, p, n, 1000, 200);
    buf_dispose(&b);
}

static void headings_begin_chunks_and_one_without_text_stays_with_the_next(void **s)
{
    (void)s;
    const char *text = "Intro text.\n\nNutrition\n\nProtein\n\nEat some.\n\nSleep\n\nSleep well.\n";
    struct extract_mark m[] = {
        { 13, 22, "Nutrition", false }, { 24, 31, "Nutrition > Protein", false }, { 44, 49, "Sleep", false } };
    struct extract_page page = { .text = text, .len = strlen(text), .heading = "Before", .marks = m, .mark_count = 3 };
    struct split_piece *p;
    int n = split_page(&c, &page, &(struct split_opts){ .size = 1000, .overlap = 200 }, &p);
    assert_int_equal(n, 3);
    assert_string_equal(p[0].heading, "Before");
    assert_int_equal(p[1].start, 13);
    assert_string_equal(p[1].heading, "Nutrition > Protein");
    assert_string_equal(p[2].heading, "Sleep");
    assert_int_equal(p[2].start, 44);
}

static void records_are_never_merged(void **s)
{
    (void)s;
    const char *text = "Squat\n\nPlank\n\nHold it.\n";
    struct extract_mark m[] = { { 0, 5, "Squat", true }, { 7, 12, "Plank", true } };
    struct extract_page page = { .text = text, .len = strlen(text), .heading = "", .marks = m, .mark_count = 2 };
    struct split_piece *p;
    assert_int_equal(split_page(&c, &page, &(struct split_opts){ .size = 1000, .overlap = 200 }, &p), 2);
    assert_int_equal(p[0].end, 5);
    assert_string_equal(p[1].heading, "Plank");
}

static void a_heading_does_not_stand_alone_before_a_long_paragraph(void **s)
{
    (void)s;
    struct buf b;
    struct split_piece *p;
    buf_init(&b, 1 << 20);
    buf_adds(&b, "Sleep\n\n");
    for (int i = 0; i < 300; i++) buf_adds(&b, "words and ");
    struct extract_mark m[] = { { 0, 5, "Sleep", false } };
    struct extract_page page = { .text = b.data, .len = b.len, .heading = "", .marks = m, .mark_count = 1 };
    int n = split_page(&c, &page, &(struct split_opts){ .size = 1000, .overlap = 200 }, &p);
    assert_true(n >= 3);
    assert_true(p[0].end > 900);
    check_all(b.data, p, n, 1000, 200);
    buf_dispose(&b);
}

static void a_text_of_2600_tokens_gives_three_chunks_that_start_at_0_800_and_1600(void **s) /* CRE-025 */
{
    (void)s;
    static const char vocab[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nrun\nwalk\n##ning\n.\n";
    struct wordpiece *words;
    struct tokenizer *w;
    struct buf b;
    struct split_piece *p;
    assert_int_equal(wordpiece_parse(&c, vocab, sizeof(vocab) - 1, &words), OK);
    w = tokenizer_of_words(words);
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 2600; i++) buf_adds(&b, i % 2 ? "walk " : "run ");
    struct extract_page page = { .text = b.data, .len = b.len, .heading = "" };
    struct split_opts o = { .tokens = w, .size = 1000, .overlap = 200 };
    uint32_t *at = malloc(b.len * sizeof(*at));
    assert_int_equal(tokenizer_spans(w, b.data, b.len, at, (int)b.len), 2600);
    int n = split_page(&c, &page, &o, &p);
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(p[i].start, at[800 * i]);
        assert_int_equal(tokenizer_spans(w, b.data + p[i].start, p[i].end - p[i].start, NULL, 100000), 1000);
    }
    free(at);
    buf_dispose(&b);
    tokenizer_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_short_text_is_one_chunk_and_a_blank_one_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_break_is_made_at_a_paragraph_before_a_line_before_a_word, setup, teardown),
        cmocka_unit_test_setup_teardown(chunks_are_at_most_a_thousand_characters_and_share_at_most_two_hundred, setup, teardown),
        cmocka_unit_test_setup_teardown(neighbours_of_running_text_share_words, setup, teardown),
        cmocka_unit_test_setup_teardown(headings_begin_chunks_and_one_without_text_stays_with_the_next, setup, teardown),
        cmocka_unit_test_setup_teardown(records_are_never_merged, setup, teardown),
        cmocka_unit_test_setup_teardown(a_heading_does_not_stand_alone_before_a_long_paragraph, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_of_2600_tokens_gives_three_chunks_that_start_at_0_800_and_1600, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
