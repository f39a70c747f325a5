/* Sign-ins: refresh tokens that are good once (CRE-011), what is revoked ends at once, and rights as they are now (CRE-012). */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../store/folder.h"
#include "accounts/access_change.h"
#include "accounts/accounts.h"
#include "accounts/audit.h"
#include "accounts/key_used.h"
#include "accounts/session.h"
#include "accounts/signing.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/log.h"
#include "store/db.h"
#include "store/store.h"

static const struct setting *const tables[] = { accounts_settings, store_settings, NULL };
static char        dir[64];
static struct call c;

/* One change of accounts.db, as another part would make it. */
#define sql(...)                                                  \
    do {                                                          \
        struct conn *w_ = NULL;                                   \
        assert_ok(&c, db_write(&c, store_accounts(), &w_));       \
        assert_ok(&c, db_run(&c, w_, __VA_ARGS__));               \
        assert_ok(&c, db_commit(&c, &w_));                        \
        assert_ok(&c, access_changed(&c));                        \
    } while (0)

static int setup(void **s)
{
    (void)s;
    bool created;
    call_init(&c);
    log_open(LOG_ERROR + 1, 1);
    setenv("JWT_SECRET_KEY", "a secret for tests, long enough for it", 1);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, store_open(&c, folder_new(dir)));
    assert_ok(&c, tenant_create(&c, "one", "One", &created));
    assert_ok(&c, tenant_create(&c, "two", "Two", &created));
    assert_ok(&c, accounts_open(&c));
    sql("INSERT INTO account(id, email, created_ms, updated_ms) VALUES ('acc_1', 'a@example.org', 1, 1)");
    sql("INSERT INTO member(creator_id, account_id, role, created_ms, updated_ms) VALUES ('one', 'acc_1', 'owner', 1, 1)");
    sql("INSERT INTO member(creator_id, account_id, role, created_ms, updated_ms) VALUES ('two', 'acc_1', 'analyst', 1, 1)");
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    call_forgive(&c);
    accounts_close();
    store_close();
    folder_remove(dir);
    conf_free();
    call_dispose(&c);
    unsetenv("JWT_SECRET_KEY");
    return 0;
}

static enum err present_to(struct call *k, const char *token, const char *as_user)
{
    call_forgive(k);
    k->rights = 0;
    k->user_id[0] = k->creator_id[0] = k->account_id[0] = k->session_id[0] = k->key_id[0] = k->role[0] = '\0';
    return authenticate(k, &(struct credential){ .authorization = arena_printf(&k->mem, "Bearer %s", token), .as_user = as_user });
}

static enum err present(const char *token)
{
    return present_to(&c, token, NULL);
}

static struct session_tokens member_session(void)
{
    struct session_tokens t;
    assert_ok(&c, session_begin(&c, &(struct session_who){ .kind = "member", .creator_id = "one", .account_id = "acc_1", .role = "owner",
                                                           .agent = "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0" }, &t));
    return t;
}

static struct session_tokens user_session(const char *user)
{
    struct session_tokens t;
    assert_ok(&c, session_begin(&c, &(struct session_who){ .kind = "user", .creator_id = "one", .user_id = user, .role = "user" }, &t));
    return t;
}

/* ---- what a session opens ---- */

static void a_members_token_gives_the_rights_of_the_membership_CRE_012(void **s)
{
    (void)s;
    struct session_tokens t = member_session();
    assert_ok(&c, present(t.access));
    assert_string_equal(c.account_id, "acc_1");
    assert_string_equal(c.user_id, "");
    assert_string_equal(c.creator_id, "one");
    assert_string_equal(c.session_id, t.session_id);
    assert_string_equal(c.role, "owner");
    assert_true(c.rights & RIGHT_OWN);
    assert_int_equal(t.expires_in_s, 900);
    assert_int_equal(t.refresh_expires_in_s, 2592000);
}

