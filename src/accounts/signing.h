/* accounts/signing.h — the RSA keys that our own tokens are signed with. One signs; retired ones still verify until the last token
 * they signed has ended. Kept parsed in memory; other processes' rotations are seen through the change number. Any thread.       */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_SIGNING_H
#define CHIRON_ACCOUNTS_SIGNING_H
#include "accounts/token.h"

#define SIGNING_BITS     2048
#define SIGNING_KEYS_MAX 16
#define SIGNING_KID_BYTES 43           /* RFC 7638: SHA-256 of the public key, base64url */

struct json_out;
struct signing_state {
    char    kid[SIGNING_KID_BYTES + 1];
    bool    signs, from_setting;       /* from_setting: JWT_PRIVATE_KEY */
    int64_t created_ms, retired_ms, gone_ms;   /* unix; 0: not (yet) */
};

/* After token_key_set and store_open: reads the keys, and begins to make the first when there is none; what needs it before it is
 * there waits for it. ERR_INVALID: JWT_PRIVATE_KEY or
 * JWT_PUBLIC_KEY is not usable (CRE-067). */
MUST_CHECK enum err signing_open(struct call *c);
void signing_close(void);
/* Reads the keys again when seq is newer than what they were read under. */
MUST_CHECK enum err signing_look(struct call *c, int64_t seq);
/* header.payload.signature with the signing key, in c->mem. type: "at+jwt". */
MUST_CHECK enum err signing_compact(struct call *c, const char *type, const char *payload, size_t n, const char **out);
/* Is t signed by our key of its kid? */
bool signing_right(const struct token_text *t);
bool signing_knows(const char *kid);
/* Looks once more into the database when the kid is not known; quiet when that does not help. */
void signing_meet(struct call *c, const char *kid);
/* A new key signs from now on; the one before is retired. kid_out[SIGNING_KID_BYTES + 1]. ERR_CONFLICT: JWT_PRIVATE_KEY is set, or
 * SIGNING_KEYS_MAX are still needed. */
MUST_CHECK enum err signing_rotate(struct call *c, char *kid_out);
/* Newest first, in c->mem. */
MUST_CHECK enum err signing_list(struct call *c, struct signing_state **out, int *n_out);
/* The public halves as members of a JWK set: "keys": [...]. After signing_list. */
void signing_put_jwks(struct call *c, struct json_out *j);
#endif
