/* Where a sign-in came from, without what would tell people apart. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#undef fail

#include "accounts/agent.h"

static void a_browser_is_its_kind_and_its_system(void **s)
{
    (void)s;
    static const struct {
        const char *agent, *kind;
    } cases[] = {
        { NULL, "" },
        { "", "" },
        { "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "Firefox on Linux" },
        { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36 Edg/120.0.0.0", "Edge on Windows" },
        { "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Safari/605.1.15", "Safari on macOS" },
        { "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/120.0 Mobile/15E148 Safari/604.1", "Chrome on iPhone" },
        { "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Mobile Safari/537.36", "Chrome on Android" },
        { "curl/7.88.1", "curl" },
        { "acme-backend/1.2 (+https://acme.example)", "acme-backend" },
        { "\xd8\xa7\xd9\x84", "unknown" },
        { "(nothing)", "unknown" },
    };
    struct call c;
    call_init(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_string_equal(agent_kind(&c, cases[i].agent), cases[i].kind);
    call_dispose(&c);
}

static void of_an_address_only_the_network_is_kept(void **s)
{
    (void)s;
    static const struct {
        const char *address, *network;
    } cases[] = {
        { "203.0.113.77", "203.0.113.0/24" },   { "127.0.0.1", "127.0.0.0/24" },
        { "2001:db8:1234:5678::9", "2001:db8:1234::/48" }, { "::ffff:203.0.113.77", "203.0.113.0/24" },
        { "::1", "::/48" },                     { "", "" },
        { "host.example", "" },                 { "1.2.3.4; DROP TABLE session", "" },
    };
    struct call c;
    call_init(&c);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_string_equal(agent_network(&c, cases[i].address), cases[i].network);
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_browser_is_its_kind_and_its_system),
        cmocka_unit_test(of_an_address_only_the_network_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
