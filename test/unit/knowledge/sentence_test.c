/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "knowledge/knowledge.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

/* The sentences of a text, trimmed, joined by | so that a test reads at a glance. */
static const char *cut(const char *text)
{
    static char out[4096];
    uint32_t ends[64];
    size_t n = strlen(text), from = 0, at = 0;
    int count = text_sentences(text, n, ends, 64);
    for (int i = 0; i < count; i++) {
        size_t to = ends[i];
        while (to > from && strchr(" \n\t", text[to - 1])) to--;
        while (from < to && strchr(" \n\t", text[from])) from++;
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%.*s", i ? "|" : "", (int)(to - from), text + from);
        from = ends[i];
    }
    if (count) assert_int_equal(ends[count - 1], n);
    out[at] = 0;
    return out;
}

static void marks_end_sentences(void **s)
{
    (void)s;
    assert_string_equal(cut("Train twice. Rest well! Why? Because."), "Train twice.|Rest well!|Why?|Because.");
    assert_string_equal(cut("He said \"stop.\" Then he left (early). Done"), "He said \"stop.\"|Then he left (early).|Done");
    assert_string_equal(cut("Really?! Yes... No"), "Really?!|Yes...|No");
}

static void abbreviations_and_numbers_do_not(void **s)
{
    (void)s;
    assert_string_equal(cut("See Dr. Smith, e.g. on Monday. Add 2.5 kg. Go."), "See Dr. Smith, e.g. on Monday.|Add 2.5 kg.|Go.");
    assert_string_equal(cut("Use approx. 80 percent, i.e. most of it. Next."), "Use approx. 80 percent, i.e. most of it.|Next.");
    assert_string_equal(cut("Version 1.2.3 of J. R. Miller. End."), "Version 1.2.3 of J. R. Miller.|End.");
    assert_string_equal(cut("Plan No. 5 works. So does www.example.com here. Ok."),
                        "Plan No. 5 works.|So does www.example.com here.|Ok.");
    assert_string_equal(cut("Bring a band, a mat etc. Then start."), "Bring a band, a mat etc.|Then start.");
}

static void a_fitness_form_may_end_one(void **s)
{
    (void)s;
    assert_string_equal(cut("Test your 1RM. Then take 80 kg. Rest 3 min. Repeat."), "Test your 1RM.|Then take 80 kg.|Rest 3 min.|Repeat.");
    assert_string_equal(cut("Do 5x5. It works."), "Do 5x5.|It works.");
}

static void spanish_marks_begin_and_end(void **s)
{
    (void)s;
    assert_string_equal(cut("Descansa bien. ¿Cuánto duermes? ¡Mucho! Él también."), "Descansa bien.|¿Cuánto duermes?|¡Mucho!|Él también.");
    assert_string_equal(cut("La Dra. Pérez dice aprox. ocho horas. Fin."), "La Dra. Pérez dice aprox. ocho horas.|Fin.");
}

static void lines_of_lists_and_headings_stand_alone(void **s)
{
    (void)s;
    assert_string_equal(cut("# Warm up\nWalk first\nfor five minutes\n\n- Squats\n- Rows\n1. Sleep\n2. Eat well. Then go.\n"),
                        "# Warm up|Walk first\nfor five minutes|- Squats|- Rows|1. Sleep|2. Eat well.|Then go.");
    assert_string_equal(cut("| a | b |\n| c | d |\n"), "| a | b ||| c | d |");
}

static void citation_marks_stay_with_their_sentence(void **s)
{
    (void)s;
    assert_string_equal(cut("Sleep eight hours.[1] Eat protein.[2][3] Go."), "Sleep eight hours.[1]|Eat protein.[2][3]|Go.");
}

static void odd_input_gives_what_there_is(void **s)
{
    (void)s;
    uint32_t ends[2];
    assert_int_equal(text_sentences("", 0, ends, 2), 0);
    assert_int_equal(text_sentences("no end", 6, ends, 2), 1);
    assert_int_equal(ends[0], 6);
    assert_int_equal(text_sentences("A. B. C. D.", 11, ends, 2), 1);
    assert_int_equal(text_sentences("One went. Two came. Three saw. Four.", 36, ends, 2), 2);
    assert_string_equal(cut("...\n\n"), "...");
    assert_string_equal(cut("Trailing spaces.   \n\n  "), "Trailing spaces.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_end_sentences),
        cmocka_unit_test(abbreviations_and_numbers_do_not),
        cmocka_unit_test(a_fitness_form_may_end_one),
        cmocka_unit_test(spanish_marks_begin_and_end),
        cmocka_unit_test(lines_of_lists_and_headings_stand_alone),
        cmocka_unit_test(citation_marks_stay_with_their_sentence),
        cmocka_unit_test(odd_input_gives_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
