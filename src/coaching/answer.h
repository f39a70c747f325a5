/* coaching/answer.h — the answer while it is made: pieces go in, checked sentences with citations come out, to the sink
 * and into the text. One turn, one thread.
 *     struct answer a; answer_init(&a, c, &ev, sink);
 *     e = models_generate(c, &prompt, answer_delta, &a, &g);
 *     if (!e) e = answer_finish(&a);
 *     answer_dispose(&a);                                                                                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_ANSWER_H
#define CHIRON_COACHING_ANSWER_H
#include "base/buf.h"
#include "coaching/evidence.h"
#include "coaching/trace.h"

#define ANSWER_SENTENCES_MAX 64
#define ANSWER_CITATIONS_MAX 32

struct answer {
    struct call            *c;
    const struct evidence  *ev;
    const struct turn_sink *sink;           /* may be NULL */
    struct buf              text;           /* what was said */
    struct buf              pending;        /* from a language model, not yet a whole sentence */
    struct citation         cites[ANSWER_CITATIONS_MAX];
    int                     cite_last[ANSWER_CITATIONS_MAX];   /* the evidence sentence each ends with */
    int                     cite_count;
    struct trace_sentence   record[ANSWER_SENTENCES_MAX];
    int                     record_count;
    int                     kept, dropped;
    float                   support_sum;    /* over kept */
    bool                    refused;        /* the model says the passages do not answer */
    bool                    last_item;
    enum err                e;              /* first error of the sink or a check */
    int64_t                 check_us;
};
void answer_init(struct answer *a, struct call *c, const struct evidence *ev, const struct turn_sink *sink);
void answer_dispose(struct answer *a);
/* delta_fn of models.h; arg is the answer. */
bool answer_delta(void *arg, const char *text, size_t n, int sentence);
/* Checks what is pending; gives the first error there was. */
MUST_CHECK enum err answer_finish(struct answer *a);
/* Words of the coach that quote nothing. */
MUST_CHECK enum err answer_say(struct answer *a, const char *words);
/* "I don't have that", with what is nearest as citations. */
MUST_CHECK enum err answer_unknown(struct answer *a, const char *language);
#endif
