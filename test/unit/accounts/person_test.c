/* The people being coached: found by any part of what is known of them, one address per person, plans, and who was seen (CRE-018). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "../store/folder.h"
#undef fail
#include "accounts/creator_settings.h"
#include "store/erased.h"
#include "accounts/person.h"
#include "accounts/person_seen.h"
#include "accounts/person_store.h"
#include "accounts/visitor_store.h"
#include "base/log.h"
#include "store/db.h"
#include "store/kv_memory.h"
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
    assert_ok(&c, tenant_create(&c, "t", "t", &created));
    assert_ok(&c, tenant_create(&c, "other", "other", &created));
    assert_ok(&c, tenant_open(&c, "t"));
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    tenant_release(&c);
    kv_close();
    store_close();
    folder_remove(dir);
    call_dispose(&c);
    return 0;
}

static struct person put(const char *id, const char *name, const char *email)
{
    struct person p;
    bool          made = false;
    assert_ok(&c, person_put(&c, id, &(struct person){ .name = name, .email = email }, PERSON_NAME | PERSON_EMAIL, &p, &made));
    assert_true(made);
    return p;
}

static int found(const char *q)
{
    struct person *list = NULL;
    int            n = -1;
    int64_t        total = -1;
    assert_ok(&c, person_list(&c, q, 0, 50, &list, &n, &total));
    assert_int_equal(n, total);
    return n;
}

static void somebody_is_found_by_any_part_of_id_name_and_address(void **s)
{
    (void)s;
    put("u-1001", "José Ñandú", "jose@example.com");
    put("u-1002", "שלום כהן", NULL);
    put("weird", "50% of_ten \\ <b>'; DROP TABLE person;--", NULL);
    assert_int_equal(found(NULL), 3);
    assert_int_equal(found(""), 3);
    assert_int_equal(found("jose"), 1);
    assert_int_equal(found("ÑANDU"), 1);
    assert_int_equal(found("EXAMPLE.com"), 1);
    assert_int_equal(found("u-100"), 2);
    assert_int_equal(found("כהן"), 1);
    assert_int_equal(found("nobody"), 0);
    /* What means something in LIKE or SQL means itself. */
    assert_int_equal(found("%"), 1);
    assert_int_equal(found("_"), 1);
    assert_int_equal(found("\\"), 1);
    assert_int_equal(found("0% of_t"), 1);
    assert_int_equal(found("'; drop table"), 1);
    assert_int_equal(found("' OR '1'='1"), 0);
    /* Never across two facts. */
    assert_int_equal(found("1001jose"), 0);
}

static void pages_follow_each_other_newest_first(void **s)
{
    (void)s;
    struct person *list = NULL;
    int            n = 0;
    int64_t        total = 0;
    for (int i = 0; i < 5; i++) put(arena_printf(&c.mem, "u%d", i), "", NULL);
    assert_ok(&c, person_list(&c, NULL, 0, 2, &list, &n, &total));
    assert_int_equal(n, 2);
    assert_int_equal(total, 5);
    assert_string_equal(list[0].id, "u4");
    assert_ok(&c, person_list(&c, NULL, 4, 2, &list, &n, &total));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].id, "u0");
}

static void an_address_is_one_persons_until_they_give_it_up(void **s)
{
    (void)s;
    struct person p, q;
    assert_string_equal(put("a", "A", "Ann@Example.com").email, "ann@example.com");
    assert_int_equal(person_put(&c, "b", &(struct person){ .email = "ANN@example.com" }, PERSON_EMAIL, &p, NULL), ERR_CONFLICT);
    assert_string_equal(c.err_field, "email");
    call_forgive(&c);
    assert_int_equal(person_get(&c, "b", &p), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, person_of_email(&c, "ann@example.com", &q));
    assert_string_equal(q.id, "a");
    assert_ok(&c, person_put(&c, "a", &(struct person){ .email = NULL }, PERSON_EMAIL, &p, NULL));
    assert_null(p.email);
    assert_ok(&c, person_put(&c, "b", &(struct person){ .email = "ann@example.com" }, PERSON_EMAIL, &p, NULL));
    assert_ok(&c, person_of_email(&c, "ann@example.com", &q));
    assert_string_equal(q.id, "b");
}

