/* encoder/encoder.h — texts to vectors with a BERT-form sentence encoder (all-MiniLM-L6-v2 by default).
 * A loaded encoder is immutable: any number of threads may use it at once; each keeps its own scratch. Weights are
 * mapped read-only from the model folder and packed once.
 *     struct encoder *enc;
 *     e = encoder_load(c, "models/all-MiniLM-L6-v2", ENCODER_BF16, &enc);
 *     float v[384];  e = encoder_embed(c, enc, texts, NULL, n, v);           // n × dim, unit length
 *     encoder_free(enc);                                                                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_ENCODER_H
#define CHIRON_ENCODER_ENCODER_H
#include <stddef.h>
#include <stdint.h>

#include "base/call.h"
#include "base/conf.h"

extern const struct setting encoder_settings[];

enum encoder_precision { ENCODER_AUTO, ENCODER_F32, ENCODER_BF16, ENCODER_INT8 };
struct encoder;
struct tokenizer;

/* What a text is to the model: some were trained with a prefix before questions, or before what is searched. PLAIN is a
 * text that is neither, as in a comparison of equals. */
enum encoder_kind { ENCODER_PLAIN, ENCODER_QUERY, ENCODER_PASSAGE, ENCODER_KINDS };

/* folder holds model.safetensors, vocab.txt (or tokenizer.json), config.json. ERR_NOT_FOUND names the missing file;
 * ERR_CORRUPT says what is wrong with it (bad header, shape, out of bounds, NaN). Where the CPU has no AVX-512 BF16,
 * bf16 falls back to f32 with a warning and encoder_precision_used says so; ENCODER_AUTO is int8 where that is the
 * fastest, else as bf16. ERR_INVALID: ENCODER_KERNELS names kernels that this CPU has not. Settings are loaded before (ENCODER_THREADS and
 * ENCODER_KERNELS are read here). About 0.1 s for the default model. */
MUST_CHECK enum err encoder_load(struct call *c, const char *folder, enum encoder_precision p, struct encoder **out);
void        encoder_free(struct encoder *e);             /* no thread may be inside; NULL allowed */
int         encoder_dim(const struct encoder *e);        /* 384 */
const char *encoder_name(const struct encoder *e);       /* "all-MiniLM-L6-v2": the folder's last name */
const char *encoder_precision_used(const struct encoder *e);   /* "f32", "bf16", "int8" */
const char *encoder_kernels_used(const struct encoder *e);     /* "amx", "avx512-f32": the table's name */
/* "", auto, f32, bf16, int8 in any case; anything else is a fail_field. */
MUST_CHECK enum err encoder_precision_parse(struct call *c, const char *text, enum encoder_precision *out);

/* n texts (UTF-8; lens NULL: NUL-terminated; invalid bytes are dropped as the reference does) → out[n × dim], row i
 * for text i, unit length. Each text alone decides its vector up to rounding, whatever it is batched with. Token counts
 * after truncation (with [CLS] and [SEP]) go to tokens_out when it is not NULL. Long batches check c between packs. */
MUST_CHECK enum err encoder_embed(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens, int n,
                                  float *out);
MUST_CHECK enum err encoder_embed_counted(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens,
                                          int n, float *out, int *tokens_out);

/* The same with the kind's prefix in front of each text; the prefix counts in the tokens. The others embed PLAIN. */
MUST_CHECK enum err encoder_embed_as(struct call *c, struct encoder *e, enum encoder_kind kind, const char *const *texts,
                                     const size_t *lens, int n, float *out, int *tokens_out);
const char *encoder_prefix(const struct encoder *e, enum encoder_kind kind);   /* "" when there is none */
/* Tokens of one text that are read, special ones and the kind's prefix not counted in; what comes after them is not. */
int         encoder_reach(const struct encoder *e, enum encoder_kind kind);
struct card;
const struct card *encoder_card(const struct encoder *e);   /* what its folder says; encoder/card.h */

/* The model's tokenizer. Ids with the special tokens around them ([CLS] and [SEP]), at most max_ids (≥ 2); reading stops
 * once they are full. Any thread. */
const struct tokenizer *encoder_tokenizer(const struct encoder *e);
int  tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, int32_t *ids, int max_ids);
/* Tokens of a text without special ones around and without limit, with the byte offset where each begins: offsets_out
 * (when not NULL) has room for max; returns the count, never more than max. For the splitter in tokens. */
int  tokenizer_spans(const struct tokenizer *t, const char *text, size_t len, uint32_t *offsets_out, int max);

/* The process's encoder, set once by main before threads start; NULL when the product runs without one. */
struct encoder *encoder_default(void);
void            encoder_set_default(struct encoder *e);
#endif
