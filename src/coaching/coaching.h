/* coaching/coaching.h — one turn: a message in, a grounded, cited, checked answer out.
 *     struct turn t;
 *     e = coaching_turn(c, &(struct turn_in){ .question = "How often should I train?" }, NULL, &t);
 *     puts(t.answer);
 * Stages, in order, are spans of the call and part of the trace: query, embed, search, context, generate, check.  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_COACHING_H
#define CHIRON_COACHING_COACHING_H
#include "base/call.h"
#include "base/conf.h"

extern const struct setting coaching_settings[];

struct coach {                  /* a persona of the creator; first form: one per creator, id "coach" */
    const char *id, *name, *description, *language;   /* language: default "en" */
    const char *expertise, *method, *style;           /* for the prompt */
    int64_t     created_ms;                           /* unix; ignored by coach_put */
};
/* NULL: the creator's first coach, made with default values when there is none. ERR_NOT_FOUND: no such id. */
MUST_CHECK enum err coach_get(struct call *c, const char *id_or_null, struct coach *out);
/* id NULL: "coach"; other NULL members become "" (language "en"). ERR_INVALID: empty name, a text too long. */
MUST_CHECK enum err coach_put(struct call *c, const struct coach *coach);

struct turn_in {
    const char *question;       /* 1..LIMIT_QUERY_BYTES */
    const char *coach_id;       /* NULL: the creator's first */
    const char *conversation_id;/* NULL: a new one */
    int         k;              /* passages, 0: 6 */
    const char *const *types;   /* content types, NULL all */
    double      temperature;    /* < 0, and 0 when !temperature_set: default */
    bool        temperature_set;
    int         max_tokens;     /* 0 default */
    const struct said *history; /* earlier messages the caller holds, oldest first; NULL: those of conversation_id */
    int         history_count;
};
struct said { const char *role, *text; };   /* role: "user" or "assistant" */
struct citation {
    int         number;         /* from 1, as in the answer's [n] */
    const char *document_id, *title, *heading, *chunk_id;
    int         page;           /* 0: no pages */
    int64_t     start_byte, end_byte;  /* in the document's extracted text: exactly `text` */
    const char *text;           /* the words that support the answer */
    float       score;          /* 0..1 */
    int         answer_start, answer_end;  /* bytes of the supported sentence in the answer */
};
struct turn {
    const char      *id;        /* "turn_…" */
    const char      *conversation_id;
    const char      *answer;    /* UTF-8, sentences end with [n] markers */
    const char      *language;
    bool             covered;   /* false: an honest "not in my material" */
    const char      *step;      /* degrade step used: "full", "extractive", "unknown"; "greeting": small talk */
    float            confidence;/* 0..1 (CRE-035) */
    struct citation *citations; /* of the answer; of a refusal: what is nearest */
    int              citation_count;
    const char      *provider, *model, *strategy;
    int              prompt_tokens, completion_tokens;
    bool             fell_back; const char *fell_back_why;
    const struct degrade *degrades; int degrade_count;   /* what was not done in full, in order; the call's */
    int              dropped;   /* sentences that failed the check */
    double           took_ms;
};
/* Called per checked sentence, in order, while the answer is being made: the texts joined are the answer. A citation that
 * came before comes again with a wider span when the sentence continues its words. An error from it ends the turn; the
 * turn then returns OK with what was said when the error is ERR_CANCELLED while c->stop is not set (the caller has enough). */
struct turn_sink {
    enum err (*sentence)(void *arg, const char *text, size_t n, const struct citation *cites, int cite_count);
    void *arg;
};
/* sink may be NULL. The trace is stored before the function returns. ERR_INVALID: empty question; ERR_TOO_LARGE;
 * ERR_NOT_FOUND: no such coach; ERR_CANCELLED: the client went (the trace says so). A provider failing is not an error:
 * the answer is extractive then and fell_back is set. Nor is the call's deadline: less is done as it comes near, and past it the
 * answer is what was said by then or an honest "not in time"; degrades says which. */
MUST_CHECK enum err coaching_turn(struct call *c, const struct turn_in *in, const struct turn_sink *sink, struct turn *out);

/* The stored trace as JSON text in c->mem: question, answer, spans, passages with ranks and scores of both legs, what was
 * used and what dropped and why, provider, model, tokens. ERR_NOT_FOUND also for another user's. */
MUST_CHECK enum err trace_get(struct call *c, const char *turn_id, const char **json_out);
MUST_CHECK enum err trace_list(struct call *c, int max, const char **json_array_out);
#endif
