/* The provider's event stream, whole and in every split. */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "models/sse_read.h"

#include <cmocka.h>
#include <stdio.h>
#include <string.h>


struct seen {
    char text[4096];
    int  stop_at, count;
};

static bool note(void *arg, const char *name, const char *data, size_t n)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);
    assert_int_equal(strlen(data), n);
    snprintf(s->text + at, sizeof s->text - at, "%s|%s;", name, data);
    return ++s->count != s->stop_at;
}

static const char *read_split(const char *text, size_t n, size_t step, struct seen *s)
{
    struct sse_read r;
    sse_read_init(&r, 1024, note, s);
    for (size_t i = 0; i < n; i += step)
        if (!sse_read_feed(&r, text + i, n - i < step ? n - i : step)) break;
    sse_read_dispose(&r);
    return s->text;
}

static void events_are_the_same_at_any_split_of_bytes(void **state)
{
    (void)state;
    const char text[] = "\xef\xbb\xbf: hello\r\n\r\nevent: a\rdata: one\rdata:two\r\rdata: {\"x\":\"\xc3\xa9\"}\n\nid: 7\nretry: 5\ndata\n\n"
                        "event: lost\n\ndata:  spaced\r\n\r\ndata: no end";
    const char want[] = "a|one\ntwo;|{\"x\":\"\xc3\xa9\"};|;| spaced;";
    for (size_t step = 1; step <= sizeof text; step++) {
        struct seen s = { .text = "" };
        assert_string_equal(read_split(text, sizeof text - 1, step, &s), want);
    }
}

static void a_line_without_end_is_refused_at_the_maximum(void **state)
{
    (void)state;
    struct seen s = { .text = "" };
    struct sse_read r;
    sse_read_init(&r, 1024, note, &s);
    char x[600];
    memset(x, 'x', sizeof x);
    assert_true(sse_read_feed(&r, x, sizeof x));
    assert_false(sse_read_feed(&r, x, sizeof x));
    assert_true(r.overflow);
    assert_false(sse_read_feed(&r, "\n\n", 2));
    assert_int_equal(s.count, 0);
    sse_read_dispose(&r);
}

static void many_data_lines_of_one_event_count_towards_the_maximum(void **state)
{
    (void)state;
    struct seen s = { .text = "" };
    struct sse_read r;
    sse_read_init(&r, 1024, note, &s);
    bool more = true;
    int lines = 0;
    while (more && lines < 1000) more = sse_read_feed(&r, "data: 0123456789\n", 17), lines++;
    assert_false(more);
    assert_in_range(lines, 80, 100);
    sse_read_dispose(&r);
}

static void reading_stops_when_the_callback_says_so(void **state)
{
    (void)state;
    struct seen s = { .text = "", .stop_at = 2 };
    assert_string_equal(read_split("data: 1\n\ndata: 2\n\ndata: 3\n\n", 27, 27, &s), "|1;|2;");
}

static void a_long_event_name_is_cut_not_overrun(void **state)
{
    (void)state;
    struct seen s = { .text = "" };
    char text[400] = "event: ";
    memset(text + 7, 'n', 200);
    memcpy(text + 207, "\ndata: x\n\n", 11);
    read_split(text, strlen(text), 3, &s);
    assert_int_equal(s.count, 1);
    assert_int_equal(strcspn(s.text, "|"), 63);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_the_same_at_any_split_of_bytes),
        cmocka_unit_test(a_line_without_end_is_refused_at_the_maximum),
        cmocka_unit_test(many_data_lines_of_one_event_count_towards_the_maximum),
        cmocka_unit_test(reading_stops_when_the_callback_says_so),
        cmocka_unit_test(a_long_event_name_is_cut_not_overrun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
