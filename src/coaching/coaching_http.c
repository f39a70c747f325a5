/* coaching/coaching_http.c — asking over HTTP, in one piece or as events, and looking at what was answered and why. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/id.h"
#include "coaching/coaching.h"
#include "coaching/trace.h"
#include "http/http.h"

#define TYPES_MAX 16

struct events {
    struct req *r;
};

static enum err send_sentence(void *arg, const char *text, size_t n, const struct citation *cites, int count)
{
    struct events *ev = arg;
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_SSE_QUEUE_BYTES * 4);
    json_out_init(&j, &b);
    json_begin_object(&j, NULL);
    json_put_textn(&j, "text", text, n);
    json_begin_array(&j, "citations");
    for (int i = 0; i < count; i++) citation_write(&j, NULL, &cites[i]);
    json_end(&j);
    json_end(&j);
    enum err e = b.failed ? fail(&ev->r->call, ERR_TOO_LARGE, "a sentence with citations over %zu bytes", b.max)
                          : sse_send(ev->r, "sentence", NULL, b.data, b.len);
    buf_dispose(&b);
    return e;
}

static enum err ask_stream(struct req *r, const struct turn_in *in)
{
    struct events ev = { r };
    const struct turn_sink sink = { send_sentence, &ev };
    struct coach coach;
    /* What can be refused is refused with a status, before the stream begins. */
    r->call.deadline_ms = 0;
    enum err e = coach_get(&r->call, in->coach_id, &coach);
    if (!e) e = sse_begin(r);
    if (e) return e;
    const char *begin = arena_printf(&r->call.mem, "{\"conversation_id\":\"%s\"}", in->conversation_id);
    e = sse_send(r, "turn", NULL, begin, strlen(begin));
    if (e) return e;
    struct turn t;
    r->call.deadline_ms = req_deadline(r);
    e = coaching_turn(&r->call, in, &sink, &t);
    if (e) return e;
    r->call.deadline_ms = 0;      /* the answer is made; that it is whole is told to a late reader too */
    struct buf b;
    struct json_out j;
    buf_init(&b, LIMIT_REPLY_BYTES);
    json_out_init(&j, &b);
    turn_write(&j, NULL, &t);
    e = b.failed ? fail(&r->call, ERR_TOO_LARGE, "reply over %zu bytes", b.max) : sse_send(r, "done", NULL, b.data, b.len);
    buf_dispose(&b);
    return e;
}

static enum err ask(struct req *r)
{
    struct turn_in in = { .question = json_get_text(r->json, "question", ""),
                          .coach_id = json_get_text(r->json, "coach", NULL),
                          .conversation_id = json_get_text(r->json, "conversation_id", NULL),
                          .k = (int)json_get_int(r->json, "k", 0) };
    const char *types[TYPES_MAX + 1] = { NULL };
    const json_t *list = json_object_get(r->json, "types");
    for (size_t i = 0; i < json_array_size(list) && i < TYPES_MAX; i++) types[i] = json_string_value(json_array_get(list, i));
    if (types[0]) in.types = types;
    if (!in.question[strspn(in.question, " \t\r\n")]) return fail_field(&r->call, "question", "the question is empty");
    if (strlen(in.question) > LIMIT_QUERY_BYTES)
        return fail(&r->call, ERR_TOO_LARGE, "the question has %zu bytes, at most %d are read", strlen(in.question), LIMIT_QUERY_BYTES);
    if (in.conversation_id && !id_valid(in.conversation_id)) return fail_field(&r->call, "conversation_id", "not a valid id");
    char id[ID_BYTES];
    if (json_get_bool(r->json, "stream", false)) {
        if (!in.conversation_id) in.conversation_id = arena_strdup(&r->call.mem, id_new("conv", id));
        return ask_stream(r, &in);
    }
    struct turn t;
    enum err e = coaching_turn(&r->call, &in, NULL, &t);
    if (e) return e;
    turn_write(reply_json(r, 200), NULL, &t);
    return OK;
}

