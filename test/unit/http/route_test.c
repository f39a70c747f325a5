/* Tables of routes: what the build refuses, what wins, and the description made from them. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "http/route.h"

#include <cmocka.h>   /* its macro fail() is not ours */

static enum err nothing(struct req *r)
{
    (void)r;
    return OK;
}

static const char *refused(const struct route *row)
{
    static char words[400];
    struct route rows[3] = { row[0], row[1], { 0 } };
    const struct route *const tables[] = { rows, NULL };
    struct call c;
    call_init(&c);
    enum err e = http_check_tables(&c, tables);
    snprintf(words, sizeof words, "%s", e ? c.err_text : "");
    call_dispose(&c);
    return words;
}

static void a_table_with_a_hole_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct route row[2];
        const char  *words;
    } cases[] = {
        { { { "GET", "/a", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "" },
        { { { "GET", "/a", 0, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "no rights" },
        { { { "GET", "/a", RIGHT_ASK, 0, NULL, NULL, "A", "t", 0, NULL, NULL, NULL } }, "no handler" },
        { { { "GET", "/a", RIGHT_ASK, 0, NULL, nothing, NULL, "t", 0, NULL, NULL, NULL } }, "no summary" },
        { { { "GET", "/a", RIGHT_ASK, 0, NULL, nothing, "A", NULL, 0, NULL, NULL, NULL } }, "no surface" },
        { { { "GET", "a", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "must start with /" },
        { { { "GET", "/x{a}", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "brace" },
        { { { "GET", "/{a...}/b", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "last" },
        { { { "POST", "/a", RIGHT_ASK, 0, "{}", nothing, "A", "t", 0, NULL, NULL, NULL } }, "none accepted" },
        { { { "POST", "/a", RIGHT_ASK, 9, "{\"tpye\":1}", nothing, "A", "t", 0, NULL, NULL, NULL } }, "tpye" },
        { { { "POST", "/a", RIGHT_ASK, 9, "{", nothing, "A", "t", 0, NULL, NULL, NULL } }, "line" },
        { { { "POST", "/a", RIGHT_ASK, 9, "{}", nothing, "A", "t", ROUTE_RAW, NULL, NULL, NULL } }, "JSON body" },
        { { { "GET", "/a", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, "{", NULL } }, "line" },
        { { { "GET", "/a/{x}", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL },
            { "GET", "/a/{y}", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "two routes" },
        { { { "GET", "/a/{x}", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL },
            { "POST", "/a/{y}", RIGHT_ASK, 0, NULL, nothing, "A", "t", 0, NULL, NULL, NULL } }, "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *got = refused(cases[i].row);
        if (cases[i].words[0] ? !strstr(got, cases[i].words) : got[0] != '\0') fail_msg("case %zu: \"%s\", not \"%s\"", i, got, cases[i].words);
    }
}

static const struct route rows[] = {
    { "GET", "/", RIGHT_PUBLIC, 0, NULL, nothing, "Root", "t", 0, NULL, NULL, NULL },
    { "GET", "/{any...}", RIGHT_PUBLIC, 0, NULL, nothing, "Assets", "t", 0, NULL, NULL, NULL },
    { "GET", "/api/{id}", RIGHT_ASK, 0, NULL, nothing, "One", "t", 0, NULL, "{\"type\":\"object\"}", NULL },
    { "POST", "/api/{id}", RIGHT_ASK, 100, "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}}}", nothing, "Change", "t", 0, NULL, NULL, NULL },
    { "GET", "/api/list", RIGHT_ASK, 0, URL_QUERY(QUERY_LIMIT "," QUERY_TEXT("q")), nothing, "List", "t", ROUTE_ARCHIVE, NULL, "{}", NULL },
    { "POST", "/v1/x", RIGHT_ASK, 100, "{}", nothing, "X", "t", ROUTE_OPENAI, NULL, NULL, NULL },
    { 0 },
};
static const struct route *const tables[] = { rows, NULL };

static void the_most_literal_path_wins_whatever_the_order(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *want;
    } cases[] = { { "GET", "/", "/" },                   { "GET", "/index.html", "/{any...}" }, { "GET", "/a/b/c", "/{any...}" },
                  { "GET", "/api/list", "/api/list" },   { "GET", "/api/other", "/api/{id}" },  { "HEAD", "/api/list", "/api/list" },
                  { "POST", "/api/list", "/api/{id}" },  { "GET", "/api/", "/{any...}" },       { "POST", "/", NULL },
                  { "GET", "/api/a/b", "/{any...}" } };
    struct call c;
    struct routes *t;
    call_init(&c);
    assert_int_equal(routes_compile(&c, tables, &t), OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct route_match m;
        assert_int_equal(routes_split(&c, cases[i].path, &m), OK);
        const struct route_row *row = routes_find(&c, t, cases[i].method, &m);
        const char *got = row ? row->route->path : NULL;
        if (cases[i].want ? !got || strcmp(got, cases[i].want) != 0 : got != NULL) fail_msg("%s %s: %s", cases[i].method, cases[i].path, got ? got : "none");
    }
    char deep[200];
    memset(deep, 0, sizeof deep);
    for (int i = 0; i < 60; i += 2) memcpy(deep + i, "/a", 2);
    struct route_match m;
    assert_int_equal(routes_split(&c, deep, &m), ERR_NOT_FOUND);
    routes_free(t);
    call_dispose(&c);
}

static void the_description_names_paths_rights_bodies_and_errors(void **state)
{
    (void)state;
    struct call c;
    struct buf b;
    call_init(&c);
    buf_init(&b, 1 << 20);
    struct http_conf conf = { .tables = tables, .title = "T", .version = "2" };
    assert_int_equal(http_openapi(&c, &conf, &b), OK);
    json_t *v;
    assert_int_equal(json_parse(&c, b.data, b.len, &v), OK);
    assert_string_equal(json_string_value(json_object_get(v, "openapi")), "3.1.0");
    json_t *paths = json_object_get(v, "paths");
    assert_int_equal(json_object_size(paths), 5);
    json_t *one = json_object_get(paths, "/api/{id}");
    assert_int_equal(json_object_size(one), 2);
    json_t *change = json_object_get(one, "post");
    assert_non_null(json_object_get(json_object_get(change, "responses"), "422"));
    assert_non_null(json_object_get(json_object_get(change, "responses"), "401"));
    assert_non_null(json_object_get(json_object_get(json_object_get(json_object_get(change, "requestBody"), "content"), "application/json"), "schema"));
    json_t *parameter = json_array_get(json_object_get(change, "parameters"), 0);
    assert_string_equal(json_string_value(json_object_get(parameter, "name")), "id");
    assert_string_equal(json_string_value(json_array_get(json_object_get(change, "x-rights"), 0)), "ask");
    json_t *list = json_object_get(json_object_get(paths, "/api/list"), "get");
    parameter = json_array_get(json_object_get(list, "parameters"), 0);
    assert_string_equal(json_string_value(json_object_get(parameter, "name")), "limit");
    assert_string_equal(json_string_value(json_object_get(parameter, "in")), "query");
    assert_null(json_object_get(list, "requestBody"));
    assert_non_null(json_object_get(json_object_get(json_object_get(json_object_get(list, "responses"), "2XX"), "content"), "application/zip"));
    assert_int_equal(json_array_size(json_object_get(list, "security")), 2);
    assert_non_null(json_object_get(json_object_get(json_object_get(v, "components"), "parameters"), "IdempotencyKey"));
    json_t *assets = json_object_get(json_object_get(paths, "/{any}"), "get");
    assert_null(json_object_get(json_object_get(assets, "responses"), "401"));
    json_t *openai = json_object_get(json_object_get(paths, "/v1/x"), "post");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json_object_get(openai, "responses"), "400"), "$ref")),
                        "#/components/responses/OpenAIError");
    json_decref(v);
    buf_dispose(&b);
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_with_a_hole_is_refused),
        cmocka_unit_test(the_most_literal_path_wins_whatever_the_order),
        cmocka_unit_test(the_description_names_paths_rights_bodies_and_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
