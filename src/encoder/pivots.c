/* SPDX-License-Identifier: MIT */
/* Large channels are a trait of the trained model and hardly of the text, so that a few sentences find them; they are
 * run through the int8 model itself, which is near enough for that. A channel counts by the sum of its squares;
 * higher powers, which see only the few largest numbers, made the vectors of very short texts worse. */
#include "encoder/pivots.h"

#include <stdlib.h>
#include <string.h>

#include "encoder/encode.h"
#include "encoder/tokenizer.h"

static const char *const sentences[] = {
    "",
    "Lie on the floor with your knees bent and your feet flat. Breathe out, lift your shoulders slowly, and hold for 3 seconds.",
    "How many times a week should I run?",
    "The committee, which met on Tuesday, said that prices rose by 4.5 % in 2023; nobody had expected it (\"a surprise\").",
    "e-mail: someone@example.com - https://example.com/a?b=1",
    "What is the best way to learn a language? Practice every day, even if it is only for ten minutes!",
    "x",
};
enum { SENTENCES = sizeof sentences / sizeof *sentences, IDS_MAX = 64 };

/* Σ x² by layer, plan and channel. */
struct tally {
    const struct weights *w;
    double               *sum;
    size_t                widest;
};

static double *tally_of(const struct tally *t, int layer, int plan) { return t->sum + (size_t)(layer * PLAN_COUNT + plan) * t->widest; }

static void see(void *arg, int layer, enum weights_plan plan, const uint8_t *act, const struct kernels_row *row, int rows)
{
    const struct tally *t = arg;
    const int           width = plan == PLAN_DOWN ? t->w->inner : t->w->hidden, pitch = kernels_int8_pitch(width);
    double             *sum = tally_of(t, layer, plan);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < width; i++) {
            const double x = (double)row[r].scale * act[r * pitch + i] + row[r].zero;
            sum[i] += x * x;
        }
}

static void choose(const double *sum, int width, struct kernels_pivots *out)
{
    if (width < KERNELS_INT8_PIVOTS || width > UINT16_MAX) return;
    for (int k = 0; k < KERNELS_INT8_PIVOTS; k++) {
        int best = -1;
        for (int i = 0; i < width; i++) {
            bool taken = false;
            for (int j = 0; j < k; j++) taken |= out->at[j] == i;
            if (!taken && (best < 0 || sum[i] > sum[best])) best = i;
        }
        out->at[k] = (uint16_t)best;
    }
    out->count = KERNELS_INT8_PIVOTS;
}

static int read_sentences(const struct tokenizer *t, const struct weights *w, int32_t *ids, int *lens)
{
    const struct tokenizer_frame frame = tokenizer_frame(t);
    int                          total = 0, most = w->positions < IDS_MAX ? w->positions : IDS_MAX;
    for (int i = 0; i < SENTENCES; i++) {
        int32_t *at = ids + total;
        int      n = most < 2 ? 0 : tokenizer_ids(t, sentences[i], strlen(sentences[i]), at + 1, most - 2);
        at[0] = frame.begin;
        if (most >= 2) at[n + 1] = frame.end;
        lens[i] = most < 2 ? 1 : n + 2;
        for (int k = 0; k < lens[i]; k++)
            if (at[k] < 0 || at[k] >= w->vocabulary) return 0;
        total += lens[i];
    }
    return total;
}

enum err pivots_choose(struct call *c, const char *folder, struct weights *w)
{
    struct precision  p = { .form = FORM_INT8, .k8 = kernels_int8_choose(NULL) };
    struct tokenizer *t = NULL;
    int32_t           ids[SENTENCES * IDS_MAX];
    int               lens[SENTENCES];
    _Static_assert(SENTENCES * IDS_MAX <= ENCODE_PACK_TOKENS, "they are one pack");
    enum err e = tokenizer_load(c, folder, &w->card, &t);
    if (e) return e;
    struct tally tally = { .w = w, .widest = (size_t)(w->inner > w->hidden ? w->inner : w->hidden) };
    tally.sum = calloc((size_t)w->layers * PLAN_COUNT * tally.widest, sizeof *tally.sum);
    float *out = malloc(SENTENCES * (size_t)w->hidden * sizeof *out), *rows[SENTENCES];
    if (!tally.sum || !out) abort();
    for (int i = 0; i < SENTENCES; i++) rows[i] = out + (size_t)i * (size_t)w->hidden;
    /* A vocabulary that does not fit the weights is for the caller to refuse; there is nothing to choose by. */
    if (read_sentences(t, w, ids, lens)) {
        struct encode_seat *s = encode_seat_new(w, &p);
        encode_seat_watch(s, see, &tally);
        if (!encode_pack(s, ids, lens, SENTENCES, rows)) e = fail(c, ERR_INTERNAL, "a matrix product failed");
        encode_seat_free(s);
        for (int layer = 0; layer < w->layers && !e; layer++)
            for (int plan = 0; plan < PLAN_COUNT; plan++)
                if (plan != PLAN_OUT)
                    choose(tally_of(&tally, layer, plan), plan == PLAN_DOWN ? w->inner : w->hidden, w->layer[layer].int8[plan].pivots);
    }
    free(tally.sum);
    free(out);
    tokenizer_free(t);
    return e;
}
