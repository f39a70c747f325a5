/* Server-sent events: what is on the wire, readers that are slow or leave, and that they cost the others nothing. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

#include <malloc.h>

static atomic_int running, finished, cancelled, sent;
static atomic_int let_go;

static enum err say(struct req *r, const char *event, const char *id, const char *data)
{
    return sse_send(r, event, id, data, strlen(data));
}

static enum err three(struct req *r)
{
    enum err e = sse_begin(r);
    if (!e) e = say(r, "progress", "7", "{\"n\":1}");
    if (!e) e = say(r, NULL, NULL, "two\nlines\r\nand\rmore");
    if (!e) e = say(r, "evil\ndata: x", NULL, "");
    return e;
}

static enum err breaks(struct req *r)
{
    enum err e = sse_begin(r);
    if (!e) e = say(r, NULL, NULL, "before");
    if (!e) e = (fail)(&r->call, ERR_UPSTREAM, "the provider failed");
    return e;
}

static enum err refuses(struct req *r)
{
    return (fail)(&r->call, ERR_NOT_FOUND, "no such job");
}

/* Sends until the client is gone or has n events. */
static enum err many(struct req *r)
{
    int64_t n, size;
    enum err e = req_query_int(r, "n", 1000000, 1, 1000000, &n);
    if (!e) e = req_query_int(r, "size", 100, 1, 10000000, &size);
    if (!e) e = sse_begin(r);
    atomic_fetch_add(&running, 1);
    char *data = malloc((size_t)size + 1);
    memset(data, 'x', (size_t)size);
    for (int64_t i = 0; i < n && !e; i++) {
        data[i % size] = (char)(data[i % size] == 'x' ? 'y' : 'x');
        e = sse_send(r, NULL, NULL, data, (size_t)size);
        if (!e) atomic_fetch_add(&sent, 1);
    }
    free(data);
    atomic_fetch_add(e ? &cancelled : &finished, 1);
    atomic_fetch_sub(&running, 1);
    return e;
}

static enum err quiet(struct req *r)
{
    enum err e = sse_begin(r);
    atomic_fetch_add(&running, 1);
    while (!e && !atomic_load(&let_go)) {
        usleep(5000);
        e = call_check(&r->call);
    }
    if (!e) e = say(r, "done", NULL, "{}");
    atomic_fetch_sub(&running, 1);
    if (e) atomic_fetch_add(&cancelled, 1);
    return e;
}

static enum err quick(struct req *r)
{
    reply_bytes(r, 200, "text/plain", "ok", 2);
    return OK;
}

