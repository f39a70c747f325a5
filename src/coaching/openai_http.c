/* coaching/openai_http.c — the OpenAI-compatible surface: a model is a coach, an answer is grounded and cited like any
 * other. Unknown fields are ignored as clients expect; a field we know and cannot honour (n, forced tools, a JSON schema)
 * is refused with words, because a client that relies on it would misread the answer. */
/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/id.h"
#include "coaching/coaching.h"
#include "coaching/trace.h"
#include "encoder/encoder.h"
#include "http/http.h"
#include "models/models.h"

#define STOPS_MAX      8
#define MESSAGES_MAX   256
#define EMBED_BODY     (16 * 1024 * 1024)

/* ---- models ---- */

static void model_write(struct json_out *j, const char *name, const char *id, int64_t created, const char *owner)
{
    json_begin_object(j, name);
    json_put_text(j, "id", id);
    json_put_text(j, "object", "model");
    json_put_int(j, "created", created);
    json_put_text(j, "owned_by", owner);
    json_end(j);
}

static const char *embedding_model(void)
{
    struct encoder *enc = encoder_default();
    return enc ? encoder_name(enc) : NULL;
}

static enum err list_models(struct req *r)
{
    struct coach k;
    enum err e = coach_get(&r->call, NULL, &k);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "object", "list");
    json_begin_array(j, "data");
    model_write(j, NULL, r->call.creator_id, k.created_ms / 1000, r->call.creator_id);
    if (embedding_model()) model_write(j, NULL, embedding_model(), k.created_ms / 1000, "chiron");
    json_end(j);
    json_end(j);
    return OK;
}

static enum err get_model(struct req *r)
{
    const char *id = req_path(r, "id");
    struct coach k;
    enum err e = coach_get(&r->call, NULL, &k);
    if (e) return e;
    if (strcmp(id, r->call.creator_id) == 0)
        model_write(reply_json(r, 200), NULL, id, k.created_ms / 1000, r->call.creator_id);
    else if (embedding_model() && strcmp(id, embedding_model()) == 0)
        model_write(reply_json(r, 200), NULL, id, k.created_ms / 1000, "chiron");
    else
        return fail(&r->call, ERR_NOT_FOUND, "the model '%.64s' does not exist", id);
    return OK;
}

/* ---- chat ---- */

struct chat {
    struct req  *r;
    bool         stream, usage, as_object;
    const char  *id, *model;
    int64_t      created;
    const char  *stops[STOPS_MAX + 1];
    int          max_tokens;             /* 0: none */
    struct buf   content;                /* what was given so far */
    bool         stopped, cut;           /* by a stop word, by max_tokens */
    bool         begun;                  /* the first chunk with the role went out */
};

static const char *text_of(struct call *c, const json_t *content)
{
    if (json_is_string(content)) return json_string_value(content);
    struct buf b;
    buf_init(&b, LIMIT_REQUEST_BODY_BYTES);
    for (size_t i = 0; i < json_array_size(content); i++) {
        const json_t *part = json_array_get(content, i);
        const char *text = json_is_string(part) ? json_string_value(part) : json_get_text(part, "text", NULL);
        if (!text) continue;
        if (b.len) buf_addc(&b, '\n');
        buf_adds(&b, text);
    }
    const char *out = arena_strndup(&c->mem, b.data ? b.data : "", b.len);
    buf_dispose(&b);
    return out;
}

/* The last user message is the question; what users and assistants said before it is history. */
static enum err read_messages(struct req *r, struct turn_in *in)
{
    const json_t *list = json_object_get(r->json, "messages");
    size_t n = json_array_size(list), last = n;
    for (size_t i = 0; i < n; i++) {
        const char *role = json_get_text(json_array_get(list, i), "role", "");
        if (strcmp(role, "user") == 0) last = i;
    }
    if (last == n) return fail_field(&r->call, "messages", "there is no message of role user");
    in->question = text_of(&r->call, json_object_get(json_array_get(list, last), "content"));
    struct said *said = arena_array(&r->call.mem, last + 1, sizeof *said);
    int count = 0;
    for (size_t i = 0; i < last; i++) {
        const json_t *m = json_array_get(list, i);
        const char *role = json_get_text(m, "role", "");
        if (strcmp(role, "user") != 0 && strcmp(role, "assistant") != 0) continue;   /* the coach has its own rules */
        const char *text = text_of(&r->call, json_object_get(m, "content"));
        if (*text) said[count++] = (struct said){ role[0] == 'u' ? "user" : "assistant", text };
    }
    in->history = said;
    in->history_count = count;
    return OK;
}

