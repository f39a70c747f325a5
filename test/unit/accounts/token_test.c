/* Who gets in: FIT-036 (HS256 by shared secret) and RAG-010 (whose user id one may use). */
/* SPDX-License-Identifier: MIT */
#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accounts/accounts.h"
#include "accounts/token.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>   /* last: its macro fail() is not ours */

#define KEY  "a secret of exactly the right size"
#define KEY2 "another secret that is long enough!"

static const struct setting *const tables[] = { accounts_settings, NULL };

static int begin(void **state)
{
    struct call *c = calloc(1, sizeof *c);
    assert_non_null(c);
    call_init(c);
    assert_int_equal(conf_load(c, tables, "/dev/null"), OK);
    assert_int_equal(token_key_set(c, KEY, strlen(KEY)), OK);
    *state = c;
    return 0;
}

static int end(void **state)
{
    token_key_wipe();
    conf_free();
    call_dispose(*state);
    free(*state);
    return 0;
}

static int64_t now_s(void)
{
    return clock_unix_ms() / 1000;
}

/* A token as another issuer would make it; claims is JSON. Caller frees. */
static char *issue(const char *claims, jwt_alg_t alg, const char *key)
{
    jwt_t *t = NULL;
    assert_int_equal(jwt_new(&t), 0);
    assert_int_equal(jwt_set_alg(t, alg, (const unsigned char *)key, key ? (int)strlen(key) : 0), 0);
    assert_int_equal(jwt_add_grants_json(t, claims), 0);
    char *text = jwt_encode_str(t);
    assert_non_null(text);
    jwt_free(t);
    return text;
}

static enum err check_claims(struct call *c, const char *claims)
{
    char *text = issue(claims, JWT_ALG_HS256, KEY);
    call_forgive(c);
    enum err e = token_check(c, text, now_s());
    free(text);
    return e;
}

static const char *claims_with(struct call *c, const char *more, int64_t exp_in)
{
    return arena_printf(&c->mem, "{\"sub\":\"u1\",\"exp\":%lld%s}", (long long)(now_s() + exp_in), more);
}

static void a_token_made_here_names_its_user_creator_and_rights_FIT_036(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "demo", "ann", "user", 1, &token), OK);
    const char *header = arena_printf(&c->mem, "Bearer %s", token);
    assert_int_equal(token_authenticate(c, &(struct credential){ .authorization = header }), OK);
    assert_string_equal(c->user_id, "ann");
    assert_string_equal(c->creator_id, "demo");
    assert_int_equal(c->rights, RIGHT_PUBLIC | RIGHT_ASK);
}

static void an_owner_has_every_right_and_a_service_all_but_admin(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "demo", NULL, "owner", 1, &token), OK);
    assert_int_equal(token_check(c, token, now_s()), OK);
    assert_true(c->rights & RIGHT_ADMIN);
    assert_true(c->rights & RIGHT_WRITE);
    assert_int_equal(token_make(c, "demo", NULL, "service", 1, &token), OK);
    assert_int_equal(token_check(c, token, now_s()), OK);
    assert_true(c->rights & RIGHT_ACT_AS);
    assert_false(c->rights & RIGHT_ADMIN);
    assert_string_equal(c->user_id, "");
}

static void a_token_lives_24_hours_unless_told_otherwise_FIT_036(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "demo", "ann", "user", 0, &token), OK);
    assert_int_equal(token_check(c, token, now_s() + 24 * 3600 - 60), OK);
    assert_int_equal(token_check(c, token, now_s() + 24 * 3600 + 60), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token has expired");
}

static void no_credential_is_no_error_and_gives_public_rights_only(void **state)
{
    struct call *c = *state;
    assert_int_equal(token_authenticate(c, &(struct credential){ 0 }), OK);
    assert_int_equal(c->rights, RIGHT_PUBLIC);
    assert_int_equal(token_authenticate(c, &(struct credential){ .authorization = "Basic dTpw" }), ERR_UNAUTHENTICATED);
}

