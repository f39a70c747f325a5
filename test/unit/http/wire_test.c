/* The grammar: heads, chunked bodies, percent-encoding. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "http/wire.h"

#include <cmocka.h>

static struct wire_head h;
static char text[32768];

static int parse(const char *s)
{
    size_t scan = 0, n = strlen(s);
    memcpy(text, s, n);
    ssize_t end = wire_head_end(text, n, &scan);
    if (end <= 0) return (int)end;
    return wire_head_parse(text, (size_t)end, &h) ? 200 : h.status;
}

static void a_plain_request_is_read(void **state)
{
    (void)state;
    assert_int_equal(parse("GET /a%20b/c?x=1&y=2 HTTP/1.1\r\nHost: example\r\nX-Thing:  two words \t\r\n\r\n"), 200);
    assert_string_equal(h.method, "GET");
    assert_string_equal(h.path, "/a%20b/c");
    assert_string_equal(h.query, "x=1&y=2");
    assert_string_equal(wire_header(&h, "x-thing"), "two words");
    assert_null(wire_header(&h, "x-other"));
    assert_true(h.keep_alive);
    assert_int_equal(h.content_length, -1);
}

static void connections_are_kept_or_closed_as_the_version_says(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"), 200);
    assert_false(h.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n"), 200);
    assert_false(h.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200);
    assert_true(h.keep_alive);
}

static void every_head_with_two_readings_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int         status;
    } bad[] = {
        { "GET / HTTP/1.1\nHost: x\n\n", -1 },
        { "GET /\r\nHost: x\r\n\r\n", 400 },
        { "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { " GET / HTTP/1.1\r\nHost: x\r\n\r\n", -1 },
        { "\x16\x03\x01", -1 },
        { "G(T / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GETGETGETGETGETGETGET / HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 505 },
        { "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505 },
        { "GET / FTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\n: empty\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: x\r\nA: b\x01\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0x10\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501 },
        { "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
        { "POST / HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\n\r\n", 417 },
        { "GET / HTTP/1.1\r\nHost: x\r\nAuthorization: a\r\nAuthorization: b\r\n\r\n", 400 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int got = parse(bad[i].text);
        if (got != bad[i].status) fail_msg("%s\nwanted %d, got %d", bad[i].text, bad[i].status, got);
    }
}

static void a_nul_anywhere_in_the_head_is_refused_at_once(void **state)
{
    (void)state;
    size_t scan = 0;
    assert_int_equal(wire_head_end("GET /\0", 6, &scan), -1);
    scan = 0;
    assert_int_equal(wire_head_end("GET / HTTP/1.1\r\nA: \0b\r\n", 24, &scan), -1);
}

static void a_head_in_single_bytes_ends_at_the_same_place(void **state)
{
    (void)state;
    const char *s = "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /next";
    size_t scan = 0, all = strlen(s);
    for (size_t n = 1; n <= all; n++) {
        ssize_t end = wire_head_end(s, n, &scan);
        if (n < 27) assert_int_equal(end, 0);
        else {
            assert_int_equal(end, 27);
            return;
        }
    }
}

static void more_than_a_hundred_headers_are_too_many(void **state)
{
    (void)state;
    char s[8192] = "GET / HTTP/1.1\r\nHost: x\r\n";
    size_t len = strlen(s);
    for (int i = 0; i < 100; i++, len += 6) memcpy(s + len, "a: b\r\n", 6);
    memcpy(s + len, "\r\n", 3);
    assert_int_equal(parse(s), 431);
}

static enum wire_step decode(const char *s, size_t n, size_t piece, char *out, size_t *out_len, size_t *left)
{
    struct wire_chunks d = { 0 };
    *out_len = 0;
    for (size_t at = 0; at < n;) {
        const char *p = s + at;
        size_t give = n - at < piece ? n - at : piece, rest = give;
        const char *data;
        size_t len;
        enum wire_step w;
        while ((w = wire_chunks_next(&d, &p, &rest, &data, &len)) == WIRE_DATA) {
            memcpy(out + *out_len, data, len);
            *out_len += len;
        }
        at += give - rest;
        *left = n - at;
        if (w != WIRE_MORE) return w;
    }
    return WIRE_MORE;
}

static void chunked_bodies_decode_the_same_in_any_pieces(void **state)
{
    (void)state;
    const char *s = "5;name=value\r\nhello\r\n00a\r\n, world...\r\n0\r\nTrailer: x\r\nB: y\r\n\r\nGET /";
    char out[64];
    for (size_t piece = 1; piece <= strlen(s); piece++) {
        size_t n, left;
        assert_int_equal(decode(s, strlen(s), piece, out, &n, &left), WIRE_END);
        assert_int_equal(n, 15);
        assert_memory_equal(out, "hello, world...", 15);
        assert_int_equal(left, 5);
    }
}

static void broken_chunks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = { "\r\n", "g\r\n", "5\nhello", "5\r\nhelloX", "5\r\nhello\rX", "-5\r\n", "0x5\r\nhello\r\n",
                                       "1234567890abcdef0\r\n", "5 \n", "0\r\n\n", "0\r\nx\n" };
    char out[64];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t n, left;
        if (decode(bad[i], strlen(bad[i]), 100, out, &n, &left) != WIRE_BAD) fail_msg("accepted: %s", bad[i]);
    }
}

static void trailers_and_extensions_without_end_are_refused(void **state)
{
    (void)state;
    struct wire_chunks d = { 0 };
    char junk[1024];
    memset(junk, 'x', sizeof junk);
    const char *p = "5;", *data;
    size_t n = 2, len;
    assert_int_equal(wire_chunks_next(&d, &p, &n, &data, &len), WIRE_MORE);
    p = junk;
    n = sizeof junk;
    assert_int_equal(wire_chunks_next(&d, &p, &n, &data, &len), WIRE_BAD);
    memset(&d, 0, sizeof d);
    p = "0\r\n";
    n = 3;
    assert_int_equal(wire_chunks_next(&d, &p, &n, &data, &len), WIRE_MORE);
    enum wire_step w = WIRE_MORE;
    for (int i = 0; i < 8 && w == WIRE_MORE; i++) {
        p = junk;
        n = sizeof junk;
        w = wire_chunks_next(&d, &p, &n, &data, &len);
    }
    assert_int_equal(w, WIRE_BAD);
}

static void percent_escapes_decode_to_text_only(void **state)
{
    (void)state;
    char out[64];
    assert_true(wire_decode("a%2Fb%20%C3%B1", 14, false, out));
    assert_string_equal(out, "a/b ñ");
    assert_true(wire_decode("a+b%2B", 6, true, out));
    assert_string_equal(out, "a b+");
    assert_true(wire_decode("a+b", 3, false, out));
    assert_string_equal(out, "a+b");
    static const char *const bad[] = { "%", "%4", "%zz", "%00", "%0a", "%ff", "%c3", "%c0%af", "%ed%a0%80", "%f4%90%80%80", "%7f" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (wire_decode(bad[i], strlen(bad[i]), false, out)) fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_request_is_read),
        cmocka_unit_test(connections_are_kept_or_closed_as_the_version_says),
        cmocka_unit_test(every_head_with_two_readings_is_refused),
        cmocka_unit_test(a_nul_anywhere_in_the_head_is_refused_at_once),
        cmocka_unit_test(a_head_in_single_bytes_ends_at_the_same_place),
        cmocka_unit_test(more_than_a_hundred_headers_are_too_many),
        cmocka_unit_test(chunked_bodies_decode_the_same_in_any_pieces),
        cmocka_unit_test(broken_chunks_are_refused),
        cmocka_unit_test(trailers_and_extensions_without_end_are_refused),
        cmocka_unit_test(percent_escapes_decode_to_text_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
