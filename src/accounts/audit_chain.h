/* accounts/audit_chain.h — what a row of the log is hashed as, and the mark on the log's ends. No SQL. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_AUDIT_CHAIN_H
#define CHIRON_ACCOUNTS_AUDIT_CHAIN_H
#include "accounts/audit.h"

#define AUDIT_HASH_BYTES 65      /* hex of SHA-256 and NUL */

struct audit_head {
    int64_t     first_seq, seq, broken_seq;
    const char *first_previous, *hash, *mac;
};
/* SHA-256 over the row's fields in the order of the table up to previous, each as 8 bytes of length, little-endian, and the text;
 * numbers as decimal. */
void audit_hash(const struct audit_row *r, char out[AUDIT_HASH_BYTES]);
/* The keyed hash of a head; log: "" for the instance's, else the creator's id, so that heads cannot change places. */
MUST_CHECK enum err audit_head_mac(struct call *c, const char *log, const struct audit_head *h, char out[AUDIT_HASH_BYTES]);
/* Who acts, from c: kind and id; a user's id stands as "user:ID". */
void audit_actor(struct call *c, const char **kind_out, const char **actor_out);
/* A value as it is kept: masked, cut, of one line. */
const char *audit_value(struct call *c, const char *value);
#endif
