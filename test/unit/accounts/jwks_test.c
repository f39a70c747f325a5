/* An issuer's keys over the network: fetched once for many who ask at once, looked for again at most once a minute, used on while
 * the issuer is away. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "accounts/jwks.h"
#include "base/base64.h"
#include "base/fetch.h"

static struct {
    int         fd;
    pthread_t   thread;
    atomic_bool stop;
    atomic_int  asked, delay_ms, status;
    char        url[64], set[2048];
} issuer;
static struct call c;

static void *serve(void *arg)
{
    (void)arg;
    while (!atomic_load(&issuer.stop)) {
        struct pollfd p = { .fd = issuer.fd, .events = POLLIN };
        char          request[2048], reply[4096];
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(issuer.fd, NULL, NULL);
        if (fd < 0) continue;
        if (read(fd, request, sizeof request) > 0) {
            atomic_fetch_add(&issuer.asked, 1);
            int ms = atomic_load(&issuer.delay_ms);
            nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 }, NULL);
            int n = snprintf(reply, sizeof reply, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", atomic_load(&issuer.status), strlen(issuer.set),
                             issuer.set);
            if (write(fd, reply, (size_t)n) < 0) print_error("the reply was not taken\n");
        }
        close(fd);
    }
    return NULL;
}

static const char *coordinate(const unsigned char *p)
{
    char *text = base64_encode(&c.mem, p, 32);
    for (char *q = text; *q; q++) *q = *q == '+' ? '-' : *q == '/' ? '_' : *q;
    text[strcspn(text, "=")] = '\0';
    return text;
}

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    unsigned char point[65];
    size_t        n = 0;
    EVP_PKEY     *key = EVP_EC_gen("P-256");
    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point, &n);
    EVP_PKEY_free(key);
    snprintf(issuer.set, sizeof issuer.set, "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"e1\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}]}", coordinate(point + 1),
             coordinate(point + 33));
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    issuer.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(issuer.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(issuer.fd, 16), 0);
    getsockname(issuer.fd, (struct sockaddr *)&at, &len);
    snprintf(issuer.url, sizeof issuer.url, "http://127.0.0.1:%d/jwks", ntohs(at.sin_port));
    atomic_store(&issuer.stop, false);
    atomic_store(&issuer.asked, 0);
    atomic_store(&issuer.delay_ms, 0);
    atomic_store(&issuer.status, 200);
    return pthread_create(&issuer.thread, NULL, serve, NULL);
}

static int teardown(void **s)
{
    (void)s;
    atomic_store(&issuer.stop, true);
    pthread_join(issuer.thread, NULL);
    close(issuer.fd);
    jwks_forget();
    fetch_close();
    call_dispose(&c);
    return 0;
}

static enum err ask(const char *kid)
{
    EVP_PKEY *key = NULL;
    enum err  e = jwks_key(&c, issuer.url, "ES256", kid, &key);
    assert_true(!e == (key != NULL));
    EVP_PKEY_free(key);
    call_forgive(&c);
    return e;
}

static void a_set_is_fetched_once_and_kept(void **s)
{
    (void)s;
    for (int i = 0; i < 50; i++) assert_int_equal(ask("e1"), OK);
    assert_int_equal(atomic_load(&issuer.asked), 1);
}

static void unknown_keys_do_not_make_us_ask_again_and_again(void **s)
{
    (void)s;
    for (int i = 0; i < 50; i++) {
        char kid[32];
        snprintf(kid, sizeof kid, "made-up-%d", i);
        assert_int_equal(ask(kid), ERR_UNAUTHENTICATED);
    }
    assert_int_equal(atomic_load(&issuer.asked), 1);
    assert_int_equal(ask("e1"), OK);
}

static void *ask_once(void *arg)
{
    struct call mine;
    EVP_PKEY   *key = NULL;
    call_init(&mine);
    *(enum err *)arg = jwks_key(&mine, issuer.url, "ES256", "e1", &key);
    EVP_PKEY_free(key);
    call_dispose(&mine);
    return NULL;
}

static void many_at_once_wait_for_one_who_asks(void **s)
{
    (void)s;
    enum { MANY = 12 };
    pthread_t threads[MANY];
    enum err  got[MANY];
    atomic_store(&issuer.delay_ms, 200);
    for (int i = 0; i < MANY; i++) assert_int_equal(pthread_create(&threads[i], NULL, ask_once, &got[i]), 0);
    for (int i = 0; i < MANY; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < MANY; i++) assert_int_equal(got[i], OK);
    assert_int_equal(atomic_load(&issuer.asked), 1);
}

static void an_issuer_that_fails_is_told_apart_from_an_unknown_key(void **s)
{
    (void)s;
    atomic_store(&issuer.status, 503);
    assert_int_equal(ask("e1"), ERR_UPSTREAM);
    assert_int_equal(ask("e1"), ERR_UPSTREAM);   /* not asked again so soon */
    assert_int_equal(atomic_load(&issuer.asked), 1);
    jwks_forget();
    atomic_store(&issuer.status, 200);
    snprintf(issuer.set, sizeof issuer.set, "<html>");
    assert_int_equal(ask("e1"), ERR_UPSTREAM);
}

static void one_address_pushes_out_the_one_not_used_the_longest(void **s)
{
    (void)s;
    char      url[80];
    EVP_PKEY *key;
    for (int i = 0; i < 20; i++) {
        snprintf(url, sizeof url, "%s?%d", issuer.url, i);
        assert_int_equal(jwks_key(&c, url, "ES256", "e1", &key), OK);
        EVP_PKEY_free(key);
    }
    assert_int_equal(atomic_load(&issuer.asked), 20);
    assert_int_equal(jwks_key(&c, url, "ES256", "e1", &key), OK);
    EVP_PKEY_free(key);
    assert_int_equal(atomic_load(&issuer.asked), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_set_is_fetched_once_and_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_keys_do_not_make_us_ask_again_and_again, setup, teardown),
        cmocka_unit_test_setup_teardown(many_at_once_wait_for_one_who_asks, setup, teardown),
        cmocka_unit_test_setup_teardown(an_issuer_that_fails_is_told_apart_from_an_unknown_key, setup, teardown),
        cmocka_unit_test_setup_teardown(one_address_pushes_out_the_one_not_used_the_longest, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
