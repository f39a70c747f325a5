/* The chain against a strict fake provider that misbehaves on demand (test/fakes/openai_provider.py). */
/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include "base/clock.h"
#include "base/fetch.h"
#include "base/json.h"
#include "base/metric.h"
#include "models/models.h"

#include <cmocka.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>


static pid_t fake;
static int   fake_stdin = -1;
static char  base[64];

static int start_fake(void **state)
{
    (void)state;
    int in[2], out[2];
    if (pipe(in) || pipe(out)) return -1;
    fake = fork();
    if (fake == 0) {
        dup2(in[0], 0), dup2(out[1], 1);
        close(in[0]), close(in[1]), close(out[0]), close(out[1]);
        execlp("python3", "python3", "test/fakes/openai_provider.py", "0", (char *)NULL);
        _exit(127);
    }
    close(in[0]), close(out[1]);
    fake_stdin = in[1];
    FILE *f = fdopen(out[0], "r");
    int port = 0;
    if (!f || fscanf(f, "%d", &port) != 1) return -1;
    fclose(f);
    snprintf(base, sizeof base, "http://127.0.0.1:%d", port);
    char url[80];
    snprintf(url, sizeof url, "%s/v1/", base);
    setenv("OPENAI_BASE_URL", url, 1);
    setenv("OPENAI_API_KEY", "sk-fake", 1);
    setenv("OPENAI_MODEL", "fake-chat", 1);
    setenv("OPENAI_EMBEDDING_MODEL", "fake-embedding", 1);
    setenv("LLM_FIRST_TOKEN_MS", "3000", 1);
    setenv("LLM_TIMEOUT_MS", "8000", 1);
    setenv("LLM_RETRIES", "2", 1);
    fetch_open();
    struct call c;
    call_init(&c);
    static const struct setting *const tables[] = { models_settings, NULL };
    int rc = conf_load(&c, tables, "/dev/null") || models_open(&c);
    call_dispose(&c);
    return rc;
}

static int stop_fake(void **state)
{
    (void)state;
    models_close();
    fetch_close();
    conf_free();
    close(fake_stdin);
    kill(fake, SIGTERM);
    waitpid(fake, NULL, 0);
    return 0;
}

static void plan(const char *steps)
{
    struct call c;
    call_init(&c);
    const char *body = arena_printf(&c.mem, "{\"plan\":%s}", steps);
    struct fetch_reply r;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .method = "PUT", .url = arena_printf(&c.mem, "%s/control", base), .body = body,
                                                     .body_len = strlen(body) }, &r), OK);
    assert_int_equal(r.status, 200);
    call_dispose(&c);
}

/* The fake's log; the caller's json_decref. */
static json_t *fake_log(void)
{
    struct call c;
    call_init(&c);
    struct fetch_reply r;
    json_t *o = NULL;
    assert_int_equal(fetch(&c, &(struct fetch_opts){ .url = arena_printf(&c.mem, "%s/log", base) }, &r), OK);
    assert_int_equal(json_parse(&c, r.body, r.body_len, &o), OK);
    call_dispose(&c);
    return o;
}

static int requests(void)
{
    json_t *o = fake_log();
    assert_int_equal(json_array_size(json_object_get(o, "faults")), 0);
    int n = (int)json_array_size(json_object_get(o, "requests"));
    json_decref(o);
    return n;
}

struct heard {
    char   text[4096];
    int    calls, from_material, stop_after;
    atomic_bool *set;
};

static bool hear(void *arg, const char *text, size_t n, int sentence)
{
    struct heard *h = arg;
    strncat(h->text, text, n < 1000 ? n : 1000);
    h->from_material += sentence >= 0;
    if (h->set) atomic_store(h->set, true);
    return ++h->calls != h->stop_after;
}

static const struct message messages[] = { { "system", "Be a coach." }, { "user", "How often?" } };
static const struct prompt_sentence sentences[] = { { .text = "Three sessions a week.", .n = 22, .relevance = 0.9f } };
static struct prompt ask = { .messages = messages, .count = 2, .question = "How often?", .language = "en", .sentences = sentences,
                             .sentence_count = 1, .passage_count = 1, .temperature = 0.3, .max_tokens = 50 };

struct result {
    enum err          e;
    struct generation g;
    struct heard      h;
    char              words[400], why[400], model[64], provider[32];
    int64_t           ms;
};