static enum err read_limits(struct req *r, struct chat *k, struct turn_in *in)
{
    struct call *c = &r->call;
    const json_t *o = r->json;
    if (json_get_int(o, "n", 1) != 1) return fail_field(c, "n", "one answer a request: n must be 1");
    const json_t *choice = json_object_get(o, "tool_choice"), *tools = json_object_get(o, "tools");
    if (json_is_object(choice) || strcmp(json_string_value(choice) ? json_string_value(choice) : "auto", "required") == 0)
        return fail_field(c, "tool_choice", "a coach calls no tools; use tool_choice \"auto\" or \"none\"");
    if (tools && !json_is_null(tools) && !json_is_array(tools)) return fail_field(c, "tools", "tools must be a list");
    const char *format = json_get_text(json_object_get(o, "response_format"), "type", "text");
    if (strcmp(format, "json_object") == 0) k->as_object = true;
    else if (strcmp(format, "text") != 0)
        return fail_field(c, "response_format", "response_format '%.32s' is not supported; use text or json_object", format);
    const json_t *stop = json_object_get(o, "stop");
    int count = 0;
    if (json_is_string(stop)) k->stops[count++] = json_string_value(stop);
    for (size_t i = 0; i < json_array_size(stop); i++) {
        const char *s = json_string_value(json_array_get(stop, i));
        if (!s || count == STOPS_MAX) return fail_field(c, "stop", "stop is a text or a list of at most %d texts", STOPS_MAX);
        if (*s) k->stops[count++] = s;
    }
    k->max_tokens = (int)json_get_int(o, "max_completion_tokens", json_get_int(o, "max_tokens", 0));
    in->max_tokens = k->max_tokens;
    const json_t *t = json_object_get(o, "temperature");
    in->temperature_set = json_is_number(t);
    in->temperature = in->temperature_set ? json_number_value(t) : -1;
    return OK;
}

static int count_tokens(const char *text, size_t n)
{
    struct encoder *enc = encoder_default();
    return enc ? tokenizer_spans(encoder_tokenizer(enc), text, n, NULL, 1 << 20) : (int)(n / 4 + 1);
}

static void chunk_begin(struct json_out *j, struct buf *b, const struct chat *k)
{
    json_out_init(j, b);
    json_begin_object(j, NULL);
    json_put_text(j, "id", k->id);
    json_put_text(j, "object", "chat.completion.chunk");
    json_put_int(j, "created", k->created);
    json_put_text(j, "model", k->model);
}

static enum err send(struct chat *k, struct buf *b)
{
    if (b->failed) return fail(&k->r->call, ERR_TOO_LARGE, "a chunk over %zu bytes", b->max);
    return sse_send(k->r, NULL, NULL, b->data, b->len);
}

static enum err send_delta(struct chat *k, const char *text, size_t n)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_REPLY_BYTES);
    chunk_begin(&j, &b, k);
    json_begin_array(&j, "choices");
    json_begin_object(&j, NULL);
    json_put_int(&j, "index", 0);
    json_begin_object(&j, "delta");
    if (!k->begun) json_put_text(&j, "role", "assistant");
    if (text) json_put_textn(&j, "content", text, n);
    else json_put_text(&j, "content", "");
    json_end(&j);
    json_put_null(&j, "finish_reason");
    json_end(&j);
    json_end(&j);
    if (k->usage) json_put_null(&j, "usage");
    json_end(&j);
    k->begun = true;
    enum err e = send(k, &b);
    buf_dispose(&b);
    return e;
}

