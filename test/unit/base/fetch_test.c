/* HTTP to others: answers, limits, deadlines, cancelling, streaming, files; against a small server of its own. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fetch.h"

static int         listener;
static atomic_int  connections;
static atomic_bool closing;
static pthread_t   acceptor;
static char        origin[64];
static struct call c;

static void reply(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0) return;
}

static void pause_ms(int ms)
{
    for (int i = 0; i < ms && !atomic_load(&closing); i += 5) nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
}

/* One request of a connection that stays open; false ends it. */
static bool answer(int fd, const char *request)
{
    const char *path = strchr(request, ' ') + 1, *body = strstr(request, "\r\n\r\n") + 4;
    char out[16384];
    if (!strncmp(path, "/echo ", 6)) {
        snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Type: text/x-test\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
        reply(fd, out);
    } else if (!strncmp(path, "/head ", 6)) {
        snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", (size_t)(body - request), "");
        reply(fd, out);
        reply(fd, request);
    } else if (!strncmp(path, "/busy ", 6)) {
        reply(fd, "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nslow");
    } else if (!strncmp(path, "/later ", 7)) {
        char date[64];
        time_t at = time(NULL) + 60;
        struct tm t;
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &t));
        snprintf(out, sizeof out, "HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
        reply(fd, out);
    } else if (!strncmp(path, "/moved ", 7)) {
        reply(fd, "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n");
    } else if (!strncmp(path, "/slow ", 6)) {
        pause_ms(3000);
        return false;
    } else if (!strncmp(path, "/stall ", 7)) {
        reply(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        pause_ms(3000);
        return false;
    } else if (!strncmp(path, "/cut ", 5)) {
        reply(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
        return false;
    } else if (!strncmp(path, "/pieces ", 8)) {
        reply(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 5; i++) {
            reply(fd, "3\r\nabc\r\n");
            pause_ms(10);
        }
        reply(fd, "0\r\n\r\n");
    } else if (!strncmp(path, "/astray ", 8)) {
        reply(fd, "HTTP/1.1 206 Partial\r\nContent-Range: bytes 0-9/10\r\nContent-Length: 10\r\n\r\n0123456789");
    } else if (!strncmp(path, "/tagged ", 8)) {
        reply(fd, "HTTP/1.1 302 Found\r\nLocation: /file\r\nETag: \"t\"\r\nX-Linked-Etag: \"deep\"\r\nContent-Length: 0\r\n\r\n");
    } else if (!strncmp(path, "/file ", 6) && strstr(request, "Range: bytes=5-")) {
        reply(fd, "HTTP/1.1 206 Partial\r\nContent-Range: bytes 5-9/10\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n56789");
    } else if (!strncmp(path, "/file ", 6) || !strncmp(path, "/whole ", 7)) {
        reply(fd, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789");
    } else {
        reply(fd, "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno");
    }
    return true;
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char request[8192];
    for (bool more = true; more;) {
        size_t n = 0, want = 0;
        while (n < sizeof request - 1) {
            struct pollfd p = { .fd = fd, .events = POLLIN };
            if (atomic_load(&closing)) break;
            if (poll(&p, 1, 20) <= 0) continue;
            ssize_t got = read(fd, request + n, sizeof request - 1 - n);
            if (got <= 0) goto out;
            n += (size_t)got;
            request[n] = '\0';
            char *end = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
            want = end ? (size_t)(end - request) + 4 + (length && length < end ? strtoul(length + 15, NULL, 10) : 0) : 0;
            if (want && n >= want) break;
        }
        if (atomic_load(&closing)) break;
        more = answer(fd, request);
    }
out:
    close(fd);
    return NULL;
}

static void *accept_all(void *arg)
{
    pthread_t threads[64];
    int n = 0;
    (void)arg;
    while (!atomic_load(&closing)) {
        struct pollfd p = { .fd = listener, .events = POLLIN };
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 || n == 64) break;
        atomic_fetch_add(&connections, 1);
        pthread_create(&threads[n++], NULL, serve, (void *)(intptr_t)fd);
    }
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    return NULL;
}

static int open_server(void **state)
{
    (void)state;
    struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof a;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&a, sizeof a) || listen(listener, 16)) return -1;
    getsockname(listener, (struct sockaddr *)&a, &len);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%d", ntohs(a.sin_port));
    pthread_create(&acceptor, NULL, accept_all, NULL);
    fetch_open();
    return 0;
}

