/* A mail's bytes: headers that cannot be broken out of, words of any script, a text that arrives as it was. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/buf.h"
#include "base/message.h"

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

static struct message plain(void)
{
    return (struct message){ .from = "coach@example.org", .to = "ann@example.org", .subject = "Hello", .text = "Hi.\n", .id = "mail_1", .at_ms = 1763760000000 };
}

static const char *write_it(const struct message *m)
{
    const char *p = NULL;
    size_t      n = 0;
    assert_int_equal(message_write(&c, m, &p, &n), OK);
    assert_int_equal(strlen(p), n);
    return p;
}

static void a_short_message_is_what_it_should_be(void **s)
{
    (void)s;
    struct message m = plain();
    m.text = "Hi.\n.dots\nFrom me\n";
    m.language = "en";
    assert_string_equal(write_it(&m),
                        "Date: Fri, 21 Nov 2025 21:20:00 +0000\r\nFrom: <coach@example.org>\r\nTo: <ann@example.org>\r\nSubject: Hello\r\n"
                        "Message-ID: <mail_1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Language: en\r\n"
                        "Content-Transfer-Encoding: quoted-printable\r\nAuto-Submitted: auto-generated\r\n\r\nHi.\r\n=2Edots\r\n=46rom me\r\n");
}

static void no_field_can_begin_another_header(void **s)
{
    (void)s;
    static const char *const bad[] = { "x\r\nBcc: eve@example.org", "x\nBcc: e", "x\rBcc: e", "x\x01", "x\x7f" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message all[5];
        for (int k = 0; k < 5; k++) all[k] = plain();
        all[0].subject = bad[i];
        all[1].from_name = bad[i];
        all[2].to = bad[i];
        all[3].from = "x@y\r\nBcc: e@f";
        all[4].id = bad[i];
        for (int k = 0; k < 5; k++) {
            const char *p = NULL;
            size_t      n = 0;
            assert_int_equal(message_write(&c, &all[k], &p, &n), ERR_INVALID);
            assert_null(p);
            call_forgive(&c);
        }
    }
}

static void an_address_cannot_bring_another_recipient(void **s)
{
    (void)s;
    static const char *const bad[] = { "a@b> <eve@example.org", "a@b <e@f>", "a b@c" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct message m = plain();
        const char    *p;
        size_t         n;
        m.to = bad[i];
        assert_int_equal(message_write(&c, &m, &p, &n), ERR_INVALID);
        call_forgive(&c);
    }
}

/* The words of a header's value, decoded, or as they are. */
static const char *decoded(const char *message, const char *name)
{
    struct buf  b;
    const char *p = strstr(message, name);
    buf_init(&b, 4096);
    assert_non_null(p);
    for (p += strlen(name); *p;) {
        if (!strncmp(p, "\r\n ", 3)) p += 3;
        else if (!strncmp(p, "\r\n", 2)) break;
        else if (!strncmp(p, "=?UTF-8?B?", 10)) {
            const char    *end = strstr(p, "?=");
            size_t         n = 0;
            assert_true(end + 2 - p <= 75);
            unsigned char *bytes = base64_decode(&c.mem, p + 10, (size_t)(end - p) - 10, &n);
            assert_non_null(bytes);
            buf_add(&b, bytes, n);
            p = end + 2;
        } else buf_addc(&b, *p++);
    }
    const char *out = arena_strndup(&c.mem, b.data, b.len);
    buf_dispose(&b);
    return out;
}

static void a_subject_of_any_script_is_ascii_on_the_way_and_whole_at_the_end(void **s)
{
    (void)s;
    static const char *const subjects[] = {
        "Elige una contraseña nueva para Añó", "رابط تسجيل الدخول الخاص بك إلى المدرب الشخصي الذكي الذي يعرفك", "🏋️‍♀️🏋️‍♀️🏋️‍♀️🏋️‍♀️🏋️‍♀️🏋️‍♀️🏋️‍♀️ go", "=?UTF-8?B?eA==?= is no word of mine",
    };
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        struct message m = plain();
        m.subject = subjects[i];
        const char *text = write_it(&m);
        for (const char *p = text; *p; p++) assert_true((unsigned char)*p < 0x80);
        assert_string_equal(decoded(text, "Subject: "), subjects[i]);
    }
}

static void a_name_before_the_address_is_never_read_as_one(void **s)
{
    (void)s;
    struct message m = plain();
    m.from_name = "Ann \"<eve@example.org>\", Coach";
    const char *text = write_it(&m);
    assert_null(strstr(text, "eve"));
    assert_non_null(strstr(text, " <coach@example.org>\r\nTo: "));
}

/* Quoted-printable back to what it was (RFC 2045 6.7). */
static const char *body_of(const char *message)
{
    struct buf  b;
    const char *p = strstr(message, "\r\n\r\n") + 4;
    buf_init(&b, 256 * 1024);
    size_t column = 0;
    while (*p) {
        assert_true(column <= 76);
        if (!strncmp(p, "=\r\n", 3)) {
            p += 3;
            column = 0;
        } else if (!strncmp(p, "\r\n", 2)) {
            assert_true(p[-1] != ' ' && p[-1] != '\t');
            assert_true(column <= 76);
            buf_addc(&b, '\n');
            p += 2;
            column = 0;
        } else if (*p == '=') {
            char hex[3] = { p[1], p[2], 0 };
            buf_addc(&b, (char)strtol(hex, NULL, 16));
            p += 3;
            column += 3;
        } else {
            assert_true((unsigned char)*p < 0x7f && (!column || p[0] != '\n'));
            assert_false(column == 0 && *p == '.');
            buf_addc(&b, *p++);
            column++;
        }
    }
    const char *out = arena_strndup(&c.mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

static void a_text_arrives_as_it_was(void **s)
{
    (void)s;
    char           dots[400], every[600], *p = every;
    struct message m = plain();
    memset(dots, '.', sizeof dots);
    dots[sizeof dots - 2] = '\n';
    dots[sizeof dots - 1] = '\0';
    for (int ch = 1; ch < 128; ch++)
        if (ch != '\r') *p++ = (char)ch;
    snprintf(p, 300, "\n https://example.org/#/link=abc_DEF-123=x \t\n\nñandú 🏃‍♂️ %0200d \n", 7);
    static const char *texts[] = { NULL, NULL, "", "x\n", "no line end\n", "a = b  \n\n\n" };
    texts[0] = dots;
    texts[1] = every;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        m.text = texts[i];
        assert_string_equal(body_of(write_it(&m)), texts[i]);
    }
}

static void a_mail_is_bounded(void **s)
{
    (void)s;
    struct message m = plain();
    char          *text = malloc(LIMIT_MAIL_BYTES + 2);
    const char    *p = NULL;
    size_t         n;
    memset(text, 'x', LIMIT_MAIL_BYTES);
    memcpy(text + LIMIT_MAIL_BYTES, "\n", 2);
    m.text = text;
    assert_int_equal(message_write(&c, &m, &p, &n), ERR_TOO_LARGE);
    assert_null(p);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_short_message_is_what_it_should_be, setup, teardown),
        cmocka_unit_test_setup_teardown(no_field_can_begin_another_header, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_cannot_bring_another_recipient, setup, teardown),
        cmocka_unit_test_setup_teardown(a_subject_of_any_script_is_ascii_on_the_way_and_whole_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_before_the_address_is_never_read_as_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_arrives_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(a_mail_is_bounded, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