/* Stop words and the token limit hold for what the client sees, whoever wrote it. */
static enum err on_sentence(void *arg, const char *text, size_t n, const struct citation *cites, int count)
{
    struct chat *k = arg;
    (void)cites, (void)count;
    if (k->stopped || k->cut) return ERR_CANCELLED;
    size_t before = k->content.len;
    buf_add(&k->content, text, n);
    if (k->content.failed) return fail(&k->r->call, ERR_TOO_LARGE, "answer over %zu bytes", k->content.max);
    for (int i = 0; k->stops[i]; i++) {
        const char *at = strstr(k->content.data, k->stops[i]);
        if (!at) continue;
        size_t keep = (size_t)(at - k->content.data);
        k->content.len = keep > before ? keep : before;
        k->content.data[k->content.len] = '\0';
        k->stopped = true;
    }
    if (k->max_tokens && !k->stopped && count_tokens(k->content.data, k->content.len) > k->max_tokens) {
        /* Whole words up to the limit, as a model that ran out of tokens would leave them. */
        while (k->content.len > before && count_tokens(k->content.data, k->content.len) > k->max_tokens) {
            size_t to = k->content.len - 1;
            while (to > before && k->content.data[to] != ' ') to--;
            k->content.len = to;
            k->content.data[to] = '\0';
        }
        k->cut = true;
    }
    enum err e = OK;
    if (k->stream && !k->as_object && k->content.len > before) e = send_delta(k, k->content.data + before, k->content.len - before);
    if (!e && (k->stopped || k->cut)) return fail(&k->r->call, ERR_CANCELLED, "the answer is long enough");
    return e;
}

static const char *citation_url(struct call *c, const struct citation *k)
{
    return arena_printf(&c->mem, "/#/documents/%s?page=%d&start=%lld&end=%lld", k->document_id, k->page, (long long)k->start_byte,
                        (long long)k->end_byte);
}

/* Code points before a byte: annotations count characters, our own citations bytes. */
static int chars_before(const char *text, int byte)
{
    int n = 0;
    for (int i = 0; i < byte && text[i]; i++) n += ((unsigned char)text[i] & 0xC0) != 0x80;
    return n;
}

static void annotations_write(struct chat *k, struct json_out *j, const struct turn *t)
{
    json_begin_array(j, "annotations");
    for (int i = 0; i < t->citation_count && !k->as_object; i++) {
        const struct citation *q = &t->citations[i];
        if ((size_t)q->answer_end > k->content.len) continue;      /* said after the cut */
        json_begin_object(j, NULL);
        json_put_text(j, "type", "url_citation");
        json_begin_object(j, "url_citation");
        json_put_int(j, "start_index", chars_before(k->content.data, q->answer_start));
        json_put_int(j, "end_index", chars_before(k->content.data, q->answer_end));
        json_put_text(j, "title", q->title);
        json_put_text(j, "url", citation_url(&k->r->call, q));
        json_end(j);
        json_end(j);
    }
    json_end(j);
}

static void citations_write(struct json_out *j, const struct turn *t)
{
    json_begin_array(j, "citations");
    for (int i = 0; i < t->citation_count; i++) citation_write(j, NULL, &t->citations[i]);
    json_end(j);
}

static void usage_write(struct json_out *j, const struct turn *t)
{
    json_begin_object(j, "usage");
    json_put_int(j, "prompt_tokens", t->prompt_tokens);
    json_put_int(j, "completion_tokens", t->completion_tokens);
    json_put_int(j, "total_tokens", t->prompt_tokens + t->completion_tokens);
    json_begin_object(j, "prompt_tokens_details");
    json_put_int(j, "cached_tokens", 0);
    json_end(j);
    json_end(j);
}

static const char *finish_reason(const struct chat *k)
{
    return k->cut ? "length" : "stop";
}

/* response_format json_object: the answer as one JSON object instead of prose. */
static void as_object(struct chat *k, const struct turn *t)
{
    struct buf b;
    struct json_out j;
    buf_init(&b, k->content.max);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_textn(&j, "answer", k->content.data ? k->content.data : "", k->content.len);
    json_put_bool(&j, "covered", t->covered);
    json_put_float(&j, "confidence", t->confidence);
    citations_write(&j, t);
    json_end(&j);
    buf_dispose(&k->content);
    k->content = b;
}

