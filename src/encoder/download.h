/* encoder/download.h — one large file from elsewhere: resumed, followed through redirects, and believed only by its hash. While it
 * is not whole it stands beside its place as ".part-NAME", with the server's tag for it in ".tag-NAME".
 *     struct download d = { .url = u, .folder = f, .name = "model.safetensors", .sha256 = hex, .max_bytes = n };
 *     e = download(c, &d);                                                                                 */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ENCODER_DOWNLOAD_H
#define CHIRON_ENCODER_DOWNLOAD_H
#include "base/call.h"

struct download {
    const char *url;
    const char *folder, *name;    /* where it will be: folder/name; name may have one "/" */
    const char *sha256;           /* NULL: what the server says it is, if it does */
    int64_t     bytes;            /* its exact size; 0 or -1: not known */
    int64_t     max_bytes;
    bool        must_be_named;    /* without a SHA-256 from anyone it is refused */
    bool        optional;         /* the server need not have it */
    void (*progress)(void *arg, const char *name, int64_t have_bytes, int64_t total_bytes);
    void *arg;
    /* out */
    bool    missing;              /* optional, and not there */
    bool    named;                /* held against a SHA-256 */
    char    hex[65];              /* of what came */
    int64_t fetched_bytes, resumed_bytes;
};

/* The rules and the errors are install_pull's. */
MUST_CHECK enum err download(struct call *c, struct download *d);
#endif
