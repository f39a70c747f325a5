/* encoder/install.h — model folders that come from elsewhere. What is fetched lands beside its place, is held against its
 * SHA-256, and the folder is moved there whole; what a broken try left is gone on with. One try per model at a time.
 *     e = install_pull(c, models_dir, model, &(struct install_opts){ .progress = show }, &result);
 *     e = install_verify(c, folder, &files);                                                                */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_INSTALL_H
#define CHIRON_ENCODER_INSTALL_H
#include "base/conf.h"
#include "encoder/catalogue.h"

#define INSTALL_SUMS    "SHA256SUMS"
#define INSTALL_WEIGHTS "model.safetensors"

extern const struct setting install_settings[];    /* MODELS_BASE_URL */

struct install_opts {
    /* Several times a second while bytes come; total -1: not known. May be NULL. */
    void (*progress)(void *arg, const char *file, int64_t have_bytes, int64_t total_bytes);
    void *arg;
};
struct install_result {
    int     files;            /* in the folder's SHA256SUMS */
    int     not_pinned;       /* of them: without a SHA-256 from the catalogue or the caller */
    int64_t fetched_bytes, resumed_bytes;
};

/* Fetches m into root/m->name. Redirects are followed five times, never from https to http; http only for files whose SHA-256
 * is given, or from this machine. Weights need a SHA-256: given, or named by the server. The folder must load: its card,
 * tokenizer and weights' header are read. ERR_CONFLICT: it is there already, or another try is under way; ERR_NOT_FOUND: the
 * server has no such file; ERR_CORRUPT: another SHA-256, or no model this product can use; ERR_TOO_LARGE: more bytes than the
 * catalogue or INSTALL's limits say; ERR_IO: no space, cannot write; ERR_UPSTREAM, ERR_TIMEOUT, ERR_CANCELLED: try again, what
 * came is kept. */
MUST_CHECK enum err install_pull(struct call *c, const char *root, const struct catalogue_model *m, const struct install_opts *o,
                                 struct install_result *out);
/* A zip archive or wheel, fetched whole and checked against sha256 before anything of it is unpacked. Errors as above. */
MUST_CHECK enum err install_archive(struct call *c, const char *root, const char *url, const char *sha256, const char *name,
                                    const struct install_opts *o, struct install_result *out);
/* Each file of a model folder against its SHA256SUMS. ERR_NOT_FOUND: no model or no sums; ERR_CORRUPT names the file. */
MUST_CHECK enum err install_verify(struct call *c, const char *folder, int *files_out);
/* The folder is moved out of sight first, so that no one finds half of it. ERR_NOT_FOUND. */
MUST_CHECK enum err install_remove(struct call *c, const char *root, const char *name);
#endif
