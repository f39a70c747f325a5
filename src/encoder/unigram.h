/* encoder/unigram.h — SentencePiece's Unigram tokenizer as tokenizer.json holds it, behind tokenizer.h: of all ways to cut
 * a word into the vocabulary's pieces the likeliest. Read-only once made; any thread.
 *     struct unigram *u;
 *     e = unigram_read(c, root, &u);  …  unigram_free(u);                                                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_UNIGRAM_H
#define CHIRON_ENCODER_UNIGRAM_H
#include "base/json.h"
#include "encoder/tokenizer.h"

/* A longer word (a text without spaces) is cut there, and each part on its own. */
enum { UNIGRAM_WORD_BYTES = 4096, UNIGRAM_PIECE_BYTES = 255, UNIGRAM_PIECES_MAX = 1000000 };

struct unigram;
/* root: a tokenizer.json whose model is Unigram; it may be freed afterwards. Known are the normalizers of spmchars.h, the
 * pre-tokenizers WhitespaceSplit and Metaspace, the post-processors TemplateProcessing, BertProcessing and
 * RobertaProcessing. ERR_CORRUPT: any other, a piece twice, too long or without a finite score, no unknown piece, special
 * tokens that are not in the vocabulary. */
MUST_CHECK enum err unigram_read(struct call *c, const json_t *root, struct unigram **out);
void unigram_free(struct unigram *u);               /* NULL allowed */
int  unigram_size(const struct unigram *u);         /* ids are below it */
struct tokenizer_frame unigram_frame(const struct unigram *u);
/* As tokenizer_ids and tokenizer_spans: ids_out or offsets_out may be NULL. Bytes that are not UTF-8 are passed over. */
int unigram_cut(const struct unigram *u, const char *text, size_t len, int32_t *ids_out, uint32_t *offsets_out, int max);
#endif
