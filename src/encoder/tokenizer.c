/* SPDX-License-Identifier: MIT */
/* The one door to the tokenizers: which one a folder holds is found out here, and callers never ask. It knows nothing of
 * how a text is cut. */
#include "encoder/tokenizer.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "encoder/mapped.h"
#include "encoder/unigram.h"
#include "encoder/wordpiece.h"

enum { FILE_BYTES = 64 * 1024 * 1024 };

struct tokenizer {
    struct wordpiece *words;       /* one of the two */
    struct unigram   *pieces;
};

static struct tokenizer *make(struct wordpiece *w, struct unigram *u)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) abort();
    t->words = w;
    t->pieces = u;
    return t;
}

struct tokenizer *tokenizer_of_words(struct wordpiece *w) { return make(w, NULL); }

enum err tokenizer_read(struct call *c, const char *text, size_t n, struct tokenizer **out)
{
    json_t           *root = NULL;
    struct wordpiece *w = NULL;
    struct unigram   *u = NULL;
    if (n > FILE_BYTES) return fail(c, ERR_CORRUPT, "tokenizer.json: over %d bytes", FILE_BYTES);
    enum err e = json_parse(c, text, n, &root);
    if (e) {
        const char *words = arena_strdup(&c->mem, c->err_text);
        call_forgive(c);
        return fail(c, ERR_CORRUPT, "tokenizer.json: %s", words);
    }
    const char *type = json_get_text(json_object_get(root, "model"), "type", "WordPiece");
    if (!strcmp(type, "WordPiece")) e = wordpiece_read(c, root, n, &w);
    else if (!strcmp(type, "Unigram")) e = unigram_read(c, root, &u);
    else e = fail(c, ERR_CORRUPT, "tokenizer.json: the model %.60s is not known; WordPiece and Unigram are", type);
    json_decref(root);
    /* A large vocabulary's tree is a hundred times a request's memory and is not needed again. */
    malloc_trim(0);
    if (!e) *out = make(w, u);
    return e;
}

enum err tokenizer_load(struct call *c, const char *folder, const struct card *card, struct tokenizer **out)
{
    struct mapped     m;
    struct wordpiece *w = NULL;
    struct tokenizer *t = NULL;
    enum err          e = mapped_open_in(c, folder, "vocab.txt", &m);
    if (!e) {
        e = wordpiece_parse(c, m.data, m.size, &w);
        if (!e) t = make(w, NULL);
    } else if (e == ERR_NOT_FOUND) {
        call_forgive(c);
        e = mapped_open_in(c, folder, "tokenizer.json", &m);
        if (e == ERR_NOT_FOUND) {
            call_forgive(c);
            e = fail(c, ERR_NOT_FOUND, "%s: neither vocab.txt nor tokenizer.json", folder);
        }
        if (e) return e;
        e = tokenizer_read(c, m.data, m.size, &t);
    } else {
        return e;
    }
    mapped_close(&m);
    if (e) return e;
    /* A vocab.txt says nothing of letters; tokenizer.json does, and tokenizer_config.json is stronger. */
    if (w || (t->words && card->letters_said)) wordpiece_letters(t->words, card->lower_case, card->strip_accents, card->split_chinese);
    *out = t;
    return OK;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t) return;
    wordpiece_free(t->words);
    unigram_free(t->pieces);
    free(t);
}

int         tokenizer_size(const struct tokenizer *t) { return t->words ? wordpiece_size(t->words) : unigram_size(t->pieces); }
const char *tokenizer_kind(const struct tokenizer *t) { return t->words ? "WordPiece" : "Unigram"; }

struct tokenizer_frame tokenizer_frame(const struct tokenizer *t)
{
    return t->words ? wordpiece_frame(t->words) : unigram_frame(t->pieces);
}

int tokenizer_ids(const struct tokenizer *t, const char *text, size_t len, int32_t *ids, int max)
{
    return t->words ? wordpiece_ids(t->words, text, len, ids, max) : unigram_cut(t->pieces, text, len, ids, NULL, max);
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
    return t->words ? wordpiece_spans(t->words, text, len, offsets_out, max) : unigram_cut(t->pieces, text, len, NULL, offsets_out, max);
}