static const struct route rows[] = {
    { "GET", "/three", RIGHT_PUBLIC, 0, NULL, three, "Three", "test", 0, NULL, NULL, NULL },
    { "GET", "/breaks", RIGHT_PUBLIC, 0, NULL, breaks, "Breaks", "test", 0, NULL, NULL, NULL },
    { "GET", "/v1/breaks", RIGHT_PUBLIC, 0, NULL, breaks, "Breaks", "test", ROUTE_OPENAI, NULL, NULL, NULL },
    { "GET", "/refuses", RIGHT_PUBLIC, 0, NULL, refuses, "Refuses", "test", 0, NULL, NULL, NULL },
    { "GET", "/many", RIGHT_PUBLIC, 0, NULL, many, "Many", "test", 0, NULL, NULL, NULL },
    { "GET", "/quiet", RIGHT_PUBLIC, 0, NULL, quiet, "Quiet", "test", 0, NULL, NULL, NULL },
    { "GET", "/quick", RIGHT_PUBLIC, 0, NULL, quick, "Quick", "test", 0, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };
static struct http_limits normal;

static int begin(void **state)
{
    (void)state;
    http_limits = normal;
    atomic_store(&running, 0);
    atomic_store(&finished, 0);
    atomic_store(&cancelled, 0);
    atomic_store(&sent, 0);
    atomic_store(&let_go, 0);
    server_start(tables, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    atomic_store(&let_go, 1);
    server_end();
    return 0;
}

static void wait_for(atomic_int *n, int want, int ms)
{
    for (int i = 0; i < ms / 5 && atomic_load(n) != want; i++) usleep(5000);
    assert_int_equal(atomic_load(n), want);
}

static long status_number(const char *name)
{
    FILE *f = fopen("/proc/self/status", "r");
    char line[200];
    long v = -1;
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0) v = atol(line + strlen(name) + 1);
    if (f) fclose(f);
    return v;
}

static void a_stream_has_its_headers_and_events_on_the_wire(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /three HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(head_of(&a, "content-type"), "text/event-stream; charset=utf-8");
    assert_string_equal(head_of(&a, "cache-control"), "no-cache, no-transform");
    assert_string_equal(head_of(&a, "x-accel-buffering"), "no");
    assert_non_null(head_of(&a, "x-request-id"));
    assert_null(head_of(&a, "content-length"));
    assert_true(a.complete);
    assert_string_equal(a.body, ":\n\nevent: progress\nid: 7\ndata: {\"n\":1}\n\ndata: two\ndata: lines\ndata: and\ndata: more\n\nevent: evil\ndata: \n\n");
    answer_free(&a);
    puts_to(fd, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");   /* the connection is kept */
    a = read_answer(fd, false);
    assert_string_equal(a.body, "ok");
    answer_free(&a);
    puts_to(fd, "GET /three HTTP/1.0\r\n\r\n");
    a = read_answer(fd, false);
    assert_null(head_of(&a, "transfer-encoding"));
    assert_memory_equal(a.body, ":\n\nevent: progress\n", 19);
    answer_free(&a);
    close(fd);
}

static void an_error_before_the_stream_is_a_reply_and_after_it_an_event(void **state)
{
    (void)state;
    expect_status("GET /refuses HTTP/1.1\r\nHost: x\r\n\r\n", 404);
    struct answer a = ask("GET /breaks HTTP/1.1\r\nHost: x\r\nX-Request-ID: r1\r\n\r\n");
    assert_int_equal(a.status, 200);
    assert_true(a.complete);
    assert_string_equal(a.body, ":\n\ndata: before\n\nevent: error\ndata: {\"error\":\"the provider failed\",\"code\":\"upstream\",\"request_id\":\"r1\"}\n\n");
    answer_free(&a);
    a = ask("GET /v1/breaks HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(a.body, "\n\ndata: {\"error\":{\"message\":\"the provider failed\",\"type\":\"server_error\""));
    assert_null(strstr(a.body, "event:"));
    answer_free(&a);
}

static void a_quiet_stream_gets_heartbeats(void **state)
{
    (void)state;
    http_limits.heartbeat_ms = 200;
    int fd = dial();
    puts_to(fd, "GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&running, 1, 2000);
    usleep(1100000);
    atomic_store(&let_go, 1);
    struct answer a = read_answer(fd, false);
    int beats = 0;
    for (const char *p = a.body; (p = strstr(p, ":\n\n")); p += 3) beats++;
    assert_in_range(beats, 4, 7);
    assert_non_null(strstr(a.body, "event: done\ndata: {}\n\n"));
    answer_free(&a);
    close(fd);
}

static void an_event_larger_than_the_queue_passes_through_it(void **state)
{
    (void)state;
    struct answer a = ask("GET /many?n=3&size=1000000 HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_true(a.complete);
    assert_int_equal(a.body_len, 3 + 3 * (6 + 1000000 + 2));
    wait_for(&finished, 1, 2000);
    answer_free(&a);
}

static void a_slow_reader_slows_its_producer_and_loses_nothing(void **state)
{
    (void)state;
    int fd = dial(), small = 32768;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    puts_to(fd, "GET /many?n=12000&size=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&running, 1, 2000);
    usleep(300000);
    int early = atomic_load(&sent);
    usleep(300000);
    assert_int_equal(atomic_load(&sent), early);   /* it waits */
    assert_true(early < 10000);
    struct answer a = read_answer(fd, false);
    assert_true(a.complete);
    assert_int_equal(a.body_len, 3 + 12000 * (6 + 1000 + 2));
    wait_for(&finished, 1, 2000);
    answer_free(&a);
    close(fd);
}

static void a_reader_that_takes_nothing_is_dropped(void **state)
{
    (void)state;
    http_limits.stall_ms = 500;
    int fd = dial();
    puts_to(fd, "GET /many?size=1000 HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&cancelled, 1, 5000);
    wait_for(&running, 0, 1000);
    close(fd);
}

static void a_reader_that_leaves_stops_its_handler_at_once(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&running, 1, 2000);
    usleep(50000);
    close(fd);
    int64_t start = clock_mono_ms();
    wait_for(&running, 0, 1000);
    assert_true(clock_mono_ms() - start < 300);
    assert_int_equal(atomic_load(&cancelled), 1);
}

static void a_stop_ends_streams_with_words(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&running, 1, 2000);
    usleep(50000);
    int64_t start = clock_mono_ms();
    http_stop();
    struct answer a = read_answer(fd, false);
    assert_true(a.complete);
    assert_non_null(strstr(a.body, "event: error\n"));
    answer_free(&a);
    close(fd);
    pthread_join(T.thread, NULL);
    assert_true(clock_mono_ms() - start < 2500);
    server_start(tables, 2);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)   /* they keep freed memory, and are slow */
enum { ROUNDS = 1 };
#else
enum { ROUNDS = 4 };
#endif

/* 200 readers: every third reads slowly, every third leaves midway. None of the rest sees an error, requests beside them
 * are served by two ordinary workers, and afterwards no thread and no memory is left over. */
static void mixed_readers(int events)
{
    enum { N = 200 };
    static int fd[N];
    static size_t got[N];
    static char *kept[N];
    size_t whole = 0;
    char request[120];
    snprintf(request, sizeof request, "GET /many?n=%d&size=500 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", events);
    for (int i = 0; i < N; i++) {
        fd[i] = dial();
        got[i] = 0;
        kept[i] = calloc(1, 8);
        puts_to(fd[i], request);
    }
    int open = N;
    int64_t start = clock_mono_ms(), asked = start;
    char buf[16384];
    while (open > 0) {
        if (clock_mono_ms() - start > 100000) fail_msg("stuck with %d readers", open);
        struct pollfd p[N];
        for (int i = 0; i < N; i++) p[i] = (struct pollfd){ fd[i], POLLIN, 0 };
        poll(p, N, 20);
        int64_t now = clock_mono_ms();
        for (int i = 0; i < N; i++) {
            if (fd[i] < 0 || !(p[i].revents & (POLLIN | POLLHUP))) continue;
            if (i % 3 == 1 && (now + i) % 8 != 0) continue;   /* slow */
            ssize_t n = recv(fd[i], buf, i % 3 == 1 ? 2000 : sizeof buf, MSG_DONTWAIT);
            if (n > 0) {
                size_t last = n >= 7 ? 7 : (size_t)n;
                memmove(kept[i], kept[i] + last, 7 - last);
                memcpy(kept[i] + 7 - last, buf + n - last, last);
                got[i] += (size_t)n;
            }
            bool leave = i % 3 == 2 && got[i] > 30000;
            if (n == 0 && i % 3 != 2) {
                if (memcmp(kept[i], "\r\n0\r\n\r\n", 7) != 0) fail_msg("reader %d was cut after %zu bytes", i, got[i]);
                if (whole == 0) whole = got[i];
            }
            if (n == 0 || leave) {
                close(fd[i]);
                fd[i] = -1;
                open--;
            }
        }
        if (now - asked > 100) {
            int64_t before = clock_mono_ms();
            struct answer a = ask("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
            assert_int_equal(a.status, 200);
            answer_free(&a);
            asked = clock_mono_ms();
            assert_true(asked - before < (ROUNDS > 1 ? 2000 : 15000));
        }
    }
    for (int i = 0; i < N; i++) {
        if (i % 3 != 2) assert_in_range(got[i], whole - 200, whole + 200);
        free(kept[i]);
    }
    wait_for(&running, 0, 5000);
}

static void two_hundred_readers_a_third_slow_a_third_leaving(void **state)
{
    (void)state;
    long threads = status_number("Threads:");
    for (int round = 0; round < ROUNDS; round++) mixed_readers(200);   /* until the heap has its size */
    malloc_trim(0);   /* what is left then is held, not merely kept for later */
    long first = status_number("VmRSS:");
    for (int round = 0; round < ROUNDS; round++) mixed_readers(200);
    malloc_trim(0);
    long last = status_number("VmRSS:");
    for (int i = 0; i < 200 && status_number("Threads:") > threads + 1; i++) usleep(10000);
    assert_true(status_number("Threads:") <= threads + 1);
    if (ROUNDS > 1 && last > first + 6144) fail_msg("resident memory grew from %ld to %ld KiB", first, last);
    print_message("resident %ld KiB after half of the rounds, %ld KiB after all\n", first, last);
    assert_int_equal(atomic_load(&finished) + atomic_load(&cancelled), ROUNDS * 400);
    assert_true(atomic_load(&finished) >= ROUNDS * 2 * 133);
}

static void more_streams_than_allowed_are_refused_with_words(void **state)
{
    (void)state;
    server_end();
    conf_free();
    conf_set("HTTP_STREAM_WORKERS", "3");
    settings_load();
    server_start(tables, 2);
    int fd[3];
    for (int i = 0; i < 3; i++) {
        fd[i] = dial();
        puts_to(fd[i], "GET /quiet HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_for(&running, 3, 2000);
    struct answer a = ask("GET /three HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(a.status, 503);
    assert_string_equal(head_of(&a, "retry-after"), "5");
    answer_free(&a);
    expect_status("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 200);
    for (int i = 0; i < 3; i++) close(fd[i]);
    wait_for(&running, 0, 2000);
    a = ask("GET /three HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(a.status, 200);
    answer_free(&a);
}

int main(void)
{
    mallopt(M_ARENA_MAX, 2);   /* as the server does: arenas of many threads hide what is flat */
    settings_load();
    normal = http_limits;
#define on_server(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        on_server(a_stream_has_its_headers_and_events_on_the_wire),
        on_server(an_error_before_the_stream_is_a_reply_and_after_it_an_event),
        on_server(a_quiet_stream_gets_heartbeats),
        on_server(an_event_larger_than_the_queue_passes_through_it),
        on_server(a_slow_reader_slows_its_producer_and_loses_nothing),
        on_server(a_reader_that_takes_nothing_is_dropped),
        on_server(a_reader_that_leaves_stops_its_handler_at_once),
        on_server(a_stop_ends_streams_with_words),
        on_server(two_hundred_readers_a_third_slow_a_third_leaving),
        on_server(more_streams_than_allowed_are_refused_with_words),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    conf_free();
    return failed;
}
