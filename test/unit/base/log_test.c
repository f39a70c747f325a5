/* Log lines: one event, one line, in both forms. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/call.h"
#include "base/json.h"
#include "base/log.h"

/* What f writes to the standard error stream. */
static void captured(void (*f)(struct call *), char *out, size_t size)
{
    int ends[2], saved = dup(STDERR_FILENO);
    struct call c;
    call_init(&c);
    strcpy(c.log_id, "req_1");
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    f(&c);
    dup2(saved, STDERR_FILENO);
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; (got = read(ends[0], out + n, size - 1 - n)) > 0;) n += (size_t)got;
    out[n] = '\0';
    close(ends[0]);
    close(saved);
    call_dispose(&c);
}

static void write_lines(struct call *c)
{
    log_info(c, "ingest finished", "document", "doc \"1\"\nx", "chunks", log_int(c, -5), "took", log_real(c, 1.5), "none", NULL, NULL);
    log_debug(c, "not shown", NULL);
    log_error(NULL, "broken", NULL);
}

static void write_huge(struct call *c)
{
    char big[9000];
    memset(big, '\x01', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    log_warn(c, "huge", "a", big, "b", big, "small", "x", NULL);
}

static void a_json_line_is_json_whatever_is_in_it(void **state)
{
    (void)state;
    char out[20000];
    struct call c;
    json_t *v = NULL;
    call_init(&c);
    log_open(LOG_INFO, 1);
    captured(write_lines, out, sizeof out);
    char *second = strchr(out, '\n') + 1;
    assert_int_equal(json_parse(&c, out, (size_t)(second - out), &v), OK);
    assert_string_equal(json_get_text(v, "message", ""), "ingest finished");
    assert_string_equal(json_get_text(v, "level", ""), "info");
    assert_string_equal(json_get_text(v, "document", ""), "doc \"1\"\nx");
    assert_string_equal(json_get_text(v, "chunks", ""), "-5");
    assert_string_equal(json_get_text(v, "took", ""), "1.500");
    assert_string_equal(json_get_text(v, "request_id", ""), "req_1");
    assert_true(json_is_null(json_object_get(v, "none")));
    json_decref(v);
    assert_non_null(strstr(second, "broken"));
    assert_null(strstr(out, "not shown"));
    captured(write_huge, out, sizeof out);
    assert_true(strlen(out) <= 4096);
    assert_int_equal(json_parse(&c, out, strlen(out), &v), OK);
    json_decref(v);
    call_dispose(&c);
    log_open(LOG_INFO, -1);
}

static void a_text_line_is_one_line(void **state)
{
    (void)state;
    char out[20000];
    log_open(LOG_INFO, 0);
    captured(write_lines, out, sizeof out);
    assert_non_null(strstr(out, " info  ingest finished document=doc \"1\" x chunks=-5 took=1.500 none=- request_id=req_1\n"));
    captured(write_huge, out, sizeof out);
    assert_ptr_equal(strchr(out, '\n'), out + strlen(out) - 1);
    log_open(LOG_INFO, -1);
}

static void write_people(struct call *c)
{
    log_warn(c, "refused", "error", "no user ana.lopez@example.com, call +34 612 345 678", "took", log_int(c, 12), NULL);
}

static void addresses_and_numbers_of_people_are_masked(void **state) /* FIT-115 */
{
    (void)state;
    char out[4096];
    for (int json = 0; json < 2; json++) {
        log_open(LOG_INFO, json);
        captured(write_people, out, sizeof out);
        assert_non_null(strstr(out, "no user [email], call [phone]"));
        assert_null(strstr(out, "ana.lopez"));
        assert_non_null(strstr(out, "12"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_json_line_is_json_whatever_is_in_it),
        cmocka_unit_test(a_text_line_is_one_line),
        cmocka_unit_test(addresses_and_numbers_of_people_are_masked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
