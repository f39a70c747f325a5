/* knowledge/search_http.c — search for a creator's own surfaces (ARC-009), the passages like one (FIT-084) and the feedback
 * on results (RAG-030).
 * It refuses to widen what the caller may see: a user token sees shared passages and its own, whatever the body says. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/search_http.h"

#include <string.h>

#include "accounts/accounts.h"
#include "knowledge/feedback.h"

enum err search_mode_read(struct call *c, const char *field, const char *word, enum search_mode *out)
{
    static const char *const words[] = { "hybrid", "semantic", "keyword" };
    for (int i = 0; i < 3; i++)
        if (!strcmp(word, words[i])) {
            *out = (enum search_mode)i;
            return OK;
        }
    return fail_field(c, field, "it is hybrid, semantic or keyword");
}

enum err search_creator_check(struct req *r)
{
    const char *creator = json_get_text(r->json, "creator_id", NULL);
    if (creator && strcmp(creator, r->call.creator_id) != 0) return fail(&r->call, ERR_NOT_FOUND, "no creator %.60s", creator);
    return OK;
}

/* What a passage is and where it stands, for both kinds of reply. */
static void put_passage(struct json_out *j, const struct passage *p)
{
    json_put_text(j, "id", p->chunk_id);
    json_put_text(j, "document_id", p->document_id);
    json_put_text(j, "title", p->title);
    json_put_text(j, "heading", p->heading);
    json_put_text(j, "content", p->text);
    json_put_int(j, "page", p->page);
    json_put_int(j, "start_byte", p->start_byte);
    json_put_int(j, "end_byte", p->end_byte);
    json_put_raw(j, "metadata", p->metadata, strlen(p->metadata));
    json_put_text(j, "content_type", p->content_type);
    json_put_float(j, "score", p->score);
}

static enum err get_similar(struct req *r)
{
    struct call *c = &r->call;
    const char *user = req_query(r, "user_id"), *const only[] = { req_query(r, "type"), NULL };
    struct search_opts o = { .types = only[0] ? only : NULL };
    struct search_similar_info info;
    struct passage *p = NULL;
    int64_t k = 0;
    int n = 0;
    enum err e = req_query_int(r, "k", 5, 1, LIMIT_SEARCH_K, &k);
    if (!e && user) e = user_check(c, "user_id", user, &o.user_id);
    o.k = (int)k;
    if (!e) e = search_similar(c, req_path(r, "id"), &o, &p, &n, &info);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "id", req_path(r, "id"));
    json_put_text(j, "model", info.model);
    json_put_int(j, "dimension", info.dim);
    json_begin_array(j, "similar");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        put_passage(j, &p[i]);
        json_end(j);
    }
    json_end(j);
    json_end(j);
    return OK;
}

static enum err post_search(struct req *r)
{
    struct call *c = &r->call;
    struct search_opts o = { .k = (int)json_get_int(r->json, "k", 5), .filter = json_object_get(r->json, "filter_metadata"),
                             .threshold = (float)json_get_real(r->json, "threshold", 0),
                             .as_written = json_is_true(json_object_get(r->json, "as_written")) };
    struct passage *p = NULL;
    struct search_info info;
    int n = 0;
    enum err e = search_creator_check(r);
    if (!e) e = search_mode_read(c, "mode", json_get_text(r->json, "mode", "hybrid"), &o.mode);
    if (!e) e = search_rerank_read(c, json_object_get(r->json, "rerank"), &o);
    if (!e) e = search_text(c, json_get_text(r->json, "query", ""), &o, &p, &n, &info);
    if (e) return e;
    const char *query_id = feedback_begin(c, "arc", &info, p, n, -1);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_text(j, "query_id", query_id);
    json_begin_array(j, "documents");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        put_passage(j, &p[i]);
        if (p[i].score_cos < -1.5f) json_put_null(j, "score_cos");
        else json_put_float(j, "score_cos", p[i].score_cos);
        if (p[i].rank_semantic) json_put_float(j, "score_semantic", p[i].score_semantic);
        else json_put_null(j, "score_semantic");
        json_put_float(j, "score_bm25", p[i].score_bm25);
        if (p[i].score_rerank >= 0) json_put_float(j, "score_rerank", p[i].score_rerank);
        json_end(j);
    }
    json_end(j);
    json_put_text(j, "strategy", info.strategy);
    search_rerank_put(j, &info.rerank);
    if (info.corrected) json_put_text(j, "corrected", info.corrected);
    json_put_degraded(j, c->degrades, c->degrade_count);
    json_end(j);
    return OK;
}

