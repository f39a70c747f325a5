/* One-time links: good once, also among many at once; only the newest of an address; only their hash in the database. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "../store/folder.h"

#include <pthread.h>
#include <string.h>

#include "accounts/link.h"
#include "accounts/link_store.h"
#include "accounts/mail.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/id.h"
#include "store/db.h"
#include "store/store.h"

static const struct setting *const tables[] = { store_settings, mail_settings, NULL };
static char        dir[64];
static struct call c;

static int setup(void **s)
{
    (void)s;
    bool made;
    call_init(&c);
    conf_set("PUBLIC_URL", "https://coach.example");
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, mail_open(&c));
    assert_ok(&c, tenant_create(&c, "gym", "The Gym", &made));
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    mail_close();
    store_close();
    conf_free();
    folder_remove(dir);
    call_dispose(&c);
    return 0;
}

/* The secret of a fresh invitation. */
static const char *invite(const char *email, const char *role)
{
    static const char start[] = "https://coach.example/#/link=";
    const char       *id = NULL, *link = NULL;
    int64_t           expires_ms = 0;
    assert_ok(&c, link_invite(&c, &(struct link_invitation){ .creator_id = "gym", .creator_name = "The Gym", .email = email, .role = role }, &id, &link, &expires_ms));
    assert_non_null(link);   /* no mail server is set up here */
    assert_memory_equal(link, start, sizeof start - 1);
    assert_memory_equal(id, "inv_", 4);
    assert_true(expires_ms > clock_unix_ms() + 6 * 24 * 3600 * 1000LL);
    return link + sizeof start - 1;
}

static void a_link_is_read_often_and_used_once(void **s)
{
    (void)s;
    struct link l, again;
    const char *token = invite("ann@example.org", "editor");
    assert_int_equal(strlen(token), 43);
    for (int i = 0; i < 3; i++) assert_ok(&c, link_read(&c, token, &l));
    assert_int_equal(l.purpose, LINK_INVITE);
    assert_string_equal(l.email, "ann@example.org");
    assert_string_equal(l.role, "editor");
    assert_string_equal(l.creator_id, "gym");
    assert_false(l.mailed);
    assert_ok(&c, link_read(&c, token, &again));
    assert_ok(&c, link_spend(&c, &l));
    assert_true(l.spent);
    assert_int_equal(link_spend(&c, &again), ERR_UNAUTHENTICATED);
    assert_false(again.spent);
    call_forgive(&c);
    assert_int_equal(link_read(&c, token, &again), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    /* What it was used for failed. */
    assert_ok(&c, link_unspend(&c, &l));
    assert_ok(&c, link_read(&c, token, &again));
}

static void what_is_no_link_has_the_words_of_a_used_one(void **s)
{
    (void)s;
    struct link l;
    const char *token = invite("ann@example.org", "editor"), *longer = arena_printf(&c.mem, "%s=", token);
    static const char words[] = "this link is wrong, was used already or is too old";
    char bent[44];
    snprintf(bent, sizeof bent, "%s", token);
    bent[42] = bent[42] == 'A' ? 'B' : 'A';
    const char *const wrong[] = { "", "x", longer, bent, arena_strndup(&c.mem, token, 42), "0000000000000000000000000000000000000000000", "' OR 1=1 --" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(link_read(&c, wrong[i], &l), ERR_UNAUTHENTICATED);
        assert_string_equal(c.err_text, words);
        call_forgive(&c);
    }
}

struct racer {
    const char *token;
    int         won;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    struct call   mine;
    struct link   l;
    call_init(&mine);
    if (!link_read(&mine, r->token, &l) && !link_spend(&mine, &l)) r->won = 1;
    call_dispose(&mine);
    return NULL;
}

static void of_many_at_once_one_uses_it(void **s)
{
    (void)s;
    enum { MANY = 8 };
    pthread_t    threads[MANY];
    struct racer racers[MANY];
    for (int round = 0; round < 5; round++) {
        const char *token = invite("ann@example.org", "editor");
        int         won = 0;
        for (int i = 0; i < MANY; i++) {
            racers[i] = (struct racer){ token, 0 };
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < MANY; i++) {
            pthread_join(threads[i], NULL);
            won += racers[i].won;
        }
        assert_int_equal(won, 1);
    }
}

static void a_newer_invitation_closes_the_older_one_of_its_address_only(void **s)
{
    (void)s;
    struct link l;
    const char *first = invite("ann@example.org", "editor"), *other = invite("bob@example.org", "editor"), *second = invite("ann@example.org", "analyst");
    assert_int_equal(link_read(&c, first, &l), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_ok(&c, link_read(&c, second, &l));
    assert_string_equal(l.role, "analyst");
    assert_ok(&c, link_read(&c, other, &l));
}

static bool add(const char *hash, const char *email, bool mailed, int64_t created_ms, int64_t lives_ms)
{
    bool added = false;
    assert_ok(&c, link_row_add(&c, &(struct link_row){ .hash = hash, .purpose = "sign_in", .email = email, .mailed = mailed, .created_ms = created_ms, .expires_ms = created_ms + lives_ms },
                               5, 3, created_ms - 900000, &added));
    return added;
}

static int64_t count(const char *email, bool live)
{
    struct conn *r = NULL;
    int64_t      n = -1;
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, -1, &n, "SELECT count(*) FROM mail_link WHERE email = ?s AND (used_ms IS NULL OR ?i = 0)", email, (int64_t)live));
    db_release(&r);
    return n;
}