static void a_token_of_another_issuer_with_the_same_secret_is_a_user_without_creator_FIT_036(void **state)
{
    struct call *c = *state;
    assert_int_equal(check_claims(c, claims_with(c, ",\"email\":\"x@y.z\",\"n\":1.5", 600)), OK);
    assert_string_equal(c->user_id, "u1");
    assert_string_equal(c->creator_id, "");
    assert_int_equal(c->rights, RIGHT_PUBLIC | RIGHT_ASK);
}

static void another_secret_is_refused_FIT_036(void **state)
{
    struct call *c = *state;
    char        *text = issue(claims_with(c, "", 600), JWT_ALG_HS256, KEY2);
    assert_int_equal(token_check(c, text, now_s()), ERR_UNAUTHENTICATED);
    assert_string_equal(c->err_text, "the token is not valid");
    free(text);
}

static void algorithm_none_and_other_hmacs_are_refused_though_the_key_is_right(void **state)
{
    struct call    *c = *state;
    const jwt_alg_t others[] = { JWT_ALG_HS384, JWT_ALG_HS512 };
    for (size_t i = 0; i < 2; i++) {
        char *text = issue(claims_with(c, "", 600), others[i], KEY);
        call_forgive(c);
        assert_int_equal(token_check(c, text, now_s()), ERR_UNAUTHENTICATED);
        free(text);
    }
    char *none = issue(claims_with(c, "", 600), JWT_ALG_NONE, NULL);
    call_forgive(c);
    assert_int_equal(token_check(c, none, now_s()), ERR_UNAUTHENTICATED);
    /* The same with some signature behind the last dot. */
    const char *forged = arena_printf(&c->mem, "%s%sAAAA", none, none[strlen(none) - 1] == '.' ? "" : ".");
    call_forgive(c);
    assert_int_equal(token_check(c, forged, now_s()), ERR_UNAUTHENTICATED);
    free(none);
}

static void every_changed_byte_of_a_token_makes_it_invalid(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "demo", "ann", "user", 1, &token), OK);
    char  *copy = arena_strdup(&c->mem, token);
    size_t n = strlen(copy);
    /* The last character of a part carries bits that base64 ignores; all the others count. */
    for (size_t i = 0; i + 1 < n; i++) {
        if (copy[i + 1] == '.') continue;
        char was = copy[i];
        copy[i] = was == 'A' ? 'B' : 'A';
        call_forgive(c);
        if (token_check(c, copy, now_s()) == OK) fail_msg("byte %zu of %s may be changed", i, token);
        copy[i] = was;
    }
    call_forgive(c);
    assert_int_equal(token_check(c, copy, now_s()), OK);
}

static void what_is_no_token_is_refused(void **state)
{
    struct call *c = *state;
    char         long_one[20000];
    memset(long_one, 'a', sizeof long_one);
    long_one[sizeof long_one - 1] = 0;
    long_one[5] = long_one[10] = '.';
    const char *const wrong[] = { "", ".", "..", "...", "a.b", "a.b.c", "a..c", ".b.c", "a.b.", "a.b.c.d", "e30.e30.e30", "a b.c.d", long_one };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        call_forgive(c);
        assert_int_equal(token_check(c, wrong[i], now_s()), ERR_UNAUTHENTICATED);
    }
}

static void times_are_checked_with_thirty_seconds_of_patience(void **state)
{
    struct call *c = *state;
    assert_int_equal(check_claims(c, claims_with(c, "", -20)), OK);
    assert_int_equal(check_claims(c, claims_with(c, "", -40)), ERR_UNAUTHENTICATED);
    const char *soon = arena_printf(&c->mem, ",\"nbf\":%lld", (long long)now_s() + 20);
    const char *later = arena_printf(&c->mem, ",\"nbf\":%lld", (long long)now_s() + 60);
    const char *future = arena_printf(&c->mem, ",\"iat\":%lld", (long long)now_s() + 60);
    assert_int_equal(check_claims(c, claims_with(c, soon, 600)), OK);
    assert_int_equal(check_claims(c, claims_with(c, later, 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, future, 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, "{\"sub\":\"u1\"}"), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, "{\"sub\":\"u1\",\"exp\":\"tomorrow\"}"), ERR_UNAUTHENTICATED);
    /* Without exp it lives JWT_EXPIRATION_HOURS from iat. */
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":\"u1\",\"iat\":%lld}", (long long)now_s() - 3600)), OK);
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":\"u1\",\"iat\":%lld}", (long long)now_s() - 25 * 3600)), ERR_UNAUTHENTICATED);
}

