/* API keys: shown once, never more than their maker, renewed with and without grace, ended with what they made (CRE-016, RAG-025). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/api_key.h"
#include "accounts/api_key_store.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/db.h"
#include "store/store.h"

static char        dir[64];
static struct call c;

static int setup(void **s)
{
    (void)s;
    bool created;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "a", "a", &created));
    assert_ok(&c, tenant_create(&c, "b", "b", &created));
    assert_ok(&c, tenant_open(&c, "a"));
    c.rights = ~0u;
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    tenant_release(&c);
    store_close();
    folder_remove(dir);
    call_dispose(&c);
    return 0;
}

static struct api_key make(const char *name, unsigned scopes, int days)
{
    struct api_key k;
    const char    *secret = NULL;
    assert_ok(&c, api_key_make(&c, name, scopes, days, &k, &secret));
    return k;
}

static struct api_key load(const char *id)
{
    struct api_key k = { 0 };
    bool           found = false;
    assert_ok(&c, api_key_load(&c, id, &k, &found));
    assert_true(found);
    return k;
}

static const char *state(const char *id)
{
    struct api_key k = load(id);
    return api_key_state(&k, clock_unix_ms());
}

static void only_the_hash_and_the_first_characters_are_kept_CRE_016(void **s)
{
    (void)s;
    struct api_key k, *list = NULL;
    const char    *secret = NULL, *twice = NULL;
    char           hash[65];
    int            n = 0;
    assert_ok(&c, api_key_make(&c, " backend ", RIGHT_ASK | RIGHT_ACT_AS, 0, &k, &secret));
    assert_int_equal(strlen(secret), 4 + 43);
    assert_int_equal(strspn(secret, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 47);
    assert_memory_equal(secret, API_KEY_PREFIX, 4);
    assert_string_equal(k.hash, id_sha256_hex(secret, strlen(secret), hash));
    assert_string_equal(k.prefix, arena_strndup(&c.mem, secret, 10));
    assert_string_equal(k.name, "backend");
    assert_ok(&c, api_key_make(&c, "backend", RIGHT_ASK, 0, &k, &twice));
    assert_string_not_equal(secret, twice);
    assert_ok(&c, api_key_list(&c, &list, &n));
    assert_int_equal(n, 2);
    assert_int_equal(list[1].scopes, RIGHT_ASK | RIGHT_ACT_AS);
    struct conn *r = NULL;
    int64_t      rows = 0;
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &rows, "SELECT count(*) FROM api_key WHERE hash LIKE ?s OR name LIKE ?s OR scopes LIKE ?s", secret, secret, secret));
    db_release(&r);
    assert_int_equal(rows, 0);
}

static void nobody_gives_a_key_more_than_they_have(void **s)
{
    (void)s;
    struct api_key k;
    const char    *secret = NULL;
    c.rights = RIGHT_PUBLIC | RIGHT_ASK | RIGHT_KEYS | RIGHT_SELF;
    assert_int_equal(api_key_make(&c, "n", RIGHT_ASK | RIGHT_WRITE, 0, &k, &secret), ERR_FORBIDDEN);
    call_forgive(&c);
    assert_null(secret);
    make("n", RIGHT_ASK | RIGHT_KEYS, 0);
    /* What belongs to a person alone, whoever asks. */
    c.rights = ~0u;
    static const unsigned never[] = { RIGHT_SELF, RIGHT_OWN, RIGHT_PUBLIC, 0 };
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        assert_int_equal(api_key_make(&c, "n", never[i], 0, &k, &secret), ERR_INVALID);
        assert_string_equal(c.err_field, "scopes");
        call_forgive(&c);
    }
}

static void renewing_shows_a_secret_so_it_asks_for_all_the_key_may_do(void **s)
{
    (void)s;
    struct api_key strong = make("strong", RIGHT_ASK | RIGHT_WRITE, 0), next;
    const char    *secret = NULL;
    c.rights = RIGHT_ASK | RIGHT_KEYS;
    assert_int_equal(api_key_rotate(&c, strong.id, 0, &next, &secret), ERR_FORBIDDEN);
    call_forgive(&c);
    assert_null(secret);
    assert_string_equal(state(strong.id), "active");
    /* Ending it is not a way up. */
    assert_ok(&c, api_key_revoke(&c, strong.id));
    assert_string_equal(state(strong.id), "revoked");
}