static int close_server(void **state)
{
    (void)state;
    atomic_store(&closing, true);
    pthread_join(acceptor, NULL);
    close(listener);
    fetch_close();
    return 0;
}

static int set_up(void **state)
{
    (void)state;
    call_init(&c);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    call_dispose(&c);
    return 0;
}

static const char *url(const char *path)
{
    return arena_printf(&c.mem, "%s%s", origin, path);
}

static void a_body_is_posted_and_the_answer_read(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .method = "POST", .url = url("/echo"), .body = "{\"a\":1}", .body_len = 7 }, &r), OK);
    assert_int_equal(r.status, 200);
    assert_string_equal(r.body, "{\"a\":1}");
    assert_string_equal(r.content_type, "text/x-test");
    assert_int_equal(r.retry_after_s, -1);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/nothing") }, &r), OK);
    assert_int_equal(r.status, 404);
    assert_string_equal(r.body, "no");
    assert_string_equal(r.content_type, "");
}

static void method_and_headers_are_sent(void **state)
{
    (void)state;
    struct fetch_reply r;
    const char *const headers[] = { "X-Test: yes", NULL };
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .method = "DELETE", .url = url("/head"), .headers = headers }, &r), OK);
    assert_int_equal(strncmp(r.body, "DELETE /head HTTP/1.1\r\n", 23), 0);
    assert_non_null(strstr(r.body, "X-Test: yes\r\n"));
    assert_null(strstr(r.body, "Expect:"));
}

static void a_connection_is_used_again(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole") }, &r), OK);
    int before = atomic_load(&connections);
    for (int i = 0; i < 5; i++) assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole") }, &r), OK);
    assert_int_equal(atomic_load(&connections), before);
}

static void retry_after_is_read_as_seconds_and_as_date(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/busy") }, &r), OK);
    assert_int_equal(r.status, 429);
    assert_int_equal(r.retry_after_s, 7);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/later") }, &r), OK);
    assert_in_range(r.retry_after_s, 55, 60);
}

static void redirects_are_not_followed_and_only_http_is_spoken(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/moved") }, &r), OK);
    assert_int_equal(r.status, 302);
    static const char *const others[] = { "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "not an address" };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = others[i] }, &r), ERR_UPSTREAM);
        call_forgive(&c);
    }
}

static void nobody_there_and_half_answers_are_upstream_errors(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = "http://127.0.0.1:1/?key=hunter2" }, &r), ERR_UPSTREAM);
    assert_null(strstr(c.err_text, "hunter2"));
    call_forgive(&c);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/cut") }, &r), ERR_UPSTREAM);
    call_forgive(&c);
}

static void waiting_ends_at_every_kind_of_deadline(void **state)
{
    (void)state;
    struct fetch_reply r;
    int64_t began = clock_mono_ms();
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/slow"), .timeout_ms = 100 }, &r), ERR_TIMEOUT);
    call_forgive(&c);
    c.deadline_ms = clock_mono_ms() + 100;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/slow") }, &r), ERR_TIMEOUT);
    call_forgive(&c);
    c.deadline_ms = 0;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/stall"), .idle_ms = 100 }, &r), ERR_TIMEOUT);
    call_forgive(&c);
    assert_true(clock_mono_ms() - began < 2000);
}

static void *stop_soon(void *arg)
{
    nanosleep(&(struct timespec){ .tv_nsec = 60000000 }, NULL);
    atomic_store((atomic_bool *)arg, true);
    return NULL;
}

static void a_gone_client_ends_the_request(void **state)
{
    (void)state;
    struct fetch_reply r;
    atomic_bool gone = false;
    pthread_t t;
    c.stop = &gone;
    int64_t began = clock_mono_ms();
    pthread_create(&t, NULL, stop_soon, &gone);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/slow") }, &r), ERR_CANCELLED);
    pthread_join(t, NULL);
    assert_true(clock_mono_ms() - began < 1000);
}

struct seen {
    char text[64];
    int  pieces, stop_after;
};

static bool on_data(void *arg, const char *p, size_t n)
{
    struct seen *s = arg;
    strncat(s->text, p, n);
    return ++s->pieces != s->stop_after;
}

