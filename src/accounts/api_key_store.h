/* accounts/api_key_store.h — the rows of api_key, always of one creator.                                           */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_API_KEY_STORE_H
#define CHIRON_ACCOUNTS_API_KEY_STORE_H
#include "accounts/api_key.h"

MUST_CHECK enum err api_key_load(struct call *c, const char *id, struct api_key *out, bool *found_out);
MUST_CHECK enum err api_key_load_list(struct call *c, int64_t now_ms, struct api_key **out, int *n_out);
/* Unless API_KEY_LIVE_MAX are there (full_out); ended ones beyond API_KEY_ENDED_MAX go. */
MUST_CHECK enum err api_key_insert(struct call *c, const struct api_key *k, bool *full_out);
/* Puts next in the place of an old key that works and was not replaced yet; the old one ends at old_ends_ms, now or later, and
 * what it made is next's. replaced_out is false when it was not to be replaced (any more). */
MUST_CHECK enum err api_key_replace(struct call *c, const char *old_id, int64_t old_ends_ms, const struct api_key *next, bool *replaced_out);
/* Ends a key and, on and on, what it made. */
MUST_CHECK enum err api_key_end(struct call *c, const char *id, const char *why);
#endif
