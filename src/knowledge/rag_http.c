/* knowledge/rag_http.c — the retrieval service's surface (RAG-004 … RAG-014, RAG-022), in the words its callers know:
 * sources outward, content types inside. Callers of the earlier service may send fields that this one does not read, so
 * unknown members are let through here. It refuses to store or embed personal data: text is masked first (RAG-027). */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "accounts/accounts.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mask.h"
#include "encoder/encoder.h"
#include "knowledge/content.h"
#include "knowledge/embed.h"
#include "knowledge/feedback.h"
#include "knowledge/rerank.h"
#include "knowledge/search.h"
#include "knowledge/search_http.h"
#include "knowledge/search_store.h"
#include "knowledge/tokens.h"

#define CONTEXT_MIN_COSINE 0.25f   /* unrelated text lies below this with the default model; related text above */
#define CONTEXT_WEAK_COSINE 0.22f  /* a word in common does not save what means something else altogether (CRE-027) */

/* RAG-008: one source may stand for several stored types. */
static const struct { const char *source, *type; } sources[] = {
    { "workouts", "workout" },       { "nutrition", "nutrition" },     { "goals", "goal" },
    { "activities", "progress" },    { "activities", "conversation" }, { "knowledge", "document" },
};
enum { SOURCES = sizeof sources / sizeof *sources };

static const char *source_of(const char *type)
{
    for (int i = 0; i < SOURCES; i++)
        if (!strcmp(sources[i].type, type)) return sources[i].source;
    return type;
}

static enum err user_of(struct req *r, const char **out)
{
    enum err e = search_creator_check(r);
    return e ? e : user_check(&r->call, "user_id", json_get_text(r->json, "user_id", ""), out);
}

/* ---- embeddings ---- */

/* "text" or "texts", masked. */
static enum err texts_of(struct req *r, const char ***texts_out, int *n_out, bool *list_out)
{
    struct call *c = &r->call;
    const json_t *one = json_object_get(r->json, "text"), *many = json_object_get(r->json, "texts");
    if (!one == !many) return fail_field(c, "text", "give text or texts, one of them");
    int n = one ? 1 : (int)json_array_size(many);
    const char **texts = arena_array(&c->mem, (size_t)n, sizeof *texts);
    for (int i = 0; i < n; i++) {
        const char *t = json_string_value(one ? one : json_array_get(many, (size_t)i));
        if (t[strspn(t, " \t\r\n")] == 0) return fail_field(c, one ? "text" : arena_printf(&c->mem, "texts[%d]", i), "it is empty");
        int masked = 0;
        texts[i] = mask_pii(c, t, strlen(t), &masked);
    }
    *texts_out = texts;
    *n_out = n;
    *list_out = !one;
    return OK;
}

static enum err metadata_of(struct req *r, const char **out)
{
    struct call *c = &r->call;
    const json_t *meta = json_object_get(r->json, "metadata");
    *out = "{}";
    if (!meta) return OK;
    struct buf b;
    buf_init(&b, LIMIT_METADATA_BYTES);
    struct json_out j;
    json_out_init(&j, &b);
    json_put_value(&j, NULL, meta);
    bool failed = b.failed;
    if (!failed) *out = arena_strdup(&c->mem, b.data);
    buf_dispose(&b);
    return failed ? fail_field(c, "metadata", "it has at most %d bytes", LIMIT_METADATA_BYTES) : OK;
}

static void put_vector(struct json_out *j, const char *name, const float *v, int dim)
{
    json_begin_array(j, name);
    for (int i = 0; i < dim; i++) json_put_float(j, NULL, v[i]);
    json_end(j);
}

/* What is kept will be searched, and so is a passage. */
static enum err kind_of(struct req *r, bool stored, enum encoder_kind *out)
{
    const char *said = json_get_text(r->json, "input_type", stored ? "passage" : "");
    *out = !strcmp(said, "query") ? ENCODER_QUERY : !strcmp(said, "passage") ? ENCODER_PASSAGE : ENCODER_PLAIN;
    if (stored && *out == ENCODER_QUERY)
        return fail_field(&r->call, "input_type", "a query is not kept as content: send \"store\": false with it");
    return OK;
}