static void a_role_that_changes_counts_at_once_whatever_the_token_says_CRE_012(void **s)
{
    (void)s;
    struct session_tokens t = member_session();
    assert_ok(&c, present(t.access));
    sql("UPDATE member SET role = 'analyst' WHERE creator_id = 'one'");
    assert_ok(&c, present(t.access));
    assert_string_equal(c.role, "analyst");
    assert_false(c.rights & (RIGHT_WRITE | RIGHT_OWN | RIGHT_ADMIN));
    assert_true(c.rights & RIGHT_READ);
    sql("DELETE FROM member WHERE creator_id = 'one'");
    assert_ok(&c, present(t.access));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_SELF);
    assert_string_equal(c.creator_id, "");
    sql("INSERT INTO member(creator_id, account_id, role, created_ms, updated_ms) VALUES ('one', 'acc_1', 'owner', 1, 1)");
    assert_ok(&c, present(t.access));
    assert_string_equal(c.creator_id, "one");
    assert_true(c.rights & RIGHT_OWN);
}

static void a_creators_own_role_gives_what_it_holds_and_never_the_whole_creator_CRE_012(void **s)
{
    (void)s;
    struct session_tokens t = member_session();
    sql("INSERT INTO role(creator_id, name, permissions, created_ms, updated_ms) VALUES"
        " ('one', 'reader', '[\"ask\",\"creator:own\",\"no:such\",7]', 1, 1)");
    sql("UPDATE member SET role = 'reader' WHERE creator_id = 'one'");
    assert_ok(&c, present(t.access));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF);
    sql("UPDATE role SET permissions = '[\"ask\",\"documents:write\"]'");
    assert_ok(&c, present(t.access));
    assert_true(c.rights & RIGHT_WRITE);
    sql("DELETE FROM role");
    assert_ok(&c, present(t.access));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_SELF);
}

static void a_disabled_account_is_refused_and_cannot_refresh(void **s)
{
    (void)s;
    struct session_tokens t = member_session(), next;
    sql("UPDATE account SET state = 'disabled'");
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_int_equal(session_refresh(&c, t.refresh, NULL, &next), ERR_UNAUTHENTICATED);
    sql("UPDATE account SET state = 'active'");
    assert_ok(&c, present(t.access));
}

static void an_account_without_creators_has_only_its_own_things(void **s)
{
    (void)s;
    struct session_tokens t;
    assert_ok(&c, session_begin(&c, &(struct session_who){ .kind = "member", .account_id = "acc_1" }, &t));
    assert_ok(&c, present(t.access));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_SELF);
    assert_string_equal(c.account_id, "acc_1");
    assert_null(t.who.creator_id);
    assert_ok(&c, session_refresh(&c, t.refresh, "one", &t));
    assert_ok(&c, present(t.access));
    assert_string_equal(c.creator_id, "one");
}

static void a_user_of_a_creator_that_is_gone_is_refused(void **s)
{
    (void)s;
    struct session_tokens t = user_session("ann");
    assert_ok(&c, present(t.access));
    assert_string_equal(c.user_id, "ann");
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_SELF);
    sql("DELETE FROM creator WHERE id = 'one'");
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
}

/* ---- refreshing ---- */

static void each_refresh_gives_the_next_pair_and_keeps_the_session_CRE_011(void **s)
{
    (void)s;
    struct session_tokens t = member_session(), next;
    for (int i = 0; i < 3; i++) {
        assert_ok(&c, session_refresh(&c, t.refresh, NULL, &next));
        assert_string_equal(next.session_id, t.session_id);
        assert_string_not_equal(next.refresh, t.refresh);
        assert_string_not_equal(next.access, t.access);
        assert_ok(&c, present(next.access));
        t = next;
    }
}

