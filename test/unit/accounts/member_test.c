/* Members and roles: nobody rises by themselves, a creator keeps an owner, roles in use stay (CRE-012). */
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
#include "accounts/account.h"
#include "accounts/api_key.h"
#include "accounts/custom_role.h"
#include "accounts/mail.h"
#include "accounts/member.h"
#include "accounts/role.h"
#include "base/clock.h"
#include "base/conf.h"
#include "base/log.h"
#include "store/db.h"
#include "store/store.h"

static const struct setting *const tables[] = { mail_settings, account_settings, NULL };
static char        dir[64];
static struct call c;

static void sql(const char *id, const char *email, bool verified)
{
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, store_accounts(), &w));
    assert_ok(&c, db_run(&c, w, "INSERT INTO account(id, email, full_name, email_verified_ms, created_ms, updated_ms) VALUES (?s, ?s, ?s, ?i, 1, 1)", id,
                         email, id, (int64_t)1));
    if (!verified) assert_ok(&c, db_run(&c, w, "UPDATE account SET email_verified_ms = NULL WHERE id = ?s", id));
    assert_ok(&c, db_commit(&c, &w));
}

static void add(const char *email, const char *role)
{
    struct member_added m;
    assert_ok(&c, member_add(&c, email, role, NULL, &m));
    assert_false(m.invited);
    assert_string_equal(m.member.role, role);
}

/* As somebody with a built-in role, through an account of that name. */
static void act_as(const char *account_id, const char *role)
{
    snprintf(c.account_id, sizeof c.account_id, "%s", account_id);
    snprintf(c.role, sizeof c.role, "%s", role);
    c.rights = role_built_in(role);
}

static void sign_up(const char *how)
{
    conf_set("SIGNUP", how);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
}

static int setup(void **s)
{
    (void)s;
    bool created;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    sign_up("closed");
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "a", "a", &created));
    assert_ok(&c, tenant_create(&c, "b", "b", &created));
    assert_ok(&c, tenant_open(&c, "a"));
    sql("acc_owner", "owner@x.io", true);
    sql("acc_admin", "admin@x.io", true);
    sql("acc_ed", "ed@x.io", true);
    sql("acc_two", "two@x.io", false);
    act_as("", "owner");
    add("owner@x.io", "owner");
    act_as("acc_owner", "owner");
    add("Admin@X.io", "admin");
    add("ed@x.io", "editor");
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    tenant_release(&c);
    store_close();
    conf_free();
    folder_remove(dir);
    call_dispose(&c);
    return 0;
}

static const char *role_of_member(const char *account_id)
{
    struct member     *list = NULL;
    struct invitation *waiting = NULL;
    int                n = 0, k = 0;
    assert_ok(&c, member_list(&c, &list, &n, &waiting, &k));
    for (int i = 0; i < n; i++)
        if (!strcmp(list[i].account_id, account_id)) return list[i].role;
    return "none";
}

#define refused(err, expression)                       \
    do {                                               \
        assert_int_equal(expression, err);             \
        call_forgive(&c);                              \
    } while (0)

static void nobody_raises_themselves_or_touches_somebody_stronger(void **s)
{
    (void)s;
    struct member       m;
    struct member_added added;
    act_as("acc_admin", "admin");
    refused(ERR_FORBIDDEN, member_role(&c, "acc_admin", "owner", &m));
    refused(ERR_FORBIDDEN, member_role(&c, "acc_ed", "owner", &m));
    refused(ERR_FORBIDDEN, member_role(&c, "acc_owner", "editor", &m));
    refused(ERR_FORBIDDEN, member_remove(&c, "acc_owner", false));
    refused(ERR_FORBIDDEN, member_add(&c, "two@x.io", "owner", NULL, &added));
    assert_string_equal(role_of_member("acc_admin"), "admin");
    assert_string_equal(role_of_member("acc_owner"), "owner");
    /* An editor who was given members:write and nothing else of an admin's. */
    c.rights = role_built_in("editor") | RIGHT_MEMBERS;
    refused(ERR_FORBIDDEN, member_role(&c, "acc_ed", "admin", &m));
    refused(ERR_FORBIDDEN, member_role(&c, "acc_admin", "editor", &m));
    refused(ERR_FORBIDDEN, custom_role_put(&c, "mine", RIGHT_ASK | RIGHT_KEYS, NULL));
    assert_ok(&c, custom_role_put(&c, "mine", RIGHT_ASK | RIGHT_WRITE | RIGHT_MEMBERS, NULL));
    assert_ok(&c, member_role(&c, "acc_ed", "mine", &m));
}