static void a_renewed_key_follows_at_once_or_after_its_grace(void **s)
{
    (void)s;
    struct api_key a = make("a", RIGHT_ASK, 30), b = make("b", RIGHT_ASK, 0), next;
    const char    *secret = NULL;
    assert_ok(&c, api_key_rotate(&c, a.id, 0, &next, &secret));
    assert_string_equal(state(a.id), "rotated");
    assert_string_equal(load(a.id).replaced_by, next.id);
    assert_string_equal(next.name, "a");
    assert_int_equal((next.expires_ms - next.created_ms) / 86400000, 30);
    assert_int_equal(api_key_rotate(&c, a.id, 0, &next, &secret), ERR_CONFLICT);
    call_forgive(&c);

    assert_ok(&c, api_key_rotate(&c, b.id, 2, &next, &secret));
    assert_string_equal(state(b.id), "active");
    struct api_key old = load(b.id);
    assert_true(old.expires_ms > clock_unix_ms() + 7100000 && old.expires_ms <= clock_unix_ms() + 7200000);
    assert_string_equal(api_key_state(&old, old.expires_ms), "rotated");
    assert_int_equal(next.expires_ms, 0);
    assert_int_equal(api_key_rotate(&c, b.id, 0, &next, &secret), ERR_CONFLICT);
    call_forgive(&c);
    /* During its grace it can still be ended. */
    assert_ok(&c, api_key_revoke(&c, b.id));
    assert_string_equal(state(b.id), "revoked");
}

static void act_as_key(const struct api_key *k)
{
    snprintf(c.key_id, sizeof c.key_id, "%s", k->id);
    c.rights = k->scopes | RIGHT_PUBLIC;
}

static void keys_that_a_key_makes_end_with_it_and_no_later(void **s)
{
    (void)s;
    struct api_key parent = make("parent", RIGHT_ASK | RIGHT_KEYS, 10);
    act_as_key(&parent);
    struct api_key child = make("child", RIGHT_ASK | RIGHT_KEYS, 3650);
    assert_true(child.expires_ms == parent.expires_ms);
    assert_string_equal(child.created_by, parent.id);
    act_as_key(&child);
    struct api_key grandchild = make("grandchild", RIGHT_ASK, 0);
    assert_true(grandchild.expires_ms == parent.expires_ms);
    c.key_id[0] = '\0';
    c.rights = ~0u;
    struct api_key other = make("other", RIGHT_ASK, 0);
    assert_ok(&c, api_key_revoke(&c, parent.id));
    assert_string_equal(state(child.id), "revoked");
    assert_string_equal(state(grandchild.id), "revoked");
    assert_string_equal(state(other.id), "active");
}

static void a_key_that_renews_itself_gains_no_time(void **s)
{
    (void)s;
    struct api_key parent = make("parent", RIGHT_ASK | RIGHT_KEYS, 10), next, child;
    const char    *secret = NULL;
    act_as_key(&parent);
    child = make("child", RIGHT_ASK, 0);
    assert_ok(&c, api_key_rotate(&c, parent.id, 0, &next, &secret));
    assert_true(next.expires_ms <= parent.expires_ms);
    assert_string_equal(next.created_by, parent.id);
    assert_string_equal(load(child.id).created_by, next.id);
    /* What is left of the first one makes no more. */
    assert_ok(&c, api_key_revoke(&c, next.id));
    assert_string_equal(state(child.id), "revoked");
}

static void a_key_of_another_creator_is_not_there(void **s)
{
    (void)s;
    struct api_key k = make("mine", RIGHT_ASK, 0), next, *list = NULL;
    const char    *secret = NULL;
    int            n = -1;
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "b"));
    assert_ok(&c, api_key_list(&c, &list, &n));
    assert_int_equal(n, 0);
    assert_int_equal(api_key_rotate(&c, k.id, 0, &next, &secret), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(api_key_revoke(&c, k.id), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(api_key_revoke(&c, "' OR '1'='1"), ERR_NOT_FOUND);
    call_forgive(&c);
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "a"));
    assert_string_equal(state(k.id), "active");
}

