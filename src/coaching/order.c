/* coaching/order.c — which of the passages found become evidence. A document of hundreds of short entries resembles
 * every question a little and would fill the first places alone: an entry of a crowd answers for itself only, so its name
 * should be in the question, and each further passage of one document has to be better than the one before. It refuses
 * nothing for good: where one document is all there is, its passages keep their order among each other. */
/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "coaching/evidence.h"

#define COSINE_SHARE   0.30f    /* beside the combined score, which knows only this search's best and worst */
#define SAME_DOCUMENT  0.05f    /* less for each passage of the document that came before */
#define CROWD_SHARE    0.20f    /* less for one of a crowd that was not named */

float evidence_crowd(const struct passage *passages, int found, int i)
{
    int same = 0;
    for (int k = 0; k < found; k++) same += strcmp(passages[k].document_id, passages[i].document_id) == 0;
    return found > 1 ? (float)(same - 1) / (float)(found - 1) : 0;
}

void evidence_order(struct call *c, const struct terms *asked, struct passage *passages, int found, int use)
{
    float *score = arena_array(&c->mem, (size_t)found + 1, sizeof *score);
    for (int i = 0; i < found; i++) {
        float cosine = passages[i].score_cos > 0 ? passages[i].score_cos : 0;
        const char *name = passage_section(&passages[i]);
        const struct terms words = terms_of(c, name, strlen(name), passages[i].language);
        float crowd = evidence_crowd(passages, found, i) * (1 - terms_share(&words, asked));
        /* A second look saw question and passage together; what had none stands behind what had one. */
        float relevance = passages[i].score_rerank > 0 ? 1 + passages[i].score_rerank : passages[i].score;
        score[i] = relevance + COSINE_SHARE * cosine - CROWD_SHARE * crowd;
    }
    for (int at = 0; at < use && at < found; at++) {
        int best = at;
        for (int i = at + 1; i < found; i++)
            if (score[i] > score[best]) best = i;
        const struct passage p = passages[best];
        memmove(passages + at + 1, passages + at, (size_t)(best - at) * sizeof *passages);
        memmove(score + at + 1, score + at, (size_t)(best - at) * sizeof *score);
        passages[at] = p;
        for (int i = at + 1; i < found; i++)
            if (strcmp(passages[i].document_id, p.document_id) == 0) score[i] -= SAME_DOCUMENT;
    }
}