static void a_refresh_token_used_twice_ends_its_family_and_is_logged_CRE_011(void **s)
{
    (void)s;
    struct session_tokens t = member_session(), next, third;
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &next));
    assert_ok(&c, present(next.access));
    assert_int_equal(session_refresh(&c, t.refresh, NULL, &third), ERR_UNAUTHENTICATED);
    /* Thief or not: nobody of the family comes in again. */
    assert_int_equal(present(next.access), ERR_UNAUTHENTICATED);
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_int_equal(session_refresh(&c, next.refresh, NULL, &third), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    struct audit_row *rows = NULL;
    int               n = 0;
    int64_t           more = 0;
    assert_ok(&c, audit_list(&c, true, &(struct audit_filter){ .action = "session.reused" }, &rows, &n, &more));
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].target, t.session_id);
    assert_string_equal(rows[0].outcome, "refused");
}

static void another_family_is_not_touched_by_a_reuse(void **s)
{
    (void)s;
    struct session_tokens t = member_session(), other = member_session(), next;
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &next));
    assert_int_equal(session_refresh(&c, t.refresh, NULL, &next), ERR_UNAUTHENTICATED);
    assert_ok(&c, present(other.access));
    assert_ok(&c, session_refresh(&c, other.refresh, NULL, &next));
}

struct racer {
    const char      *refresh;
    pthread_barrier_t *go;
    enum err         e;
};

static void *race(void *arg)
{
    struct racer         *r = arg;
    struct call           k;
    struct session_tokens t;
    call_init(&k);
    pthread_barrier_wait(r->go);
    r->e = session_refresh(&k, r->refresh, NULL, &t);
    call_dispose(&k);
    return NULL;
}

static void of_refreshes_at_once_exactly_one_wins_CRE_011(void **s)
{
    (void)s;
    enum { AT_ONCE = 8, ROUNDS = 5 };
    for (int round = 0; round < ROUNDS; round++) {
        struct session_tokens t = member_session();
        pthread_barrier_t     go;
        pthread_t             threads[AT_ONCE];
        struct racer          racers[AT_ONCE];
        int                   won = 0;
        pthread_barrier_init(&go, NULL, AT_ONCE);
        for (int i = 0; i < AT_ONCE; i++) {
            racers[i] = (struct racer){ t.refresh, &go, OK };
            assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
        }
        for (int i = 0; i < AT_ONCE; i++) {
            pthread_join(threads[i], NULL);
            if (racers[i].e == OK) won++;
            else assert_int_equal(racers[i].e, ERR_UNAUTHENTICATED);
        }
        pthread_barrier_destroy(&go);
        assert_int_equal(won, 1);
        assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    }
}

static void a_refresh_reads_the_membership_anew_and_may_change_the_creator(void **s)
{
    (void)s;
    struct session_tokens t = member_session();
    assert_ok(&c, session_refresh(&c, t.refresh, "two", &t));
    assert_string_equal(t.who.creator_id, "two");
    assert_string_equal(t.who.role, "analyst");
    assert_ok(&c, present(t.access));
    assert_string_equal(c.creator_id, "two");
    /* Asking for a stranger's creator spends nothing and tells nothing. */
    struct session_tokens next;
    assert_int_equal(session_refresh(&c, t.refresh, "three", &next), ERR_NOT_FOUND);
    call_forgive(&c);
    sql("DELETE FROM member WHERE creator_id = 'one'");
    assert_int_equal(session_refresh(&c, t.refresh, "one", &next), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &t));
    sql("DELETE FROM member WHERE creator_id = 'two'");
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &t));
    assert_null(t.who.creator_id);
}

static void what_is_no_refresh_token_of_ours_is_refused(void **s)
{
    (void)s;
    struct session_tokens t = member_session(), next;
    const char *const wrong[] = { "", "x", "a.b.c", t.access, arena_printf(&c.mem, "%sA", t.refresh),
                                  arena_printf(&c.mem, "%.*s", (int)strlen(t.refresh) - 1, t.refresh) };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(session_refresh(&c, wrong[i], NULL, &next), ERR_UNAUTHENTICATED);
        call_forgive(&c);
    }
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &next));
}