static void an_address_has_five_live_links_and_three_mails_a_quarter_of_an_hour(void **s)
{
    (void)s;
    int64_t now = clock_unix_ms();
    char    hash[16];
    for (int i = 0; i < 9; i++) {
        snprintf(hash, sizeof hash, "h%d", i);
        assert_true(add(hash, "ann@example.org", false, now + i, 3600000));
    }
    assert_int_equal(count("ann@example.org", true), 5);
    struct link_row row;
    assert_int_equal(link_row_get(&c, "h3", &row), ERR_NOT_FOUND);
    assert_ok(&c, link_row_get(&c, "h4", &row));
    for (int i = 0; i < 5; i++) {
        snprintf(hash, sizeof hash, "m%d", i);
        assert_int_equal(add(hash, "bob@example.org", true, now + i, 3600000), i < 3);
    }
    assert_true(add("other", "eve@example.org", true, now, 3600000));
    assert_true(add("later", "bob@example.org", true, now + 900005, 3600000));
}

static void what_ended_goes_and_is_counted_as_long_as_it_must_be(void **s)
{
    (void)s;
    int64_t         now = clock_unix_ms();
    struct link_row row;
    assert_true(add("old", "ann@example.org", true, now - 2000000, 900000));
    assert_true(add("recent", "ann@example.org", true, now - 600000, 1000));   /* ended, but its mail still counts */
    assert_int_equal(link_row_get(&c, "recent", &row), ERR_NOT_FOUND);
    assert_true(add("new", "ann@example.org", true, now, 900000));
    assert_int_equal(count("ann@example.org", false), 2);
    assert_true(add("third", "ann@example.org", true, now + 1, 900000));
    assert_false(add("fourth", "ann@example.org", true, now + 2, 900000));
}

static void nothing_is_asked_for_without_a_mail_server(void **s)
{
    (void)s;
    assert_false(mail_ready());
    assert_int_equal(link_ask(&c, &(struct link_ask){ .email = "ann@example.org", .purpose = LINK_SIGN_IN }), ERR_BUSY);
    call_forgive(&c);
    assert_int_equal(mail_put(&c, &(struct mail){ .to = "ann@example.org", .words = "sign_in",
                                                  .values = (const struct mail_value[]){ { "name", "x" }, { "link", "y" }, { NULL, NULL } } }),
                     ERR_BUSY);
    for (int p = 0; p < LINK_PURPOSES; p++) assert_int_equal(link_of(link_word((enum link_purpose)p)), p);
    assert_int_equal(link_of("other"), LINK_PURPOSES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_is_read_often_and_used_once, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_link_has_the_words_of_a_used_one, setup, teardown),
        cmocka_unit_test_setup_teardown(of_many_at_once_one_uses_it, setup, teardown),
        cmocka_unit_test_setup_teardown(a_newer_invitation_closes_the_older_one_of_its_address_only, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_has_five_live_links_and_three_mails_a_quarter_of_an_hour, setup, teardown),
        cmocka_unit_test_setup_teardown(what_ended_goes_and_is_counted_as_long_as_it_must_be, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_asked_for_without_a_mail_server, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
