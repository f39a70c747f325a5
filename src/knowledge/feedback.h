/* knowledge/feedback.h — which results people found worth opening (RAG-028, RAG-030): recent searches are remembered so
 * that a click can be checked against what was really shown. Any thread.                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_FEEDBACK_H
#define CHIRON_KNOWLEDGE_FEEDBACK_H
#include "base/call.h"
#include "knowledge/knowledge.h"

/* Remembers a search that was answered and logs it with its stage times, without its words. Returns the query id, in
 * c->mem. results: the passages shown. tokens: of the context, -1 when none was made. */
const char *feedback_begin(struct call *c, const char *surface, const struct search_info *info, const struct passage *p, int n,
                           int tokens);
/* event: "click", "impression", "dismiss". A second click on the same result changes nothing. ERR_NOT_FOUND: no such
 * recent query of this creator and user; ERR_INVALID: result_id was not among its results. */
MUST_CHECK enum err feedback_record(struct call *c, const char *query_id, const char *result_id, const char *event);
void feedback_open(int queries);
void feedback_close(void);
#endif
