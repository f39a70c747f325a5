/* The operator's list of issuers: what is understood, what keeps the server from starting; and where a browser may be sent back to. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <string.h>

#include "accounts/mail.h"
#include "accounts/oidc.h"
#include "base/conf.h"

static const struct setting *const tables[] = { mail_settings, oidc_settings, NULL };
static struct call c;

static int setup(void **s)
{
    (void)s;
    call_init(&c);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_dispose(&c);
    return 0;
}

/* The list as the server would read it. */
static enum err open_with(const char *list, const char *public)
{
    call_forgive(&c);
    conf_set("OIDC_ISSUERS", list);
    conf_set("PUBLIC_URL", public);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    enum err e = mail_open(&c);
    if (!e) e = oidc_issuers_open(&c);
    return e;
}

static void end(void)
{
    oidc_issuers_close();
    mail_close();
    conf_free();
}

#define GOOD "\"id\":\"one\",\"issuer\":\"https://id.example\",\"client_id\":\"c\""

static void a_list_is_read_with_its_defaults(void **s)
{
    (void)s;
    assert_ok(&c, open_with("[{" GOOD "},{\"id\":\"two\",\"name\":\"Zwei\",\"issuer\":\"http://127.0.0.1:9/x\",\"client_id\":\"d\",\"client_secret\":\"s\",\"scopes\":\"openid email\","
                            "\"algorithm\":\"ES256\",\"creator\":\"team\",\"role\":\"editor\",\"signup\":false,\"domains\":[\"example.org\",\"example.com\"]}]",
                            "https://coach.example/app//"));
    assert_int_equal(oidc_issuer_count(), 2);
    assert_string_equal(public_url(), "https://coach.example/app");
    const struct oidc_issuer *o = oidc_issuer_find("one");
    assert_string_equal(o->name, "one");
    assert_string_equal(o->algorithm, "RS256");
    assert_string_equal(o->scopes, "openid email profile");
    assert_null(o->client_secret);
    assert_null(o->creator);
    assert_false(o->signup_said);
    assert_null(o->domains[0]);
    o = oidc_issuer_at(1);
    assert_string_equal(o->name, "Zwei");
    assert_string_equal(o->client_secret, "s");
    assert_true(o->signup_said && !o->signup);
    assert_string_equal(o->domains[1], "example.com");
    assert_null(o->domains[2]);
    assert_null(oidc_issuer_find("three"));
    end();
    assert_ok(&c, open_with("", ""));
    assert_int_equal(oidc_issuer_count(), 0);
    end();
}

static void what_is_not_understood_does_not_start(void **s)
{
    (void)s;
    static const char *const wrong[] = {
        "{", "{}", "7x", "/nowhere/issuers.json", "[7]", "[{}]",
        "[{" GOOD "},{" GOOD "}]",
        "[{" GOOD ",\"secret\":\"x\"}]",
        "[{" GOOD ",\"algorithm\":\"HS256\"}]",
        "[{" GOOD ",\"algorithm\":\"none\"}]",
        "[{" GOOD ",\"creator\":\"c\"}]",
        "[{" GOOD ",\"role\":\"owner\"}]",
        "[{" GOOD ",\"scopes\":\"email\"}]",
        "[{" GOOD ",\"signup\":1}]",
        "[{" GOOD ",\"domains\":[]}]",
        "[{" GOOD ",\"domains\":[\"a@b\"]}]",
        "[{" GOOD ",\"client_secret\":\"\"}]",
        "[{" GOOD ",\"client_secret\":\"x\",\"client_secret_file\":\"/y\"}]",
        "[{" GOOD ",\"client_secret_file\":\"/nowhere/secret\"}]",
        "[{\"id\":\"One\",\"issuer\":\"https://id.example\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"http://id.example\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"http://127.0.0.1.evil.example\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"http://localhost@evil.example\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"https://id.example?x\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"file:///etc/passwd\",\"client_id\":\"c\"}]",
        "[{\"id\":\"one\",\"issuer\":\"https://id.example\"}]",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        enum err e = open_with(wrong[i], "https://coach.example");
        if (!e) print_error("taken: %s\n", wrong[i]);
        assert_true(e == ERR_INVALID || e == ERR_BAD_REQUEST);
        assert_true(c.err_text[0]);
        assert_int_equal(oidc_issuer_count(), 0);
        end();
    }
    assert_int_equal(open_with("[{" GOOD "}]", ""), ERR_INVALID);
    assert_string_equal(c.err_field, "PUBLIC_URL");
    end();
}

static void a_secret_may_be_in_a_file(void **s)
{
    (void)s;
    char  dir[64], path[128];
    FILE *f;
    folder_new(dir);
    snprintf(path, sizeof path, "%s/secret", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("of the file\r\n", f);
    fclose(f);
    assert_ok(&c, open_with(arena_printf(&c.mem, "[{" GOOD ",\"client_secret_file\":\"%s\"}]", path), "https://coach.example"));
    assert_string_equal(oidc_issuer_at(0)->client_secret, "of the file");
    end();
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("  [{" GOOD "}]\n", f);
    fclose(f);
    assert_ok(&c, open_with(path, "https://coach.example"));
    assert_int_equal(oidc_issuer_count(), 1);
    end();
    folder_remove(dir);
}

static void a_browser_is_sent_back_to_paths_of_ours_only(void **s)
{
    (void)s;
    static const char *const ours[] = { "/", "/#/ask", "/#/documents/doc_1?page=2", "/x" };
    static const char *const others[] = { "", "x", "//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)", "/a b", "/a\r\nX: y", "/\x7f", "/\xc3\xa9", "\\/x",
                                          "/<script>", "/\"x" };
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) assert_true(oidc_back_ok(ours[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(oidc_back_ok(others[i]));
    char far[600];
    memset(far, 'a', sizeof far);
    far[0] = '/';
    far[599] = '\0';
    assert_false(oidc_back_ok(far));
    assert_false(oidc_back_ok(NULL));
}

static void this_machine_has_few_names(void **s)
{
    (void)s;
    static const char *const yes[] = { "http://localhost", "http://LOCALHOST:8/x", "http://127.0.0.1", "http://127.9.9.9:1/", "smtp://a:b@127.0.0.1:25", "http://[::1]:8/" };
    static const char *const no[] = { "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://evil.example/127.0.0.1", "http://127.0.0.1@evil.example",
                                      "http://evil.example#@127.0.0.1", "http://evil.example?@localhost", "http://[::2]", "http://0.0.0.0", "http://127.", "" };
    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) assert_true(url_is_loopback(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        if (url_is_loopback(no[i])) print_error("taken for this machine: %s\n", no[i]);
        assert_false(url_is_loopback(no[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_list_is_read_with_its_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_understood_does_not_start, setup, teardown),
        cmocka_unit_test_setup_teardown(a_secret_may_be_in_a_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_browser_is_sent_back_to_paths_of_ours_only, setup, teardown),
        cmocka_unit_test_setup_teardown(this_machine_has_few_names, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
