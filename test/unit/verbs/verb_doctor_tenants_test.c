/* Whether `doctor --tenants` sees a leak (CRE-085): routes that have one each, and one that has none, on a real listener. */
/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "http/http.h"
#include "store/store.h"
#include "verb_doctor_tenants.h"

#include <cmocka.h>   /* its macro fail() is not ours: (fail)(…) is */

#define THING_A "thg_01J00000000000000000000AAA"
#define THING_B "thg_01J00000000000000000000BBB"
#define MARK_B  "zqsecretofb"

static struct {
    struct http_conf    conf;
    pthread_t           thread;
    pthread_mutex_t     lock;
    pthread_cond_t      ready;
    int                 port;
    char                dir[64];
    struct call         c;
    struct tenants_plan plan;
    atomic_int          removed;
} T = { .lock = PTHREAD_MUTEX_INITIALIZER, .ready = PTHREAD_COND_INITIALIZER };

static bool mine(struct req *r, const char *id)
{
    return !strcmp(id, strcmp(r->call.creator_id, "iso-a") ? THING_B : THING_A);
}

static bool anybodys(const char *id)
{
    return !strcmp(id, THING_A) || !strcmp(id, THING_B);
}

static enum err show(struct req *r, const char *id)
{
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "id", id);
    json_put_text(j, "text", strcmp(id, THING_B) ? "of a" : MARK_B);
    json_end(j);
    return OK;
}

static enum err missing(struct req *r, const char *id)
{
    return (fail)(&r->call, ERR_NOT_FOUND, "no thing %s", id);
}

static enum err sound(struct req *r)
{
    const char *id = req_path(r, "id");
    return mine(r, id) ? show(r, id) : missing(r, id);
}

/* Looks for the id without asking whose it is. */
static enum err shows_all(struct req *r)
{
    const char *id = req_path(r, "id");
    return anybodys(id) ? show(r, id) : missing(r, id);
}

/* Shows nothing, but tells that there is one. */
static enum err tells(struct req *r)
{
    const char *id = req_path(r, "id");
    if (mine(r, id)) return show(r, id);
    return anybodys(id) ? (fail)(&r->call, ERR_FORBIDDEN, "not your thing") : missing(r, id);
}

static enum err tells_by_words(struct req *r)
{
    const char *id = req_path(r, "id");
    if (mine(r, id)) return show(r, id);
    return anybodys(id) ? (fail)(&r->call, ERR_NOT_FOUND, "no thing %s of yours", id) : missing(r, id);
}

static enum err lists_all(struct req *r)
{
    return show(r, THING_B);
}

static enum err removes(struct req *r)
{
    const char *id = req_path(r, "id");
    if (!anybodys(id) || atomic_exchange(&T.removed, 1)) return missing(r, id);
    reply_empty(r, 204);
    return OK;
}

static enum err takes_in_body(struct req *r)
{
    const char *id = json_get_text(r->json, "thing_id", "");
    if (*id && !anybodys(id)) return missing(r, id);
    reply_empty(r, 204);
    return OK;
}

static enum err breaks(struct req *r)
{
    return (fail)(&r->call, ERR_INTERNAL, "it broke");
}

static enum err by_query(struct req *r)
{
    const char *user = req_query(r, "user_id");
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_int(j, "things", user && !strcmp(user, "iso-b-u1") ? 7 : 0);
    json_end(j);
    return OK;
}

static const char body_schema[] = "{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{\"name\":{\"type\":\"string\",\"minLength\":1},"
                                  "\"thing_id\":{\"type\":\"string\"}}}";
static const char hard_schema[] = "{\"type\":\"object\",\"required\":[\"odd\"],\"properties\":{\"odd\":{\"type\":\"string\",\"pattern\":\"^[#]{9}$\"}}}";

static const struct route sound_routes[] = {
    { "GET", "/sound/{id}", RIGHT_READ, 0, NULL, sound, "Sound", "test", 0, NULL, NULL, NULL },
    { "POST", "/sound", RIGHT_ADMIN, 1000, body_schema, breaks, "For others", "test", 0, NULL, NULL, NULL },
    { 0 },
};
static const struct route leaky_routes[] = {
    { "GET", "/shows/{id}", RIGHT_READ, 0, NULL, shows_all, "Shows", "test", 0, NULL, NULL, NULL },
    { "GET", "/tells/{id}", RIGHT_READ, 0, NULL, tells, "Tells", "test", 0, NULL, NULL, NULL },
    { "GET", "/words/{id}", RIGHT_READ, 0, NULL, tells_by_words, "Tells by its words", "test", 0, NULL, NULL, NULL },
    { "GET", "/lists", RIGHT_READ, 0, NULL, lists_all, "Lists", "test", 0, NULL, NULL, NULL },
    { "DELETE", "/removes/{id}", RIGHT_READ, 0, NULL, removes, "Removes", "test", 0, NULL, NULL, NULL },
    { "POST", "/body", RIGHT_READ, 1000, body_schema, takes_in_body, "Takes it in a body", "test", 0, NULL, NULL, NULL },
    { "POST", "/breaks", RIGHT_READ, 1000, NULL, breaks, "Breaks", "test", 0, NULL, NULL, NULL },
    { "GET", "/query", RIGHT_READ, 0, NULL, by_query, "Counts another's", "test", 0, NULL, NULL, NULL },
    { "POST", "/hard", RIGHT_READ, 1000, hard_schema, sound, "No body can be made for it", "test", 0, NULL, NULL, NULL },
    { 0 },
};

