/* SPDX-License-Identifier: MIT */
/* The encoder as one object: settings, loading, accessors and the process's default. */
#include "encoder/encoder.h"

#include <stddef.h>

const struct setting encoder_settings[] = {
    { .name = "ENCODER_MODEL", .dflt = "all-MiniLM-L6-v2", .help = "name of the embedding model's folder" },
    { .name = "ENCODER_MODEL_DIR", .help = "folder of the model folders; default: XDG cache, chiron/models" },
    { .name = "ENCODER_PRECISION", .dflt = "bf16", .help = "f32 or bf16; bf16 falls back to f32 on old CPUs" },
    { .name = "ENCODER_THREADS", .dflt = "0", .help = "threads of a bulk embedding call; 0: one per core, at most 16",
      .flags = SETTING_INT, .min = 0, .max = 16 },
    { 0 },
};

static struct encoder *default_encoder;

struct encoder *encoder_default(void) { return default_encoder; }
void encoder_set_default(struct encoder *e) { default_encoder = e; }
enum err encoder_load(struct call *c, const char *folder, enum encoder_precision p, struct encoder **out)
{
    (void)folder, (void)p, (void)out;
    return fail(c, ERR_INTERNAL, "the encoder is not built yet");
}
void encoder_free(struct encoder *e) { (void)e; }
int encoder_dim(const struct encoder *e) { (void)e; return 384; }
const char *encoder_name(const struct encoder *e) { (void)e; return "all-MiniLM-L6-v2"; }
const char *encoder_precision_used(const struct encoder *e) { (void)e; return "f32"; }
enum err encoder_embed_counted(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens, int n,
                               float *out, int *tokens_out)
{
    (void)e, (void)texts, (void)lens, (void)n, (void)out, (void)tokens_out;
    return fail(c, ERR_INTERNAL, "the encoder is not built yet");
}
enum err encoder_embed(struct call *c, struct encoder *e, const char *const *texts, const size_t *lens, int n, float *out)
{
    return encoder_embed_counted(c, e, texts, lens, n, out, NULL);
}
const struct wordpiece *encoder_wordpiece(const struct encoder *e) { (void)e; return NULL; }
