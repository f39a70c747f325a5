/* Mails that wait: a bounded list, emptied by threads; what is put while they work; an end that does not wait for ever. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#undef fail /* cmocka's; ours is a function */

#include <arpa/inet.h>
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

#include "accounts/mail.h"
#include "base/clock.h"
#include "base/fetch.h"
#include "base/log.h"

static const struct setting *const tables[] = { mail_settings, NULL };
static struct call c;
static struct {
    int         fd;
    pthread_t   thread;
    atomic_bool stop, silent;
    atomic_int  taken;
    char        last[16384];
} server;

/* As much of SMTP as one mail at a time needs. */
static void talk(int fd)
{
    char   line[16384];
    size_t n = 0;
    bool   data = false;
    dprintf(fd, "220 test\r\n");
    while (!atomic_load(&server.stop) && n < sizeof line - 1) {
        struct pollfd p = { .fd = fd, .events = POLLIN };
        if (poll(&p, 1, 20) <= 0) continue;
        ssize_t got = read(fd, line + n, sizeof line - 1 - n);
        if (got <= 0) return;
        n += (size_t)got;
        line[n] = '\0';
        if (data ? !strstr(line, "\r\n.\r\n") : line[n - 1] != '\n') continue;
        if (data) {
            memcpy(server.last, line, n + 1);
            atomic_fetch_add(&server.taken, 1);
        }
        bool quit = !data && !strncmp(line, "QUIT", 4);
        data = !data && !strncmp(line, "DATA", 4);
        dprintf(fd, quit ? "221 bye\r\n" : data ? "354 go on\r\n" : "250 ok\r\n");
        if (quit) return;
        n = 0;
    }
}

static void *serve(void *arg)
{
    (void)arg;
    while (!atomic_load(&server.stop)) {
        struct pollfd p = { .fd = server.fd, .events = POLLIN };
        if (poll(&p, 1, 20) <= 0) continue;
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0) continue;
        while (atomic_load(&server.silent) && !atomic_load(&server.stop)) nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
        talk(fd);
        close(fd);
    }
    return NULL;
}

static int setup(void **s)
{
    (void)s;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    char               url[64];
    call_init(&c);
    fetch_open();
    server.fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(server.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.fd, 64), 0);
    getsockname(server.fd, (struct sockaddr *)&at, &len);
    snprintf(url, sizeof url, "smtp://127.0.0.1:%d", ntohs(at.sin_port));
    conf_set("MAIL_URL", url);
    conf_set("MAIL_FROM", "\"The Coach\" <coach@example.org>");
    conf_set("PUBLIC_URL", "https://coach.example");
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
    log_open(LOG_ERROR, 1);
    atomic_store(&server.stop, false);
    atomic_store(&server.silent, false);
    atomic_store(&server.taken, 0);
    assert_int_equal(pthread_create(&server.thread, NULL, serve, NULL), 0);
    return mail_open(&c);
}

static int teardown(void **s)
{
    (void)s;
    atomic_store(&server.stop, true);
    pthread_join(server.thread, NULL);
    close(server.fd);
    conf_free();
    call_dispose(&c);
    return 0;
}

static enum err put(struct call *call, const char *language)
{
    return mail_put(call, &(struct mail){ .to = "ann@example.org", .words = "verify", .language = language,
                                          .values = (const struct mail_value[]){ { "name", "Chiron" }, { "link", "https://coach.example/#/link=x" }, { NULL, NULL } } });
}

static bool taken(int n)
{
    for (int i = 0; i < 1000 && atomic_load(&server.taken) < n; i++) nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    return atomic_load(&server.taken) >= n;
}

static void a_mail_has_its_words_and_their_language(void **s)
{
    (void)s;
    static const struct {
        const char *accept, *words;
    } cases[] = { { NULL, "Confirm your address for Chiron" }, { "es", "=?UTF-8?B?" }, { "en-GB,es;q=0.5", "Confirm your address for Chiron" },
                  { "fr, es-MX;q=0.8, en;q=0.2", "=?UTF-8?B?" }, { "de", "Confirm your address for Chiron" }, { "estonian", "Confirm your address for Chiron" } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(put(&c, cases[i].accept), OK);
        assert_true(taken((int)i + 1));
        assert_non_null(strstr(server.last, cases[i].words));
        assert_non_null(strstr(server.last, "From: =?UTF-8?B?VGhlIENvYWNo?= <coach@example.org>\r\nTo: <ann@example.org>\r\n"));
    }
    mail_close();
    assert_false(mail_ready());
}

static void what_waits_is_bounded_and_sent_before_the_end(void **s)
{
    (void)s;
    atomic_store(&server.silent, true);
    int put_in = 0;
    while (put_in < 10000 && !put(&c, NULL)) put_in++;
    assert_int_equal(c.err, ERR_BUSY);
    assert_true(c.retry_after_s > 0);
    assert_true(put_in >= LIMIT_MAIL_QUEUE && put_in <= LIMIT_MAIL_QUEUE + 8);
    atomic_store(&server.silent, false);
    assert_true(taken(20));
    mail_close();
}

static void an_end_does_not_wait_for_a_server_that_is_silent(void **s)
{
    (void)s;
    atomic_store(&server.silent, true);
    for (int i = 0; i < 10; i++) assert_int_equal(put(&c, NULL), OK);
    int64_t begun = clock_mono_ms();
    mail_close();
    assert_true(clock_mono_ms() - begun < 15000);
    assert_int_equal(put(&c, NULL), ERR_BUSY);
}

static atomic_int ran, freed;

static void task(struct call *call, void *arg)
{
    if (call) {
        atomic_fetch_add(&ran, 1);
        if (put(call, "es")) print_error("%s\n", call->err_text);
    }
    atomic_fetch_add(&freed, 1);
    free(arg);
}

static void *put_tasks(void *arg)
{
    struct call mine;
    (void)arg;
    call_init(&mine);
    for (int i = 0; i < 20; i++) {
        void *p = malloc(1);
        if (mail_task(&mine, task, p)) free(p);
        call_forgive(&mine);
    }
    call_dispose(&mine);
    return NULL;
}

static void tasks_of_many_threads_run_once_each_and_their_mails_go_out(void **s)
{
    (void)s;
    pthread_t threads[4];
    atomic_store(&ran, 0);
    atomic_store(&freed, 0);
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, put_tasks, NULL), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_true(taken(80));
    mail_close();
    assert_int_equal(atomic_load(&ran), 80);
    assert_int_equal(atomic_load(&freed), 80);
    assert_int_equal(atomic_load(&server.taken), 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_mail_has_its_words_and_their_language, setup, teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_bounded_and_sent_before_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(an_end_does_not_wait_for_a_server_that_is_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(tasks_of_many_threads_run_once_each_and_their_mails_go_out, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