static enum err finish_stream(struct chat *k, const struct turn *t)
{
    enum err e = OK;
    if (k->as_object) {
        as_object(k, t);
        e = send_delta(k, k->content.data, k->content.len);
        if (e) return e;
    }
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_REPLY_BYTES);
    chunk_begin(&j, &b, k);
    json_begin_array(&j, "choices");
    json_begin_object(&j, NULL);
    json_put_int(&j, "index", 0);
    json_begin_object(&j, "delta");
    annotations_write(k, &j, t);
    json_end(&j);
    json_put_text(&j, "finish_reason", finish_reason(k));
    json_end(&j);
    json_end(&j);
    citations_write(&j, t);
    if (k->usage) json_put_null(&j, "usage");
    json_end(&j);
    e = send(k, &b);
    if (!e && k->usage) {
        buf_clear(&b);
        chunk_begin(&j, &b, k);
        json_begin_array(&j, "choices");
        json_end(&j);
        usage_write(&j, t);
        json_end(&j);
        e = send(k, &b);
    }
    buf_dispose(&b);
    if (!e) e = sse_send(k->r, NULL, NULL, "[DONE]", 6);
    return e;
}

static void reply_whole(struct chat *k, const struct turn *t)
{
    if (k->as_object) as_object(k, t);
    struct json_out *j = reply_json(k->r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "id", k->id);
    json_put_text(j, "object", "chat.completion");
    json_put_int(j, "created", k->created);
    json_put_text(j, "model", k->model);
    json_begin_array(j, "choices");
    json_begin_object(j, NULL);
    json_put_int(j, "index", 0);
    json_begin_object(j, "message");
    json_put_text(j, "role", "assistant");
    json_put_textn(j, "content", k->content.data ? k->content.data : "", k->content.len);
    json_put_null(j, "refusal");
    annotations_write(k, j, t);
    json_end(j);
    json_put_null(j, "logprobs");
    json_put_text(j, "finish_reason", finish_reason(k));
    json_end(j);
    json_end(j);
    usage_write(j, t);
    citations_write(j, t);
    json_begin_object(j, "chiron");
    json_put_text(j, "turn_id", t->id);
    json_put_text(j, "conversation_id", t->conversation_id);
    json_put_bool(j, "covered", t->covered);
    json_put_float(j, "confidence", t->confidence);
    json_put_degraded(j, t->degrades, t->degrade_count);
    json_end(j);
    json_end(j);
}

static enum err chat(struct req *r)
{
    struct call *c = &r->call;
    struct chat k = { .r = r, .created = clock_unix_ms() / 1000 };
    struct turn_in in = { 0 };
    struct turn t = { 0 };
    char id[ID_BYTES];
    k.model = json_get_text(r->json, "model", "");
    if (strcmp(k.model, c->creator_id) != 0) return fail(c, ERR_NOT_FOUND, "the model '%.64s' does not exist", k.model);
    enum err e = read_messages(r, &in);
    if (!e) e = read_limits(r, &k, &in);
    if (e) return e;
    if (!in.question[strspn(in.question, " \t\r\n")]) return fail_field(c, "messages", "the last user message is empty");
    if (strlen(in.question) > LIMIT_QUERY_BYTES)
        return fail(c, ERR_TOO_LARGE, "the question has %zu bytes, at most %d are read", strlen(in.question), LIMIT_QUERY_BYTES);
    in.conversation_id = json_get_text(json_object_get(r->json, "metadata"), "conversation_id", NULL);
    k.id = arena_printf(&c->mem, "chatcmpl-%s", id_new("c", id) + 2);
    k.stream = json_get_bool(r->json, "stream", false);
    k.usage = json_get_bool(json_object_get(r->json, "stream_options"), "include_usage", false);
    buf_init(&k.content, 512 * 1024);
    const struct turn_sink sink = { on_sentence, &k };
    if (k.stream) {
        c->deadline_ms = 0;
        e = sse_begin(r);
        if (!e) e = send_delta(&k, NULL, 0);
        c->deadline_ms = req_deadline(r);
    }
    if (!e) e = coaching_turn(c, &in, &sink, &t);
    if (!e) c->deadline_ms = 0;   /* the answer is made; that it is whole is told to a late reader too */
    if (!e && k.stream) e = finish_stream(&k, &t);
    else if (!e) reply_whole(&k, &t);
    buf_dispose(&k.content);
    return e;
}

