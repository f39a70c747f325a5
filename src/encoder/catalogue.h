/* encoder/catalogue.h — models that are known by name: models/catalogue.json, built in. Everything in it is checked when it is
 * read. Any thread.
 *     struct catalogue list;
 *     e = catalogue_read(c, &list);
 *     const struct catalogue_model *m = catalogue_find(&list, "bge-small-en-v1.5");                        */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_CATALOGUE_H
#define CHIRON_ENCODER_CATALOGUE_H
#include "base/call.h"

enum { CATALOGUE_FILES = 32, CATALOGUE_NAME_BYTES = 128 };
struct catalogue_file {
    const char *name;        /* below the model's folder; one "/" at most */
    int64_t     bytes;       /* -1: not known */
    const char *sha256;      /* lower-case hex; NULL: not known */
    bool        optional;    /* a server need not have it */
};
struct catalogue_model {
    const char *name, *kind, *pooling, *license, *about;    /* "" when it is not said; kind: embedder, cross-encoder */
    const char *url;         /* the folder the files are in, without a "/" at the end */
    const char *settings;    /* text for the folder's chiron.json; NULL: none */
    int         dim, max_tokens;
    struct catalogue_file files[CATALOGUE_FILES];
    int         file_count;
};
struct catalogue {
    struct catalogue_model *models;    /* in c->mem */
    int                     count;
};

/* The built-in list; its URLs begin with MODELS_BASE_URL where that is set. ERR_CORRUPT: a bug in the list. */
MUST_CHECK enum err catalogue_read(struct call *c, struct catalogue *out);
const struct catalogue_model *catalogue_find(const struct catalogue *k, const char *name);    /* NULL when there is none */
/* A model that only its URL is known of, with the files that such folders have. sha256: of its weights, or NULL. The name is
 * taken from the URL ("…/NAME/resolve/REV" or "…/NAME") when name is NULL. ERR_INVALID: no such name can be made. */
MUST_CHECK enum err catalogue_of_url(struct call *c, const char *url, const char *name, const char *sha256, struct catalogue_model *out);
#endif