static enum err post_embeddings(struct req *r)
{
    struct call *c = &r->call;
    const char *user = NULL, **texts = NULL;
    struct content_kept k = { .ids = NULL };
    struct content in = { .content_type = json_get_text(r->json, "content_type", "") };
    enum encoder_kind kind = ENCODER_PASSAGE;
    bool list = false, store = json_get_bool(r->json, "store", true);
    enum err e = user_of(r, &user);
    if (!e) e = texts_of(r, &texts, &in.n, &list);
    if (!e) e = metadata_of(r, &in.metadata);
    if (!e) e = kind_of(r, store, &kind);
    in.user_id = user;
    in.texts = texts;
    if (!e) e = store ? content_keep(c, &in, &k) : embed_texts(c, kind, texts, NULL, in.n, &k.v, &k.dim, &k.model);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    if (list) {
        json_begin_array(j, "embeddings");
        for (int i = 0; i < in.n; i++) put_vector(j, NULL, k.v + (size_t)i * (size_t)k.dim, k.dim);
        json_end(j);
        if (k.ids) json_begin_array(j, "ids");
        for (int i = 0; k.ids && i < in.n; i++) json_put_text(j, NULL, k.ids[i]);
        if (k.ids) json_end(j);
    } else {
        put_vector(j, "embedding", k.v, k.dim);
        if (k.ids) json_put_text(j, "id", k.ids[0]);
    }
    json_put_int(j, "dimension", k.dim);
    json_put_text(j, "model", k.model);
    json_end(j);
    return OK;
}

/* ---- search ---- */

static enum err post_hybrid(struct req *r)
{
    struct call *c = &r->call;
    const json_t *alpha = json_object_get(r->json, "alpha");
    struct search_opts o = {
        .k = (int)json_get_int(r->json, "limit", 10), .threshold = (float)json_get_real(r->json, "threshold", 0),
        .alpha = alpha ? (float)json_number_value(alpha) : 0, .alpha_set = alpha != NULL, .filter = json_object_get(r->json, "filter"),
    };
    struct passage *p = NULL;
    struct search_info info;
    int n = 0;
    enum err e = user_of(r, &o.user_id);
    if (!e) e = search_mode_read(c, "search_type", json_get_text(r->json, "search_type", "hybrid"), &o.mode);
    if (!e) e = search_rerank_read(c, json_object_get(r->json, "rerank"), &o);
    if (!e) e = search_text(c, json_get_text(r->json, "query", ""), &o, &p, &n, &info);
    if (e) return e;
    const char *query_id = feedback_begin(c, "rag", &info, p, n, -1);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "results");
    for (int i = 0; i < n; i++) {
        char when[25];
        json_begin_object(j, NULL);
        json_put_text(j, "id", p[i].chunk_id);
        json_put_text(j, "content", p[i].text);
        json_put_float(j, "score", p[i].score);
        json_put_text(j, "type", p[i].content_type);
        json_put_raw(j, "metadata", p[i].metadata, strlen(p[i].metadata));
        json_put_text(j, "source", source_of(p[i].content_type));
        json_put_text(j, "content_type", p[i].content_type);
        json_put_float(j, "relevance_score", p[i].score);
        if (p[i].score_rerank >= 0) json_put_float(j, "rerank_score", p[i].score_rerank);
        json_put_text(j, "timestamp", clock_iso(p[i].created_ms, when));
        json_put_text(j, "document_id", p[i].document_id);
        json_put_text(j, "title", p[i].title);
        json_put_int(j, "page", p[i].page);
        json_end(j);
    }
    json_end(j);
    json_put_text(j, "query_id", query_id);
    json_put_text(j, "strategy", info.strategy);
    if (info.corrected) json_put_text(j, "corrected", info.corrected);
    search_rerank_put(j, &info.rerank);
    json_put_degraded(j, c->degrades, c->degrade_count);
    json_end(j);
    return OK;
}

/* ---- rerank ---- */

