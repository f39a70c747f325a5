/* knowledge/embedder.h — the local models that this process can run: the default one, and those that creators' vectors are
 * still of. Another than the default is loaded at its first use and let go when nobody needs it. Any thread.
 *     struct embedder *m;
 *     if (!embedder_take(c, &state.active, &m)) { …embedder_encoder(m)…; embedder_give(m); }                  */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_KNOWLEDGE_EMBEDDER_H
#define CHIRON_KNOWLEDGE_EMBEDDER_H
#include "knowledge/model_store.h"

struct embedder;
struct encoder;

/* models_dir: folder of the model folders; NULL: only the default can be run, and it is known by name and dimension. */
void embedders_open(const char *models_dir);
void embedders_close(void);

/* What the default encoder is, in c->mem, label NULL; false: there is none. The first time its files are hashed (60 ms). */
bool embedder_default(struct call *c, struct model_row *out);
/* Is the default the model of this row? Its files are hashed only when their stamp is another than the row's. */
bool embedder_is_default(const struct model_row *m);

/* The model of this row, to be given back. ERR_NOT_FOUND: its folder is gone or holds another model now; ERR_CORRUPT, ERR_IO:
 * it cannot be loaded. */
MUST_CHECK enum err embedder_take(struct call *c, const struct model_row *m, struct embedder **out);
void embedder_give(struct embedder *e);            /* NULL allowed */
/* The default one, NULL without one. */
struct embedder *embedder_take_default(void);
struct encoder *embedder_encoder(const struct embedder *e);
const char *embedder_name(const struct embedder *e);
/* Tells its cached vectors from those of other models, also of the same name; for cache keys. */
const char *embedder_key(const struct embedder *e);
/* Lets go of those that nobody has used for a minute. */
void embedders_trim(void);
#endif
