/* knowledge/knowledge.c — what the domain needs before its first call and gives back after its last. It holds no rule. */
/* SPDX-License-Identifier: MIT */
#include "knowledge/knowledge.h"

#include "base/metric.h"
#include "knowledge/collection.h"
#include "knowledge/embed.h"
#include "knowledge/embedder.h"
#include "knowledge/feedback.h"
#include "knowledge/rerank.h"
#include "knowledge/search.h"
#include "knowledge/tokens.h"

#define MIB (1024 * 1024)

const struct setting knowledge_settings[] = {
    { "KNOWLEDGE_INDEX_MIB", "2048", "memory for vectors of all creators, MiB; the least recently used creator goes first",
      SETTING_INT, 1, LIMIT_INDEX_BYTES / MIB },
    { "KNOWLEDGE_QUERY_CACHE", "4096", "results of searches kept in this process", SETTING_INT, 1, 1000000 },
    { "KNOWLEDGE_FEEDBACK", "2", "passages of a hybrid search's first ranking that refine its second; 0: none", SETTING_INT, 0, 20 },
    { "KNOWLEDGE_EMBEDDING_CACHE", "8192", "embeddings of texts kept in this process", SETTING_INT, 1, 1000000 },
    { "KNOWLEDGE_MASK_PII", "user", "mask addresses and numbers of persons before text is stored and embedded: user (a user's own "
      "content), all, none", 0, 0, 0 },
    { "RERANK", "auto", "what looks at a search's best a second time: auto (a cross-encoder when its folder is there, else Cohere when "
      "keyed), cross-encoder, cohere, hybrid (the search's own order), off", 0, 0, 0 },
    { "RERANK_MODEL", "ms-marco-MiniLM-L-6-v2", "name of the cross-encoder's folder, among the model folders; without it there is none", 0,
      0, 0 },
    { "RERANK_DEPTH", "20", "how many of a search's best are re-ranked, 1 to 100", SETTING_INT, 1, LIMIT_SEARCH_K },
    { "RERANK_MS", "250", "most ms that the cross-encoder takes of a search that did not ask for it, 1 to 60000", SETTING_INT, 1, 60000 },
    { "EMBEDDING_CACHE_TTL_SECONDS", "3600", "how long an embedding is kept in either cache", SETTING_INT, 1, 604800 },
    { 0 },
};

static void describe(void)
{
    metric_describe("chiron_embed_seconds", 'h', "Time to turn texts into vectors, caches included.");
    metric_describe("chiron_model_inference_seconds", 'h', "Time an embedding model ran, by kind.");
    metric_describe("chiron_embed_fallback_total", 'c', "Times the second embedding model answered for the first.");
    metric_describe("chiron_embed_known_total", 'c', "Texts to embed whose vector was in the store already.");
    metric_describe("chiron_reindex_running", 'g', "Jobs that make vectors of another model, or missing ones, now.");
    metric_describe("chiron_reindex_remaining", 'g', "Chunks and stored embeddings that still lack their vector, of the last change looked at.");
    metric_describe("chiron_reindex_vectors_total", 'c', "Vectors made by changes of the model.");
    metric_describe("chiron_reindex_switches_total", 'c', "Times a creator's searches changed over to a complete set of vectors.");
    metric_describe("chiron_search_seconds", 'h', "Time of a search, by mode.");
    metric_describe("chiron_search_degraded_total", 'c', "Searches answered by words alone, by reason.");
    metric_describe("chiron_cache_hits_total", 'c', "Values found in a cache.");
    metric_describe("chiron_cache_misses_total", 'c', "Values not found in a cache.");
    metric_describe("chiron_search_clicks_total", 'c', "Search results opened.");
    metric_describe("chiron_search_impressions_total", 'c', "Result lists shown.");
    metric_describe("chiron_search_ctr", 'g', "Clicks per impression since the start.");
    metric_describe("chiron_index_over_bytes", 'g', "How far the index of one creator alone is over the bound; it is searched all the same.");
    metric_describe("chiron_index_evictions_total", 'c', "Times a creator's index left memory for another's.");
    metric_describe("chiron_index_file_seconds", 'h', "Time to write a creator's index file and to use it.");
    metric_describe("chiron_index_bytes", 'g', "Memory of vectors and items of all creators.");
}

enum err knowledge_open(struct call *c)
{
    describe();
    collections_open((size_t)conf_int("KNOWLEDGE_INDEX_MIB") * MIB);
    embed_open((int)conf_int("KNOWLEDGE_EMBEDDING_CACHE"), conf_int("EMBEDDING_CACHE_TTL_SECONDS") * 1000);
    search_open((int)conf_int("KNOWLEDGE_QUERY_CACHE"), (int)conf_int("KNOWLEDGE_FEEDBACK"));
    feedback_open(4096);
    tokens_open(16384);
    return rerank_open(c);
}

void knowledge_models(const char *dir)
{
    embedders_open(dir);
}

void knowledge_close(void)
{
    rerank_close();
    tokens_close();
    feedback_close();
    search_close();
    embed_close();
    embedders_close();
    collections_close();
}