static enum err post_rerank(struct req *r)
{
    struct call *c = &r->call;
    const json_t *list = json_object_get(r->json, "candidates");
    const char *query = json_get_text(r->json, "query", ""), *user = NULL;
    int n = (int)json_array_size(list), top = (int)json_get_int(r->json, "top_k", n);
    struct reranked ranked;
    enum err e = user_of(r, &user);
    if (e) return e;
    if (query[strspn(query, " \t\r\n")] == 0) return fail_field(c, "query", "the query is empty");
    if (strlen(query) > LIMIT_QUERY_BYTES) return fail(c, ERR_TOO_LARGE, "a query has at most %d bytes", LIMIT_QUERY_BYTES);
    const char **texts = arena_array(&c->mem, (size_t)n, sizeof *texts);
    for (int i = 0; i < n; i++) texts[i] = json_string_value(json_array_get(list, (size_t)i));
    e = rerank_texts(c, query, texts, n, &(struct rerank_opts){ .top = top, .always = true }, &ranked);
    if (e) return e;
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "reranked");
    for (int i = 0; i < n && i < top; i++) {
        int  at = ranked.order[i];
        bool scored = ranked.scores[at] >= 0;
        json_begin_object(j, NULL);
        json_put_text(j, "content", texts[at]);
        json_put_float(j, "relevance_score", scored ? ranked.scores[at] : 0);
        json_put_int(j, "original_rank", at);
        if (!scored) json_put_bool(j, "scored", false);
        if (scored && ranked.logits) json_put_float(j, "logit", ranked.logits[at]);
        json_end(j);
    }
    json_end(j);
    json_put_text(j, "method", ranked.method);
    if (ranked.model) json_put_text(j, "model", ranked.model);
    json_put_int(j, "scored", ranked.scored);
    json_put_int(j, "of", ranked.of);
    if (ranked.fell_back_why) json_put_text(j, "fell_back_why", ranked.fell_back_why);
    json_put_degraded(j, c->degrades, c->degrade_count);
    json_end(j);
    return OK;
}

/* ---- context for an answer ---- */

/* The stored types behind the listed names, NULL-ended; either kind of name is accepted. NULL: all. */
static const char *const *types_of(struct call *c, const json_t *list)
{
    if (!list) return NULL;
    size_t n = json_array_size(list), k = 0;
    const char **types = arena_array(&c->mem, n * 2 + 1, sizeof *types);
    for (size_t i = 0; i < n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        size_t before = k;
        for (int s = 0; s < SOURCES; s++)
            if (!strcmp(sources[s].source, name)) types[k++] = sources[s].type;
        if (k == before) types[k++] = arena_strdup(&c->mem, name);
    }
    return types;
}

/* What a search found although it means something else is no context. Without vectors there is nothing to judge by. */
static int keep_related(struct passage *p, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++)
        if (p[i].score_cos < -1.5f || p[i].score_cos >= CONTEXT_WEAK_COSINE) p[kept++] = p[i];
    return kept;
}

static enum err post_query(struct req *r)
{
    struct call *c = &r->call;
    int64_t start = clock_mono_us();
    struct search_opts o = { .k = (int)json_get_int(r->json, "max_context_items", 5), .min_cosine = CONTEXT_MIN_COSINE,
                             .types = types_of(c, json_object_get(r->json, "include_context")) };
    struct passage *p = NULL;
    struct search_info info;
    int n = 0, tokens = 0;
    enum err e = user_of(r, &o.user_id);
    if (!e) e = search_rerank_read(c, json_object_get(r->json, "rerank"), &o);
    if (!e) e = search_text(c, json_get_text(r->json, "query", ""), &o, &p, &n, &info);
    if (e) return e;
    int span = span_begin(c, "context");
    n = keep_related(p, n);
    for (int i = 0; i < n; i++) tokens += tokens_of(c, p[i].chunk_id, p[i].text);
    span_end(c, span);
    const char *query_id = feedback_begin(c, "rag", &info, p, n, tokens);
    struct json_out *j = reply_json(r, 200);
    json_begin_object(j, NULL);
    json_begin_array(j, "context");
    for (int i = 0; i < n; i++) {
        json_begin_object(j, NULL);
        json_put_text(j, "source", source_of(p[i].content_type));
        json_put_text(j, "content", p[i].text);
        json_put_float(j, "relevance", p[i].score);
        if (p[i].score_rerank >= 0) json_put_float(j, "rerank_score", p[i].score_rerank);
        json_put_text(j, "id", p[i].chunk_id);
        json_put_text(j, "document_id", p[i].document_id);
        json_put_text(j, "title", p[i].title);
        json_put_int(j, "page", p[i].page);
        json_put_raw(j, "metadata", p[i].metadata, strlen(p[i].metadata));
        json_end(j);
    }
    json_end(j);
    json_begin_array(j, "embeddings_used");
    if (info.model) json_put_text(j, NULL, info.model);
    json_end(j);
    json_put_text(j, "search_strategy", info.strategy);
    if (info.corrected) json_put_text(j, "corrected", info.corrected);
    search_rerank_put(j, &info.rerank);
    json_put_degraded(j, c->degrades, c->degrade_count);
    json_put_text(j, "query_id", query_id);
    json_put_int(j, "total_tokens", tokens);
    json_put_real(j, "processing_time_ms", (double)(clock_mono_us() - start) / 1000);
    json_end(j);
    return OK;
}