static void a_session_for_one_token_has_no_refresh_token(void **s)
{
    (void)s;
    struct session_tokens t;
    assert_ok(&c, session_begin(&c, &(struct session_who){ .kind = "user", .creator_id = "one", .user_id = "ann", .role = "user", .access_s = 7200,
                                                           .once = true }, &t));
    assert_null(t.refresh);
    assert_int_equal(t.expires_in_s, 7200);
    assert_ok(&c, present(t.access));
    call_forgive(&c);
    const char *header = arena_printf(&c.mem, "Bearer %s", t.access);
    assert_ok(&c, authenticate_at(&c, &(struct credential){ .authorization = header }, clock_unix_ms() + 7190 * 1000));
    assert_int_equal(authenticate_at(&c, &(struct credential){ .authorization = header }, clock_unix_ms() + 7240 * 1000), ERR_UNAUTHENTICATED);
}

/* ---- ending ---- */

static void a_session_that_ends_takes_its_access_token_along_at_once_CRE_011(void **s)
{
    (void)s;
    struct session_tokens t = user_session("ann"), other = user_session("ann"), next;
    assert_ok(&c, present(t.access));
    assert_ok(&c, session_end(&c, t.session_id, "signed out"));
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_int_equal(session_refresh(&c, t.refresh, NULL, &next), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_ok(&c, present(other.access));
    assert_ok(&c, session_end(&c, t.session_id, "signed out"));
    assert_ok(&c, session_end(&c, "ses_nobody", "signed out"));
}

static void all_sessions_of_somebody_end_but_the_one_kept(void **s)
{
    (void)s;
    int                   n = 0;
    struct session_tokens a = member_session(), b = member_session(), u = user_session("ann"), v = user_session("bob");
    assert_ok(&c, session_end_account(&c, "acc_1", a.session_id, "password", &n));
    assert_int_equal(n, 1);
    assert_ok(&c, present(a.access));
    assert_int_equal(present(b.access), ERR_UNAUTHENTICATED);
    assert_ok(&c, session_end_user(&c, "two", "ann", "erased", &n));
    assert_int_equal(n, 0);
    assert_ok(&c, session_end_user(&c, "one", "ann", "erased", &n));
    assert_int_equal(n, 1);
    assert_int_equal(present(u.access), ERR_UNAUTHENTICATED);
    assert_ok(&c, present(v.access));
    assert_ok(&c, session_end_creator(&c, "one", "erased", &n));
    assert_int_equal(n, 2);
    assert_int_equal(present(v.access), ERR_UNAUTHENTICATED);
}

static void somebody_sees_and_ends_only_their_own_sessions(void **s)
{
    (void)s;
    struct session_seen  *list = NULL;
    int                   n = 0;
    memcpy(c.remote, "203.0.113.77", 13);
    struct session_tokens a = member_session(), u = user_session("ann"), v = user_session("bob");
    assert_ok(&c, session_list(&c, "acc_1", NULL, NULL, &list, &n));
    assert_int_equal(n, 1);
    assert_string_equal(list[0].id, a.session_id);
    assert_string_equal(list[0].address, "203.0.113.0/24");
    assert_string_equal(list[0].agent, "Firefox on Linux");
    assert_ok(&c, session_list(&c, NULL, "one", "ann", &list, &n));
    assert_int_equal(n, 1);
    assert_ok(&c, present(u.access));
    assert_int_equal(session_end_own(&c, v.session_id, "revoked"), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_int_equal(session_end_own(&c, a.session_id, "revoked"), ERR_NOT_FOUND);
    call_forgive(&c);
    assert_ok(&c, session_end_own(&c, u.session_id, "revoked"));
    assert_int_equal(present(u.access), ERR_UNAUTHENTICATED);
    call_forgive(&c);
    assert_ok(&c, present(v.access));
}

static void sessions_that_ended_long_ago_are_removed(void **s)
{
    (void)s;
    struct session_tokens a = user_session("ann"), b = user_session("bob"), d = user_session("dan");
    assert_ok(&c, session_end(&c, a.session_id, "signed out"));
    assert_ok(&c, session_end(&c, b.session_id, "signed out"));
    sql("UPDATE session SET expires_ms = expires_ms - ?i WHERE id = ?s", SESSION_KEPT_SECONDS * 1000LL + 1000, a.session_id);
    session_sweep(&c);
    struct conn *r = NULL;
    int64_t      left = 0;
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &left, "SELECT count(*) FROM session"));
    db_release(&r);
    assert_int_equal(left, 2);
    assert_ok(&c, present(d.access));
}