/* "Bearer a" and "Bearer b" may read. A guard that forgets a spoilt credential is a leak too. */
static enum err authenticate(struct call *c, const struct credential *cred)
{
    const char *t = cred->authorization ? cred->authorization : "";
    if (strcmp(t, "Bearer a") && strcmp(t, "Bearer b") && strcmp(t, "Bearer old")) return (fail)(c, ERR_UNAUTHENTICATED, "no");
    c->rights = RIGHT_READ;
    snprintf(c->creator_id, sizeof c->creator_id, "%s", strcmp(t, "Bearer b") ? "iso-a" : "iso-b");
    return OK;
}

static void on_ready(void *arg, const char *const *bound)
{
    (void)arg;
    pthread_mutex_lock(&T.lock);
    T.port = (int)strtol(strrchr(bound[0], ':') + 1, NULL, 10);
    pthread_cond_signal(&T.ready);
    pthread_mutex_unlock(&T.lock);
}

static void *serve(void *arg)
{
    struct call c;
    (void)arg;
    call_init(&c);
    if (http_serve(&c, &T.conf, on_ready, NULL)) fprintf(stderr, "%s\n", c.err_text);
    call_dispose(&c);
    return NULL;
}

static int begin(const struct route *rows)
{
    static const char *const   listen[] = { "127.0.0.1:0", NULL };
    static const struct route *tables[2];
    static struct tenants_side a, b;
    bool                       created;
    tables[0] = rows;
    a = b = (struct tenants_side){ 0 };
    call_init(&T.c);
    atomic_store(&T.removed, 0);
    snprintf(T.dir, sizeof T.dir, "/tmp/chiron-doctor-XXXXXX");
    assert_non_null(mkdtemp(T.dir));
    if (store_open(&T.c, T.dir) || tenant_create(&T.c, "iso-a", "A", &created) || tenant_create(&T.c, "iso-b", "B", &created)) fail_msg("%s", T.c.err_text);
    T.conf = (struct http_conf){ .listen = listen, .tables = tables, .authenticate = authenticate, .workers = 2 };
    T.port = 0;
    pthread_create(&T.thread, NULL, serve, NULL);
    pthread_mutex_lock(&T.lock);
    while (!T.port) pthread_cond_wait(&T.ready, &T.lock);
    pthread_mutex_unlock(&T.lock);
    a.creator = "iso-a";
    a.user = "iso-a-u1";
    b.creator = "iso-b";
    b.user = "iso-b-u1";
    tenants_side_add(&T.c, &a, "thing", THING_A, false);
    tenants_side_add(&T.c, &b, "thing", THING_B, false);
    tenants_side_add(&T.c, &b, "user", "iso-b-u1", true);
    tenants_side_mark(&T.c, &b, MARK_B);
    memset(&T.plan, 0, sizeof T.plan);
    T.plan.tables = tables;
    T.plan.client = (struct tenants_client){ "127.0.0.1", T.port, -1 };
    T.plan.case_count = 1;
    T.plan.cases[0] = (struct tenants_case){ .name = "another creator", .own = &a, .victim = &b, .count = 1 };
    T.plan.cases[0].callers[0] = (struct tenants_caller){ .role = "owner", .rights = RIGHT_PUBLIC | RIGHT_READ, .headers = "Authorization: Bearer a\r\n" };
    T.plan.cases[0].keeper = (struct tenants_caller){ .role = "owner", .rights = RIGHT_PUBLIC | RIGHT_READ, .headers = "Authorization: Bearer b\r\n" };
    T.plan.forged[T.plan.forged_count++] = (struct tenants_forged){ "none", "", true };
    T.plan.forged[T.plan.forged_count++] = (struct tenants_forged){ "rubbish", "Authorization: Bearer x\r\n", false };
    return 0;
}

static void end(void)
{
    tenants_plan_dispose(&T.plan);
    http_stop();
    pthread_join(T.thread, NULL);
    store_close();
    call_dispose(&T.c);
    char command[80];
    snprintf(command, sizeof command, "%s", T.dir);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("rm", "rm", "-rf", command, (char *)NULL);
        _exit(1);
    }
    T.dir[0] = 0;
}

static void walk(void)
{
    if (tenants_walk_forged(&T.c, &T.plan) || tenants_walk(&T.c, &T.plan, 0)) fail_msg("%s", T.c.err_text);
}

