/* base/id.h — ids and random bytes. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_BASE_ID_H
#define CHIRON_BASE_ID_H
#include <stdbool.h>
#include <stddef.h>

#define ID_BYTES 32
/* prefix, '_', 26 characters of Crockford base32: 48 bits of time and 80 random, sortable by time ("doc_01J…").
 * prefix: 1..4 lower-case letters. Returns out. */
char *id_new(const char *prefix, char out[ID_BYTES]);
void  id_random(void *out, size_t n);                 /* from the system's generator; aborts when there is none */
/* An id from outside: 1..LIMIT_ID_BYTES of [A-Za-z0-9._:@-], not starting with '.' or '-'. */
bool  id_valid(const char *s);
/* One that a user of a creator may have: valid, and not of the form of an account's, whose own things are kept under that. */
bool  id_user_valid(const char *s);
/* Lower-case hex of SHA-256 into out[65]. */
char *id_sha256_hex(const void *p, size_t n, char out[65]);
/* The same of a file, streamed. false when it cannot be read. */
bool  id_sha256_file(const char *path, char out[65]);
#endif
