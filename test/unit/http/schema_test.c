/* The JSON-Schema subset of request bodies. */
/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "http/schema.h"

#include <cmocka.h>

/* "" when body passes, else "field: words". */
static const char *verdict(const char *schema, const char *body, bool ignore_unknown)
{
    static char out[600];
    struct call c;
    struct schema *s;
    json_t *v;
    call_init(&c);
    out[0] = '\0';
    if (schema_compile(&c, schema, &s)) {
        snprintf(out, sizeof out, "compile: %s", c.err_text);
    } else {
        if (json_parse(&c, body, strlen(body), &v)) snprintf(out, sizeof out, "json: %s", c.err_text);
        else {
            if (schema_check(&c, s, v, ignore_unknown)) {
                assert_int_equal(c.err, ERR_INVALID);
                snprintf(out, sizeof out, "%s: %s", c.err_field, c.err_text);
            }
            json_decref(v);
        }
        schema_free(s);
    }
    call_dispose(&c);
    return out;
}

static const char search[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"required\":[\"query\",\"user_id\"],\"properties\":{"
    "\"query\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":5,\"description\":\"words\"},"
    "\"user_id\":{\"type\":\"string\",\"pattern\":\"^[a-z0-9]+$\"},"
    "\"kind\":{\"enum\":[\"semantic\",\"keyword\",3,null],\"default\":\"semantic\"},"
    "\"k\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100},"
    "\"alpha\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"
    "\"tags\":{\"type\":[\"array\",\"null\"],\"minItems\":1,\"maxItems\":2,\"items\":{\"type\":\"object\",\"required\":[\"text\"],"
    "\"properties\":{\"text\":{\"type\":\"string\"}}}},"
    "\"flag\":{\"type\":\"boolean\"},\"any\":{}}}";

static void a_body_that_fits_passes(void **state)
{
    (void)state;
    assert_string_equal(verdict(search, "{\"query\":\"hi\",\"user_id\":\"u1\"}", false), "");
    assert_string_equal(verdict(search, "{\"query\":\"ñandú\",\"user_id\":\"u1\",\"kind\":3,\"k\":100,\"alpha\":0,\"tags\":[{\"text\":\"\",\"more\":1}],"
                                        "\"flag\":false,\"any\":{\"x\":[1]}}", false), "");
    assert_string_equal(verdict(search, "{\"query\":\"hi\",\"user_id\":\"u1\",\"tags\":null,\"kind\":null}", false), "");
    assert_string_equal(verdict("{}", "[1,\"a\"]", false), "");
}

static void each_wrong_field_is_named_with_its_limit(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
    } cases[] = {
        { "[]", ": the body must be object" },
        { "{\"user_id\":\"u1\"}", "query: query is required" },
        { "{\"query\":\"\",\"user_id\":\"u1\"}", "query: query must not be empty" },
        { "{\"query\":\"123456\",\"user_id\":\"u1\"}", "query: query must have at most 5 characters" },
        { "{\"query\":1,\"user_id\":\"u1\"}", "query: query must be string" },
        { "{\"query\":null,\"user_id\":\"u1\"}", "query: query must be string" },
        { "{\"query\":\"a\",\"user_id\":\"U 1\"}", "user_id: user_id must match ^[a-z0-9]+$" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"kind\":\"other\"}", "kind: kind must be one of semantic, keyword, 3, null" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"k\":0}", "k: k must be at least 1" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"k\":101}", "k: k must be at most 100" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"k\":1.5}", "k: k must be integer" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"k\":true}", "k: k must be integer" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"alpha\":1.01}", "alpha: alpha must be at most 1" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"alpha\":\"1\"}", "alpha: alpha must be number" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"tags\":[]}", "tags: tags must have at least 1 items" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"tags\":[{\"text\":\"\"},{\"text\":\"\"},{\"text\":\"\"}]}", "tags: tags must have at most 2 items" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"tags\":[{\"text\":\"\"},{\"text\":7}]}", "tags[1].text: tags[1].text must be string" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"tags\":[{}]}", "tags[0].text: tags[0].text is required" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"tags\":{}}", "tags: tags must be null or array" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"flag\":0}", "flag: flag must be boolean" },
        { "{\"query\":\"a\",\"user_id\":\"u1\",\"topk\":5}", "topk: topk is not a known field" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) assert_string_equal(verdict(search, cases[i].body, false), cases[i].want);
}

static void unknown_fields_pass_where_the_route_allows_them(void **state)
{
    (void)state;
    assert_string_equal(verdict(search, "{\"query\":\"a\",\"user_id\":\"u1\",\"topk\":5}", true), "");
}

static void a_schema_with_a_mistake_does_not_compile(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "[]", "{\"typ\":\"string\"}", "{\"type\":\"text\"}", "{\"type\":[]}", "{\"type\":5}", "{\"properties\":[]}",
        "{\"required\":[\"a\"],\"properties\":{}}", "{\"required\":\"a\"}", "{\"additionalProperties\":true}", "{\"enum\":[]}",
        "{\"minLength\":-1}", "{\"minLength\":1.5}", "{\"minimum\":\"1\"}", "{\"pattern\":\"(\"}", "{\"pattern\":1}",
        "{\"items\":[]}", "{\"oneOf\":[]}", "{\"type\":\"string\"", "{\"properties\":{\"a\":{\"nope\":1}}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (strncmp(verdict(bad[i], "1", false), "compile: ", 9) != 0) fail_msg("compiled: %s", bad[i]);
}

static void a_path_longer_than_its_place_is_cut(void **state)
{
    (void)state;
    char body[400], name[201];
    memset(name, 'n', 200);
    name[200] = '\0';
    snprintf(body, sizeof body, "{\"%s\":1}", name);
    const char *got = verdict("{\"additionalProperties\":false,\"properties\":{}}", body, false);
    assert_true(strstr(got, "is not a known field") != NULL);
    assert_true(strcspn(got, ":") < 96);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_fits_passes),
        cmocka_unit_test(each_wrong_field_is_named_with_its_limit),
        cmocka_unit_test(unknown_fields_pass_where_the_route_allows_them),
        cmocka_unit_test(a_schema_with_a_mistake_does_not_compile),
        cmocka_unit_test(a_path_longer_than_its_place_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
