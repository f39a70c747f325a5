/* encoder/pivots.h — which channels of the activations an int8 model keeps in f32, chosen by what a few plain sentences
 * make of the model.
 *     e = pivots_choose(c, folder, &weights);     // weights filled; sets the pivots of every matrix but attention-out   */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_PIVOTS_H
#define CHIRON_ENCODER_PIVOTS_H
#include "encoder/weights.h"

/* w: in int8, filled, its pivots all zero. Sets where they are, not their weights. About 50 ms for the default model. */
MUST_CHECK enum err pivots_choose(struct call *c, const char *folder, struct weights *w);
#endif