static struct result generate(const char *steps, struct heard h, int64_t deadline_in_ms)
{
    struct result r = { .h = h };
    struct call c;
    plan(steps);
    call_init(&c);
    if (deadline_in_ms) c.deadline_ms = clock_mono_ms() + deadline_in_ms;
    if (h.set) c.stop = h.set;
    int64_t t = clock_mono_ms();
    r.e = models_generate(&c, &ask, hear, &r.h, &r.g);
    r.ms = clock_mono_ms() - t;
    snprintf(r.words, sizeof r.words, "%s", c.err_text);
    snprintf(r.why, sizeof r.why, "%s", !r.e && r.g.failed_because ? r.g.failed_because : "");
    snprintf(r.model, sizeof r.model, "%s", !r.e ? r.g.model : "");
    snprintf(r.provider, sizeof r.provider, "%s", !r.e ? r.g.provider : "");
    call_dispose(&c);
    return r;
}

static const struct heard quiet = { .text = "" };

static void a_stream_arrives_in_pieces_with_usage_and_the_model_that_answered(void **state)
{
    (void)state;
    struct result r = generate("[]", quiet, 0);
    assert_int_equal(r.e, OK);
    assert_string_equal(r.h.text, "Train three times a week. [1]");
    assert_true(r.h.calls > 3);
    assert_string_equal(r.provider, "openai");
    assert_string_equal(r.model, "fake-chat-2026-01-01");
    assert_int_equal(r.g.prompt_tokens, 111);
    assert_int_equal(r.g.completion_tokens, 22);
    assert_string_equal(r.g.finish_reason, "stop");
    assert_false(r.g.fell_back);
    assert_int_equal(requests(), 1);
}

static void crlf_comments_single_bytes_and_whole_replies_are_understood(void **state)
{
    (void)state;
    static const char *const steps[] = { "[{\"crlf\":true,\"comments\":true}]", "[{\"byte\":true,\"crlf\":true}]", "[{\"whole\":true}]",
                                         "[{\"no_usage\":true}]" };
    for (size_t i = 0; i < 4; i++) {
        struct result r = generate(steps[i], quiet, 0);
        assert_int_equal(r.e, OK);
        assert_string_equal(r.h.text, "Train three times a week. [1]");
        assert_string_equal(r.provider, "openai");
    }
}

static void a_busy_provider_is_asked_again_after_the_time_it_names(void **state)
{
    (void)state;
    struct result r = generate("[{\"status\":429,\"retry_after\":1},{\"status\":503}]", quiet, 0);
    assert_int_equal(r.e, OK);
    assert_string_equal(r.provider, "openai");
    assert_true(r.ms >= 1000);
    assert_int_equal(requests(), 3);
}

static void a_provider_that_asks_for_too_long_a_wait_is_replaced_at_once(void **state)
{
    (void)state;
    struct result r = generate("[{\"status\":429,\"retry_after\":25}]", quiet, 0);
    assert_int_equal(r.e, OK);
    assert_string_equal(r.provider, "extractive");
    assert_true(r.g.fell_back);
    assert_non_null(strstr(r.why, "429"));
    assert_true(r.ms < 1000);
    assert_int_equal(requests(), 1);
}

static void failing_for_good_falls_back_and_says_why_without_the_providers_words(void **state)
{
    (void)state;
    double before = metric_read("chiron_llm_fallbacks_total", "provider=\"openai\"");
    struct result r = generate("[{\"status\":500},{\"status\":500},{\"status\":500},{\"status\":500}]", quiet, 0);
    assert_int_equal(r.e, OK);
    assert_string_equal(r.h.text, "Three sessions a week.");
    assert_int_equal(r.h.from_material, 1);
    assert_non_null(strstr(r.why, "500 server_error"));
    assert_null(strstr(r.why, "sk-fake"));
    assert_int_equal(requests(), 3);
    assert_true(metric_read("chiron_llm_fallbacks_total", "provider=\"openai\"") == before + 1);
}

static void a_refused_request_is_not_repeated(void **state)
{
    (void)state;
    struct result r = generate("[{\"status\":400}]", quiet, 0);
    assert_string_equal(r.provider, "extractive");
    assert_int_equal(requests(), 1);
}

static void broken_streams_fall_back_before_anything_was_said(void **state)
{
    (void)state;
    static const char *const steps[] = { "[{\"bad\":\"json\"}]", "[{\"bad\":\"error\"}]", "[{\"bad\":\"line\"}]", "[{\"bad\":\"html\"}]" };
    for (size_t i = 0; i < 4; i++) {
        struct result r = generate(steps[i], quiet, 0);
        assert_int_equal(r.e, OK);
        assert_string_equal(r.provider, "extractive");
        assert_string_equal(r.h.text, "Three sessions a week.");
        assert_true(r.why[0] != '\0');
    }
}

static void after_the_first_piece_nobody_else_may_speak(void **state)
{
    (void)state;
    struct result r = generate("[{\"cut_after\":2}]", quiet, 0);
    assert_int_equal(r.e, ERR_UPSTREAM);
    assert_string_equal(r.h.text, "Train three");
    assert_int_equal(r.h.from_material, 0);
    assert_int_equal(requests(), 1);
}