static void nobody_is_signed_in_at_more_places_than_the_limit(void **s)
{
    (void)s;
    struct session_tokens first = user_session("ann"), bob = user_session("bob"), last = first;
    struct session_seen  *list = NULL;
    int                   n = 0;
    assert_ok(&c, present(first.access));
    sql("UPDATE session SET used_ms = used_ms - 1000");
    for (int i = 0; i < LIMIT_SESSIONS_OPEN; i++) last = user_session("ann");
    assert_ok(&c, session_list(&c, NULL, "one", "ann", &list, &n));
    assert_int_equal(n, LIMIT_SESSIONS_OPEN);
    assert_int_equal(present(first.access), ERR_UNAUTHENTICATED);
    assert_ok(&c, present(last.access));
    assert_ok(&c, present(bob.access));
}

/* The child is another server on the same folder. */
static void what_another_process_ends_is_refused_here_within_a_second_CRE_011(void **s)
{
    (void)s;
    struct session_tokens t = user_session("ann");
    assert_ok(&c, present(t.access));
    const char *other = arena_printf(&c.mem, "%s", t.session_id);
    accounts_close();
    store_close();
    pid_t pid = fork();
    if (!pid) {
        struct call k;
        call_init(&k);
        usleep(300000);
        bool bad = store_open(&k, dir) || accounts_open(&k) || session_end(&k, other, "revoked");
        _exit(bad);
    }
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, accounts_open(&c));
    int64_t  begun = clock_mono_ms(), ended = 0, refused = 0;
    int      status = 0;
    while (!refused && clock_mono_ms() - begun < 10000) {
        if (!ended && waitpid(pid, &status, WNOHANG) == pid) ended = clock_mono_ms();
        if (present(t.access)) refused = clock_mono_ms();
        usleep(5000);
    }
    if (!ended) waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_true(refused > 0);
    assert_true(!ended || refused - ended < 1000);
}