static void what_is_not_named_stays(void **s)
{
    (void)s;
    struct person p;
    bool          made = true;
    put("a", "Ann", "a@x.io");
    assert_ok(&c, person_put(&c, "a", &(struct person){ .plan = "premium", .attributes = " {\"goal\": \"run\"} " }, PERSON_PLAN | PERSON_ATTRIBUTES,
                             &p, &made));
    assert_false(made);
    assert_string_equal(p.name, "Ann");
    assert_string_equal(p.email, "a@x.io");
    assert_string_equal(p.plan, "premium");
    assert_string_equal(p.attributes, "{\"goal\":\"run\"}");
}

static void wrong_fields_are_named(void **s)
{
    (void)s;
    struct person p;
    char          big[LIMIT_METADATA_BYTES + 64];
    struct {
        struct person p;
        unsigned      which;
        const char   *field;
    } bad[] = { { { .plan = "gold" }, PERSON_PLAN, "plan" },
                { { .attributes = "[1]" }, PERSON_ATTRIBUTES, "attributes" },
                { { .email = "no address" }, PERSON_EMAIL, "email" },
                { { .name = "a\x01z" }, PERSON_NAME, "name" },
                { { .attributes = big }, PERSON_ATTRIBUTES, "attributes" } };
    memset(big, ' ', sizeof big);
    memcpy(big, "{}", 2);
    big[sizeof big - 1] = '\0';
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(person_put(&c, "a", &bad[i].p, bad[i].which, &p, NULL), ERR_INVALID);
        assert_string_equal(c.err_field, bad[i].field);
        call_forgive(&c);
    }
    static const char *const ids[] = { "", ".", "../etc/passwd", "a/b", "a b", "-x", "\xd7\xa9" };
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        assert_int_equal(person_put(&c, ids[i], &(struct person){ 0 }, 0, &p, NULL), ERR_INVALID);
        call_forgive(&c);
        assert_int_equal(person_get(&c, ids[i], &p), ERR_NOT_FOUND);
        call_forgive(&c);
    }
    assert_int_equal(found(NULL), 0);
}

static void a_plan_is_known_at_once_when_it_changes(void **s)
{
    (void)s;
    struct person p;
    bool          premium = true;
    assert_ok(&c, person_plan(&c, "nobody", &premium));
    assert_false(premium);
    put("a", "", NULL);
    assert_ok(&c, person_plan(&c, "a", &premium));
    assert_false(premium);
    assert_ok(&c, person_put(&c, "a", &(struct person){ .plan = "premium" }, PERSON_PLAN, &p, NULL));
    assert_ok(&c, person_plan(&c, "a", &premium));
    assert_true(premium);
    /* Before a request's tenant is open, and in a creator that does not know them. */
    struct call q;
    call_init(&q);
    memcpy(q.creator_id, "t", 2);
    assert_ok(&q, person_plan(&q, "a", &premium));
    assert_true(premium);
    assert_null(q.tenant);
    memcpy(q.creator_id, "other", 6);
    assert_ok(&q, person_plan(&q, "a", &premium));
    assert_false(premium);
    memcpy(q.creator_id, "gone", 5);
    assert_ok(&q, person_plan(&q, "a", &premium));
    assert_false(premium);
    q.creator_id[0] = '\0';
    assert_ok(&q, person_plan(&q, "a", &premium));
    assert_false(premium);
    call_dispose(&q);
}

static void come(const char *user, const char *role, unsigned rights)
{
    snprintf(c.user_id, sizeof c.user_id, "%s", user);
    snprintf(c.role, sizeof c.role, "%s", role);
    c.rights = rights;
    person_seen(&c);
}