static void a_provider_that_says_nothing_is_given_up_in_time(void **state)
{
    (void)state;
    struct result r = generate("[{\"delay_ms\":6000}]", quiet, 0);
    assert_int_equal(r.e, OK);
    assert_string_equal(r.provider, "extractive");
    assert_in_range(r.ms, 2500, 4500);
    r = generate("[{\"hang\":true}]", quiet, 3000);      /* the caller's deadline leaves the last rung its time */
    assert_int_equal(r.e, OK);
    assert_string_equal(r.provider, "extractive");
    assert_in_range(r.ms, 1000, 2900);
}

static void stopping_ends_the_transfer_at_once(void **state)
{
    (void)state;
    struct heard h = { .text = "", .stop_after = 1 };
    struct result r = generate("[{\"piece_ms\":300,\"text\":\"a b c d e f g h i j k l m n\"}]", h, 0);
    assert_int_equal(r.e, OK);
    assert_int_equal(r.h.calls, 1);
    assert_true(r.ms < 1500);
    atomic_bool gone = false;
    struct heard g = { .text = "", .set = &gone };
    r = generate("[{\"piece_ms\":200,\"text\":\"a b c d e f g h i j k l m n o p q r s t u v\"}]", g, 0);
    assert_int_equal(r.e, ERR_CANCELLED);
    assert_true(r.ms < 2000);
    for (int i = 0; i < 50; i++) {          /* the fake notices that its reader left */
        json_t *o = fake_log();
        int open = (int)json_get_int(o, "open", -1);
        json_decref(o);
        if (open == 0) return;
        usleep(50000);
    }
    fail_msg("the provider still streams");
}

static void embeddings_come_back_in_the_order_asked_whatever_the_reply_s_order(void **state)
{
    (void)state;
    struct call c;
    call_init(&c);
    plan("[]");
    const char *texts[] = { "one", "two", "three" };
    float *v = NULL, *w = NULL;
    int dim = 0;
    const char *model = NULL;
    assert_int_equal(models_embed(&c, texts, 3, &v, &dim, &model), OK);       /* RAG-016: the model and dimension are named */
    assert_int_equal(dim, 8);
    assert_string_equal(model, "fake-embedding");
    assert_int_equal(models_embed(&c, texts + 2, 1, &w, &dim, &model), OK);
    for (int k = 0; k < 8; k++) assert_true(fabsf(v[16 + k] - w[k]) < 1e-6f);
    plan("[{\"status\":401}]");
    assert_int_equal(models_embed(&c, texts, 1, &v, &dim, &model), ERR_UPSTREAM);
    assert_null(strstr(c.err_text, "sk-fake"));
    call_dispose(&c);
}

static void the_state_names_the_chain(void **state)
{
    (void)state;
    assert_string_equal(models_state(), "openai (fake-chat), extractive");
    assert_true(models_has_llm());
}

static void an_unknown_provider_stops_the_start(void **state)
{
    (void)state;
    static const struct setting *const tables[] = { models_settings, NULL };
    struct call c;
    call_init(&c);
    conf_free();
    setenv("LLM_CHAIN", "openai,oracle", 1);
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
    assert_int_equal(models_open(&c), ERR_INVALID);
    assert_non_null(strstr(c.err_text, "oracle"));
    call_forgive(&c);
    conf_free();
    setenv("LLM_CHAIN", "extractive", 1);
    assert_int_equal(conf_load(&c, tables, "/dev/null"), OK);
    assert_int_equal(models_open(&c), OK);
    assert_false(models_has_llm());
    assert_string_equal(models_state(), "extractive");
    call_dispose(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_state_names_the_chain),
        cmocka_unit_test(a_stream_arrives_in_pieces_with_usage_and_the_model_that_answered),
        cmocka_unit_test(crlf_comments_single_bytes_and_whole_replies_are_understood),
        cmocka_unit_test(a_busy_provider_is_asked_again_after_the_time_it_names),
        cmocka_unit_test(a_provider_that_asks_for_too_long_a_wait_is_replaced_at_once),
        cmocka_unit_test(failing_for_good_falls_back_and_says_why_without_the_providers_words),
        cmocka_unit_test(a_refused_request_is_not_repeated),
        cmocka_unit_test(broken_streams_fall_back_before_anything_was_said),
        cmocka_unit_test(after_the_first_piece_nobody_else_may_speak),
        cmocka_unit_test(a_provider_that_says_nothing_is_given_up_in_time),
        cmocka_unit_test(stopping_ends_the_transfer_at_once),
        cmocka_unit_test(embeddings_come_back_in_the_order_asked_whatever_the_reply_s_order),
        cmocka_unit_test(an_unknown_provider_stops_the_start),
    };
    return cmocka_run_group_tests(tests, start_fake, stop_fake);
}
