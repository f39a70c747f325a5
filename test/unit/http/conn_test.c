/* Connections that are kept, slow, broken, too many, or interrupted by a stop. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

static atomic_int entered, stopped, hold;

static enum err quick(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "n", req_query(r, "n"));
    json_end(j);
    return OK;
}

/* Works until it is let go or its client is gone. */
static enum err slow(struct req *r)
{
    atomic_fetch_add(&entered, 1);
    while (atomic_load(&hold)) {
        enum err e = call_check(&r->call);
        if (e) {
            atomic_fetch_add(&stopped, 1);
            return e;
        }
        usleep(2000);
    }
    return quick(r);
}

#define BIG_BYTES (12u * 1024 * 1024)
static char *big_bytes;
static enum err big(struct req *r)
{
    if (req_query(r, "fixed")) reply_static(r, 200, "application/octet-stream", big_bytes, BIG_BYTES);
    else reply_bytes(r, 200, "application/octet-stream", big_bytes, BIG_BYTES);
    return OK;
}

static enum err raw(struct req *r)
{
    reply_bytes(r, 200, "text/plain", r->body, r->body_len);
    return OK;
}

static const struct route rows[] = {
    { "GET", "/quick", RIGHT_PUBLIC, 0, NULL, quick, "Quick", "test", 0, NULL, NULL, NULL },
    { "GET", "/slow", RIGHT_PUBLIC, 0, NULL, slow, "Slow", "test", 0, NULL, NULL, NULL },
    { "GET", "/big", RIGHT_PUBLIC, 0, NULL, big, "Big", "test", 0, NULL, NULL, NULL },
    { "POST", "/raw", RIGHT_PUBLIC, 4 * 1024 * 1024, NULL, raw, "Raw", "test", ROUTE_RAW, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };
static struct http_limits normal;

static int begin(void **state)
{
    (void)state;
    http_limits = normal;
    atomic_store(&entered, 0);
    atomic_store(&stopped, 0);
    atomic_store(&hold, 1);
    server_start(tables, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    atomic_store(&hold, 0);
    server_end();
    return 0;
}

static void wait_for(atomic_int *n, int want)
{
    for (int i = 0; i < 2500 && atomic_load(n) < want; i++) usleep(2000);
    assert_true(atomic_load(n) >= want);
}

static void a_kept_connection_answers_one_request_after_the_other(void **state)
{
    (void)state;
    int fd = dial();
    for (int i = 0; i < 100; i++) {
        char text[100];
        snprintf(text, sizeof text, "GET /quick?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        puts_to(fd, text);
        struct answer a = read_answer(fd, false);
        snprintf(text, sizeof text, "{\"n\":\"%d\"}", i);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, text);
        assert_null(head_of(&a, "connection"));
        answer_free(&a);
    }
    puts_to(fd, "GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    struct answer a = read_answer(fd, false);
    assert_string_equal(head_of(&a, "connection"), "close");
    answer_free(&a);
    assert_true(closes_within(fd, 1000));
    close(fd);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    enum { N = 500 };
    int fd = dial();
    char *all = calloc(N, 100);
    size_t len = 0;
    for (int i = 0; i < N; i++) {
        const char *form = i % 3 == 0 ? "POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nb%05d" : "GET /quick?n=%d HTTP/1.1\r\nHost: x\r\n\r\n";
        len += (size_t)snprintf(all + len, 100, form, i);
    }
    put(fd, all, len);
    for (int i = 0; i < N; i++) {
        struct answer a = read_answer(fd, false);
        char want[40];
        snprintf(want, sizeof want, i % 3 == 0 ? "b%05d" : "{\"n\":\"%d\"}", i);
        assert_int_equal(a.status, 200);
        assert_string_equal(a.body, want);
        answer_free(&a);
    }
    free(all);
    close(fd);
}

static void an_old_client_is_answered_and_closed(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /quick HTTP/1.0\r\n\r\n");
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_true(closes_within(fd, 1000));
    close(fd);
}

static void megabytes_reach_a_slow_reader_whole(void **state)
{
    (void)state;
    static const char *const requests[] = { "GET /big HTTP/1.1\r\nHost: x\r\n\r\n", "GET /big?fixed=1 HTTP/1.1\r\nHost: x\r\n\r\n" };
    for (int k = 0; k < 2; k++) {
        int fd = dial();
        puts_to(fd, requests[k]);
        usleep(200000);
        struct answer a = read_answer(fd, false);
        assert_int_equal(a.status, 200);
        assert_int_equal(a.body_len, BIG_BYTES);
        assert_memory_equal(a.body, big_bytes, BIG_BYTES);
        answer_free(&a);
        puts_to(fd, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
        a = read_answer(fd, false);
        assert_int_equal(a.status, 200);
        answer_free(&a);
        close(fd);
    }
}

static void large_bodies_arrive_whole_with_a_length_and_in_chunks(void **state)
{
    (void)state;
    enum { N = 3 * 1024 * 1024 };
    int fd = dial();
    char head[200];
    snprintf(head, sizeof head, "POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", N);
    puts_to(fd, head);
    put(fd, big_bytes, N);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, N);
    assert_memory_equal(a.body, big_bytes, N);
    answer_free(&a);
    puts_to(fd, "POST /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0, n; at < N; at += n) {
        n = 1 + at % 70000;
        if (n > N - at) n = N - at;
        snprintf(head, sizeof head, "%zx\r\n", n);
        puts_to(fd, head);
        put(fd, big_bytes + at, n);
        puts_to(fd, "\r\n");
    }
    puts_to(fd, "0\r\n\r\n");
    a = read_answer(fd, false);
    assert_int_equal(a.status, 200);
    assert_int_equal(a.body_len, N);
    assert_memory_equal(a.body, big_bytes, N);
    answer_free(&a);
    close(fd);
}

static void too_much_body_is_refused_while_it_comes(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "POST /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n");
    put(fd, big_bytes, 0x500000);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 413);
    assert_non_null(strstr(a.body, "4194304"));
    answer_free(&a);
    assert_true(closes_within(fd, 3000));
    close(fd);
}

static void malformed_heads_get_a_reply_and_a_close(void **state)
{
    (void)state;
    char huge[20000];
    memset(huge, 'a', sizeof huge);
    memcpy(huge, "GET /", 5);
    huge[sizeof huge - 1] = '\0';
    static const struct {
        const char *text;
        int         status;
    } fixed[] = { { "\x16\x03\x01\x02\x01\r\n", 400 },  { "GET /quick HTTP/1.1\n\n", 400 }, { "GET http://x/quick HTTP/1.1\r\nHost: x\r\n\r\n", 400 },
                  { "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400 }, { "GET /quick HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 } };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        int fd = dial();
        puts_to(fd, fixed[i].text);
        struct answer a = read_answer(fd, false);
        if (a.status != fixed[i].status && a.status != 505) fail_msg("%s: %d", fixed[i].text, a.status);
        answer_free(&a);
        assert_true(closes_within(fd, 3000));
        close(fd);
    }
    int fd = dial();
    put(fd, huge, sizeof huge - 1);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 431);
    answer_free(&a);
    close(fd);
    fd = dial();
    put(fd, "GET /\0 HTTP/1.1\r\n", 17);
    a = read_answer(fd, false);
    assert_int_equal(a.status, 400);
    answer_free(&a);
    close(fd);
    expect_status("\r\nGET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void a_slow_head_is_answered_408_and_an_empty_connection_closed(void **state)
{
    (void)state;
    http_limits.header_ms = 400;
    int silent = dial(), drip = dial();
    int64_t start = clock_mono_ms();
    puts_to(drip, "GET /quick HT");
    usleep(250000);
    puts_to(drip, "TP/1.1\r\nHo");   /* bytes that come do not buy more time */
    struct answer a = read_answer(drip, false);
    assert_int_equal(a.status, 408);
    assert_true(clock_mono_ms() - start < 1500);
    answer_free(&a);
    assert_true(closes_within(silent, 1500));
    close(silent);
    close(drip);
}

static void an_idle_connection_is_closed_and_a_slow_body_refused(void **state)
{
    (void)state;
    http_limits.idle_ms = 300;
    http_limits.body_ms = 400;
    int idle = dial(), body = dial();
    puts_to(idle, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = read_answer(idle, false);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    puts_to(body, "POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
    assert_true(closes_within(idle, 2000));
    a = read_answer(body, false);
    assert_int_equal(a.status, 408);
    answer_free(&a);
    close(idle);
    close(body);
}

static void a_client_that_leaves_stops_its_handler(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /quick");   /* pipelined bytes must not hide the leaving */
    wait_for(&entered, 1);
    close(fd);
    int64_t start = clock_mono_ms();
    wait_for(&stopped, 1);
    assert_true(clock_mono_ms() - start < 1500);
    expect_status("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void a_client_that_half_closes_still_gets_its_reply(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "GET /quick?n=1 HTTP/1.1\r\nHost: x\r\n\r\n");
    shutdown(fd, SHUT_WR);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 200);
    answer_free(&a);
    assert_true(closes_within(fd, 1000));
    close(fd);
    /* And one that half-closes in the middle of a head or body is simply dropped. */
    fd = dial();
    puts_to(fd, "POST /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\npart");
    shutdown(fd, SHUT_WR);
    assert_true(closes_within(fd, 1000));
    close(fd);
}

static void a_full_queue_answers_503_with_retry_after(void **state)
{
    (void)state;
    server_end();
    http_limits.queue = 3;
    server_start(tables, 2);
    int fds[12];
    for (int i = 0; i < 2; i++) {
        fds[i] = dial();
        puts_to(fds[i], "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    wait_for(&entered, 2);
    for (int i = 2; i < 12; i++) {
        fds[i] = dial();
        puts_to(fds[i], "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    usleep(100000);
    atomic_store(&hold, 0);
    int refused = 0, served = 0;
    for (int i = 0; i < 12; i++) {
        struct answer a = read_answer(fds[i], false);
        if (a.status == 503) {
            refused++;
            assert_string_equal(head_of(&a, "retry-after"), "1");
            assert_non_null(strstr(a.body, "\"code\":\"busy\""));
        } else {
            assert_int_equal(a.status, 200);
            served++;
        }
        answer_free(&a);
        close(fds[i]);
    }
    assert_int_equal(refused, 7);
    assert_int_equal(served, 5);
}

static void connections_over_the_limit_are_turned_away(void **state)
{
    (void)state;
    http_limits.connections = 5;
    int fds[5];
    for (int i = 0; i < 5; i++) {
        fds[i] = dial();
        puts_to(fds[i], "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
        struct answer a = read_answer(fds[i], false);
        assert_int_equal(a.status, 200);
        answer_free(&a);
    }
    int fd = dial();
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 503);
    assert_true(a.complete);
    assert_non_null(head_of(&a, "retry-after"));
    answer_free(&a);
    close(fd);
    for (int i = 0; i < 5; i++) close(fds[i]);
    usleep(100000);
    expect_status("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void *stop_main(void *arg)
{
    (void)arg;
    http_stop();
    return NULL;
}

static void a_stop_finishes_what_runs_and_closes_what_idles(void **state)
{
    (void)state;
    int idle = dial(), busy = dial();
    puts_to(idle, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = read_answer(idle, false);
    answer_free(&a);
    puts_to(busy, "GET /slow?n=last HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&entered, 1);
    pthread_t t;
    pthread_create(&t, NULL, stop_main, NULL);
    pthread_join(t, NULL);
    assert_true(closes_within(idle, 2000));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)T.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    assert_int_not_equal(connect(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    close(fd);
    assert_false(T.ended);
    atomic_store(&hold, 0);
    a = read_answer(busy, false);
    assert_int_equal(a.status, 200);
    assert_string_equal(a.body, "{\"n\":\"last\"}");
    assert_string_equal(head_of(&a, "connection"), "close");
    answer_free(&a);
    close(busy);
    close(idle);
    pthread_join(T.thread, NULL);
    assert_int_equal(T.result, OK);
    server_start(tables, 2);   /* and the process can serve again */
    expect_status("GET /quick HTTP/1.1\r\nHost: x\r\n\r\n", 200);
}

static void a_handler_that_does_not_end_is_told_when_the_stop_is_late(void **state)
{
    (void)state;
    http_limits.stop_ms = 300;
    int busy = dial();
    puts_to(busy, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_for(&entered, 1);
    int64_t start = clock_mono_ms();
    http_stop();
    struct answer a = read_answer(busy, false);
    assert_int_equal(a.status, 503);
    answer_free(&a);
    close(busy);
    pthread_join(T.thread, NULL);
    assert_true(clock_mono_ms() - start < 3000);
    server_start(tables, 2);
}

static void an_address_in_use_is_said_and_nothing_is_left_open(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    const char *twice[] = { T.bound, NULL };
    struct http_conf conf = { .listen = twice, .tables = tables };
    /* The running server is the only one of this process, so a plain socket holds the port instead. */
    server_end();
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof sa;
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof sa), 0);
    listen(fd, 1);
    getsockname(fd, (struct sockaddr *)&sa, &len);
    char address[40];
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(sa.sin_port));
    twice[0] = address;
    assert_int_equal(http_serve(&c, &conf, NULL, NULL), ERR_IO);
    assert_non_null(strstr(c.err_text, address));
    close(fd);
    call_forgive(&c);
    twice[0] = "127.0.0.1";
    assert_int_equal(http_serve(&c, &conf, NULL, NULL), ERR_INVALID);
    call_dispose(&c);
    server_start(tables, 2);
}

int main(void)
{
    settings_load();
    normal = http_limits;
    big_bytes = malloc(BIG_BYTES);
    for (size_t i = 0; i < BIG_BYTES; i++) big_bytes[i] = (char)(i * 2654435761u >> 13);
#define on_server(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        on_server(a_kept_connection_answers_one_request_after_the_other),
        on_server(pipelined_requests_are_answered_in_order),
        on_server(an_old_client_is_answered_and_closed),
        on_server(megabytes_reach_a_slow_reader_whole),
        on_server(large_bodies_arrive_whole_with_a_length_and_in_chunks),
        on_server(too_much_body_is_refused_while_it_comes),
        on_server(malformed_heads_get_a_reply_and_a_close),
        on_server(a_slow_head_is_answered_408_and_an_empty_connection_closed),
        on_server(an_idle_connection_is_closed_and_a_slow_body_refused),
        on_server(a_client_that_leaves_stops_its_handler),
        on_server(a_client_that_half_closes_still_gets_its_reply),
        on_server(a_full_queue_answers_503_with_retry_after),
        on_server(connections_over_the_limit_are_turned_away),
        on_server(a_stop_finishes_what_runs_and_closes_what_idles),
        on_server(a_handler_that_does_not_end_is_told_when_the_stop_is_late),
        on_server(an_address_in_use_is_said_and_nothing_is_left_open),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(big_bytes);
    conf_free();
    return failed;
}