static void taking_rights_out_of_a_role_is_deciding_about_them_too(void **s)
{
    (void)s;
    bool made = false;
    assert_ok(&c, custom_role_put(&c, "auditor", RIGHT_AUDIT, &made));
    assert_true(made);
    c.rights = RIGHT_ASK | RIGHT_MEMBERS;
    refused(ERR_FORBIDDEN, custom_role_put(&c, "auditor", RIGHT_ASK, NULL));
    refused(ERR_FORBIDDEN, custom_role_drop(&c, "auditor"));
    act_as("acc_owner", "owner");
    assert_ok(&c, custom_role_put(&c, "auditor", RIGHT_ASK, &made));
    assert_false(made);
    struct custom_role *list = NULL;
    int                 n = 0;
    assert_ok(&c, custom_role_list(&c, &list, &n));
    assert_int_equal(n, 1);
    assert_int_equal(list[0].rights, RIGHT_ASK | RIGHT_SELF);
}

static void names_of_roles_are_plain_and_built_in_ones_stay(void **s)
{
    (void)s;
    static const char *const bad[] = { "", "Owner", "a b", "-a", "9a", "a_b", "../x", "\xd7\xa9", "a234567890123456789012345678901234567890x" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refused(ERR_INVALID, custom_role_put(&c, bad[i], RIGHT_ASK, NULL));
    static const char *const built_in[] = { "owner", "admin", "editor", "analyst", "service", "user", "visitor" };
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        refused(ERR_CONFLICT, custom_role_put(&c, built_in[i], RIGHT_ASK, NULL));
        refused(ERR_CONFLICT, custom_role_drop(&c, built_in[i]));
    }
    refused(ERR_INVALID, custom_role_put(&c, "mine", RIGHT_OWN, NULL));
    refused(ERR_INVALID, custom_role_put(&c, "mine", RIGHT_PUBLIC, NULL));
    refused(ERR_NOT_FOUND, custom_role_drop(&c, "mine"));
}

static void a_role_somebody_has_or_is_invited_to_stays(void **s)
{
    (void)s;
    struct member       m;
    struct member_added added;
    assert_ok(&c, custom_role_put(&c, "uploader", RIGHT_ASK | RIGHT_WRITE, NULL));
    assert_ok(&c, member_role(&c, "acc_ed", "uploader", &m));
    refused(ERR_CONFLICT, custom_role_drop(&c, "uploader"));
    assert_ok(&c, member_add(&c, "new@x.io", "uploader", NULL, &added));
    assert_true(added.invited);
    assert_ok(&c, member_role(&c, "acc_ed", "editor", &m));
    refused(ERR_CONFLICT, custom_role_drop(&c, "uploader"));
    assert_ok(&c, invitation_remove(&c, added.invitation_id));
    refused(ERR_NOT_FOUND, invitation_remove(&c, added.invitation_id));
    assert_ok(&c, custom_role_drop(&c, "uploader"));
    refused(ERR_INVALID, member_role(&c, "acc_ed", "uploader", &m));
}

static void members_get_no_roles_of_programs_or_of_people_being_coached(void **s)
{
    (void)s;
    struct member            m;
    static const char *const bad[] = { "service", "user", "visitor", "nobody", "", "OWNER" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(member_role(&c, "acc_ed", bad[i], &m), ERR_INVALID);
        assert_string_equal(c.err_field, "role");
        call_forgive(&c);
    }
}

static void the_last_owner_stays(void **s)
{
    (void)s;
    struct member m;
    refused(ERR_CONFLICT, member_role(&c, "acc_owner", "admin", &m));
    refused(ERR_CONFLICT, member_remove(&c, "acc_owner", false));
    assert_ok(&c, member_role(&c, "acc_admin", "owner", &m));
    assert_ok(&c, member_role(&c, "acc_owner", "admin", &m));
    refused(ERR_CONFLICT, member_remove(&c, "acc_admin", false));
    /* One who cannot come in is no owner to count on. */
    act_as("acc_admin", "owner");
    assert_ok(&c, member_role(&c, "acc_owner", "owner", &m));
    struct conn *w = NULL;
    assert_ok(&c, db_write(&c, store_accounts(), &w));
    assert_ok(&c, db_run(&c, w, "UPDATE account SET state = 'disabled' WHERE id = 'acc_owner'"));
    assert_ok(&c, db_commit(&c, &w));
    refused(ERR_CONFLICT, member_role(&c, "acc_admin", "editor", &m));
}

struct racer {
    const char *from, *at;
    enum err    e;
};