static void claims_of_a_wrong_kind_are_refused(void **state)
{
    struct call *c = *state;
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"role\":\"root\"", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"role\":7", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"creator\":\"../x\"", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, claims_with(c, ",\"creator\":[]", 600)), ERR_UNAUTHENTICATED);
    assert_int_equal(check_claims(c, arena_printf(&c->mem, "{\"sub\":42,\"exp\":%lld}", (long long)now_s() + 60)), ERR_UNAUTHENTICATED);
}

static void token_make_refuses_bad_ids_and_roles(void **state)
{
    struct call *c = *state;
    const char  *token = NULL;
    assert_int_equal(token_make(c, "../x", "ann", "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", "a b", "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", NULL, "user", 1, &token), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(token_make(c, "demo", "ann", "king", 1, &token), ERR_INVALID);
    assert_null(token);
}

static void a_short_secret_is_refused_FIT_036(void **state)
{
    struct call *c = *state;
    assert_int_equal(token_key_set(c, "short", 5), ERR_INVALID);
    assert_string_equal(c->err_field, "JWT_SECRET_KEY");
}

static void a_user_speaks_for_itself_only_and_a_service_for_anyone_RAG_010(void **state)
{
    struct call *c = *state;
    const char  *user = NULL;
    c->rights = RIGHT_PUBLIC | RIGHT_ASK;
    strcpy(c->user_id, "ann");
    assert_int_equal(user_check(c, "user_id", "ann", &user), OK);
    assert_string_equal(user, "ann");
    user = NULL;
    assert_int_equal(user_check(c, "user_id", "bob", &user), ERR_FORBIDDEN);
    assert_null(user);
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", "", &user), ERR_INVALID);
    assert_string_equal(c->err_field, "user_id");
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", NULL, &user), ERR_INVALID);
    call_forgive(c);
    assert_int_equal(user_check(c, "user_id", "a/b", &user), ERR_INVALID);
    call_forgive(c);
    c->rights = RIGHT_ACT_AS;
    assert_int_equal(user_check(c, "user_id", "bob", &user), OK);
    assert_string_equal(user, "bob");
}

static void a_caller_without_user_id_speaks_for_nobody_RAG_010(void **state)
{
    struct call *c = *state;
    const char  *user = NULL;
    c->rights = RIGHT_PUBLIC | RIGHT_ASK;
    assert_int_equal(user_check(c, "user_id", "ann", &user), ERR_FORBIDDEN);
}

static void what_is_derived_from_the_key_changes_with_purpose_text_and_key(void **state)
{
    struct call *c = *state;
    const char  *one = token_derive(c, "p", "t");
    assert_string_equal(one, token_derive(c, "p", "t"));
    assert_string_not_equal(one, token_derive(c, "q", "t"));
    assert_string_not_equal(one, token_derive(c, "p", "u"));
    assert_int_equal(token_key_set(c, KEY2, strlen(KEY2)), OK);
    assert_string_not_equal(one, token_derive(c, "p", "t"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_token_made_here_names_its_user_creator_and_rights_FIT_036),
        T(an_owner_has_every_right_and_a_service_all_but_admin),
        T(a_token_lives_24_hours_unless_told_otherwise_FIT_036),
        T(no_credential_is_no_error_and_gives_public_rights_only),
        T(a_token_of_another_issuer_with_the_same_secret_is_a_user_without_creator_FIT_036),
        T(another_secret_is_refused_FIT_036),
        T(algorithm_none_and_other_hmacs_are_refused_though_the_key_is_right),
        T(every_changed_byte_of_a_token_makes_it_invalid),
        T(what_is_no_token_is_refused),
        T(times_are_checked_with_thirty_seconds_of_patience),
        T(claims_of_a_wrong_kind_are_refused),
        T(token_make_refuses_bad_ids_and_roles),
        T(a_short_secret_is_refused_FIT_036),
        T(a_user_speaks_for_itself_only_and_a_service_for_anyone_RAG_010),
        T(a_caller_without_user_id_speaks_for_nobody_RAG_010),
        T(what_is_derived_from_the_key_changes_with_purpose_text_and_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
