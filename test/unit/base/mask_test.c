/* Personal data is masked; training numbers are not (RAG-027). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#undef fail
#include "base/mask.h"

static void expect_mask(const char *text, const char *want, int count)
{
    struct call c;
    int n = -1;
    call_init(&c);
    assert_string_equal(mask_pii(&c, text, strlen(text), &n), want);
    assert_int_equal(n, count);
    call_dispose(&c);
}

static void addresses_numbers_and_codes_are_masked(void **s) /* RAG-027 */
{
    (void)s;
    expect_mask("Write to ana.lopez+gym@example.co.uk, please.", "Write to [email], please.", 1);
    expect_mask("<a@b.de>", "<[email]>", 1);
    expect_mask("Call +34 612 345 678 now", "Call [phone] now", 1);
    expect_mask("Mine is (555) 123-4567.", "Mine is [phone].", 1);
    expect_mask("US 555-123-4567 ok", "US [phone] ok", 1);
    expect_mask("+1 (555) 123-4567", "[phone]", 1);
    expect_mask("m\xc3\xb3vil 612345678", "m\xc3\xb3vil [phone]", 1);
    expect_mask("card 4111 1111 1111 1111!", "card [card number]!", 1);
    expect_mask("SSN 078-05-1120", "SSN [id number]", 1);
    expect_mask("DNI 12345678Z", "DNI [id number]", 1);
    expect_mask("NIE X1234567L.", "NIE [id number].", 1);
    expect_mask("IBAN ES91 2100 0418 4502 0005 1332 end", "IBAN [bank account] end", 1);
    expect_mask("Write to a@b.com. Or to c@d.org...", "Write to [email]. Or to [email]...", 2);
    expect_mask("a@b.com and c@d.org", "[email] and [email]", 2);
    expect_mask("jos\xc3\xa9@correo.es", "[email]", 1);
}

static void the_numbers_of_training_stay(void **s)
{
    (void)s;
    static const char *const plain[] = {
        "3 x 10-12 reps at 80 kg", "From 2024-01-31 to 2024-03-15", "1000-1200 kcal, 150 g protein", "sets of 8, 8, 8", "100 200 300 400",
        "Tempo 3-1-1-0 and RPE 7.5", "10,000 steps", "see page 123-125", "4111 1111 1111 1112", "12345678A", "5x5 @ 85%", "1.234.567 pasos",
        "ratio 40/30/30", "in 1998, 1999 and 2000", "heart rate 120-150 bpm", "not @ home", "me@localhost", "Week 1 2 3 4 5 6 7 8 9 10 11 12",
    };
    for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++) expect_mask(plain[i], plain[i], 0);
}

static void empty_and_odd_bytes_are_no_danger(void **s)
{
    (void)s;
    expect_mask("", "", 0);
    expect_mask("@", "@", 0);
    expect_mask("a@", "a@", 0);
    expect_mask("+", "+", 0);
    expect_mask("(", "(", 0);
    expect_mask("\xff\xfe", "\xff\xfe", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_numbers_and_codes_are_masked),
        cmocka_unit_test(the_numbers_of_training_stay),
        cmocka_unit_test(empty_and_odd_bytes_are_no_danger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
