/* accounts/link_store.h — the rows of mail links in accounts.db, by the hash of their secret.                         */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_LINK_STORE_H
#define CHIRON_ACCOUNTS_LINK_STORE_H
#include "base/call.h"

struct link_row {               /* texts may be NULL but for hash, purpose and email */
    const char *id, *hash, *purpose, *creator_id, *account_id, *email, *role, *created_by;
    bool        mailed;
    int64_t     created_ms, expires_ms;
};
/* Adds it, and in the same moment drops what ended long ago, closes this creator's earlier invitation of the address and the
 * oldest live ones over live_max. *added_out is false when sent_max mails went to the address since since_ms. */
MUST_CHECK enum err link_row_add(struct call *c, const struct link_row *row, int live_max, int sent_max, int64_t since_ms, bool *added_out);
/* An unused one that has not ended, in c->mem. ERR_NOT_FOUND without words. */
MUST_CHECK enum err link_row_get(struct call *c, const char *hash, struct link_row *out);
/* used_ms is set if it was not: of two callers exactly one has *won_out. */
MUST_CHECK enum err link_row_use(struct call *c, const char *hash, bool *won_out);
MUST_CHECK enum err link_row_unuse(struct call *c, const char *hash);
#endif
