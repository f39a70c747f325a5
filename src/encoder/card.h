/* encoder/card.h — what a model's folder says about it: sizes, pooling, prefixes, lengths, letters. Plain data; any thread.
 *     struct card card;
 *     e = card_read(c, folder, &card);
 *     if (card.pooling == CARD_FIRST) …                                                                    */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_CARD_H
#define CHIRON_ENCODER_CARD_H
#include "encoder/encoder.h"

enum { CARD_PREFIX_BYTES = 512 };
enum card_pooling { CARD_MEAN, CARD_FIRST };
struct card {
    int   hidden, layers, heads, head_dim, inner, positions, vocabulary, token_types;
    float norm_eps;
    bool  cross_encoder;             /* architectures: …ForSequenceClassification, it scores pairs and makes no vectors */
    enum card_pooling pooling;
    bool  normalised;                /* the folder makes unit vectors itself; the product's are unit in either case */
    int   max_tokens;                /* of a text with its special tokens; 2 at least, at most positions */
    bool  lower_case, strip_accents, split_chinese;   /* what WordPiece does to letters first */
    bool  letters_said;              /* tokenizer_config.json says so; else tokenizer.json may */
    char  prefix[ENCODER_KINDS][CARD_PREFIX_BYTES];   /* by enum encoder_kind; "" when there is none */
};

/* Reads config.json, and when they are there modules.json, the pooling's config.json, config_sentence_transformers.json,
 * sentence_bert_config.json, tokenizer_config.json and chiron.json, the product's own file for what model cards say in prose
 * only: {"query_prefix": text, "passage_prefix": text, "max_tokens": 2.., "pooling": "mean" | "cls"}, each optional and
 * each stronger than the other files. ERR_NOT_FOUND: no config.json; ERR_CORRUPT names the file and what in it cannot be
 * used: a size, an architecture, a pooling, a step after it, a similarity that is no cosine. */
MUST_CHECK enum err card_read(struct call *c, const char *folder, struct card *out);
const char *card_pooling_name(enum card_pooling p);    /* "mean", "cls" */
#endif
