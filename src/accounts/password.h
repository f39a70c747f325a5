/* accounts/password.h — a password's hash, and whether it is the one. Argon2id with 19 MiB and two
 * passes; two threads of their own do all of it, from a bounded queue: a flood of
 * sign-ins waits for itself and not the others for it. Any thread.
 *     e = strength_check(c, "password", given, (const char *[]){ email, name, NULL });
 *     if (!e) e = password_hash(c, given, &hash);                     // "$argon2id$v=19$m=19456,t=2,p=1$…"            */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PASSWORD_H
#define CHIRON_ACCOUNTS_PASSWORD_H
#include "base/call.h"

#define PASSWORD_THREADS      2
#define PASSWORD_MEMORY_BYTES (19u * 1024 * 1024)   /* CRE-013; OWASP's first choice for Argon2id */
#define PASSWORD_PASSES       2

/* The hash as text, in c->mem. ERR_BUSY: LIMIT_PASSWORD_QUEUE wait already, or LIMIT_PASSWORD_WAIT_MS went by. */
MUST_CHECK enum err password_hash(struct call *c, const char *password, const char **hash_out);
/* hash NULL: there is none, which takes as long and is never right. *old_out: right, but hashed with other parameters than now.
 * Errors as password_hash. */
MUST_CHECK enum err password_check(struct call *c, const char *password, const char *hash, bool *right_out, bool *old_out);
/* Ends the threads; nobody may be waiting. They start with the first password. */
void password_close(void);
#endif