/* ---- embeddings ---- */

static enum err read_inputs(struct req *r, const char ***texts_out, int *n_out)
{
    const json_t *input = json_object_get(r->json, "input");
    size_t n = json_is_string(input) ? 1 : json_array_size(input);
    if (n == 0 || n > LIMIT_EMBED_BATCH) return fail_field(&r->call, "input", "input must be 1 to %d texts", LIMIT_EMBED_BATCH);
    const char **texts = arena_array(&r->call.mem, n, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_string(input) ? input : json_array_get(input, i);
        char field[32];
        snprintf(field, sizeof field, "input[%zu]", i);
        if (!json_is_string(one))
            return fail_field(&r->call, field, "token arrays are not read, because tokens of another tokenizer mean other words here; send text");
        texts[i] = json_string_value(one);
        if (!*texts[i]) return fail_field(&r->call, field, "the text is empty");
    }
    *texts_out = texts;
    *n_out = (int)n;
    return OK;
}

/* The first `keep` numbers of each row, unit length again. */
static void shorten(float *v, int n, int dim, int keep)
{
    for (int i = 0; i < n; i++) {
        double norm = 0;
        for (int k = 0; k < keep; k++) norm += (double)v[i * dim + k] * v[i * dim + k];
        float f = norm > 0 ? (float)(1 / sqrt(norm)) : 0;
        for (int k = 0; k < keep; k++) v[i * keep + k] = v[i * dim + k] * f;
    }
}

static enum err embeddings(struct req *r)
{
    struct call *c = &r->call;
    struct encoder *enc = encoder_default();
    const char *model = json_get_text(r->json, "model", ""), *format = json_get_text(r->json, "encoding_format", "float");
    const char **texts = NULL;
    int n = 0, tokens = 0, dim = 0;
    float *v = NULL;
    if (!enc) return fail(c, ERR_BUSY, "no embedding model is loaded");
    if (strcmp(model, encoder_name(enc)) != 0) return fail(c, ERR_NOT_FOUND, "the model '%.64s' does not exist", model);
    enum err e = read_inputs(r, &texts, &n);
    if (e) return e;
    dim = encoder_dim(enc);
    int keep = (int)json_get_int(r->json, "dimensions", dim);
    if (keep < 1 || keep > dim) return fail_field(c, "dimensions", "dimensions must be 1 to %d", dim);
    v = arena_array(&c->mem, (size_t)n * (size_t)dim, sizeof *v);
    int *counts = arena_array(&c->mem, (size_t)n, sizeof *counts);
    const char       *said = json_get_text(r->json, "input_type", "");
    enum encoder_kind kind = !strcmp(said, "query") ? ENCODER_QUERY : !strcmp(said, "passage") ? ENCODER_PASSAGE : ENCODER_PLAIN;
    e = encoder_embed_as(c, enc, kind, texts, NULL, n, v, counts);
    if (e) return e;
    for (int i = 0; i < n; i++) tokens += counts[i];
    if (keep < dim) shorten(v, n, dim, keep);
    bool base64 = strcmp(format, "base64") == 0;
    size_t text_max = sodium_base64_encoded_len((size_t)keep * sizeof(float), sodium_base64_VARIANT_ORIGINAL);
    char *text = base64 ? arena_alloc(&c->mem, text_max) : NULL;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "object", "list");
    json_begin_array(j, "data");
    for (int i = 0; i < n; i++) {
        const float *row = v + (size_t)i * (size_t)keep;
        json_begin_object(j, NULL);
        json_put_text(j, "object", "embedding");
        json_put_int(j, "index", i);
        if (base64) {          /* little-endian float32, as this machine keeps them */
            sodium_bin2base64(text, text_max, (const unsigned char *)row, (size_t)keep * sizeof(float), sodium_base64_VARIANT_ORIGINAL);
            json_put_text(j, "embedding", text);
        } else {
            json_begin_array(j, "embedding");
            for (int k = 0; k < keep; k++) json_put_float(j, NULL, row[k]);
            json_end(j);
        }
        json_end(j);
    }
    json_end(j);
    json_put_text(j, "model", encoder_name(enc));
    json_begin_object(j, "usage");
    json_put_int(j, "prompt_tokens", tokens);
    json_put_int(j, "total_tokens", tokens);
    json_end(j);
    json_end(j);
    return OK;
}

