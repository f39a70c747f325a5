/* SPDX-License-Identifier: MIT */
/* One place decides form and kernels, for the encoder and the cross-encoder alike. A kind of kernels that was asked for is
 * never replaced by another: who forces one wants to see that one run. A precision alone may fall back, because the
 * same settings serve unlike machines. */
#include "encoder/precision.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"

static const char *const names[] = { [ENCODER_AUTO] = "auto", [ENCODER_F32] = "f32", [ENCODER_BF16] = "bf16", [ENCODER_INT8] = "int8" };

const char *precision_name(const struct precision *p)
{
    return names[p->form == FORM_INT8 ? ENCODER_INT8 : p->form == FORM_BF16 ? ENCODER_BF16 : ENCODER_F32];
}

const char *precision_kernels(const struct precision *p) { return p->k8 ? p->k8->name : p->k->name; }

enum err encoder_precision_parse(struct call *c, const char *text, enum encoder_precision *out)
{
    if (!text || !*text) text = names[ENCODER_AUTO];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcasecmp(text, names[i])) {
            *out = (enum encoder_precision)i;
            return OK;
        }
    return fail_field(c, "ENCODER_PRECISION", "ENCODER_PRECISION is auto, int8, bf16 or f32, not \"%.20s\"", text);
}

enum err precision_choose(struct call *c, enum encoder_precision asked, struct precision *out)
{
    const char *kind = conf_text("ENCODER_KERNELS");
    if (!kind || !*kind || !strcasecmp(kind, "auto")) kind = NULL;
    if (kind && !kernels_kind_known(kind))
        return fail_field(c, "ENCODER_KERNELS", "ENCODER_KERNELS is auto, amx, avx512, avx2 or portable, not \"%.20s\"", kind);
    struct precision p = { .k8 = kernels_int8_choose(kind) };
    if (asked == ENCODER_INT8 || (asked == ENCODER_AUTO && p.k8 && (p.k8->fast || kind))) {
        p.form = FORM_INT8;
    } else {
        p.k8 = NULL;
        p.form = asked == ENCODER_F32 ? FORM_F32 : FORM_BF16;
        p.k = kernels_choose(p.form, kind);
        if (!p.k && p.form == FORM_BF16 && !kind) {
            if (asked == ENCODER_BF16) log_warn(c, "this CPU has no AVX-512 BF16; the encoder runs in f32", NULL);
            p.form = FORM_F32;
            p.k = kernels_choose(FORM_F32, NULL);
        }
    }
    if (p.k || p.k8) {
        *out = p;
        return OK;
    }
    const char *lacks = kernels_kind_lacks(p.form, kind);
    if (!lacks) return fail_field(c, "ENCODER_KERNELS", "ENCODER_KERNELS: there are no %s kernels for %s", kind, precision_name(&p));
    return fail_field(c, "ENCODER_KERNELS", "ENCODER_KERNELS: this CPU has no %s, which %s kernels for %s need", lacks, kind,
                      precision_name(&p));
}
