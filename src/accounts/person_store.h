/* accounts/person_store.h — the rows of person and person_identity.                                                */
/* SPDX-License-Identifier: MIT */
#ifndef CHIRON_ACCOUNTS_PERSON_STORE_H
#define CHIRON_ACCOUNTS_PERSON_STORE_H
#include "accounts/person.h"

struct db;

MUST_CHECK enum err person_load(struct call *c, const char *id, struct person *out, bool *found_out);
MUST_CHECK enum err person_load_email(struct call *c, const char *email, struct person *out, bool *found_out);
/* like: pattern over the folded text with \ as its escape, NULL: all. */
MUST_CHECK enum err person_load_list(struct call *c, const char *like, int offset, int limit, struct person **out, int *n_out,
                                     int64_t *total_out);
/* Inserts or changes in one transaction, address and identity included; what `which` does not name stays. */
MUST_CHECK enum err person_save(struct call *c, const struct person *p, unsigned which, struct person *out, bool *made_out);
/* "premium" or another; NULL for nobody. Of any creator's database. */
MUST_CHECK enum err person_plan_load(struct call *c, struct db *db, const char *id, const char **out);
struct person_sight {          /* somebody was here */
    char creator_id[LIMIT_ID_BYTES + 1], user_id[LIMIT_ID_BYTES + 1];
    bool visitor;
};
/* Makes those known who are not, and notes for all when they were seen; n of one creator, whose tenant is open. Not those who were
 * erased, nor visitors who turned out to be somebody. */
MUST_CHECK enum err person_seen_save(struct call *c, const struct person_sight *list, int n, int64_t at_ms);
#endif
