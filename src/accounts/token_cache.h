/* accounts/token_cache.h — what is remembered of credentials that were checked: bounded, in memory of this process. Any thread. */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_TOKEN_CACHE_H
#define CHIRON_ACCOUNTS_TOKEN_CACHE_H
#include "accounts/signing.h"

#define TOKEN_PRINT_BYTES 32
/* A keyed hash of the credential: it itself is not kept. */
struct token_print {
    unsigned char bytes[TOKEN_PRINT_BYTES];
};
struct token_known {
    bool    from_session;                        /* session_id, account_id or user_id, creator_id as claimed: asked again on a change */
    bool    ours;
    char    creator_id[LIMIT_ID_BYTES + 1], user_id[LIMIT_ID_BYTES + 1], role[LIMIT_ROLE_BYTES + 1];
    char    account_id[32], session_id[32], key_id[32];
    char    kid[SIGNING_KID_BYTES + 1];
    unsigned rights;
    int64_t until_ms;                            /* unix: it counts for nothing from then on */
    int64_t seq;                                 /* change number that rights were looked up under */
};

void token_cache_open(void);                     /* a new hash key; empties */
void token_cache_close(void);
void token_cache_print(const char *credential, size_t n, struct token_print *out);
bool token_cache_get(const struct token_print *p, struct token_known *out);
void token_cache_put(const struct token_print *p, const struct token_known *k);
void token_cache_drop(const struct token_print *p);
#endif
