/* Host names beyond ASCII: the examples of RFC 3492 part 7.1 and of real registries, and what has no such form. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <string.h>

#include "base/punycode.h"

static void names_get_the_form_that_everybody_gives_them(void **s)
{
    (void)s;
    static const char *const pairs[][2] = {
        { "example.org", "example.org" },
        { "localhost", "localhost" },
        { "bücher.example", "xn--bcher-kva.example" },
        { "mail.münchen.de", "mail.xn--mnchen-3ya.de" },
        { "español.com", "xn--espaol-zwa.com" },
        { "пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f" },
        { "ليهمابتكلموشعربي؟", "xn--egbpdaj6bu4bxfgehfvwxn" },
        { "他们为什么不说中文", "xn--ihqwcrb4cv8a8dqg056pqjye" },
        { "なぜみんな日本語を話してくれないのか", "xn--n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa" },
        { "☃.net", "xn--n3h.net" },
        { "💩.la", "xn--ls8h.la" },
    };
    struct call c;
    call_init(&c);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        const char *out = NULL;
        assert_int_equal(punycode_host(&c, pairs[i][0], &out), OK);
        assert_string_equal(out, pairs[i][1]);
    }
    call_dispose(&c);
}

static void what_has_no_such_form_is_refused(void **s)
{
    (void)s;
    struct call c;
    call_init(&c);
    const char *many = "", *out = NULL;
    for (int i = 0; i < 64; i++) many = arena_printf(&c.mem, "%sü", many);
    const char *far = "a";
    for (int i = 0; i < 130; i++) far = arena_printf(&c.mem, "%s.a", far);
    const char *const wrong[] = { "", ".", "a..b", "a.", "b\xfc" "cher", "\xed\xa0\x80", many, far };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(punycode_host(&c, wrong[i], &out), ERR_INVALID);
        assert_null(out);
        call_forgive(&c);
    }
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_get_the_form_that_everybody_gives_them),
        cmocka_unit_test(what_has_no_such_form_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