static enum err post_feedback(struct req *r)
{
    enum err e = feedback_record(&r->call, json_get_text(r->json, "query_id", ""), json_get_text(r->json, "result_id", ""),
                                 json_get_text(r->json, "event", ""));
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_put_bool(j, "ok", true);
    json_end(j);
    return OK;
}

static const char search_schema[] =
    "{\"type\":\"object\",\"required\":[\"query\"],\"additionalProperties\":false,\"properties\":{"
    "\"query\":{\"type\":\"string\",\"minLength\":1,\"description\":\"What to look for\"},"
    "\"k\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":5},"
    "\"filter_metadata\":{\"type\":\"object\",\"description\":\"Equality on document metadata; a list means any of\"},"
    "\"mode\":{\"type\":\"string\",\"enum\":[\"hybrid\",\"semantic\",\"keyword\"],\"default\":\"hybrid\"},"
    "\"threshold\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0},"
    "\"as_written\":{\"type\":\"boolean\",\"default\":false,\"description\":\"Do not put misspelt words right\"},"
    DEADLINE_MEMBERS ","
    SEARCH_RERANK_MEMBER ",\"creator_id\":{\"type\":\"string\",\"description\":\"Must be the token's\"}}}";

static const char similar_reply[] =
    "{\"type\":\"object\",\"required\":[\"id\",\"model\",\"dimension\",\"similar\"],\"properties\":{\"id\":{\"type\":\"string\"},"
    "\"model\":{\"type\":\"string\",\"description\":\"Whose vectors were compared\"},\"dimension\":{\"type\":\"integer\"},"
    "\"similar\":{\"type\":\"array\",\"description\":\"Nearest first, the passage itself left out\",\"items\":{\"type\":\"object\","
    "\"required\":[\"id\",\"document_id\",\"content\",\"score\"],\"properties\":{\"id\":{\"type\":\"string\"},"
    "\"document_id\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},\"heading\":{\"type\":\"string\"},"
    "\"content\":{\"type\":\"string\"},\"page\":{\"type\":\"integer\"},\"start_byte\":{\"type\":\"integer\"},"
    "\"end_byte\":{\"type\":\"integer\"},\"metadata\":{\"type\":\"object\"},\"content_type\":{\"type\":\"string\"},"
    "\"score\":{\"type\":\"number\",\"description\":\"Cosine\"}}}}}}";

static const char feedback_schema[] =
    "{\"type\":\"object\",\"required\":[\"query_id\",\"result_id\",\"event\"],\"additionalProperties\":false,\"properties\":{"
    "\"query_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128},"
    "\"result_id\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":128},"
    "\"event\":{\"type\":\"string\",\"enum\":[\"click\",\"impression\",\"dismiss\"]}}}";

const struct route search_routes[] = {
    { "POST", "/api/v1/coaching/search", RIGHT_ASK, LIMIT_REQUEST_BODY_BYTES, search_schema, post_search,
      "Find the passages of the knowledge nearest to a query", "arc", ROUTE_DEADLINE, NULL, NULL, NULL },
    { "GET", "/api/v1/chunks/{id}/similar", RIGHT_ASK, 0,
      URL_QUERY("\"k\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":5}," QUERY_TEXT("type") "," QUERY_TEXT("user_id")), get_similar,
      "The passages nearest in meaning to one that is there (?k=, ?type=, ?user_id=)", "rag", 0, "rag", similar_reply, NULL },
    { "POST", "/api/v1/search/feedback", RIGHT_ASK, 4096, feedback_schema, post_feedback,
      "Record that a search result was shown, opened or dismissed", "rag", 0, "rag", NULL, NULL },
    { 0 },
};
