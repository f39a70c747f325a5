/* models/extractive.h — the rung without a language model: which of the given sentences are the answer, in which order.
 * Pure: the same prompt gives the same choice. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_MODELS_EXTRACTIVE_H
#define CHIRON_MODELS_EXTRACTIVE_H
#include "models/models.h"

#define EXTRACTIVE_SENTENCES_MAX 10  /* list items count too */
/* Indices into p->sentences in the order to say them; count, 0 when none is good enough. */
int extractive_choose(const struct prompt *p, int out[EXTRACTIVE_SENTENCES_MAX]);
#endif
