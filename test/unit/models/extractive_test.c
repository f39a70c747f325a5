/* Which sentences become the answer when no language model speaks. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "models/extractive.h"

#include <cmocka.h>
#include <string.h>


#define S(words, p, r, ...) { .text = words, .n = sizeof words - 1, .passage = p, .relevance = r, __VA_ARGS__ }

static int choose(const struct prompt_sentence *s, int n, int out[EXTRACTIVE_SENTENCES_MAX])
{
    const struct prompt p = { .sentences = s, .sentence_count = n, .passage_count = 4 };
    return extractive_choose(&p, out);
}

static void nothing_relevant_gives_nothing(void **state)
{
    (void)state;
    const struct prompt_sentence s[] = { S("Bake it.", 0, 0.1f), S("Stir it.", 0, 0.2f) };
    int out[EXTRACTIVE_SENTENCES_MAX];
    assert_int_equal(choose(s, 2, out), 0);
    assert_int_equal(choose(NULL, 0, out), 0);
}

static void neighbours_are_preferred_to_sentences_from_elsewhere(void **state)
{
    (void)state;
    const struct prompt_sentence s[] = {
        S("Sleep matters.", 0, 0.2f),
        S("Most adults need seven to nine hours.", 0, 0.8f, .follows = true),
        S("A week of six hours shows.", 0, 0.55f, .follows = true),
        S("Hours of sleep help in other places.", 1, 0.55f),
    };
    int out[EXTRACTIVE_SENTENCES_MAX];
    assert_int_equal(choose(s, 4, out), 2);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 2);
}

static void a_lead_in_brings_its_list_and_an_item_its_lead_in(void **state)
{
    (void)state;
    const struct prompt_sentence s[] = {
        S("Do these in order:", 0, 0.6f, .lead = true),
        S("- Stand tall.", 0, 0.2f, .item = true, .follows = true),
        S("- Sit down.", 0, 0.2f, .item = true, .follows = true),
        S("Then rest.", 0, 0.1f, .follows = true),
    };
    int out[EXTRACTIVE_SENTENCES_MAX];
    assert_int_equal(choose(s, 4, out), 3);
    const struct prompt_sentence t[] = {
        S("Three signs:", 0, 0.2f, .lead = true),
        S("- Bad sleep.", 0, 0.7f, .item = true, .follows = true),
        S("- Low mood.", 0, 0.3f, .item = true, .follows = true),
    };
    int n = choose(t, 3, out);
    assert_in_range(n, 2, 3);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[1], 1);
}

static void the_passage_of_the_best_sentence_comes_first_and_keeps_its_order(void **state)
{
    (void)state;
    const struct prompt_sentence s[] = {
        S("Other place.", 0, 0.70f),
        S("First here.", 1, 0.70f),
        S("Best here.", 1, 0.80f, .follows = true),
    };
    int out[EXTRACTIVE_SENTENCES_MAX];
    assert_int_equal(choose(s, 3, out), 3);
    assert_int_equal(out[0], 1);
    assert_int_equal(out[1], 2);
    assert_int_equal(out[2], 0);
}

static void a_long_list_ends_at_the_maximum(void **state)
{
    (void)state;
    struct prompt_sentence s[40];
    for (int i = 0; i < 40; i++)
        s[i] = (struct prompt_sentence){ .text = "- step", .n = 6, .relevance = 0.5f, .item = i > 0, .lead = i == 0, .follows = i > 0 };
    int out[EXTRACTIVE_SENTENCES_MAX];
    assert_int_equal(choose(s, 40, out), EXTRACTIVE_SENTENCES_MAX);
    for (int i = 0; i < EXTRACTIVE_SENTENCES_MAX; i++) assert_int_equal(out[i], i);
}

struct heard { char text[256]; int calls, stop_after; };

static bool hear(void *arg, const char *text, size_t n, int sentence)
{
    struct heard *h = arg;
    assert_true(sentence >= 0);
    strncat(h->text, text, n);
    return ++h->calls != h->stop_after;
}

static void sentences_are_given_verbatim_with_their_index_until_told_to_stop(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    const struct prompt_sentence s[] = { S("One.", 0, 0.8f), S("Two.", 0, 0.8f, .follows = true) };
    const struct prompt p = { .sentences = s, .sentence_count = 2, .passage_count = 1 };
    struct generation g;
    struct heard h = { .text = "" };
    assert_int_equal(models_extract(&c, &p, hear, &h, &g), OK);
    assert_string_equal(h.text, "One.Two.");
    assert_string_equal(g.provider, "extractive");
    struct heard once = { .text = "", .stop_after = 1 };
    assert_int_equal(models_extract(&c, &p, hear, &once, &g), OK);
    assert_string_equal(once.text, "One.");
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_relevant_gives_nothing),
        cmocka_unit_test(neighbours_are_preferred_to_sentences_from_elsewhere),
        cmocka_unit_test(a_lead_in_brings_its_list_and_an_item_its_lead_in),
        cmocka_unit_test(the_passage_of_the_best_sentence_comes_first_and_keeps_its_order),
        cmocka_unit_test(a_long_list_ends_at_the_maximum),
        cmocka_unit_test(sentences_are_given_verbatim_with_their_index_until_told_to_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
