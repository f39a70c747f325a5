/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "knowledge/analyse.h"
#include "knowledge/knowledge.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static struct call c;

static const char *terms(const char *text, const char *language)
{
    return text_terms(&c, text, strlen(text), language);
}

static bool has(const char *all, const char *term)
{
    size_t k = strlen(term);
    for (const char *p = all; *p;) {
        size_t n = strcspn(p, " ");
        if (n == k && !memcmp(p, term, k)) return true;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* Do the terms of a question and of a text share one? That is what "found" means to the index. */
static bool finds(const char *query, const char *text)
{
    const char *t = terms(text, text_language(text, strlen(text)));
    int n = 0;
    bool only_stop;
    const char *const *q = analyse_query(&c, query, strlen(query), text_language(query, strlen(query)), &n, &only_stop);
    for (int i = 0; i < n; i++)
        if (has(t, q[i])) return true;
    return false;
}

/* As finds, by a term that stands for the whole form and not for one of its words. */
static bool meets_in(const char *term, const char *a, const char *b)
{
    return has(terms(a, "en"), term) && has(terms(b, "en"), term);
}

static void case_accents_and_width_do_not_matter(void **s)
{
    (void)s;
    assert_string_equal(terms("CAFÉ Ｆｕｌｌ ﬁt", "en"), terms("cafe full fit", "en"));
    assert_true(finds("SUENO", "Dormir bien: el sueño es parte del entrenamiento"));
    assert_true(finds("sueño", "el sueno y la recuperacion"));
}

static void english_words_meet_in_their_stem(void **s)
{
    (void)s;
    assert_true(has(terms("running runs", "en"), "run"));
    assert_true(finds("exercises for shoulders", "A shoulder exercise with a band"));
}

static void spanish_words_meet_in_their_stem_with_or_without_accents(void **s)
{
    (void)s;
    assert_string_equal(terms("natación", "es"), terms("natacion", "es"));
    assert_string_equal(terms("recuperaciones", "es"), terms("recuperacion", "es"));
    assert_true(finds("¿cómo entreno las piernas?", "La pierna se entrena dos veces por semana"));
}

static void stop_words_are_ignored_RAG_019(void **s)
{
    (void)s;
    assert_string_equal(terms("what is the and of to", "en"), "");
    assert_string_equal(terms("¿qué es lo que debo para la de?", "es"), "");
    assert_false(finds("what is the", "the thing that is what it is"));
}

static void fitness_forms_are_kept_and_matched_both_ways_RAG_019(void **s)
{
    (void)s;
    assert_true(has(terms("Start with 5x5 at 80kg.", "en"), "5x5"));
    assert_true(meets_in("5x5", "5 x 5 squats", "5×5"));
    assert_true(meets_in("1rm", "test your 1RM.", "1 RM"));
    assert_true(meets_in("80kg", "80kg", "80 kg on the bar"));
    assert_true(meets_in("80kg", "80 kilos", "80-kg"));
    assert_true(meets_in("2.5kg", "add 2.5kg", "2,5 kg"));
    assert_true(meets_in("3/4", "a 3/4 squat", "3/4"));
    assert_true(meets_in("8-12", "8-12 reps", "8–12"));
    assert_true(meets_in("30min", "30 minutes of walking", "30 min"));
    assert_true(meets_in("1000", "1,000 steps", "1000"));
    assert_true(finds("1rm", "Find your 1RM first"));
}

static void push_up_meets_push_ups_and_pushup_RAG_019(void **s)
{
    (void)s;
    const char *const forms[] = { "push up", "push-up", "push-ups", "pushups", "pushup", "Push Ups" };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        assert_true(has(terms(forms[i], "en"), "pushup"));
        for (size_t j = 0; j < sizeof forms / sizeof *forms; j++) assert_true(finds(forms[i], forms[j]));
    }
    assert_true(finds("deadlifts", "How to dead lift"));
    assert_true(meets_in("wellb", "well-being", "well-being") || finds("wellbeing", "your well-being"));
}

static void apostrophes_and_abbreviations_leave_one_word(void **s)
{
    (void)s;
    assert_string_equal(terms("the athlete's plan", "en"), terms("athlete plan", "en"));
    assert_string_equal(terms("don’t", "en"), "");
}

static void an_unsure_language_gives_both_stems(void **s)
{
    (void)s;
    const char *t = terms("sentadillas", "");
    assert_true(has(t, "sentadilla"));
    assert_true(has(t, "sentadill"));
}

static void a_title_keeps_its_stop_words(void **s)
{
    (void)s;
    struct buf b;
    buf_init(&b, 1024);
    assert_true(analyse_terms("Who are you?", 12, "en", true, &b));
    assert_string_equal(b.data, "who are you");
    buf_dispose(&b);
    int n = 0;
    bool only_stop = false;
    const char *const *q = analyse_query(&c, "who are you", 11, "en", &n, &only_stop);
    assert_int_equal(n, 3);
    assert_true(only_stop);
    assert_string_equal(q[0], "who");
}

static void invalid_utf8_and_endless_words_are_survived(void **s)
{
    (void)s;
    assert_true(has(terms("good \xff\xfe sleep \xc3", "en"), "sleep"));
    char longest[5000];
    memset(longest, 'a', sizeof longest);
    assert_string_equal(text_terms(&c, longest, sizeof longest, "en"), "");
    assert_string_equal(text_terms(&c, "", 0, ""), "");
    assert_true(has(terms("训练 sleep", ""), "训"));
}

static void a_question_has_a_bounded_number_of_different_terms(void **s)
{
    (void)s;
    char many[4000];
    size_t n = 0;
    for (int i = 0; i < 500; i++) n += (size_t)snprintf(many + n, sizeof many - n, "w%d ", i);
    int count = 0;
    bool only_stop;
    analyse_query(&c, many, n, "en", &count, &only_stop);
    assert_int_equal(count, ANALYSE_QUERY_TERMS);
    analyse_query(&c, "sleep sleep Sleeping", 20, "en", &count, &only_stop);
    assert_int_equal(count, 1);
}

static void terms_never_hold_what_the_index_query_language_reads(void **s)
{
    (void)s;
    const char *t = terms("a\"b OR (c) NEAR* {title}: ^x 'quote' foo\"; drop--", "");
    assert_null(strpbrk(t, "\"'()*^{};"));
}

static const char *language(const char *text)
{
    return text_language(text, strlen(text));
}

static void the_language_of_short_questions_is_known(void **s)
{
    (void)s;
    const char *const en[] = { "How often should I train?", "what is a good warm up", "Should I eat before training?",
                               "my knee hurts when I squat", "Is it okay to train with a cold?" };
    const char *const es[] = { "¿Cuánto debo dormir?", "como empiezo a entrenar", "me duele la rodilla",
                               "que es una repetición maxima", "cuantas veces por semana entreno", "Qué como antes de entrenar" };
    for (size_t i = 0; i < sizeof en / sizeof *en; i++) assert_string_equal(language(en[i]), "en");
    for (size_t i = 0; i < sizeof es / sizeof *es; i++) assert_string_equal(language(es[i]), "es");
    assert_string_equal(language("yoga"), "");
    assert_string_equal(language("5x5"), "");
    assert_string_equal(language(""), "");
    assert_string_equal(language("Der Trainingsplan beginnt mit einer ruhigen Woche und endet nach zwölf Wochen mit einem Test, "
                                 "danach folgt eine Pause von sieben Tagen ohne Gewichte oder Maschinen"), "");
}

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(case_accents_and_width_do_not_matter),
        cmocka_unit_test(english_words_meet_in_their_stem),
        cmocka_unit_test(spanish_words_meet_in_their_stem_with_or_without_accents),
        cmocka_unit_test(stop_words_are_ignored_RAG_019),
        cmocka_unit_test(fitness_forms_are_kept_and_matched_both_ways_RAG_019),
        cmocka_unit_test(push_up_meets_push_ups_and_pushup_RAG_019),
        cmocka_unit_test(apostrophes_and_abbreviations_leave_one_word),
        cmocka_unit_test(an_unsure_language_gives_both_stems),
        cmocka_unit_test(a_title_keeps_its_stop_words),
        cmocka_unit_test(invalid_utf8_and_endless_words_are_survived),
        cmocka_unit_test(a_question_has_a_bounded_number_of_different_terms),
        cmocka_unit_test(terms_never_hold_what_the_index_query_language_reads),
        cmocka_unit_test(the_language_of_short_questions_is_known),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
