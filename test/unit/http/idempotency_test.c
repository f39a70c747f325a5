/* Idempotency-Key: done once, answered twice; a real server with a store, raw sockets. */
/* SPDX-License-Identifier: MIT */
#include "unit/http/client.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "http/idempotency_store.h"
#include "store/db.h"

static atomic_int runs, fail_next;
static int        hold_pipe[2];

static enum err make(struct req *r)
{
    int n = atomic_fetch_add(&runs, 1) + 1;
    struct json_out *j = reply_json(r, 201);
    json_begin_object(j, NULL);
    json_put_int(j, "run", n);
    json_put_text(j, "secret", "chk_shown-only-once");
    json_end(j);
    reply_header(r, "Location", arena_printf(&r->call.mem, "/made/%d", n));
    return OK;
}

static enum err fails(struct req *r)
{
    atomic_fetch_add(&runs, 1);
    enum err e = (enum err)atomic_load(&fail_next);
    if (e) return (fail)(&r->call, e, "not this time");
    reply_empty(r, 204);
    return OK;
}

static enum err waits(struct req *r)
{
    char ch;
    atomic_fetch_add(&runs, 1);
    while (read(hold_pipe[0], &ch, 1) < 0 && errno == EINTR) {}
    reply_empty(r, 204);
    return OK;
}

static enum err streams(struct req *r)
{
    atomic_fetch_add(&runs, 1);
    enum err e = sse_begin(r);
    return e ? e : sse_send(r, "done", NULL, "x", 1);
}

static enum err large(struct req *r)
{
    static char big[LIMIT_IDEMPOTENCY_REPLY_BYTES + 1];
    atomic_fetch_add(&runs, 1);
    reply_bytes(r, 200, "text/plain", big, sizeof big);
    return OK;
}

