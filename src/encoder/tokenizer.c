/* SPDX-License-Identifier: MIT */
/* The one door to the tokenizers: which one a folder holds is found out here, and callers never ask. It knows nothing of
 * how a text is cut. */
#include "encoder/tokenizer.h"

#include <assert.h>
#include <stdlib.h>

#include "encoder/wordpiece.h"

struct tokenizer {
    struct wordpiece *words;
};

struct tokenizer *tokenizer_of_words(struct wordpiece *w)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->words = w;
    return t;
}

enum err tokenizer_load(struct call *c, const char *folder, const struct card *card, struct tokenizer **out)
{
    struct wordpiece *w = NULL;
    (void)card;
    enum err e = wordpiece_load(c, folder, &w);
    if (!e) *out = tokenizer_of_words(w);
    return e;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    wordpiece_free(t->words);
    free(t);
}

int tokenizer_size(const struct tokenizer *t) { return wordpiece_size(t->words); }

const char *tokenizer_kind(const struct tokenizer *t)
{
    (void)t;
    return "WordPiece";
}

struct tokenizer_frame tokenizer_frame(const struct tokenizer *t) { return wordpiece_frame(t->words); }

int tokenizer_ids(const struct tokenizer *t, const char *text, size_t len, int32_t *ids, int max)
{
    return wordpiece_ids(t->words, text, len, ids, max);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, int32_t *ids, int max_ids)
{
    assert(max_ids >= 2);
    struct tokenizer_frame f = tokenizer_frame(t);
    int                    n = tokenizer_ids(t, text, len, ids + 1, max_ids - 2);
    ids[0] = f.begin;
    ids[n + 1] = f.end;
    return n + 2;
}

int tokenizer_spans(const struct tokenizer *t, const char *text, size_t len, uint32_t *offsets_out, int max)
{
    return wordpiece_spans(t->words, text, len, offsets_out, max);
}