static void who_comes_is_known_from_then_on_but_not_who_works_here(void **s)
{
    (void)s;
    struct person p;
    assert_ok(&c, person_seen_open(&c));
    come("ext-1", "user", RIGHT_PUBLIC | RIGHT_ASK);
    come("ext-1", "user", RIGHT_PUBLIC | RIGHT_ASK);
    come("visitor_1", "visitor", RIGHT_PUBLIC | RIGHT_ASK);
    come("boss", "owner", ~0u);
    put("known", "Known", NULL);
    come("known", "user", RIGHT_PUBLIC | RIGHT_ASK);
    person_seen_flush();
    person_seen_close();
    assert_ok(&c, person_get(&c, "ext-1", &p));
    assert_string_equal(p.kind, "external");
    assert_true(p.seen_ms > 0);
    assert_ok(&c, person_get(&c, "visitor_1", &p));
    assert_string_equal(p.kind, "visitor");
    assert_ok(&c, person_get(&c, "known", &p));
    assert_string_equal(p.name, "Known");
    assert_true(p.seen_ms > 0);
    assert_int_equal(person_get(&c, "boss", &p), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(found(NULL), 3);
}

static void who_was_erased_or_claimed_does_not_come_back_by_being_seen(void **s)
{
    (void)s;
    struct person p;
    const char   *owner = NULL;
    struct conn  *w = NULL;
    assert_ok(&c, db_write(&c, tenant_db(c.tenant), &w));
    assert_ok(&c, erased_put_in(&c, w, "gone"));
    assert_ok(&c, db_commit(&c, &w));
    assert_ok(&c, visitor_claim_save(&c, "visitor_1", "ann", &owner));
    assert_string_equal(owner, "ann");
    assert_ok(&c, person_seen_open(&c));
    come("gone", "user", RIGHT_PUBLIC | RIGHT_ASK);
    come("visitor_1", "visitor", RIGHT_PUBLIC | RIGHT_ASK);
    come("bob", "user", RIGHT_PUBLIC | RIGHT_ASK);
    person_seen_flush();
    person_seen_close();
    assert_int_equal(person_get(&c, "gone", &p), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(person_get(&c, "visitor_1", &p), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, person_get(&c, "bob", &p));
}

static void a_visitor_is_claimed_once(void **s)
{
    (void)s;
    const char *owner = NULL;
    assert_ok(&c, visitor_claim_save(&c, "visitor_1", "ann", &owner));
    assert_string_equal(owner, "ann");
    assert_ok(&c, visitor_claim_save(&c, "visitor_1", "bob", &owner));
    assert_string_equal(owner, "ann");
    assert_ok(&c, visitor_claim_save(&c, "visitor_1", "ann", &owner));
    assert_string_equal(owner, "ann");
}

static void a_creators_door_is_shut_until_it_opens_it(void **s)
{
    (void)s;
    struct creator_settings a;
    assert_ok(&c, creator_settings_get(&c, &a));
    assert_string_equal(a.name, "t");
    assert_false(a.anonymous);
    assert_false(a.email_users);
    assert_string_equal(a.retention, "{}");
    assert_ok(&c, creator_anonymous_default(&c, true));
    assert_ok(&c, creator_settings_put(&c, &(struct creator_settings){ .name = " T 💪 ", .email_users = true }, CREATOR_NAME | CREATOR_EMAIL_USERS));
    assert_ok(&c, creator_settings_get(&c, &a));
    assert_string_equal(a.name, "T 💪");
    assert_true(a.anonymous);
    assert_true(a.email_users);
    /* Somebody decided: the default changes nothing. */
    assert_ok(&c, creator_settings_put(&c, &(struct creator_settings){ .anonymous = false }, CREATOR_ANONYMOUS));
    assert_ok(&c, creator_anonymous_default(&c, true));
    assert_ok(&c, creator_settings_get(&c, &a));
    assert_false(a.anonymous);
    assert_int_equal(creator_settings_put(&c, &(struct creator_settings){ .name = "  " }, CREATOR_NAME), ERR_INVALID);
    call_forgive(&c);
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "other"));
    assert_ok(&c, creator_settings_get(&c, &a));
    assert_string_equal(a.name, "other");
    assert_false(a.email_users);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(somebody_is_found_by_any_part_of_id_name_and_address),
        TEST(pages_follow_each_other_newest_first),
        TEST(an_address_is_one_persons_until_they_give_it_up),
        TEST(what_is_not_named_stays),
        TEST(wrong_fields_are_named),
        TEST(a_plan_is_known_at_once_when_it_changes),
        TEST(who_comes_is_known_from_then_on_but_not_who_works_here),
        TEST(who_was_erased_or_claimed_does_not_come_back_by_being_seen),
        TEST(a_visitor_is_claimed_once),
        TEST(a_creators_door_is_shut_until_it_opens_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
