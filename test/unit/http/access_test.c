/* Who a request is from: the address behind proxies, rows that need no credential, and what the limiter is asked and told.
 * A real server, raw sockets. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

static enum err who(struct req *r)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "remote", r->remote);
    json_put_text(j, "creator", r->call.creator_id);
    json_put_text(j, "user", r->call.user_id);
    json_put_int(j, "rights", r->call.rights);
    json_put_bool(j, "secure", req_secure(r));
    json_end(j);
    return OK;
}

static enum err missing(struct req *r)
{
    return (fail)(&r->call, ERR_NOT_FOUND, "no such thing");
}

static const struct route rows[] = {
    { "GET", "/who", RIGHT_PUBLIC, 0, NULL, who, "Who", "test", 0, NULL, NULL, NULL },
    { "GET", "/mine", RIGHT_ASK, 0, NULL, who, "Mine", "test", 0, NULL, NULL, NULL },
    { "GET", "/ten", RIGHT_ASK, 0, NULL, who, "Ten", "ten", ROUTE_TOKEN_OPTIONAL, "ten", NULL, NULL },
    { "GET", "/ten/write", RIGHT_WRITE, 0, NULL, who, "Ten", "ten", ROUTE_TOKEN_OPTIONAL, "ten", NULL, NULL },
    { "GET", "/missing", RIGHT_PUBLIC, 0, NULL, missing, "Missing", "test", 0, NULL, NULL, "none" },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };

#define GET(path, extra) "GET " path " HTTP/1.1\r\nHost: x\r\n" extra "\r\n"
#define AS_USER "Authorization: Bearer good\r\n"

static void expect(const char *request, int status, const char *text)
{
    struct answer a = ask(request);
    if (a.status != status || (text && !strstr(a.body, text))) fail_msg("%s\nwanted %d with %s, got %d %s", request, status, text ? text : "", a.status, a.body);
    answer_free(&a);
}

/* What the limiter was asked and told last, and what it shall say. */
static struct {
    pthread_mutex_t lock;
    int             asked[2], told;
    int             status;
    bool            refuse[2], given, forwarded;
    char            path[40], rate[20], remote[64];
} L = { .lock = PTHREAD_MUTEX_INITIALIZER };

static enum err test_limit(struct call *c, const struct limit_ask *ask_, struct limit_state *out)
{
    pthread_mutex_lock(&L.lock);
    L.asked[ask_->known]++;
    L.given = ask_->given;
    L.forwarded = ask_->forwarded;
    snprintf(L.path, sizeof L.path, "%s", ask_->path);
    snprintf(L.rate, sizeof L.rate, "%s", ask_->rate ? ask_->rate : "");
    snprintf(L.remote, sizeof L.remote, "%s", c->remote);
    bool no = L.refuse[ask_->known];
    pthread_mutex_unlock(&L.lock);
    if (ask_->known) *out = (struct limit_state){ "test", 9, no ? 0 : 8, 30 };
    c->retry_after_s = no ? 30 : 0;
    return no ? (fail)(c, ERR_RATE_LIMITED, "too many") : OK;
}

static void test_outcome(struct call *c, const struct limit_ask *ask_, int status)
{
    (void)c;
    (void)ask_;
    pthread_mutex_lock(&L.lock);
    L.told++;
    L.status = status;
    pthread_mutex_unlock(&L.lock);
}

static void start(const char *const *settings)
{
    static const struct setting *const used[] = { http_settings, store_settings, NULL };
    struct call c;
    call_init(&c);
    log_open((enum log_level)(LOG_ERROR + 1), 1);
    for (; settings && settings[0]; settings += 2) conf_set(settings[0], settings[1]);
    if (conf_load(&c, used, "/dev/null")) fail_msg("%s", c.err_text);
    call_dispose(&c);
    memset(L.asked, 0, sizeof L.asked);
    L.told = L.status = 0;
    L.refuse[0] = L.refuse[1] = false;
    store_start();
    server_start(tables, 2);
}
#define START(...) start((const char *const[]){ __VA_ARGS__, NULL })

static void finish(void)
{
    server_end();
    store_end();
    conf_free();
}