static void *lower(void *arg)
{
    struct racer *r = arg;
    struct call   own;
    struct member m;
    call_init(&own);
    own.rights = role_built_in("owner");
    snprintf(own.account_id, sizeof own.account_id, "%s", r->from);
    r->e = tenant_open(&own, "a");
    if (!r->e) r->e = member_role(&own, r->at, "editor", &m);
    tenant_release(&own);
    call_dispose(&own);
    return NULL;
}

static void of_two_owners_who_lower_each_other_at_once_one_stays(void **s)
{
    (void)s;
    struct member m;
    for (int round = 0; round < 10; round++) {
        assert_ok(&c, member_role(&c, "acc_admin", "owner", &m));
        struct racer r[2] = { { "acc_owner", "acc_admin", OK }, { "acc_admin", "acc_owner", OK } };
        pthread_t    t[2];
        for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&t[i], NULL, lower, &r[i]), 0);
        for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
        int owners = !strcmp(role_of_member("acc_owner"), "owner") + !strcmp(role_of_member("acc_admin"), "owner");
        assert_int_equal(owners, 1);
        assert_int_equal((r[0].e == OK) + (r[1].e == OK), 1);
        assert_int_equal((r[0].e == ERR_CONFLICT) + (r[1].e == ERR_CONFLICT), 1);
        assert_ok(&c, member_role(&c, "acc_owner", "owner", &m));
    }
}

static void somebody_without_an_account_is_invited_once_at_a_time(void **s)
{
    (void)s;
    struct member_added one, two;
    struct member      *list = NULL;
    struct invitation  *waiting = NULL;
    int                 n = 0, k = 0;
    assert_ok(&c, member_add(&c, "New@X.io", "editor", NULL, &one));
    assert_true(one.invited);
    assert_string_equal(one.email, "new@x.io");
    assert_non_null(strstr(one.link, "/#/link="));
    assert_ok(&c, member_add(&c, "new@x.io", "analyst", NULL, &two));
    assert_ok(&c, member_list(&c, &list, &n, &waiting, &k));
    assert_int_equal(k, 1);
    assert_string_equal(waiting[0].role, "analyst");
    assert_string_equal(waiting[0].id, two.invitation_id);
    refused(ERR_CONFLICT, member_add(&c, "ed@x.io", "editor", NULL, &two));
    refused(ERR_INVALID, member_add(&c, "no address", "editor", NULL, &two));
    /* Without mails nothing could confirm an address: the account is taken as it is, and the list says so. */
    assert_ok(&c, member_add(&c, "two@x.io", "editor", NULL, &two));
    assert_false(two.invited);
    assert_false(two.member.email_verified);
}

static void where_anybody_signs_up_only_colleagues_are_taken_unasked(void **s)
{
    (void)s;
    struct member_added stranger, nobody, m;
    conf_free();
    sign_up("open");
    assert_ok(&c, member_add(&c, "two@x.io", "editor", NULL, &stranger));
    assert_ok(&c, member_add(&c, "nobody@x.io", "editor", NULL, &nobody));
    /* One who has an account and one who has none look the same. */
    assert_true(stranger.invited && nobody.invited);
    assert_int_equal(strlen(stranger.link), strlen(nobody.link));
    assert_string_equal(role_of_member("acc_two"), "none");
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "b"));
    assert_ok(&c, member_add(&c, "two@x.io", "editor", NULL, &m));
    assert_true(m.invited);
    assert_ok(&c, member_add(&c, "ed@x.io", "editor", NULL, &m));
    assert_false(m.invited);
    /* A key has no colleagues. */
    c.account_id[0] = '\0';
    assert_ok(&c, member_add(&c, "admin@x.io", "editor", NULL, &m));
    assert_true(m.invited);
}

static void invitations_go_with_the_one_who_made_them(void **s)
{
    (void)s;
    struct member_added m;
    struct member      *list = NULL;
    struct invitation  *waiting = NULL;
    struct api_key      key;
    const char         *secret = NULL;
    int                 n = 0, k = 0;
    act_as("acc_admin", "admin");
    assert_ok(&c, member_add(&c, "friend@x.io", "admin", NULL, &m));
    assert_ok(&c, api_key_make(&c, "mine", RIGHT_ASK, 0, &key, &secret));
    act_as("acc_owner", "owner");
    assert_ok(&c, member_add(&c, "other@x.io", "editor", NULL, &m));
    assert_ok(&c, member_remove(&c, "acc_admin", true));
    assert_ok(&c, member_list(&c, &list, &n, &waiting, &k));
    assert_int_equal(n, 2);
    assert_int_equal(k, 1);
    assert_string_equal(waiting[0].email, "other@x.io");
    struct api_key *keys = NULL;
    assert_ok(&c, api_key_list(&c, &keys, &n));
    assert_int_equal(n, 1);
    assert_string_equal(api_key_state(&keys[0], clock_unix_ms()), "revoked");
    refused(ERR_NOT_FOUND, member_remove(&c, "acc_admin", false));
}