static const struct route rows[] = {
    { "POST", "/make", RIGHT_ASK, 1000, NULL, make, "Make", "test", 0, "rag", NULL, NULL },
    { "GET", "/make", RIGHT_ASK, 0, NULL, make, "Look", "test", 0, "rag", NULL, NULL },
    { "PUT", "/other/{id}", RIGHT_ASK, 1000, NULL, make, "Other", "test", 0, "rag", NULL, NULL },
    { "POST", "/open", RIGHT_PUBLIC, 1000, NULL, make, "Open", "test", 0, NULL, NULL, NULL },
    { "POST", "/fails", RIGHT_ASK, 1000, NULL, fails, "Fails", "test", 0, NULL, NULL, NULL },
    { "POST", "/waits", RIGHT_ASK, 1000, NULL, waits, "Waits", "test", 0, NULL, NULL, NULL },
    { "POST", "/streams", RIGHT_ASK, 1000, NULL, streams, "Streams", "test", 0, NULL, NULL, NULL },
    { "POST", "/large", RIGHT_ASK, 1000, NULL, large, "Large", "test", 0, NULL, NULL, NULL },
    { "POST", "/upload", RIGHT_ASK, 100000, NULL, make, "Upload", "test", ROUTE_MULTIPART, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };

#define AS_USER "Authorization: Bearer good\r\n"
#define AS_READER "Authorization: Bearer reader\r\n"
#define FREE "Authorization: Bearer free\r\n"

static struct answer send_key(const char *method, const char *path, const char *who, const char *key, const char *body)
{
    char request[4096];
    snprintf(request, sizeof request, "%s %s HTTP/1.1\r\nHost: x\r\n%sIdempotency-Key: %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
             method, path, who, key, strlen(body), body);
    return ask(request);
}

static void expect(const char *method, const char *path, const char *who, const char *key, const char *body, int status, const char *text, int ran)
{
    int before = atomic_load(&runs);
    struct answer a = send_key(method, path, who, key, body);
    if (a.status != status || (text && !strstr(a.body, text)))
        fail_msg("%s %s %s: wanted %d with %s, got %d %s", method, path, key, status, text ? text : "", a.status, a.body);
    assert_int_equal(atomic_load(&runs) - before, ran);
    answer_free(&a);
}

static void the_same_request_runs_once_and_its_reply_comes_again(void **state)
{
    (void)state;
    struct answer a = send_key("POST", "/make", AS_USER, "k-1", "{\"a\":1}"), b = send_key("POST", "/make", AS_USER, "k-1", "{\"a\":1}");
    assert_int_equal(a.status, 201);
    assert_int_equal(b.status, 201);
    assert_string_equal(a.body, b.body);
    assert_string_equal(head_of(&a, "location"), head_of(&b, "location"));
    assert_string_equal(head_of(&b, "content-type"), "application/json");
    assert_null(head_of(&a, "idempotency-replayed"));
    assert_string_equal(head_of(&b, "idempotency-replayed"), "true");
    answer_free(&a);
    answer_free(&b);
    expect("POST", "/make", AS_USER, "k-2", "{\"a\":1}", 201, NULL, 1);
    expect("POST", "/make", AS_USER, "k-2", "{\"a\":1}", 201, NULL, 0);
}

static void a_key_with_another_request_is_refused(void **state)
{
    (void)state;
    expect("POST", "/make", AS_USER, "same", "{\"a\":1}", 201, NULL, 1);
    expect("POST", "/make", AS_USER, "same", "{\"a\":2}", 422, "idempotency_key_reused", 0);
    expect("POST", "/make?x=1", AS_USER, "same", "{\"a\":1}", 422, NULL, 0);
    expect("PUT", "/other/1", AS_USER, "same", "{\"a\":1}", 422, NULL, 0);
    expect("PUT", "/other/1", AS_USER, "put", "{\"a\":1}", 201, NULL, 1);
    expect("PUT", "/other/2", AS_USER, "put", "{\"a\":1}", 422, NULL, 0);
}

static void a_key_belongs_to_its_caller_and_creator(void **state)
{
    (void)state;
    expect("POST", "/make", AS_USER, "mine", "{}", 201, NULL, 1);
    expect("POST", "/make", FREE, "mine", "{}", 201, NULL, 1); /* the same user id, in the house */
    expect("POST", "/make", FREE, "mine", "{}", 201, NULL, 0);
    expect("POST", "/open", "", "mine", "{}", 201, NULL, 1);   /* nobody: there is nothing to tell them apart by */
    expect("POST", "/open", "", "mine", "{}", 201, NULL, 1);
    expect("GET", "/make", AS_USER, "mine", "", 201, NULL, 1);
}

static void failures_may_be_tried_again_and_refusals_may_not(void **state)
{
    (void)state;
    static const struct {
        enum err    e;
        int         status, again;
        const char *key;
    } cases[] = { { ERR_INTERNAL, 500, 1, "f1" }, { ERR_BUSY, 503, 1, "f2" },   { ERR_RATE_LIMITED, 429, 1, "f3" }, { ERR_TIMEOUT, 504, 1, "f4" },
                  { ERR_CONFLICT, 409, 0, "f5" }, { ERR_NOT_FOUND, 404, 0, "f6" }, { ERR_INVALID, 422, 0, "f7" } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        atomic_store(&fail_next, cases[i].e);
        expect("POST", "/fails", AS_USER, cases[i].key, "{}", cases[i].status, NULL, 1);
        atomic_store(&fail_next, OK);
        expect("POST", "/fails", AS_USER, cases[i].key, "{}", cases[i].again ? 204 : cases[i].status, NULL, cases[i].again);
    }
}

static void of_two_at_once_one_runs_and_the_other_hears_so(void **state)
{
    (void)state;
    assert_int_equal(pipe(hold_pipe), 0);
    int before = atomic_load(&runs);
    int fd = dial();
    puts_to(fd, "POST /waits HTTP/1.1\r\nHost: x\r\n" AS_USER "Idempotency-Key: w\r\nContent-Length: 0\r\n\r\n");
    while (atomic_load(&runs) == before) usleep(1000);
    struct answer b = ask("POST /waits HTTP/1.1\r\nHost: x\r\n" AS_USER "Idempotency-Key: w\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(b.status, 409);
    assert_non_null(strstr(b.body, "idempotency_running"));
    answer_free(&b);
    assert_int_equal(write(hold_pipe[1], "x", 1), 1);
    struct answer a = read_answer(fd, false);
    assert_int_equal(a.status, 204);
    answer_free(&a);
    close(fd);
    b = ask("POST /waits HTTP/1.1\r\nHost: x\r\n" AS_USER "Idempotency-Key: w\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(b.status, 204);
    assert_string_equal(head_of(&b, "idempotency-replayed"), "true");
    answer_free(&b);
    assert_int_equal(atomic_load(&runs), before + 1);
    close(hold_pipe[0]);
    close(hold_pipe[1]);
}

static void what_cannot_be_kept_is_still_done_once(void **state)
{
    (void)state;
    expect("POST", "/streams", AS_USER, "s", "{}", 200, NULL, 1);
    expect("POST", "/streams", AS_USER, "s", "{}", 409, "idempotency_not_kept", 0);
    expect("POST", "/large", AS_USER, "l", "{}", 200, NULL, 1);
    expect("POST", "/large", AS_USER, "l", "{}", 409, "too large", 0);
}

static void a_key_is_printable_and_short(void **state)
{
    (void)state;
    char long_key[200];
    memset(long_key, 'k', sizeof long_key);
    long_key[129] = '\0';
    expect("POST", "/make", AS_USER, long_key, "{}", 422, "Idempotency-Key", 0);
    long_key[128] = '\0';
    expect("POST", "/make", AS_USER, long_key, "{}", 201, NULL, 1);
    expect("POST", "/make", AS_USER, "", "{}", 422, NULL, 0);
    expect("POST", "/make", AS_USER, "sch\xc3\xb6n", "{}", 422, NULL, 0);
}

static void uploads_are_the_same_by_their_bytes(void **state)
{
    (void)state;
    static const char *const boundaries[] = { "one", "two" };
    for (int i = 0; i < 4; i++) {
        char body[600], request[1200];
        const char *b = boundaries[i % 2], *text = i == 3 ? "other bytes" : "some bytes";
        snprintf(body, sizeof body, "--%s\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nT\r\n--%s\r\nContent-Disposition: form-data; "
                 "name=\"file\"; filename=\"a.txt\"\r\n\r\n%s\r\n--%s--\r\n", b, b, text, b);
        snprintf(request, sizeof request, "POST /upload HTTP/1.1\r\nHost: x\r\n" AS_USER "Idempotency-Key: up\r\nContent-Type: multipart/form-data; "
                 "boundary=%s\r\nContent-Length: %zu\r\n\r\n%s", b, strlen(body), body);
        struct answer a = ask(request);
        assert_int_equal(a.status, i == 3 ? 422 : 201);
        if (i == 1) assert_non_null(head_of(&a, "idempotency-replayed")); /* another boundary is the same form */
        answer_free(&a);
    }
}

static void in_creator(void (*f)(struct call *c, struct conn *w))
{
    struct call  c;
    struct conn *w = NULL;
    call_init(&c);
    assert_int_equal(tenant_open(&c, "c1"), OK);
    assert_int_equal(db_write(&c, tenant_db(c.tenant), &w), OK);
    f(&c, w);
    assert_int_equal(db_commit(&c, &w), OK);
    tenant_release(&c);
    call_dispose(&c);
}

static void as_if_it_died(struct call *c, struct conn *w)
{
    assert_int_equal(db_run(c, w, "UPDATE idempotency SET kept = 'running', status = 0, sealed = NULL, owner = '4711-own_gone' WHERE status = 201"), OK);
    assert_true(db_changes(w) > 0);
}

static void after_a_day(struct call *c, struct conn *w)
{
    assert_int_equal(db_run(c, w, "UPDATE idempotency SET expires_ms = ?i", clock_unix_ms() - 1), OK);
}

static int64_t left;
static void count_rows(struct call *c, struct conn *w)
{
    assert_int_equal(db_get_int(c, w, -1, &left, "SELECT COUNT(*) FROM idempotency"), OK);
}

static void a_request_whose_server_died_is_not_run_again_for_a_day(void **state)
{
    (void)state;
    expect("POST", "/make", AS_USER, "died", "{}", 201, NULL, 1);
    in_creator(as_if_it_died);
    expect("POST", "/make", AS_USER, "died", "{}", 409, "idempotency_unknown", 0);
    in_creator(after_a_day);
    expect("POST", "/make", AS_USER, "died", "{}", 201, NULL, 1);
    in_creator(count_rows);
    assert_int_equal(left, 1);
}

/* The files of the creator, as they lie there: neither the secret nor the key of its seal. */
static void a_secret_in_a_kept_reply_is_not_in_the_file(void **state)
{
    (void)state;
    expect("POST", "/make", AS_USER, "a-key-nobody-can-guess", "{}", 201, "chk_shown-only-once", 1);
    expect("POST", "/make", AS_USER, "a-key-nobody-can-guess", "{}", 201, "chk_shown-only-once", 0);
    static const char *const names[] = { "creator.db", "creator.db-wal" };
    int found = 0;
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/creators/c1/%s", T.dir, names[i]);
        int fd = open(path, O_RDONLY);
        if (fd < 0) continue;
        struct stat st;
        assert_int_equal(fstat(fd, &st), 0);
        char *all = malloc((size_t)st.st_size + 1);
        ssize_t n = read(fd, all, (size_t)st.st_size);
        assert_int_equal(n, st.st_size);
        if (memmem(all, (size_t)n, "idempotency", 11)) found++;
        assert_null(memmem(all, (size_t)n, "shown-only-once", 15));
        assert_null(memmem(all, (size_t)n, "a-key-nobody-can-guess", 22));
        free(all);
        close(fd);
    }
    assert_true(found > 0);
}

static void whoever_has_no_creator_has_rows_beside_the_accounts(void **state)
{
    (void)state;
    struct call            c;
    struct idempotency_row row;
    struct conn           *w = NULL;
    bool                   found;
    call_init(&c);
    snprintf(c.account_id, sizeof c.account_id, "acc_1");
    assert_int_equal(idempotency_take(&c, "id", "what", "", &found, &row), OK);
    assert_false(found);
    assert_int_equal(idempotency_keep(&c, "id", "large", 201, NULL, 0), OK);
    assert_int_equal(idempotency_take(&c, "id", "what", "", &found, &row), OK);
    assert_true(found);
    assert_string_equal(row.kept, "large");
    assert_int_equal(row.status, 201);
    assert_int_equal(idempotency_forget(&c, "id"), OK);   /* only one that runs is forgotten */
    assert_int_equal(db_write(&c, store_accounts(), &w), OK);
    assert_int_equal(db_run(&c, w, "UPDATE idempotency SET expires_ms = 1"), OK);
    assert_int_equal(db_changes(w), 1);
    assert_int_equal(db_commit(&c, &w), OK);
    assert_int_equal(idempotency_drop_old(&c), OK);
    assert_int_equal(idempotency_take(&c, "id", "what", "", &found, &row), OK);
    assert_false(found);
    call_dispose(&c);
}

static int begin(void **state)
{
    (void)state;
    settings_load();
    store_start();
    server_start(tables, 4);
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
        cmocka_unit_test(the_same_request_runs_once_and_its_reply_comes_again),
        cmocka_unit_test(a_key_with_another_request_is_refused),
        cmocka_unit_test(a_key_belongs_to_its_caller_and_creator),
        cmocka_unit_test(failures_may_be_tried_again_and_refusals_may_not),
        cmocka_unit_test(of_two_at_once_one_runs_and_the_other_hears_so),
        cmocka_unit_test(what_cannot_be_kept_is_still_done_once),
        cmocka_unit_test(a_key_is_printable_and_short),
        cmocka_unit_test(uploads_are_the_same_by_their_bytes),
        cmocka_unit_test(a_request_whose_server_died_is_not_run_again_for_a_day),
        cmocka_unit_test(whoever_has_no_creator_has_rows_beside_the_accounts),
        cmocka_unit_test(a_secret_in_a_kept_reply_is_not_in_the_file),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