/* The child is another program of the same folder, such as the verb that makes tokens. */
static void a_token_of_a_key_made_elsewhere_a_moment_ago_is_good_at_once(void **s)
{
    (void)s;
    struct session_tokens t = user_session("ann");
    int                   ends[2];
    accounts_close();
    store_close();
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (!pid) {
        struct call k;
        char        kid[SIGNING_KID_BYTES + 1];
        const char *token = NULL;
        call_init(&k);
        bool bad = store_open(&k, dir) || accounts_open(&k) || signing_rotate(&k, kid) || token_make(&k, "one", "bob", "user", 1, &token);
        _exit(bad || write(ends[1], token, strlen(token) + 1) < 0);
    }
    close(ends[1]);
    assert_ok(&c, store_open(&c, dir));
    assert_ok(&c, accounts_open(&c));
    char          text[4096] = "";
    struct pollfd wait = { .fd = ends[0], .events = POLLIN };
    /* Asked all the while, so that the next look is a quarter of a second away when the token comes. */
    for (int i = 0; i < 10000 && poll(&wait, 1, 1) == 0; i++) assert_ok(&c, present(t.access));
    assert_true(read(ends[0], text, sizeof text) > 100);
    assert_ok(&c, present(text));
    close(ends[0]);
    int status = 1;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

/* ---- keys (CRE-016) ---- */

#define KEY_TEXT "chk_0123456789012345678901234567890123456789abc"

static void key_add(const char *text, const char *scopes)
{
    char hash[65];
    sql("INSERT INTO api_key(id, creator_id, name, prefix, hash, scopes, created_ms) VALUES ('key_1', 'one', 'n', 'chk_0123', ?s, ?s, 1)",
        id_sha256_hex(text, strlen(text), hash), scopes);
}

static enum err with_key(const char *bearer, const char *header)
{
    call_forgive(&c);
    return authenticate(&c, &(struct credential){ .authorization = bearer, .api_key = header });
}

static void a_key_opens_its_creator_with_its_scopes_in_either_header_CRE_016(void **s)
{
    (void)s;
    key_add(KEY_TEXT, "[\"ask\",\"documents:read\",\"self\",\"creator:own\"]");
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    assert_string_equal(c.creator_id, "one");
    assert_string_equal(c.key_id, "key_1");
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ);
    assert_ok(&c, with_key("Bearer " KEY_TEXT, NULL));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_ASK | RIGHT_READ);
    assert_int_equal(with_key(NULL, "chk_0123456789012345678901234567890123456789abd"), ERR_UNAUTHENTICATED);
    assert_int_equal(with_key(NULL, "chk_"), ERR_UNAUTHENTICATED);
    assert_int_equal(with_key(NULL, ""), ERR_UNAUTHENTICATED);
    assert_int_equal(with_key(NULL, "' OR 1=1 --"), ERR_UNAUTHENTICATED);
}

static void a_key_ends_when_it_is_revoked_expires_or_its_grace_is_over_CRE_016(void **s)
{
    (void)s;
    key_add(KEY_TEXT, "[\"ask\"]");
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    sql("UPDATE api_key SET ended_ms = ?i", clock_unix_ms() + 300);
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    usleep(350000);
    assert_int_equal(with_key(NULL, KEY_TEXT), ERR_UNAUTHENTICATED);
    sql("UPDATE api_key SET ended_ms = NULL, expires_ms = ?i", clock_unix_ms() + 100000);
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    sql("UPDATE api_key SET expires_ms = 1");
    assert_int_equal(with_key(NULL, KEY_TEXT), ERR_UNAUTHENTICATED);
    sql("UPDATE api_key SET expires_ms = NULL, scopes = '[\"audit:read\"]'");
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    assert_int_equal(c.rights, RIGHT_PUBLIC | RIGHT_AUDIT);
    sql("UPDATE api_key SET ended_ms = 1");
    assert_int_equal(with_key(NULL, KEY_TEXT), ERR_UNAUTHENTICATED);
}

static void the_time_of_a_keys_last_use_is_written_later_CRE_016(void **s)
{
    (void)s;
    struct conn *r = NULL;
    int64_t      used = 0;
    key_add(KEY_TEXT, "[\"ask\"]");
    int64_t before = clock_unix_ms();
    assert_ok(&c, with_key(NULL, KEY_TEXT));
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &used, "SELECT used_ms FROM api_key"));
    db_release(&r);
    assert_int_equal(used, 0);
    assert_ok(&c, key_used_write(&c));
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &used, "SELECT used_ms FROM api_key"));
    db_release(&r);
    assert_true(used >= before);
}