static void everybody_may_leave_but_the_last_owner(void **s)
{
    (void)s;
    act_as("acc_ed", "editor");
    refused(ERR_FORBIDDEN, member_remove(&c, "acc_admin", false));
    refused(ERR_FORBIDDEN, member_remove(&c, "acc_none", false));
    assert_ok(&c, member_remove(&c, "acc_ed", false));
    assert_string_equal(role_of_member("acc_ed"), "none");
    act_as("acc_owner", "owner");
    refused(ERR_CONFLICT, member_remove(&c, "acc_owner", false));
    /* Somebody who is coached has no account to leave with. */
    act_as("", "user");
    refused(ERR_FORBIDDEN, member_remove(&c, "", false));
}

static void invitations_of_a_key_go_with_it(void **s)
{
    (void)s;
    struct member_added m;
    struct member      *list = NULL;
    struct invitation  *waiting = NULL;
    struct api_key      key, child;
    const char         *secret = NULL;
    int                 n = 0, k = 0;
    assert_ok(&c, api_key_make(&c, "hr", RIGHT_ASK | RIGHT_MEMBERS | RIGHT_KEYS, 0, &key, &secret));
    c.account_id[0] = '\0';
    c.rights = key.scopes;
    snprintf(c.key_id, sizeof c.key_id, "%s", key.id);
    assert_ok(&c, custom_role_put(&c, "asker", RIGHT_ASK, NULL));
    assert_ok(&c, member_add(&c, "one@x.io", "asker", NULL, &m));
    assert_ok(&c, api_key_make(&c, "child", RIGHT_ASK | RIGHT_MEMBERS, 0, &child, &secret));
    snprintf(c.key_id, sizeof c.key_id, "%s", child.id);
    assert_ok(&c, member_add(&c, "two2@x.io", "asker", NULL, &m));
    c.key_id[0] = '\0';
    act_as("acc_owner", "owner");
    assert_ok(&c, member_add(&c, "three@x.io", "asker", NULL, &m));
    assert_ok(&c, api_key_revoke(&c, key.id));
    assert_ok(&c, member_list(&c, &list, &n, &waiting, &k));
    assert_int_equal(k, 1);
    assert_string_equal(waiting[0].email, "three@x.io");
}

static void another_creators_members_roles_and_invitations_are_not_there(void **s)
{
    (void)s;
    struct member_added m;
    struct member       x;
    struct member      *list = NULL;
    struct invitation  *waiting = NULL;
    int                 n = -1, k = -1;
    assert_ok(&c, member_add(&c, "new@x.io", "editor", NULL, &m));
    assert_ok(&c, custom_role_put(&c, "mine", RIGHT_ASK, NULL));
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "b"));
    assert_ok(&c, member_list(&c, &list, &n, &waiting, &k));
    assert_int_equal(n + k, 0);
    refused(ERR_NOT_FOUND, member_role(&c, "acc_ed", "editor", &x));
    refused(ERR_NOT_FOUND, member_remove(&c, "acc_ed", true));
    refused(ERR_NOT_FOUND, invitation_remove(&c, m.invitation_id));
    refused(ERR_NOT_FOUND, custom_role_drop(&c, "mine"));
    refused(ERR_INVALID, member_add(&c, "ed@x.io", "mine", NULL, &m));
    /* The same account may work for both. */
    add("ed@x.io", "analyst");
    assert_string_equal(role_of_member("acc_ed"), "analyst");
    tenant_release(&c);
    assert_ok(&c, tenant_open(&c, "a"));
    assert_string_equal(role_of_member("acc_ed"), "editor");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_raises_themselves_or_touches_somebody_stronger),
        TEST(taking_rights_out_of_a_role_is_deciding_about_them_too),
        TEST(names_of_roles_are_plain_and_built_in_ones_stay),
        TEST(a_role_somebody_has_or_is_invited_to_stays),
        TEST(members_get_no_roles_of_programs_or_of_people_being_coached),
        TEST(the_last_owner_stays),
        TEST(of_two_owners_who_lower_each_other_at_once_one_stays),
        TEST(somebody_without_an_account_is_invited_once_at_a_time),
        TEST(where_anybody_signs_up_only_colleagues_are_taken_unasked),
        TEST(invitations_go_with_the_one_who_made_them),
        TEST(everybody_may_leave_but_the_last_owner),
        TEST(invitations_of_a_key_go_with_it),
        TEST(another_creators_members_roles_and_invitations_are_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