static const char chat_schema[] =
    "{\"type\":\"object\",\"required\":[\"model\",\"messages\"],\"properties\":{"
    "\"model\":{\"type\":\"string\",\"minLength\":1},"
    "\"messages\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":256,\"items\":{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{"
    "\"role\":{\"type\":\"string\",\"enum\":[\"system\",\"developer\",\"user\",\"assistant\",\"tool\",\"function\"]},"
    "\"content\":{\"type\":[\"string\",\"array\",\"null\"]}}}},"
    "\"stream\":{\"type\":[\"boolean\",\"null\"]},"
    "\"stream_options\":{\"type\":[\"object\",\"null\"],\"properties\":{\"include_usage\":{\"type\":\"boolean\"}}},"
    "\"max_tokens\":{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":1000000},"
    "\"max_completion_tokens\":{\"type\":[\"integer\",\"null\"],\"minimum\":1,\"maximum\":1000000},"
    "\"temperature\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":2},"
    "\"top_p\":{\"type\":[\"number\",\"null\"],\"minimum\":0,\"maximum\":1},"
    "\"n\":{\"type\":[\"integer\",\"null\"],\"minimum\":1},"
    "\"stop\":{\"type\":[\"string\",\"array\",\"null\"]},"
    "\"response_format\":{\"type\":[\"object\",\"null\"]},"
    DEADLINE_MEMBERS ","
    "\"metadata\":{\"type\":[\"object\",\"null\"]}}}";

static const char embeddings_schema[] =
    "{\"type\":\"object\",\"required\":[\"model\",\"input\"],\"properties\":{"
    "\"model\":{\"type\":\"string\",\"minLength\":1},"
    "\"input\":{\"type\":[\"string\",\"array\"]},"
    "\"encoding_format\":{\"type\":[\"string\",\"null\"],\"enum\":[\"float\",\"base64\",null]},"
    "\"input_type\":{\"type\":[\"string\",\"null\"],\"enum\":[\"query\",\"passage\",null]},"
    "\"dimensions\":{\"type\":[\"integer\",\"null\"],\"minimum\":1}}}";

const struct route openai_routes[] = {
    { .method = "GET", .path = "/v1/models", .rights = RIGHT_ASK, .handler = list_models,
      .summary = "The coaches as models, and the embedding model", .surface = "openai", .flags = ROUTE_OPENAI },
    { .method = "GET", .path = "/v1/models/{id}", .rights = RIGHT_ASK, .handler = get_model, .summary = "One model",
      .surface = "openai", .flags = ROUTE_OPENAI },
    { .method = "POST", .path = "/v1/chat/completions", .rights = RIGHT_ASK, .body_max = 4 * LIMIT_REQUEST_BODY_BYTES,
      .schema = chat_schema, .handler = chat, .summary = "Ask a coach as an OpenAI chat model", .surface = "openai",
      .flags = ROUTE_OPENAI | ROUTE_IGNORE_UNKNOWN | ROUTE_DEADLINE },
    { .method = "POST", .path = "/v1/embeddings", .rights = RIGHT_ASK, .body_max = EMBED_BODY, .schema = embeddings_schema,
      .handler = embeddings, .summary = "Embeddings of texts, float or base64", .surface = "openai",
      .flags = ROUTE_OPENAI | ROUTE_IGNORE_UNKNOWN },
    { 0 }
};
