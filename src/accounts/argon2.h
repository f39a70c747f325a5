/* accounts/argon2.h — Argon2id with one lane (RFC 9106), in memory that the caller keeps between hashes. libsodium's own takes new
 * memory each time and has the kernel clear it page by page, a third of its time; the results are the same to the bit.
 * Only where there is AVX2 or AVX-512: else libsodium is as good. Any thread, with memory of its own.              */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_ARGON2_H
#define CHIRON_ACCOUNTS_ARGON2_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARGON2_BLOCK_BYTES 1024
#define ARGON2_TAG_BYTES   32
#define ARGON2_SALT_BYTES  16

enum argon2_kernel { ARGON2_NONE, ARGON2_AVX2, ARGON2_AVX512 };
/* The best this processor has. */
enum argon2_kernel argon2_best(void);

/* The tag. memory: blocks * ARGON2_BLOCK_BYTES bytes, 64-byte aligned, whatever is in it; blocks: a multiple of 4, at least 8;
 * passes: at least 1. kernel: not ARGON2_NONE, and one that the processor has. */
void argon2_tag(enum argon2_kernel kernel, void *memory, uint32_t blocks, uint32_t passes, const void *password, size_t password_len,
                const unsigned char salt[ARGON2_SALT_BYTES], unsigned char tag[ARGON2_TAG_BYTES]);
#endif
