/* knowledge/search_http.h — what the two route files of search share. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_SEARCH_HTTP_H
#define CHIRON_KNOWLEDGE_SEARCH_HTTP_H
#include "http/http.h"
#include "knowledge/knowledge.h"

extern const struct route search_routes[];
extern const struct route rag_routes[];
/* Member of a search route's schema, read by search_rerank_read. */
#define SEARCH_RERANK_MEMBER \
    "\"rerank\":{\"type\":[\"boolean\",\"integer\"],\"description\":\"Look at the best again with the cross-encoder or Cohere: true, " \
    "false or how many, 0 to 100; left out: when there is one\"}"
MUST_CHECK enum err search_mode_read(struct call *c, const char *field, const char *word, enum search_mode *out);
/* creator_id of the body, when there is one, is the credential's; another's does not exist. */
MUST_CHECK enum err search_creator_check(struct req *r);
#endif