/* ---- rows ---- */

#define USER_ID "\"user_id\":{\"type\":\"string\",\"description\":\"The caller, or whom the caller may act as\"}"
#define QUERY   "\"query\":{\"type\":\"string\",\"minLength\":1}"

static const char embeddings_schema[] =
    "{\"type\":\"object\",\"required\":[\"user_id\",\"content_type\"],\"properties\":{" USER_ID ","
    "\"text\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":32768},"
    "\"texts\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":2048,\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":32768}},"
    "\"content_type\":{\"type\":\"string\",\"enum\":[\"workout\",\"goal\",\"conversation\",\"progress\",\"nutrition\"]},"
    "\"metadata\":{\"type\":\"object\"},"
    "\"input_type\":{\"type\":\"string\",\"enum\":[\"query\",\"passage\"],\"description\":\"What the texts are to the model; left out: a passage when it is kept, else neither\"},"
    "\"store\":{\"type\":\"boolean\",\"default\":true,\"description\":\"Keep it as searchable content of the user\"}}}";

static const char hybrid_schema[] =
    "{\"type\":\"object\",\"required\":[\"query\",\"user_id\"],\"properties\":{" QUERY "," USER_ID "," DEADLINE_MEMBERS ","
    "\"search_type\":{\"type\":\"string\",\"enum\":[\"semantic\",\"keyword\",\"hybrid\"],\"default\":\"hybrid\"},"
    "\"limit\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":10},"
    "\"threshold\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0},"
    "\"alpha\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1,\"default\":0.5}," SEARCH_RERANK_MEMBER ","
    "\"filter\":{\"type\":\"object\",\"description\":\"Equality on metadata; a list means any of\"}}}";

static const char rerank_schema[] =
    "{\"type\":\"object\",\"required\":[\"query\",\"candidates\",\"user_id\"],\"properties\":{" QUERY "," USER_ID "," DEADLINE_MEMBERS ","
    "\"candidates\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":200,\"items\":{\"type\":\"string\",\"maxLength\":32768}},"
    "\"top_k\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":200}}}";

static const char query_schema[] =
    "{\"type\":\"object\",\"required\":[\"query\",\"user_id\"],\"properties\":{" QUERY "," USER_ID "," DEADLINE_MEMBERS ","
    "\"include_context\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":16,\"items\":{\"type\":\"string\",\"enum\":[\"workouts\",\"nutrition\","
    "\"goals\",\"activities\",\"knowledge\",\"workout\",\"goal\",\"progress\",\"conversation\",\"document\"]}},"
    SEARCH_RERANK_MEMBER ",\"max_context_items\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":100,\"default\":5}}}";

const struct route rag_routes[] = {
    { "POST", "/api/v1/embeddings/generate", RIGHT_ASK, LIMIT_REQUEST_BODY_BYTES, embeddings_schema, post_embeddings,
      "Embed one text or many, and keep them as the user's content", "rag", ROUTE_IGNORE_UNKNOWN, "rag", NULL, NULL },
    { "POST", "/api/v1/search/hybrid", RIGHT_ASK, LIMIT_REQUEST_BODY_BYTES, hybrid_schema, post_hybrid,
      "Search by meaning, by words, or both", "rag", ROUTE_IGNORE_UNKNOWN | ROUTE_DEADLINE, "rag", NULL, NULL },
    { "POST", "/api/v1/rerank", RIGHT_ASK, LIMIT_REQUEST_BODY_BYTES, rerank_schema, post_rerank,
      "Order candidate texts by relevance to a query", "rag", ROUTE_IGNORE_UNKNOWN | ROUTE_DEADLINE, "rag", NULL, NULL },
    { "POST", "/api/v1/rag/query", RIGHT_ASK, LIMIT_REQUEST_BODY_BYTES, query_schema, post_query,
      "Context for an answer: the passages that bear on a query", "rag", ROUTE_IGNORE_UNKNOWN | ROUTE_DEADLINE, "rag", NULL, NULL },
    { 0 },
};