static enum err list_turns(struct req *r)
{
    int64_t limit = 0;
    const char *list = NULL;
    enum err e = req_query_int(r, "limit", 50, 1, 200, &limit);
    if (!e) e = trace_list(&r->call, (int)limit, &list);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_raw(j, "turns", list, strlen(list));
    json_end(j);
    return OK;
}

static enum err get_turn(struct req *r)
{
    const char *trace = NULL;
    enum err e = trace_get(&r->call, req_path(r, "id"), &trace);
    if (e) return e;
    json_put_raw(reply_json(r, 200), NULL, trace, strlen(trace));
    return OK;
}

static void coach_write(struct json_out *j, const struct coach *k)
{
    json_begin_object(j, NULL);
    json_put_text(j, "id", k->id);
    json_put_text(j, "name", k->name);
    json_put_text(j, "description", k->description);
    json_put_text(j, "language", k->language);
    json_put_text(j, "expertise", k->expertise);
    json_put_text(j, "method", k->method);
    json_put_text(j, "style", k->style);
    json_end(j);
}

static enum err get_coach(struct req *r)
{
    struct coach k;
    enum err e = coach_get(&r->call, NULL, &k);
    if (!e) coach_write(reply_json(r, 200), &k);
    return e;
}

/* Members that are absent keep what they were. */
static enum err put_coach(struct req *r)
{
    struct coach k;
    enum err e = coach_get(&r->call, NULL, &k);
    if (e) return e;
    k.name = json_get_text(r->json, "name", k.name);
    k.description = json_get_text(r->json, "description", k.description);
    k.language = json_get_text(r->json, "language", k.language);
    k.expertise = json_get_text(r->json, "expertise", k.expertise);
    k.method = json_get_text(r->json, "method", k.method);
    k.style = json_get_text(r->json, "style", k.style);
    e = coach_put(&r->call, &k);
    if (!e) coach_write(reply_json(r, 200), &k);
    return e;
}

static const char ask_schema[] =
    "{\"type\":\"object\",\"required\":[\"question\"],\"additionalProperties\":false,\"properties\":{"
    "\"question\":{\"type\":\"string\",\"minLength\":1},"
    "\"conversation_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128},"
    "\"coach\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128},"
    "\"k\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":20}," DEADLINE_MEMBERS ","
    "\"stream\":{\"type\":\"boolean\",\"default\":false},"
    "\"types\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":64}}}}";

static const char coach_schema[] =
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"name\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":120},"
    "\"description\":{\"type\":\"string\",\"maxLength\":4000},"
    "\"language\":{\"type\":\"string\",\"pattern\":\"^[a-z]{2}(-[A-Za-z0-9]{2,8})?$\"},"
    "\"expertise\":{\"type\":\"string\",\"maxLength\":4000},"
    "\"method\":{\"type\":\"string\",\"maxLength\":4000},"
    "\"style\":{\"type\":\"string\",\"maxLength\":4000}}}";

const struct route coaching_routes[] = {
    { .method = "POST", .path = "/api/v1/coaching/ask", .rights = RIGHT_ASK, .body_max = LIMIT_REQUEST_BODY_BYTES,
      .schema = ask_schema, .handler = ask, .summary = "Ask the coach: a cited answer, at once or as events", .surface = "coaching", .flags = ROUTE_DEADLINE },
    { .method = "GET", .path = "/api/v1/turns", .rights = RIGHT_ASK | RIGHT_READ, .schema = URL_QUERY(QUERY_LIMIT), .handler = list_turns,
      .summary = "The last turns, newest first", .surface = "coaching" },
    { .method = "GET", .path = "/api/v1/turns/{id}", .rights = RIGHT_ASK | RIGHT_READ, .handler = get_turn,
      .summary = "Why this answer: the trace of one turn", .surface = "coaching" },
    { .method = "GET", .path = "/api/v1/coach", .rights = RIGHT_ASK | RIGHT_READ, .handler = get_coach,
      .summary = "The coach who answers", .surface = "coaching" },
    { .method = "PUT", .path = "/api/v1/coach", .rights = RIGHT_ADMIN, .body_max = LIMIT_REQUEST_BODY_BYTES, .schema = coach_schema,
      .handler = put_coach, .summary = "Describe the coach who answers", .surface = "coaching" },
    { 0 }
};