static void a_body_is_streamed_and_can_be_left_early(void **state)
{
    (void)state;
    struct fetch_reply r;
    struct seen s = { "", 0, 0 };
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/pieces"), .on_data = on_data, .arg = &s }, &r), OK);
    assert_string_equal(s.text, "abcabcabcabcabc");
    assert_true(s.pieces > 1);
    assert_int_equal(r.body_len, 0);
    s = (struct seen){ "", 0, 1 };
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/pieces"), .on_data = on_data, .arg = &s }, &r), OK);
    assert_int_equal(s.pieces, 1);
    assert_int_equal(r.status, 200);
    s = (struct seen){ "", 0, 0 };
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/busy"), .on_data = on_data, .arg = &s }, &r), OK);
    assert_int_equal(s.pieces, 0);
    assert_string_equal(r.body, "slow");
}

static void an_answer_over_the_limit_is_refused(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .max_bytes = 9 }, &r), ERR_TOO_LARGE);
    call_forgive(&c);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .max_bytes = 10 }, &r), OK);
    assert_int_equal(r.body_len, 10);
}

static void file_is(const char *path, const char *text)
{
    char got[64] = "";
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    assert_int_equal(n, strlen(text));
    assert_string_equal(got, text);
}

static void a_file_is_written_and_continued(void **state)
{
    (void)state;
    struct fetch_reply r;
    char path[] = "/tmp/chiron-fetch-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/file"), .to_file = path }, &r), OK);
    file_is(path, "0123456789");
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/file"), .to_file = path, .resume_from = 5 }, &r), OK);
    assert_int_equal(r.status, 206);
    file_is(path, "0123456789");
    assert_string_equal(r.etag, "\"a\"");
    /* One that goes on elsewhere is not believed, and the file is as it was. */
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/astray"), .to_file = path, .resume_from = 5 }, &r), ERR_UPSTREAM);
    assert_non_null(strstr(c.err_text, "byte 5"));
    call_forgive(&c);
    file_is(path, "0123456789");
    /* A server that does not know ranges sends all again. */
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .to_file = path, .resume_from = 5 }, &r), OK);
    file_is(path, "0123456789");
    /* An error's body does not end up in the file. */
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/nothing"), .to_file = path }, &r), OK);
    file_is(path, "0123456789");
    assert_string_equal(r.body, "no");
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .to_file = "/nowhere/x" }, &r), ERR_IO);
    call_forgive(&c);
    unlink(path);
}

struct watched {
    int64_t have, total;
    int     calls, end_at;
    char    etag[16];
};

static bool see(void *arg, int64_t have, int64_t total, const char *etag)
{
    struct watched *s = arg;
    s->have = have;
    s->total = total;
    snprintf(s->etag, sizeof s->etag, "%s", etag);
    return ++s->calls != s->end_at;
}

static void what_a_file_will_be_is_known_before_it_is_written(void **state)
{
    (void)state;
    struct fetch_reply r;
    struct watched s = { 0 };
    char path[] = "/tmp/chiron-fetch-XXXXXX";
    close(mkstemp(path));
    assert_int_equal(truncate(path, 5), 0);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/file"), .to_file = path, .resume_from = 5, .on_progress = see, .arg = &s }, &r), OK);
    assert_int_equal(s.have, 5);
    assert_int_equal(s.total, 10);
    assert_string_equal(s.etag, "\"a\"");
    s = (struct watched){ .end_at = 1 };
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .to_file = path, .on_progress = see, .arg = &s }, &r), ERR_CANCELLED);
    call_forgive(&c);
    file_is(path, "");
    /* What is announced to be too large is not begun. */
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/whole"), .to_file = path, .max_bytes = 9 }, &r), ERR_TOO_LARGE);
    call_forgive(&c);
    file_is(path, "");
    unlink(path);
}

static void where_a_redirect_leads_is_told_in_full(void **state)
{
    (void)state;
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/tagged") }, &r), OK);
    assert_int_equal(r.status, 302);
    assert_string_equal(r.location, url("/file"));
    assert_string_equal(r.linked_etag, "\"deep\"");
    assert_string_equal(r.etag, "\"t\"");
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = url("/echo") }, &r), OK);
    assert_string_equal(r.location, "");
    assert_string_equal(r.etag, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_file_will_be_is_known_before_it_is_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(where_a_redirect_leads_is_told_in_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_is_posted_and_the_answer_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(method_and_headers_are_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_connection_is_used_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(retry_after_is_read_as_seconds_and_as_date, set_up, tear_down),
        cmocka_unit_test_setup_teardown(redirects_are_not_followed_and_only_http_is_spoken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_there_and_half_answers_are_upstream_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(waiting_ends_at_every_kind_of_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_gone_client_ends_the_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_body_is_streamed_and_can_be_left_early, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_over_the_limit_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_is_written_and_continued, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, open_server, close_server);
}
