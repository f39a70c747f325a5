/* store/secret.h — keys that belong to this data folder: one random secret, made once and kept in instance.key (0600), and from it
 * one key per purpose. It is part of a backup, so what was made with it still checks after a restore. Any thread.
 *     unsigned char key[SECRET_BYTES];
 *     e = secret_key(c, "audit head", key);                                                                       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_STORE_SECRET_H
#define CHIRON_STORE_SECRET_H
#include "base/call.h"

#define SECRET_BYTES 32

/* The key of this purpose, always the same for this data folder. After store_open. ERR_IO, ERR_CORRUPT: the file. */
MUST_CHECK enum err secret_key(struct call *c, const char *purpose, unsigned char out[SECRET_BYTES]);
/* HMAC-SHA256 of bytes under the purpose's key. */
MUST_CHECK enum err secret_mac(struct call *c, const char *purpose, const void *p, size_t n, unsigned char out[SECRET_BYTES]);
void secret_close(void);                 /* forgets it; store_close does this */
#endif
