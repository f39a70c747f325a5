/* What is refused, in which order, and what every reply carries: a real server, raw sockets. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

static enum err say_who(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "id", req_path(r, "id"));
    json_put_text(j, "rest", req_path(r, "rest"));
    json_put_text(j, "q", req_query(r, "q"));
    json_put_text(j, "creator", r->call.creator_id);
    json_put_text(j, "user", r->call.user_id);
    json_put_bool(j, "tenant", r->call.tenant != NULL);
    json_put_text(j, "remote", r->remote);
    json_put_text(j, "route", r->route->path);
    json_end(j);
    return OK;
}

static enum err echo(struct req *r)
{
    struct json_out *j = reply_json(r, 201);
    json_begin_object(j, NULL);
    json_put_value(j, "body", r->json);
    json_end(j);
    return OK;
}

static enum err raw(struct req *r)
{
    reply_bytes(r, 200, "text/plain", r->body, r->body_len);
    return OK;
}

static enum err count(struct req *r)
{
    int64_t n;
    enum err e = req_query_int(r, "n", 5, 1, 10, &n);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_int(j, "n", n);
    json_end(j);
    return OK;
}

static enum err asset(struct req *r)
{
    static const char page[] = "<!doctype html><p>hi</p>";
    reply_static(r, 200, "text/html; charset=utf-8", page, sizeof page - 1);
    return OK;
}

static enum err fails(struct req *r)
{
    static const struct {
        const char *name;
        enum err    e;
    } all[] = { { "conflict", ERR_CONFLICT }, { "busy", ERR_BUSY }, { "rate", ERR_RATE_LIMITED }, { "internal", ERR_INTERNAL },
                { "timeout", ERR_TIMEOUT }, { "upstream", ERR_UPSTREAM }, { "corrupt", ERR_CORRUPT }, { "invalid", ERR_INVALID } };
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "half", "written");
    json_end(j);
    reply_header(r, "X-Half", "yes");
    r->call.retry_after_s = 7;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(req_path(r, "what"), all[i].name) == 0) {
            if (all[i].e == ERR_INVALID) return fail_field(&r->call, "a[2].b", "a[2].b is wrong");
            return (fail)(&r->call, all[i].e, "secret /var/lib %s", all[i].name);
        }
    return (fail)(&r->call, ERR_NOT_FOUND, "no such thing");
}

static enum err silent(struct req *r)
{
    (void)r;
    return OK;
}

#define BODY "{\"type\":\"object\",\"required\":[\"a\"],\"additionalProperties\":false,\"properties\":{\"a\":{\"type\":\"integer\"}}}"
static const struct route rows[] = {
    { "GET", "/open", RIGHT_PUBLIC, 0, NULL, say_who, "Open", "test", 0, NULL, NULL, NULL },
    { "GET", "/things/{id}", RIGHT_ASK, 0, NULL, say_who, "One", "test", 0, NULL, NULL, NULL },
    { "GET", "/things/special", RIGHT_ASK, 0, NULL, say_who, "Special", "test", 0, NULL, NULL, NULL },
    { "DELETE", "/things/{id}", RIGHT_WRITE, 0, NULL, say_who, "Delete", "test", 0, NULL, NULL, NULL },
    { "GET", "/files/{rest...}", RIGHT_READ, 0, NULL, say_who, "Files", "test", 0, NULL, NULL, NULL },
    { "GET", "/house", RIGHT_ASK, 0, NULL, say_who, "House", "test", 0, "rag", NULL, NULL },
    { "POST", "/echo", RIGHT_ASK, 1000, BODY, echo, "Echo", "test", 0, "rag", NULL, NULL },
    { "POST", "/loose", RIGHT_PUBLIC, 1000, BODY, echo, "Echo, loosely", "test", ROUTE_IGNORE_UNKNOWN, NULL, NULL, NULL },
    { "POST", "/raw", RIGHT_PUBLIC, 100000, NULL, raw, "Raw", "test", ROUTE_RAW, NULL, NULL, NULL },
    { "POST", "/v1/echo", RIGHT_ASK, 1000, BODY, echo, "Echo, as OpenAI", "openai", ROUTE_OPENAI, "rag", NULL, NULL },
    { "GET", "/count", RIGHT_PUBLIC, 0, NULL, count, "Count", "test", 0, NULL, NULL, NULL },
    { "GET", "/page", RIGHT_PUBLIC, 0, NULL, asset, "Page", "test", 0, NULL, NULL, NULL },
    { "GET", "/fails/{what}", RIGHT_PUBLIC, 0, NULL, fails, "Fails", "test", 0, NULL, NULL, NULL },
    { "GET", "/silent", RIGHT_PUBLIC, 0, NULL, silent, "Silent", "test", 0, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, http_routes, NULL };

#define GET(path, extra) "GET " path " HTTP/1.1\r\nHost: x\r\n" extra "\r\n"
#define AS_USER "Authorization: Bearer good\r\n"
#define JSON "Content-Type: application/json\r\n"

static void has(const struct answer *a, int status, const char *text)
{
    if (a->status != status || (text && !strstr(a->body, text))) fail_msg("wanted %d with %s, got %d %s", status, text ? text : "", a->status, a->body);
}

static void check(const char *request, int status, const char *text)
{
    struct answer a = ask(request);
    has(&a, status, text);
    answer_free(&a);
}

static void unknown_paths_are_404_and_wrong_methods_405_with_allow(void **state)
{
    (void)state;
    check(GET("/nothing", ""), 404, "\"code\":\"not_found\"");
    check(GET("/things", AS_USER), 404, NULL);
    check(GET("/things/", AS_USER), 404, NULL);
    check(GET("/things/a/b", AS_USER), 404, NULL);
    check(GET("//open", ""), 404, NULL);
    struct answer a = ask("POST /things/5 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    has(&a, 405, "\"code\":");
    assert_string_equal(head_of(&a, "allow"), "GET, HEAD, DELETE, OPTIONS");
    answer_free(&a);
    check("BREW /open HTTP/1.1\r\nHost: x\r\n\r\n", 405, NULL);
}

static void the_most_literal_row_answers_and_names_are_decoded(void **state)
{
    (void)state;
    check(GET("/things/special", AS_USER), 200, "\"route\":\"/things/special\"");
    check(GET("/things/a%2Fb%20%C3%B1", AS_USER), 200, "\"id\":\"a/b ñ\"");
    check(GET("/things/%73pecial", AS_USER), 200, "\"route\":\"/things/special\"");
    check(GET("/files/a/b%2Fc/d.txt", "Authorization: Bearer reader\r\n"), 200, "\"rest\":\"a/b/c/d.txt\"");
    check(GET("/things/x?q=a+b%26c&q=second&flag", AS_USER), 200, "\"q\":\"a b&c\"");
    check(GET("/things/..", AS_USER), 400, NULL);
    check(GET("/files/a/%2e%2e/b", "Authorization: Bearer reader\r\n"), 400, NULL);
    check(GET("/things/%00", AS_USER), 400, NULL);
    check(GET("/things/%ff", AS_USER), 400, NULL);
    check(GET("/open?q=%zz", ""), 400, NULL);
}

static void rights_are_decided_from_the_row(void **state)
{
    (void)state;
    struct answer a = ask(GET("/things/1", ""));
    has(&a, 401, "\"code\":\"unauthenticated\"");
    assert_string_equal(head_of(&a, "www-authenticate"), "Bearer");
    answer_free(&a);
    check(GET("/things/1", "Authorization: Bearer wrong\r\n"), 401, "the token is not known");
    check(GET("/things/1", "Authorization: Basic eDp5\r\n"), 401, NULL);
    check(GET("/things/1", AS_USER), 200, "\"creator\":\"c1\",\"user\":\"u1\",\"tenant\":true");
    check(GET("/files/x", AS_USER), 403, "\"code\":\"forbidden\"");
    check("DELETE /things/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer reader\r\n\r\n", 403, NULL);
    check(GET("/things/1", "Authorization: Bearer free\r\n"), 403, "names no creator");
    check(GET("/things/1", "Authorization: Bearer lost\r\n"), 401, "does not exist");
}

static void a_public_row_ignores_a_bad_credential(void **state)
{
    (void)state;
    check(GET("/open", ""), 200, "\"creator\":\"\",\"user\":\"\",\"tenant\":false");
    check(GET("/open", "Authorization: Bearer wrong\r\n"), 200, "\"user\":\"\"");
    check(GET("/open", AS_USER), 200, "\"user\":\"u1\",\"tenant\":true");
}

static void the_house_is_made_when_the_credential_names_no_creator(void **state)
{
    (void)state;
    check(GET("/house", "Authorization: Bearer free\r\n"), 200, "\"creator\":\"rag\",\"user\":\"u1\",\"tenant\":true");
    check(GET("/house", AS_USER), 200, "\"creator\":\"c1\"");
}

/* FIT-036: a wrong credential is refused before a byte of the body is read. */
static void the_head_alone_is_enough_to_refuse(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int         status;
    } cases[] = {
        { "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n", 404 },
        { "PUT /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n", 405 },
        { "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON "Content-Length: 500\r\n\r\n", 401 },
        { "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON AS_USER "Content-Length: 1001\r\n\r\n", 413 },
        { "POST /echo HTTP/1.1\r\nHost: x\r\n" AS_USER "Content-Type: text/plain\r\nContent-Length: 500\r\n\r\n", 415 },
        { "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON AS_USER "Content-Encoding: gzip\r\nContent-Length: 500\r\n\r\n", 415 },
        { "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n", 401 },
        { "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n", 413 },
        { "GET /open HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 413 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) check(cases[i].head, cases[i].status, NULL);
    struct answer a = ask("POST /echo HTTP/1.1\r\nHost: x\r\n" JSON AS_USER "Content-Length: 1001\r\n\r\n");
    has(&a, 413, "the limit here is 1000");
    assert_string_equal(head_of(&a, "connection"), "close");
    answer_free(&a);
}

static void bodies_are_parsed_strictly_and_checked_against_the_schema(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        int         status;
        const char *text;
    } cases[] = {
        { "/echo", "{\"a\":1}", 201, "{\"body\":{\"a\":1}}" },
        { "/echo", "{\"a\":1,\"a\":2}", 400, "\"code\":\"bad_request\"" },
        { "/echo", "{\"a\":1", 400, NULL },
        { "/echo", "{\"a\":1} x", 400, NULL },
        { "/echo", "", 400, "a JSON body is needed" },
        { "/echo", "{\"a\":\"\xff\"}", 400, NULL },
        { "/echo", "{\"b\":1}", 422, "\"details\":{\"field\":\"a\"}" },
        { "/echo", "{\"a\":\"1\"}", 422, "a must be integer" },
        { "/echo", "{\"a\":1,\"b\":1}", 422, "\"field\":\"b\"" },
        { "/loose", "{\"a\":1,\"b\":1}", 201, "\"b\":1" },
        { "/v1/echo", "{\"a\":\"1\"}", 400, "{\"error\":{\"message\":\"a must be integer\",\"type\":\"invalid_request_error\",\"param\":\"a\"" },
        { "/raw", "{\"a\":1,\"a\":2}", 200, "{\"a\":1,\"a\":2}" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = post(cases[i].path, AS_USER JSON, cases[i].body);
        has(&a, cases[i].status, cases[i].text);
        answer_free(&a);
    }
    char deep[200] = "{\"a\":";
    memset(deep + 5, '[', 100);
    struct answer a = post("/echo", AS_USER JSON, deep);
    has(&a, 400, NULL);
    answer_free(&a);
}

static void chunked_bodies_are_read_and_bounded(void **state)
{
    (void)state;
#define CHUNKED "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON AS_USER "Transfer-Encoding: chunked\r\n\r\n"
    check(CHUNKED "4\r\n{\"a\"\r\n3\r\n:1}\r\n0\r\n\r\n", 201, "{\"a\":1}");
    check(CHUNKED "zz\r\n", 400, NULL);
    char big[3000] = CHUNKED "7d0\r\n";
    size_t n = strlen(big);
    memset(big + n, ' ', 2000);
    check(big, 413, "1000 bytes");
    /* In single bytes, over many packets. */
    int fd = dial();
    for (const char *s = CHUNKED "4\r\n{\"a\"\r\n3\r\n:7}\r\n0\r\n\r\n"; *s; s++) put(fd, s, 1);
    struct answer a = read_answer(fd, false);
    has(&a, 201, "{\"a\":7}");
    answer_free(&a);
    close(fd);
}

static void a_client_that_waits_for_100_gets_it_only_when_it_may_send(void **state)
{
    (void)state;
    int fd = dial();
    puts_to(fd, "POST /echo HTTP/1.1\r\nHost: x\r\n" JSON AS_USER "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n");
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 100);
    answer_free(&a);
    puts_to(fd, "{\"a\":1}");
    a = read_answer(fd, false);
    has(&a, 201, NULL);
    answer_free(&a);
    close(fd);
    check("POST /echo HTTP/1.1\r\nHost: x\r\n" JSON "Expect: 100-continue\r\nContent-Length: 7\r\n\r\n", 401, NULL);
}

static void every_reply_carries_an_id_and_the_security_headers(void **state)
{
    (void)state;
    static const char *const requests[] = { GET("/open", "X-Request-ID: my-id.7\r\n"), GET("/nothing", "X-Request-ID: my-id.7\r\n"),
                                            GET("/page", "X-Request-ID: my-id.7\r\n") };
    for (size_t i = 0; i < 3; i++) {
        struct answer a = ask(requests[i]);
        assert_string_equal(head_of(&a, "x-request-id"), "my-id.7");
        assert_string_equal(head_of(&a, "x-content-type-options"), "nosniff");
        assert_string_equal(head_of(&a, "referrer-policy"), "no-referrer");
        const char *csp = head_of(&a, "content-security-policy");
        assert_non_null(csp);
        assert_non_null(strstr(csp, "default-src 'self'"));
        assert_non_null(strstr(csp, "frame-ancestors 'none'"));
        assert_non_null(strstr(csp, "object-src 'none'"));
        assert_non_null(strstr(csp, "base-uri 'none'"));
        assert_null(strstr(csp, "unsafe"));
        assert_non_null(head_of(&a, "content-length"));
        answer_free(&a);
    }
    struct answer a = ask(GET("/nothing", "X-Request-ID: has \"quotes\"\r\n"));
    assert_memory_equal(head_of(&a, "x-request-id"), "req_", 4);
    char want[80];
    snprintf(want, sizeof want, "\"request_id\":\"%s\"", head_of(&a, "x-request-id"));
    has(&a, 404, want);
    answer_free(&a);
    a = ask("nonsense\r\n\r\n");
    assert_int_equal(a.status, 400);
    assert_non_null(head_of(&a, "x-request-id"));
    answer_free(&a);
}

/* FIT-026 */
static void listed_origins_may_call_and_others_get_no_allow_header(void **state)
{
    (void)state;
    struct answer a = ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://localhost:5173\r\nAccess-Control-Request-Method: POST\r\n"
                          "Access-Control-Request-Headers: authorization, content-type\r\n\r\n");
    assert_int_equal(a.status, 204);
    assert_string_equal(head_of(&a, "access-control-allow-origin"), "http://localhost:5173");
    assert_string_equal(head_of(&a, "access-control-allow-credentials"), "true");
    assert_non_null(strstr(head_of(&a, "access-control-allow-methods"), "DELETE"));
    assert_string_equal(head_of(&a, "access-control-allow-headers"), "authorization, content-type");
    assert_string_equal(head_of(&a, "vary"), "Origin");
    answer_free(&a);
    a = ask("OPTIONS /echo HTTP/1.1\r\nHost: x\r\nOrigin: http://evil.example\r\nAccess-Control-Request-Method: POST\r\n\r\n");
    assert_int_equal(a.status, 204);
    assert_null(head_of(&a, "access-control-allow-origin"));
    assert_null(head_of(&a, "access-control-allow-methods"));
    assert_string_equal(head_of(&a, "vary"), "Origin");
    answer_free(&a);
    a = ask(GET("/things/1", "Origin: http://localhost:5001\r\n"));
    assert_int_equal(a.status, 401);
    assert_string_equal(head_of(&a, "access-control-allow-origin"), "http://localhost:5001");
    answer_free(&a);
    check("OPTIONS /nothing HTTP/1.1\r\nHost: x\r\nOrigin: http://localhost:5173\r\nAccess-Control-Request-Method: GET\r\n\r\n", 404, NULL);
}

static void errors_have_their_status_words_and_retry_after(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int         status;
        const char *text;
        bool        retry;
    } cases[] = {
        { "conflict", 409, "\"code\":\"conflict\"", false },    { "busy", 503, "\"code\":\"busy\"", true },
        { "rate", 429, "\"code\":\"rate_limited\"", true },     { "internal", 500, "\"code\":\"internal\"", false },
        { "timeout", 504, "\"code\":\"timeout\"", false },      { "upstream", 502, "\"code\":\"upstream\"", false },
        { "corrupt", 500, "\"code\":\"corrupt\"", false },      { "invalid", 422, "\"field\":\"a[2].b\"", false },
        { "other", 404, "no such thing", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET /fails/%s HTTP/1.1\r\nHost: x\r\n\r\n", cases[i].name);
        struct answer a = ask(request);
        has(&a, cases[i].status, cases[i].text);
        assert_null(strstr(a.body, "half"));
        assert_null(head_of(&a, "x-half"));
        if (cases[i].status == 500) assert_null(strstr(a.body, "secret"));
        if (cases[i].retry) assert_string_equal(head_of(&a, "retry-after"), "7");
        answer_free(&a);
    }
    check(GET("/silent", ""), 500, "\"code\":\"internal\"");
}

static void numbers_in_the_query_are_bounded(void **state)
{
    (void)state;
    check(GET("/count", ""), 200, "{\"n\":5}");
    check(GET("/count?n=10", ""), 200, "{\"n\":10}");
    check(GET("/count?n=11", ""), 422, "n must be an integer from 1 to 10");
    check(GET("/count?n=", ""), 422, "\"field\":\"n\"");
    check(GET("/count?n=1x", ""), 422, NULL);
    check(GET("/count?n=99999999999999999999", ""), 422, NULL);
}

static void head_has_the_length_and_no_body(void **state)
{
    (void)state;
    struct answer get = ask(GET("/page", ""));
    int fd = dial();
    puts_to(fd, "HEAD /page HTTP/1.1\r\nHost: x\r\n\r\n");
    struct answer a = read_answer(fd, true);
    assert_int_equal(a.status, 200);
    assert_string_equal(head_of(&a, "content-length"), head_of(&get, "content-length"));
    answer_free(&a);
    /* Nothing of a body stands before the next reply. */
    puts_to(fd, GET("/open", ""));
    a = read_answer(fd, false);
    has(&a, 200, "\"route\":\"/open\"");
    answer_free(&a);
    answer_free(&get);
    close(fd);
}

static void fixed_bytes_have_a_tag_and_are_not_sent_twice(void **state)
{
    (void)state;
    struct answer a = ask(GET("/page", ""));
    has(&a, 200, "<p>hi</p>");
    assert_string_equal(head_of(&a, "cache-control"), "no-cache");
    char request[300];
    snprintf(request, sizeof request, "GET /page HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"other\", W/%s\r\n\r\n", head_of(&a, "etag"));
    answer_free(&a);
    a = ask(request);
    assert_int_equal(a.status, 304);
    answer_free(&a);
    check(GET("/page", "If-None-Match: \"other\"\r\n"), 200, "<p>hi</p>");
}

static void the_description_and_its_page_are_served(void **state)
{
    (void)state;
    check(GET("/openapi.json", ""), 200, "\"/things/{id}\"");
    struct answer a = ask(GET("/docs", ""));
    has(&a, 200, "/docs/docs.js");
    assert_null(strstr(a.body, "style="));
    assert_null(strstr(a.body, "<script>"));
    assert_null(strstr(a.body, "http://"));
    assert_null(strstr(a.body, "https://"));
    answer_free(&a);
    check(GET("/docs/docs.js", ""), 200, "openapi.json");
    check(GET("/docs/docs.css", ""), 200, "prefers-color-scheme");
}

static void requests_are_counted_by_route_and_not_by_what_clients_invent(void **state)
{
    (void)state;
    double before = metric_read("chiron_http_requests_total", "route=\"/things/{id}\",method=\"GET\",status=\"200\"");
    double lost = metric_read("chiron_http_requests_total", "route=\"(none)\",method=\"(none)\",status=\"404\"");
    check(GET("/things/a", AS_USER), 200, NULL);
    check(GET("/things/b", AS_USER), 200, NULL);
    check(GET("/invented-1", AS_USER), 404, NULL);
    assert_true(metric_read("chiron_http_requests_total", "route=\"/things/{id}\",method=\"GET\",status=\"200\"") == before + 2);
    assert_true(metric_read("chiron_http_requests_total", "route=\"(none)\",method=\"(none)\",status=\"404\"") == lost + 1);
    assert_true(metric_read("chiron_http_request_seconds", "route=\"/things/{id}\"") >= 2);
}

static int begin(void **state)
{
    (void)state;
    settings_load();
    store_start();
    server_start(tables, 2);
    return 0;
}

static int end(void **state)
{
    (void)state;
    server_end();
    store_end();
    conf_free();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_paths_are_404_and_wrong_methods_405_with_allow),
        cmocka_unit_test(the_most_literal_row_answers_and_names_are_decoded),
        cmocka_unit_test(rights_are_decided_from_the_row),
        cmocka_unit_test(a_public_row_ignores_a_bad_credential),
        cmocka_unit_test(the_house_is_made_when_the_credential_names_no_creator),
        cmocka_unit_test(the_head_alone_is_enough_to_refuse),
        cmocka_unit_test(bodies_are_parsed_strictly_and_checked_against_the_schema),
        cmocka_unit_test(chunked_bodies_are_read_and_bounded),
        cmocka_unit_test(a_client_that_waits_for_100_gets_it_only_when_it_may_send),
        cmocka_unit_test(every_reply_carries_an_id_and_the_security_headers),
        cmocka_unit_test(listed_origins_may_call_and_others_get_no_allow_header),
        cmocka_unit_test(errors_have_their_status_words_and_retry_after),
        cmocka_unit_test(numbers_in_the_query_are_bounded),
        cmocka_unit_test(head_has_the_length_and_no_body),
        cmocka_unit_test(fixed_bytes_have_a_tag_and_are_not_sent_twice),
        cmocka_unit_test(the_description_and_its_page_are_served),
        cmocka_unit_test(requests_are_counted_by_route_and_not_by_what_clients_invent),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