static void without_trusted_proxies_the_peer_is_the_client(void **state)
{
    (void)state;
    start(NULL);
    expect(GET("/who", ""), 200, "\"remote\":\"127.0.0.1\"");
    expect(GET("/who", "X-Forwarded-For: 192.0.2.1\r\nForwarded: for=192.0.2.2\r\nX-Forwarded-Proto: https\r\n"), 200,
           "\"remote\":\"127.0.0.1\",\"creator\":\"\",\"user\":\"\",\"rights\":1,\"secure\":false");
    finish();
}

static void the_right_most_address_that_is_not_trusted_is_the_client(void **state)
{
    (void)state;
    START("TRUSTED_PROXIES", "127.0.0.0/8, 10.0.0.0/8,2001:db8:ffff::/48");
    static const struct {
        const char *headers, *remote;
    } cases[] = {
        { "", "127.0.0.1" },
        { "X-Forwarded-For: 192.0.2.1\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 192.0.2.1, 10.1.2.3, 10.1.2.4\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1,10.0.0.1\r\n", "192.0.2.1" },
        { "X-Forwarded-For: 10.0.0.9, 10.0.0.1\r\n", "10.0.0.9" },
        { "X-Forwarded-For: 192.0.2.1:5555\r\n", "192.0.2.1" },
        { "X-Forwarded-For: [2001:db8::7]:80\r\n", "2001:db8::7" },
        { "X-Forwarded-For: 2001:DB8:0::7, 2001:db8:ffff::1\r\n", "2001:db8::7" },
        { "X-Forwarded-For: ::ffff:192.0.2.5\r\n", "192.0.2.5" },
        { "X-Forwarded-For: <script>, 10.0.0.1\r\n", "10.0.0.1" },
        { "X-Forwarded-For: unknown\r\n", "127.0.0.1" },
        { "X-Forwarded-For: ,,, ,\r\n", "127.0.0.1" },
        { "Forwarded: for=192.0.2.9\r\n", "127.0.0.1" },   /* not what these proxies write */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char request[400], want[100];
        snprintf(request, sizeof request, "GET /who HTTP/1.1\r\nHost: x\r\n%s\r\n", cases[i].headers);
        snprintf(want, sizeof want, "\"remote\":\"%s\"", cases[i].remote);
        expect(request, 200, want);
    }
    expect(GET("/who", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"), 200, "\"secure\":true");
    finish();
    START("TRUSTED_PROXIES", "127.0.0.1", "FORWARDED_HEADER", "forwarded");
    expect(GET("/who", "Forwarded: for=1.1.1.1, for=192.0.2.9;proto=https;by=10.0.0.1\r\nX-Forwarded-For: 6.6.6.6\r\n"), 200, "\"remote\":\"192.0.2.9\"");
    expect(GET("/who", "Forwarded: proto=http;For=\"[2001:db8::9]:4711\"\r\n"), 200, "\"remote\":\"2001:db8::9\"");
    expect(GET("/who", "Forwarded: for=\"a,b\", for=_hidden\r\n"), 200, "\"remote\":\"127.0.0.1\"");
    finish();
}

/* TEN-003 and the like: the token is optional unless AUTH_REQUIRED. */
static void a_row_may_do_without_a_credential_when_none_is_required(void **state)
{
    (void)state;
    start(NULL);
    expect(GET("/ten", ""), 401, NULL);
    expect(GET("/ten", AS_USER), 200, "\"creator\":\"c1\",\"user\":\"u1\"");
    finish();
    START("AUTH_REQUIRED", "0");
    expect(GET("/ten", ""), 200, "\"creator\":\"ten\",\"user\":\"\",\"rights\":35");
    expect(GET("/ten/write", ""), 401, NULL);
    expect(GET("/mine", ""), 401, NULL);
    expect(GET("/ten", "Authorization: Bearer wrong\r\n"), 401, NULL);
    expect(GET("/ten", AS_USER), 200, "\"creator\":\"c1\",\"user\":\"u1\"");
    finish();
}

static void the_limiter_is_asked_before_and_after_the_credential_and_told_of_refusals(void **state)
{
    (void)state;
    start(NULL);
    T.conf.limit = test_limit;   /* read by each request */
    T.conf.limit_outcome = test_outcome;
    struct answer a = ask(GET("/mine", AS_USER "X-Forwarded-For: 192.0.2.1\r\n"));
    assert_int_equal(a.status, 200);
    assert_string_equal(head_of(&a, "ratelimit-limit"), "9");
    assert_string_equal(head_of(&a, "ratelimit-remaining"), "8");
    assert_string_equal(head_of(&a, "ratelimit-reset"), "30");
    answer_free(&a);
    assert_int_equal(L.asked[0], 1);
    assert_int_equal(L.asked[1], 1);
    assert_true(L.given);
    assert_true(L.forwarded);
    assert_int_equal(L.told, 0);
    /* A wrong credential gets no further than the address. */
    expect(GET("/mine", "Authorization: Bearer wrong\r\n"), 401, NULL);
    assert_int_equal(L.asked[1], 1);
    assert_int_equal(L.told, 1);
    assert_int_equal(L.status, 401);
    expect(GET("/no/such/path", ""), 404, NULL);
    assert_string_equal(L.path, "");
    assert_false(L.given);
    assert_int_equal(L.status, 404);
    a = ask(GET("/missing", ""));
    assert_int_equal(a.status, 404);
    assert_string_equal(head_of(&a, "ratelimit-remaining"), "8"); /* errors tell it too */
    answer_free(&a);
    assert_string_equal(L.rate, "none");
    L.refuse[1] = true;
    a = ask(GET("/mine", AS_USER));
    assert_int_equal(a.status, 429);
    assert_string_equal(head_of(&a, "retry-after"), "30");
    assert_string_equal(head_of(&a, "ratelimit-remaining"), "0");
    answer_free(&a);
    L.refuse[0] = true;
    expect(GET("/mine", AS_USER), 429, "rate_limited");
    expect(GET("/no/such/path", ""), 429, NULL);
    assert_int_equal(L.status, 429);
    finish();
}

/* Bytes that would end a header, a line of the log or a path: refused at the door or cut where they would matter. */
static void what_would_break_out_of_its_place_is_refused(void **state)
{
    (void)state;
    START("TRUSTED_PROXIES", "127.0.0.1");
    static const struct {
        const char *request;
        int         status;
    } cases[] = {
        { GET("/who?q=%0d%0aX-Evil:%201", ""), 200 },              /* a value of the query, never a header */
        { GET("/who%0d%0aX-Evil:%201", ""), 400 },
        { GET("/..%2f..%2fetc/passwd", ""), 404 },
        { GET("/%2e%2e/who", ""), 400 },
        { GET("/who/%00", ""), 400 },
        { "GET /who HTTP/1.1\r\nHost: x\r\nX-Request-ID: a\nX-Evil: 1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 1.1.1.1\r\n X-Evil: 1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: x\r\nX-Evil : 1\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400 },
        { "GET /mine HTTP/1.1\r\nHost: x\r\n" AS_USER "Authorization: Bearer wrong\r\n\r\n", 400 },
        { "GET /who HTTP/1.1\r\nHost: x\r\nOrigin: http://a\x01\r\n\r\n", 400 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct answer a = ask(cases[i].request);
        if (a.status != cases[i].status) fail_msg("%s\nwanted %d, got %d %s", cases[i].request, cases[i].status, a.status, a.body);
        assert_null(head_of(&a, "x-evil"));
        answer_free(&a);
    }
    struct answer a = ask(GET("/who", "X-Request-ID: id\"}{\"level\":\"error\r\n"));
    assert_int_equal(a.status, 200);
    assert_null(strchr(head_of(&a, "x-request-id"), '"'));
    answer_free(&a);
    char *huge = malloc(20000);
    int n = snprintf(huge, 20000, "GET /who HTTP/1.1\r\nHost: x\r\nCookie: ");
    memset(huge + n, 'c', 17000);
    snprintf(huge + n + 17000, 20, "\r\n\r\n");
    expect(huge, 431, NULL);
    n = snprintf(huge, 20000, "GET /who HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 101; i++) n += snprintf(huge + n, 20000 - (size_t)n, "X-%d: 1\r\n", i);
    snprintf(huge + n, 20000 - (size_t)n, "\r\n");
    expect(huge, 431, NULL);
    free(huge);
    finish();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_trusted_proxies_the_peer_is_the_client),
        cmocka_unit_test(the_right_most_address_that_is_not_trusted_is_the_client),
        cmocka_unit_test(a_row_may_do_without_a_credential_when_none_is_required),
        cmocka_unit_test(the_limiter_is_asked_before_and_after_the_credential_and_told_of_refusals),
        cmocka_unit_test(what_would_break_out_of_its_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