static void a_key_may_speak_for_a_user_when_its_scopes_say_so_CRE_016(void **s)
{
    (void)s;
    key_add(KEY_TEXT, "[\"ask\",\"users:act_as\"]");
    assert_ok(&c, present_to(&c, KEY_TEXT, "ann"));
    assert_string_equal(c.user_id, "ann");
    assert_int_equal(present_to(&c, KEY_TEXT, "../ann"), ERR_INVALID);
    sql("UPDATE api_key SET scopes = '[\"ask\"]'");
    assert_int_equal(present_to(&c, KEY_TEXT, "ann"), ERR_FORBIDDEN);
    struct session_tokens u = user_session("ann"), m = member_session();
    assert_ok(&c, present_to(&c, u.access, "ann"));
    assert_true(c.rights & RIGHT_SELF);
    assert_int_equal(present_to(&c, u.access, "bob"), ERR_FORBIDDEN);
    /* An owner who speaks for a user does not get at their own account by it. */
    assert_ok(&c, present_to(&c, m.access, "ann"));
    assert_false(c.rights & RIGHT_SELF);
}

/* ---- signing keys ---- */

static void after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies_CRE_010(void **s)
{
    (void)s;
    char                  kid[SIGNING_KID_BYTES + 1];
    struct session_tokens t = user_session("ann"), next;
    struct signing_state *keys = NULL;
    int                   n = 0;
    assert_ok(&c, signing_rotate(&c, kid));
    assert_ok(&c, signing_list(&c, &keys, &n));
    assert_int_equal(n, 2);
    assert_string_equal(keys[0].kid, kid);
    assert_true(keys[0].signs && !keys[1].signs);
    assert_true(keys[1].gone_ms - keys[1].retired_ms >= SESSION_REFRESH_SECONDS * 1000LL);
    assert_ok(&c, present(t.access));
    assert_ok(&c, session_refresh(&c, t.refresh, NULL, &next));
    assert_ok(&c, present(next.access));
    /* Its time is over: what it signed is worth nothing, remembered or not. */
    sql("UPDATE signing_key SET gone_ms = 1 WHERE kid <> ?s", kid);
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    assert_ok(&c, present(next.access));
    accounts_close();
    assert_ok(&c, accounts_open(&c));
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    assert_ok(&c, present(next.access));
}

static void another_secret_opens_no_key_and_ends_every_token(void **s)
{
    (void)s;
    struct session_tokens t = user_session("ann");
    accounts_close();
    conf_free();
    setenv("JWT_SECRET_KEY", "quite another secret, long enough too", 1);
    assert_ok(&c, conf_load(&c, tables, "/dev/null"));
    assert_ok(&c, accounts_open(&c));
    assert_int_equal(present(t.access), ERR_UNAUTHENTICATED);
    struct session_tokens u = user_session("ann");
    assert_ok(&c, present(u.access));
}

static void the_private_half_is_nowhere_on_the_disk_in_clear_CRE_010(void **s)
{
    (void)s;
    struct conn          *r = NULL;
    struct signing_state *keys = NULL;
    int                   n = 0;
    int64_t               found = 0;
    assert_ok(&c, signing_list(&c, &keys, &n));
    assert_ok(&c, db_read(&c, store_accounts(), &r));
    assert_ok(&c, db_get_int(&c, r, 0, &found, "SELECT count(*) FROM signing_key WHERE instr(private_sealed, 'PRIVATE') > 0"));
    assert_int_equal(found, 0);
    assert_ok(&c, db_get_int(&c, r, 0, &found, "SELECT count(*) FROM signing_key WHERE instr(public_pem, 'PUBLIC KEY') > 0"));
    assert_int_equal(found, 1);
    db_release(&r);
}

/* ---- many at once ---- */

struct checker {
    const char   **tokens;
    int            n;
    atomic_bool   *stop;
    _Atomic long  *done, *bad;
};