static void a_name_is_kept_as_written_or_refused(void **s)
{
    (void)s;
    struct api_key k;
    const char    *secret = NULL;
    assert_string_equal(make("שרת \xf0\x9f\x94\x91 <b>'; DROP TABLE api_key;--", RIGHT_ASK, 0).name, "שרת \xf0\x9f\x94\x91 <b>'; DROP TABLE api_key;--");
    static const char *const bad[] = { "", "  ", "a\nb", "a\xe2\x80\xaez" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(api_key_make(&c, bad[i], RIGHT_ASK, 0, &k, &secret), ERR_INVALID);
        assert_string_equal(c.err_field, "name");
        call_forgive(&c);
    }
}

static void there_are_so_many_keys_and_no_more(void **s)
{
    (void)s;
    struct api_key k, *list = NULL;
    const char    *secret = NULL;
    int            n = 0;
    for (int i = 0; i < API_KEY_LIVE_MAX; i++) k = make("n", RIGHT_ASK, 0);
    assert_int_equal(api_key_make(&c, "n", RIGHT_ASK, 0, &k, &secret), ERR_CONFLICT);
    call_forgive(&c);
    assert_ok(&c, api_key_list(&c, &list, &n));
    assert_int_equal(n, API_KEY_LIVE_MAX);
    /* Renewing changes no count; ended ones are kept up to a bound. */
    assert_ok(&c, api_key_rotate(&c, list[0].id, 0, &k, &secret));
    for (int i = 0; i < API_KEY_ENDED_MAX + 20; i++) {
        assert_ok(&c, api_key_revoke(&c, k.id));
        k = make("n", RIGHT_ASK, 0);
    }
    assert_ok(&c, api_key_list(&c, &list, &n));
    assert_int_equal(n, API_KEY_LIVE_MAX + API_KEY_ENDED_MAX);
    assert_string_equal(api_key_state(&list[0], clock_unix_ms()), "active");
    assert_string_equal(api_key_state(&list[API_KEY_LIVE_MAX], clock_unix_ms()), "revoked");
}

struct racer {
    const char *id;
    enum err    e;
};

static void *race(void *arg)
{
    struct racer  *r = arg;
    struct call    own;
    struct api_key k;
    const char    *secret = NULL;
    call_init(&own);
    own.rights = ~0u;
    r->e = tenant_open(&own, "a");
    if (!r->e) r->e = api_key_rotate(&own, r->id, 0, &k, &secret);
    tenant_release(&own);
    call_dispose(&own);
    return NULL;
}

static void of_two_who_renew_a_key_at_once_one_does(void **s)
{
    (void)s;
    struct api_key *list = NULL;
    int             n = 0, won = 0;
    struct racer    r[8];
    pthread_t       t[8];
    const char     *id = make("raced", RIGHT_ASK, 0).id;
    for (int i = 0; i < 8; i++) {
        r[i] = (struct racer){ .id = id };
        assert_int_equal(pthread_create(&t[i], NULL, race, &r[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        assert_true(r[i].e == OK || r[i].e == ERR_CONFLICT);
        won += r[i].e == OK;
    }
    assert_int_equal(won, 1);
    assert_ok(&c, api_key_list(&c, &list, &n));
    assert_int_equal(n, 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_the_hash_and_the_first_characters_are_kept_CRE_016),
        TEST(nobody_gives_a_key_more_than_they_have),
        TEST(renewing_shows_a_secret_so_it_asks_for_all_the_key_may_do),
        TEST(a_renewed_key_follows_at_once_or_after_its_grace),
        TEST(keys_that_a_key_makes_end_with_it_and_no_later),
        TEST(a_key_that_renews_itself_gains_no_time),
        TEST(a_key_of_another_creator_is_not_there),
        TEST(a_name_is_kept_as_written_or_refused),
        TEST(there_are_so_many_keys_and_no_more),
        TEST(of_two_who_renew_a_key_at_once_one_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
