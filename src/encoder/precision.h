/* encoder/precision.h — which form and kernels a model runs with, by what was asked for and what the CPU has.
 *     struct precision p;
 *     e = precision_choose(c, ENCODER_AUTO, &p);  e = weights_load(c, folder, p.form, &w);               */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_PRECISION_H
#define CHIRON_ENCODER_PRECISION_H
#include "encoder/encoder.h"
#include "encoder/kernels_int8.h"

struct precision {
    enum form                  form;
    const struct kernels      *k;      /* of f32 and bf16; NULL in int8 */
    const struct kernels_int8 *k8;     /* of int8, else NULL */
};

/* Reads ENCODER_KERNELS. ERR_INVALID: it names no kind, or one whose instructions this CPU lacks. */
MUST_CHECK enum err precision_choose(struct call *c, enum encoder_precision asked, struct precision *out);
const char *precision_name(const struct precision *p);       /* "f32", "bf16", "int8" */
const char *precision_kernels(const struct precision *p);    /* the table's name */
#endif
