/* coaching/cover.h — does the evidence cover the question? Decided before a word is generated. Pure. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_COACHING_COVER_H
#define CHIRON_COACHING_COVER_H
#include "coaching/evidence.h"

struct cover {
    float cos_passage;     /* best cosine of a used passage to the question, 0 when none */
    float cos_sentence;    /* best cosine of a sentence */
    float words_best;      /* weighted share of the question's terms in the best passage */
    float words_sentence;  /* … in the best sentence with its heading */
    float words_found;     /* … in everything that was found */
    float stands_out;      /* best passage cosine above the mean of the others found: a language or style that the encoder
                            * finds similar everywhere does not stand out */
    float sentence_out;    /* the same for sentences */
    float section;         /* how well a section's name is what was asked */
    float relevance;       /* of the best sentence */
    float unknown;         /* weight of the rarest question term found nowhere, 0..1 */
    float probability;     /* that the answer stands in the evidence, 0..1 */
};
void cover_judge(const struct evidence *ev, struct cover *out);
#define COVER_LEAST 0.5f   /* probability from which a question counts as covered */
#endif