static const char *finding_of(const char *path)
{
    for (int i = 0; i < T.plan.finding_count; i++)
        if (T.plan.findings[i].route && !strncmp(T.plan.findings[i].route->path, path, strlen(path))) return T.plan.findings[i].words;
    fail_msg("nothing was found at %s", path);
    return NULL;
}

static void routes_without_a_leak_have_no_finding(void **state)
{
    (void)state;
    begin(sound_routes);
    walk();
    for (int i = 0; i < T.plan.finding_count; i++) print_error("%s\n", T.plan.findings[i].words);
    assert_int_equal(T.plan.finding_count, 0);
    assert_int_equal(T.plan.row_count, 2);
    assert_true(T.plan.rows[0].requests > 4);
    /* The keeper reached what is theirs, so that 404 was said of something that is there. */
    assert_int_equal(T.plan.rows[0].own.status[0], 200);
    end();
}

static void every_kind_of_leak_is_found_and_named_by_its_route(void **state)
{
    (void)state;
    begin(leaky_routes);
    walk();
    assert_non_null(strstr(finding_of("/shows/"), MARK_B));
    assert_non_null(strstr(finding_of("/tells/"), "403"));
    assert_non_null(strstr(finding_of("/words/"), "of yours"));
    assert_non_null(strstr(finding_of("/lists"), MARK_B));
    assert_non_null(strstr(finding_of("/removes/"), "204, and 404"));
    assert_non_null(strstr(finding_of("/body"), "thing_id"));
    assert_non_null(strstr(finding_of("/breaks"), "500"));
    assert_non_null(strstr(finding_of("/query"), "user_id"));
    assert_non_null(strstr(finding_of("/hard"), "no body"));
    end();
}

static void a_credential_that_should_be_none_is_found(void **state)
{
    (void)state;
    begin(sound_routes);
    T.plan.forged[T.plan.forged_count++] = (struct tenants_forged){ "expired", "Authorization: Bearer old\r\n", false };
    if (tenants_walk_forged(&T.c, &T.plan)) fail_msg("%s", T.c.err_text);
    assert_non_null(strstr(finding_of("/sound/"), "expired"));
    end();
}

static void the_id_of_nothing_has_the_form_of_the_id_it_stands_beside(void **state)
{
    struct call c;
    (void)state;
    call_init(&c);
    const char *made = tenants_none_of(&c, THING_B), *chosen = tenants_none_of(&c, "iso-b-u1"), *mail = tenants_none_of(&c, "ann@example.org");
    assert_int_equal(strlen(made), strlen(THING_B));
    assert_memory_equal(made, THING_B, 10);
    assert_string_not_equal(made, THING_B);
    assert_int_equal(strlen(chosen), strlen("iso-b-u1"));
    assert_string_not_equal(chosen, "iso-b-u1");
    assert_string_equal(strchr(mail, '@'), "@example.org");
    call_dispose(&c);
}

static void replies_are_compared_without_what_is_of_the_moment(void **state)
{
    struct call c;
    (void)state;
    call_init(&c);
    const char *a = "{\"error\":\"no thing " THING_B "\",\"request_id\":\"req_01J0000000000000000000REQ1\",\"took_ms\":12.5,\"at\":\"2026-01-02T03:04:05.678Z\"}";
    const char *b = "{\"error\":\"no thing thg_01J000000000ZZZZZZZZZZZZZZ\",\"request_id\":\"req_01J0000000000000000000REQ2\",\"took_ms\":3,\"at\":\"2026-01-02T03:04:06.678Z\"}";
    struct tenants_reply ra = { 404, "", a, strlen(a) }, rb = { 404, "", b, strlen(b) };
    assert_string_equal(tenants_mask(&c, &ra, THING_B, NULL), tenants_mask(&c, &rb, NULL, "thg_01J000000000ZZZZZZZZZZZZZZ"));
    const char *d = "{\"error\":\"not your thing " THING_B "\"}";
    struct tenants_reply rd = { 404, "", d, strlen(d) };
    assert_string_not_equal(tenants_mask(&c, &rd, THING_B, NULL), tenants_mask(&c, &ra, THING_B, NULL));
    call_dispose(&c);
}

int main(void)
{
    static const struct setting *const tables[] = { http_settings, store_settings, NULL };
    struct call c;
    call_init(&c);
    log_open((enum log_level)(LOG_ERROR + 1), 1);
    if (conf_load(&c, tables, "/dev/null")) return 1;
    call_dispose(&c);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(routes_without_a_leak_have_no_finding),
        cmocka_unit_test(every_kind_of_leak_is_found_and_named_by_its_route),
        cmocka_unit_test(a_credential_that_should_be_none_is_found),
        cmocka_unit_test(the_id_of_nothing_has_the_form_of_the_id_it_stands_beside),
        cmocka_unit_test(replies_are_compared_without_what_is_of_the_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