static void *check_on(void *arg)
{
    struct checker *k = arg;
    struct call     mine;
    call_init(&mine);
    for (unsigned i = 0; !atomic_load(k->stop); i++) {
        enum err e = present_to(&mine, k->tokens[i % (unsigned)k->n], NULL);
        if (e && e != ERR_UNAUTHENTICATED) atomic_fetch_add(k->bad, 1);
        if (!e && strcmp(mine.user_id, arena_printf(&mine.mem, "user%u", i % (unsigned)k->n))) atomic_fetch_add(k->bad, 1);
        atomic_fetch_add(k->done, 1);
        if (i % 64 == 63) {
            call_dispose(&mine);
            call_init(&mine);
        }
    }
    call_dispose(&mine);
    return NULL;
}

static void checks_rotations_and_ends_go_on_side_by_side(void **s)
{
    (void)s;
    enum { TOKENS = 40, THREADS = 4 };
    const char    *tokens[TOKENS], *ids[TOKENS];
    pthread_t      threads[THREADS];
    atomic_bool    stop = false;
    _Atomic long   done = 0, bad = 0;
    struct checker k = { tokens, TOKENS, &stop, &done, &bad };
    for (int i = 0; i < TOKENS; i++) {
        struct session_tokens t = user_session(arena_printf(&c.mem, "user%d", i));
        tokens[i] = t.access;
        ids[i] = t.session_id;
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, check_on, &k), 0);
    char kid[SIGNING_KID_BYTES + 1];
    for (int i = 0; i < TOKENS / 2; i++) {
        assert_ok(&c, session_end(&c, ids[i], "revoked"));
        assert_int_equal(present(tokens[i]), ERR_UNAUTHENTICATED);
        call_forgive(&c);
        if (i % 7 == 0) assert_ok(&c, signing_rotate(&c, kid));
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(bad, 0);
    assert_true(done > 0);
    for (int i = 0; i < TOKENS; i++) assert_int_equal(present(tokens[i]), i < TOKENS / 2 ? ERR_UNAUTHENTICATED : OK);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_members_token_gives_the_rights_of_the_membership_CRE_012),
        T(a_role_that_changes_counts_at_once_whatever_the_token_says_CRE_012),
        T(a_creators_own_role_gives_what_it_holds_and_never_the_whole_creator_CRE_012),
        T(a_disabled_account_is_refused_and_cannot_refresh),
        T(an_account_without_creators_has_only_its_own_things),
        T(a_user_of_a_creator_that_is_gone_is_refused),
        T(each_refresh_gives_the_next_pair_and_keeps_the_session_CRE_011),
        T(a_refresh_token_used_twice_ends_its_family_and_is_logged_CRE_011),
        T(another_family_is_not_touched_by_a_reuse),
        T(of_refreshes_at_once_exactly_one_wins_CRE_011),
        T(a_refresh_reads_the_membership_anew_and_may_change_the_creator),
        T(what_is_no_refresh_token_of_ours_is_refused),
        T(a_session_for_one_token_has_no_refresh_token),
        T(a_session_that_ends_takes_its_access_token_along_at_once_CRE_011),
        T(all_sessions_of_somebody_end_but_the_one_kept),
        T(somebody_sees_and_ends_only_their_own_sessions),
        T(sessions_that_ended_long_ago_are_removed),
        T(nobody_is_signed_in_at_more_places_than_the_limit),
        T(what_another_process_ends_is_refused_here_within_a_second_CRE_011),
        T(a_token_of_a_key_made_elsewhere_a_moment_ago_is_good_at_once),
        T(a_key_opens_its_creator_with_its_scopes_in_either_header_CRE_016),
        T(a_key_ends_when_it_is_revoked_expires_or_its_grace_is_over_CRE_016),
        T(the_time_of_a_keys_last_use_is_written_later_CRE_016),
        T(a_key_may_speak_for_a_user_when_its_scopes_say_so_CRE_016),
        T(after_a_rotation_the_new_key_signs_and_the_old_one_still_verifies_CRE_010),
        T(another_secret_opens_no_key_and_ends_every_token),
        T(the_private_half_is_nowhere_on_the_disk_in_clear_CRE_010),
        T(checks_rotations_and_ends_go_on_side_by_side),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
