/* coaching/trace.h — the record of a turn: why this answer. Written once as JSON, shown as it was written. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_TRACE_H
#define CHIRON_COACHING_TRACE_H
#include "base/json.h"
#include "coaching/cover.h"

struct trace_sentence {
    const char *text;
    int         passage;      /* from 1; 0 none */
    float       support;
    bool        kept;
    const char *why;
};
struct trace {
    const struct turn     *turn;
    const struct turn_in  *in;
    const char            *searched;      /* the text that was searched for */
    const char            *coach_id;
    int64_t                created_ms;
    const struct evidence *ev;            /* NULL when the turn ended before the search was done */
    const struct search_info *info;       /* with ev */
    const struct cover    *cover;         /* with ev */
    const struct trace_sentence *sentences;
    int                    sentence_count;
    const char            *ended;         /* NULL: in full; else why it ended early */
    double                 check_ms;      /* spent on checking while generating */
    int64_t                start_us;      /* monotonic, when the turn began */
    int                    span_first;    /* first span of the call that belongs to the turn */
};
/* Whose turn it is: the user's, else the member's own by their account, "": nobody's. */
const char *trace_owner(const struct call *c);
/* JSON in c->mem. */
const char *trace_write(struct call *c, const struct trace *t);
/* One citation as an object, without end: for traces and replies alike. */
void citation_write(struct json_out *j, const char *name, const struct citation *k);
void turn_write(struct json_out *j, const char *name, const struct turn *t);
#endif
